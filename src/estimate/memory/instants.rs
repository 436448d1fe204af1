//! The instants at which memory can be fullest, and the memory alive at each besides weights and optimizer states.
//!
//! ```text
//! loss (last stage)             activations + logits + buffers + gradients that are allocated once or accumulated
//! start of the backward pass    activations + one layer's working set + buffers + gradients, likewise
//! end of the backward pass      the first layer's activations and working set + buffers + all gradients
//! optimizer step                all gradients + the step's own workspace
//! ```
//!
//! Activations are all that a stage keeps after its warm-up ([`crate::estimate::schedule`]).

use super::super::plan::{Plan, RankParameters, Stage};
use super::{communication, gradients, layers, optimizer};
use crate::model::Parameters;
use crate::units::Bytes;

/// The memory alive at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Instant {
    pub(super) name: &'static str,
    pub(super) gradients: Bytes,
    pub(super) activations: Bytes,
    pub(super) working_set: Bytes,
    pub(super) logits: Bytes,
    pub(super) communication: Bytes,
    pub(super) step: Bytes,
}

impl Instant {
    /// The sum.
    pub(super) fn live(&self) -> Bytes {
        self.gradients + self.activations + self.working_set + self.logits + self.communication + self.step
    }

    /// The summands, by their names in a report.
    pub(super) fn parts(&self) -> [(&'static str, Bytes); 6] {
        [
            ("gradients", self.gradients),
            ("activations", self.activations),
            ("layer working set", self.working_set),
            ("logits", self.logits),
            ("communication buffers", self.communication),
            ("optimizer step", self.step),
        ]
    }
}

/// The fullest instant, or the first of equal ones.
pub(super) fn fullest(instants: &[Instant]) -> Instant {
    instants
        .iter()
        .fold(Instant::default(), |a, b| if b.live() > a.live() || a.name.is_empty() { *b } else { a })
}

/// The instants of one stage.
pub(super) fn instants(
    plan: &Plan,
    counted: &Parameters,
    rank: RankParameters,
    stage: Stage,
) -> [Instant; 4] {
    let trained = rank.dense.saturating_add(rank.experts);
    let parameters = trained.saturating_add(rank.frozen_towers).saturating_add(rank.whole);
    let trained = if plan.adapters.is_some() { rank.beside() } else { trained };
    let gradients = gradients::gradients(plan, rank);
    let early = if gradients::persistent(plan) { gradients } else { Bytes::ZERO };
    let placeholders = gradients::placeholders(plan, counted, stage);
    let (early, gradients) = (early + placeholders, gradients + placeholders);
    let layers::Needs { kept, one, working_set, loss } = layers::needs(plan, stage);
    let buffers = communication::communication(plan, counted, stage, parameters, trained);
    [
        Instant {
            name: "loss",
            gradients: early,
            activations: kept,
            logits: loss,
            communication: buffers.loss,
            ..Instant::default()
        },
        Instant {
            name: "start of the backward pass",
            gradients: early,
            activations: kept,
            working_set,
            communication: buffers.backward,
            ..Instant::default()
        },
        Instant {
            name: "end of the backward pass",
            gradients,
            activations: one,
            working_set,
            communication: buffers.backward,
            ..Instant::default()
        },
        Instant {
            name: "optimizer step",
            gradients,
            communication: buffers.step,
            step: optimizer::optimizer_step(plan, rank),
            ..Instant::default()
        },
    ]
}
