//! The fields that a training job leaves open and that change the memory, each with its leanest and its heaviest value.
//!
//! The table in [`super`] is made here. A field is not open if the job gives it or its framework fixes it.

use crate::frameworks::profile::defaults::{SampleLengths, TrainedWeights, UsualLoss};
use crate::frameworks::profile::memory::Layers;
use crate::frameworks::profile::widths::{HALF_WITH_SINGLE_COPIES, MIXED_ON_SINGLE, PURE_HALF};
use crate::frameworks::{Profile, profile};
use crate::job::{
    AnyField, Attention, Dispatcher, Loss, Model, Optimizer, OptimizerImplementation, Precision, Recompute,
    Sharding, TrainingJob, field,
};
use crate::model::Shape;

use super::super::plan::{Plan, Targets};
use super::{Choice, finetuning, roles};

/// The longest sample of a batch, at its leanest. Classifiers, pairs and short instructions have about 64 tokens.
const SHORTEST_SEQUENCE: u64 = 64;

/// The ratio of the longest sample to the typical one, at its leanest. The data of ms-swift have a mean of 3234 and a
/// deviation of 2547. As a log-normal, one sample in a hundred is longer than four times the mean.
const LONGEST_OVER_TYPICAL: u64 = 4;

/// The loss that a framework computes by default.
pub(super) fn usual_loss(job: &TrainingJob, profile: &Profile) -> Loss {
    let version = job.framework_version.as_deref();
    match profile.loss {
        UsualLoss::VocabParallel => Loss::VocabParallel,
        UsualLoss::FusedInPlace => Loss::Fused,
        UsualLoss::Chunked { eager } if !eager.hold(version) => Loss::Chunked,
        UsualLoss::CompiledWithModel { eager, .. } if job.compile == Some(true) && !eager.hold(version) => {
            Loss::Chunked
        }
        UsualLoss::Eager | UsualLoss::Chunked { .. } | UsualLoss::CompiledWithModel { .. } => Loss::Eager,
    }
}

fn choice(
    field: impl Into<AnyField>,
    lean: impl Fn(&mut Plan) + 'static,
    heavy: impl Fn(&mut Plan) + 'static,
) -> Choice {
    Choice { field: field.into(), lean: Box::new(lean), heavy: Box::new(heavy) }
}

/// The open fields. Fields that others depend on come first.
pub(super) fn open(job: &TrainingJob, model: &Model, likely: &Plan) -> Vec<Choice> {
    [
        dimensions(model, likely),
        vocabulary(model),
        accelerators(job, likely),
        division(job),
        dispatcher(job, likely),
        framework(job, likely),
        stored_precision(job, likely),
        step(job, likely),
        autocast(job, likely),
        sharding(job, likely),
        sequence(job),
        micro_batch(job, likely),
        micro_batches(job, likely),
        recompute(job, likely),
        attention(job, likely),
        loss(job, likely),
        compile(job, likely),
        compiled_kernels(job, likely),
        version(job, likely),
        lengths(job, likely),
        sequence_parallel(job, likely),
        targets(job),
        adapter_dropout(job, likely),
        towers(job, likely),
    ]
    .into_iter()
    .flatten()
    .chain(roles::open(job, likely))
    .collect()
}

/// At the same size, a wide and shallow model needs fewer activations than a narrow and deep one. If the size is
/// divided among experts, most of it is experts. Then a token passes at least an eighth of it.
fn dimensions(model: &Model, likely: &Plan) -> Option<Choice> {
    const WIDE: f64 = 1.25;
    const NARROW: f64 = 0.8;
    const SPARSE: u64 = 8;
    if model.layers.is_some() && model.hidden_size.is_some() {
        return None;
    }
    let parameters = model.parameters?.0;
    let sparse = likely.expert > 1 && model.experts.is_none();
    let (wide, narrow) = (model.clone(), model.clone());
    Some(choice(
        field::model::LAYERS,
        move |plan| {
            let passed = if sparse { parameters / SPARSE } else { parameters };
            plan.shape = Shape::of_size(&wide, passed, plan.shape.vocab, WIDE);
            plan.shape.declared = Some(parameters);
        },
        move |plan| plan.shape = Shape::of_size(&narrow, parameters, plan.shape.vocab, NARROW),
    ))
}

/// Towers are often frozen, by an option or by code that is not read.
fn towers(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let given = job.finetuning.as_ref().and_then(|finetuning| finetuning.train_towers).is_some();
    if given || likely.shape.towers == 0 || likely.adapters.is_some() {
        return None;
    }
    Some(choice(
        field::finetuning::TRAIN_TOWERS,
        |plan| plan.train_towers = false,
        |plan| plan.train_towers = true,
    ))
}

fn vocabulary(model: &Model) -> Option<Choice> {
    if model.vocab_size.is_some() || model.padded_vocab_size.is_some() {
        return None;
    }
    Some(choice(
        field::model::VOCAB_SIZE,
        |plan| plan.shape.vocab = 32_000,
        |plan| plan.shape.vocab = 152_064,
    ))
}

/// Ranks that must share a replica may also share its weights.
fn division(job: &TrainingJob) -> Option<Choice> {
    let implied = super::division::implied(job)?;
    Some(choice(
        field::parallelism::TENSOR,
        move |plan| {
            plan.context = 1;
            plan.tensor = implied;
            plan.sequence_parallel = true;
        },
        |_| {},
    ))
}

/// Guides replace the default that gathers all tokens by one that sends them.
fn dispatcher(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let given = job.parallelism.as_ref().and_then(|p| p.dispatcher).is_some();
    if given
        || likely.profile.experts.dispatcher != Dispatcher::AllGather
        || likely.expert <= 1
        || likely.shape.experts.is_none()
    {
        return None;
    }
    let (gather, send) = (Dispatcher::AllGather, Dispatcher::AllToAll);
    let many = likely.expert >= 8;
    let (lean, heavy) = if many { (send, gather) } else { (gather, send) };
    Some(choice(
        field::parallelism::DISPATCHER,
        move |plan| plan.dispatcher = lean,
        move |plan| plan.dispatcher = heavy,
    ))
}

/// The number of sharing ranks is open if neither accelerators nor data parallelism are given.
fn accelerators(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let count = job.accelerator.as_ref().and_then(|a| a.count);
    let data = job.parallelism.as_ref().and_then(|p| p.data);
    if count.is_some() || data.is_some() {
        return None;
    }
    // Sharding that is not stated is the framework's usual one, if there is more than one rank.
    let unstated = job.parallelism.as_ref().and_then(|p| p.sharding).is_none();
    let sharding = likely.profile.sharding.usual;
    Some(choice(
        field::accelerator::COUNT,
        move |plan| {
            plan.data = 1024;
            if unstated {
                plan.sharding = sharding;
            }
        },
        |plan| plan.data = 1,
    ))
}

fn framework(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    if job.framework.is_some() || likely.adapters.is_some() || single(likely.precision) {
        return None;
    }
    let lean = if likely.tensor > 1 || likely.pipeline > 1 { MIXED_ON_SINGLE } else { PURE_HALF };
    let (job_lean, job_heavy) = (job.clone(), job.clone());
    Some(choice(
        field::FRAMEWORK,
        move |plan| plan.widths = super::own_widths(&job_lean, lean),
        move |plan| plan.widths = super::own_widths(&job_heavy, HALF_WITH_SINGLE_COPIES),
    ))
}

/// A framework that trains the loaded weights has two-byte weights, or fp32 weights under autocast.
fn stored_precision(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let wide = likely.profile.widths.widths(likely.precision, likely.sharding);
    if profile(job.framework).weights == TrainedWeights::Made
        || job.parameter_precision.is_some()
        || likely.adapters.is_some()
        || wide.parameter <= wide.compute
        || wide.main > 0.0
    {
        return None;
    }
    let (lean, heavy) = (super::own_widths(job, PURE_HALF), super::own_widths(job, wide));
    Some(choice(field::PARAMETER_PRECISION, move |plan| plan.widths = lean, move |plan| plan.widths = heavy))
}

/// Whether weights most likely keep the two bytes per number in which they were saved, as the framework's version loads
/// them. Models with learned positions were saved in fp32. Sharding turns the parameters into fp32.
pub(super) fn loaded_as_saved(job: &TrainingJob, likely: &Plan) -> bool {
    let TrainedWeights::Loaded { as_saved } = likely.profile.weights else { return false };
    stored_precision(job, likely).is_some()
        && likely.sharding == Sharding::None
        && likely.shape.learned_positions == 0
        && likely.is_of(as_saved)
}

/// PyTorch's fused step, if a version of the framework may have it by default and PyTorch may too.
fn step(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let fused = likely.is_of(profile(job.framework).optimizer.fused);
    if !fused || likely.optimizer != Optimizer::AdamW || job.optimizer_implementation.is_some() {
        return None;
    }
    let set = |plan: &mut Plan, implementation| plan.implementation = implementation;
    Some(choice(
        field::OPTIMIZER_IMPLEMENTATION,
        move |plan| set(plan, OptimizerImplementation::Fused),
        move |plan| set(plan, OptimizerImplementation::Foreach),
    ))
}

/// Whether the framework runs the model under autocast (the Trainer's `bf16=True`). This holds if the job asks for a
/// format to compute in, not only for one to load the weights in. Sharding casts the parameters itself.
pub(super) fn mixed(job: &TrainingJob, profile: &Profile, sharding: Sharding, precision: Precision) -> bool {
    let asked = job.precision.is_some() || job.parameter_precision.is_none();
    profile.autocast && sharding == Sharding::None && !single(precision) && asked
}

/// If neither format is given, adapters may compute in their own: fp32.
fn autocast(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let given = job.precision.is_some() || job.parameter_precision.is_some();
    if given || !likely.mixed || likely.adapters.as_ref().is_none_or(|adapters| adapters.quantized.is_some())
    {
        return None;
    }
    Some(choice(field::PRECISION, |_| {}, |plan| plan.mixed = false))
}

fn single(precision: Precision) -> bool {
    matches!(precision, Precision::FP32 | Precision::TF32)
}

fn sharding(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let given = job.parallelism.as_ref().and_then(|p| p.sharding).is_some();
    if given || likely.data * likely.context <= 1 {
        return None;
    }
    let ends = likely.profile.sharding.open?;
    // A model-parallel job of an unknown framework may shard everything, as torchtitan does.
    let model_parallel = likely.tensor > 1 || likely.pipeline > 1;
    let lean = if job.framework.is_none() && model_parallel { Sharding::FSDP } else { ends.lean };
    let heavy = ends.heavy;
    Some(choice(
        field::parallelism::SHARDING,
        move |plan| plan.sharding = lean,
        move |plan| plan.sharding = heavy,
    ))
}

fn sequence(job: &TrainingJob) -> Option<Choice> {
    if job.batch.as_ref().and_then(|b| b.sequence_length).is_some() {
        return None;
    }
    Some(choice(
        field::batch::SEQUENCE_LENGTH,
        |plan| plan.sequence = SHORTEST_SEQUENCE,
        |plan| plan.sequence = 8192,
    ))
}

/// A larger microbatch means fewer of them. Each end takes the pair that needs the least or the most.
fn micro_batch(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    const MOST: u64 = 4;
    let batch = job.batch.clone().unwrap_or_default();
    if batch.micro_batch_size.is_some() {
        return None;
    }
    let per_rank = batch.global_batch_size.map(|global| (u64::from(global) / likely.data.max(1)).max(1));
    let most = per_rank.map_or(MOST, |sequences| sequences.clamp(1, MOST));
    Some(choice(
        field::batch::MICRO_BATCH_SIZE,
        move |plan| {
            plan.micro_batch = 1;
            plan.micro_batches = per_rank.map_or(plan.micro_batches, |sequences| sequences / most);
        },
        move |plan| {
            plan.micro_batch = most;
            plan.micro_batches = per_rank.unwrap_or(plan.micro_batches);
        },
    ))
}

fn micro_batches(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    if job.batch.as_ref().and_then(|b| b.global_batch_size).is_some() {
        return None;
    }
    let most = likely.pipeline.saturating_mul(4).max(2);
    Some(choice(
        field::batch::GLOBAL_BATCH_SIZE,
        |plan| plan.micro_batches = 1,
        move |plan| plan.micro_batches = most,
    ))
}

fn recompute(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let documented = finetuning::recompute(likely.profile, likely.data).is_some();
    if job.recompute.is_some() || documented && job.framework.is_some() {
        return None;
    }
    Some(choice(
        field::RECOMPUTE,
        |plan| plan.recompute = Recompute::Full,
        |plan| plan.recompute = Recompute::None,
    ))
}

/// Only frameworks without a fused kernel of their own may run unfused. On long sequences they do not.
fn attention(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let may = profile(job.framework).kernels.may_run_unfused;
    if job.attention.is_some() || !may || likely.sequence > 8192 {
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
fn loss(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    if job.loss.is_some() || likely.profile.loss == UsualLoss::VocabParallel {
        return None;
    }
    if job.framework.is_none() {
        return Some(choice(field::LOSS, |plan| plan.loss = Loss::Fused, |plan| plan.loss = Loss::Eager));
    }
    let UsualLoss::CompiledWithModel { eager, documented } = likely.profile.loss else { return None };
    let fixed = match job.compile {
        Some(true) => likely.is_of(documented),
        Some(false) => likely.is_of(eager),
        None => false,
    };
    (!fixed).then(|| choice(field::LOSS, |plan| plan.loss = Loss::Chunked, |plan| plan.loss = Loss::Eager))
}

/// Compilation of the model decides what torchtitan's layers keep, by their formula.
fn compile(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let kept = !matches!(likely.recompute, Recompute::Full);
    if job.compile.is_some() || likely.profile.layers != Layers::Torchtitan || !kept {
        return None;
    }
    Some(choice(field::COMPILE, |plan| plan.compile = true, |plan| plan.compile = false))
}

/// Per-operation recomputation keeps what compiled kernels put out since torchtitan 0.2.1: its `inductor_compiled_code`.
/// Few versions are told to the third number.
fn compiled_kernels(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let selective = likely.recompute == Recompute::Selective && likely.profile.layers == Layers::Torchtitan;
    if job.compile == Some(false) || likely.shape.experts.is_none() || !selective {
        return None;
    }
    let keep = |keeps: bool| move |plan: &mut Plan| plan.keeps_compiled = keeps;
    Some(choice(field::FRAMEWORK_VERSION, keep(false), keep(true)))
}

/// A version that is not stated matters where it decides whether FSDP2 pads a layer's experts, which it does where there are
/// fewer experts than ranks, whether experts are quantized, or how often the logits are held.
fn version(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    if job.framework_version.is_some() {
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
    let open = profile(job.framework).open_versions.filter(|_| likely.loss == Loss::Eager);
    open.map(|ends| of(ends.lean, ends.heavy))
}

/// A cap is an upper bound, not a length. Samples that are not packed may all be short. If their typical length is
/// stated, the longest is at least several times as long.
fn lengths(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let batch = job.batch.as_ref()?;
    batch.sequence_length?;
    let tuning = likely.adapters.is_some() || job.finetuning.as_ref().is_some_and(|f| f.method.is_some());
    // LitGPT starts with the longest sample.
    let full = likely.profile.batches.lengths == SampleLengths::Full;
    let padded = !full || batch.packing == Some(false);
    let longest = match batch.typical_sequence_length {
        Some(typical) => u64::from(typical).saturating_mul(LONGEST_OVER_TYPICAL),
        None => SHORTEST_SEQUENCE,
    };
    if batch.packing == Some(true) || !tuning || !padded || longest >= likely.sequence {
        return None;
    }
    Some(choice(
        field::batch::TYPICAL_SEQUENCE_LENGTH,
        move |plan| {
            plan.sequence = longest;
            plan.typical_sequence = plan.typical_sequence.min(longest);
            plan.varying_lengths = false;
        },
        |_| {},
    ))
}

fn sequence_parallel(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    if job.parallelism.as_ref().and_then(|p| p.sequence).is_some() || likely.tensor <= 1 {
        return None;
    }
    Some(choice(
        field::parallelism::SEQUENCE,
        |plan| plan.sequence_parallel = true,
        |plan| plan.sequence_parallel = false,
    ))
}

fn targets(job: &TrainingJob) -> Option<Choice> {
    let finetuning = job.finetuning.as_ref()?;
    if finetuning.targets.is_some() || (finetuning.method.is_none() && finetuning.rank.is_none()) {
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
fn adapter_dropout(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let given = job.finetuning.as_ref().and_then(|finetuning| finetuning.dropout).is_some();
    let documented = job.framework.is_some() && likely.profile.fine_tuning.dropout.is_some();
    if given || documented || likely.adapters.is_none() {
        return None;
    }
    let set = |plan: &mut Plan, dropout| {
        if let Some(adapters) = &mut plan.adapters {
            adapters.dropout = dropout;
        }
    };
    Some(choice(field::finetuning::DROPOUT, move |plan| set(plan, false), move |plan| set(plan, true)))
}

#[cfg(test)]
mod tests {
    use super::super::{Device, assume};
    use super::*;
    use crate::job::{Accelerator, Framework, Model, Positions};

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
            parallelism: Some(crate::job::Parallelism { sharding: Some(sharding), ..Default::default() }),
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

    #[test]
    fn a_size_alone_gets_the_usual_vocabulary_and_reads_an_eighth_a_token_where_experts_divide_it() {
        let shapes = |expert: u32| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"parameters": "80B"}, "parallelism": {"expert": expert}, "accelerator": {"count": 64},
            }))
            .unwrap();
            let assumed = assume(&job, Device { bf16: true }).unwrap();
            (assumed.likely.shape.vocab, assumed.lean().shape)
        };
        let ((vocab, dense), (_, sparse)) = (shapes(1), shapes(8));
        assert_eq!(vocab, 100_000);
        let passed = |parameters| Shape::of_size(&Model::default(), parameters, dense.vocab, 1.25);
        assert_eq!(
            (dense.layers, dense.hidden),
            (passed(80_000_000_000).layers, passed(80_000_000_000).hidden)
        );
        assert_eq!(
            (sparse.layers, sparse.hidden),
            (passed(10_000_000_000).layers, passed(10_000_000_000).hidden)
        );
    }
}
