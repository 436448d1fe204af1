//! Primus: `./primus-cli direct -- train pretrain --config llama3.1_8B-pretrain.yaml`, `primus/cli/main.py train pretrain …`, and
//! `examples/run_pretrain.sh` with the file in `EXP`.
//!
//! **Recognised** by these programs. The file names the framework that trains, the model's file, and `overrides`: settings under
//! that framework's names, which options of the command beat. `${NAME:value}` in the file is a variable of the environment, or
//! the value. Read from github.com/AMD-AGI/Primus at fd1eeabb (`examples`, `primus/configs/modules`, `primus/configs/models`).
//!
//! ```text
//! megatron      Megatron-LM's names with underscores; two samples of 1024 tokens, distributed optimizer, bf16, fused attention
//! torchtitan    torchtitan's names; eight samples of 2048 tokens, no recomputation, model and loss compiled
//! maxtext, maxdiffusion and others    not read
//! ```
//!
//! A preset `llama3.1_8B-fp8.yaml` of torchtitan is the same model with products in eight bits. How many bits its saved tensors
//! have is not known here.

use serde_json::Value;

use crate::command::{Environment, Launch, Target, basename};
use crate::frameworks::megatron_lm::{self, sharding};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::torchtitan;
use crate::job::{Assignment, Attention, Cause, Framework, Method, Precision, Recompute, Sharding, field};
use crate::model::known;

const SOURCE: &str = "Primus fd1eeab default";
const MODULE: &str = "modules.pre_trainer";
const OTHER_MODULES: &[&str] = &["modules.post_trainer", "modules.sft_trainer"];

/// Defaults of its `pre_trainer.yaml` for Megatron-LM, and of its models.
const MEGATRON: &[Assignment] = &[
    field::finetuning::METHOD.is(Method::Full),
    field::batch::MICRO_BATCH_SIZE.is(2),
    field::batch::SEQUENCE_LENGTH.is(1_024),
    field::parallelism::SHARDING.is(Sharding::DistributedOptimizer),
    field::PRECISION.is(Precision::BF16),
    field::ATTENTION.is(Attention::Flash),
    field::RECOMPUTE.is(Recompute::None),
];
/// Those for torchtitan, where they are not torchtitan's own.
const TORCHTITAN: &[Assignment] =
    &[field::batch::SEQUENCE_LENGTH.is(2_048), field::RECOMPUTE.is(Recompute::None), field::COMPILE.is(true)];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let trains = launch.arguments.words().iter().any(|word| word.text == "train");
    match &launch.target {
        Target::Script(path) | Target::Program(path) => match basename(path) {
            "primus-cli" | "primus" => trains,
            "main.py" => trains && path.ends_with("primus/cli/main.py"),
            "train.py" => path.ends_with("primus/train.py"),
            "run_pretrain.sh" | "run_local_pretrain.sh" | "run_slurm_pretrain.sh" => {
                launch.environment.get("EXP").is_some()
            }
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
    let text = |key: &str| {
        let value = file.get(&format!("{MODULE}.{key}"))?;
        Some(filled_in(value.as_str()?, &launch.environment))
    };
    let framework = text("framework").unwrap_or_else(|| "megatron".to_owned()).to_lowercase();
    if let Some(model) = text("model") {
        named_model(basename(&model).trim_end_matches(".yaml"), &file, claims);
    }
    let Some(config) = overrides(&file, &launch.environment, claims) else { return };
    let settings = Settings::of(vec![Place::Options(&launch.arguments), Place::File(config)]);
    match framework.as_str() {
        "megatron" => {
            claims.argument(field::FRAMEWORK, Framework::Megatron, "Primus");
            megatron(&settings, claims);
        }
        "torchtitan" => {
            claims.argument(field::FRAMEWORK, Framework::Torchtitan, "Primus");
            settings::assume(TORCHTITAN, SOURCE, claims);
            torchtitan::of(&settings, true, claims);
            if claims.get(field::PRECISION) == Some(Precision::FP8) {
                saves_eight_bits(claims);
            }
        }
        _ => claims.beyond = claims.beyond.or(Some(Cause::OtherBackend)),
    }
}

/// The model that its file is named after.
fn named_model(name: &str, file: &Config, claims: &mut Claims) {
    let plain = name.strip_suffix("-fp8");
    let model = plain.unwrap_or(name);
    if known::find(model).is_none() {
        return;
    }
    claims.file(field::model::NAME, model, &file.source, "model");
    if plain.is_some() {
        claims.file(field::PRECISION, Precision::FP8, &file.source, "model");
    }
}

/// What layers save in eight bits is at most what selective recomputation spares.
fn saves_eight_bits(claims: &mut Claims) {
    claims.open_anyway(field::RECOMPUTE, Recompute::Selective);
}

/// The settings under the framework's names.
fn overrides(file: &Config, environment: &Environment, claims: &mut Claims) -> Option<Config> {
    let key = format!("{MODULE}.overrides");
    let mut group = file.get(&key)?.clone();
    fill_in(&mut group, environment);
    Some(config::within(file.source.clone(), &key, &group, claims))
}

/// Puts variables in. A file is parsed to a limited depth.
fn fill_in(tree: &mut Value, environment: &Environment) {
    match tree {
        Value::Object(keys) => keys.values_mut().for_each(|value| fill_in(value, environment)),
        Value::Array(values) => values.iter_mut().for_each(|value| fill_in(value, environment)),
        Value::String(text) if text.contains("${") => *text = filled_in(text, environment),
        _ => {}
    }
}

/// The text with its variables. One without a value stays as it is, and is no number.
fn filled_in(text: &str, environment: &Environment) -> String {
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = part.split_once('}').and_then(|(variable, rest)| {
            let (name, default) = variable.split_once(':').unzip();
            let value = environment.get(name.unwrap_or(variable)).or(default)?;
            Some([value, rest])
        });
        match known {
            Some(known) => filled.extend(known),
            None => filled.extend(["${", part]),
        }
    }
    filled
}

fn megatron(settings: &Settings<'_>, claims: &mut Claims) {
    megatron_lm::read_shared(settings, claims);
    sharding::read(settings, false, claims);
    if settings.on(&["use-distributed-optimizer"]) == Some(false)
        && !claims.knows(field::parallelism::SHARDING)
    {
        claims.argument(field::parallelism::SHARDING, Sharding::None, "use_distributed_optimizer");
    }
    let formats = [("fp4", Precision::FP4), ("fp8", Precision::FP8)];
    for (name, format) in formats {
        if let Some(setting) = settings.get(&[name]).filter(|setting| setting.truth() != Some(false)) {
            setting.says(claims, field::PRECISION, format);
            break;
        }
    }
    let divides = claims.get(field::parallelism::TENSOR).is_some_and(|degree| degree > 1);
    claims.assume(field::parallelism::SEQUENCE, divides, SOURCE);
    settings::assume(MEGATRON, SOURCE, claims);
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
    for field in [
        field::parallelism::TENSOR.erased(),
        field::parallelism::PIPELINE.erased(),
        field::parallelism::CONTEXT.erased(),
        field::parallelism::SHARDING.erased(),
        field::RECOMPUTE.erased(),
        field::finetuning::METHOD.erased(),
        field::offload::PARAMETERS.erased(),
        field::offload::OPTIMIZER.erased(),
    ] {
        complete::open_at_its_leanest(field, claims);
    }
}
