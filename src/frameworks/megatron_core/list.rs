//! The options that the releases of Megatron Core know.

use crate::frameworks::reading::options::{Correction, List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert("muon_* adaptive_muon_moment2_method", "a setting of Muon"),
        shared::FP8_SCALES,
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
        shared::WEIGHTS_IN_SHARDS,
        shared::PARTIAL_RECOMPUTE,
        shared::FSDP_GRADIENTS,
        inert("kv_lora_rank q_lora_rank", "a dimension of latent attention"),
        shared::OF_ANOTHER_OPTION,
        inert("recompute_num_layers", "it counts only with full recomputation, and is read there"),
    ],
};

/// Corrections that hold for every frontend of Megatron Core.
pub(in crate::frameworks) mod shared {
    use super::{Correction, Subject, inert, opens};

    pub(in crate::frameworks) const WEIGHTS_IN_SHARDS: Correction = opens(
        "gtp_weight_remat_size expert_gtp_weight_remat_size tensor_parallel_num_weight_shards \
         expert_tensor_parallel_num_weight_shards",
        &[Subject::Tensor],
        "weights in shards of a tensor group",
    );
    pub(in crate::frameworks) const PARTIAL_RECOMPUTE: Correction = opens(
        "num_microbatches_with_partial_activation_checkpoints",
        &[Subject::Recompute],
        "how many microbatches are recomputed in full",
    );
    pub(in crate::frameworks) const FSDP_GRADIENTS: Correction = opens(
        "megatron_fsdp_main_grads_dtype megatron_fsdp_grad_comm_dtype",
        &[Subject::Gradients],
        "the format of stored gradients",
    );
    pub(in crate::frameworks) const OF_ANOTHER_OPTION: Correction = inert(
        "min_offloaded_tensor_size moe_router_padding_for_quantization optimizer_cuda_graph",
        "a setting of what another option turns on",
    );
    pub(in crate::frameworks) const FP8_SCALES: Correction = inert("fp8_amax_history_len", "scales of fp8");
}
