//! What the tests of readers share: what a launch says, as lines that a person can review.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::command::Launch;
use crate::frameworks::reading::claims::Strength;
use crate::frameworks::{Trees, read, trainings};

/// What all readers together say of a launch: a line a field, with its source; then what is doubtful.
pub(crate) fn told(launch: Launch) -> String {
    let launches = [Launch { place: "container trainer".into(), ..launch }];
    let (trainings, _) = trainings(&launches);
    let mut claims = read(trainings.first().unwrap(), &launches, &[], &mut Trees::default());
    claims.all.sort_by(|a, b| (&a.field, a.strength).cmp(&(&b.field, b.strength)));
    let mut told = String::new();
    let mut fields = BTreeSet::new();
    for claim in &claims.all {
        let first = fields.insert(&claim.field);
        if !first && claim.strength == Strength::Default {
            continue;
        }
        let _ = writeln!(told, "{} = {}  ({})", claim.field, claim.value, claim.source);
    }
    if let Some((steps, source)) = &claims.accumulation {
        let _ = writeln!(told, "accumulates {steps}  ({source})");
    }
    if let (Some(nodes), Some(processes)) = (claims.nodes, claims.processes_per_node) {
        let _ = writeln!(told, "runs {nodes} × {processes} processes");
    }
    for (field, value) in &claims.open {
        let _ = writeln!(told, "may be: {field} = {value}");
    }
    if let Some(beyond) = claims.beyond {
        let _ = writeln!(told, "beyond: {beyond}");
    }
    for warning in &claims.warnings {
        assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{warning:?}");
        let _ = writeln!(told, "warning: {warning}");
    }
    told
}

/// What commands say, each under its words.
pub(crate) fn all_told(commands: &[&str]) -> String {
    commands.iter().fold(String::new(), |mut all, command| {
        let words: Vec<_> = command.split_whitespace().collect();
        let _ = writeln!(all, "$ {command}\n{}", told(Launch::of_words(&words)));
        all
    })
}
