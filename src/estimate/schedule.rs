//! How many microbatches' activations are alive on a pipeline stage when memory is fullest.
//!
//! In layers' worth of activations, for stage `i` (from 0) of `p`, `m` microbatches, `L_i` layers, `v` chunks:
//!
//! ```text
//! GPipe          m · L_i
//! 1F1B           min(m, p − i) · L_i
//! interleaved    min(m·v, 2(p − i − 1) + (v − 1)·p + 1) · L_i/v
//! zero bubble    as 1F1B
//! DualPipe       (p + 1) · L_i
//! ```
//!
//! Source: Megatron-LM's schedules (warm-up is p − i − 1 microbatches, and one more is computed), checked for the
//! interleaved case at v = 3 and 8. Validity: microbatch groups of `p` in the interleaved schedule, the default.

use super::plan::{Plan, Stage};
use crate::workload::Schedule;

/// Layers' worth of one microbatch's activations that are alive on a stage, as a real number.
pub fn live_layers(plan: &Plan, stage: Stage) -> f64 {
    let (p, i, m, v) = (plan.pipeline, stage.index, plan.micro_batches.max(1), plan.virtual_pipeline.max(1));
    let layers = stage.layers() as f64;
    let after = p.saturating_sub(i + 1);
    match plan.schedule {
        Schedule::GPipe => m as f64 * layers,
        Schedule::DualPipe if p > 1 => (p + 1).min(m.max(1)) as f64 * layers,
        Schedule::Interleaved if p > 1 && v > 1 => {
            let chunks = m.saturating_mul(v).min(2 * after + (v - 1).saturating_mul(p) + 1);
            chunks as f64 * layers / v as f64
        }
        _ => m.min(after + 1) as f64 * layers,
    }
}

/// The share of a step that a stage waits in the pipeline's bubble, relative to the work: `(p − 1)/(m·v)`.
pub fn bubble(plan: &Plan) -> f64 {
    let chunks = if plan.schedule == Schedule::Interleaved { plan.virtual_pipeline.max(1) } else { 1 };
    let work = plan.micro_batches.max(1).saturating_mul(chunks);
    plan.pipeline.saturating_sub(1) as f64 / work as f64
}
