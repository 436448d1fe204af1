//! The number formats in which weights, gradients and optimizer states are stored.
//!
//! A framework has its own formats for each way of sharding. Three things change them, in this order: adapters, whose
//! frozen weights are loaded in the computation's format; weights that are trained in the format in which they were
//! saved; and the formats that the job gives.

use super::given::Given;
use super::{Choice, Notes, choice};
use crate::estimate::plan::Plan;
use crate::estimate::states;
use crate::frameworks::Profile;
use crate::frameworks::profile::defaults::TrainedWeights;
use crate::frameworks::profile::widths::{HALF_WITH_SINGLE_COPIES, MIXED_ON_SINGLE, PURE_HALF, Widths};
use crate::job::{Method, Precision, Sharding, field};

/// The formats of the likely plan, before its weights are known to be [as saved](load_as_saved).
pub(super) fn likely(
    given: &Given<'_>,
    profile: &Profile,
    precision: Precision,
    sharding: Sharding,
) -> Widths {
    own(given, frozen(given, profile, profile.widths.widths(precision, sharding)))
}

/// The formats of modules that are trained whole beside adapters. Ranks that divide states, and optimizers with copies of
/// their own, hold them as all trained weights. Otherwise such a module keeps the format in which it was loaded, unless the
/// program casts it, and its gradient and moments have the same format.
pub(super) fn saved(
    given: &Given<'_>,
    profile: &Profile,
    precision: Precision,
    sharding: Sharding,
) -> Widths {
    let trained = own(given, profile.widths.widths(precision, sharding));
    if trained.main > 0.0 || states::divided(sharding).2 {
        return trained;
    }
    let loaded = likely(given, profile, precision, sharding).parameter;
    let width = given.finetuning.saved_precision.map_or(loaded, states::width);
    Widths { parameter: width, gradient: width, moment: width, reduction: width, ..trained }
}

/// Frozen weights are loaded in the computation's format. In a quantized model, the other weights have their own format.
fn frozen(given: &Given<'_>, profile: &Profile, widths: Widths) -> Widths {
    if !given.is_adapted() {
        return widths;
    }
    let quantized = given.finetuning.method == Some(Method::QLoRA);
    let parameter = match given.finetuning.embedding_precision {
        Some(precision) if quantized => states::width(precision),
        None if quantized && profile.fine_tuning.rest_in_fp32 => 4.0,
        _ => widths.compute,
    };
    Widths { parameter, ..widths }
}

/// The stored formats that the job gives win over the framework's. If the optimizer has no copy of its own, gradients,
/// moments and reductions have the parameters' format.
fn own(given: &Given<'_>, widths: Widths) -> Widths {
    let job = given.job;
    let or = |given: Option<Precision>, own: f64| given.map_or(own, states::width);
    let parameter = or(job.parameter_precision, widths.parameter);
    let changed = (parameter - widths.parameter).abs() > f64::EPSILON;
    let follow = |own: f64| if widths.main <= 0.0 && changed { parameter } else { own };
    Widths {
        parameter,
        gradient: or(job.gradient_precision, follow(widths.gradient)),
        main: or(job.main_parameter_precision, widths.main),
        moment: or(job.optimizer_precision, follow(widths.moment)),
        reduction: or(job.gradient_reduction_precision, follow(widths.reduction)),
        ..widths
    }
}

/// Gives the plan two-byte weights, if its framework most likely trains the weights in the format in which they were
/// saved. Models with learned positions were saved in fp32. Sharding turns the parameters into fp32.
pub(super) fn load_as_saved(given: &Given<'_>, likely: &mut Plan, notes: &mut Notes) {
    let TrainedWeights::Loaded { as_saved } = likely.profile.weights else { return };
    let saved = likely.sharding == Sharding::None
        && likely.shape.learned_positions == 0
        && likely.is_of(as_saved)
        && is_stored_open(given, likely);
    if saved {
        likely.widths = own(given, PURE_HALF);
        notes.assume(field::PARAMETER_PRECISION, likely.precision);
    }
}

/// Whether the framework runs the model under autocast (the Trainer's `bf16=True`). This holds if the job asks for a
/// format to compute in, not only for one to load the weights in. Sharding casts the parameters itself.
pub(super) fn is_mixed(
    given: &Given<'_>,
    profile: &Profile,
    sharding: Sharding,
    precision: Precision,
) -> bool {
    let asked = given.job.precision.is_some() || given.job.parameter_precision.is_none();
    profile.autocast && sharding == Sharding::None && !is_single(precision) && asked
}

/// The open fields.
pub(super) fn open(given: &Given<'_>, likely: &Plan) -> [Option<Choice>; 3] {
    [open_framework(given, likely), open_stored(given, likely), open_autocast(given, likely)]
}

/// A job without a framework may have 8 to 20 bytes a parameter.
fn open_framework(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if given.job.framework.is_some() || likely.adapters.is_some() || is_single(likely.precision) {
        return None;
    }
    let model_parallel = likely.tensor > 1 || likely.pipeline > 1;
    let lean = own(given, if model_parallel { MIXED_ON_SINGLE } else { PURE_HALF });
    let heavy = own(given, HALF_WITH_SINGLE_COPIES);
    Some(choice(field::FRAMEWORK, move |plan| plan.widths = lean, move |plan| plan.widths = heavy))
}

/// A framework that trains the loaded weights has two-byte weights, or fp32 weights under autocast.
fn open_stored(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if !is_stored_open(given, likely) {
        return None;
    }
    let (lean, heavy) = (own(given, PURE_HALF), own(given, of_framework(likely)));
    Some(choice(field::PARAMETER_PRECISION, move |plan| plan.widths = lean, move |plan| plan.widths = heavy))
}

fn is_stored_open(given: &Given<'_>, likely: &Plan) -> bool {
    let wide = of_framework(likely);
    given.named.weights != TrainedWeights::Made
        && given.job.parameter_precision.is_none()
        && likely.adapters.is_none()
        && wide.parameter > wide.compute
        && wide.main <= 0.0
}

fn of_framework(plan: &Plan) -> Widths {
    plan.profile.widths.widths(plan.precision, plan.sharding)
}

/// If neither format is given, adapters may compute in their own: fp32.
fn open_autocast(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let stated = given.job.precision.is_some() || given.job.parameter_precision.is_some();
    let plain = likely.adapters.as_ref().is_some_and(|adapters| adapters.quantized.is_none());
    if stated || !likely.mixed || !plain {
        return None;
    }
    Some(choice(field::PRECISION, |_| {}, |plan| plan.mixed = false))
}

fn is_single(precision: Precision) -> bool {
    matches!(precision, Precision::FP32 | Precision::TF32)
}

#[cfg(test)]
mod tests {
    use super::super::{Device, assume};
    use super::*;
    use crate::job::{Accelerator, Framework, Model, Parallelism, Positions, TrainingJob};

    /// Whether weights are in fp32 in the leanest, the likeliest and the heaviest plan.
    fn single(version: Option<&str>, positions: Positions, sharding: Sharding) -> [bool; 3] {
        let job = TrainingJob {
            model: Some(Model {
                layers: Some(2),
                hidden_size: Some(512),
                positions: Some(positions),
                ..Model::default()
            }),
            framework: Some(Framework::HuggingFace),
            framework_version: version.map(ToOwned::to_owned),
            parallelism: Some(Parallelism { sharding: Some(sharding), ..Default::default() }),
            accelerator: Some(Accelerator { count: Some(8), ..Accelerator::default() }),
            ..TrainingJob::default()
        };
        let assumed = assume(&job, Device { bf16: true }).unwrap();
        [assumed.lean(), assumed.likely.clone(), assumed.heavy()].map(|plan| plan.widths.parameter > 2.0)
    }

    #[test]
    fn transformers_weights_are_as_saved_but_for_old_versions_old_models_and_fsdp() {
        use Positions::{Learned, Rotary};
        assert_eq!(single(Some("5.1"), Rotary, Sharding::None), [false, false, true]);
        assert_eq!(single(None, Rotary, Sharding::None), [false, false, true]);
        assert_eq!(single(Some("4.57"), Rotary, Sharding::None), [false, true, true]);
        assert_eq!(single(Some("5.1"), Learned, Sharding::None), [false, true, true]);
        assert_eq!(single(Some("5.1"), Rotary, Sharding::FSDP), [false, true, true]);
    }
}
