//! The options that the releases of Megatron-Bridge know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "dist_ckpt_optim_fully_reshardable distrib_optim_fully_reshardable_mem_efficient \
             fully_parallel_load fully_parallel_save strict_fsdp_dtensor_load check_optimizer_step_success",
            "what is saved and loaded, and how",
        ),
        inert("fp8_amax_history_len", "scales of fp8"),
        inert(
            "lora_A_init_method lora_B_init_method lora_dtype normalize_moe_lora share_expert_adapters",
            "a setting of an adapter",
        ),
        inert(
            "packed_metadata_path packed_train_data_path packed_val_data_path assistant_prefix_len",
            "where packed samples lie",
        ),
        inert("enable_megatron_core_experimental", "a switch of experiments"),
    ],
};
