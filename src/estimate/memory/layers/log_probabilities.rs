//! The head of objectives that compare log-probabilities of given tokens, of one model or of two.
//!
//! Bytes of one logit that are alive at once, by the format of the logits that the loss reads. The loss reads fp32 where
//! accelerate converts the model's outputs: under autocast, and under FSDP. DeepSpeed's engine does not convert.
//!
//! ```text
//!                               kept   forward   while the reference runs   backward
//! log-probabilities, fp32          4         6                         10         16
//! log-probabilities, two bytes     2     2 + r                      4 + r      2 + r
//! with the next token's loss       6         6                         10         18
//!   two bytes                      5         5                      7 + r     4 + 2r
//! two distributions, fp32         16        28                          -         28
//!   two bytes                     12        24                          -         24
//! ```
//!
//! `r = 4/n`: the logarithm of one row of `n` sequences, and its gradient. Two-byte logits are computed row by row.
//! In fp32 the backward pass holds the logits, the gradient of the gathered ones, the gradients row by row, and their
//! sum. Flash-attn's loss replaces the logits by their gradient: their own width throughout. A fused loss keeps gradients
//! instead of logits ([`super::head`]). If only completions count, only they have logits. Source: `selective_log_softmax` of TRL 0.19 to 1.9, counted on PyTorch 2.15's fake tensors
//! (`tests/accuracy/objectives.csv`). TRL 0.13 and LLaMA-Factory 0.9 gather from one logarithm of the softmax: 4 kept, 12
//! to 16 at most.

use super::super::super::objective::{Head, ObjectiveProfile, Role};
use super::super::super::plan::Plan;
use super::super::tape::{Tape, Tensor};
use super::Program;
use super::head::{HeadRun, gradient, output_layer, unpacked_output};
use crate::frameworks::profile::memory::{Layers, Loop};
use crate::job::{Loss, Placement, Sharding};
use crate::units::Bytes;

/// Bytes of one logit.
#[derive(Clone, Copy, Debug)]
struct PerLogit {
    kept: f64,
    forward: f64,
    /// While the other model's logits are alive too.
    other: f64,
    backward: f64,
}

fn per_logit(head: Head, single: bool, sequences: u64) -> PerLogit {
    let of = |kept, forward, other, backward| PerLogit { kept, forward, other, backward };
    let row = 4.0 / sequences.max(1) as f64;
    match (head, single) {
        (Head::Distributions, true) => of(16.0, 28.0, 28.0, 28.0),
        (Head::Distributions, false) => of(12.0, 24.0, 24.0, 24.0),
        (Head::LogProbabilitiesAndNextToken, true) => of(6.0, 6.0, 10.0, 18.0),
        (Head::LogProbabilitiesAndNextToken, false) => of(5.0, 5.0, 7.0 + row, 4.0 + 2.0 * row),
        (_, true) => of(4.0, 6.0, 10.0, 16.0),
        (_, false) => of(2.0, 2.0 + row, 4.0 + row, 2.0 + row),
    }
}

/// The loss reads the logits as they are, and their gradient replaces them.
fn in_place(width: f64) -> PerLogit {
    PerLogit { kept: width, forward: width, other: 2.0 * width, backward: width }
}

/// Whether the loss reads the logits in fp32.
fn is_single(tape: &Tape, plan: &Plan, logits: Tensor) -> bool {
    let accelerate = matches!(plan.profile.layers, Layers::Transformers { run_by: Loop::Trainer, .. });
    let sharded = matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP);
    let converted = plan.picks_formats() || accelerate && sharded;
    converted || tape.width(logits) >= 4
}

/// Whether another model runs on the same tokens while the trained model's logits are alive. Where samples are generated, the
/// reference reads them before the step: TRL's `_generate_and_score_completions` (0.24), verl's `compute_ref_log_prob` (0.5),
/// OpenRLHF's experience maker (0.8).
fn is_compared(plan: &Plan) -> bool {
    let before = ObjectiveProfile::of(plan.objective).generates;
    !before
        && plan
            .others
            .iter()
            .any(|other| other.role == Role::Reference && other.placement != Placement::Elsewhere)
}

/// The head's passes, after the final norm.
pub(super) fn run(mut tape: Tape, program: &Program<'_>, plan: &Plan, normed: Tensor) -> HeadRun {
    let logits = output_layer(&mut tape, program, plan, normed);
    tape.free(normed);
    let count = tape.elements(logits) as f64 * counted(plan);
    let of = |bytes: f64| Bytes::from_f64(count * bytes);
    let width = tape.width(logits) as f64;
    let rest = tape.live() - tape.bytes_of(logits);
    let single = is_single(&tape, plan, logits);
    let head = ObjectiveProfile::of(plan.objective).head;
    let bytes = match head {
        Head::LogProbabilities if plan.loss == Loss::InPlace => in_place(width),
        _ => per_logit(head, single, plan.sequences()),
    };
    let gradients = gradient(program);
    let product = rest + of(width) + gradients + unpacked_output(plan);
    let kept = rest + of(bytes.kept);
    HeadRun {
        kept,
        forward: rest + of(bytes.forward),
        backward: (rest + of(bytes.backward)).max(product),
        cached: tape.cached(),
        gradients,
        held_logits: Bytes::ZERO,
        compared: if is_compared(plan) { rest + of(bytes.other) } else { Bytes::ZERO },
    }
}

/// The share of tokens that have logits.
fn counted(plan: &Plan) -> f64 {
    plan.completion.map_or(1.0, |completion| completion as f64 / plan.sequence.max(1) as f64).min(1.0)
}
