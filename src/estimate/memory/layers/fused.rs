//! Layers as closed formulas: Megatron, Transformer Engine and other stacks whose kernels fuse what PyTorch runs apart.
//!
//! Bytes a token of one layer on one rank, two bytes a number; `h` hidden, `q`, `κ` widths of queries and keys, `f`
//! feed-forward, `a` heads, `s` sequence, `t` tensor parallel, `t'` = `t` with sequence parallelism, else 1:
//!
//! ```text
//! fused kernels   8h/t'  + (4q + 4κ + 4a + ffn)/t     ffn = 6f gated (gate, up, product), 4f plain
//! eager kernels   16h/t' + (4q + 4κ + 4a + ffn)/t     ffn = 8f gated (and silu of the gate), 10f + … plain
//! dropout         + 2h/t'                             two masks of one byte
//! unfused         + 2·a·s/t, 5·a·s/t with dropout     softmax; its dropout's mask and output
//! ```
//!
//! The first line with dropout and a plain `f = 4h`, `q = κ = h` is `h(10 + 24/t)` (Korthikanti et al. 2205.05198,
//! equation 2; equation 4 with sequence parallelism); the second is the Hugging Face Llama layer's saved tensors, whose
//! norms compute in fp32. Frozen layers under adapters save no input but where an adapter sits:
//! `8h + Σ_adapted 2·d_in + 4q + 4κ + 6f`. Experts: see [`expert_token`].
//!
//! Recomputation. Full keeps each layer's input, `2h/t'`, and one layer's tensors while that layer is computed again.
//! Selective keeps all but the attention's core (fused frameworks) or every second matrix product (torchtitan: 17h).
//! The backward pass of a layer holds the gradients of its tensors besides, about half of what it saved.

use super::super::super::plan::{Plan, Stage};
use super::super::super::schedule;
use crate::units::Bytes;
use crate::workload::{Attention, Framework, Precision, Recompute};

/// Whether the framework's layers run on kernels that fuse norms and activations.
fn fused_kernels(framework: Framework) -> bool {
    matches!(
        framework,
        Framework::Megatron
            | Framework::MegatronDeepSpeed
            | Framework::Nanotron
            | Framework::InternEvo
            | Framework::ColossalAI
            | Framework::LLMFoundry
            | Framework::MaxText
    )
}

/// Bytes of one activation, relative to the two of bf16.
fn scale(plan: &Plan) -> f64 {
    match plan.precision {
        Precision::FP32 | Precision::TF32 => 2.0,
        // Matrix products save fp8 inputs, the rest stays in two bytes: about four fifths.
        Precision::FP8 | Precision::FP4 => 0.8,
        Precision::FP16 | Precision::BF16 => 1.0,
    }
}

/// The attention's sequence × sequence matrices, bytes a token; zero with fused kernels.
fn attention_matrices(plan: &Plan) -> f64 {
    if plan.attention != Attention::Unfused {
        return 0.0;
    }
    let each = if plan.attention_dropout { 5.0 } else { 2.0 };
    each * plan.shape.heads as f64 * plan.sequence as f64 / plan.tensor as f64
}

/// What everything outside the feed-forward network saves, bytes a token.
fn attention_token(plan: &Plan, core: bool) -> f64 {
    let shape = &plan.shape;
    let h = shape.hidden as f64;
    let (q, k, a) = (shape.query_width() as f64, shape.key_width() as f64, shape.heads as f64);
    let (t, t_outside) = (plan.tensor as f64, plan.sequence_divisor() as f64);
    let outside = match &plan.adapters {
        Some(_) => 8.0,
        None if fused_kernels(plan.framework) => 8.0,
        None => 16.0,
    };
    let masks = if plan.hidden_dropout { 2.0 } else { 0.0 };
    let adapted = plan.adapters.as_ref().map_or(0.0, |adapters| {
        let on = |target: bool, width: f64| if target { 2.0 * width } else { 0.0 };
        on(adapters.targets.query || adapters.targets.key || adapters.targets.value, h)
            + on(adapters.targets.output, q / t)
    });
    let matrices = if core { attention_matrices(plan) } else { 0.0 };
    ((outside + masks) * h / t_outside + (4.0 * q + 4.0 * k + 4.0 * a) / t + adapted) * scale(plan) + matrices
}

/// What a dense feed-forward network of width `f` saves, bytes a token.
fn ffn_token(plan: &Plan, f: f64) -> f64 {
    let each = match (plan.shape.gated, fused_kernels(plan.framework), &plan.adapters) {
        (true, _, Some(_)) | (true, true, None) => 6.0,
        (true, false, None) => 8.0,
        (false, true, _) => 4.0,
        (false, false, _) => 10.0,
    };
    each * f / plan.tensor as f64 * scale(plan)
}

/// What a mixture of experts saves, bytes a token, when tokens are spread evenly:
/// `2h + 4E + K·(4h + ffn(f_m)/e_t) + ffn(shared)`; routed rows are not divided by expert parallelism.
/// Validity: dropless routing; an uneven first phase of training is in the estimate's spread.
fn expert_token(plan: &Plan) -> f64 {
    let Some(experts) = &plan.shape.experts else { return ffn_token(plan, plan.shape.ffn as f64) };
    let h = plan.shape.hidden as f64;
    let tensor = plan.tensor as f64;
    let rows = experts.per_token as f64 / plan.sequence_divisor() as f64;
    let inside = ffn_token(plan, experts.ffn as f64) * tensor / plan.expert_tensor as f64;
    2.0 * h
        + 4.0 * experts.count as f64
        + rows * (4.0 * h * scale(plan) + inside)
        + ffn_token(plan, (experts.ffn * experts.shared) as f64)
}

/// What one layer saves without recomputation, bytes a token.
fn layer_token(plan: &Plan, experts: bool, core: bool) -> f64 {
    let ffn = if experts { expert_token(plan) } else { ffn_token(plan, plan.shape.ffn as f64) };
    attention_token(plan, core) + ffn
}

/// What one layer keeps until its backward pass, bytes a token.
fn kept_token(plan: &Plan, experts: bool) -> f64 {
    let input = 2.0 * plan.shape.hidden as f64 / plan.sequence_divisor() as f64 * scale(plan);
    match plan.recompute {
        Recompute::None => layer_token(plan, experts, true),
        Recompute::Selective if fused_kernels(plan.framework) => layer_token(plan, experts, false),
        // Every second matrix product and the attention's output: 17h for a Llama layer of 41h.
        Recompute::Selective => (0.4 * layer_token(plan, experts, false)).max(input),
        Recompute::Full if plan.offload_activations => 0.0,
        Recompute::Full => input,
    }
}

/// Activations alive on a stage when memory is fullest.
pub(in super::super) fn kept(plan: &Plan, stage: Stage) -> Bytes {
    if stage.layers() == 0 {
        return Bytes::ZERO;
    }
    let live = schedule::live_layers(plan, stage);
    let mixed = |token: &dyn Fn(bool) -> f64| {
        (token(false) * stage.dense_layers as f64 + token(true) * stage.expert_layers as f64)
            / stage.layers() as f64
    };
    let recomputed = mixed(&|experts| kept_token(plan, experts));
    let share = match (plan.recompute, plan.recompute_layers) {
        (Recompute::Full | Recompute::Selective, Some(layers)) => {
            (layers as f64 / stage.layers() as f64).clamp(0.0, 1.0)
        }
        _ => 1.0,
    };
    let whole = if share < 1.0 { mixed(&|experts| layer_token(plan, experts, true)) } else { 0.0 };
    let token = recomputed * share + whole * (1.0 - share);
    // The embedding's output feeds the first layer; with dropout its mask is kept too.
    Bytes::from_f64(token * plan.tokens() as f64 * live)
}

/// What the backward pass of the heaviest layer holds besides: tensors computed again, and their gradients.
pub(in super::super) fn working_set(plan: &Plan, stage: Stage) -> Bytes {
    if stage.layers() == 0 {
        return Bytes::ZERO;
    }
    let experts = stage.expert_layers > 0;
    let whole = layer_token(plan, experts, true);
    let again = match plan.recompute {
        Recompute::None => 0.0,
        _ => (whole - kept_token(plan, experts)).max(0.0),
    };
    // The gradient of the attention's matrix is as large as the matrix, in two bytes.
    let gradients = 0.5 * layer_token(plan, experts, false) + attention_matrices(plan).min(whole);
    Bytes::from_f64((again + gradients) * plan.tokens() as f64)
}
