//! BioNeMo's protein models: `…/esm2nv/pretrain.py --config-name=pretrain_esm2_8M ++model.micro_batch_size=2 …`.
//!
//! **Recognised** by a configuration's name with `esm2` and a size. ESM-2 is an encoder with the shape of GPT-2. It
//! needs the memory of a decoder with the same dimensions: rotary positions, GELU, a normalization and layers with
//! biases, an output layer that shares the embedding, 33 amino acids and special tokens padded to 128, sequences of
//! 1024. The keys are NeMo's.
//!
//! Dimensions: Lin et al. 2023, table S1. Defaults: BioNeMo framework 1.7, examples/protein/esm2nv/conf.

use crate::command::Launch;
use crate::frameworks::megatron_core;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::settings::{Place, Settings};
use crate::job::{Activation, Assignment, Framework, Normalization, Positions, field};

const SOURCE: &str = "BioNeMo 1.7 default";

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

/// The model that a configuration's name contains.
fn model(launch: &Launch) -> Option<(&'static str, u64, u64, u64)> {
    let name = launch.arguments.value("config-name")?.to_lowercase();
    let size = name.trim_end_matches(".yaml").split("esm2").nth(1)?;
    let mut parts = size.split(['_', '-']);
    parts.find_map(|part| MODELS.iter().find(|(known, ..)| *known == part)).copied()
}

/// Whether the launch trains ESM-2.
pub(crate) fn recognises(launch: &Launch) -> bool {
    model(launch).is_some()
}

/// Claims the model and the settings.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some((_, layers, width, heads)) = model(launch) else { return };
    let settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    claims.handed_on(field::FRAMEWORK, Framework::Megatron, format!("{}: its command", claims.place));
    megatron_core::read(&settings, claims);
    for (field, value) in [
        (field::model::LAYERS, layers),
        (field::model::HIDDEN_SIZE, width),
        (field::model::ATTENTION_HEADS, heads),
        (field::model::FFN_HIDDEN_SIZE, width.saturating_mul(4)),
    ] {
        claims.handed_on(field, value, format!("{}: --config-name", claims.place));
    }
    crate::frameworks::reading::settings::assume(DEFAULTS, SOURCE, claims);
}
