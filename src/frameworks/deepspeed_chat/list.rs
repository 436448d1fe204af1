//! The options that DeepSpeed-Chat's steps know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[inert(
        "actor_* critic_* max_answer_seq_len max_prompt_seq_len offload_reference_model offload_reward_model unsupervised_* \
             generation_batches per_device_generation_batch_size per_device_training_batch_size enable_hybrid_engine \
             unpin_actor_parameters release_inference_cache inference_tp_size tp_gather_partition_size \
             enable_mixed_precision_lora enable_ema align_overflow",
        "step 3 is not estimated",
    )],
};
