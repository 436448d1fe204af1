//! The options that the releases of llm-foundry know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "fsdp_config.activation_checkpointing_reentrant fsdp_config.limit_all_gathers \
             fsdp_config.state_dict_type fsdp_config.sync_module_states fsdp_config.verbose \
             should_save_peft_only pretrained_lora_id_or_path",
            "how layers are gathered, and what is saved",
        ),
        inert("variables.icl_*", "evaluation"),
        inert("model.peft_config.task_type", "a setting of what another option turns on"),
    ],
};
