//! Public runs as people submit them: the command lines of issues, READMEs and shipped scripts, each with its end.
//!
//! `reports.jsonl` holds one run a line, in the format of `weighbridge score`. Each states only what its source states. The
//! causes of wrong refusals among them were repaired, so these figures are not held out.

use weighbridge::judgement::Verdict;
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
        show!(shown, "{outcome} {:12} {}", run.verdict.name(), run.name.as_deref().unwrap_or_default());
    }
    let report = Report::of(scored);
    show!(shown, "\n{}", tables(&report, ToOwned::to_owned));
    shown.end();
    let row = |name: &str, outcome: Outcome| {
        let runs = report.runs.iter().filter(|run| run.outcome == Some(outcome));
        let of = |verdict: Verdict| runs.clone().filter(|run| run.verdict == verdict).count();
        let all = runs.clone().count();
        let [refused, tight, fits] = [Verdict::OutOfMemory, Verdict::Tight, Verdict::Fits].map(of);
        let rest = all - refused - tight - fits;
        (refused, format!("| {name} | {all} | {refused} | {tight} | {rest} | {fits} |"))
    };
    let ((refused, ran), (_, ran_out)) = (row("ran", Outcome::Fits), row("ran out", Outcome::Oom));
    assert_eq!(refused, 0);
    let page = include_str!("../../docs/accuracy.md");
    assert!(page.contains(&ran) && page.contains(&ran_out), "docs/accuracy.md lacks\n{ran}\n{ran_out}");
}
