//! NeMo `AutoModel`: `automodel finetune llm -c run.yaml`, `torchrun … finetune.py -c run.yaml`, `automodel run.yaml`.
//!
//! **Recognised** by its program, its modules, or by a recipe's script with a file whose `model._target_` is `AutoModel`'s.
//! Options with the same paths override the file: `--model.pretrained_model_name_or_path …`.
//!
//! Read from the releases 0.2.0 and 0.5.0 (`nemo_automodel/recipes/llm/train_ft.py`, `components/distributed`). FSDP2 divides
//! all states over all accelerators that tensor and pipeline parallel leave, unless the strategy is `ddp` or `megatron_fsdp`.
//! Weights are loaded in their saved format unless `torch_dtype` says another, and the optimizer keeps its states in that
//! format. It does not checkpoint by default. Adapters have rank 8. Without `packed_sequence` a batch is as long as its
//! longest sample, so the length stays open unless the dataset gives it.

pub(super) mod list;

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Assignment, Cause, Framework, Loss, Method, Precision, Recompute, Sharding, field};

const SOURCE: &str = "NeMo AutoModel 0.5 default";

const MODULES: &[&str] =
    &["nemo_automodel._cli.app", "nemo_automodel.cli.app", "nemo_automodel.recipes.llm.train_ft"];
/// Scripts of its examples. Other projects have files of these names, so their configuration must be `AutoModel`'s.
const SCRIPTS: &[&str] = &["finetune.py", "pretrain.py", "train_ft.py", "app.py", "benchmark.py"];

const KEYS: Table = &[
    &flag(
        &["model.pretrained_model_name_or_path", "model.config.pretrained_model_name_or_path"],
        field::model::NAME,
        Takes::Text,
    ),
    &flag(&["step_scheduler.local_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["step_scheduler.global_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["step_scheduler.max_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["step_scheduler.num_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["distributed.tp_size"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["distributed.cp_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["distributed.pp_size", "autopipeline.pp_size"], field::parallelism::PIPELINE, Takes::Number),
    &flag(&["distributed.ep_size"], field::parallelism::EXPERT, Takes::Number),
    &flag(&["distributed.sequence_parallel"], field::parallelism::SEQUENCE, Takes::Switch(true)),
    &flag(&["compile.enabled"], field::COMPILE, Takes::Switch(true)),
    &flag(&["model.attn_implementation"], field::ATTENTION, Takes::OneOf(training_arguments::ATTENTION)),
];

const ADAPTERS: Table = &[
    &flag(&["peft.dim"], field::finetuning::RANK, Takes::Number),
    &flag(&["peft.dropout"], field::finetuning::DROPOUT, Takes::Percent),
];

const STRATEGIES: &[(&str, Sharding)] = &[
    ("fsdp2", Sharding::FSDP),
    ("fsdp", Sharding::FSDP),
    ("megatron_fsdp", Sharding::FSDP),
    ("nvfsdp", Sharding::FSDP),
    ("ddp", Sharding::None),
];

const DEFAULTS: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::finetuning::METHOD.is(Method::Full),
    field::PRECISION.is(Precision::BF16),
    field::RECOMPUTE.is(Recompute::None),
];

/// Whether the launch runs it.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let named = matches!(&launch.target, Target::Program(name) if name == "automodel")
        || launch.runs_program("automodel finetune")
        || launch.runs_program("automodel pretrain")
        || MODULES.iter().any(|module| launch.runs_module(module));
    named || launch.runs_script(SCRIPTS) && is_its_file(launch)
}

fn is_its_file(launch: &Launch) -> bool {
    let claims = &mut Claims::default();
    let Some(file) = file(launch, claims) else { return false };
    let target = file.get("model._target_").and_then(serde_json::Value::as_str);
    target.is_some_and(|target| target.starts_with("nemo_automodel.") || target.contains("NeMoAutoModel"))
}

fn file(launch: &Launch, claims: &mut Claims) -> Option<config::Config> {
    let options = Settings::of(vec![Place::Options(&launch.arguments)]);
    let path =
        options.text(&["config", "c"]).or_else(|| config::positional(&launch.arguments).map(str::to_owned));
    config::named(launch, &path?, "--config", claims)
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::FSDP, "automodel");
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let file = file(launch, claims);
    let known = file.is_some();
    if let Some(file) = file {
        settings.add(Place::File(file));
    }
    settings::read(KEYS, &settings, claims);
    if !known {
        claims.open(field::finetuning::METHOD, Method::QLoRA);
        claims.open(field::parallelism::SHARDING, Sharding::FSDP);
        return;
    }
    uncovered(&settings, claims);
    pipeline(&settings, claims);
    sharding(&settings, claims);
    lengths(&settings, claims);
    method(&settings, claims);
    formats(&settings, claims);
    training_arguments::recompute(
        &settings,
        &["distributed.activation_checkpointing", "activation_checkpointing"],
        claims,
    );
    training_arguments::optimizer(&settings, &["optimizer._target_"], claims);
    if let Some(loss) = settings.get(&["loss_fn._target_"])
        && loss.text().is_some_and(|text| text.ends_with("FusedLinearCrossEntropy"))
    {
        loss.says(claims, field::LOSS, Loss::Fused);
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// Recipes that train something else than the next token.
fn uncovered(settings: &Settings<'_>, claims: &mut Claims) {
    let target = settings.text(&["model._target_"]).unwrap_or_default();
    let recipe = settings.text(&["recipe"]).unwrap_or_default().to_lowercase();
    let cause = if target.contains("ImageTextToText") || recipe.contains("vlm") {
        Some(Cause::Images)
    } else if settings.has(&["teacher_model"]) || recipe.contains("knowledgedistillation") {
        Some(Cause::Distillation)
    } else if recipe.contains("diffusion") || target.contains("Diffusion") {
        Some(Cause::Diffusion)
    } else if target.contains("BiEncoder") || target.contains("CrossEncoder") || recipe.contains("encoder") {
        Some(Cause::Encoder)
    } else {
        None
    };
    claims.beyond = claims.beyond.or(cause);
}

/// A pipeline cuts the batch of a rank into microbatches of its own.
fn pipeline(settings: &Settings<'_>, claims: &mut Claims) {
    let stages = claims.get(field::parallelism::PIPELINE).is_some_and(|stages| stages > 1);
    let names = ["distributed.pipeline.pp_microbatch_size", "autopipeline.pp_microbatch_size"];
    if let Some(setting) = settings.get(&names).filter(|_| stages)
        && let Some(sequences) = setting.number()
    {
        claims.all.retain(|claim| claim.field != field::batch::MICRO_BATCH_SIZE);
        setting.says(claims, field::batch::MICRO_BATCH_SIZE, sequences);
    }
}

/// The states that the ranks divide.
fn sharding(settings: &Settings<'_>, claims: &mut Claims) {
    let sharding = field::parallelism::SHARDING;
    if let Some(setting) = settings.get(&["distributed.strategy"]) {
        match setting.text().and_then(|name| flags::one_of(STRATEGIES, &name)) {
            Some(divided) => setting.says(claims, sharding, divided),
            None => claims.unparsed(sharding),
        }
    } else if let Some(setting) = settings.get(&["distributed._target_"]) {
        let manager = setting.text().unwrap_or_default();
        let divided = if manager.ends_with("DDPManager") { Sharding::None } else { Sharding::FSDP };
        setting.says(claims, sharding, divided);
    } else {
        claims.assume(sharding, Sharding::FSDP, SOURCE);
    }
    let replicas = settings.number(&["distributed.dp_replicate_size"]);
    if replicas.is_some_and(|replicas| replicas > 1) {
        claims.unparsed(sharding);
    }
    if settings.has(&["distributed.offload_policy", "distributed.defer_fsdp_grad_sync"]) {
        claims.open(field::offload::PARAMETERS, true);
    }
}

/// The length of packed samples, or what the dataset cuts at.
fn lengths(settings: &Settings<'_>, claims: &mut Claims) {
    let packed = settings
        .get(&["packed_sequence.packed_sequence_size"])
        .and_then(|setting| Some((setting.number()?, setting)))
        .filter(|(size, _)| *size > 0);
    if let Some((size, setting)) = packed {
        setting.says(claims, field::batch::SEQUENCE_LENGTH, size);
        setting.says(claims, field::batch::PACKING, true);
        return;
    }
    claims.assume(field::batch::PACKING, false, SOURCE);
    let names = ["dataset.seq_length", "dataset.seq_len", "dataset.max_length", "dataset.max_seq_length"];
    if let Some(setting) = settings.get(&names)
        && let Some(length) = setting.number()
    {
        setting.says(claims, field::batch::SEQUENCE_LENGTH, length);
    }
}

/// All weights, or adapters.
fn method(settings: &Settings<'_>, claims: &mut Claims) {
    let quantized = settings.on(&["quantization.load_in_4bit"]) == Some(true);
    let Some(peft) = settings.get(&["peft"]) else { return };
    if settings.text(&["peft._target_"]).is_some_and(|target| !target.to_lowercase().contains("lora")) {
        claims.beyond = Some(Cause::OtherAdapters);
    }
    if quantized {
        peft.says(claims, field::finetuning::METHOD, Method::QLoRA);
    } else if settings.has(&["quantization"]) {
        claims.open(field::finetuning::METHOD, Method::QLoRA);
    } else {
        peft.says(claims, field::finetuning::METHOD, Method::LoRA);
    }
    settings::read(ADAPTERS, settings, claims);
    claims.assume(field::finetuning::RANK, 8, SOURCE);
    claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
    let all = settings.on(&["peft.match_all_linear"]) == Some(true)
        || settings
            .text(&["peft.target_modules"])
            .is_some_and(|text| matches!(text.as_str(), "*_proj" | "*.proj"));
    if all {
        peft.says(claims, field::finetuning::TARGETS, vec!["all-linear"]);
    } else if let Some(setting) = settings.get(&["peft.target_modules"]) {
        let names: Vec<&str> = setting.texts().map(|name| name.trim_start_matches("*.")).collect();
        if names.is_empty() || names.iter().any(|name| name.contains('*')) {
            claims.unparsed(field::finetuning::TARGETS);
        } else {
            setting.says(claims, field::finetuning::TARGETS, names);
        }
    }
}

/// The format of the weights and of the optimizer's states.
fn formats(settings: &Settings<'_>, claims: &mut Claims) {
    let stored = settings.get(&["model.torch_dtype"]);
    let format =
        stored.as_ref().and_then(|setting| flags::one_of(training_arguments::FORMATS, &setting.text()?));
    match (stored, format) {
        (Some(setting), Some(format)) => setting.says(claims, field::PARAMETER_PRECISION, format),
        // Most models are saved in bf16.
        _ => claims.assume(field::PARAMETER_PRECISION, Precision::BF16, SOURCE),
    }
    if settings.on(&["fp8.enabled"]) == Some(true) {
        claims.argument(field::PRECISION, Precision::FP8, "fp8.enabled");
    }
    if settings.on(&["optimizer.master_weights"]) == Some(true) {
        claims.argument(field::MAIN_PARAMETER_PRECISION, Precision::FP32, "optimizer.master_weights");
        // The rest of an fp32 weight beside its bf16 half.
        if settings.on(&["optimizer.store_param_remainders"]) == Some(true) {
            claims.open(field::MAIN_PARAMETER_PRECISION, Precision::BF16);
        }
    }
}
