//! The options that the releases of accelerate know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "deepspeed_exclusion_filter deepspeed_hostfile deepspeed_inclusion_filter \
             deepspeed_multinode_launcher",
            "how nodes are reached",
        ),
        inert(
            "fsdp_auto_wrap_policy fsdp_backward_prefetch fsdp_forward_prefetch fsdp_min_num_params \
             fsdp_transformer_layer_cls_to_wrap fsdp_use_orig_params deepspeed_moe_layer_cls_names \
             ACCELERATE_DEEPSPEED_MOE_LAYER_CLS_NAMES",
            "how layers are wrapped and gathered: a unit is a layer or less",
        ),
        inert(
            "fsdp_cpu_ram_efficient_loading fsdp_state_dict_type fsdp_sync_module_states zero3_init_flag \
             zero3_save_16bit_model ACCELERATE_DEEPSPEED_ZERO3_INIT \
             ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL FSDP_CPU_RAM_EFFICIENT_LOADING FSDP_STATE_DICT_TYPE",
            "what is loaded and saved, and how",
        ),
        inert("fp8_amax_history_len fp8_enable_fsdp_float8_all_gather", "scales of fp8"),
        inert(
            "parallelism_config_cp_backend parallelism_config_cp_comm_strategy \
             parallelism_config_sp_attn_implementation parallelism_config_sp_backend \
             PARALLELISM_CONFIG_CP_BACKEND PARALLELISM_CONFIG_CP_COMM_STRATEGY \
             PARALLELISM_CONFIG_SP_ATTN_IMPLEMENTATION PARALLELISM_CONFIG_SP_BACKEND \
             parallelism_config_sp_seq_length_is_variable PARALLELISM_CONFIG_SP_SEQ_LENGTH_IS_VARIABLE",
            "how ranks of a group talk",
        ),
        opens(
            "dp_replicate_size dp_shard_size parallelism_config_dp_replicate_size \
             parallelism_config_dp_shard_size PARALLELISM_CONFIG_DP_REPLICATE_SIZE \
             PARALLELISM_CONFIG_DP_SHARD_SIZE",
            &[Subject::Sharding],
            "how many replicas and how many shards",
        ),
        opens("tp_size", &[Subject::Tensor], "accelerate's tensor parallel size"),
        opens("cp_size sp_size", &[Subject::Context], "accelerate's context and sequence parallel sizes"),
        inert(
            "megatron_lm_attention_softmax_in_fp32 megatron_lm_calculate_per_token_loss \
             megatron_lm_eod_mask_loss megatron_lm_gradient_clipping megatron_lm_no_load_optim \
             megatron_lm_no_save_optim megatron_lm_use_rotary_position_embeddings",
            "an edge of Megatron-LM that changes no memory",
        ),
        inert(
            "offload_optimizer_nvme_path offload_param_nvme_path \
             ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_NVME_PATH ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_NVME_PATH",
            "where offloaded states are put: another option offloads",
        ),
        inert("DEEPSPEED_USE_HPU", "Gaudi's DeepSpeed"),
        inert(
            "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE FSDP_OFFLOAD_PARAMS",
            "it is read with the variable that turns sharding on",
        ),
    ],
};
