//! The names of Transformers' `TrainingArguments`, and of PEFT's and TRL's arguments, which many programs share.
//!
//! Read from the releases Transformers 4.57.1, TRL 0.19.1 and 0.24.0, and PEFT 0.17.1. Their defaults differ between
//! versions: TRL turned gradient checkpointing and bf16 on in 2025, and Transformers 5 loads weights in their saved
//! format. So each program has its own defaults.
//!
//! ```text
//! bf16, or fp16         the format of the computation      dtype, torch_dtype   the format of the loaded weights
//! fsdp "full_shard …"   strategy; auto_wrap and offload     optim               optimizer and its implementation
//! use_liger_kernel      its loss, norms, SwiGLU and rotary positions; use_liger_loss is its loss alone
//! ```
//!
//! The loaded format is the stored one only if no later step casts it. DeepSpeed and FSDP's mixed precision keep
//! trained weights in fp32. PEFT casts the other weights of a quantized model to fp32.

use serde_json::Value;

use super::LENGTH;
use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::host;
use crate::frameworks::reading::settings::{self, Setting, Settings};
use crate::frameworks::{accelerate, deepspeed};
use crate::job::{
    AnyField, Assignment, Attention, Field, LayerKernels, Loading, Loss, Method, OpenField, Optimizer,
    OptimizerImplementation, Precision, Recompute, Sharding, ValueOf, field,
};
use crate::model::known::{self, Known};

/// The arguments with the same meaning in every program.
pub(crate) const ARGUMENTS: Table = &[
    &flag(
        &["per_device_train_batch_size", "per_gpu_train_batch_size"],
        field::batch::MICRO_BATCH_SIZE,
        Takes::Number,
    ),
    &flag(&["num_train_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["torch_compile"], field::COMPILE, Takes::Switch(true)),
    &flag(
        &["use_liger_kernel", "use_liger", "enable_liger_kernel", "use_liger_loss"],
        field::LOSS,
        Takes::Word(Loss::Fused),
    ),
    &flag(
        &["use_liger_kernel", "use_liger", "enable_liger_kernel"],
        field::LAYER_KERNELS,
        Takes::Word(LayerKernels::Liger),
    ),
    &flag(&["attn_implementation", "attn_impl"], field::ATTENTION, Takes::OneOf(ATTENTION)),
    // The usual names in people's own programs.
    &flag(
        &["use_flash_attn", "use_flash_attention", "use_flash_attention_2"],
        field::ATTENTION,
        Takes::Word(Attention::Flash),
    ),
];

/// A sample of two parts, each with its own longest length. A model with an encoder reads the first with it.
pub(crate) fn lengths(settings: &Settings<'_>, claims: &mut Claims) {
    let field = field::batch::SEQUENCE_LENGTH;
    let number = |names: &[&str]| settings.get(names).and_then(|setting| Some((setting.number()?, setting)));
    let source = number(&["max_source_length", "source_max_len", "max_source_len", "max_input_length"]);
    let target = number(&["max_target_length", "target_max_len", "max_target_len", "max_output_length"]);
    let model: Option<String> = claims.get(field::model::NAME);
    if model.as_deref().and_then(known::find).is_some_and(Known::has_encoder) {
        let one = number(LENGTH).filter(|_| source.is_none());
        for (part, field) in
            [(source.or(one), field::batch::SOURCE_LENGTH), (target, field::batch::SEQUENCE_LENGTH)]
        {
            if let Some((tokens, setting)) = part {
                setting.says(claims, field, tokens);
            }
        }
        return;
    }
    if claims.gives(field) {
        return;
    }
    if let Some(((source, setting), (target, _))) = source.zip(target) {
        setting.says(claims, field, source.saturating_add(target));
    }
}

/// Data loaders and saves.
const HOST: host::Names = host::Names {
    workers: &["dataloader_num_workers"],
    prefetch: &["dataloader_prefetch_factor"],
    directory: &["output_dir"],
    interval: &["save_steps"],
    kept: &["save_total_limit"],
    weights_only: &["save_only_model"],
};

/// Attention kernels, by Transformers' names.
pub(crate) const ATTENTION: &[(&str, Attention)] = &[
    ("flash_attention_2", Attention::Flash),
    ("flash_attention_3", Attention::Flash),
    ("flash_attn", Attention::Flash),
    ("kernels-community/flash-attn", Attention::Flash),
    ("kernels-community/flash-attn2", Attention::Flash),
    ("kernels-community/flash-attn3", Attention::Flash),
    ("kernels-community/vllm-flash-attn3", Attention::Flash),
    ("sdpa", Attention::Flash),
    ("eager", Attention::Unfused),
];

const OPTIMIZERS: &[(&str, Optimizer)] = &[
    ("adamw_torch", Optimizer::AdamW),
    ("adamw_torch_fused", Optimizer::AdamW),
    ("adamw_torch_xla", Optimizer::AdamW),
    ("adamw_torch_npu_fused", Optimizer::AdamW),
    ("adamw_apex_fused", Optimizer::AdamW),
    ("adamw_hf", Optimizer::AdamW),
    ("adamw", Optimizer::AdamW),
    ("paged_adamw", Optimizer::AdamW),
    ("paged_adamw_32bit", Optimizer::AdamW),
    ("adamw_bnb_8bit", Optimizer::AdamW8bit),
    ("adamw_8bit", Optimizer::AdamW8bit),
    ("paged_adamw_8bit", Optimizer::AdamW8bit),
    ("adamw_torch_8bit", Optimizer::AdamW8bit),
    ("ao_adamw_8bit", Optimizer::AdamW8bit),
    ("adamw_torch_4bit", Optimizer::AdamW4bit),
    ("ao_adamw_4bit", Optimizer::AdamW4bit),
    ("adam", Optimizer::AdamW),
    ("fusedadam", Optimizer::AdamW),
    ("pagedadamw", Optimizer::AdamW),
    ("adamw8bit", Optimizer::AdamW8bit),
    ("adam8bit", Optimizer::AdamW8bit),
    ("pagedadamw8bit", Optimizer::AdamW8bit),
    ("adamw4bit", Optimizer::AdamW4bit),
    ("adafactor", Optimizer::Adafactor),
    ("sgd", Optimizer::SGD),
    ("lion", Optimizer::Lion),
    ("lion_32bit", Optimizer::Lion),
    ("lion_pytorch", Optimizer::Lion),
    ("paged_lion", Optimizer::Lion),
    ("paged_lion_32bit", Optimizer::Lion),
    ("muon", Optimizer::Muon),
];

/// Number formats, by PyTorch's names.
pub(crate) const FORMATS: &[(&str, Precision)] = &[
    ("bfloat16", Precision::BF16),
    ("torch.bfloat16", Precision::BF16),
    ("bf16", Precision::BF16),
    ("float16", Precision::FP16),
    ("torch.float16", Precision::FP16),
    ("fp16", Precision::FP16),
    ("half", Precision::FP16),
    ("float32", Precision::FP32),
    ("torch.float32", Precision::FP32),
    ("fp32", Precision::FP32),
    ("float", Precision::FP32),
];

/// Claims the settings of the arguments, except method and precision.
pub(crate) fn read(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    settings::read(ARGUMENTS, settings, claims);
    host::read(&HOST, settings, claims);
    no_saves(settings, claims);
    if let Some((steps, setting)) = settings.get(&["max_steps"]).and_then(|s| Some((s.number()?, s)))
        && steps > 0
    {
        setting.says(claims, field::dataset::STEPS, steps);
    }
    switched(settings, &["packing"], field::batch::PACKING, claims);
    towers(settings, claims);
    shards(launch, settings, claims);
    // The second is its name since Transformers 5.24.
    recompute(settings, &["gradient_checkpointing", "activation_checkpointing"], claims);
    optimizer(settings, &["optim"], claims);
    by_pieces(settings, claims);
    settings::accumulation(settings, &["gradient_accumulation_steps"], claims);
}

/// `save_strategy: no`.
fn no_saves(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) = settings.get(&["save_strategy"]).filter(|setting| setting.truth() == Some(false)) {
        setting.says(claims, field::checkpoint::SAVES, 0u64);
    }
}

/// Weights go straight to the accelerator, unless ZeRO 3 or FSDP divides them: the program passes a `device_map`.
pub(crate) fn loads_directly(source: &str, claims: &mut Claims) {
    let divided = claims.get(field::parallelism::SHARDING);
    let divided =
        divided.is_some_and(|sharding| matches!(sharding, Sharding::ZeRO3 | Sharding::FSDP | Sharding::HSDP));
    if !divided && !claims.is_open(field::parallelism::SHARDING) {
        claims.assume(field::host::LOADING, Loading::Direct, source);
    }
}

/// Whether towers for images and audio are trained, in the words of ms-swift and of LLaMA-Factory.
pub(crate) fn towers(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["freeze_vit", "freeze_vision_tower"]) else { return };
    if let Some(frozen) = setting.truth() {
        setting.says(claims, field::finetuning::TRAIN_TOWERS, !frozen);
    }
}

/// By default, the Trainer steps after each batch.
pub(crate) fn steps_at_once(settings: &Settings<'_>, claims: &mut Claims) {
    let told = settings.has(&["gradient_accumulation_steps"]) || claims.accumulation.is_some();
    if !told && !claims.is_open(field::offload::PARAMETERS) {
        claims.accumulation = Some((1, "transformers 4.57 default".into()));
    }
}

/// A boolean.
pub(crate) fn switched(settings: &Settings<'_>, names: &[&str], field: Field<bool>, claims: &mut Claims) {
    let Some(setting) = settings.get(names) else { return };
    match setting.truth() {
        Some(on) => setting.says(claims, field, on),
        None => claims.unparsed(field),
    }
}

/// Gradient checkpointing, on or off. What FSDP's own checkpointing turns on stays on.
pub(crate) fn recompute(settings: &Settings<'_>, names: &[&str], claims: &mut Claims) {
    let Some(setting) = settings.get(names) else { return };
    let is_on = claims.gives(field::RECOMPUTE) && claims.get(field::RECOMPUTE) == Some(Recompute::Full);
    match setting.truth() {
        Some(false) if is_on => {}
        Some(on) => {
            setting.says(claims, field::RECOMPUTE, if on { Recompute::Full } else { Recompute::None });
        }
        // `unsloth` and `offload`: the saved tensors of each layer may be on the host.
        None if setting.text().is_some() => {
            setting.says(claims, field::RECOMPUTE, Recompute::Full);
            claims.open(field::offload::ACTIVATIONS, true);
        }
        None => claims.unparsed(field::RECOMPUTE),
    }
}

/// The optimizer, and how its step runs. An optimizer without a word in the spec may need less memory than all others.
pub(crate) fn optimizer(settings: &Settings<'_>, names: &[&str], claims: &mut Claims) {
    let Some(setting) = settings.get(names) else { return };
    let text = setting.text().unwrap_or_default().to_ascii_lowercase();
    let text = text.rsplit('.').next().unwrap_or_default();
    if PIECEWISE.iter().any(|piecewise| text.contains(piecewise)) {
        open_pieces(claims);
    }
    let Some(optimizer) = flags::one_of(OPTIMIZERS, text) else {
        claims.unparsed(field::OPTIMIZER);
        claims.open(field::OPTIMIZER, Optimizer::SGD);
        return;
    };
    setting.says(claims, field::OPTIMIZER, optimizer);
    match text {
        "adamw_torch_fused" => {
            setting.says(claims, field::OPTIMIZER_IMPLEMENTATION, OptimizerImplementation::Fused);
        }
        "adamw_torch" => {
            setting.says(claims, field::OPTIMIZER_IMPLEMENTATION, OptimizerImplementation::Foreach);
        }
        // Paged states move to the host if they do not fit.
        paged if paged.starts_with("paged") => claims.open(field::offload::OPTIMIZER, true),
        _ => {}
    }
}

/// Optimizers that project gradients, step during the backward pass, or train a part of the model at a time: `GaLore`,
/// `APOLLO`, LOMO, `BAdam`, LISA, `MeZO`.
const PIECEWISE: &[&str] = &["galore", "apollo", "lomo", "badam", "layerwise", "per_layer", "lisa", "mezo"];
const PIECEWISE_SWITCHES: &[&str] = &[
    "use_galore",
    "use_apollo",
    "use_badam",
    "optim_target_modules",
    "lisa_n_layers",
    "lisa_activated_layers",
];

/// What such an optimizer may hold at the least: no moments, no gradients, no copy of the weights in fp32, no activations
/// of the layers that it does not train now.
const PIECES: &[Assignment] = &[
    field::OPTIMIZER.is(Optimizer::SGD),
    field::OPTIMIZER_IN_BACKWARD.is(true),
    field::offload::OPTIMIZER.is(true),
    field::PARAMETER_PRECISION.is(Precision::BF16),
    field::GRADIENT_PRECISION.is(Precision::BF16),
    field::RECOMPUTE.is(Recompute::Full),
];

/// A switch of such an optimizer: `use_badam`, axolotl's `lisa_n_layers`.
fn by_pieces(settings: &Settings<'_>, claims: &mut Claims) {
    let is_on = |setting: Setting| setting.truth() != Some(false) && setting.number() != Some(0);
    // Each is asked, so that each counts as read.
    if PIECEWISE_SWITCHES.iter().filter(|switch| settings.get(&[switch]).is_some_and(is_on)).count() > 0 {
        open_pieces(claims);
    }
}

/// Such an optimizer may hold far less than `AdamW`, and no more. So its fields are open, also if a
/// setting gives them.
fn open_pieces(claims: &mut Claims) {
    for piece in PIECES {
        let leanest = Some(ValueOf::<AnyField>::json(piece.value));
        claims.open_field(OpenField { field: piece.field, leanest, heaviest: None, although_given: true });
    }
}

/// Names of checkpointing in people's own programs.
pub(crate) const OWN_CHECKPOINTING: &[&str] = &[
    "gradient_checkpointing",
    "use_gradient_checkpointing",
    "activation_checkpointing",
    "grad_checkpointing",
    "use_activation_checkpointing",
    "enable_gradient_checkpointing",
];

/// FSDP by a switch of people's own programs.
pub(crate) fn own_sharding(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) =
        settings.get(&["use_fsdp", "enable_fsdp"]).filter(|setting| setting.truth() == Some(true))
    {
        setting.says(claims, field::parallelism::SHARDING, Sharding::FSDP);
    }
}

/// `--fsdp "full_shard auto_wrap offload"`, with `--fsdp_config`. Any word turns FSDP on, and Accelerate shards fully if none is a
/// strategy (Transformers 4.57, `training_args.py`; Accelerate 1.11, `FullyShardedDataParallelPlugin`). The argument `--deepspeed` has its own reader; the key of
/// a file is read here.
pub(crate) fn shards(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let version = settings.get(&["fsdp_version", "fsdp_config.fsdp_version", "fsdp_config.version"]);
    if version.is_some_and(|version| version.number() == Some(2)) {
        accelerate::second_version(claims);
    }
    if let Some(setting) = settings.get(&["fsdp"]) {
        let words = match &setting.value {
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            _ => setting.text().unwrap_or_default(),
        };
        let moves = words.to_ascii_lowercase().contains("offload");
        let words: Vec<&str> = words.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let is_on = !words.is_empty() && setting.truth() != Some(false);
        if is_on && !words.iter().any(|word| accelerate::strategy_of(word).is_some()) {
            setting.says(claims, field::parallelism::SHARDING, Sharding::FSDP);
        }
        for word in words {
            if let Some((sharding, reshards)) = accelerate::strategy_of(word) {
                setting.says(claims, field::parallelism::SHARDING, sharding);
                if let Some(reshards) = reshards {
                    setting.says(claims, field::parallelism::RESHARD_AFTER_FORWARD, reshards);
                }
            } else if word.eq_ignore_ascii_case("offload") {
                setting.says(claims, field::offload::PARAMETERS, true);
            }
        }
        if setting.value.is_null() {
            deepspeed::unknown(claims);
        } else if !moves && !settings.has(&["fsdp_config"]) {
            setting.says(claims, field::offload::PARAMETERS, false);
            setting.says(claims, field::offload::OPTIMIZER, false);
        }
    }
    let checkpointing = ["fsdp_config.activation_checkpointing", "fsdp_config.fsdp_activation_checkpointing"];
    if let Some(setting) = settings.get(&checkpointing).filter(|setting| setting.truth() == Some(true)) {
        setting.says(claims, field::RECOMPUTE, Recompute::Full);
    } else if let Some(file) = settings.text(&["fsdp_config"])
        && let Some(config) = config::named(launch, &file, "--fsdp_config", claims)
        && checkpointing
            .iter()
            .filter_map(|key| key.strip_prefix("fsdp_config."))
            .any(|key| config.get(key).is_some_and(|value| value == &Value::Bool(true) || value == "true"))
    {
        claims.file(field::RECOMPUTE, Recompute::Full, &config.source, "activation_checkpointing");
    }
    if !launch.arguments.has("deepspeed")
        && let Some(setting) = settings.get(&["deepspeed"])
    {
        match &setting.value {
            Value::Object(_) => {
                let source = setting.source(claims);
                deepspeed::of(&config::within(source, "deepspeed", &setting.value, claims), claims);
            }
            _ => match setting.text() {
                Some(path) => deepspeed::named_file(launch, &path, "deepspeed", claims),
                None => deepspeed::unknown(claims),
            },
        }
    }
}

/// Names of the format that the weights are loaded in.
const LOADED: &[&str] = &["torch_dtype", "dtype", "model_dtype"];

/// The formats of the computation and of the loaded weights.
pub(crate) fn precision(settings: &Settings<'_>, claims: &mut Claims) {
    for (name, precision) in [("bf16", Precision::BF16), ("fp16", Precision::FP16)] {
        if let Some(setting) = settings.get(&[name]).filter(|setting| setting.truth() == Some(true)) {
            setting.says(claims, field::PRECISION, precision);
            break;
        }
    }
    loaded(settings, LOADED, claims);
}

/// The format that a program loads without a request: fp32 before Transformers 5.0, the saved format since. The version is
/// unknown.
pub(crate) fn loaded_unasked(settings: &Settings<'_>, source: &str, claims: &mut Claims) {
    let copied = claims.get(field::parallelism::SHARDING).is_none_or(|sharding| sharding == Sharding::None);
    let full = claims.get(field::finetuning::METHOD).is_none_or(|method| method == Method::Full);
    if copied && full && !settings.has(LOADED) {
        claims.assume(field::PARAMETER_PRECISION, Precision::FP32, source);
        claims.open(field::PARAMETER_PRECISION, Precision::BF16);
    }
}

/// The format that the weights are loaded in. It is the stored one, unless a later step casts the weights. Without a format
/// of the computation, it is that one, too: then no autocast is requested.
pub(crate) fn loaded(settings: &Settings<'_>, names: &[&str], claims: &mut Claims) {
    let mixed = claims.knows(field::PRECISION);
    let Some(setting) = settings.get(names) else { return };
    let Some(format) = setting.text().and_then(|text| flags::one_of(FORMATS, &text)) else { return };
    let stays = stays_as_loaded(mixed, claims);
    if !mixed && (!stays || format == Precision::FP32) {
        setting.says(claims, field::PRECISION, format);
    }
    if stays {
        setting.says(claims, field::PARAMETER_PRECISION, format);
    }
}

/// Whether no later step casts the loaded weights.
pub(crate) fn stays_as_loaded(mixed: bool, claims: &Claims) -> bool {
    let recast = match claims.get(field::parallelism::SHARDING) {
        Some(Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3) => true,
        Some(Sharding::FSDP | Sharding::HSDP) => mixed,
        _ => false,
    };
    let quantized = claims.get(field::finetuning::METHOD).is_some_and(|method| method == Method::QLoRA);
    let undecided = claims.is_open(field::parallelism::SHARDING);
    !recast && !quantized && !undecided
}
