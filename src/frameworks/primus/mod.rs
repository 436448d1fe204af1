//! Primus: `./primus-cli direct -- train pretrain --config llama3.1_8B-pretrain.yaml`, `primus/cli/main.py train pretrain …`, and
//! `examples/run_pretrain.sh` with the file in `EXP`.
//!
//! **Recognised** by these programs. The file names the framework that trains, the model's file, and `overrides`: settings under
//! that framework's names. Read from github.com/AMD-AGI/Primus at fd1eeabb (`examples`, `primus/configs/modules`).
//!
//! ```text
//! megatron      two samples of 1024 tokens, distributed optimizer, bf16, fused attention
//! torchtitan    as torchtitan
//! maxtext, maxdiffusion and others    not read
//! ```

use crate::command::{Launch, Target, basename};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::{megatron_core, torchtitan};
use crate::job::{Assignment, Attention, Cause, Framework, Method, Precision, Recompute, Sharding, field};
use crate::model::known;

const SOURCE: &str = "Primus fd1eeab default";
const MODULE: &str = "modules.pre_trainer";
const OTHER_MODULES: &[&str] = &["modules.post_trainer", "modules.sft_trainer"];

/// Names of Megatron-LM that stand in `overrides` without a group.
const MEGATRON: Table = &[
    &flag(&["train_iters"], field::dataset::STEPS, Takes::Number),
    &flag(&["sequence_parallel"], field::parallelism::SEQUENCE, Takes::Switch(true)),
    &flag(
        &["recompute_granularity"],
        field::RECOMPUTE,
        Takes::OneOf(&[("full", Recompute::Full), ("selective", Recompute::Selective)]),
    ),
    &flag(
        &["use_torch_fsdp2", "use_megatron_fsdp"],
        field::parallelism::SHARDING,
        Takes::Word(Sharding::FSDP),
    ),
    &flag(&["optimizer_cpu_offload"], field::offload::OPTIMIZER, Takes::Switch(true)),
    &flag(&["num_layers"], field::model::LAYERS, Takes::Number),
];

const DEFAULTS: &[Assignment] = &[
    field::finetuning::METHOD.is(Method::Full),
    field::batch::MICRO_BATCH_SIZE.is(2),
    field::batch::SEQUENCE_LENGTH.is(1_024),
    field::parallelism::SHARDING.is(Sharding::DistributedOptimizer),
    field::PRECISION.is(Precision::BF16),
    field::ATTENTION.is(Attention::Flash),
    field::RECOMPUTE.is(Recompute::None),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let trains = launch.arguments.words().iter().any(|word| word.text == "train");
    match &launch.target {
        Target::Script(path) | Target::Program(path) => match basename(path) {
            "primus-cli" | "primus" => trains,
            "main.py" => trains && path.ends_with("primus/cli/main.py"),
            "train.py" => path.ends_with("primus/train.py"),
            "run_pretrain.sh" | "run_local_pretrain.sh" => launch.environment.get("EXP").is_some(),
            _ => false,
        },
        Target::Module(module) => matches!(module.as_str(), "primus.train" | "primus.cli.main"),
        Target::Unknown => false,
    }
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let options = Settings::of(vec![Place::Options(&launch.arguments)]);
    let named = options.text(&["config", "exp"]).map(|path| (path, "--config"));
    let named = named.or_else(|| Some((launch.environment.get("EXP")?.to_owned(), "env EXP")));
    let Some((path, by)) = named else { return };
    let file = config::named(launch, &path, by, claims);
    let Some(file) = file else {
        unknown(&path, by, claims);
        return;
    };
    if OTHER_MODULES.iter().any(|module| file.get(module).is_some()) {
        claims.beyond = claims.beyond.or(Some(Cause::OtherRecipe));
    }
    let text = |key: &str| file.get(&format!("{MODULE}.{key}")).and_then(|value| value.as_str());
    let framework = text("framework").unwrap_or("megatron").to_lowercase();
    if let Some(model) = text("model").map(|path| basename(path).trim_end_matches(".yaml"))
        && known::find(model).is_some()
    {
        claims.file(field::model::NAME, model, &file.source, "model");
    }
    let Some(config) = overrides(&file, claims) else { return };
    let settings = Settings::of(vec![Place::File(config)]);
    match framework.as_str() {
        "megatron" => {
            claims.argument(field::FRAMEWORK, Framework::Megatron, "Primus");
            megatron(&settings, claims);
        }
        "torchtitan" => {
            claims.argument(field::FRAMEWORK, Framework::Torchtitan, "Primus");
            torchtitan::of(&settings, true, claims);
        }
        _ => claims.beyond = claims.beyond.or(Some(Cause::OtherBackend)),
    }
}

/// The settings under the framework's names.
fn overrides(file: &Config, claims: &mut Claims) -> Option<Config> {
    let key = format!("{MODULE}.overrides");
    let group = file.get(&key)?.clone();
    Some(config::within(file.source.clone(), &key, &group, claims))
}

fn megatron(settings: &Settings<'_>, claims: &mut Claims) {
    megatron_core::read(settings, claims);
    settings::read(MEGATRON, settings, claims);
    if settings.on(&["use_distributed_optimizer"]) == Some(false) {
        claims.argument(field::parallelism::SHARDING, Sharding::None, "use_distributed_optimizer");
    }
    if settings.text(&["fp8"]).is_some_and(|format| format != "null") {
        claims.argument(field::PRECISION, Precision::FP8, "fp8");
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// A file that is not known is named after its model: `llama3.1_8B-BF16-pretrain.yaml`. It may set any field.
fn unknown(path: &str, by: &str, claims: &mut Claims) {
    let name = basename(path).trim_end_matches(".yaml");
    let model = name.split('-').next().unwrap_or(name);
    if known::find(model).is_some() {
        claims.argument(field::model::NAME, model, by);
    }
    let framework = if path.contains("torchtitan") { Framework::Torchtitan } else { Framework::Megatron };
    if ["megatron", "torchtitan"].iter().any(|folder| path.contains(folder)) {
        claims.argument(field::FRAMEWORK, framework, by);
    }
    for field in [field::parallelism::TENSOR, field::parallelism::PIPELINE, field::parallelism::CONTEXT] {
        claims.open(field, 8);
    }
    claims.open(field::parallelism::SHARDING, Sharding::FSDP);
    claims.open(field::RECOMPUTE, Recompute::Full);
    claims.open(field::finetuning::METHOD, Method::LoRA);
    claims.open(field::offload::PARAMETERS, true);
    claims.open(field::offload::OPTIMIZER, true);
}
