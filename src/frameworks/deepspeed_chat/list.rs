//! The options that DeepSpeed-Chat's steps know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "actor_learning_rate actor_weight_decay actor_lora_learning_rate critic_learning_rate \
             critic_weight_decay critic_lora_learning_rate unsupervised_* generation_batches \
             per_device_generation_batch_size unpin_actor_parameters release_inference_cache \
             tp_gather_partition_size align_overflow critic_dropout critic_lora_module_name",
            "how a step runs, and data",
        ),
        inert(
            "enable_hybrid_engine inference_tp_size enable_ema",
            "copies of the weights that are not counted, so that more is needed than estimated",
        ),
    ],
};
