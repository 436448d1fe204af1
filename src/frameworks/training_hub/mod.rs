//! `training_hub`, the algorithms of Red Hat's `OpenShift` AI: `from training_hub import sft; sft(model_path=…, max_tokens_per_gpu=…)`.
//!
//! **Recognised** by the call of an algorithm in a Python program whose text is known.
//!
//! | call | trains |
//! | --- | --- |
//! | `sft(…)` | `InstructLab`'s training library, which it starts by torchrun; a rank's batch has at most `max_tokens_per_gpu` tokens, or `max_seq_len` |
//! | `lora_sft(…)` | Unsloth under TRL's trainer: 16 bits unless `load_in_4bit` or `load_in_8bit`, rank 16, packed samples of 2048 tokens, batches of 2, checkpoints on the host |
//! | `osft(…)` | the smaller singular values of the weights, in mini-trainer; not estimated |
//!
//! `lora_sft` starts no process. With `enable_model_splitting` one process has the layers on all its devices
//! (`device_map="balanced"`). `effective_batch_size` is the batch of all ranks.
//!
//! Read from the release 0.11 (`algorithms/sft.py`, `lora.py`, `osft.py`, at f793034).

use crate::command::Launch;
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{Config, ReadFile, unknown};
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::{instructlab, unsloth};
use crate::job::{Assignment, Attention, Cause, Framework, Optimizer, Precision, Sharding, Source, field};
use crate::python::Call;

const SOURCE: &str = "training_hub 0.11 default";

/// An algorithm.
struct Algorithm {
    name: &'static str,
    read: fn(&Settings<'_>, &Source, &mut Claims),
}

const ALGORITHMS: &[Algorithm] = &[
    Algorithm { name: "training_hub.sft", read: sft },
    Algorithm { name: "training_hub.lora_sft", read: lora_sft },
    Algorithm { name: "training_hub.osft", read: osft },
];
/// The arguments that may stand without a name.
const POSITIONAL: &[&str] = &["model_path", "data_path", "ckpt_output_dir"];
/// The arguments that decide the memory. Arguments that are not known may be among them.
const DECIDING: &[&str] =
    &["model_path", "max_tokens_per_gpu", "max_seq_len", "micro_batch_size", "fsdp_options", "load_in_4bit"];

const MODEL: Table = &[&flag(&["model_path"], field::model::NAME, Takes::Text)];

const ADAPTERS: Table = &[
    &flag(&["max_seq_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["micro_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["effective_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["sample_packing"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["num_epochs"], field::dataset::EPOCHS, Takes::Number),
];

const ADAPTERS_DEFAULTS: &[Assignment] = &[
    field::batch::SEQUENCE_LENGTH.is(2048),
    field::batch::PACKING.is(true),
    field::finetuning::RANK.is(16),
    field::finetuning::DROPOUT.is(0),
    field::OPTIMIZER.is(Optimizer::AdamW),
    field::PRECISION.is(Precision::BF16),
    field::ATTENTION.is(Attention::Flash),
    field::parallelism::SHARDING.is(Sharding::None),
];

/// The algorithm that a program calls.
fn called(launch: &Launch) -> Option<(&'static Algorithm, &Call)> {
    let program = launch.script.as_ref()?.program.as_ref()?;
    let mut made = program.calls.iter().filter(|call| call.runs != Some(false));
    made.find_map(|call| Some((ALGORITHMS.iter().find(|known| known.name == call.function)?, call)))
}

/// Whether the launch runs it.
pub(crate) fn recognises(launch: &Launch) -> bool {
    called(launch).is_some()
}

/// Claims the settings of the call.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some((algorithm, call)) = called(launch) else { return };
    let Some(script) = &launch.script else { return };
    let mut arguments = Config::of_call(script.source.clone(), call, POSITIONAL);
    if call.may_have_more
        && let Some(keys) = arguments.tree.as_object_mut()
    {
        for name in DECIDING {
            keys.entry(*name).or_insert_with(unknown);
        }
    }
    claims.files.push(ReadFile::of(&arguments));
    let settings = Settings::of(vec![Place::File(arguments)]);
    (algorithm.read)(&settings, &script.source, claims);
}

/// All weights, by `InstructLab`'s library. It starts the processes itself.
fn sft(settings: &Settings<'_>, source: &Source, claims: &mut Claims) {
    claims.file(field::FRAMEWORK, Framework::HuggingFace, source, "sft");
    let longest = settings.get(&["max_seq_len"]).and_then(|setting| Some((setting.number()?, setting)));
    if let Some((tokens, setting)) =
        longest.filter(|_| !settings.has(&["max_tokens_per_gpu", "max_batch_len"]))
    {
        setting.says(claims, field::batch::SEQUENCE_LENGTH, tokens);
    }
    let number = |name: &str| settings.number(&[name]);
    if claims.processes_per_node.is_none() && claims.nodes.is_none() {
        claims.world(number("nnodes"), number("nproc_per_node"), "nproc_per_node");
    }
    instructlab::trains(settings, claims);
}

/// Adapters, by Unsloth.
fn lora_sft(settings: &Settings<'_>, source: &Source, claims: &mut Claims) {
    claims.file(field::FRAMEWORK, Framework::Unsloth, source, "lora_sft");
    settings::read(MODEL, settings, claims);
    settings::read(ADAPTERS, settings, claims);
    settings::assume(ADAPTERS_DEFAULTS, SOURCE, claims);
    if let Some(by) = settings.get(&["lora_r", "model_path"]) {
        peft::adapters(settings, &by, false, claims);
    }
    training_arguments::precision(settings, claims);
    unsloth::adapts(claims);
    claims.accumulation = match settings.get(&["gradient_accumulation_steps"]) {
        Some(setting) => setting.number().map(|steps| (steps, setting.source(claims))),
        None => Some((1, SOURCE.into())),
    };
    if !settings.has(&["effective_batch_size"]) {
        claims.assume(field::batch::MICRO_BATCH_SIZE, 2, SOURCE);
    }
    if let Some(splits) = settings.get(&["enable_model_splitting"]).filter(|on| on.truth() == Some(true)) {
        claims.layers_over_devices = Some(splits.source(claims));
    }
}

/// Singular values: the model is known, what is trained is not estimated.
fn osft(settings: &Settings<'_>, source: &Source, claims: &mut Claims) {
    claims.file(field::FRAMEWORK, Framework::HuggingFace, source, "osft");
    settings::read(MODEL, settings, claims);
    claims.beyond = Some(Cause::OtherAdapters);
}
