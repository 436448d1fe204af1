//! Programs that papers and projects published as one script, and that people copy: the values that they have without an
//! option.
//!
//! | script | options that tell it | read from |
//! | --- | --- | --- |
//! | Stanford Alpaca's and `FastChat`'s `train.py`, `train_mem.py` | `data_path` | tatsu-lab/stanford_alpaca at 15b51ae, lm-sys/FastChat at 0e6d3e4 |
//! | `LLaVA`'s `train.py`, `train_mem.py`, `train_xformers.py` | `vision_tower` | `haotian-liu/LLaVA` at c121f04 |
//! | alpaca-lora's `finetune.py` | `base_model`, and `cutoff_len` or `val_set_size` | tloen/alpaca-lora at 0003a00 |
//! | Platypus's `finetune.py` | `base_model` and `lr_scheduler` | arielnlee/Platypus at dc90c1a |
//! | Qwen's and Qwen-VL's `finetune.py` | `use_lora` and `lazy_preprocess` | QwenLM/Qwen at 2df8e8a |
//! | `qlora.py` | its name | artidoro/qlora at 7f4e95a |
//! | Accelerate's `nlp_example.py`, `complete_nlp_example.py` | their names | huggingface/accelerate at 16cb6eb8 |
//! | `LongLoRA`'s `fine-tune.py` | `low_rank_training`, `use_full_attn` or `trainable_params` | dvlab-research/LongLoRA at d4eb344 |
//!
//! **Recognised** by the file's name and such an option. A copy may differ, so the values are the usual ones, and what the
//! reader of own programs leaves open stays open. `LLaVA`'s tower is frozen, and its images take their places among the tokens of
//! `model_max_length`. Started without a launcher on several accelerators, alpaca-lora, Platypus and
//! QLoRA put the layers of one model on all of them.

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Framework, Method, Objective, Optimizer, Precision, Recompute, Sharding, field,
};
use crate::model::known;

/// A published script.
struct Script {
    source: &'static str,
    files: &'static [&'static str],
    /// Options of which one is given. Without any the name is enough.
    told_by: &'static [&'static str],
    /// The beginnings of the only models' names that it trains. Empty: any.
    models: &'static [&'static str],
    /// A further option that is given.
    and: Option<&'static str>,
    /// Its values without an option.
    defaults: &'static [Assignment],
    targets: &'static [&'static str],
    /// What its own options say.
    reads: fn(&Settings<'_>, &mut Claims),
    /// Whether it divides the model's layers among the devices of one process.
    divides_layers: bool,
}

const SCRIPTS: &[Script] = &[
    Script {
        source: LLAVA,
        files: &["train.py", "train_mem.py", "train_xformers.py"],
        models: &[],
        told_by: &["vision_tower"],
        and: Some("per_device_train_batch_size"),
        defaults: &[
            field::finetuning::METHOD.is(Method::Full),
            field::finetuning::RANK.is(64),
            field::finetuning::DROPOUT.is(5),
            field::batch::SEQUENCE_LENGTH.is(512),
            field::RECOMPUTE.is(Recompute::None),
        ],
        targets: &["all-linear"],
        reads: llava,
        divides_layers: false,
    },
    Script {
        source: "Stanford Alpaca default",
        files: &["train.py", "train_mem.py", "train_xformers.py"],
        models: &[],
        told_by: &["data_path"],
        and: Some("per_device_train_batch_size"),
        defaults: &[
            field::finetuning::METHOD.is(Method::Full),
            field::batch::SEQUENCE_LENGTH.is(512),
            field::RECOMPUTE.is(Recompute::None),
        ],
        targets: &[],
        reads: |_, _| {},
        divides_layers: false,
    },
    Script {
        source: "Platypus default",
        files: &["finetune.py"],
        models: &[],
        told_by: &["lr_scheduler"],
        and: Some("base_model"),
        defaults: &[
            field::finetuning::RANK.is(16),
            field::batch::SEQUENCE_LENGTH.is(4096),
            field::batch::MICRO_BATCH_SIZE.is(8),
        ],
        targets: &["gate_proj", "down_proj", "up_proj"],
        reads: eight_bits,
        divides_layers: true,
    },
    Script {
        source: "alpaca-lora default",
        files: &["finetune.py"],
        models: &[],
        told_by: &["cutoff_len", "val_set_size", "lora_target_modules"],
        and: Some("base_model"),
        defaults: &[
            field::finetuning::RANK.is(8),
            field::batch::SEQUENCE_LENGTH.is(256),
            field::batch::MICRO_BATCH_SIZE.is(4),
        ],
        targets: &["q_proj", "v_proj"],
        reads: eight_bits,
        divides_layers: true,
    },
    Script {
        source: QWEN,
        files: &["finetune.py"],
        models: &["qwen-"],
        told_by: &["use_lora"],
        and: Some("lazy_preprocess"),
        defaults: &[
            field::finetuning::RANK.is(64),
            field::finetuning::DROPOUT.is(5),
            field::batch::SEQUENCE_LENGTH.is(8192),
            field::RECOMPUTE.is(Recompute::None),
        ],
        targets: &["c_attn", "c_proj", "w1", "w2"],
        reads: qwen,
        divides_layers: false,
    },
    Script {
        source: "QLoRA default",
        files: &["qlora.py"],
        models: &[],
        told_by: &[],
        and: None,
        defaults: &[
            field::finetuning::RANK.is(64),
            field::finetuning::DROPOUT.is(0),
            field::batch::MICRO_BATCH_SIZE.is(1),
            field::RECOMPUTE.is(Recompute::Full),
            field::OPTIMIZER.is(Optimizer::AdamW),
        ],
        targets: &["all-linear"],
        reads: qlora,
        divides_layers: true,
    },
    Script {
        source: ACCELERATE,
        files: &["nlp_example.py", "complete_nlp_example.py"],
        models: &[],
        told_by: &[],
        and: None,
        defaults: &[
            field::FRAMEWORK.is(Framework::HuggingFace),
            field::OBJECTIVE.is(Objective::Classification),
            field::finetuning::METHOD.is(Method::Full),
            field::batch::MICRO_BATCH_SIZE.is(16),
            field::batch::SEQUENCE_LENGTH.is(512),
            field::batch::PACKING.is(false),
            field::OPTIMIZER.is(Optimizer::AdamW),
            field::RECOMPUTE.is(Recompute::None),
        ],
        targets: &[],
        reads: nlp_example,
        divides_layers: false,
    },
    Script {
        source: "LongLoRA default",
        files: &["fine-tune.py", "supervised-fine-tune.py"],
        models: &[],
        told_by: &["low_rank_training", "use_full_attn", "trainable_params"],
        and: None,
        defaults: &[
            field::batch::SEQUENCE_LENGTH.is(32_768),
            field::RECOMPUTE.is(Recompute::Full),
            field::ATTENTION.is(Attention::Flash),
            field::finetuning::RANK.is(8),
            field::finetuning::DROPOUT.is(0),
        ],
        targets: &["q_proj", "k_proj", "v_proj", "o_proj"],
        reads: longlora,
        divides_layers: false,
    },
];

const QWEN: &str = "Qwen's finetune.py";
const LLAVA: &str = "LLaVA default";
const ACCELERATE: &str = "Accelerate's example";

/// The towers of `LLaVA` and its kin: the end of the name, parameters, width. Counted from the classes of Transformers 5.24 with the
/// published sizes: openai/CLIP's ViT-L/14, and `SigLIP`'s So400m (google-research/big_vision).
const TOWERS: &[(&str, u64, u64)] = &[
    ("clip-vit-large-patch14-336", 303_507_456, 1_024),
    ("clip-vit-large-patch14", 303_179_776, 1_024),
    ("siglip-so400m-patch14-384", 428_225_600, 1_152),
];

/// Options of forks that load their models in other ways, such as h2oGPT's.
const FORKS: &[&str] = &["prompt_type", "train_8bit", "llama_flash_attn"];

/// Whether it is the launch of such a script.
pub(crate) fn recognises(launch: &Launch) -> bool {
    script(launch).is_some()
}

fn script(launch: &Launch) -> Option<&'static Script> {
    let Target::Script(path) = &launch.target else { return None };
    let file = path.rsplit('/').next().unwrap_or(path);
    let has = |name: &&str| launch.arguments.has(name);
    SCRIPTS.iter().find(|script| {
        script.files.contains(&file)
            && (script.told_by.is_empty() || script.told_by.iter().any(&has))
            && script.and.is_none_or(|name| has(&name))
            && (script.models.is_empty() || script.models.iter().any(|start| is_named(launch, start)))
            && !FORKS.iter().any(&has)
            // A program whose text is known is read itself.
            && launch.script.as_ref().is_none_or(|script| script.program.is_none())
    })
}

/// Whether the name of the model begins so, in small letters.
fn is_named(launch: &Launch, start: &str) -> bool {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let name = settings.text(&["model_name_or_path"]).unwrap_or_default().to_lowercase();
    name.rsplit('/').next().is_some_and(|last| last.starts_with(start))
}

/// Claims what the script does without an option.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(script) = script(launch) else { return };
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    (script.reads)(&settings, claims);
    let full = claims.get(field::finetuning::METHOD) == Some(Method::Full);
    let defaults = script.defaults.iter().copied();
    let defaults: Vec<_> = defaults
        .filter(|default| {
            let is_method = default.field == field::finetuning::METHOD.erased();
            !full || is_method || !field::FINETUNING.has(default.field)
        })
        .collect();
    settings::assume(&defaults, script.source, claims);
    if !full && !script.targets.is_empty() {
        claims.assume(field::finetuning::TARGETS, script.targets.to_vec(), script.source);
    }
    if script.divides_layers {
        claims.layers_over_devices = Some(script.source.into());
    }
}

/// Whether it is `LLaVA`'s script, with a tower for images.
pub(super) fn has_tower(launch: &Launch) -> bool {
    script(launch).is_some_and(|script| script.source == LLAVA)
}

/// Adapters if they are asked for, a frozen tower, and a projection of two matrices into the language model.
fn llava(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) = settings.get(&["lora_enable"]).filter(|setting| setting.truth() == Some(true)) {
        let few = settings.get(&["bits"]).and_then(|bits| bits.number()).is_some_and(|bits| bits < 16);
        let method = if few { Method::QLoRA } else { Method::LoRA };
        setting.says(claims, field::finetuning::METHOD, method);
    } else {
        claims.assume(field::finetuning::METHOD, Method::Full, LLAVA);
    }
    let Some(setting) = settings.get(&["vision_tower"]) else { return };
    // `CLIPVisionTower` freezes its weights, also in a full training (`llava/model/multimodal_encoder/clip_encoder.py`).
    claims.assume(field::finetuning::TRAIN_TOWERS, false, LLAVA);
    claims.assume(field::finetuning::TRAIN_PROJECTION, true, LLAVA);
    let name = setting.text().unwrap_or_default();
    let Some((_, tower, width)) = TOWERS.iter().find(|(end, ..)| name.trim_end_matches('/').ends_with(end))
    else {
        return;
    };
    let model = settings.text(&["model_name_or_path"]);
    let hidden = model.as_deref().and_then(known::find).and_then(|known| known.model.hidden_size);
    let hidden = hidden.map_or(0, u64::from);
    let projection = hidden.saturating_mul(width.saturating_add(hidden).saturating_add(2));
    setting.says(claims, field::model::TOWER_PARAMETERS, tower.saturating_add(projection));
    setting.says(claims, field::model::PROJECTION_PARAMETERS, projection.max(1));
}

/// BERT, which each process has whole unless the launcher says otherwise.
fn nlp_example(settings: &Settings<'_>, claims: &mut Claims) {
    claims.assume(field::model::NAME, "bert-base-cased", ACCELERATE);
    if let Some(setting) = settings.get(&["mixed_precision"]) {
        match setting.text().and_then(|text| flags::one_of(training_arguments::FORMATS, &text)) {
            Some(precision) => setting.says(claims, field::PRECISION, precision),
            None if setting.text().is_some_and(|text| text == "no") => {
                setting.says(claims, field::PRECISION, Precision::FP32);
            }
            None => claims.unparsed(field::PRECISION),
        }
    } else if !claims.knows(field::PRECISION) {
        claims.assume(field::PRECISION, Precision::FP32, ACCELERATE);
    }
    let told = claims.knows(field::parallelism::SHARDING) || claims.is_open(field::parallelism::SHARDING);
    if !told {
        claims.assume(field::parallelism::SHARDING, Sharding::None, ACCELERATE);
    }
    claims.accumulation = Some((1, ACCELERATE.into()));
}

/// Adapters, with embedding and output layer trained whole beside those of a base model.
fn qwen(settings: &Settings<'_>, claims: &mut Claims) {
    let chat = settings.text(&["model_name_or_path"]).is_none_or(|name| name.to_lowercase().contains("chat"));
    if settings.on(&["use_lora"]) == Some(true) && settings.on(&["q_lora"]) != Some(true) && !chat {
        claims.assume(field::finetuning::MODULES_TO_SAVE, vec!["wte", "lm_head"], QWEN);
    }
}

/// Weights in 8 bits, adapters, fp16, and checkpointing by `prepare_model_for_int8_training`.
fn eight_bits(settings: &Settings<'_>, claims: &mut Claims) {
    const SOURCE: &str = "alpaca-lora default";
    claims.assume(field::finetuning::METHOD, Method::QLoRA, SOURCE);
    claims.assume(field::quantization::BITS, 8, SOURCE);
    claims.assume(field::finetuning::DROPOUT, 5, SOURCE);
    claims.assume(field::PRECISION, Precision::FP16, SOURCE);
    claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE);
    // The samples of a step of all ranks.
    settings.has(&["batch_size"]);
}

/// Weights in 4 bits, unless `--bits` or `--full_finetune` say otherwise, and two lengths that are added.
fn qlora(settings: &Settings<'_>, claims: &mut Claims) {
    const SOURCE: &str = "QLoRA default";
    let by = settings.get(&["full_finetune"]).filter(|setting| setting.truth() == Some(true));
    let bits = settings.get(&["bits"]);
    match (by, bits.as_ref().map(|setting| (setting.number(), setting))) {
        (Some(full), _) => full.says(claims, field::finetuning::METHOD, Method::Full),
        (None, Some((Some(4), setting))) => setting.says(claims, field::finetuning::METHOD, Method::QLoRA),
        (None, Some((Some(8), setting))) => {
            setting.says(claims, field::finetuning::METHOD, Method::QLoRA);
            setting.says(claims, field::quantization::BITS, 8);
        }
        (None, Some((Some(_), setting))) => setting.says(claims, field::finetuning::METHOD, Method::LoRA),
        (None, Some((None, _))) => claims.unparsed(field::finetuning::METHOD),
        (None, None) => claims.assume(field::finetuning::METHOD, Method::QLoRA, SOURCE),
    }
    claims.assume(field::quantization::DOUBLE, true, SOURCE);
    let source = settings.number_or(&["source_max_len"], 1_024);
    let lengths = source.zip(settings.number_or(&["target_max_len"], 256));
    if let Some((source, target)) = lengths {
        claims.argument(field::batch::SEQUENCE_LENGTH, source.saturating_add(target), "--target_max_len");
    }
    settings.has(&["lora_modules", "lora_alpha"]);
}

/// Adapters with embeddings and norms that are trained whole, unless `--low_rank_training` is off.
fn longlora(settings: &Settings<'_>, claims: &mut Claims) {
    const SOURCE: &str = "LongLoRA default";
    match settings.get(&["low_rank_training"]) {
        Some(setting) => match setting.truth() {
            Some(true) => setting.says(claims, field::finetuning::METHOD, Method::LoRA),
            Some(false) => setting.says(claims, field::finetuning::METHOD, Method::Full),
            None => claims.unparsed(field::finetuning::METHOD),
        },
        None => claims.assume(field::finetuning::METHOD, Method::LoRA, SOURCE),
    }
}
