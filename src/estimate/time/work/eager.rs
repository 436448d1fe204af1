//! The memory traffic of unfused operations, in bytes per token and layer.
//!
//! | operation                | forward | backward | of                                        |
//! | ------------------------ | ------- | -------- | ----------------------------------------- |
//! | root mean square norm    | 61      | 134      | each of the norms' numbers, cast to fp32  |
//! | layer norm               | 4       | 10       | the same, in one kernel                   |
//! | residual                 | 12      | 12       | the hidden size, both                     |
//! | rotary positions         | 20      | 30       | queries and keys                          |
//! | gate and product         | 11      | 20       | the feed-forward size                     |
//! | approximate activation   | 30      | 50       | the feed-forward size, without a gate     |
//! | an adapter's input       | 14      | 22       | its inputs: cast, and cast back           |
//! | an adapter's output      | 12      | 8        | its outputs: scaled, and added            |
//! | logits and loss          | 72 together        | the vocabulary                            |
//!
//! Source: single kernels of `PyTorch` 2.11 on an H200 (`tests/accuracy/measured/kernels.csv`), as bytes at the data
//! sheet's rate. The residual, the rotary positions and the adapters are counts of the operations in PEFT and
//! Transformers.

use crate::estimate::plan::{Adapters, Plan};
use crate::estimate::time::flops::adapter_widths;
use crate::model::Shape;

/// Bytes per token and vocabulary entry of logits and their loss.
pub(super) const LOGITS: f64 = 72.0;

/// Bytes per token and layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Traffic {
    /// In the forward pass.
    pub(super) forward: f64,
    /// In the backward pass.
    pub(super) backward: f64,
}

impl Traffic {
    fn of(size: f64, (forward, backward): (f64, f64)) -> Self {
        Self { forward: size * forward, backward: size * backward }
    }

    fn and(self, other: Self) -> Self {
        Self { forward: self.forward + other.forward, backward: self.backward + other.backward }
    }

    /// Traffic of both passes, with the share `again` of the forward pass recomputed.
    pub(super) fn passes(self, again: f64) -> f64 {
        self.forward * (1.0 + again) + self.backward
    }
}

/// Operations of the hidden state's width.
pub(super) fn hidden(shape: &Shape) -> Traffic {
    let h = shape.hidden as f64;
    Traffic::of(2.0 * h, norm(shape)).and(Traffic::of(h, (12.0, 12.0)))
}

/// Operations of the width of attention's heads or the feed-forward network; `passed` is the width of a token's
/// experts.
pub(super) fn inner(shape: &Shape, ffn: f64, passed: f64) -> Traffic {
    let heads = shape.query_width() as f64 + shape.key_width() as f64;
    let normed = if shape.query_key_norm { heads } else { 0.0 };
    let rotated = if shape.learned_positions == 0 { heads } else { 0.0 };
    let activation = if shape.gated { (11.0, 20.0) } else { (30.0, 50.0) };
    Traffic::of(normed, norm(shape))
        .and(Traffic::of(rotated, (20.0, 30.0)))
        .and(Traffic::of(ffn + passed, activation))
}

fn norm(shape: &Shape) -> (f64, f64) {
    if shape.layer_norm { (4.0, 10.0) } else { (61.0, 134.0) }
}

/// Operations of adapters.
pub(super) fn adapters(plan: &Plan, adapters: &Adapters) -> Traffic {
    let (inputs, outputs) = adapter_widths(&plan.shape, adapters);
    Traffic::of(inputs, (14.0, 22.0)).and(Traffic::of(outputs, (12.0, 8.0)))
}
