//! How a framework handles frozen weights and adapters, by its [`FineTuning`].
//!
//! PEFT has no dropout by default. Most public configurations ask for 5 or 10 %, and any dropout needs the same memory.
//! The rank is 8 if none is given.
//!
//! [`FineTuning`]: crate::frameworks::profile::defaults::FineTuning

use crate::frameworks::Profile;
use crate::frameworks::profile::defaults::{FourBits, UsualRecompute};
use crate::frameworks::profile::widths::Widths;
use crate::job::{Finetuning, Method, Recompute, TrainingJob};

use super::super::plan::{Adapters, Quantized, Targets};
use super::super::states;

/// The framework's default recomputation, if its documentation gives one.
pub(super) fn recompute(profile: &Profile, data: u64) -> Option<Recompute> {
    match profile.recompute {
        UsualRecompute::Undocumented => None,
        UsualRecompute::Full => Some(Recompute::Full),
        UsualRecompute::FullWhereSharded if data > 1 => Some(Recompute::Full),
        UsualRecompute::FullWhereSharded => Some(Recompute::None),
    }
}

/// Whether the optimizer's step runs inside the backward pass.
pub(super) fn steps_in_backward(profile: &Profile, adapted: bool, data: u64) -> bool {
    profile.optimizer.in_backward && !adapted && data == 1
}

/// Whether adapters are trained instead of the weights.
pub(super) fn is_adapted(job: &TrainingJob, method: Option<Method>) -> bool {
    match method {
        Some(Method::Full) => false,
        Some(Method::LoRA | Method::QLoRA) => true,
        None => job.finetuning.as_ref().is_some_and(|finetuning| finetuning.rank.is_some()),
    }
}

/// Frozen weights are loaded in the computation's format. In a quantized model, the other weights have their own format.
pub(super) fn stored(job: &TrainingJob, method: Option<Method>, profile: &Profile, widths: Widths) -> Widths {
    if !is_adapted(job, method) {
        return widths;
    }
    let own = job.finetuning.as_ref().and_then(|finetuning| finetuning.embedding_precision);
    let parameter = match own.filter(|_| method == Some(Method::QLoRA)) {
        Some(precision) => states::width(precision),
        None if method == Some(Method::QLoRA) && profile.fine_tuning.rest_in_fp32 => 4.0,
        None => widths.compute,
    };
    Widths { parameter, ..widths }
}

/// The format of the frozen linear layers under QLoRA: four bits, with scales as the framework's library keeps them.
fn quantized(finetuning: &Finetuning, profile: &Profile) -> Quantized {
    let own = finetuning.quantization.clone().unwrap_or_default();
    let double = profile.fine_tuning.four_bits == FourBits::Torchao;
    Quantized {
        bits: own.bits.map_or(4, u64::from),
        double: own.double.unwrap_or(double),
        joined_experts: own.experts.unwrap_or(false),
    }
}

/// The adapters, if not every weight is trained.
pub(super) fn adapters(
    job: &TrainingJob,
    method: Option<Method>,
    profile: &Profile,
    widths: Widths,
) -> Option<Adapters> {
    if !is_adapted(job, method) {
        return None;
    }
    let finetuning = job.finetuning.as_ref()?;
    let as_weights = profile.fine_tuning.adapters_as_weights;
    Some(Adapters {
        rank: finetuning.rank.map_or(8, |r| u64::from(r).max(1)),
        targets: finetuning.targets.as_deref().map_or(Targets::ALL, Targets::named),
        quantized: (method == Some(Method::QLoRA)).then(|| quantized(finetuning, profile)),
        width: if as_weights && widths.parameter <= 2.0 { 2 } else { 4 },
        dropout: match finetuning.dropout {
            Some(percent) => percent.micros > 0,
            None => profile.fine_tuning.dropout.unwrap_or(false),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Device, assume};
    use super::*;
    use crate::job::{Framework, Model};
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
    fn a_dropout_that_nobody_states_is_in_the_heaviest_plan_alone() {
        assert_eq!(dropouts(Framework::HuggingFace, None), [false, false, true]);
        assert_eq!(dropouts(Framework::HuggingFace, Some(5.0)), [true; 3]);
        assert_eq!(dropouts(Framework::HuggingFace, Some(0.0)), [false; 3]);
        assert_eq!(dropouts(Framework::LitGPT, None), [true; 3]);
        assert_eq!(dropouts(Framework::LitGPT, Some(0.0)), [false; 3]);
    }
}
