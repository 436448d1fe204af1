//! The options that the releases of ms-swift know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "group_by_length truncation_strategy packing_num_proc packing_strategy PACKING_CACHE \
             max_model_len",
            "the order and the making of samples",
        ),
        inert(
            "galore_* lora_ga_* bnb_4bit_* gradient_checkpointing_kwargs adapter_act adapter_length hqq_axis \
             quant_method lora_bias lora_dtype lora_modules gc_collect_after_offload",
            "a setting of what another option turns on",
        ),
        inert("vit_gradient_checkpointing", "checkpointing of the vision tower alone"),
        opens("deepspeed_autotp_size", &[Subject::Tensor], "tensor parallel by DeepSpeed"),
        opens(
            "CELOSS_PARALLEL_SIZE MSO_BRANCH_CHUNK use_logits_to_keep",
            &[Subject::Kernels],
            "the loss in slices",
        ),
        inert("UNSLOTH_*", "Unsloth's bookkeeping"),
        inert("MEGATRON_LM_PATH", "where Megatron-LM lies"),
        opens(
            "device_map max_memory device_groups",
            &[Subject::Sharding, Subject::Offload],
            "layers on several accelerators or on the CPU",
        ),
        opens("modules_to_save", &[Subject::Trained], "modules that are trained whole"),
        opens("use_dora", &[Subject::Trained], "DoRA keeps more for each adapter"),
        opens(
            "lisa_activated_layers reft_layers boft_block_size vera_rank llamapro_num_new_blocks",
            &[Subject::Method],
            "another way to train few parameters",
        ),
        inert("max_shard_size", "the size of saved files"),
        inert(
            "response_length completion_length_limit_scope cosine_* soft_*",
            "it generates, it does not train",
        ),
        inert(
            "adapters ref_adapters ref_adapter_name reward_adapters teacher_adapters use_swift_lora",
            "which adapter is loaded",
        ),
    ],
};
