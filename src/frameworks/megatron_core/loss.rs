//! Megatron Core's fused cross-entropy, under the names of every front end.
//!
//! | fusion | implementation | loss |
//! | --- | --- | --- |
//! | off | – | vocab-parallel, the default |
//! | on | `native`, the default | the same, compiled |
//! | on | `te` | Transformer Engine's kernel: the gradient replaces the logits |
//! | on | `linear` | fused with the output layer |
//!
//! Source: Megatron-LM core 0.12 to 0.19, `models/common/language_module/language_module.py`.

use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::settings::Settings;
use crate::job::{Loss, field};

const FUSION: &[&str] = &[
    "cross-entropy-loss-fusion",
    "cross_entropy_loss_fusion",
    "model.cross_entropy_loss_fusion",
    "model.config.cross_entropy_loss_fusion",
];
const IMPLEMENTATION: &[&str] = &[
    "cross-entropy-fusion-impl",
    "cross_entropy_fusion_impl",
    "model.cross_entropy_fusion_impl",
    "model.config.cross_entropy_fusion_impl",
];

/// Claims the loss, if the fusion is written.
pub(crate) fn read(settings: &Settings<'_>, claims: &mut Claims) {
    let implementation = settings.text(IMPLEMENTATION);
    let Some(fusion) = settings.get(FUSION) else { return };
    let loss = match (fusion.truth(), implementation.as_deref()) {
        (Some(true), Some("te")) => Loss::InPlace,
        (Some(true), Some("linear")) => Loss::Fused,
        (Some(true), _) => Loss::CompiledVocabParallel,
        (Some(false), _) => Loss::VocabParallel,
        (None, _) => return claims.unparsed(field::LOSS),
    };
    fusion.says(claims, field::LOSS, loss);
}
