//! Layers whose norms and activations are separate operations, eager or compiled: those of torchtitan.
//!
//! Bytes per token of one layer, two bytes per number. All are divided by `t`, because their tensor parallel plan divides
//! the sequence:
//!
//! ```text
//! no recomputation   eager     20h + 4q + 4κ + 8f + 4a
//!                    compiled   8h + 4q + 4κ + 6f + 4a
//! selective, op       4h + 2q + 2κ + 2f, and 3.5h eager, 1.5h compiled
//! selective, layer   every second layer whole, its neighbour's input
//! full                2h
//! experts            R = K rows per token instead of the feed-forward network's: R·(12h + 8·f_m), compiled 6·f_m,
//!                    selective, op: R·4h if the experts are divided, and R·(h + 2·f_m) if compiled kernels' outputs
//!                    are kept; t does not divide rows
//! experts, compiled  R·(8h + 4·f_m), and of latent attention a·(4(d_n + d_r) + 4d_v + 4) with its low ranks
//! and not recomputed
//! ```
//!
//! A compiled layer without recomputation keeps what its matrix products need, and no result of element-wise operations
//! in between: a row as gathered, weighted, padded and put out, both inputs of the gate, and queries and keys as they
//! enter the attention. Inductor's partitioner recomputes the rest (`min_cut_rematerialization_partition` of
//! `torch/_functorch/partitioners.py`, 2.9; `moe.py` of torchtitan 0.2 with `score_before_experts`). From the code alone
//! between 6h and 8h a row follow, and the larger counts. Evidence: pytorch/torchtitan#1993, DeepSeek-V3 16B on eight
//! B200: 24 576 tokens a rank ran and 32 768 ran out, which 155 and 199 GiB of 178 say.
//!
//! Context parallelism gathers the layer's keys and values from all `c` ranks at once, repeated to the queries' heads:
//! 4q·c/t, transient (`context_parallel_rotate_method = "allgather"`, the default; PyTorch's `_AllGatherRotater`).
//!
//! The recomputed layer may be unbalanced. With more ranks for the experts the fullest rank holds more: 1 + 0.06·e of
//! an even share (seven runs of Qwen3-235B with e = 8, 16 and 32).
//!
//! Per-operation recomputation saves the output of every second matrix product (keys, attention's projection, one of
//! the feed-forward network's inputs), of the attention, and of collectives: of the experts that is the two exchanges of
//! rows, because `_grouped_mm` is in no list of operations to save. Since 0.2.1 it saves what compiled kernels put out,
//! too. The other saved tensors differ between eager and compiled runs. Sources: torchtitan's `activation_checkpoint.py`
//! and `_op_sac_save_list` of `deepseek_v3/infra/parallelize.py`; published tables of Llama 3 8B (eager and compiled,
//! 2024 to 2026), for the multiples of `h` alone, and of DeepSeek-V3 16B (rows, six runs; compiled kernels, one).

use super::super::super::plan::Plan;
use crate::frameworks::profile::memory::Layers;
use crate::job::Recompute;

/// Bytes per routed row and hidden unit: the row as sent, received, sorted, weighted in fp32, and returned.
const ROUTED: f64 = 12.0;
/// The same in a compiled layer without recomputation: the row as gathered, weighted, padded and put out.
const COMPILED_ROUTED: f64 = 8.0;
/// The same under per-operation recomputation, where rows are exchanged: the outputs of the two exchanges.
const EXCHANGED: f64 = 4.0;

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

/// The attention of a compiled layer with experts, where element-wise operations are recomputed.
fn compiled_attention_token(plan: &Plan) -> f64 {
    let latent = plan.shape.latent.as_ref();
    let twice =
        latent.map_or(0.0, |latent| plan.shape.heads as f64 * 4.0 * (latent.nope + latent.rope) as f64);
    attention_token(plan) - twice
}

/// The experts of such a layer.
fn compiled_experts_token(plan: &Plan) -> f64 {
    let t = plan.sequence_divisor() as f64;
    plan.shape.experts.as_ref().map_or(0.0, |e| {
        let shared = e.shared.saturating_mul(e.ffn) as f64;
        e.per_token as f64 * (COMPILED_ROUTED * plan.shape.hidden as f64 + 4.0 * e.ffn as f64)
            + (4.0 * shared + 8.0 * e.count as f64) / t
    })
}

/// The tensors that one layer saves without recomputation, bytes per token on one rank.
pub(super) fn layer_token(plan: &Plan, experts: bool) -> f64 {
    attention_token(plan) / plan.sequence_divisor() as f64 + feed_forward_token(plan, experts)
}

/// The tensors that one layer keeps until its backward pass, bytes per token on one rank.
pub(super) fn kept_token(plan: &Plan, experts: bool) -> f64 {
    let shape = &plan.shape;
    let h = shape.hidden as f64;
    let t = plan.sequence_divisor() as f64;
    let input = 2.0 * h / t;
    match plan.recompute {
        Recompute::None if plan.compile && experts => {
            compiled_attention_token(plan) / t + compiled_experts_token(plan)
        }
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
                        let exchanged = if plan.expert > 1 { EXCHANGED * h } else { 0.0 };
                        let kernels = plan.compile && plan.keeps_compiled;
                        let compiled = if kernels { h + 2.0 * e.ffn as f64 } else { 0.0 };
                        e.per_token as f64 * (exchanged + compiled) + 2.0 * shared / t
                    }
                    _ => 2.0 * shape.ffn as f64 / t,
                };
            selected.min(layer_token(plan, experts))
        }
    }
}

/// All ranks' keys and values of one layer, bytes per token of this rank.
pub(super) fn gathered_token(plan: &Plan) -> f64 {
    if plan.profile.layers != Layers::Unfused || plan.context <= 1 {
        return 0.0;
    }
    4.0 * plan.shape.query_width() as f64 * plan.context as f64 / plan.tensor.max(1) as f64
}

/// The excess of the fullest rank of the fullest layer over an even share, for each rank that holds experts.
const IMBALANCE: f64 = 0.06;

/// The excess of the fullest layer's backward pass over an even one's, bytes per token.
pub(super) fn imbalance_token(plan: &Plan) -> f64 {
    match &plan.shape.experts {
        Some(e) if plan.profile.layers == Layers::Unfused && plan.expert > 1 => {
            let row = ROUTED * plan.shape.hidden as f64 + 8.0 * e.ffn as f64;
            1.5 * IMBALANCE * plan.expert as f64 * e.per_token as f64 * row
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
    fn per_operation_recomputation_keeps_of_the_experts_the_exchanged_rows() {
        let plan = |expert: u32, compile: bool| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 2, "hiddenSize": 512, "experts": 8, "expertsPerToken": 2, "expertFfnHiddenSize": 256},
                "framework": "Torchtitan", "parallelism": {"expert": expert, "data": 4},
                "recompute": "Selective", "recomputeModules": ["op"], "compile": compile,
            }))
            .unwrap();
            assume(&job, Device { bf16: true }).unwrap()
        };
        let kept = |expert, compile| kept_token(&plan(expert, compile).likely, true);
        // 2 experts per token, 4 h bytes each.
        assert!((kept(4, false) - kept(1, false) - 2.0 * 4.0 * 512.0).abs() < 1e-6);
        // 2 experts per token, h + 2 f bytes each, in some versions.
        let compiled = plan(1, true);
        let outputs = kept_token(&compiled.heavy(), true) - kept_token(&compiled.lean(), true);
        assert!((outputs - 2.0 * (512.0 + 2.0 * 256.0)).abs() < 1e-6, "{outputs}");
    }

    #[test]
    fn a_compiled_layer_keeps_no_results_of_element_wise_operations() {
        let kept = |compile: bool, experts: bool| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {
                    "layers": 2, "hiddenSize": 512, "attentionHeads": 4, "experts": 8, "expertsPerToken": 2,
                    "expertFfnHiddenSize": 256, "ffnHiddenSize": 1024,
                },
                "framework": "Torchtitan", "parallelism": {"data": 4}, "recompute": "None", "compile": compile,
            }))
            .unwrap();
            let plan = assume(&job, Device { bf16: true }).unwrap().likely;
            (kept_token(&plan, experts), layer_token(&plan, experts))
        };
        let (compiled, whole) = kept(true, true);
        // 2 experts per token, 4 h + 2 f bytes less each.
        assert!((whole - compiled - 2.0 * (4.0 * 512.0 + 2.0 * 256.0)).abs() < 1e-6, "{whole} {compiled}");
        for (kept, whole) in [kept(true, false), kept(false, true)] {
            assert!((kept - whole).abs() < 1e-6);
        }
    }

    #[test]
    fn the_fullest_rank_holds_more_with_more_ranks_for_the_experts() {
        let imbalance = |expert: u32| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 2, "hiddenSize": 512, "experts": 8, "expertsPerToken": 2, "expertFfnHiddenSize": 256},
                "framework": "Torchtitan", "parallelism": {"expert": expert, "data": 4},
            }))
            .unwrap();
            imbalance_token(&assume(&job, Device { bf16: true }).unwrap().likely)
        };
        assert!(imbalance(1).abs() < 1e-9);
        // 6 % per rank on 4 ranks, 1.5 times in the backward pass, 2 experts per token, 12 h + 8 f bytes each.
        let expected = 1.5 * 0.06 * 4.0 * 2.0 * (12.0 * 512.0 + 8.0 * 256.0);
        assert!((imbalance(4) - expected).abs() < 1e-6);
    }
}
