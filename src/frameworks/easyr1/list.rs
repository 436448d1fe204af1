//! The options that `EasyR1` knows.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "worker.rollout.* enable_chunked_prefill max_model_len max_num_batched_tokens tensor_parallel_size \
               prompt_length response_length",
            "it generates, it does not train",
        ),
        inert("worker.ref.*", "the reference's forward pass"),
        inert("worker.actor.optim.lr* worker.actor.optim.weight_decay", "hyperparameters"),
        inert(
            "worker.actor.fsdp.enable_rank0_init enable_rank0_init use_orig_params mp_buffer_dtype",
            "how the shards are made, not their number",
        ),
        inert("worker.actor.model.lora.target_modules", "a setting of adapters, which a rank turns on"),
        inert(
            "worker.actor.model.lora.alpha worker.actor.model.lora.exclude_modules alpha",
            "settings of an adapter",
        ),
        inert(
            "mini_rollout_batch_size data.mini_rollout_batch_size rollout_batch_size",
            "it generates, it does not train",
        ),
    ],
};
