//! Megatron-Core's own names of keys. Programs that start it for their users take them in a group of their own and pass them on:
//! `policy.megatron_cfg.tensor_model_parallel_size`. A reader looks in that group ([`Place::Within`]).
//!
//! The names are fields of `ModelParallelConfig` and `TransformerConfig` of NVIDIA/Megatron-LM at `core_r0.13.0`.
//!
//! [`Place::Within`]: crate::frameworks::reading::settings::Place::Within

use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::Takes::{Number, OneOf, Switch};
use crate::frameworks::reading::flags::{Table, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Dispatcher, Recompute, field};

/// The degrees of parallelism, and how stages and experts divide the layers.
const PARALLEL: Table = &[
    &flag(&["tensor_model_parallel_size"], field::parallelism::TENSOR, Number),
    &flag(&["pipeline_model_parallel_size"], field::parallelism::PIPELINE, Number),
    &flag(&["context_parallel_size"], field::parallelism::CONTEXT, Number),
    &flag(&["expert_model_parallel_size"], field::parallelism::EXPERT, Number),
    &flag(&["expert_tensor_parallel_size"], field::parallelism::EXPERT_TENSOR, Number),
    &flag(&["virtual_pipeline_model_parallel_size"], field::parallelism::VIRTUAL_PIPELINE, Number),
    &flag(&["sequence_parallel"], field::parallelism::SEQUENCE, Switch(true)),
    &flag(
        &["moe_token_dispatcher_type"],
        field::parallelism::DISPATCHER,
        OneOf(&[
            ("allgather", Dispatcher::AllGather),
            ("alltoall", Dispatcher::AllToAll),
            ("flex", Dispatcher::DeepEP),
        ]),
    ),
    &flag(&["num_layers_in_first_pipeline_stage"], field::parallelism::FIRST_STAGE_LAYERS, Number),
    &flag(&["num_layers_in_last_pipeline_stage"], field::parallelism::LAST_STAGE_LAYERS, Number),
    &flag(&["account_for_embedding_in_pipeline_split"], field::parallelism::EMBEDDING_AS_LAYER, Switch(true)),
    &flag(&["account_for_loss_in_pipeline_split"], field::parallelism::LOSS_AS_LAYER, Switch(true)),
];
const RECOMPUTE: Table = &[&flag(
    &["recompute_granularity"],
    field::RECOMPUTE,
    OneOf(&[("full", Recompute::Full), ("selective", Recompute::Selective), ("none", Recompute::None)]),
)];

/// Claims how this group of keys divides the model.
pub(in crate::frameworks) fn parallel(settings: &Settings<'_>, group: &str, claims: &mut Claims) {
    settings::read(PARALLEL, &Settings::of(vec![Place::Within(settings, group)]), claims);
}

/// Claims what this group of keys computes again. The method `block` recomputes some layers of each chunk of a stage, the
/// method `uniform` all of them.
pub(in crate::frameworks) fn recompute(settings: &Settings<'_>, group: &str, claims: &mut Claims) {
    let keys = Settings::of(vec![Place::Within(settings, group)]);
    settings::read(RECOMPUTE, &keys, claims);
    let method = keys.text(&["recompute_method"]);
    if let Some(setting) = keys.get(&["recompute_num_layers"])
        && method.as_deref() == Some("block")
        && let Some(layers) = setting.number()
    {
        let chunks = claims.get(field::parallelism::VIRTUAL_PIPELINE).map_or(1, u64::from);
        setting.says(claims, field::RECOMPUTE_LAYERS, layers.saturating_mul(chunks));
    }
}
