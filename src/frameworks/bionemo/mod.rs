//! BioNeMo's protein models: `…/esm2nv/pretrain.py --config-name=pretrain_esm2_8M ++model.micro_batch_size=2 …` of version 1,
//! and `train_esm2 --num-layers 33 --hidden-size 1280 …` of version 2.
//!
//! **Recognised** by a configuration's name with `esm2` and a size, or by the program `train_esm2`. ESM-2 is an encoder with
//! the shape of GPT-2. It needs the memory of a decoder with the same dimensions: rotary positions, GELU, a normalization and
//! layers with biases, an output layer that shares the embedding, 33 amino acids and special tokens padded to 128, sequences
//! of 1024. The keys and options are NeMo's. Version 2 has the shape of ESM-2 650M and batches of 64 unless its options say
//! otherwise, weights and gradients in the format of the computation, and the distributed optimizer.
//!
//! Dimensions: Lin et al. 2023, table S1. Defaults: BioNeMo framework 1.7, examples/protein/esm2nv/conf, and 2.6,
//! `bionemo/esm2/scripts/train_esm2.py`.

use crate::command::Launch;
use crate::frameworks::megatron_core;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::Takes::{Number, OneOf, Word};
use crate::frameworks::reading::flags::{Table, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Activation, Assignment, Framework, Normalization, Positions, Precision, Sharding, field};

const SOURCE: &str = "BioNeMo 1.7 default";
const SOURCE_2: &str = "BioNeMo 2.6 default";

/// Size, layers, width, heads.
const MODELS: &[(&str, u64, u64, u64)] = &[
    ("8m", 6, 320, 20),
    ("35m", 12, 480, 20),
    ("150m", 30, 640, 20),
    ("650m", 33, 1280, 20),
    ("3b", 36, 2560, 40),
    ("15b", 48, 5120, 40),
];

const DEFAULTS: &[Assignment] = &[
    field::model::POSITIONS.is(Positions::Rotary),
    field::model::ACTIVATION.is(Activation::GELU),
    field::model::NORMALIZATION.is(Normalization::LayerNorm),
    field::model::BIASES.is(true),
    field::model::TIED_EMBEDDINGS.is(true),
    field::model::PADDED_VOCAB_SIZE.is(128),
    field::batch::SEQUENCE_LENGTH.is(1024),
];

/// The options of version 2 beside NeMo's. Python's parser of options takes the beginning of a name, too.
const OPTIONS: Table = &[
    &flag(&["num_attention_heads", "num_attention_head"], field::model::ATTENTION_HEADS, Number),
    &flag(&["ffn_hidden_size"], field::model::FFN_HIDDEN_SIZE, Number),
    &flag(&["max_seq_length"], field::batch::SEQUENCE_LENGTH, Number),
    &flag(&["num_steps"], field::dataset::STEPS, Number),
    &flag(
        &["precision"],
        field::PRECISION,
        OneOf(&[
            ("bf16-mixed", Precision::BF16),
            ("bf16", Precision::BF16),
            ("16-mixed", Precision::FP16),
            ("fp16", Precision::FP16),
            ("fp32", Precision::FP32),
            ("32", Precision::FP32),
        ]),
    ),
    &flag(&["grad_reduce_in_fp32"], field::GRADIENT_PRECISION, Word(Precision::FP32)),
];

const DEFAULTS_2: &[Assignment] = &[
    field::model::LAYERS.is(33),
    field::model::HIDDEN_SIZE.is(1280),
    field::model::ATTENTION_HEADS.is(20),
    field::model::FFN_HIDDEN_SIZE.is(5120),
    field::batch::MICRO_BATCH_SIZE.is(64),
    field::PRECISION.is(Precision::BF16),
    field::parallelism::SHARDING.is(Sharding::DistributedOptimizer),
];

/// The model that a configuration's name contains.
fn model(launch: &Launch) -> Option<(&'static str, u64, u64, u64)> {
    let name = launch.arguments.value("config-name")?.to_lowercase();
    let size = name.trim_end_matches(".yaml").split("esm2").nth(1)?;
    let mut parts = size.split(['_', '-']);
    parts.find_map(|part| MODELS.iter().find(|(known, ..)| *known == part)).copied()
}

/// Whether the launch trains ESM-2.
pub(crate) fn recognises(launch: &Launch) -> bool {
    model(launch).is_some() || is_version_2(launch)
}

fn is_version_2(launch: &Launch) -> bool {
    launch.runs_script(&["train_esm2.py"]) || launch.runs_program("train_esm2")
}

/// Claims the model and the settings.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.handed_on(field::FRAMEWORK, Framework::Megatron, format!("{}: its command", claims.place));
    match model(launch) {
        Some((_, layers, width, heads)) => {
            let settings = Settings::of(vec![Place::Words(&launch.arguments)]);
            megatron_core::read(&settings, claims);
            for (field, value) in [
                (field::model::LAYERS, layers),
                (field::model::HIDDEN_SIZE, width),
                (field::model::ATTENTION_HEADS, heads),
                (field::model::FFN_HIDDEN_SIZE, width.saturating_mul(4)),
            ] {
                claims.handed_on(field, value, format!("{}: --config-name", claims.place));
            }
        }
        None => version_2(launch, claims),
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}

fn version_2(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    settings::read(OPTIONS, &settings, claims);
    megatron_core::read(&settings, claims);
    claims.accumulation = match settings.get(&["accumulate_grad_batches"]) {
        Some(setting) => setting.number().map(|steps| (steps, setting.source(claims))),
        None => Some((1, SOURCE_2.into())),
    };
    settings::assume(DEFAULTS_2, SOURCE_2, claims);
    // Gradients have the format of the computation.
    if let Some(precision) = claims.get(field::PRECISION) {
        claims.assume(field::GRADIENT_PRECISION, precision, SOURCE_2);
    }
}
