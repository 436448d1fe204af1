//! axolotl: `axolotl train config.yaml`, `accelerate launch -m axolotl.cli.train config.yaml`.
//!
//! **Recognised** by its program or module. Its YAML file has nearly every setting. Options of the same names override
//! it.
//!
//! Read from `src/axolotl/utils/schemas/{config,training}.py` at 002a637c (0.10). The defaults are 512 tokens, a batch
//! of 1, `AdamW` and no checkpointing. Weights are loaded in the format of the computation. Without an adapter, all
//! weights are trained. Each rank holds a copy of the model, unless DeepSpeed or FSDP divides it. The plugin
//! `CutCrossEntropyPlugin` fuses the loss, unless `cut_cross_entropy` is off. The scales of four bits are quantized
//! again. Embedding, norms and output layer are cast back to the format of the computation (`loaders/model.py` at
//! 067b021c).
//!
//! `rl:` and `reward_model:` name an objective of TRL's trainers. For a model of images and text, the estimate covers the
//! text's part, with a warning.

pub(super) mod list;

use crate::command::Launch;
use crate::frameworks::hugging_face::{objective, peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::{accelerate, deepspeed};
use crate::job::{
    Attention, Cause, Framework, LayerKernels, Loading, Loss, Method, Objective, OpenField, Precision,
    Recompute, Sharding, field,
};

const SOURCE: &str = "axolotl 0.10 default";

const MODULES: &[&str] = &["axolotl.cli.train", "axolotl.cli.main", "scripts.finetune"];

const KEYS: Table = &[
    &flag(&["base_model"], field::model::NAME, Takes::Text),
    &flag(&["sequence_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["micro_batch_size", "batch_size_per_gpu"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["num_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["sample_packing"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["activation_offloading"], field::offload::ACTIVATIONS, Takes::Switch(true)),
    &flag(&["flash_attention"], field::ATTENTION, Takes::Word(Attention::Flash)),
    &flag(&["xformers_attention"], field::ATTENTION, Takes::Word(Attention::Fused)),
    &flag(&["sdp_attention"], field::ATTENTION, Takes::Word(Attention::Flash)),
    &flag(&["eager_attention"], field::ATTENTION, Takes::Word(Attention::Unfused)),
    &flag(&["overrides_of_model_config.num_hidden_layers"], field::model::LAYERS, Takes::Number),
    &flag(&["liger_fused_linear_cross_entropy", "cut_cross_entropy"], field::LOSS, Takes::Word(Loss::Fused)),
    &flag(&["chunked_cross_entropy"], field::LOSS, Takes::Word(Loss::Chunked)),
    &flag(&["tiled_mlp"], field::TILED_LAYERS, Takes::Switch(true)),
    &flag(&["quantize_moe_experts"], field::quantization::EXPERTS, Takes::Switch(true)),
    &flag(&["tensor_parallel_size"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["expert_parallel_size"], field::parallelism::EXPERT, Takes::Number),
    &flag(&["context_parallel_size", "sequence_parallel_degree"], field::parallelism::CONTEXT, Takes::Number),
    &flag(
        &["fsdp_config.fsdp_offload_params", "fsdp_config.offload_params"],
        field::offload::PARAMETERS,
        Takes::Switch(true),
    ),
    &flag(
        &["fsdp_config.reshard_after_forward", "fsdp_config.fsdp_reshard_after_forward"],
        field::parallelism::RESHARD_AFTER_FORWARD,
        Takes::Switch(true),
    ),
];

/// The strategy of FSDP's first version.
const STRATEGY: [&str; 2] = ["fsdp_config.sharding_strategy", "fsdp_config.fsdp_sharding_strategy"];

/// Weights that are not loaded.
const RANDOM: [&str; 3] = ["reinit_weights", "random_init_weights", "random_init"];

/// Loading on the first rank alone.
const FIRST_RANK: [&str; 2] =
    ["fsdp_config.cpu_ram_efficient_loading", "fsdp_config.fsdp_cpu_ram_efficient_loading"];

/// Keys of models that also read images.
const IMAGES: &[&str] = &["processor_type", "image_size", "image_resize_algorithm"];

/// Whether the launch runs axolotl.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.runs_program("axolotl train") || MODULES.iter().any(|module| launch.runs_module(module))
}
/// Dimensions that a configuration changes. The number of layers alone is read.
const CHANGED: &[&str] = &[
    "overrides_of_model_config.hidden_size",
    "overrides_of_model_config.intermediate_size",
    "overrides_of_model_config.num_attention_heads",
    "overrides_of_model_config.vocab_size",
];

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::HuggingFace, "axolotl");
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let path = config::positional(&launch.arguments);
    let config = path.and_then(|path| config::named(launch, path, "its argument", claims));
    let known = config.is_some();
    if let Some(config) = config {
        settings.add(Place::File(config));
    }
    settings::read(KEYS, &settings, claims);
    layers_and_loss(&settings, claims);
    model(&settings, claims);
    if let Some(linear) =
        settings.get(&["lora_target_linear"]).filter(|setting| setting.truth() == Some(true))
    {
        linear.says(claims, field::finetuning::TARGETS, vec!["all-linear"]);
    }
    let told = peft::read(&settings, true, claims);
    training_arguments::optimizer(&settings, &["optimizer"], claims);
    training_arguments::read(launch, &settings, claims);
    precision(&settings, claims);
    if !known {
        // The deciding settings are in the file.
        deepspeed::unknown(claims);
        claims.open(field::finetuning::METHOD, Method::QLoRA);
        return;
    }
    peft::keeps_precision(true, SOURCE, claims);
    match told {
        None => claims.assume(field::finetuning::METHOD, Method::Full, SOURCE),
        Some(()) if claims.get(field::finetuning::METHOD).is_none_or(|method| method != Method::Full) => {
            claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
        }
        Some(()) => {}
    }
    let may_spread = sharding(launch, &settings, claims);
    objective(&settings, claims);
    training_arguments::steps_at_once(&settings, claims);
    training_arguments::loads_directly(SOURCE, claims);
    loading(&settings, claims);
    // After the loading, which rests on the sharding that is known.
    if may_spread {
        claims.open(field::parallelism::SHARDING, Sharding::FSDP);
    }
    let defaults = [
        field::batch::SEQUENCE_LENGTH.is(512),
        field::batch::MICRO_BATCH_SIZE.is(1),
        field::RECOMPUTE.is(Recompute::None),
    ];
    settings::assume(&defaults, SOURCE, claims);
}

/// Fused losses and layers, which plugins bring.
fn layers_and_loss(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(plugins) = settings.get(&["plugins"])
        && plugins.texts().any(|plugin| plugin.ends_with(".CutCrossEntropyPlugin"))
        && !settings.has(&["cut_cross_entropy"])
    {
        plugins.says(claims, field::LOSS, Loss::Fused);
    }
    liger(settings, claims);
}

/// What differs from the model that is named.
fn model(settings: &Settings<'_>, claims: &mut Claims) {
    if settings.get(&RANDOM).is_some_and(|setting| setting.truth() != Some(false)) {
        random(claims);
    }
    if settings.has(&["unfrozen_parameters"]) {
        complete::leave_frozen_open(claims);
    }
    if CHANGED.iter().any(|key| settings.has(&[key])) {
        claims.beyond = Some(Cause::ChangedModel);
    }
    if IMAGES.iter().any(|key| settings.has(&[key])) {
        claims.warn("a model of images and text: only the text's part is estimated");
    }
}

/// Claims how the states are divided. Whether a single process may spread the model over all accelerators (`device_map`,
/// `utils/config/__init__.py`).
fn sharding(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) -> bool {
    let launched = launch.launcher("accelerate launch").is_some() || launch.runs_program("axolotl train");
    let divides = ["deepspeed", "fsdp", "fsdp_config"].iter().any(|key| settings.has(&[key]));
    let alone = launch.launchers.is_empty()
        && (!launch.runs_program("axolotl train") || launch.arguments.value("launcher") == Some("python"));
    if launched && !alone && !divides {
        claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE);
    }
    let strategy = settings.get(&STRATEGY).and_then(|setting| Some((setting.text()?, setting)));
    if let Some((sharding, setting)) =
        strategy.and_then(|(text, setting)| Some((accelerate::strategy_of(&text)?.0, setting)))
    {
        setting.says(claims, field::parallelism::SHARDING, sharding);
    }
    if settings.has(&["fsdp_config"]) {
        claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
    }
    alone && !divides
}

/// Weights that are made, not loaded, have the format of the model's configuration, or fp32, by the version of Transformers
/// (`PreTrainedModel._from_config`).
fn random(claims: &mut Claims) {
    let format = |format: Precision| Some(serde_json::json!(format));
    claims.open_field(OpenField {
        field: field::PARAMETER_PRECISION.into(),
        leanest: format(Precision::BF16),
        heaviest: format(Precision::FP32),
        although_given: true,
    });
}

/// Under FSDP quantized weights go whole to every device, unless the first rank loads them alone. Others stay on the host
/// until they are divided, unless the job asks for what axolotl did before 0.12.
fn loading(settings: &Settings<'_>, claims: &mut Claims) {
    let sharding = claims.get(field::parallelism::SHARDING);
    if !matches!(sharding, Some(Sharding::FSDP | Sharding::HSDP)) {
        return;
    }
    let on_the_first = settings.get(&FIRST_RANK).filter(|setting| setting.truth() != Some(false));
    let quantized = claims.get(field::finetuning::METHOD) == Some(Method::QLoRA);
    if let Some(setting) = on_the_first {
        if setting.truth() == Some(true) {
            setting.says(claims, field::host::LOADING, Loading::FirstRank);
        }
    } else if let Some(moved) = settings.get(&["experimental_skip_move_to_device"])
        && moved.truth() == Some(false)
        && !quantized
    {
        moved.says(claims, field::host::LOADING, Loading::EveryDevice);
    } else if quantized {
        claims.assume(field::host::LOADING, Loading::EveryDevice, SOURCE);
    }
}

/// `rl:` and `reward_model:` name another objective, trained by TRL's trainers with their arguments in `trl:`.
fn objective(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(rl) = settings.get(&["rl"]) {
        match rl.text().and_then(|name| flags::one_of(objective::NAMES, &name)) {
            Some(objective) => {
                rl.says(claims, field::OBJECTIVE, objective);
                if settings.on(&["rl_adapter_ref_model"]) == Some(true) {
                    objective::copied(field::roles::REFERENCE_MODEL, SOURCE, claims);
                }
                objective::roles(objective, objective::TRL, settings, claims);
            }
            None => claims.beyond = Some(Cause::ReinforcementLearning),
        }
    } else if let Some(reward) = settings.get(&["reward_model"]).filter(|s| s.truth() == Some(true)) {
        reward.says(claims, field::OBJECTIVE, Objective::Reward);
    } else if let Some(labels) = settings.get(&["num_labels"]) {
        labels.says(claims, field::OBJECTIVE, Objective::Classification);
    }
}

/// The keys of `LigerPlugin` that decide what a layer keeps. With one of them alone, a layer keeps more than with both.
fn liger(settings: &Settings<'_>, claims: &mut Claims) {
    let on = |key: &str| settings.get(&[key]).filter(|setting| setting.truth() == Some(true));
    match (on("liger_rms_norm"), on("liger_glu_activation").or_else(|| on("liger_swiglu"))) {
        (Some(norm), Some(_)) => norm.says(claims, field::LAYER_KERNELS, LayerKernels::Liger),
        (Some(_), None) | (None, Some(_)) => claims.open(field::LAYER_KERNELS, LayerKernels::Liger),
        (None, None) => {}
    }
}

/// `bf16: auto` computes in bf16 if the accelerator can. An open precision means the same.
fn precision(settings: &Settings<'_>, claims: &mut Claims) {
    for (name, precision) in [
        ("bf16", Precision::BF16),
        ("fp16", Precision::FP16),
        ("bfloat16", Precision::BF16),
        ("float16", Precision::FP16),
    ] {
        let Some(setting) = settings.get(&[name]) else { continue };
        let full = setting.text().is_some_and(|text| text == "full");
        if setting.truth() != Some(true) && !full {
            continue;
        }
        setting.says(claims, field::PRECISION, precision);
        if precision == Precision::BF16 && training_arguments::stays_as_loaded(!full, claims) {
            setting.says(claims, field::PARAMETER_PRECISION, precision);
        }
        return;
    }
}
