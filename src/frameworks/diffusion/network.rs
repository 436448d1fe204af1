//! What the programs that train diffusion models have in common. Each has its own names of options.
//!
//! The trained network is the model. Text encoders and VAE are towers: frozen, and perhaps freed before the first step, because
//! many programs compute latents and texts once. With adapters the network, too, is in the format of the computation. What a step
//! keeps for a sample follows from its size ([`super::images`]); it may be a half more, and as little as the program moves elsewhere.

use serde_json::{Value, json};

use super::images::{self, Size};
use crate::command::Launch;
use crate::frameworks::deepspeed;
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags;
use crate::frameworks::reading::settings::{Setting, Settings};
use crate::job::{
    Assignment, Framework, Method, OpenField, Optimizer, Precision, Recompute, Sharding, Source, field,
};
use crate::model::known::{self, Known};
use crate::units::Bytes;

/// What programs take that have a configuration file, if it does not say another.
pub(crate) const USUAL: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::PRECISION.is(Precision::BF16),
    field::parallelism::SHARDING.is(Sharding::None),
];

/// As good as none: the field takes no zero.
const NO_TOWER: u64 = 1;

/// Latents and texts were computed before, so that nothing is held beside the network.
pub(crate) fn without_towers(program: &str, claims: &mut Claims) {
    // Stronger than the known model's.
    claims.argument(field::model::TOWER_PARAMETERS, NO_TOWER, program);
}

/// The optimizer, by words of the program's own or by those that all programs share.
pub(crate) fn optimizer(
    settings: &Settings<'_>,
    names: &[&str],
    own: &[(&str, Optimizer)],
    usual: (Optimizer, &str),
    claims: &mut Claims,
) {
    let setting = settings.get(names);
    let word = setting.as_ref().and_then(Setting::text).unwrap_or_default();
    match setting.zip(flags::one_of(own, &word)) {
        Some((setting, optimizer)) => setting.says(claims, field::OPTIMIZER, optimizer),
        None => training_arguments::optimizer(settings, names, claims),
    }
    claims.assume(field::OPTIMIZER, usual.0, usual.1);
}

/// The known model that the job names.
pub(crate) fn named(claims: &Claims) -> Option<&'static Known> {
    let named: Option<String> = claims.get(field::model::NAME);
    named.as_deref().and_then(known::find)
}

/// The dimensions of the program's own architecture. The name of its checkpoint does not matter.
pub(crate) fn stands_for(known: &Known, source: &str, claims: &mut Claims) {
    for (field, value) in known.fields() {
        claims.assume(field, value, source);
    }
}

/// What holds for every such program: it trains on Hugging Face's stack, a sample is one image or video, and towers are frozen.
pub(crate) fn begins(program: &str, source: &str, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::HuggingFace, program);
    claims.assume(field::batch::SEQUENCE_LENGTH, 1, "an image is a sample");
    claims.open_anyway(field::model::TOWER_PARAMETERS, NO_TOWER);
    claims.assume(field::finetuning::TRAIN_TOWERS, false, source);
}

/// What a step keeps for a sample of a known network.
pub(crate) fn sample(
    known: Option<&Known>,
    size: Option<Size>,
    source: impl Into<Source>,
    claims: &mut Claims,
) {
    let checkpointed = claims.get(field::RECOMPUTE) == Some(Recompute::Full);
    let adapters = claims.get(field::finetuning::METHOD).is_some_and(|method| method != Method::Full);
    let kept =
        known.zip(size).and_then(|(known, size)| images::of(&known.name, size, adapters, checkpointed));
    let Some(kept) = kept else { return };
    // The counts are of autocast. Without it, tensors are twice as wide.
    let computed: Option<Precision> = claims.get(field::PRECISION);
    let narrow = matches!(computed, Some(Precision::BF16 | Precision::FP16));
    let kept = kept.scale(if narrow { 1.0 } else { 2.0 });
    let quantity = |bytes: Bytes| format!("{}Mi", bytes.0 >> 20);
    claims.assume(field::model::SAMPLE_ACTIVATIONS, quantity(kept), source);
    claims.open_field(OpenField {
        field: field::model::SAMPLE_ACTIVATIONS.erased(),
        leanest: Some(json!(quantity(Bytes::ZERO))),
        heaviest: Some(json!(quantity(kept.scale(1.5)))),
        although_given: false,
    });
}

/// The frozen network may be kept in few bits.
pub(crate) fn few_bits(claims: &mut Claims) {
    claims.open_anyway(field::finetuning::METHOD, Method::QLoRA);
}

/// Whether one of these options is given, and not turned off.
pub(crate) fn any_on(settings: &Settings<'_>, options: &[&str]) -> bool {
    // Each is asked, so that each counts as read.
    let on = |option: &&&str| {
        let setting = settings.get(&[**option]);
        setting.is_some_and(|setting| setting.truth() != Some(false) && setting.number() != Some(0))
    };
    options.iter().filter(on).count() > 0
}

/// How the ranks share the network, if its launcher does not say it.
pub(crate) fn sharding(launch: &Launch, source: &str, claims: &mut Claims) {
    if claims.knows(field::parallelism::SHARDING) || claims.is_open(field::parallelism::SHARDING) {
        return;
    }
    if launch.accelerators == 1 {
        claims.assume(field::parallelism::SHARDING, Sharding::None, source);
    } else {
        deepspeed::unknown(claims);
    }
}

/// The pixels of `1024`, `"1024,768"`, `1024x768` or `[1024, 768]`. One number is the side of a square.
pub(crate) fn pixels(value: &Value) -> Option<u64> {
    let sides: Vec<u64> = match value {
        Value::Array(sides) => sides.iter().filter_map(Value::as_u64).collect(),
        Value::String(text) => text.split([',', 'x']).filter_map(|side| side.trim().parse().ok()).collect(),
        _ => value.as_u64().into_iter().collect(),
    };
    match *sides.as_slice() {
        [side] => Some(side.saturating_mul(side)),
        [width, height] => Some(width.saturating_mul(height)),
        _ => sides.iter().max().map(|side| side.saturating_mul(*side)),
    }
}
