//! LLaMA-Factory: `llamafactory-cli train sft.yaml`, `torchrun src/train.py --stage sft …`.
//!
//! **Recognised** by its program, or by `--stage` with `--finetuning_type`, `--template` or `--cutoff_len`, in
//! arguments or in their file. Its keys are Transformers' and its own. Read from the release 0.9.3
//! (`llamafactory/hparams`): LoRA of rank 8 without dropout on all linear layers, 2048 tokens, and gradient
//! checkpointing on. Each rank holds a copy of the model, unless DeepSpeed or FSDP divides it. It trains fp32 copies of
//! weights that it loads in bf16, unless `pure_bf16` is set. The scales of four bits are quantized again, and the other
//! weights of a quantized model keep the format of the computation.
//!
//! A configuration that it ships (`examples/train_lora/llama3_lora_sft.yaml`) is known by its path.
//!
//! Stages and the losses of preferences are objectives. A reference is the model without its adapters, or a copy of all
//! weights (`create_ref_model`). In `ppo` the trained model predicts rewards itself, beside a full reward model. Its
//! other backends are not covered: Megatron-Core (`USE_MCA=1`) and `KTransformers` (`use_kt`).

pub(super) mod list;

use serde_json::json;

use crate::command::{Launch, Target};
use crate::frameworks::deepspeed;
use crate::frameworks::hugging_face::objective::{self, Defaults};
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config, ReadFile};
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::unsloth;
use crate::job::{
    Attention, Cause, Framework, Method, Objective, OpenField, Placement, Precision, Recompute, Sharding,
    ValueOf, field,
};

const SOURCE: &str = "LLaMA-Factory 0.9 default";

/// The configurations that it ships, by path.
const EXAMPLES: &str = include_str!("examples.tsv");

const TELLING: &[&str] = &["finetuning_type", "template", "cutoff_len", "lora_target"];

/// Losses of preferences without a reference, in the stage `dpo`.
const WITHOUT_REFERENCE: &[(&str, Objective)] = &[("orpo", Objective::ORPO), ("simpo", Objective::SimPO)];
/// Where its defaults decide what else is held. It generates with the trained model.
const DEFAULTS: Defaults = Defaults { source: SOURCE, beta: 0.1, engine_percent: 0, completion: 1024 };

const FLASH: &[(&str, Attention)] = &[
    ("fa2", Attention::Flash),
    ("fa3", Attention::Flash),
    ("sdpa", Attention::Flash),
    ("disabled", Attention::Unfused),
];

const FLAGS: Table = &[
    &flag(&["model_name_or_path"], field::model::NAME, Takes::Text),
    &flag(&["cutoff_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["neat_packing"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["flash_attn"], field::ATTENTION, Takes::OneOf(FLASH)),
];

/// Whether the launch runs LLaMA-Factory.
pub(crate) fn recognises(launch: &Launch) -> bool {
    if is_its_program(launch) {
        return true;
    }
    if !matches!(launch.target, Target::Script(_) | Target::Module(_)) {
        return false;
    }
    let settings = settings_of(launch, &mut Claims::default());
    settings.has(&["stage"]) && TELLING.iter().any(|name| settings.has(&[name]))
}

fn is_its_program(launch: &Launch) -> bool {
    launch.runs_program("llamafactory-cli train")
        || launch.runs_program("lmf train")
        || launch.runs_module("llamafactory.launcher")
        || launch.runs_script(&["train_bash.py"])
}

fn settings_of<'a>(launch: &'a Launch, claims: &mut Claims) -> Settings<'a> {
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments), Place::Words(&launch.arguments)]);
    if let Some(path) = config::positional(&launch.arguments)
        && let Some(config) =
            shipped(launch, path, claims).or_else(|| config::named(launch, path, "its argument", claims))
    {
        settings.add(Place::File(config));
    }
    settings
}

/// A configuration that LLaMA-Factory ships, unless the object itself has a file at its path.
fn shipped(launch: &Launch, path: &str, claims: &mut Claims) -> Option<Config> {
    if launch.files.meant(path).is_some() {
        return None;
    }
    let is_at = |known: &str| {
        path.strip_suffix(known).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    let keys = EXAMPLES.lines().filter_map(|line| line.split_once('\t')).find(|(known, _)| is_at(known));
    let config = Config::new("LLaMA-Factory 0.9 example".into(), serde_json::from_str(keys?.1).ok()?);
    claims.files.push(ReadFile::of(&config));
    Some(config)
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = settings_of(launch, claims);
    // An unknown file may set any field.
    let known = config::positional(&launch.arguments).is_none() || settings.has(&["model_name_or_path"]);
    match settings.get(&["use_unsloth"]).filter(|setting| setting.truth() == Some(true)) {
        Some(setting) => unsloth::loads(&setting, claims),
        None => claims.argument(field::FRAMEWORK, Framework::HuggingFace, "LLaMA-Factory"),
    }
    if settings.on(&["do_train"]) != Some(true) && settings.on(&["do_eval", "do_predict"]) == Some(true) {
        claims.beyond = Some(Cause::Evaluation);
    }
    let megatron = launch
        .environment
        .get("USE_MCA")
        .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
    if megatron {
        claims.beyond = Some(Cause::OtherBackend);
    }
    if settings.on(&["use_kt"]) == Some(true) {
        claims.beyond = Some(Cause::ExpertsOnHost);
    }
    settings::read(FLAGS, &settings, claims);
    let told = peft::read(&settings, false, claims);
    training_arguments::read(launch, &settings, claims);
    training_arguments::precision(&settings, claims);
    if let Some(pure) = settings.get(&["pure_bf16"]).filter(|setting| setting.truth() == Some(true)) {
        pure.says(claims, field::PRECISION, Precision::BF16);
        pure.says(claims, field::PARAMETER_PRECISION, Precision::BF16);
    }
    if let Some(setting) = settings.get(&["disable_gradient_checkpointing"]) {
        match setting.truth() {
            Some(off) => {
                setting.says(claims, field::RECOMPUTE, if off { Recompute::None } else { Recompute::Full });
            }
            None => claims.unparsed(field::RECOMPUTE),
        }
    }
    if known {
        defaults(launch, &settings, told, claims);
        stage(&settings, claims);
    } else {
        deepspeed::unknown(claims);
        claims.open(field::finetuning::METHOD, Method::QLoRA);
    }
}

/// The stage's objective, and the models that it holds beside the trained one.
fn stage(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(stage) = settings.get(&["stage"]) else { return };
    let Some(name) = stage.text().filter(|name| !["sft", "pt"].contains(&name.as_str())) else { return };
    let Some(named) = flags::one_of(objective::NAMES, &name) else {
        claims.beyond = Some(Cause::OtherStage);
        return;
    };
    let loss = settings.get(&["pref_loss"]).filter(|_| named == Objective::DPO);
    let other = loss.and_then(|loss| Some((flags::one_of(WITHOUT_REFERENCE, &loss.text()?)?, loss)));
    if let Some((objective, loss)) = other {
        loss.says(claims, field::OBJECTIVE, objective);
        return;
    }
    stage.says(claims, field::OBJECTIVE, named);
    if named == Objective::Reward {
        // TRL's value head computes the logits of the vocabulary, too. No more than those of a loss on them.
        claims.open_field(OpenField {
            field: field::OBJECTIVE.erased(),
            leanest: None,
            heaviest: Some(Objective::SimPO.json()),
            although_given: true,
        });
    }
    objective::roles(named, DEFAULTS, settings, claims);
    if named == Objective::PPO {
        claims.assume(field::roles::CRITIC_MODEL, Placement::Trained, SOURCE);
        if matches!(settings.text(&["reward_model_type"]).as_deref(), None | Some("lora" | "api")) {
            claims.argument(field::roles::REWARD_MODEL, Placement::Trained, "reward_model_type");
        }
    }
}

fn defaults(launch: &Launch, settings: &Settings<'_>, told: Option<()>, claims: &mut Claims) {
    if told.is_none() {
        claims.assume(field::finetuning::METHOD, Method::LoRA, SOURCE);
    }
    if claims.get(field::finetuning::METHOD).is_some_and(|method| method != Method::Full) {
        settings::assume(&[field::finetuning::RANK.is(8), field::finetuning::DROPOUT.is(0)], SOURCE, claims);
        claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
        if settings.on(&["resize_vocab"]) == Some(true) {
            claims.assume(field::finetuning::MODULES_TO_SAVE, vec!["embed_tokens", "lm_head"], SOURCE);
        }
        // Tokens that its tokenizer lacks resize the vocabulary, too.
        if settings.get(&["new_special_tokens", "add_tokens", "add_special_tokens"]).is_some() {
            let saved = Some(json!(["embed_tokens", "lm_head"]));
            let field = field::finetuning::MODULES_TO_SAVE.erased();
            claims.open_field(OpenField { field, leanest: None, heaviest: saved, although_given: false });
        }
        // It casts all trained parameters, unless told not to.
        if claims.knows(field::finetuning::MODULES_TO_SAVE) && is_off(settings, "pure_bf16") {
            claims.assume(field::finetuning::SAVED_PRECISION, Precision::FP32, SOURCE);
        }
    }
    peft::keeps_precision(true, SOURCE, claims);
    let sharded = ["deepspeed", "fsdp"].iter().any(|name| settings.has(&[name]));
    let started = ["accelerate launch", "deepspeed"].iter().any(|name| launch.launcher(name).is_some());
    if !sharded && !started {
        claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE);
        if claims.knows(field::PRECISION)
            && claims.get(field::finetuning::METHOD).is_some_and(|method| method == Method::Full)
        {
            claims.assume(field::PARAMETER_PRECISION, Precision::FP32, SOURCE);
        }
    }
    training_arguments::steps_at_once(settings, claims);
    training_arguments::loads_directly(SOURCE, claims);
    // Without a device map the weights are cast on the host.
    let maps = settings.get(&["low_cpu_mem_usage"]).is_none_or(|setting| setting.truth() == Some(true));
    let casts = maps
        && is_off(settings, "pure_bf16")
        && claims.get(field::finetuning::METHOD).is_some_and(|method| method == Method::Full)
        && claims
            .get(field::parallelism::SHARDING)
            .is_some_and(|sharding| matches!(sharding, Sharding::ZeRO1 | Sharding::ZeRO2));
    if casts {
        claims.assume(field::host::LOADED_PRECISION, Precision::FP32, SOURCE);
    }
    let own = [
        field::RECOMPUTE.is(Recompute::Full),
        field::batch::SEQUENCE_LENGTH.is(2048),
        field::batch::MICRO_BATCH_SIZE.is(8),
    ];
    settings::assume(&own, SOURCE, claims);
}

/// Whether a switch is surely off: not given, or false.
fn is_off(settings: &Settings<'_>, name: &str) -> bool {
    settings.get(&[name]).is_none_or(|setting| setting.truth() == Some(false))
}
