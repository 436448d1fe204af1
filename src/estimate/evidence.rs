//! How far each mode of a framework was compared with measurements, and how wide its error is there.
//!
//! A mode is a framework, what its ranks divide, what is trained, the recomputation, and a dense model or one with experts.
//! The memory terms differ between modes, and hardly within one. `data/evidence.toml` has every mode with evidence. The
//! accuracy tests compute it from their rows, and fail if the file differs.
//!
//! ```text
//! checked     PyTorch's own counts of allocated memory cover the mode, or two independent parties measured it
//! derived     the terms come from the framework's code: one party measured the mode or another mode of the framework (for
//!             experts one with experts), or every operation of its own dense layers is counted, which PyTorch's own counts check for the operations
//! unchecked   no run of the framework was compared
//! ```
//!
//! A job that names no framework is derived at best: its framework is assumed.
//!
//! The spread is the standard deviation of ln(measured / estimated), if nothing that matters is open. Every residual is
//! computed without its own party: the constants are fitted again on the rows of the others.
//!
//! ```text
//! σ_derived     the widest σ_party of modes whose framework another party measured
//! σ_unchecked   the widest σ_party of all modes
//! σ_mode²       = (σ_derived² + Σ σ_party²) / (1 + parties)      for a mode that parties measured
//! ```
//!
//! There are two spreads. What the allocator keeps gives way when memory is short, and differs with its history. So
//! figures that include it (reserved, process) have a spread of their own. The need has the spread of the allocated
//! figure, for which PyTorch's own counts are a party too.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::plan::Plan;
use crate::frameworks::profile;
use crate::job::{Method, Recompute, Sharding};
use crate::judgement::Evidence;

/// A way to run a framework, as far as it decides which memory terms apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode<'a> {
    /// The framework's name.
    pub framework: &'a str,
    /// What the data-parallel ranks divide.
    pub divided: Divided,
    /// What is trained.
    pub method: Method,
    /// The recomputation.
    pub recompute: Recompute,
    /// Whether the model has experts.
    pub experts: bool,
}

/// What data-parallel ranks divide among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Divided {
    /// Every rank has everything.
    Nothing,
    /// The optimizer's states, and perhaps the gradients.
    States,
    /// The weights too.
    Everything,
}

impl Mode<'_> {
    /// The mode of a plan.
    pub fn of(plan: &Plan) -> Mode<'static> {
        Mode {
            framework: plan.profile.name,
            divided: match plan.sharding {
                // One rank has everything, under every sharding.
                _ if plan.data.saturating_mul(plan.context) <= 1 => Divided::Nothing,
                Sharding::None => Divided::Nothing,
                Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::DistributedOptimizer => Divided::States,
                Sharding::ZeRO3 | Sharding::FSDP | Sharding::HSDP => Divided::Everything,
            },
            method: match &plan.adapters {
                None => Method::Full,
                Some(adapters) if adapters.quantized.is_some() => Method::QLoRA,
                Some(_) => Method::LoRA,
            },
            recompute: plan.recompute,
            experts: plan.shape.experts.is_some(),
        }
    }
}

/// The evidence for all modes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modes {
    spread: Spreads,
    #[serde(default)]
    mode: Vec<Entry>,
}

/// The spread of modes that no party measured.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spreads {
    derived: Spread,
    unchecked: Spread,
}

/// The standard deviations of ln(measured / estimated).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Of the allocated figure, and of the need.
    pub allocated: f64,
    /// Of figures that include what the allocator keeps.
    pub kept: f64,
}

impl Spread {
    /// The wider of both.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        Self { allocated: self.allocated.max(other.allocated), kept: self.kept.max(other.kept) }
    }

    /// With an independent spread.
    #[must_use]
    pub fn and(self, other: f64) -> Self {
        Self { allocated: self.allocated.hypot(other), kept: self.kept.hypot(other) }
    }
}

/// A mode with evidence.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    framework: String,
    divided: Divided,
    method: Method,
    recompute: Recompute,
    experts: bool,
    class: Evidence,
    /// PyTorch's own counts.
    #[serde(rename = "counts")]
    _counts: u32,
    /// The comparisons of each party that measured it.
    #[serde(default, rename = "parties")]
    _parties: BTreeMap<String, u32>,
    /// The spread of the mode.
    spread: Spread,
}

impl Entry {
    fn mode(&self) -> Mode<'_> {
        let Self { framework, divided, method, recompute, experts, .. } = self;
        Mode { framework, divided: *divided, method: *method, recompute: *recompute, experts: *experts }
    }
}

/// Whether a mode's layers are counted operation by operation, as the framework's own code runs them. Experts have rows that
/// depend on the router, so they are never counted like this.
pub fn is_counted(mode: &Mode<'_>) -> bool {
    !mode.experts && profile::named(mode.framework).is_some_and(|profile| profile.layers.are_its_own())
}

impl Modes {
    /// The compiled-in evidence.
    #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
    pub(super) fn compiled_in() -> Self {
        toml::from_str(include_str!("../../data/evidence.toml")).expect("data/evidence.toml is valid")
    }

    /// The class of evidence of a mode.
    pub fn class(&self, mode: &Mode<'_>) -> Evidence {
        if let Some(entry) = self.find(mode) {
            return entry.class;
        }
        // Dense models tell nothing about experts.
        let tells = |entry: &Entry| entry.framework == mode.framework && (entry.experts || !mode.experts);
        let known = self.mode.iter().any(tells);
        if known || is_counted(mode) { Evidence::Derived } else { Evidence::Unchecked }
    }

    /// The spread in a mode.
    pub fn spread(&self, mode: &Mode<'_>) -> Spread {
        self.find(mode).map_or_else(|| self.of_class(self.class(mode)), |entry| entry.spread)
    }

    /// The spread of modes that no party measured.
    pub fn of_class(&self, class: Evidence) -> Spread {
        match class {
            Evidence::Checked | Evidence::Derived => self.spread.derived,
            Evidence::Unchecked => self.spread.unchecked,
        }
    }

    fn find(&self, mode: &Mode<'_>) -> Option<&Entry> {
        self.mode.iter().find(|entry| entry.mode() == *mode)
    }
}
