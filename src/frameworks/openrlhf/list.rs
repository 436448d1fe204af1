//! The options that the releases of OpenRLHF know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "gradient_checkpointing_use_reentrant actor.gradient_checkpointing_reentrant \
             model.gradient_checkpointing_reentrant muon.*",
            "a setting of what another option turns on",
        ),
        inert(
            "generate_max_len reward.overlong_buffer_len micro_rollout_batch_size rollout.micro_batch_size \
             deepspeed_enable_sleep",
            "it generates, it does not train",
        ),
        inert(
            "ref_offload ref_reward_offload teacher_offload freezing_actor_steps critic.freezing_steps",
            "stages that are not estimated",
        ),
        inert("RAY_ENABLE_ZERO_COPY_TORCH_TENSORS", "how Ray moves tensors"),
    ],
};
