//! From a training job with open fields to complete plans.
//!
//! A field that the job leaves out is assumed, and every assumption is shown as an input with the source `assumed`. If
//! an assumption matters, three plans carry it. The *lean* plan takes the value that needs the least memory. The
//! *heavy* plan takes the value that needs the most. The *likely* plan takes the usual value. So a missing field widens
//! the interval and does not end the judgement. If even the leanest plan does not fit, the job does not fit, whatever
//! the missing fields are.
//!
//! | missing | lean | likely | heavy |
//! | --- | --- | --- | --- |
//! | framework | 8 or 16 bytes a parameter | by parallelism | 20 bytes a parameter |
//! | sharding | all that the framework can | the framework's usual | none |
//! | recompute | full | none | none |
//! | attention | flash | flash | unfused, where the framework may |
//! | micro-batch | 1 | 1, or a rank's batch over the pipeline's stages where the framework cuts it so | 4, within the global batch |
//! | sequence length | 64 | 4096, 1024 in fine-tuning | 8192 |
//! | longest sample, of a stated cap without packing | 64; 4 × the typical length | the cap | the cap |
//! | microbatches | 1 | 4 a pipeline stage | 4 a pipeline stage |
//! | loss | fused or chunked, where the framework can | the framework's | the framework's |
//! | sequence parallel | on | on | off |
//! | format of loaded weights, where it depends on the version | as computed with | the usual version's | fp32 |
//! | step of the optimizer, where it may be fused by default | fused | over lists of tensors | over lists of tensors |
//! | version, where versions differ | the leanest of `open_versions` | as the framework's usual | the heaviest |
//! | loss, where versions or compilation decide it | chunked | by both | eager |
//! | compilation, of unfused layers | on | off | off |
//! | outputs of experts' compiled kernels | recomputed | kept | kept |
//! | dispatcher of experts, where the framework has several | the lesser of gathering and sending | gathering | the greater |
//! | division of accelerators that are more than the batch has sequences | by tensor | by context | by context |
//! | dimensions, from the size alone | a wide shape, an eighth of it active under expert parallelism, 32k words | the usual shape, 100k | a narrow one, 152k |
//! | adapter targets | queries and values | all | all |
//! | dropout before adapters | none | none | some |
//! | towers for images and audio | frozen | trained | trained |
//! | other models of the objective | elsewhere | adapters off, or divided as the weights | whole on every device |
//!
//! The framework's profile decides which of these rows apply to a job.
//!
//! A file for each group of fields ([`given`] gathers them) has the likely values first, and then the open fields with
//! their two ends.

mod batch;
mod computation;
mod dimensions;
mod division;
mod finetuning;
mod given;
mod roles;
mod widths;

use serde_json::Value;

use crate::frameworks::Profile;
use crate::frameworks::profile;
use crate::frameworks::profile::defaults::{SampleLengths, UsualLoss};
use crate::frameworks::profile::memory::Pipeline;
use crate::frameworks::profile::unknown;
use crate::hardware::{Accelerator, Catalogue};
use crate::job::{
    AnyField, Input, LayerKernels, Loading, Method, Objective, Optimizer, OptimizerImplementation, Precision,
    Sharding, TrainingJob, ValueOf, field,
};
use crate::model::{Shape, ShapeError};
use crate::units::Decimal;

use super::objective::{Head, ObjectiveProfile};
use super::plan::Plan;
use division::Division;
use given::Given;

/// An open field, with its leanest and its heaviest value.
pub struct Choice {
    /// The field.
    pub field: AnyField,
    /// Sets the value that needs the least memory.
    pub lean: Box<dyn Fn(&mut Plan)>,
    /// Sets the value that needs the most.
    pub heavy: Box<dyn Fn(&mut Plan)>,
}

fn choice(
    field: impl Into<AnyField>,
    lean: impl Fn(&mut Plan) + 'static,
    heavy: impl Fn(&mut Plan) + 'static,
) -> Choice {
    Choice { field: field.into(), lean: Box::new(lean), heavy: Box::new(heavy) }
}

/// A training job with every field filled.
pub struct Assumed {
    /// Every open field at its usual value.
    pub likely: Plan,
    /// The open fields that change the memory.
    pub choices: Vec<Choice>,
    /// The assumptions.
    pub inputs: Vec<Input>,
    /// Contradictions, one line each.
    pub warnings: Vec<String>,
}

impl Assumed {
    /// Every open field at its leanest.
    pub fn lean(&self) -> Plan {
        self.choices.iter().fold(self.likely.clone(), |mut plan, choice| {
            (choice.lean)(&mut plan);
            plan
        })
    }

    /// Every open field at its heaviest.
    pub fn heavy(&self) -> Plan {
        self.choices.iter().fold(self.likely.clone(), |mut plan, choice| {
            (choice.heavy)(&mut plan);
            plan
        })
    }
}

/// What the accelerator allows, for assumptions about precision.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Whether it computes in bf16.
    pub bf16: bool,
}

/// The assumptions and contradictions, in the order in which they are found.
#[derive(Default)]
struct Notes {
    inputs: Vec<Input>,
    warnings: Vec<String>,
}

impl Notes {
    fn assume<F: Into<AnyField>>(&mut self, field: F, value: impl ValueOf<F>) {
        let value = match value.json() {
            Value::String(word) => word,
            other => other.to_string(),
        };
        self.inputs.push(Input { field: field.into(), value, source: "assumed".into() });
    }
}

/// Completes a training job.
///
/// # Errors
/// [`ShapeError::Unknown`] if even the model's size is unknown.
pub fn assume(job: &TrainingJob, device: Device) -> Result<Assumed, ShapeError> {
    let given = Given::of(job);
    let mut notes = Notes::default();
    let likely = likely(&given, device, &mut notes)?;
    lint(&likely, &mut notes);
    let choices = open(&given, &likely);
    Ok(Assumed { likely, choices, inputs: notes.inputs, warnings: notes.warnings })
}

/// The plan with every open field at its usual value.
fn likely(given: &Given<'_>, device: Device, notes: &mut Notes) -> Result<Plan, ShapeError> {
    let Given { job, parallelism, batch, offload, .. } = given;
    let sequence = batch::sequence(given);
    let shape = Shape::complete(&given.model, sequence, dimensions::LIKELY_VOCAB, 1.0)?;
    let division = Division::of(given, notes);
    let Division { tensor, pipeline, virtual_pipeline, context, expert, data } = division;
    if given.finetuning.method.is_none() && !given.is_adapted() {
        notes.assume(field::finetuning::METHOD, Method::Full);
    }
    let profile = framework(given, division, notes);
    let sharding = division.sharding(given, profile, notes);
    let precision = precision(given, device, notes);
    let optimizer = job.optimizer.unwrap_or_else(|| {
        notes.assume(field::OPTIMIZER, Optimizer::AdamW);
        Optimizer::AdamW
    });
    let micro_batch = batch::micro_batch(given, profile, division, notes);
    if batch.sequence_length.is_none() {
        notes.assume(field::batch::SEQUENCE_LENGTH, sequence);
    }
    let micro_batches = batch::micro_batches(given, micro_batch, division, notes);
    let recompute = computation::recompute(given, profile, data, notes);
    let attention = computation::attention(given, profile, device, notes);
    let loss = computation::loss(given, profile, notes);
    let sequence_parallel = division.sequence_parallel(given, notes);
    let objective = job.objective.unwrap_or(Objective::Supervised);
    let positive = |dropout: Option<Decimal>| dropout.is_some_and(|d| d.micros > 0);
    let kind = given.accelerator.kind.as_deref();
    let accelerator = kind.and_then(|kind| Catalogue::builtin().find(kind));
    let widths = widths::likely(given, profile, precision, sharding);
    let mut plan = Plan {
        shape: trained_shape(shape, given, profile, objective, tensor),
        tensor,
        sequence_parallel,
        pipeline,
        virtual_pipeline,
        schedule: division.schedule(given),
        first_stage_layers: parallelism.first_stage_layers.map(u64::from),
        last_stage_layers: parallelism.last_stage_layers.map(u64::from),
        embedding_as_layer: parallelism.embedding_as_layer.unwrap_or(false),
        loss_as_layer: parallelism.loss_as_layer.unwrap_or(false),
        context,
        expert,
        expert_tensor: parallelism.expert_tensor.map_or(tensor, |t| u64::from(t).max(1)),
        dispatcher: parallelism.dispatcher.unwrap_or(profile.experts.dispatcher),
        capacity_factor: parallelism.capacity_factor.map(|factor| factor.micros as f64 / 1e6),
        data,
        sharding,
        sharding_degree: parallelism.sharding_degree.map(u64::from),
        reshard_after_forward: parallelism
            .reshard_after_forward
            .unwrap_or_else(|| pipeline == 1 || profile.pipeline == Pipeline::Messages),
        micro_batch,
        sequence,
        typical_sequence: batch.typical_sequence_length.map_or(sequence, u64::from).clamp(1, sequence),
        varying_lengths: profile.batches.lengths == SampleLengths::Varying && batch.packing != Some(true),
        micro_batches,
        precision,
        mixed: widths::is_mixed(given, profile, sharding, precision),
        widths,
        optimizer,
        implementation: job.optimizer_implementation.unwrap_or(OptimizerImplementation::Foreach),
        recompute,
        recompute_layers: job.recompute_layers.map(u64::from),
        recompute_modules: job.recompute_modules.clone().unwrap_or_default(),
        compile: job.compile.unwrap_or(false),
        keeps_compiled: true,
        cuda_graphs: job.cuda_graphs.unwrap_or(false),
        attention,
        attention_dropout: positive(given.model.attention_dropout),
        hidden_dropout: positive(given.model.hidden_dropout),
        loss,
        objective,
        completion: batch.completion_length.map(|tokens| u64::from(tokens).clamp(1, sequence)),
        others: Vec::new(),
        rollout: None,
        layer_kernels: job.layer_kernels.unwrap_or(LayerKernels::Eager),
        tiled_layers: job.tiled_layers.unwrap_or(false),
        profile,
        framework_version: job.framework_version.clone(),
        accelerator: accelerator.map(|a| a.key.clone()).or_else(|| kind.map(ToOwned::to_owned)),
        accelerator_memory: accelerator.map(Accelerator::usable),
        adapters: finetuning::adapters(given, profile, widths),
        step_in_backward: finetuning::steps_in_backward(given, profile, data),
        // FSDP steps on the shards' own device. `CPUOffloadPolicy` moves parameters, gradients and states together.
        offload_optimizer: offload.optimizer.unwrap_or(false)
            || offload.parameters.unwrap_or(false) && matches!(sharding, Sharding::FSDP | Sharding::HSDP),
        offload_parameters: offload.parameters.unwrap_or(false),
        offload_activations: offload.activations.unwrap_or(false),
        train_towers: given.finetuning.train_towers.unwrap_or(true),
        loads_whole: job.host.as_ref().and_then(|host| host.loading) == Some(Loading::EveryDevice),
    };
    widths::load_as_saved(given, &mut plan, notes);
    plan.others = roles::others(given, &plan, notes);
    plan.rollout = roles::rollout(given, &plan, notes);
    Ok(plan)
}

/// The open fields. A field comes before those that depend on it.
fn open(given: &Given<'_>, likely: &Plan) -> Vec<Choice> {
    let groups = [
        dimensions::open(given, likely).into_iter().flatten().collect(),
        division::open_degrees(given, likely).into_iter().flatten().collect(),
        widths::open(given, likely).into_iter().flatten().collect(),
        computation::open_step(given, likely).into_iter().collect(),
        division::open_sharding(given, likely).into_iter().collect(),
        batch::open(given, likely).into_iter().flatten().collect(),
        computation::open(given, likely).into_iter().flatten().collect(),
        division::open_sequence_parallel(given, likely).into_iter().collect(),
        finetuning::open(given, likely).into_iter().flatten().collect(),
        roles::open(given, likely),
    ];
    groups.into_iter().flat_map(|group: Vec<Choice>| group).collect()
}

/// The facts of the framework that trains.
fn framework(given: &Given<'_>, division: Division, notes: &mut Notes) -> &'static Profile {
    let model_parallel = division.tensor > 1 || division.pipeline > 1;
    profile(Some(given.job.framework.unwrap_or_else(|| {
        let framework = unknown::assumed(given.parallelism.sharding, model_parallel);
        notes.assume(field::FRAMEWORK, framework);
        framework
    })))
}

/// The format of the computation. If no format is given, a model computes in the format of its weights.
fn precision(given: &Given<'_>, device: Device, notes: &mut Notes) -> Precision {
    let stored = given.job.parameter_precision;
    let stored = stored.filter(|stored| !matches!(stored, Precision::FP8 | Precision::FP4));
    given.job.precision.or(stored).unwrap_or_else(|| {
        let precision = if device.bf16 { Precision::BF16 } else { Precision::FP16 };
        notes.assume(field::PRECISION, precision);
        precision
    })
}

/// The shape as the framework trains it. Without logits of the vocabulary there is no output layer of its size.
fn trained_shape(
    mut shape: Shape,
    given: &Given<'_>,
    profile: &Profile,
    objective: Objective,
    tensor: u64,
) -> Shape {
    shape.tied |= ObjectiveProfile::of(objective).head == Head::Numbers;
    shape.tied &= !profile.fine_tuning.unties_embedding;
    if matches!(profile.loss, UsualLoss::VocabParallel { .. }) && given.model.padded_vocab_size.is_none() {
        shape.vocab = shape.vocab_padded_for(tensor);
    }
    shape
}

/// The contradictions.
fn lint(plan: &Plan, notes: &mut Notes) {
    let shape = &plan.shape;
    let mut say = |wrong: bool, line: String| {
        if wrong {
            notes.warnings.push(line);
        }
    };
    let (t, p) = (plan.tensor, plan.pipeline);
    if shape.declared.is_none() {
        say(
            !shape.heads.is_multiple_of(t),
            format!("{} attention heads are no multiple of tensor parallel {t}", shape.heads),
        );
        say(
            p > shape.layers,
            format!("pipeline parallel {p} is more than the model's {} layers", shape.layers),
        );
        say(
            p <= shape.layers
                && plan.first_stage_layers.or(plan.last_stage_layers).is_none()
                && !shape.layers.is_multiple_of(p),
            format!("{} layers are no multiple of pipeline parallel {p}", shape.layers),
        );
    }
    if let Some(experts) = &shape.experts {
        let e = plan.expert;
        say(
            !experts.count.is_multiple_of(e),
            format!("{} experts are no multiple of expert parallel {e}", experts.count),
        );
    }
}
