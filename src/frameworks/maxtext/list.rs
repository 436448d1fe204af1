//! The options that the releases of MaxText know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "enable_checkpointing async_checkpointing enable_continuous_checkpointing \
             enable_multi_tier_checkpointing multi_tier_checkpointing_* colocated_python_checkpointing \
             checkpoint_is_quantized",
            "saving",
        ),
        inert(
            "act_quantization_calibration_method bwd_quantization_calibration_method experimental_sa_quant_* \
             quant_cfg_path quantization_local_shard_count replicate_quant_scale use_manual_quantization \
             use_qwix_quantization lora.lora_* lora_module_path lora_rank lora_restore_path lora_tile_size \
             lora_weight_qtype lora_input_adapters_path muon_consistent_rms context_parallel_load_balance \
             context_parallel_reorder_strategy context_parallel_strategy moe_fsdp_use_two_stage_all_gather \
             dense_fsdp_use_two_stage_all_gather",
            "a setting of what another option turns on",
        ),
        inert(
            "kv_quant_axis kv_quant_dtype quantize_kvcache max_prefill_predict_length max_prompt_length \
             rollout_* swap_space_vllm_gb use_chunked_prefill prefill_chunk_size \
             ici_autoregressive_parallelism dcn_autoregressive_parallelism \
             ici_context_autoregressive_parallelism dcn_context_autoregressive_parallelism",
            "it generates, it does not train",
        ),
        inert(
            "sa_use_fused_bwd_kernel sa_fuse_reciprocal local_sa_* chunk_attn_window_size gdn_chunk_size \
             mla_qk_head_chunk_size moba_chunk_size reshard_chunk_size moe_chunk_barrier fuse_expert_scales \
             fused_mlp fused_qkv",
            "a part of the attention's kernel",
        ),
        inert(
            "kv_lora_rank q_lora_rank o_lora_rank trainable_position_size rope_truncate vision_output_length \
             max_sample_len_for_audio remat_policy_for_vit freeze_audio_encoder_params",
            "a dimension of the model",
        ),
        inert(
            "sharding_tolerance debug_sharding optimize_mesh_for_tpu_v6e input_data_sharding_logical_axes \
             grain_packing_type use_truncation custom_mesh_and_rule_for_eval mtc_data_parallelism",
            "checks and bookkeeping",
        ),
        opens("num_vocab_tiling", &[Subject::Kernels], "the loss in tiles of the vocabulary"),
        opens("grad_dtype", &[Subject::Gradients], "the format of gradients"),
        opens("mu_dtype", &[Subject::Optimizer], "the format of the moments"),
        opens(
            "decoder_layer_input attention_out mlpwi mlpwi_0 mlpwi_1 mlpwo query_proj key_proj value_proj \
             out_proj tensors_on_device",
            &[Subject::Recompute],
            "what a custom policy keeps",
        ),
        opens(
            "ici_data_parallelism dcn_data_parallelism ici_fsdp_parallelism dcn_fsdp_parallelism \
             ici_fsdp_transpose_parallelism dcn_fsdp_transpose_parallelism ici_diloco_parallelism \
             dcn_diloco_parallelism",
            &[Subject::Sharding],
            "how many replicas and how many shards",
        ),
    ],
};
