//! The options that the releases of axolotl know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "ACCELERATE_* FSDP_* PARALLELISM_CONFIG_*",
            "accelerate's variables, which axolotl sets by its file",
        ),
        inert(
            "group_by_length excess_length_strategy min_sample_len sample_packing_bin_size \
             sample_packing_eff_est sample_packing_group_size sample_packing_mp_start_method \
             sample_packing_sequentially pose_max_context_len max_prompt_len",
            "the order and the making of samples",
        ),
        inert("pad_to_sequence_len", "padding to the limit of the length"),
        inert(
            "gradient_checkpointing_kwargs bnb_config_kwargs optim_args loftq_bits liger_kernel_impl \
             liger_use_token_scaling chunked_cross_entropy_num_chunks tiled_mlp_num_shards \
             tiled_mlp_use_original_mlp cpu_offload_pin_memory qgalore_* expert_parallel_backend \
             expert_parallel_fallback_on_unsupported expert_parallel_num_nvl_bytes \
             expert_parallel_num_rdma_bytes moe_dequant_chunk_size moe_bnb_fast \
             fp8_enable_fsdp_float8_all_gather fsdp_final_state_dict_type fused_attn_kernel",
            "a setting of what another option turns on",
        ),
        inert(
            "lora_alpha_pattern lora_fan_in_fan_out lora_model_dir lora_on_cpu lora_rank_pattern \
             peft_autocast_adapter_dtype peft_ensure_weight_tying peft_init_lora_weights \
             peft_layer_replication peft_layers_pattern peft_layers_to_transform peft_use_rslora merge_lora \
             qlora_sharded_model_loading relora_cpu_offload",
            "a setting of an adapter",
        ),
        opens(
            "lora_embedding_kernel lora_mlp_kernel lora_o_kernel lora_qkv_kernel unsloth_lora_mlp \
             unsloth_lora_o unsloth_lora_qkv dsv4_fp8_lora_kernel dsv4_shared_mlp_lora_kernel",
            &[Subject::LayerKernels],
            "fused kernels of linear layers with adapters, which keep fewer activations",
        ),
        opens(
            "peft_trainable_token_indices peft_use_dora",
            &[Subject::Trained],
            "more parameters are trained than those of the adapters",
        ),
        opens(
            "relora mora axolotl.integrations.mora.plugin.MoraPlugin \
             axolotl.integrations.spectrum.SpectrumPlugin spectrum_top_fraction \
             axolotl.integrations.llm_compressor.plugin.LLMCompressorPlugin",
            &[Subject::Method],
            "another way to train few parameters",
        ),
        opens(
            "flash_attn_cross_entropy flex_attention sage_attention s2_attention large_head_attention",
            &[Subject::Kernels],
            "a kernel of attention or of the loss",
        ),
        opens(
            "axolotl.integrations.kernels.plugin.KernelsPlugin",
            &[Subject::Kernels],
            "a plugin of fused kernels",
        ),
        inert(
            "axolotl.integrations.liger.plugin.LigerPlugin",
            "a plugin whose options are keys of their own",
        ),
        opens(
            "axolotl.integrations.expert_parallel.plugin.ExpertParallelPlugin",
            &[Subject::Expert],
            "the plugin divides experts",
        ),
        opens(
            "device_map max_memory gpu_memory_limit",
            &[Subject::Sharding, Subject::Offload],
            "layers on several accelerators or on the CPU",
        ),
        opens("auto_find_batch_size", &[Subject::MicroBatch], "it halves the batch until it fits"),
        inert(
            "qat fake_quant_after_n_steps quantize_embedding",
            "simulated quantization: weights keep their format",
        ),
        inert(
            "generate_max_len max_completion_length max_model_len context_length gt_length_multiplier \
             replay_recompute_logps skip_zero_advantage_batches",
            "it generates, it does not train",
        ),
        inert("DSV4_TRUNCATE_LAYERS AXOLOTL_*", "the gradient of a debugging model"),
        opens(
            "dp_shard_size dp_replicate_size",
            &[Subject::Sharding],
            "how many replicas and how many shards",
        ),
        inert("sdpa_varlen", "which kernel of attention takes packed samples"),
    ],
};
