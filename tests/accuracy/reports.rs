//! Public runs as people submit them: the command lines of issues, READMEs and shipped scripts, each with its end.
//!
//! `reports.jsonl` holds one run a line, in the format of `weighbridge score`. Each states only what its source states. The
//! causes of wrong refusals among them were repaired, so these figures are not held out.

use weighbridge::policy::World;
use weighbridge::score::{Outcome, Report, Run, score, tables};

use super::shown::{Shown, show};

#[test]
fn no_public_run_that_worked_is_refused() {
    let lines = include_str!("reports.jsonl").lines();
    let runs: Vec<Run> =
        lines.map(|line| Run::parse(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    assert!(runs.len() > 100, "only {} runs", runs.len());
    let scored: Vec<_> = runs.iter().map(|run| score(run, &World::built_in())).collect();
    let mut shown = Shown::new("reports");
    for run in &scored {
        let outcome = if run.outcome == Some(Outcome::Fits) { "ran    " } else { "ran out" };
        show!(
            shown,
            "{outcome} {:12} {}",
            format!("{:?}", run.verdict),
            run.name.as_deref().unwrap_or_default()
        );
    }
    let report = Report::of(scored);
    show!(shown, "\n{}", tables(&report, ToOwned::to_owned));
    shown.end();
    let refused = report.runs.iter().filter(|run| {
        run.outcome == Some(Outcome::Fits) && run.verdict == weighbridge::judgement::Verdict::OutOfMemory
    });
    let refused: Vec<_> = refused.filter_map(|run| run.name.as_deref()).collect();
    assert_eq!(refused, [] as [&str; 0]);
}
