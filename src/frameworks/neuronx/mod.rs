//! AWS's scripts for Trainium (neuronx-distributed, optimum-neuron).
//!
//! **Recognised** by `--use_zero_1` or `--kv_replicator` with `--tensor_parallel_size`, or by flags like
//! `--use_neuron_fused_ops`, which only these scripts have. Simple settings are read and shown (neuronx-distributed
//! 0.10, `examples/training/llama`). The memory is laid out by its compiler, and is not estimated.

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Cause, Recompute, Sharding, field};

const MODEL: Table = &[&flag(&["model_path"], field::model::NAME, Takes::Text)];
const FLAGS: Table = &[
    &flag(&["tensor_parallel_size"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["pipeline_parallel_size"], field::parallelism::PIPELINE, Takes::Number),
    &flag(&["context_parallel_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["batch_size", "train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["seq_len", "max_seq_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["max_steps", "steps_this_run"], field::dataset::STEPS, Takes::Number),
    &flag(&["use_zero_1"], field::parallelism::SHARDING, Takes::Word(Sharding::ZeRO1)),
    &flag(&["sequence_parallel_enabled"], field::parallelism::SEQUENCE, Takes::Switch(true)),
    &flag(&["selective_checkpoint_enabled"], field::RECOMPUTE, Takes::Word(Recompute::Selective)),
];

/// Whether the launch runs such a script.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let has = |name: &str| launch.arguments.has(name);
    has("tensor_parallel_size")
        && ["use_zero_1", "kv_replicator", "use_meta_device_init"].iter().any(|name| has(name))
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    settings::read(FLAGS, &settings, claims);
    // A path to a configuration is not a model's name.
    if settings.text(&["model_path"]).is_some_and(|path| !config::is_config(&path)) {
        settings::read(MODEL, &settings, claims);
    }
    settings::accumulation(&settings, &["grad_accum_usteps", "gradient_accumulation_steps"], claims);
    claims.beyond = Some(Cause::Trainium);
}
