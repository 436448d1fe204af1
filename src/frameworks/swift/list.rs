//! The options that the releases of ms-swift know.

use crate::frameworks::megatron_core::list::shared;
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
             lora_bias lora_dtype lora_modules gc_collect_after_offload",
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
        opens("use_dora", &[Subject::Trained], "DoRA keeps more for each adapter"),
        opens(
            "reft_layers boft_block_size vera_rank llamapro_num_new_blocks",
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

pub(in crate::frameworks) static MEGATRON: List = List {
    text: include_str!("megatron.tsv"),
    corrections: &[
        inert(
            "moe_permute_fusion moe_grouped_gemm moe_shared_expert_overlap apply_rope_fusion bias_* \
             masked_softmax_fusion gradient_accumulation_fusion no_bias_dropout_fusion \
             no_bias_swiglu_fusion no_gradient_accumulation_fusion no_masked_softmax_fusion no_rope_fusion",
            "fused kernels that keep what the others keep",
        ),
        inert(
            "no_save_rng no_load_optim no_load_rng use_persistent_ckpt_worker \
             dist_ckpt_* distrib_optim_fully_reshardable_mem_efficient",
            "what is saved and loaded, and how",
        ),
        inert("muon_*", "a setting of Muon"),
        inert("optimizer_cuda_graph", "a setting of what another option turns on"),
        shared::FP8_SCALES,
        inert(
            "recompute_num_layers recompute_method",
            "it counts only with full recomputation, and is read there",
        ),
        inert("vit_gradient_checkpointing*", "checkpointing of the vision tower alone"),
        inert("lora_bias lora_dtype", "a setting of an adapter"),
        inert("merge_lora max_shard_size strict_fsdp_dtensor_load", "what is saved and loaded, and how"),
        inert(
            "group_by_length truncation_strategy packing_num_proc packing_strategy max_model_len no_data_sharding",
            "the order and the making of samples",
        ),
        inert("completion_length_limit_scope cosine_* soft_*", "it generates, it does not train"),
        inert("kv_lora_rank q_lora_rank", "a dimension of latent attention"),
        inert("ref_adapter_load ref_adapters mcore_ref_adapter use_swift_lora", "which adapter is loaded"),
        inert("bnb_4bit_* hqq_axis quant_method lora_modules", "a setting of what another option turns on"),
        inert("gradient_checkpointing_kwargs", "a setting of what another option turns on"),
        inert("freeze_aligner", "a small part of the towers"),
        opens("mlp_padding_free", &[Subject::Kernels], "the network on fewer tokens"),
        inert("offload_model offload_optimizer offload_bridge", "states leave while it generates"),
    ],
};
