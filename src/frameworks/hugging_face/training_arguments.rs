//! The names of Transformers' `TrainingArguments`, and of PEFT's and TRL's arguments, which many programs share.
//!
//! Read from the releases Transformers 4.57.1, TRL 0.19.1 and 0.24.0, and PEFT 0.17.1. What one of them does where nothing is said differs between
//! versions (TRL turned gradient checkpointing and bf16 on in 2025, Transformers 5 loads weights as they were saved), so
//! defaults are each program's own and stand with it.
//!
//! ```text
//! bf16, or fp16         computes in it                     dtype, torch_dtype   weights as they are loaded
//! fsdp "full_shard …"   strategy; auto_wrap and offload     optim               optimizer and its implementation
//! ```
//!
//! The loaded format is the stored one only where nothing casts it again: DeepSpeed and FSDP's mixed precision keep fp32
//! of what is trained, and PEFT makes fp32 of what a quantized model leaves.

use serde_json::Value;

use crate::command::Launch;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Flag, Takes, flag};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Settings};
use crate::frameworks::{accelerate, deepspeed};

/// The arguments that mean the same wherever they stand.
pub(crate) const ARGUMENTS: &[Flag] = &[
    flag(&["per_device_train_batch_size", "per_gpu_train_batch_size"], "batch.microBatchSize", Takes::Number),
    flag(&["num_train_epochs"], "dataset.epochs", Takes::Number),
    flag(&["torch_compile"], "compile", Takes::Switch(true)),
    flag(
        &["use_liger_kernel", "use_liger", "enable_liger_kernel", "use_liger_loss"],
        "loss",
        Takes::Word("Fused"),
    ),
    flag(&["attn_implementation", "attn_impl"], "attention", Takes::OneOf(ATTENTION)),
];

/// Attention kernels by Transformers' names for them.
pub(crate) const ATTENTION: &[(&str, &str)] = &[
    ("flash_attention_2", "Flash"),
    ("flash_attention_3", "Flash"),
    ("flash_attn", "Flash"),
    ("kernels-community/flash-attn", "Flash"),
    ("kernels-community/flash-attn2", "Flash"),
    ("kernels-community/flash-attn3", "Flash"),
    ("kernels-community/vllm-flash-attn3", "Flash"),
    ("sdpa", "Flash"),
    ("eager", "Unfused"),
];

const OPTIMIZERS: &[(&str, &str)] = &[
    ("adamw_torch", "AdamW"),
    ("adamw_torch_fused", "AdamW"),
    ("adamw_torch_xla", "AdamW"),
    ("adamw_torch_npu_fused", "AdamW"),
    ("adamw_apex_fused", "AdamW"),
    ("adamw_hf", "AdamW"),
    ("adamw", "AdamW"),
    ("paged_adamw", "AdamW"),
    ("paged_adamw_32bit", "AdamW"),
    ("adamw_bnb_8bit", "AdamW8bit"),
    ("adamw_8bit", "AdamW8bit"),
    ("paged_adamw_8bit", "AdamW8bit"),
    ("adamw_torch_8bit", "AdamW8bit"),
    ("ao_adamw_8bit", "AdamW8bit"),
    ("adamw_torch_4bit", "AdamW4bit"),
    ("ao_adamw_4bit", "AdamW4bit"),
    ("adam", "AdamW"),
    ("fusedadam", "AdamW"),
    ("pagedadamw", "AdamW"),
    ("adamw8bit", "AdamW8bit"),
    ("adam8bit", "AdamW8bit"),
    ("pagedadamw8bit", "AdamW8bit"),
    ("adamw4bit", "AdamW4bit"),
    ("adafactor", "Adafactor"),
    ("sgd", "SGD"),
    ("lion", "Lion"),
    ("lion_32bit", "Lion"),
    ("lion_pytorch", "Lion"),
    ("paged_lion", "Lion"),
    ("paged_lion_32bit", "Lion"),
    ("muon", "Muon"),
];

/// Number formats by PyTorch's names for them.
pub(crate) const FORMATS: &[(&str, &str)] = &[
    ("bfloat16", "BF16"),
    ("torch.bfloat16", "BF16"),
    ("bf16", "BF16"),
    ("float16", "FP16"),
    ("torch.float16", "FP16"),
    ("fp16", "FP16"),
    ("half", "FP16"),
    ("float32", "FP32"),
    ("torch.float32", "FP32"),
    ("fp32", "FP32"),
    ("float", "FP32"),
];

/// Says what the arguments say, but for method and precision.
pub(crate) fn read(launch: &Launch, settings: &Settings<'_>, said: &mut Said) {
    settings::read(ARGUMENTS, settings, said);
    if let Some((steps, setting)) = settings.get(&["max_steps"]).and_then(|s| Some((s.number()?, s)))
        && steps > 0
    {
        setting.says(said, "dataset.steps", steps);
    }
    switched(settings, &["packing"], "batch.packing", said);
    // The second is its name since Transformers 5.24.
    recompute(settings, &["gradient_checkpointing", "activation_checkpointing"], said);
    optimizer(settings, &["optim"], said);
    by_pieces(settings, said);
    if let Some(setting) = settings.get(&["gradient_accumulation_steps"]) {
        said.accumulation = setting.number().map(|steps| (steps, setting.source(said)));
    }
    fsdp(launch, settings, said);
}

/// The Trainer steps once a batch, where neither it nor DeepSpeed's configuration is told otherwise.
pub(crate) fn steps_at_once(settings: &Settings<'_>, said: &mut Said) {
    let told = settings.has(&["gradient_accumulation_steps"]) || said.accumulation.is_some();
    if !told && !said.may_be("offload.parameters") {
        said.accumulation = Some((1, "transformers 4.57 default".into()));
    }
}

/// A truth as it stands.
pub(crate) fn switched(settings: &Settings<'_>, names: &[&str], field: &'static str, said: &mut Said) {
    settings::read_one(settings, names, field, Takes::Switch(true), said);
}

/// Gradient checkpointing, on or off.
pub(crate) fn recompute(settings: &Settings<'_>, names: &[&str], said: &mut Said) {
    let Some(setting) = settings.get(names) else { return };
    match setting.truth() {
        Some(on) => setting.says(said, "recompute", if on { "Full" } else { "None" }),
        // `unsloth` and `offload`: what is kept of each layer may lie on the host.
        None if setting.text().is_some() => {
            setting.says(said, "recompute", "Full");
            said.may("offload.activations", true);
        }
        None => said.unread("recompute"),
    }
}

/// The optimizer, and how its step runs. One that the spec has no word for may hold less than any that it has.
pub(crate) fn optimizer(settings: &Settings<'_>, names: &[&str], said: &mut Said) {
    let Some(setting) = settings.get(names) else { return };
    let text = setting.text().unwrap_or_default().to_ascii_lowercase();
    let text = text.rsplit('.').next().unwrap_or_default();
    if PIECEWISE.iter().any(|piecewise| text.contains(piecewise)) {
        said.beyond = said.beyond.or(Some(BY_PIECES));
    }
    let Some(optimizer) = Takes::OneOf(OPTIMIZERS).read(text) else {
        said.unread("optimizer");
        said.may("optimizer", "SGD");
        return;
    };
    setting.says(said, "optimizer", optimizer);
    match text {
        "adamw_torch_fused" => setting.says(said, "optimizerImplementation", "Fused"),
        "adamw_torch" => setting.says(said, "optimizerImplementation", "Foreach"),
        // Paged states leave for the host where they do not fit.
        paged if paged.starts_with("paged") => said.may("offload.optimizer", true),
        _ => {}
    }
}

/// Optimizers that project gradients, or hold those of a part of the model at a time.
const PIECEWISE: &[&str] = &["galore", "apollo", "lomo", "badam", "layerwise", "per_layer"];
const PIECEWISE_SWITCHES: &[&str] = &["use_galore", "use_apollo", "use_badam", "optim_target_modules"];
const BY_PIECES: &str = "its optimizer never holds all gradients and moments";

/// Leaves alone what is trained piece by piece: `use_badam`, axolotl's `lisa_n_layers`.
fn by_pieces(settings: &Settings<'_>, said: &mut Said) {
    let switched = PIECEWISE_SWITCHES
        .iter()
        .any(|switch| settings.get(&[switch]).is_some_and(|setting| setting.truth() != Some(false)));
    if switched || settings.has(&["lisa_n_layers"]) {
        said.beyond = said.beyond.or(Some(BY_PIECES));
    }
}

/// `--fsdp "full_shard auto_wrap offload"`, with `--fsdp_config`; `--deepspeed` has a reader of its own where it is an
/// argument, and is read here where it is a key of a file.
fn fsdp(launch: &Launch, settings: &Settings<'_>, said: &mut Said) {
    if let Some(setting) = settings.get(&["fsdp"]) {
        let words = match &setting.value {
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            _ => setting.text().unwrap_or_default(),
        };
        let words = words.split([' ', ',']).filter(|word| !word.is_empty());
        for word in words {
            if let Some((sharding, reshards)) = accelerate::strategy_of(word) {
                setting.says(said, "parallelism.sharding", sharding);
                if let Some(reshards) = reshards {
                    setting.says(said, "parallelism.reshardAfterForward", reshards);
                }
            } else if word.eq_ignore_ascii_case("offload") {
                setting.says(said, "offload.parameters", true);
            } else if word.eq_ignore_ascii_case("true") {
                setting.says(said, "parallelism.sharding", "FSDP");
            }
        }
        if setting.value.is_null() {
            deepspeed::unknown(said);
        }
    }
    let checkpointing = ["fsdp_config.activation_checkpointing", "fsdp_config.fsdp_activation_checkpointing"];
    if let Some(setting) = settings.get(&checkpointing).filter(|setting| setting.truth() == Some(true)) {
        setting.says(said, "recompute", "Full");
    } else if let Some(file) = settings.text(&["fsdp_config"])
        && let Some(config) = config::named(launch, &file, "--fsdp_config", said)
        && checkpointing
            .iter()
            .filter_map(|key| key.strip_prefix("fsdp_config."))
            .any(|key| config.get(key).is_some_and(|value| value == &Value::Bool(true) || value == "true"))
    {
        said.file("recompute", "Full", &config.source, "activation_checkpointing");
    }
    if !launch.arguments.has("deepspeed")
        && let Some(setting) = settings.get(&["deepspeed"])
    {
        match &setting.value {
            Value::Object(_) => {
                let source = setting.source(said);
                deepspeed::of(&config::Config { source, tree: setting.value.clone() }, said);
            }
            _ => match setting.text() {
                Some(path) => deepspeed::named_file(launch, &path, "deepspeed", said),
                None => deepspeed::unknown(said),
            },
        }
    }
}

/// What the format is called that the weights are loaded in.
const LOADED: &[&str] = &["torch_dtype", "dtype", "model_dtype"];

/// The format that is computed in, and the one that is loaded.
pub(crate) fn precision(settings: &Settings<'_>, said: &mut Said) {
    for (name, precision) in [("bf16", "BF16"), ("fp16", "FP16")] {
        if let Some(setting) = settings.get(&[name]).filter(|setting| setting.truth() == Some(true)) {
            setting.says(said, "precision", precision);
            break;
        }
    }
    loaded(settings, LOADED, said);
}

/// What a program of Transformers' loads that asks for no format: fp32 before 5.0, what was saved since, and nobody knows
/// which version runs.
pub(crate) fn loaded_unasked(settings: &Settings<'_>, source: &str, said: &mut Said) {
    let is = |field: &str, word: &str| said.get(field).is_none_or(|value| value == word);
    if is("parallelism.sharding", "None") && is("finetuning.method", "Full") && !settings.has(LOADED) {
        said.assume("parameterPrecision", "FP32", source);
        said.may("parameterPrecision", "BF16");
    }
}

/// The format that the weights are loaded in: the stored one unless something casts them again, and then what is computed
/// in where nothing else is said. A stored format alone means that no autocast is asked for.
pub(crate) fn loaded(settings: &Settings<'_>, names: &[&str], said: &mut Said) {
    let mixed = said.knows("precision");
    let Some(setting) = settings.get(names) else { return };
    let Some(format) = setting.text().and_then(|text| Takes::OneOf(FORMATS).read(&text)) else { return };
    let stays = stays_as_loaded(mixed, said);
    if !mixed && (!stays || format == "FP32") {
        setting.says(said, "precision", format.clone());
    }
    if stays {
        setting.says(said, "parameterPrecision", format);
    }
}

/// Whether nothing casts the weights after they are loaded.
pub(crate) fn stays_as_loaded(mixed: bool, said: &Said) -> bool {
    let sharding = said.get("parallelism.sharding").and_then(Value::as_str).unwrap_or_default();
    let recast = sharding.starts_with("ZeRO") || matches!(sharding, "FSDP" | "HSDP") && mixed;
    let quantized = said.get("finetuning.method").is_some_and(|method| method == "QLoRA");
    let undecided = said.may_be("parallelism.sharding");
    !recast && !quantized && !undecided
}
