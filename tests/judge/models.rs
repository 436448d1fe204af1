//! The model: its name, its size and its dimensions, and which of them wins in a contradiction.

use serde_json::json;
use weighbridge::job::keys;
use weighbridge::judgement::{Reason, Verdict};

use super::stated::{STATED, pytorchjob, with};
use super::{judged, source};

#[test]
fn an_unknown_model_names_the_missing_fields_unless_dimensions_are_given() {
    let unknown = judged(&pytorchjob(&with(STATED, ("model", "acme/frontier-x")), 7));
    assert_eq!((unknown.verdict, unknown.reason), (Verdict::Unknown, Reason::UnknownModel));
    assert_eq!(keys::of_fields(&unknown.missing), ["parameters", "layers", "hidden-size"]);
    let with_size = with(STATED, ("model", "acme/frontier-x"));
    let with_size = with(&with_size, ("parameters", "7B"));
    assert_eq!(judged(&pytorchjob(&with_size, 7)).verdict, Verdict::Fits);
}

#[test]
fn a_size_that_contradicts_the_name_is_believed_and_said() {
    let judgement = judged(&pytorchjob(&with(STATED, ("parameters", "70B")), 0));
    assert_eq!(source(&judgement, "model.layers"), None);
    assert!(
        judgement
            .warnings
            .iter()
            .any(|w| w == "llama-2-7b has 6.74B parameters, not 70B: only the given size is used"),
        "{:?}",
        judgement.warnings
    );
    let rounded = judged(&pytorchjob(&with(STATED, ("parameters", "7B")), 7));
    assert_eq!(source(&rounded, "model.layers"), Some(("32", "model llama-2-7b")));
    assert!(rounded.warnings.is_empty(), "{:?}", rounded.warnings);
}

#[test]
fn an_explicit_dimension_wins_over_the_name_and_the_disagreement_is_named() {
    let judgement = judged(&pytorchjob(&with(STATED, ("layers", "16")), 7));
    assert_eq!(source(&judgement, "model.layers"), Some(("16", "annotation weighbridge.dev/layers")));
    assert_eq!(
        judgement.warnings,
        ["model.layers is 16 (annotation weighbridge.dev/layers), not 32 (model llama-2-7b)"]
    );
}

#[test]
fn key_value_heads_that_are_given_win_over_the_names_and_both_are_named() {
    let stated = with(STATED, ("model", "meta-llama/Llama-3.2-1B"));
    let judgement = judged(&pytorchjob(&with(&stated, ("kv-heads", "2")), 7));
    assert_eq!(source(&judgement, "model.keyValueHeads"), Some(("2", "annotation weighbridge.dev/kv-heads")));
    assert_eq!(source(&judgement, "model.layers"), Some(("16", "model llama-3.2-1b")));
    assert_eq!(
        judgement.warnings,
        ["model.keyValueHeads is 2 (annotation weighbridge.dev/kv-heads), not 8 (model llama-3.2-1b)"]
    );
}

#[test]
fn dimensions_of_another_model_are_believed_and_said_in_one_line() {
    let stated = [("layers", "80"), ("hidden-size", "8192"), ("attention-heads", "64"), ("kv-heads", "8")];
    let stated = stated.iter().fold(STATED.to_vec(), |all, pair| with(&all, *pair));
    let judgement = judged(&pytorchjob(&stated, 7));
    assert_eq!(source(&judgement, "model.layers"), Some(("80", "annotation weighbridge.dev/layers")));
    assert_eq!(source(&judgement, "model.ffnHiddenSize"), None);
    assert_eq!(source(&judgement, "model.vocabSize"), Some(("32000", "model llama-2-7b")));
    let line = "4 dimensions that are given are not llama-2-7b's: those given are used";
    assert!(judgement.warnings.iter().any(|warning| warning == line), "{:?}", judgement.warnings);
    assert!(
        !judgement.warnings.iter().any(|warning| warning.starts_with("model.")),
        "{:?}",
        judgement.warnings
    );
}

#[test]
fn a_frameworks_default_model_has_the_dimensions_of_its_name() {
    let job = |command: &str| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "grpo"},
            "spec": {"template": {"spec": {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
                "containers": [{"name": "trainer", "image": "trainer", "command": ["bash", "-c", command],
                    "resources": {"limits": {"nvidia.com/gpu": 1}}}]}}}})
    };
    let usual = judged(&job("uv run python examples/run_grpo.py"));
    assert_eq!(source(&usual, "model.name"), Some(("Qwen/Qwen2.5-1.5B", "NeMo-RL 0.3 default")));
    assert_eq!(source(&usual, "model.layers"), Some(("28", "model qwen2.5-1.5b")));
    let named = judged(&job("uv run python examples/run_grpo.py policy.model_name=Qwen/Qwen2.5-1.5B"));
    assert_eq!(usual.memory, named.memory);
}

#[test]
fn a_misspelt_model_is_told_the_nearest_name() {
    let judgement = judged(&pytorchjob(&with(STATED, ("model", "meta-llama/Lama-2-70b-hf")), 7));
    assert_eq!(
        judgement.message,
        "the model meta-llama/Lama-2-70b-hf is not known; did you mean llama-2-70b? Otherwise add \
         weighbridge.dev/parameters, or its layers and hidden-size"
    );
}

#[test]
fn a_model_of_another_width_takes_no_widths_from_the_name() {
    let judgement = judged(&pytorchjob(&with(STATED, ("hidden-size", "2048")), 7));
    assert_eq!(source(&judgement, "model.ffnHiddenSize"), None);
    assert_eq!(source(&judgement, "model.layers"), Some(("32", "model llama-2-7b")));
    assert_eq!(judgement.warnings.len(), 1, "{:?}", judgement.warnings);
}
