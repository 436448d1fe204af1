//! The published runs, scored by the product, and its tables of them.

use std::sync::LazyLock;

use weighbridge::estimate::assume::{Device, assume};
use weighbridge::policy::World;
use weighbridge::score::{Group, Report, Scored, score, tables};

use super::devices;
use super::published::{self, Row};

/// Every published run, scored.
pub(crate) fn published() -> &'static [(&'static Row, Scored)] {
    static SCORED: LazyLock<Vec<(&'static Row, Scored)>> = LazyLock::new(|| {
        published::rows().iter().map(|row| (row, score(&row.run, &World::built_in()))).collect()
    });
    &SCORED
}

/// The summary of runs, by a group instead of the source.
pub(crate) fn by<'a>(runs: impl Iterator<Item = (String, &'a Scored)>) -> Report {
    Report::of(runs.map(|(source, run)| Scored { source, ..run.clone() }).collect())
}

/// The table of the memory alone.
pub(crate) fn memory(report: &Report) -> String {
    table(&Report { memory: report.memory.clone(), ..Report::of(Vec::new()) })
}

/// The tables of the gate alone.
pub(crate) fn gate(report: &Report) -> String {
    table(&Report { memory: Vec::new(), ..report.clone() })
}

fn table(report: &Report) -> String {
    tables(report, ToOwned::to_owned)
}

/// The group of this name.
pub(crate) fn group<'a>(groups: &'a [Group], name: &str) -> &'a Group {
    groups.iter().find(|group| group.source == name).unwrap_or_else(|| panic!("no group {name}"))
}

impl Row {
    /// `dense` or `experts`.
    pub(crate) fn model(&self) -> &'static str {
        let likely =
            assume(&self.job, Device { bf16: devices::bf16(&self.job) }).expect("it has a size").likely;
        if likely.shape.experts.is_some() { "experts" } else { "dense" }
    }

    /// `allocated`, and the like. Empty without a figure.
    pub(crate) fn counter(&self) -> String {
        self.run.memory.map_or_else(String::new, |memory| {
            let counter = format!("{:?}", memory.counter).to_lowercase();
            if memory.assumed { format!("{counter}, assumed") } else { counter }
        })
    }

    /// Whether the dimensions are given, not only a size.
    pub(crate) fn has_dimensions(&self) -> bool {
        let job = &self.job;
        let given = job.model.as_ref().is_some_and(|m| m.layers.is_some() && m.hidden_size.is_some());
        given
            && job.batch.as_ref().is_some_and(|b| b.sequence_length.is_some() && b.micro_batch_size.is_some())
    }
}
