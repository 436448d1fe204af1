//! How a step is computed: recomputation, attention, loss, compilation, and the optimizer's implementation. A version
//! of the framework that is not stated is open here, because it decides one of these.

use super::given::Given;
use super::{Choice, Device, Notes, choice};
use crate::estimate::plan::Plan;
use crate::frameworks::Profile;
use crate::frameworks::profile::defaults::{UsualLoss, UsualRecompute};
use crate::frameworks::profile::memory::Layers;
use crate::job::{
    Attention, Loss, Optimizer, OptimizerImplementation, Positions, Recompute, Sharding, field,
};

/// The recomputation of the likely plan.
pub(super) fn recompute(given: &Given<'_>, profile: &Profile, data: u64, notes: &mut Notes) -> Recompute {
    given.job.recompute.unwrap_or_else(|| {
        let recompute = documented_recompute(profile, data).unwrap_or(Recompute::None);
        notes.assume(field::RECOMPUTE, recompute);
        recompute
    })
}

/// The framework's default recomputation, if its documentation gives one.
fn documented_recompute(profile: &Profile, data: u64) -> Option<Recompute> {
    match profile.recompute {
        UsualRecompute::Undocumented => None,
        UsualRecompute::Full => Some(Recompute::Full),
        UsualRecompute::FullWhereSharded if data > 1 => Some(Recompute::Full),
        UsualRecompute::FullWhereSharded => Some(Recompute::None),
    }
}

/// The attention of the likely plan. The fused kernels of Transformer Engine and of FlashAttention-2 need Ampere, as
/// bf16 does. On earlier devices Megatron runs its own unfused attention, and the others run PyTorch's
/// memory-efficient one, which needs as little memory as a fused one. Sources: FlashAttention 2.8's README; Transformer
/// Engine 2.8's `get_attention_backend`; PyTorch's `scaled_dot_product_attention`.
pub(super) fn attention(
    given: &Given<'_>,
    profile: &Profile,
    device: Device,
    notes: &mut Notes,
) -> Attention {
    given.job.attention.unwrap_or_else(|| {
        let fused = device.bf16 || !profile.kernels.transformer_engine;
        // T5 adds a bias of distances, for which Transformers has had no fused kernel.
        let fused = fused && given.model.positions != Some(Positions::Relative);
        let attention = if fused { Attention::Flash } else { Attention::Unfused };
        notes.assume(field::ATTENTION, attention);
        attention
    })
}

/// The loss of the likely plan.
pub(super) fn loss(given: &Given<'_>, profile: &Profile, notes: &mut Notes) -> Loss {
    given.job.loss.unwrap_or_else(|| {
        let loss = usual_loss(given, profile);
        notes.assume(field::LOSS, loss);
        loss
    })
}

/// The loss that a framework computes by default.
fn usual_loss(given: &Given<'_>, profile: &Profile) -> Loss {
    let version = given.job.framework_version.as_deref();
    let compiled = given.job.compile == Some(true);
    match profile.loss {
        UsualLoss::VocabParallel { .. } => Loss::VocabParallel,
        UsualLoss::FusedInPlace => Loss::Fused,
        UsualLoss::Chunked { eager } if !eager.hold(version) => Loss::Chunked,
        UsualLoss::CompiledWithModel { eager, .. } if compiled && !eager.hold(version) => Loss::Chunked,
        UsualLoss::Eager | UsualLoss::Chunked { .. } | UsualLoss::CompiledWithModel { .. } => Loss::Eager,
    }
}

/// The open fields of the model's passes.
pub(super) fn open(given: &Given<'_>, likely: &Plan) -> [Option<Choice>; 6] {
    [
        open_recompute(given, likely),
        open_attention(given, likely),
        open_loss(given, likely),
        open_compile(given, likely),
        open_compiled_kernels(given, likely),
        open_version(given, likely),
    ]
}

/// PyTorch's fused step, if a version of the framework may have it by default and PyTorch may too.
pub(super) fn open_step(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let fused = likely.is_of(given.named.optimizer.fused);
    if !fused || likely.optimizer != Optimizer::AdamW || given.job.optimizer_implementation.is_some() {
        return None;
    }
    let set = |plan: &mut Plan, implementation| plan.implementation = implementation;
    Some(choice(
        field::OPTIMIZER_IMPLEMENTATION,
        move |plan| set(plan, OptimizerImplementation::Fused),
        move |plan| set(plan, OptimizerImplementation::Foreach),
    ))
}

fn open_recompute(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let documented = documented_recompute(likely.profile, likely.data).is_some();
    if given.job.recompute.is_some() || documented && given.job.framework.is_some() {
        return None;
    }
    Some(choice(
        field::RECOMPUTE,
        |plan| plan.recompute = Recompute::Full,
        |plan| plan.recompute = Recompute::None,
    ))
}

/// Only frameworks without a fused kernel of their own may run unfused, and devices without one. On long sequences
/// they do not.
fn open_attention(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let may = given.named.kernels.may_run_unfused || likely.attention == Attention::Unfused;
    if given.job.attention.is_some() || !may || likely.sequence > 8192 {
        return None;
    }
    Some(choice(
        field::ATTENTION,
        |plan| plan.attention = Attention::Flash,
        |plan| plan.attention = Attention::Unfused,
    ))
}

/// A stated framework computes the loss in its documentation, unless the job sets another. A framework that compiles
/// the loss with the model documents it for some versions, by what is compiled.
fn open_loss(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let between = |lean: Loss, heavy: Loss| {
        Some(choice(field::LOSS, move |plan| plan.loss = lean, move |plan| plan.loss = heavy))
    };
    if given.job.loss.is_some() {
        return None;
    }
    if let UsualLoss::VocabParallel { fuses } = likely.profile.loss {
        return if fuses { between(Loss::InPlace, Loss::CompiledVocabParallel) } else { None };
    }
    if given.job.framework.is_none() {
        return between(Loss::Fused, Loss::Eager);
    }
    let UsualLoss::CompiledWithModel { eager, documented } = likely.profile.loss else { return None };
    let fixed = match given.job.compile {
        Some(true) => likely.is_of(documented),
        Some(false) => likely.is_of(eager),
        None => false,
    };
    if fixed { None } else { between(Loss::Chunked, Loss::Eager) }
}

/// Compilation of the model decides what unfused layers keep, by their formula.
fn open_compile(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let kept = !matches!(likely.recompute, Recompute::Full);
    if given.job.compile.is_some() || likely.profile.layers != Layers::Unfused || !kept {
        return None;
    }
    Some(choice(field::COMPILE, |plan| plan.compile = true, |plan| plan.compile = false))
}

/// Per-operation recomputation keeps what compiled kernels put out since torchtitan 0.2.1: its `inductor_compiled_code`.
/// Few versions are told to the third number.
fn open_compiled_kernels(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let selective = likely.recompute == Recompute::Selective && likely.profile.layers == Layers::Unfused;
    if given.job.compile == Some(false) || likely.shape.experts.is_none() || !selective {
        return None;
    }
    let keep = |keeps: bool| move |plan: &mut Plan| plan.keeps_compiled = keeps;
    Some(choice(field::FRAMEWORK_VERSION, keep(false), keep(true)))
}

/// A version that is not stated is open in two cases. First, it decides whether the layer's experts are one tensor:
/// FSDP2 pads such a tensor if there are fewer experts than ranks, and not every version quantizes it. Second, it
/// decides how often the logits are held.
fn open_version(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if given.job.framework_version.is_some() {
        return None;
    }
    let set = |plan: &mut Plan, version: &str| plan.framework_version = Some(version.to_owned());
    let of = |lean: &'static str, heavy: &'static str| {
        choice(field::FRAMEWORK_VERSION, move |plan| set(plan, lean), move |plan| set(plan, heavy))
    };
    if let Some(experts) = likely.profile.experts.joined {
        let joined = Plan { framework_version: Some(experts.first.to_owned()), ..likely.clone() };
        let quantized = likely.adapters.as_ref().and_then(|adapters| adapters.quantized);
        let left =
            quantized.is_some_and(|quantized| !quantized.joined_experts) && likely.shape.experts.is_some();
        if joined.expert_padding() > 1.0 || left {
            return Some(of(experts.last_apart, experts.first));
        }
    }
    let sharded = matches!(likely.sharding, Sharding::FSDP | Sharding::HSDP);
    let inputs_stay = sharded && likely.adapters.is_some() && likely.recompute == Recompute::Full;
    let decides = likely.loss == Loss::Eager || inputs_stay;
    let open = given.named.open_versions.filter(|_| decides);
    open.map(|ends| of(ends.lean, ends.heavy))
}
