//! nanotron: `torchrun run_train.py --config-file config.yaml`.
//!
//! **Recognised** by the groups `tokens` and `parallelism` in the file of `--config-file`. If the file is unknown: by
//! the script's name together with that option. The file has every setting: the model's dimensions in `model_config`,
//! the division, the batch. By default all forward passes come before the backward passes,
//! and tensor parallel ranks hold whole sequences.
//!
//! Read from huggingface/nanotron 0.4, src/nanotron/config; the defaults of the division at 2411b022
//! (`parallelism_config.py`).

pub(super) mod list;
pub(super) mod profile;

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::Takes::{Number, OneOf, Switch};
use crate::frameworks::reading::flags::{Table, flag};
use crate::frameworks::reading::host;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Activation, Framework, Normalization, Optimizer, Positions, Precision, Recompute, Schedule, Sharding,
    field,
};

const SOURCE: &str = "nanotron 0.4 default";
const OPTION: &str = "config-file";

const TABLE: Table = &[
    &flag(&["model.model_config.num_hidden_layers"], field::model::LAYERS, Number),
    &flag(&["model.model_config.hidden_size"], field::model::HIDDEN_SIZE, Number),
    &flag(&["model.model_config.num_attention_heads"], field::model::ATTENTION_HEADS, Number),
    &flag(&["model.model_config.num_key_value_heads"], field::model::KEY_VALUE_HEADS, Number),
    &flag(&["model.model_config.intermediate_size"], field::model::FFN_HIDDEN_SIZE, Number),
    &flag(&["model.model_config.vocab_size"], field::model::VOCAB_SIZE, Number),
    &flag(&["model.model_config.tie_word_embeddings"], field::model::TIED_EMBEDDINGS, Switch(true)),
    &flag(&["model.model_config.moe_config.num_experts"], field::model::EXPERTS, Number),
    &flag(&["model.model_config.moe_config.top_k"], field::model::EXPERTS_PER_TOKEN, Number),
    &flag(
        &["model.model_config.moe_config.moe_intermediate_size"],
        field::model::EXPERT_FFN_HIDDEN_SIZE,
        Number,
    ),
    &flag(
        &["model.dtype"],
        field::PRECISION,
        OneOf(&[
            ("bfloat16", Precision::BF16),
            ("float16", Precision::FP16),
            ("float32", Precision::FP32),
            ("float", Precision::FP32),
        ]),
    ),
    &flag(&["parallelism.tp"], field::parallelism::TENSOR, Number),
    &flag(&["parallelism.pp"], field::parallelism::PIPELINE, Number),
    &flag(&["parallelism.dp"], field::parallelism::DATA, Number),
    &flag(&["parallelism.context_parallel_size"], field::parallelism::CONTEXT, Number),
    &flag(&["parallelism.expert_parallel_size"], field::parallelism::EXPERT, Number),
    &flag(
        &["parallelism.pp_engine"],
        field::parallelism::SCHEDULE,
        OneOf(&[("1f1b", Schedule::OneForwardOneBackward), ("afab", Schedule::GPipe)]),
    ),
    &flag(
        &["optimizer.zero_stage"],
        field::parallelism::SHARDING,
        OneOf(&[
            ("0", Sharding::None),
            ("1", Sharding::ZeRO1),
            ("2", Sharding::ZeRO2),
            ("3", Sharding::ZeRO3),
        ]),
    ),
    &flag(
        &["optimizer.optimizer_factory.name"],
        field::OPTIMIZER,
        OneOf(&[("adamW", Optimizer::AdamW), ("adam", Optimizer::AdamW), ("sgd", Optimizer::SGD)]),
    ),
    &flag(&["tokens.micro_batch_size"], field::batch::MICRO_BATCH_SIZE, Number),
    &flag(&["tokens.sequence_length"], field::batch::SEQUENCE_LENGTH, Number),
    &flag(&["tokens.train_steps"], field::dataset::STEPS, Number),
];

/// Data loaders and saves.
const HOST: host::Names = host::Names {
    directory: &["checkpoints.checkpoints_path"],
    interval: &["checkpoints.checkpoint_interval"],
    ..host::Names::NONE
};

/// Whether the launch runs nanotron.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let Some(path) = launch.arguments.value(OPTION) else { return false };
    match config::named(launch, path, OPTION, &mut Claims::default()) {
        Some(file) => file.get("tokens").is_some() && file.get("parallelism").is_some(),
        None => launch.runs_script(&["run_train.py"]),
    }
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.handed_on(field::FRAMEWORK, Framework::Nanotron, format!("{}: its options", claims.place));
    let path = launch.arguments.value(OPTION).unwrap_or_default();
    let Some(file) = config::named(launch, path, "--config-file", claims) else { return };
    let settings = Settings::of(vec![Place::File(file)]);
    settings::read(TABLE, &settings, claims);
    host::read(&HOST, &settings, claims);
    if let Some(setting) = settings.get(&["parallelism.tp_mode"])
        && let Some(mode) = setting.text()
    {
        setting.says(claims, field::parallelism::SEQUENCE, mode.eq_ignore_ascii_case("REDUCE_SCATTER"));
    }
    if let Some(setting) = settings.get(&["tokens.batch_accumulation_per_replica"])
        && let Some(steps) = setting.number().filter(|steps| *steps > 0)
    {
        claims.accumulation = Some((steps, setting.source(claims)));
    } else {
        claims.accumulation = Some((1, SOURCE.into()));
    }
    if let Some(setting) = settings.get(&["parallelism.recompute_layer"])
        && let Some(on) = setting.truth()
    {
        setting.says(claims, field::RECOMPUTE, if on { Recompute::Full } else { Recompute::None });
    }
    let defaults = [
        field::parallelism::CONTEXT.is(1),
        field::parallelism::SCHEDULE.is(Schedule::GPipe),
        field::parallelism::SEQUENCE.is(false),
        field::RECOMPUTE.is(Recompute::None),
        field::OPTIMIZER.is(Optimizer::AdamW),
        field::PRECISION.is(Precision::BF16),
    ];
    settings::assume(&defaults, SOURCE, claims);
    if settings.on(&["model.model_config.is_llama_config"]) == Some(true) {
        let llama = [
            field::model::ACTIVATION.is(Activation::SwiGLU),
            field::model::NORMALIZATION.is(Normalization::RMSNorm),
            field::model::POSITIONS.is(Positions::Rotary),
        ];
        settings::assume(&llama, SOURCE, claims);
        claims.assume(field::model::BIASES, false, SOURCE);
    }
}
