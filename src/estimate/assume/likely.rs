//! The plan with every open field at its usual value: the column *likely* of the table in [`super`].

use super::division::Division;
use super::given::Given;
use super::{Device, Notes, batch, computation, dimensions, finetuning, roles, widths};
use crate::estimate::objective::{Head, ObjectiveProfile};
use crate::estimate::plan::Plan;
use crate::estimate::states;
use crate::frameworks::Profile;
use crate::frameworks::profile;
use crate::frameworks::profile::defaults::{SampleLengths, UsualLoss};
use crate::frameworks::profile::memory::Pipeline;
use crate::frameworks::profile::unknown;
use crate::hardware::{Accelerator, Catalogue};
use crate::job::{
    Attention, LayerKernels, Loading, Loss, Method, Objective, Optimizer, OptimizerImplementation, Precision,
    Recompute, Sharding, field,
};
use crate::model::{Shape, ShapeError};
use crate::units::Decimal;

/// The plan with every open field at its usual value.
pub(super) fn likely(given: &Given<'_>, device: Device, notes: &mut Notes) -> Result<Plan, ShapeError> {
    let shape = Shape::complete(&given.model, batch::sequence(given), dimensions::LIKELY_VOCAB, 1.0)?;
    let chosen = Chosen::of(given, device, notes);
    let mut plan = chosen.plan(given, shape);
    widths::load_as_saved(given, &mut plan, notes);
    plan.others = roles::others(given, &plan, notes);
    plan.rollout = roles::rollout(given, &plan, notes);
    Ok(plan)
}

/// The fields whose usual value depends on other fields.
struct Chosen {
    division: Division,
    profile: &'static Profile,
    sharding: Sharding,
    precision: Precision,
    optimizer: Optimizer,
    micro_batch: u64,
    sequence: u64,
    micro_batches: u64,
    recompute: Recompute,
    attention: Attention,
    loss: Loss,
    sequence_parallel: bool,
}

impl Chosen {
    /// A field is chosen after those that it depends on.
    fn of(given: &Given<'_>, device: Device, notes: &mut Notes) -> Self {
        let division = Division::of(given, notes);
        if given.finetuning.method.is_none() && !given.is_adapted() {
            notes.assume(field::finetuning::METHOD, Method::Full);
        }
        let profile = framework(given, division, notes);
        let sharding = division.sharding(given, profile, notes);
        let precision = precision(given, device, notes);
        let optimizer = given.job.optimizer.unwrap_or_else(|| {
            notes.assume(field::OPTIMIZER, Optimizer::AdamW);
            Optimizer::AdamW
        });
        let micro_batch = batch::micro_batch(given, profile, division, notes);
        let sequence = batch::sequence(given);
        if given.batch.sequence_length.is_none() {
            notes.assume(field::batch::SEQUENCE_LENGTH, sequence);
        }
        Self {
            division,
            profile,
            sharding,
            precision,
            optimizer,
            micro_batch,
            sequence,
            micro_batches: batch::micro_batches(given, micro_batch, division, notes),
            recompute: computation::recompute(given, profile, division.data, notes),
            attention: computation::attention(given, profile, device, notes),
            loss: computation::loss(given, profile, notes),
            sequence_parallel: division.sequence_parallel(given, notes),
        }
    }

    /// The plan: the chosen fields, and the others as given or off.
    fn plan(self, given: &Given<'_>, shape: Shape) -> Plan {
        let Given { job, parallelism, batch, offload, .. } = given;
        let Self { division, profile, sharding, precision, sequence, .. } = self;
        let Division { tensor, pipeline, virtual_pipeline, context, expert, data } = division;
        let objective = job.objective.unwrap_or(Objective::Supervised);
        let positive = |dropout: Option<Decimal>| dropout.is_some_and(|d| d.micros > 0);
        let kind = given.accelerator.kind.as_deref();
        let accelerator = kind.and_then(|kind| Catalogue::builtin().find(kind));
        let widths = widths::likely(given, profile, precision, sharding);
        let source = batch::source(given, &shape);
        Plan {
            shape: trained_shape(shape, given, profile, objective, tensor),
            tensor,
            sequence_parallel: self.sequence_parallel,
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
                .unwrap_or(pipeline == 1 || !matches!(profile.pipeline, Pipeline::PyTorch { .. })),
            delays_reduction: parallelism.delayed_reduction.unwrap_or(profile.fsdp.delays_reduction),
            micro_batch: self.micro_batch,
            sequence,
            source,
            typical_sequence: batch.typical_sequence_length.map_or(sequence, u64::from).clamp(1, sequence),
            varying_lengths: profile.batches.lengths == SampleLengths::Varying && batch.packing != Some(true),
            sample_activations: batch::sample_activations(given),
            micro_batches: self.micro_batches,
            precision,
            mixed: widths::is_mixed(given, profile, sharding, precision),
            widths,
            optimizer: self.optimizer,
            implementation: job.optimizer_implementation.unwrap_or(OptimizerImplementation::Foreach),
            recompute: self.recompute,
            recompute_layers: job.recompute_layers.map(u64::from),
            recompute_modules: job.recompute_modules.clone().unwrap_or_default(),
            compile: job.compile.unwrap_or(false),
            keeps_compiled: true,
            cuda_graphs: job.cuda_graphs.unwrap_or(false),
            attention: self.attention,
            attention_dropout: positive(given.model.attention_dropout),
            hidden_dropout: positive(given.model.hidden_dropout),
            loss: self.loss,
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
            adapters: finetuning::adapters(
                given,
                profile,
                widths,
                widths::saved(given, profile, precision, sharding),
            ),
            step_in_backward: finetuning::steps_in_backward(given, profile, data),
            // FSDP steps on the shards' own device. `CPUOffloadPolicy` moves parameters, gradients and states together.
            offload_optimizer: offload.optimizer.unwrap_or(false)
                || offload.parameters.unwrap_or(false) && matches!(sharding, Sharding::FSDP | Sharding::HSDP),
            offload_parameters: offload.parameters.unwrap_or(false),
            offload_activations: offload.activations.unwrap_or(false),
            offloaded_layers: job.offloaded_layers.map(u64::from),
            train_towers: finetuning::trains_towers(given),
            train_projection: given.finetuning.train_projection.unwrap_or(false),
            loads_whole: job.host.as_ref().and_then(|host| host.loading) == Some(Loading::EveryDevice),
            loaded_width: job.host.as_ref().and_then(|host| host.loaded_precision).map(states::width),
        }
    }
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
