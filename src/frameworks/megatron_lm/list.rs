//! The options that the releases of Megatron-LM know, and those of MindSpeed, which adds to it.

use crate::frameworks::megatron_core::list::shared;
use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

/// All of them.
pub(in crate::frameworks) const LISTS: &[&List] = &[&LIST, &MINDSPEED, &MINDSPEED_LLM];

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "dist_ckpt_optim_fully_reshardable distrib_optim_fully_reshardable_mem_efficient \
             disable_ckpt_load_validate_sharding_integrity no_ckpt_load_validate_sharding_integrity \
             disable_fully_parallel_save no_fully_parallel_save fully_parallel_load fully_parallel_save \
             no_ckpt_fully_parallel_save disable_load_optim no_load_optim disable_save_optim \
             strict_fsdp_dtensor_load disable_strict_fsdp_dtensor_load no_strict_fsdp_dtensor_load",
            "what is saved and loaded, and how",
        ),
        inert(
            "muon_* adaptive_muon_moment2_method no_muon_split_qkv disable_muon_split_qkv",
            "a setting of Muon",
        ),
        shared::FP8_SCALES,
        inert(
            "layernorm_zero_centered_gamma fused_residual_rmsnorm fused_single_qkv_rope \
             use_flashinfer_fused_rope use_fused_weighted_squared_relu",
            "layer normalization",
        ),
        inert("rl_*", "reinforcement learning is not estimated"),
        inert("dino_* retriever_*", "other models than language models"),
        inert("NVTE_* CUDA_GRAPH_CAPTURE_FREEZE_GC", "kernels that the options of attention choose among"),
        inert("MEGATRON_*", "bookkeeping"),
        inert("rotary_seq_len_interpolation_factor", "how positions are scaled"),
        inert(
            "pipeline_model_parallel_comm_backend no_async_tensor_model_parallel_allreduce \
             hierarchical_context_parallel_sizes moe_ncclep_zero_copy fsdp_manual_registration \
             fsdp_all_gather_in_start_param_sync no_fsdp_all_gather_in_start_param_sync \
             disable_fsdp_all_gather_in_start_param_sync no_data_sharding",
            "how ranks of a group talk",
        ),
        shared::WEIGHTS_IN_SHARDS,
        shared::PARTIAL_RECOMPUTE,
        shared::FSDP_GRADIENTS,
        inert("enable_chunked_prefill", "it generates, it does not train"),
        shared::OF_ANOTHER_OPTION,
        inert(
            "recompute_num_layers recompute_method",
            "it counts only with full recomputation, and is read there",
        ),
    ],
};

pub(in crate::frameworks) static MINDSPEED: List = List {
    text: include_str!("mindspeed.tsv"),
    corrections: &[
        inert(
            "use_fused_rmsnorm use_fused_rotary_pos_emb use_fused_swiglu \
             use_fused_moe_token_permute_and_unpermute use_fused_ring_attention_update \
             use_fused_lightning_indexer use_fused_lightning_indexer_kl_loss use_fused_sparse_flash_attention \
             coc_fused_kernel coc_parallel_num",
            "fused kernels that keep what the others keep",
        ),
        inert("context_parallel_algo megatron_cp_in_bnsd adaptive_cp_* hccl_*", "how ranks of a group talk"),
        opens(
            "moe_zero_memory moe_zero_memory_num_layers compress_activation",
            &[Subject::Recompute],
            "activations are computed again",
        ),
        opens(
            "adaptive_memory_optimization adaptive_recompute_device_swap adaptive_recompute_device_size",
            &[Subject::Recompute, Subject::Offload],
            "activations are computed again or swapped",
        ),
        opens("layerzero layerzero_config", &[Subject::Sharding], "LayerZeRO shards weights"),
        opens(
            "quant_states compress_optimizer",
            &[Subject::Optimizer],
            "states that share memory or have few bits",
        ),
        opens("quant_grads", &[Subject::Gradients], "gradients of few bits"),
        opens("tp_2d tp_x tp_y", &[Subject::Tensor], "tensor parallel in two dimensions"),
        inert("qat_scheme fp8_reuse_quantized_weight", "simulated quantization: weights keep their format"),
    ],
};

pub(in crate::frameworks) static MINDSPEED_LLM: List = List {
    text: include_str!("mindspeed_llm.tsv"),
    corrections: &[
        inert("context_parallel_algo megatron_cp_in_bnsd", "how ranks of a group talk"),
        inert(
            "use_fused_mlp use_fused_rmsnorm use_fused_rotary_pos_emb use_fused_swiglu \
             use_fused_lightning_indexer use_fused_lightning_indexer_loss use_fused_mhc",
            "fused kernels that keep what the others keep",
        ),
        inert(
            "o_lora_rank mamba_chunk_size original_seq_len enable_mla_scale_kv_lora enable_mla_scale_q_lora",
            "a dimension of the model",
        ),
        inert(
            "lora_fusion lora_ckpt_filter lora_load lora_register_forward_hook qlora_save_dequantize \
             save_lora_to_hf",
            "a setting of an adapter",
        ),
        opens("lora_modules_to_save", &[Subject::Trained], "modules that are trained whole"),
        opens("lu_lora_final_layer_index", &[Subject::Method], "another way to train few parameters"),
        inert("muon_*", "a setting of Muon"),
        opens("o2_optimizer", &[Subject::Optimizer], "states of few bits"),
        opens("o2_gradient", &[Subject::Gradients], "gradients of few bits"),
        opens(
            "loss_chunk_size loss_compute_mode mtp_mem_efficient_logits output_layer_slice_num",
            &[Subject::Kernels],
            "the loss in slices",
        ),
        opens("num_layer_list", &[Subject::Pipeline], "stages of different sizes"),
        inert("qat_scheme", "simulated quantization: weights keep their format"),
        inert("max_length max_prompt_length", "it generates, it does not train"),
        opens("mla_zero_memory", &[Subject::Recompute], "activations are computed again"),
    ],
};
