//! The options that Open Instruct's programs know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "vllm_* eval_* oe_eval_* max_length_verifier_max_length llm_judge_* code_* response_length \
             max_prompt_token_length",
            "the engines have other accelerators, and a packed sample has its own length",
        ),
        inert(
            "sync_each_batch fused_optimizer rope_scaling_* cache_* hf_* dataset_*",
            "how a step runs, and data",
        ),
        opens("optimizer_type", &[Subject::Optimizer], "Muon"),
        opens(
            "activation_memory_budget",
            &[Subject::Recompute],
            "below 1 a compiled step computes a part again",
        ),
    ],
};
