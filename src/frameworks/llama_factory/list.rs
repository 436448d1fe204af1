//! The options that the releases of LLaMA-Factory know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "apollo_* badam_* galore_* oft_* quantization_device_map quantization_method \
             quantization_type kt_lora_expert_intermediate_size kt_lora_expert_num kt_use_lora_experts \
             freeze_extra_modules freeze_trainable_layers freeze_trainable_modules \
             fp8_enable_fsdp_float8_all_gather FP8_ENABLE_FSDP_FLOAT8_ALL_GATHER",
            "a setting of what another option turns on",
        ),
        inert(
            "adapter_folder adapter_name_or_path create_new_adapter offload_folder",
            "which adapter is loaded",
        ),
        inert("ref_model_adapters reward_model_adapters", "which adapter is loaded"),
        opens("ref_model_quantization_bit", &[Subject::Reference], "the reference in few bits"),
        opens("reward_model_quantization_bit", &[Subject::Reward], "the reward model in few bits"),
        inert("length_penalty max_length model_max_length", "it generates, it does not train"),
        opens("use_dora", &[Subject::Trained], "DoRA keeps more for each adapter"),
        opens(
            "use_unsloth_gc",
            &[Subject::Recompute, Subject::Offload],
            "Unsloth's checkpointing keeps activations on the host",
        ),
        inert("export_quantization_bit", "what is exported"),
        inert("OPTIM_TORCH", "how the optimizer is imported"),
    ],
};
