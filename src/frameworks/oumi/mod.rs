//! oumi: `oumi train -c train.yaml`, `torchrun -m oumi train -c train.yaml`, `oumi distributed torchrun -m oumi train …`.
//!
//! **Recognised** by its program or module. Its YAML file has the groups `model`, `training`, `peft`, `fsdp`, `deepspeed` and
//! `data`. Options with the same paths override it: `--training.max_steps 10`.
//!
//! Read from the release 0.8 (`src/oumi/core/configs/params`). It runs the trainers of Transformers and TRL, or its own loop
//! over the same modules. Defaults: a batch of 8, no checkpointing, adapters of rank 8 without dropout, and four bits whose
//! scales are not quantized again. The weights are loaded in `torch_dtype_str`, which is also the format of the computation
//! unless `mixed_precision_dtype` says another. Without a launcher it is one process, which splits the model over the
//! accelerators (`device_map: auto`).

pub(super) mod list;

use crate::command::Launch;
use crate::frameworks::hugging_face::objective;
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::reading::subjects::{OptionValue, Subject};
use crate::frameworks::{accelerate, deepspeed};
use crate::job::{
    Assignment, Cause, Framework, LayerKernels, Loss, Method, Objective, Precision, Recompute, Sharding,
    field,
};

const SOURCE: &str = "oumi 0.8 default";

const KEYS: Table = &[
    &flag(&["model.model_name"], field::model::NAME, Takes::Text),
    &flag(&["model.model_max_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["model.attn_implementation"], field::ATTENTION, Takes::OneOf(training_arguments::ATTENTION)),
    &flag(&["model.enable_liger_kernel"], field::LOSS, Takes::Word(Loss::Fused)),
    &flag(&["model.enable_liger_kernel"], field::LAYER_KERNELS, Takes::Word(LayerKernels::Liger)),
    &flag(&["training.per_device_train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["training.num_train_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["data.train.pack"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["training.compile", "model.compile"], field::COMPILE, Takes::Switch(true)),
    &flag(&["fsdp.cpu_offload"], field::offload::PARAMETERS, Takes::Switch(true)),
];

/// The trainers, and their objectives.
const TRAINERS: &[(&str, Objective)] = &[
    ("hf", Objective::Supervised),
    ("oumi", Objective::Supervised),
    ("trl_sft", Objective::Supervised),
    ("trl_dpo", Objective::DPO),
    ("trl_kto", Objective::KTO),
    ("trl_grpo", Objective::GRPO),
    ("trl_gkd", Objective::Distillation),
];

const DEFAULTS: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(8),
    field::finetuning::METHOD.is(Method::Full),
    field::RECOMPUTE.is(Recompute::None),
];

const LOADED_IN_FEW_BITS: &[&str] = &[
    "model.model_kwargs.load_in_4bit",
    "model.model_kwargs.load_in_8bit",
    "model.model_kwargs.quantization_config",
];

const ADAPTERS: &[Assignment] = &[field::finetuning::RANK.is(8), field::finetuning::DROPOUT.is(0)];

/// Whether the launch runs oumi.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let first = launch.arguments.words().first().map(|word| word.text.as_str());
    launch.runs_program("oumi train")
        || (launch.runs_module("oumi") && first == Some("train"))
        || launch.runs_module("oumi.train")
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::HuggingFace, "oumi");
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments), Place::Words(&launch.arguments)]);
    let path = settings.text(&["config", "c"]);
    let file = path.as_deref().and_then(|path| config::named(launch, path, "--config", claims));
    let known = file.is_some();
    if let Some(file) = file {
        // PEFT's and TRL's names stand in groups of oumi's own.
        let mut flat = file.clone();
        flat.flatten();
        settings.add(Place::File(file));
        settings.add(Place::File(flat));
    }
    settings::read(KEYS, &settings, claims);
    if !known {
        // The deciding settings are in the file.
        deepspeed::unknown(claims);
        claims.open(field::finetuning::METHOD, Method::QLoRA);
        return;
    }
    sharding(launch, &settings, claims);
    method(&settings, claims);
    formats(&settings, claims);
    training_arguments::recompute(&settings, &["training.enable_gradient_checkpointing"], claims);
    training_arguments::optimizer(&settings, &["training.optimizer"], claims);
    if let Some(setting) = settings.get(&["training.gradient_accumulation_steps"]) {
        claims.accumulation = setting.number().map(|steps| (steps, setting.source(claims)));
    } else {
        claims.accumulation = Some((1, SOURCE.into()));
    }
    let steps = settings.get(&["training.max_steps"]).and_then(|setting| Some((setting.number()?, setting)));
    if let Some((steps, setting)) = steps.filter(|(steps, _)| *steps > 0) {
        setting.says(claims, field::dataset::STEPS, steps);
    }
    if settings.get(&["model.freeze_layers"]).is_some_and(|layers| layers.texts().next().is_some()) {
        complete::leave_frozen_open(claims);
    }
    settings::assume(DEFAULTS, SOURCE, claims);
    trainer(&settings, claims);
}

/// All weights, or PEFT's adapters.
fn method(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["training.use_peft", "use_peft"]) else { return };
    if setting.truth() == Some(false) {
        return setting.says(claims, field::finetuning::METHOD, Method::Full);
    }
    let quantized = settings.get(&["peft.q_lora"]);
    let bits = settings.get(&["peft.q_lora_bits"]).and_then(|setting| Some((setting.number()?, setting)));
    if let Some(quantized) = quantized.filter(|setting| setting.truth() != Some(false)) {
        quantized.says(claims, field::finetuning::METHOD, Method::QLoRA);
        if let Some((bits, setting)) = bits {
            setting.says(claims, field::quantization::BITS, bits);
        }
        claims.assume(field::quantization::DOUBLE, false, SOURCE);
    } else {
        setting.says(claims, field::finetuning::METHOD, Method::LoRA);
        // What `from_pretrained` takes may ask for few bits, too.
        if settings.has(LOADED_IN_FEW_BITS) {
            Subject::Quantization.open(OptionValue::Other, false, claims);
        }
    }
    peft::ranks(settings, claims);
    settings::assume(ADAPTERS, SOURCE, claims);
}

/// FSDP, DeepSpeed, or a copy on every rank.
fn sharding(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let sharding = field::parallelism::SHARDING;
    let on = |name: &str| settings.get(&[name]).filter(|setting| setting.truth() != Some(false));
    if let Some(fsdp) = on("fsdp.enable_fsdp") {
        let strategy = settings.get(&["fsdp.sharding_strategy"]);
        let name = strategy.as_ref().map_or(Some("FULL_SHARD".to_owned()), settings::Setting::text);
        match name.and_then(|name| accelerate::strategy_of(&name)) {
            Some((divided, reshards)) => {
                strategy.as_ref().unwrap_or(&fsdp).says(claims, sharding, divided);
                if let Some(reshards) = reshards {
                    fsdp.says(claims, field::parallelism::RESHARD_AFTER_FORWARD, reshards);
                }
            }
            None => claims.unparsed(sharding),
        }
    } else if let Some(by) = on("deepspeed.enable_deepspeed") {
        if let Some(path) = settings.text(&["deepspeed.deepspeed_config_path"]) {
            return deepspeed::named_file(launch, &path, "deepspeed.deepspeed_config_path", claims);
        }
        let stage = settings.text(&["deepspeed.zero_stage"]);
        let stage = stage.map_or(Some("0".to_owned()), |stage| stage.rsplit('_').next().map(str::to_owned));
        match stage.and_then(|stage| deepspeed::stage(&stage)) {
            Some(divided) => by.says(claims, sharding, divided),
            None => claims.unparsed(sharding),
        }
        for (group, field) in [
            ("deepspeed.offload_optimizer", field::offload::OPTIMIZER),
            ("deepspeed.offload_param", field::offload::PARAMETERS),
        ] {
            if let Some(setting) = settings.get(&[group]) {
                setting.says(claims, field, true);
            }
        }
    } else if launch.launchers.is_empty() {
        claims.open(sharding, Sharding::FSDP);
    } else if !claims.knows(sharding) {
        claims.assume(sharding, Sharding::None, SOURCE);
    }
}

/// The formats of the computation and of the loaded weights.
fn formats(settings: &Settings<'_>, claims: &mut Claims) {
    const NAMES: &[&str] = &["training.mixed_precision_dtype", "fsdp.mixed_precision"];
    if let Some(setting) = settings.get(NAMES)
        && let Some(name) = setting.text()
        && name != "none"
    {
        match flags::one_of(training_arguments::FORMATS, &name) {
            Some(format) => setting.says(claims, field::PRECISION, format),
            None => claims.unparsed(field::PRECISION),
        }
    }
    training_arguments::loaded(settings, &["model.torch_dtype_str"], claims);
    claims.assume(field::PRECISION, Precision::BF16, SOURCE);
}

/// The trainer's objective.
fn trainer(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["training.trainer_type"]) else { return };
    match setting.text().and_then(|name| flags::one_of(TRAINERS, &name)) {
        Some(Objective::Supervised) => {}
        Some(objective) => {
            setting.says(claims, field::OBJECTIVE, objective);
            objective::roles(objective, objective::TRL, settings, claims);
        }
        None => claims.beyond = Some(Cause::ReinforcementLearning),
    }
}
