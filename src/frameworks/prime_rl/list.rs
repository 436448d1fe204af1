//! The options that prime-rl's programs know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "num_infer_gpus num_eval_gpus gpus_per_node deepep_num_sms deepep_token_chunk_size \
             max_inflight_activations pin_memory",
            "the engine, and how tokens and activations are moved",
        ),
        inert("freeze_moe_router modules_to_save", "a small part of the model"),
        opens("fused_lm_head_token_chunk_size", &[Subject::Kernels], "the loss may have all logits"),
    ],
};
