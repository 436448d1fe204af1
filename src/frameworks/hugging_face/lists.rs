//! The options that the releases of Hugging Face's trainers know: Transformers and its examples, TRL, PEFT, fms-hf-tuning
//! and optimum-habana.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static TRANSFORMERS: List = List {
    text: include_str!("transformers.tsv"),
    corrections: &[
        inert(
            "fsdp_min_num_params fsdp_transformer_layer_cls_to_wrap",
            "how layers are wrapped: each unit is a layer or less",
        ),
        inert(
            "gradient_checkpointing_kwargs activation_checkpointing_kwargs optim_args bnb_4bit_compute_dtype \
             bnb_4bit_quant_storage bnb_4bit_quant_type bnb_4bit_use_double_quant llm_int8_has_fp16_weight \
             llm_int8_skip_modules llm_int8_threshold",
            "a setting of what another option turns on",
        ),
        inert("group_by_length length_column_name", "the order of the samples"),
        inert("RUN_*", "tests of Transformers itself"),
        opens("auto_find_batch_size", &[Subject::MicroBatch], "it halves the batch until it fits"),
    ],
};

pub(in crate::frameworks) static EXAMPLES: List = List {
    text: include_str!("examples.tsv"),
    corrections: &[
        inert(
            "val_max_target_length pad_to_max_length num_beams",
            "evaluation, and padding to the limit of the length",
        ),
        inert("max_duration_in_seconds min_duration_in_seconds", "longer or shorter audio is left out"),
        inert("resize_position_embeddings preprocessing_only", "positions up to the length; no training"),
        opens("freeze_encoder", &[Subject::Trained], "the encoder is not trained"),
        inert("freeze_feature_encoder", "only speech models with convolutions of their own have one"),
    ],
};

pub(in crate::frameworks) static TRL: List = List {
    text: include_str!("trl.tsv"),
    corrections: &[
        inert(
            "gradient_checkpointing_use_reentrant packing_strategy truncation_mode bnb_4bit_quant_storage \
             bnb_4bit_quant_type use_bnb_nested_quant lora_task_type model_adapter_name ref_adapter_name",
            "a setting of what another option turns on",
        ),
        inert("use_transformers_paged max_model_len", "it generates, it does not train"),
        opens("use_dora", &[Subject::Trained], "DoRA keeps more for each adapter"),
        opens("loss_type", &[Subject::Kernels], "chunked_nll is a chunked loss"),
        opens("model_init_kwargs", &[Subject::Quantization], "how the model is loaded, also in few bits"),
        inert("lora_r lora_dropout lora_target_modules", "a setting of adapters, which use_peft turns on"),
    ],
};

pub(in crate::frameworks) static PEFT: List = List {
    text: include_str!("peft.tsv"),
    corrections: &[
        inert(
            "adapter_layers adapter_len adapters gks_adapter_names task_adapter_names num_frozen_tokens \
             oft_block_size peft_version theta_d_length top_k_lora vector_length lora_bias lora_ga_config \
             loftq_bits megatron_config megatron_core use_trainable_adapters",
            "a setting of an adapter's method",
        ),
        opens(
            "trainable_token_indices use_dora",
            &[Subject::Trained],
            "more parameters are trained than those of the adapters",
        ),
        inert("ephemeral_gpu_offload", "it moves weights for moments of the start only"),
    ],
};

pub(in crate::frameworks) static FMS_HF_TUNING: List = List {
    text: include_str!("fms_hf_tuning.tsv"),
    corrections: &[
        inert("quant_type from_quantized no_peft_model", "a setting of what another option turns on"),
        opens(
            "trainable_token_indices",
            &[Subject::Trained],
            "more parameters are trained than those of the adapters",
        ),
        opens(
            "fast_kernels fast_loss fast_rms_layernorm fast_rope_embeddings",
            &[Subject::Kernels],
            "fused kernels of fms-acceleration",
        ),
        opens("padding_free", &[Subject::Length], "fms-acceleration's padding-free batches"),
    ],
};

pub(in crate::frameworks) static OPTIMUM_HABANA: List = List {
    text: include_str!("optimum_habana.tsv"),
    corrections: &[
        inert("pad_to_max_length", "padding to the limit of the length"),
        inert("flash_attention_recompute use_fused_rope", "attention keeps no scores on Gaudi"),
    ],
};
