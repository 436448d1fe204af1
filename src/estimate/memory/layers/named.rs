//! MaxText's selective recomputation: of a layer only its input and the tensors with certain names are kept.
//!
//! ```text
//! kept, bytes per token   2·(h + sum of the named tensors)/t
//! query_proj q    key_proj, value_proj κ    context q, and 4a bytes    out_proj h    mlpwi 2f, f without a gate    mlpwo h
//! experts         mlpwi K·2f_m, mlpwo K·h   K experts per token
//! ```
//!
//! A policy is a list of names. Names that a policy moves to the host are not kept. Everything else of a layer is computed
//! again. Source: MaxText's `layers/decoders.py` (`get_remat_policy`, `minimal_policy`), `layers/attentions.py`, `linears.py`
//! and `moe.py` (`checkpoint_name`), at e591f30c.

use super::super::super::plan::Plan;

/// Queries, keys and values.
const QKV: &[&str] = &["query_proj", "key_proj", "value_proj"];
const ATTENTION: &[&str] = &["query_proj", "key_proj", "value_proj", "out_proj"];
const WITH_CONTEXT: &[&str] = &["query_proj", "key_proj", "value_proj", "out_proj", "context"];
const WITH_OUTPUT: &[&str] = &["query_proj", "key_proj", "value_proj", "out_proj", "mlpwo"];
const MINIMAL: &[&str] = &["query_proj", "key_proj", "value_proj", "out_proj", "mlpwi", "mlpwo"];
const MINIMAL_WITH_CONTEXT: &[&str] =
    &["query_proj", "key_proj", "value_proj", "out_proj", "mlpwi", "mlpwo", "context"];

/// The policies, each with the names that it keeps on the device.
const POLICIES: &[(&str, &[&str])] = &[
    ("minimal", MINIMAL),
    ("minimal_with_quantization", MINIMAL),
    ("minimal_with_context", MINIMAL_WITH_CONTEXT),
    ("minimal_with_context_and_quantization", MINIMAL_WITH_CONTEXT),
    ("minimal_flash", MINIMAL_WITH_CONTEXT),
    ("save_dot_with_context_except_mlp", WITH_CONTEXT),
    ("save_dot_except_mlpwi", WITH_OUTPUT),
    ("save_dot_except_mlp", ATTENTION),
    ("save_qkv_proj", QKV),
    ("save_out_proj", &["out_proj"]),
    ("qkv_proj_offloaded", &[]),
    ("minimal_offloaded", &[]),
];

/// The names in a plan's list of modules. `None` if the list has another framework's modules.
fn names(plan: &Plan) -> Option<Vec<&str>> {
    let policy = |word: &str| POLICIES.iter().find(|(policy, _)| *policy == word).map(|(_, names)| *names);
    let mut all: Vec<&str> = Vec::new();
    for word in &plan.recompute_modules {
        match policy(word) {
            Some(names) => all.extend(names.iter().copied()),
            None if MINIMAL_WITH_CONTEXT.contains(&word.as_str()) => all.push(word),
            None => return None,
        }
    }
    (!plan.recompute_modules.is_empty()).then_some(all)
}

/// The tensors that one layer keeps, bytes per token at two bytes per number. `None` if no policy is known.
pub(super) fn kept_token(plan: &Plan, experts: bool) -> Option<f64> {
    let shape = &plan.shape;
    let (h, a) = (shape.hidden as f64, shape.heads as f64);
    let (q, k) = (shape.query_width() as f64, shape.key_width() as f64);
    let gates = if shape.gated { 2.0 } else { 1.0 };
    let (inner, outer) = match shape.experts.as_ref().filter(|_| experts) {
        Some(mixture) => {
            let rows = mixture.per_token as f64;
            (rows * gates * mixture.ffn as f64, rows * h)
        }
        None => (gates * shape.ffn as f64, h),
    };
    let bytes = |name: &str| match name {
        "query_proj" => 2.0 * q,
        "key_proj" | "value_proj" => 2.0 * k,
        "context" => 2.0 * q + 4.0 * a,
        "out_proj" => 2.0 * h,
        "mlpwi" => 2.0 * inner,
        "mlpwo" => 2.0 * outer,
        _ => 0.0,
    };
    let named: f64 = names(plan)?.into_iter().map(bytes).sum();
    Some((2.0 * h + named) / plan.tensor.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    /// Numbers per token that a layer of Llama 3.1 70B keeps.
    fn numbers(modules: &[&str]) -> Option<u64> {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 8192, "attentionHeads": 64, "keyValueHeads": 8, "ffnHiddenSize": 28672},
            "framework": "MaxText", "recompute": "Selective", "recomputeModules": modules,
        }))
        .unwrap();
        let plan = assume(&job, Device { bf16: true }).unwrap().likely;
        kept_token(&plan, false).map(|bytes| bytes as u64 / 2)
    }

    #[test]
    fn a_policy_keeps_the_layers_input_and_its_names() {
        let (h, q, k, f, sums) = (8192, 8192, 1024, 28672, 128);
        assert_eq!(numbers(&["save_out_proj"]), Some(2 * h));
        assert_eq!(numbers(&["save_qkv_proj"]), Some(h + q + 2 * k));
        assert_eq!(numbers(&["save_dot_with_context_except_mlp"]), Some(2 * h + 2 * q + 2 * k + sums));
        assert_eq!(numbers(&["minimal"]), Some(3 * h + q + 2 * k + 2 * f));
        assert_eq!(numbers(&["minimal_offloaded"]), Some(h));
        assert_eq!(numbers(&["query_proj", "mlpwo"]), Some(2 * h + q));
        assert_eq!(numbers(&["core_attn"]), None);
        assert_eq!(numbers(&[]), None);
    }
}
