//! The options that the releases of verl know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert("actor_rollout_ref.rollout.*", "it generates, it does not train"),
        inert("actor_rollout_ref.ref.*", "the reference's forward pass, with its shards on the host"),
        inert("reward_model.*", "the reward model's forward pass, with its shards on the host"),
        inert("critic.*", "the critic is counted like the actor, but for the words that are read"),
        inert(
            "actor_rollout_ref.actor.optim._target_ \
             actor_rollout_ref.actor.optim.clip_grad actor_rollout_ref.actor.optim.lr* \
             actor_rollout_ref.actor.optim.min_lr* actor_rollout_ref.actor.optim.num_cycles \
             actor_rollout_ref.actor.optim.total_training_steps actor_rollout_ref.actor.optim.use_checkpoint* \
             actor_rollout_ref.actor.optim.w* optim._target_ optim.clip_grad optim.lr* \
             optim.min_lr* optim.num_cycles optim.total_training_steps optim.use_checkpoint* optim.w*",
            "hyperparameters",
        ),
        inert(
            "actor_rollout_ref.actor.fsdp_config._target_ actor_rollout_ref.actor.fsdp_config.forward_only \
             actor_rollout_ref.actor.fsdp_config.forward_prefetch actor_rollout_ref.actor.fsdp_config.full_determinism \
             actor_rollout_ref.actor.fsdp_config.seed actor_rollout_ref.actor.fsdp_config.use_* \
             actor_rollout_ref.actor.fsdp_config.wrap_policy.* actor_rollout_ref.actor.fsdp_config.entropy_* \
             actor_rollout_ref.actor.fsdp_config.strategy model.fsdp_config.wrap_policy.*",
            "how the shards are gathered, not their number",
        ),
        inert(
            "actor_rollout_ref.actor.entropy_* engine.entropy_*",
            "the entropy, which is in the loss only where it has a weight",
        ),
        inert(
            "actor_rollout_ref.actor.megatron.grad_offload actor_rollout_ref.actor.megatron.optimizer_offload \
             engine.grad_offload",
            "states leave while it generates",
        ),
        inert(
            "actor_rollout_ref.actor.megatron._target_ actor_rollout_ref.actor.megatron.dtype \
             actor_rollout_ref.actor.megatron.forward_only actor_rollout_ref.actor.megatron.seed \
             actor_rollout_ref.actor.megatron.use_* actor_rollout_ref.actor.megatron.vanilla_mbridge \
             actor_rollout_ref.actor.megatron.dist_* actor_rollout_ref.actor.megatron.override_ddp_config \
             actor_rollout_ref.actor.megatron.override_transformer_config.attention_backend engine.dist_* \
             engine.use_dist_checkpointing engine.use_distributed_optimizer",
            "how weights are converted, saved and gathered",
        ),
        inert("actor_rollout_ref.actor.fsdp_config.dtype", "the format of the computation: bf16"),
        inert(
            "actor_rollout_ref.actor.ppo_max_token_len_per_gpu",
            "it counts with use_dynamic_bsz, and is read there",
        ),
        inert(
            "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method \
             engine.override_transformer_config.recompute_m* engine.override_transformer_config.recompute_num_layers",
            "a setting of what another option turns on",
        ),
        inert(
            "actor_rollout_ref.model.lora_alpha actor_rollout_ref.model.lora_adapter_path actor_rollout_ref.model.lora.a* \
             actor_rollout_ref.model.lora.d* actor_rollout_ref.model.lora.lora_* actor_rollout_ref.model.lora.type \
             actor_rollout_ref.model.lora.exclude_modules \
             model.lora_alpha model.lora_adapter_path",
            "settings of an adapter",
        ),
        inert("actor_rollout_ref.model.fused_kernel_options.* model.fused_kernel_options.*", "which kernel"),
        inert("trainer.*", "what is saved, logged and repeated"),
        opens(
            "actor_rollout_ref.model.tiled_mlp.enabled model.tiled_mlp.enabled",
            &[Subject::Kernels],
            "layers in slices",
        ),
    ],
};
