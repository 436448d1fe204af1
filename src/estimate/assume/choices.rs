//! The fields that a training job leaves open and that move memory, each with its leanest and its heaviest value.
//!
//! The table in [`super`] is made here. A field that the job gives, or that its framework fixes, is not open.

use crate::job::{
    Attention, Dispatcher, Framework, Loss, Model, Optimizer, OptimizerImplementation, Precision, Recompute,
    Sharding, TrainingJob,
};
use crate::model::Shape;

use super::super::plan::{Plan, Targets};
use super::super::states::{self, MIXED_ON_SINGLE, PURE_HALF};
use super::{Choice, finetuning};

/// The longest sample of a batch, at its leanest: classifiers, pairs and short instructions are of some 64 tokens.
const SHORTEST_SEQUENCE: u64 = 64;

/// The longest sample over the typical one, at its leanest. Of ms-swift's data, whose mean is 3234 and whose deviation is
/// 2547, one sample in a hundred is longer than four times the mean, as a log-normal.
const LONGEST_OVER_TYPICAL: u64 = 4;

/// Whether the framework computes its loss on divided logits.
pub(super) fn vocab_parallel(framework: Framework) -> bool {
    matches!(
        framework,
        Framework::Megatron | Framework::MegatronDeepSpeed | Framework::Nanotron | Framework::InternEvo
    )
}

/// The loss that a framework computes unless told otherwise. Torchtitan compiles its loss with the model since 0.1,
/// which holds the logits no longer than chunks do.
pub(super) fn usual_loss(job: &TrainingJob, framework: Framework) -> Loss {
    let compiled = framework == Framework::Torchtitan
        && job.compile == Some(true)
        && !job.framework_version.as_deref().is_some_and(|version| version.starts_with("0.0"));
    match framework {
        _ if vocab_parallel(framework) => Loss::VocabParallel,
        _ if compiled => Loss::Chunked,
        Framework::Torchtune if !before_chunks(job) => Loss::Chunked,
        Framework::LLMFoundry => Loss::Fused,
        _ => Loss::Eager,
    }
}

/// Torchtune's recipes compute their loss in chunks since 0.3.
fn before_chunks(job: &TrainingJob) -> bool {
    job.framework_version
        .as_deref()
        .is_some_and(|version| ["0.0", "0.1", "0.2"].iter().any(|old| version.starts_with(old)))
}

fn choice(
    field: &'static str,
    lean: impl Fn(&mut Plan) + 'static,
    heavy: impl Fn(&mut Plan) + 'static,
) -> Choice {
    Choice { field, lean: Box::new(lean), heavy: Box::new(heavy) }
}

/// The open fields, those that others depend on first.
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
        version(job, likely),
        lengths(job, likely),
        sequence_parallel(job, likely),
        targets(job),
        adapter_dropout(job, likely),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Wide and shallow needs fewer activations than narrow and deep, at the same size. A size that is divided among experts
/// is mostly experts: a token passes an eighth of it at the least.
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
        "model.layers",
        move |plan| {
            let passed = if sparse { parameters / SPARSE } else { parameters };
            plan.shape = Shape::of_size(&wide, passed, plan.shape.vocab, WIDE);
            plan.shape.declared = Some(parameters);
        },
        move |plan| plan.shape = Shape::of_size(&narrow, parameters, plan.shape.vocab, NARROW),
    ))
}

fn vocabulary(model: &Model) -> Option<Choice> {
    if model.vocab_size.is_some() || model.padded_vocab_size.is_some() {
        return None;
    }
    Some(choice("model.vocabSize", |plan| plan.shape.vocab = 32_000, |plan| plan.shape.vocab = 152_064))
}

/// Ranks that must share a replica may share its weights too.
fn division(job: &TrainingJob) -> Option<Choice> {
    let implied = super::division::implied(job)?;
    Some(choice(
        "parallelism.tensor",
        move |plan| {
            plan.context = 1;
            plan.tensor = implied;
            plan.sequence_parallel = true;
        },
        |_| {},
    ))
}

/// The dispatcher that a framework has unless told otherwise.
pub(super) fn usual_dispatcher(framework: Framework) -> Dispatcher {
    if framework == Framework::Megatron { Dispatcher::AllGather } else { Dispatcher::AllToAll }
}

/// Megatron's guides replace its default, which gathers all tokens, by one that sends them.
fn dispatcher(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let given = job.parallelism.as_ref().and_then(|p| p.dispatcher).is_some();
    if given
        || likely.framework != Framework::Megatron
        || likely.expert <= 1
        || likely.shape.experts.is_none()
    {
        return None;
    }
    let (gather, send) = (Dispatcher::AllGather, Dispatcher::AllToAll);
    let many = likely.expert >= 8;
    let (lean, heavy) = if many { (send, gather) } else { (gather, send) };
    Some(choice(
        "parallelism.dispatcher",
        move |plan| plan.dispatcher = lean,
        move |plan| plan.dispatcher = heavy,
    ))
}

/// How many ranks share is open where neither accelerators nor data parallelism are given.
fn accelerators(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let count = job.accelerator.as_ref().and_then(|a| a.count);
    let data = job.parallelism.as_ref().and_then(|p| p.data);
    if count.is_some() || data.is_some() {
        return None;
    }
    // Unstated sharding is whatever the framework has, were there more than one rank.
    let unstated = job.parallelism.as_ref().and_then(|p| p.sharding).is_none();
    let sharding = super::usual_sharding(likely.framework, 2);
    Some(choice(
        "accelerator.count",
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
    let heaviest = states::widths(Framework::Megatron, Precision::FP16, Sharding::None);
    let (job_lean, job_heavy) = (job.clone(), job.clone());
    Some(choice(
        "framework",
        move |plan| plan.widths = super::own_widths(&job_lean, lean),
        move |plan| plan.widths = super::own_widths(&job_heavy, heaviest),
    ))
}

/// Hugging Face trains what it loaded: two-byte weights, or fp32 weights under autocast.
fn stored_precision(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let wide = states::widths(likely.framework, likely.precision, likely.sharding);
    if job.framework != Some(Framework::HuggingFace)
        || job.parameter_precision.is_some()
        || likely.adapters.is_some()
        || wide.parameter <= wide.compute
        || wide.main > 0.0
    {
        return None;
    }
    let (lean, heavy) = (super::own_widths(job, PURE_HALF), super::own_widths(job, wide));
    Some(choice("parameterPrecision", move |plan| plan.widths = lean, move |plan| plan.widths = heavy))
}

/// Whether weights most likely have the two bytes a number that they were saved in. Transformers loads them so since 5.0,
/// and most programs ask for it before, so that only a version under 5.0 means fp32, the default until then. Models with
/// learned positions were saved in fp32; what divides the parameters makes fp32 of them.
pub(super) fn loaded_as_saved(job: &TrainingJob, likely: &Plan) -> bool {
    stored_precision(job, likely).is_some()
        && likely.sharding == Sharding::None
        && likely.shape.learned_positions == 0
        && !likely.is_before(Framework::HuggingFace, 5, 0)
}

/// The Trainer's default is PyTorch's fused step where PyTorch is of 2.8 or later, since a late version of Transformers 4.
fn step(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    const LAST_WITHOUT: (u32, u32) = (4, 55);
    let trainer = job.framework == Some(Framework::HuggingFace) && likely.optimizer == Optimizer::AdamW;
    let older = likely.is_before(Framework::HuggingFace, LAST_WITHOUT.0, LAST_WITHOUT.1);
    if !trainer || older || job.optimizer_implementation.is_some() {
        return None;
    }
    let set = |plan: &mut Plan, implementation| plan.implementation = implementation;
    Some(choice(
        "optimizerImplementation",
        move |plan| set(plan, OptimizerImplementation::Fused),
        move |plan| set(plan, OptimizerImplementation::Foreach),
    ))
}

/// Whether Hugging Face's Trainer runs the model under autocast (`bf16=True`): where a format is asked for to compute in,
/// not only one to load the weights in. What divides the parameters casts them itself.
pub(super) fn mixed(
    job: &TrainingJob,
    framework: Framework,
    sharding: Sharding,
    precision: Precision,
) -> bool {
    let asked = job.precision.is_some() || job.parameter_precision.is_none();
    framework == Framework::HuggingFace && sharding == Sharding::None && !single(precision) && asked
}

/// Where neither format is given, adapters may compute in their own: fp32.
fn autocast(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let given = job.precision.is_some() || job.parameter_precision.is_some();
    if given || !likely.mixed || likely.adapters.as_ref().is_none_or(|adapters| adapters.quantized) {
        return None;
    }
    Some(choice("precision", |_| {}, |plan| plan.mixed = false))
}

fn single(precision: Precision) -> bool {
    matches!(precision, Precision::FP32 | Precision::TF32)
}

fn sharding(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let given = job.parallelism.as_ref().and_then(|p| p.sharding).is_some();
    if given || likely.data * likely.context <= 1 {
        return None;
    }
    let (lean, heavy) = match likely.framework {
        Framework::Megatron => (Sharding::DistributedOptimizer, Sharding::None),
        Framework::MegatronDeepSpeed | Framework::Nanotron | Framework::InternEvo => {
            (Sharding::ZeRO1, Sharding::None)
        }
        Framework::DeepSpeed | Framework::ColossalAI => (Sharding::ZeRO3, Sharding::ZeRO1),
        Framework::HuggingFace => (Sharding::FSDP, Sharding::None),
        _ => return None,
    };
    // A model-parallel job of an unknown framework may shard everything, as torchtitan does.
    let lean = if job.framework.is_none() && likely.framework == Framework::Megatron {
        Sharding::FSDP
    } else {
        lean
    };
    Some(choice("parallelism.sharding", move |plan| plan.sharding = lean, move |plan| plan.sharding = heavy))
}

fn sequence(job: &TrainingJob) -> Option<Choice> {
    if job.batch.as_ref().and_then(|b| b.sequence_length).is_some() {
        return None;
    }
    Some(choice(
        "batch.sequenceLength",
        |plan| plan.sequence = SHORTEST_SEQUENCE,
        |plan| plan.sequence = 8192,
    ))
}

/// A larger microbatch leaves fewer of them: each end takes what of both needs the least or the most.
fn micro_batch(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    const MOST: u64 = 4;
    let batch = job.batch.clone().unwrap_or_default();
    if batch.micro_batch_size.is_some() {
        return None;
    }
    let per_rank = batch.global_batch_size.map(|global| (u64::from(global) / likely.data.max(1)).max(1));
    let most = per_rank.map_or(MOST, |sequences| sequences.clamp(1, MOST));
    Some(choice(
        "batch.microBatchSize",
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
        "batch.globalBatchSize",
        |plan| plan.micro_batches = 1,
        move |plan| plan.micro_batches = most,
    ))
}

fn recompute(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let documented = finetuning::recompute(likely.framework, likely.data).is_some();
    if job.recompute.is_some() || documented && job.framework.is_some() {
        return None;
    }
    Some(choice(
        "recompute",
        |plan| plan.recompute = Recompute::Full,
        |plan| plan.recompute = Recompute::None,
    ))
}

/// Only frameworks without a fused kernel of their own may run unfused, and nobody does so on long sequences.
fn attention(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let may = job.framework.is_none()
        || matches!(
            likely.framework,
            Framework::HuggingFace | Framework::DeepSpeed | Framework::MegatronDeepSpeed
        );
    if job.attention.is_some() || !may || likely.sequence > 8192 {
        return None;
    }
    Some(choice(
        "attention",
        |plan| plan.attention = Attention::Flash,
        |plan| plan.attention = Attention::Unfused,
    ))
}

/// A framework that is stated computes the loss that it documents, unless told otherwise; torchtitan's depends on its
/// version and on what is compiled.
fn loss(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    if job.loss.is_some() || vocab_parallel(likely.framework) {
        return None;
    }
    match job.framework {
        None => Some(choice("loss", |plan| plan.loss = Loss::Fused, |plan| plan.loss = Loss::Eager)),
        Some(Framework::Torchtitan) if !torchtitan_documents(job) => {
            Some(choice("loss", |plan| plan.loss = Loss::Chunked, |plan| plan.loss = Loss::Eager))
        }
        Some(_) => None,
    }
}

/// Whether torchtitan's version and compilation fix what its loss and its selective recomputation hold.
fn torchtitan_documents(job: &TrainingJob) -> bool {
    job.framework_version.as_deref().is_some_and(|version| match job.compile {
        Some(true) => version.starts_with("0."),
        Some(false) => version.starts_with("0.0"),
        None => false,
    })
}

/// Whether the model is compiled decides what torchtitan's layers keep.
fn compile(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let kept = !matches!(likely.recompute, Recompute::Full);
    if job.compile.is_some() || likely.framework != Framework::Torchtitan || !kept {
        return None;
    }
    Some(choice("compile", |plan| plan.compile = true, |plan| plan.compile = false))
}

/// Transformers before 4.45 held the logits once more, and batches of different lengths left more behind; since 5.0 it
/// keeps a layer's experts in one tensor, which FSDP2 pads where there are fewer experts than ranks.
fn version(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let joined = Plan { framework_version: Some("5.0".to_owned()), ..likely.clone() };
    if job.framework_version.is_none() && joined.expert_padding() > 1.0 {
        let set = |plan: &mut Plan, version: &str| plan.framework_version = Some(version.to_owned());
        return Some(choice("frameworkVersion", move |plan| set(plan, "4.57"), move |plan| set(plan, "5.0")));
    }
    let open = job.framework == Some(Framework::HuggingFace) && job.framework_version.is_none();
    if !open || likely.loss != Loss::Eager {
        return None;
    }
    let set = |plan: &mut Plan, version: &str| plan.framework_version = Some(version.to_owned());
    Some(choice("frameworkVersion", move |plan| set(plan, "5.0"), move |plan| set(plan, "4.38")))
}

/// A cap is an upper bound, not a length: samples that are not packed may all be short. Where their typical length is
/// stated, the longest is several times as long at least.
fn lengths(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let batch = job.batch.as_ref()?;
    batch.sequence_length?;
    let tuning = likely.adapters.is_some() || job.finetuning.as_ref().is_some_and(|f| f.method.is_some());
    // LitGPT begins with the longest sample.
    let padded = matches!(likely.framework, Framework::HuggingFace | Framework::Torchtune)
        || batch.packing == Some(false);
    let longest = match batch.typical_sequence_length {
        Some(typical) => u64::from(typical).saturating_mul(LONGEST_OVER_TYPICAL),
        None => SHORTEST_SEQUENCE,
    };
    if batch.packing == Some(true) || !tuning || !padded || longest >= likely.sequence {
        return None;
    }
    Some(choice(
        "batch.typicalSequenceLength",
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
        "parallelism.sequence",
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
        "finetuning.targets",
        move |plan| set(plan, Targets::QUERY_VALUE),
        move |plan| set(plan, Targets::ALL),
    ))
}

/// Every second configuration has a dropout before the adapters, unless the framework says what it does.
fn adapter_dropout(job: &TrainingJob, likely: &Plan) -> Option<Choice> {
    let given = job.finetuning.as_ref().and_then(|finetuning| finetuning.dropout).is_some();
    let documented = job.framework.is_some() && finetuning::dropout(likely.framework).is_some();
    if given || documented || likely.adapters.is_none() {
        return None;
    }
    let set = |plan: &mut Plan, dropout| {
        if let Some(adapters) = &mut plan.adapters {
            adapters.dropout = dropout;
        }
    };
    Some(choice("finetuning.dropout", move |plan| set(plan, false), move |plan| set(plan, true)))
}

#[cfg(test)]
mod tests {
    use super::super::{Device, assume};
    use super::*;
    use crate::job::{Accelerator, Model, Positions};

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
