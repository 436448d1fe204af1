//! How many microbatches' activations are alive on a pipeline stage when memory is fullest.
//!
//! In layers' worth of activations, for stage `i` (from 0) of `p`, `m` microbatches, `L_i` layers, `v` chunks:
//!
//! ```text
//! GPipe          m · L_i
//! 1F1B           min(m, p − i) · L_i
//! interleaved    min(m·v, 2(p − i − 1) + (v − 1)·g + 1) chunks, assigned g microbatches per chunk at a time
//! zero bubble    as 1F1B
//! DualPipe       (p + 1) · L_i
//! ```
//!
//! `g` is the number of microbatches that pass one chunk before the next chunk begins. It is `p`. If `p` leaves a last
//! group too small to fill the pipeline, `g` is the smallest number that does not. If the embedding or the loss counts
//! as a layer, its chunk has one layer fewer.
//! Source: Megatron-LM's schedules (the warm-up is p − i − 1 microbatches, then one more is computed). The interleaved
//! case was checked at v = 2, 3 and 8, and at g = 5 with p = 4.

use super::plan::{Plan, Stage};
use crate::job::Schedule;

/// The activations of one microbatch that are alive on a stage, in layers' worth, as a real number.
pub fn live_layers(plan: &Plan, stage: Stage) -> f64 {
    let (p, i, m, v) = (plan.pipeline, stage.index, plan.micro_batches.max(1), plan.virtual_pipeline.max(1));
    let layers = stage.layers() as f64;
    let after = p.saturating_sub(i + 1);
    match plan.schedule {
        Schedule::GPipe => m as f64 * layers,
        Schedule::DualPipe if p > 1 => (p + 1).min(m.max(1)) as f64 * layers,
        Schedule::Interleaved if p > 1 && v > 1 => {
            let group = microbatch_group(p, m);
            let alive = m.saturating_mul(v).min(2 * after + (v - 1).saturating_mul(group) + 1);
            let (embedding, loss) =
                (plan.embedding_as_layer && stage.embedding, plan.loss_as_layer && stage.output);
            let ends = u64::from(embedding) + u64::from(loss);
            let chunk = (stage.layers() + ends) as f64 / v as f64;
            let of_chunk = |chunk: u64| alive_of_chunk(alive, chunk, group, v);
            let without = if embedding { of_chunk(0) } else { 0 } + if loss { of_chunk(v - 1) } else { 0 };
            (alive as f64 * chunk - without as f64).max(0.0)
        }
        _ => m.min(after + 1) as f64 * layers,
    }
}

/// Microbatches that pass one chunk before the next begins: the smallest number that divides `m` into groups of at
/// least `p`. With `q` groups it is `⌈m/q⌉`. So we look for the largest `q` whose last group is large enough.
fn microbatch_group(p: u64, m: u64) -> u64 {
    const TRIES: u64 = 64;
    let most = m / p.max(1);
    (most.saturating_sub(TRIES).max(1)..=most)
        .rev()
        .map(|q| (q, m.div_ceil(q)))
        .find(|(q, group)| m.saturating_sub((q - 1).saturating_mul(*group)) >= p)
        .map_or(p, |(_, group)| group)
}

/// How many of the `alive` microbatches are in one chunk.
fn alive_of_chunk(alive: u64, chunk: u64, group: u64, v: u64) -> u64 {
    let round = group.saturating_mul(v).max(1);
    let rest = (alive % round).saturating_sub(chunk.saturating_mul(group)).min(group);
    (alive / round).saturating_mul(group) + rest
}

/// The time that a stage waits in the pipeline's bubble, as a share of the work: `(p − 1)/(m·v)`.
pub fn bubble(plan: &Plan) -> f64 {
    let chunks = if plan.schedule == Schedule::Interleaved { plan.virtual_pipeline.max(1) } else { 1 };
    let work = plan.micro_batches.max(1).saturating_mul(chunks);
    plan.pipeline.saturating_sub(1) as f64 / work as f64
}

#[cfg(test)]
mod tests {
    use super::{live_layers, microbatch_group};
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    #[test]
    fn a_group_is_as_long_as_the_pipeline_unless_the_last_is_too_small() {
        for (p, m, group) in [(4, 8, 4), (4, 5, 5), (4, 10, 5), (4, 7, 7), (4, 12, 4), (8, 3, 8), (4, 9, 5)] {
            assert_eq!(microbatch_group(p, m), group, "{m} microbatches on {p} stages");
        }
    }

    /// Layers' worth of activations on the first of four stages, with two layers per stage and eight microbatches.
    fn live_on_the_first_stage(schedule: &str) -> f64 {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 8, "hiddenSize": 512},
            "parallelism": {"pipeline": 4, "data": 1, "schedule": schedule},
            "batch": {"microBatchSize": 1, "globalBatchSize": 8, "sequenceLength": 64},
        }))
        .unwrap();
        let plan = assume(&job, Device { bf16: true }).unwrap().likely;
        live_layers(&plan, plan.stage(0))
    }

    #[test]
    fn each_schedule_keeps_the_microbatches_of_its_formula() {
        for (schedule, layers) in
            [("GPipe", 16.0), ("OneForwardOneBackward", 8.0), ("ZeroBubble", 8.0), ("DualPipe", 10.0)]
        {
            assert_eq!(live_on_the_first_stage(schedule).to_bits(), f64::to_bits(layers), "{schedule}");
        }
    }
}
