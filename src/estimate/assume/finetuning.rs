//! The trained parameters: adapters beside frozen weights, and towers.
//!
//! PEFT has no dropout by default. Most public configurations ask for 5 or 10 %, and any dropout needs the same memory.
//! The rank is 8 if none is given.

use super::given::Given;
use super::{Choice, choice};
use crate::estimate::plan::{Adapters, Plan, Quantized, Saved, Targets};
use crate::frameworks::Profile;
use crate::frameworks::profile::defaults::FourBits;
use crate::frameworks::profile::widths::Widths;
use crate::job::{Method, OuterModules, field};

/// Whether the optimizer's step runs inside the backward pass.
pub(super) fn steps_in_backward(given: &Given<'_>, profile: &Profile, data: u64) -> bool {
    let usual = profile.optimizer.in_backward && data == 1;
    !given.is_adapted() && given.job.optimizer_in_backward.unwrap_or(usual)
}

/// The adapters, if not every weight is trained. `saved`: the formats of modules that are trained whole beside them.
pub(super) fn adapters(
    given: &Given<'_>,
    profile: &Profile,
    widths: Widths,
    saved: Widths,
) -> Option<Adapters> {
    if !given.is_adapted() {
        return None;
    }
    let finetuning = &given.finetuning;
    if given.freezes_language_model() {
        // A frozen model whose input has a gradient is one with adapters nowhere.
        let saved = Saved { modules: OuterModules::default(), widths: saved };
        return Some(Adapters {
            rank: 1,
            targets: Targets::NONE,
            quantized: None,
            width: 4,
            dropout: false,
            saved,
        });
    }
    let as_weights = profile.fine_tuning.adapters_as_weights;
    let modules = finetuning.modules_to_save.as_deref().map_or(OuterModules::default(), OuterModules::named);
    Some(Adapters {
        rank: finetuning.rank.map_or(8, |r| u64::from(r).max(1)),
        targets: finetuning.targets.as_deref().map_or(Targets::ALL, Targets::named),
        quantized: (finetuning.method == Some(Method::QLoRA)).then(|| quantized(given, profile)),
        width: if as_weights && widths.parameter <= 2.0 { 2 } else { 4 },
        dropout: match finetuning.dropout {
            Some(percent) => percent.micros > 0,
            None => profile.fine_tuning.dropout.unwrap_or(false),
        },
        saved: Saved { modules, widths: saved },
    })
}

/// The format of the frozen linear layers under QLoRA: four bits, with scales as the framework's library keeps them.
fn quantized(given: &Given<'_>, profile: &Profile) -> Quantized {
    let own = given.finetuning.quantization.clone().unwrap_or_default();
    let double = profile.fine_tuning.four_bits == FourBits::Torchao;
    Quantized {
        bits: own.bits.map_or(4, u64::from),
        double: own.double.unwrap_or(double),
        joined_experts: own.experts.unwrap_or(false),
    }
}

/// Whether towers are trained: with all weights unless told otherwise, beside a frozen language model only if told.
pub(super) fn trains_towers(given: &Given<'_>) -> bool {
    if given.is_adapted() {
        given.finetuning.whole_towers.unwrap_or(false)
    } else {
        given.finetuning.train_towers.unwrap_or(true)
    }
}

/// The open fields.
pub(super) fn open(given: &Given<'_>, likely: &Plan) -> [Option<Choice>; 3] {
    [open_targets(given), open_dropout(given, likely), open_towers(given, likely)]
}

fn open_targets(given: &Given<'_>) -> Option<Choice> {
    let finetuning = &given.finetuning;
    if finetuning.targets.is_some()
        || given.freezes_language_model()
        || (finetuning.method.is_none() && finetuning.rank.is_none())
    {
        return None;
    }
    let set = |plan: &mut Plan, targets| {
        if let Some(adapters) = &mut plan.adapters {
            adapters.targets = targets;
        }
    };
    Some(choice(
        field::finetuning::TARGETS,
        move |plan| set(plan, Targets::QUERY_VALUE),
        move |plan| set(plan, Targets::ALL),
    ))
}

/// Every second configuration has a dropout before the adapters, unless the framework fixes it.
fn open_dropout(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let documented = given.job.framework.is_some() && likely.profile.fine_tuning.dropout.is_some();
    if given.finetuning.dropout.is_some()
        || given.freezes_language_model()
        || documented
        || likely.adapters.is_none()
    {
        return None;
    }
    let set = |plan: &mut Plan, dropout| {
        if let Some(adapters) = &mut plan.adapters {
            adapters.dropout = dropout;
        }
    };
    Some(choice(field::finetuning::DROPOUT, move |plan| set(plan, false), move |plan| set(plan, true)))
}

/// Towers are often frozen, by an option or by code that is not read.
fn open_towers(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if given.finetuning.train_towers.is_some() || likely.shape.towers == 0 || likely.adapters.is_some() {
        return None;
    }
    Some(choice(
        field::finetuning::TRAIN_TOWERS,
        |plan| plan.train_towers = false,
        |plan| plan.train_towers = true,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{Device, assume};
    use super::*;
    use crate::job::{Finetuning, Framework, Model, TrainingJob};
    use crate::units::Decimal;

    /// Whether adapters have a dropout in the leanest, the likeliest and the heaviest plan.
    fn dropouts(framework: Framework, percent: Option<f64>) -> [bool; 3] {
        let job = TrainingJob {
            model: Some(Model { layers: Some(2), hidden_size: Some(512), ..Model::default() }),
            framework: Some(framework),
            finetuning: Some(Finetuning {
                method: Some(Method::LoRA),
                dropout: percent.map(Decimal::from_f64),
                ..Finetuning::default()
            }),
            ..TrainingJob::default()
        };
        let assumed = assume(&job, Device { bf16: true }).unwrap();
        [assumed.lean(), assumed.likely.clone(), assumed.heavy()].map(|plan| plan.adapters.unwrap().dropout)
    }

    #[test]
    fn an_unstated_dropout_is_in_the_heaviest_plan_alone() {
        assert_eq!(dropouts(Framework::HuggingFace, None), [false, false, true]);
        assert_eq!(dropouts(Framework::HuggingFace, Some(5.0)), [true; 3]);
        assert_eq!(dropouts(Framework::HuggingFace, Some(0.0)), [false; 3]);
        assert_eq!(dropouts(Framework::LitGPT, None), [true; 3]);
        assert_eq!(dropouts(Framework::LitGPT, Some(0.0)), [false; 3]);
    }
}
