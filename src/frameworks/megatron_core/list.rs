//! The options that the releases of Megatron Core know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert("muon_* adaptive_muon_moment2_method", "a setting of Muon"),
        inert("fp8_amax_history_len", "scales of fp8"),
        inert(
            "layernorm_zero_centered_gamma fused_residual_rmsnorm fused_single_qkv_rope \
             use_fused_weighted_squared_relu",
            "layer normalization",
        ),
        inert(
            "pipeline_model_parallel_comm_backend async_tensor_model_parallel_allreduce \
             hierarchical_context_parallel_sizes moe_ncclep_zero_copy fsdp_manual_registration \
             fsdp_all_gather_in_start_param_sync",
            "how ranks of a group talk",
        ),
        opens(
            "gtp_weight_remat_size expert_gtp_weight_remat_size tensor_parallel_num_weight_shards \
             expert_tensor_parallel_num_weight_shards",
            &[Subject::Tensor],
            "weights in shards of a tensor group",
        ),
        opens(
            "num_microbatches_with_partial_activation_checkpoints",
            &[Subject::Recompute],
            "how many microbatches are recomputed in full",
        ),
        opens(
            "megatron_fsdp_main_grads_dtype megatron_fsdp_grad_comm_dtype",
            &[Subject::Gradients],
            "the format of stored gradients",
        ),
        inert("kv_lora_rank q_lora_rank", "a dimension of latent attention"),
        inert(
            "min_offloaded_tensor_size moe_router_padding_for_quantization optimizer_cuda_graph",
            "a setting of what another option turns on",
        ),
        inert("recompute_num_layers", "it counts only with full recomputation, and is read there"),
    ],
};
