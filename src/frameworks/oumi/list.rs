//! The options that the releases of oumi know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "bnb_4bit_* llm_int8_skip_modules gradient_checkpointing_kwargs activation_checkpointing \
             buffer_count_nvme zero_allow_untested_optimizer zero_force_ds_cpu_optimizer",
            "a setting of what another option turns on",
        ),
        inert(
            "use_orig_params auto_wrap_policy transformer_layer_cls min_num_params",
            "which modules FSDP wraps",
        ),
        inert("lora_bias lora_init_weights lora_task_type", "a setting of an adapter"),
        inert(
            "adapter_model model_revision peft_save_mode stage3_gather_16bit_weights_on_model_save",
            "what is saved and loaded, and how",
        ),
        inert(
            "shard_for_eval train_micro_batch_size_per_gpu",
            "it follows from other keys, or is for evaluation",
        ),
        inert("segment_length", "the making of samples"),
    ],
};
