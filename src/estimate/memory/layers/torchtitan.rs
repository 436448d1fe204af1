//! Torchtitan's layers.
//!
//! Bytes a token of one layer, two bytes a number, all divided by `t` (its tensor parallel plan divides the sequence):
//!
//! ```text
//! no recomputation   eager     20h + 4q + 4κ + 8f + 4a
//!                    compiled   8h + 4q + 4κ + 6f + 4a
//! selective, op       4h + 2q + 2κ + 2f, and 3.5h eager, 1.5h compiled
//! selective, layer   every second layer whole, its neighbour's input
//! full                2h
//! experts            R = K rows a token in the place of the feed-forward network's: R·(12h + 8·f_m), compiled 6·f_m,
//!                    selective R·(5h + 2·f_m); rows are not divided by t
//! ```
//!
//! Context parallelism gathers the layer's keys and values from all `c` ranks at once, repeated to the queries' heads:
//! 4q·c/t for a moment (`context_parallel_rotate_method = "allgather"`, the default; PyTorch's `_AllGatherRotater`).
//!
//! The layer that is computed again may be crowded: the more ranks share the experts, the fuller the fullest is, 1 + 0.06·e
//! of an even share (seven runs of Qwen3-235B with e = 8, 16 and 32).
//!
//! Per-operation recomputation saves the output of every second matrix product (keys, attention's projection, one of the
//! feed-forward network's inputs), of the attention, and of collectives; what it saves besides differs between eager and
//! compiled runs. Sources: torchtitan's `activation_checkpoint.py`; published tables of Llama 3 8B (eager and compiled,
//! 2024 to 2026), from which the multiples of `h` alone are taken,
//! and of DeepSeek-V3 16B (rows, six runs).

use super::super::super::plan::Plan;
use crate::frameworks::profile::memory::Layers;
use crate::job::Recompute;

/// Bytes a routed row and hidden unit: the row sent, received, put in order, weighted in fp32, and back.
const ROUTED: f64 = 12.0;
/// The same where operations that move rows are computed again.
const ROUTED_SELECTIVE: f64 = 5.0;

fn attention_token(plan: &Plan) -> f64 {
    let shape = &plan.shape;
    let h = shape.hidden as f64;
    let a = shape.heads as f64;
    let outside = if plan.compile { 8.0 } else { 20.0 };
    let core = match &shape.latent {
        Some(latent) => {
            let (r_q, r_kv) = (latent.query_rank as f64, latent.key_value_rank as f64);
            let (d_r, d_n, d_v) = (latent.rope as f64, latent.nope as f64, latent.value as f64);
            4.0 * r_q + 4.0 * r_kv + 2.0 * d_r + a * (8.0 * (d_n + d_r) + 4.0 * d_v + 4.0)
        }
        None => 4.0 * shape.query_width() as f64 + 4.0 * shape.key_width() as f64 + 4.0 * a,
    };
    outside * h + core
}

fn feed_forward_token(plan: &Plan, experts: bool) -> f64 {
    let shape = &plan.shape;
    let t = plan.sequence_divisor() as f64;
    let each = if plan.compile { 6.0 } else { 8.0 };
    match &shape.experts {
        Some(e) if experts => {
            let rows = e.per_token as f64;
            let shared = e.shared.saturating_mul(e.ffn) as f64;
            rows * (ROUTED * shape.hidden as f64 + each * e.ffn as f64)
                + (each * shared + 8.0 * e.count as f64) / t
        }
        _ => each * shape.ffn as f64 / t,
    }
}

/// What one layer saves without recomputation, bytes a token on one rank.
pub(super) fn layer_token(plan: &Plan, experts: bool) -> f64 {
    attention_token(plan) / plan.sequence_divisor() as f64 + feed_forward_token(plan, experts)
}

/// What one layer keeps until its backward pass, bytes a token on one rank.
pub(super) fn kept_token(plan: &Plan, experts: bool) -> f64 {
    let shape = &plan.shape;
    let h = shape.hidden as f64;
    let t = plan.sequence_divisor() as f64;
    let input = 2.0 * h / t;
    match plan.recompute {
        Recompute::None => layer_token(plan, experts),
        Recompute::Full if plan.offload_activations => 0.0,
        Recompute::Full => input,
        Recompute::Selective if plan.recompute_modules.iter().any(|m| m == "layer") => {
            f64::midpoint(layer_token(plan, experts), input)
        }
        Recompute::Selective => {
            let besides = if plan.compile { 1.5 } else { 3.5 };
            let widths = (shape.query_width() + shape.key_width()) as f64;
            let outside = ((4.0 + besides) * h + 2.0 * widths) / t;
            let selected = outside
                + match &shape.experts {
                    Some(e) if experts => {
                        let shared = e.shared.saturating_mul(e.ffn) as f64;
                        e.per_token as f64 * (ROUTED_SELECTIVE * h + 2.0 * e.ffn as f64) + 2.0 * shared / t
                    }
                    _ => 2.0 * shape.ffn as f64 / t,
                };
            selected.min(layer_token(plan, experts))
        }
    }
}

/// All ranks' keys and values of one layer, bytes a token of this rank.
pub(super) fn gathered_token(plan: &Plan) -> f64 {
    if plan.profile.layers != Layers::Torchtitan || plan.context <= 1 {
        return 0.0;
    }
    4.0 * plan.shape.query_width() as f64 * plan.context as f64 / plan.tensor.max(1) as f64
}

/// How much fuller the fullest rank of the fullest layer is than an even share, for each rank that holds experts.
const CROWDED: f64 = 0.06;

/// What the fullest layer's backward pass holds more than an even one's, bytes a token.
pub(super) fn crowded_token(plan: &Plan) -> f64 {
    match &plan.shape.experts {
        Some(e) if plan.profile.layers == Layers::Torchtitan && plan.expert > 1 => {
            let row = ROUTED * plan.shape.hidden as f64 + 8.0 * e.ffn as f64;
            1.5 * CROWDED * plan.expert as f64 * e.per_token as f64 * row
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    #[test]
    fn the_fullest_rank_holds_more_tokens_the_more_ranks_hold_experts() {
        let crowded = |expert: u32| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 2, "hiddenSize": 512, "experts": 8, "expertsPerToken": 2, "expertFfnHiddenSize": 256},
                "framework": "Torchtitan", "parallelism": {"expert": expert, "data": 4},
            }))
            .unwrap();
            crowded_token(&assume(&job, Device { bf16: true }).unwrap().likely)
        };
        assert!(crowded(1).abs() < 1e-9);
        // 6 % a rank on 4 ranks, half as much again in the backward pass, 2 experts a token, 12 h + 8 f bytes each.
        let expected = 1.5 * 0.06 * 4.0 * 2.0 * (12.0 * 512.0 + 8.0 * 256.0);
        assert!((crowded(4) - expected).abs() < 1e-6);
    }
}
