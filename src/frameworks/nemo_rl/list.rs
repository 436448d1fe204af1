//! The keys that NeMo-RL's configurations have.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert("checkpointing.*", "when checkpoints are saved"),
        inert("grpo.* loss_fn.* env.* data.* logger.* dpo.* sft.* rm.*", "samples, losses and logs"),
        inert("policy.generation.*", "it generates, it does not train"),
        inert("policy.optimizer.kwargs.* policy.scheduler.* policy.tokenizer.*", "hyperparameters"),
        inert("policy.sequence_packing.* policy.dynamic_batching.*", "as many tokens as the micro-batch has"),
        inert(
            "policy.logprob_chunk_size policy.offload_optimizer_for_logprob policy.make_sequence_length_divisible_by",
            "the forward pass of the reference, and a rounding",
        ),
        inert("policy.reward_model_cfg.* policy.draft.*", "another model, which the objective names"),
        inert(
            "policy.megatron_cfg.optimizer.adam_* policy.megatron_cfg.optimizer.bf16 \
             policy.megatron_cfg.optimizer.clip_grad policy.megatron_cfg.optimizer.fp16 \
             policy.megatron_cfg.optimizer.lr policy.megatron_cfg.optimizer.min_lr \
             policy.megatron_cfg.optimizer.overlap* policy.megatron_cfg.optimizer.sgd_momentum \
             policy.megatron_cfg.optimizer.use_* policy.megatron_cfg.optimizer.weight_decay \
             policy.megatron_cfg.optimizer.optimizer policy.megatron_cfg.optimizer.params_dtype \
             policy.megatron_cfg.scheduler.* policy.megatron_cfg.moe_* policy.megatron_cfg.mtp_* \
             policy.megatron_cfg.apply_rope_fusion policy.megatron_cfg.bias_activation_fusion \
             policy.megatron_cfg.checkpoint.* policy.megatron_cfg.cuda_graph_* policy.megatron_cfg.defer_fp32_logits \
             policy.megatron_cfg.distributed_data_parallel_config.* policy.megatron_cfg.empty_unused_memory_level \
             policy.megatron_cfg.env_vars policy.megatron_cfg.force_reconvert_from_hf \
             policy.megatron_cfg.freeze_moe_router policy.megatron_cfg.gradient_accumulation_fusion \
             policy.megatron_cfg.model_overrides policy.megatron_cfg.pipeline_dtype \
             policy.megatron_cfg.num_layers_in_* policy.megatron_cfg.use_gloo_process_groups \
             policy.megatron_cfg.use_fused_weighted_squared_relu policy.megatron_cfg.peft.a* \
             policy.megatron_cfg.peft.dropout_position policy.megatron_cfg.peft.exclude_modules \
             policy.megatron_cfg.peft.lora_* policy.dtensor_cfg.lora_cfg.alpha \
             policy.dtensor_cfg.lora_cfg.dropout_position policy.dtensor_cfg.lora_cfg.exclude_modules \
             policy.dtensor_cfg.lora_cfg.lora_A_init policy.dtensor_cfg.lora_cfg.match_all_linear \
             policy.dtensor_cfg.lora_cfg.use_triton policy.dtensor_cfg.automodel_kwargs \
             policy.dtensor_cfg.custom_parallel_plan policy.dtensor_cfg.env_vars policy.dtensor_cfg._v2 \
             policy.dtensor_cfg.enabled",
            "hyperparameters, fusions, and values that other words give",
        ),
    ],
};
