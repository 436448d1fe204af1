//! Adapters of a program that has one setting for them: their rank, of which zero means none.

use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::settings::Settings;
use crate::job::{Method, field};

/// What the setting gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// There are no adapters.
    None,
    /// It cannot be read, so there may be adapters.
    Unknown,
    /// Adapters of this rank are trained.
    Of(u64),
}

/// Claims the method and the rank that one of these settings gives. Without adapters the method is the caller's to claim.
pub(crate) fn rank(settings: &Settings<'_>, names: &[&str], claims: &mut Claims) -> Rank {
    let Some(setting) = settings.get(names) else { return Rank::None };
    match setting.number() {
        Some(0) => Rank::None,
        None => {
            claims.open(field::finetuning::METHOD, Method::LoRA);
            Rank::Unknown
        }
        Some(rank) => {
            setting.says(claims, field::finetuning::METHOD, Method::LoRA);
            setting.says(claims, field::finetuning::RANK, rank);
            Rank::Of(rank)
        }
    }
}
