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
//! | micro-batch | 1 | 1; torchtitan's pipelines before 0.1: a rank's batch over the stages | 4, within the global batch |
//! | sequence length | 64 | 4096, 1024 in fine-tuning | 8192 |
//! | longest sample, of a stated cap without packing | 64; 4 × the typical length | the cap | the cap |
//! | microbatches | 1 | 4 a pipeline stage | 4 a pipeline stage |
//! | loss | fused or chunked, where the framework can | the framework's | the framework's |
//! | sequence parallel | on | on | off |
//! | weights, of Transformers | as computed with | so too, since 5.0 or without a version; else fp32 | fp32 |
//! | step of the optimizer, the Trainer's | fused | over lists of tensors | over lists of tensors |
//! | version, of Transformers | 4.45 and over | 4.45 and over | before |
//! | loss, torchtitan's without version or compilation | chunked | by both | eager |
//! | compilation, torchtitan's | on | off | off |
//! | outputs of experts' compiled kernels, torchtitan's | recomputed, before 0.2.1 | kept | kept |
//! | dispatcher of experts, Megatron's | the lesser of gathering and sending | gathering | the greater |
//! | how replicas that the batch cannot go round are divided | by tensor | by context | by context |
//! | dimensions, from the size alone | a wide shape, an eighth of it active under expert parallelism, 32k words | the usual shape, 100k | a narrow one, 152k |
//! | adapter targets | queries and values | all | all |
//! | dropout before adapters | none | none | some |
//! | towers for images and audio | frozen | trained | trained |
//! | other models of the objective | elsewhere | adapters off, or divided as the weights | whole on every device |

mod choices;
mod division;
mod finetuning;
mod roles;

use serde_json::Value;

use crate::frameworks::profile;
use crate::frameworks::profile::defaults::{SampleLengths, UsualLoss};
use crate::frameworks::profile::memory::Pipeline;
use crate::frameworks::profile::unknown;
use crate::frameworks::profile::widths::{PURE_HALF, Widths};
use crate::hardware::{Accelerator, Catalogue};
use crate::job::{
    AnyField, Attention, Input, LayerKernels, Method, Objective, Optimizer, OptimizerImplementation,
    Precision, Recompute, Schedule, Sharding, TrainingJob, ValueOf, field,
};
use crate::model::{Shape, ShapeError};

use super::objective::{Facts, Head};
use super::plan::Plan;
use super::states;

/// An open field, with its leanest and its heaviest value.
pub struct Choice {
    /// The field.
    pub field: AnyField,
    /// Sets the value that needs the least memory.
    pub lean: Box<dyn Fn(&mut Plan)>,
    /// Sets the value that needs the most.
    pub heavy: Box<dyn Fn(&mut Plan)>,
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

/// The group of pieces in which assumptions are collected.
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

/// The usual vocabulary of a model, if its own is unknown.
const LIKELY_VOCAB: u64 = 100_000;
/// The usual sequence length of a job that gives none.
const LIKELY_SEQUENCE: u64 = 4096;

/// Fine-tuning data are shorter: the longest of a few Alpaca samples.
fn usual_sequence(job: &TrainingJob) -> u64 {
    let fine_tunes = profile(job.framework).batches.tunes
        || job.finetuning.as_ref().is_some_and(|finetuning| finetuning.rank.is_some());
    if fine_tunes { LIKELY_SEQUENCE / 4 } else { LIKELY_SEQUENCE }
}

/// Completes a training job.
///
/// # Errors
/// [`ShapeError::Unknown`] if even the model's size is unknown.
#[expect(clippy::too_many_lines, reason = "one assumption after the other, and one line a field of the plan")]
pub fn assume(job: &TrainingJob, device: Device) -> Result<Assumed, ShapeError> {
    let model = job.model.clone().unwrap_or_default();
    let parallelism = job.parallelism.clone().unwrap_or_default();
    let batch = job.batch.clone().unwrap_or_default();
    let offload = job.offload.clone().unwrap_or_default();
    let mut notes = Notes { inputs: Vec::new(), warnings: Vec::new() };

    let sequence = batch.sequence_length.map_or_else(|| usual_sequence(job), |s| u64::from(s).max(1));
    let shape = Shape::complete(&model, sequence, LIKELY_VOCAB, 1.0)?;
    let degree = |value: Option<u32>| value.map_or(1, |v| u64::from(v).max(1));
    let (tensor, pipeline) = (degree(parallelism.tensor), degree(parallelism.pipeline));
    let context = match division::implied(job) {
        Some(implied) => {
            notes.assume(field::parallelism::CONTEXT, implied);
            implied
        }
        None => degree(parallelism.context),
    };
    let expert = degree(parallelism.expert);
    let data = division::data_parallel(job, tensor, pipeline, context, &mut notes);

    let method = job.finetuning.as_ref().and_then(|f| f.method);
    let adapted = finetuning::is_adapted(job, method);
    if method.is_none() && !adapted {
        notes.assume(field::finetuning::METHOD, Method::Full);
    }
    let model_parallel = tensor > 1 || pipeline > 1;
    let framework = job.framework.unwrap_or_else(|| {
        let framework = unknown::assumed(parallelism.sharding, model_parallel);
        notes.assume(field::FRAMEWORK, framework);
        framework
    });
    let profile = profile(Some(framework));
    let sharding = parallelism.sharding.unwrap_or_else(|| {
        let sharding = if data * context > 1 { profile.sharding.usual } else { Sharding::None };
        notes.assume(field::parallelism::SHARDING, sharding);
        sharding
    });
    // If no format is given, a model computes in the format of its weights.
    let stored = job.parameter_precision.filter(|stored| !matches!(stored, Precision::FP8 | Precision::FP4));
    let precision = job.precision.or(stored).unwrap_or_else(|| {
        let precision = if device.bf16 { Precision::BF16 } else { Precision::FP16 };
        notes.assume(field::PRECISION, precision);
        precision
    });
    let optimizer = job.optimizer.unwrap_or_else(|| {
        notes.assume(field::OPTIMIZER, Optimizer::AdamW);
        Optimizer::AdamW
    });
    let micro_batch = batch.micro_batch_size.map_or_else(
        || {
            let usual = division::usual_micro_batch(job, profile, data, pipeline);
            notes.assume(field::batch::MICRO_BATCH_SIZE, usual);
            usual
        },
        |b| u64::from(b).max(1),
    );
    if batch.sequence_length.is_none() {
        notes.assume(field::batch::SEQUENCE_LENGTH, sequence);
    }
    let micro_batches = division::micro_batches(&batch, micro_batch, data, pipeline, &mut notes);
    let recompute = job.recompute.unwrap_or_else(|| {
        let recompute = finetuning::recompute(profile, data).unwrap_or(Recompute::None);
        notes.assume(field::RECOMPUTE, recompute);
        recompute
    });
    let attention = job.attention.unwrap_or_else(|| {
        notes.assume(field::ATTENTION, Attention::Flash);
        Attention::Flash
    });
    let loss = job.loss.unwrap_or_else(|| {
        let loss = choices::usual_loss(job, profile);
        notes.assume(field::LOSS, loss);
        loss
    });
    let sequence_parallel = parallelism.sequence.unwrap_or_else(|| {
        if tensor > 1 {
            notes.assume(field::parallelism::SEQUENCE, true);
        }
        tensor > 1
    });
    let virtual_pipeline = degree(parallelism.virtual_pipeline);
    let schedule = parallelism.schedule.unwrap_or(if virtual_pipeline > 1 {
        Schedule::Interleaved
    } else {
        Schedule::OneForwardOneBackward
    });
    let objective = job.objective.unwrap_or(Objective::Supervised);
    let positive = |dropout: Option<crate::units::Decimal>| dropout.is_some_and(|d| d.micros > 0);
    let kind = job.accelerator.as_ref().and_then(|a| a.kind.as_deref());
    let accelerator = kind.and_then(|kind| Catalogue::builtin().find(kind));
    let mut shape = shape;
    // Without logits of the vocabulary there is no output layer of its size.
    shape.tied |= Facts::of(objective).head == Head::Numbers;
    shape.tied &= !profile.fine_tuning.unties_embedding;
    if profile.loss == UsualLoss::VocabParallel && model.padded_vocab_size.is_none() {
        shape.vocab = shape.vocab_padded_for(tensor);
    }
    let widths = profile.widths.widths(precision, sharding);
    let widths = own_widths(job, finetuning::stored(job, method, profile, widths));
    let mut likely = Plan {
        shape,
        tensor,
        sequence_parallel: sequence_parallel && tensor > 1,
        pipeline,
        virtual_pipeline,
        schedule,
        first_stage_layers: parallelism.first_stage_layers.map(u64::from),
        last_stage_layers: parallelism.last_stage_layers.map(u64::from),
        embedding_as_layer: parallelism.embedding_as_layer.unwrap_or(false),
        loss_as_layer: parallelism.loss_as_layer.unwrap_or(false),
        context,
        expert,
        expert_tensor: parallelism.expert_tensor.map_or(tensor, |t| u64::from(t).max(1)),
        dispatcher: parallelism.dispatcher.unwrap_or(profile.experts.dispatcher),
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
        mixed: choices::mixed(job, profile, sharding, precision),
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
        attention_dropout: positive(model.attention_dropout),
        hidden_dropout: positive(model.hidden_dropout),
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
        adapters: finetuning::adapters(job, method, profile, widths),
        step_in_backward: finetuning::steps_in_backward(profile, adapted, data),
        // FSDP steps on the shards' own device. `CPUOffloadPolicy` moves parameters, gradients and states together.
        offload_optimizer: offload.optimizer.unwrap_or(false)
            || offload.parameters.unwrap_or(false) && matches!(sharding, Sharding::FSDP | Sharding::HSDP),
        offload_parameters: offload.parameters.unwrap_or(false),
        offload_activations: offload.activations.unwrap_or(false),
        train_towers: job.finetuning.as_ref().and_then(|f| f.train_towers).unwrap_or(true),
    };
    if choices::loaded_as_saved(job, &likely) {
        likely.widths = own_widths(job, PURE_HALF);
        notes.assume(field::PARAMETER_PRECISION, precision);
    }
    likely.others = roles::others(job, &likely, &mut notes);
    likely.rollout = roles::rollout(job, &likely, &mut notes);
    lint(&likely, &mut notes);
    let choices = choices::open(job, &model, &likely);
    Ok(Assumed { likely, choices, inputs: notes.inputs, warnings: notes.warnings })
}

/// The stored formats that the job gives win over the framework's. If the optimizer has no copy of its own, gradients,
/// moments and reductions have the parameters' format.
fn own_widths(job: &TrainingJob, widths: Widths) -> Widths {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_without_a_length_has_4096_tokens_or_1024_of_fine_tuning() {
        let sequence = |finetuning: Value| {
            let job =
                serde_json::json!({"model": {"layers": 2, "hiddenSize": 512}, "finetuning": finetuning});
            let job: TrainingJob = serde_json::from_value(job).unwrap();
            assume(&job, Device { bf16: true }).unwrap().likely.sequence
        };
        assert_eq!(sequence(serde_json::json!({})), 4096);
        assert_eq!(sequence(serde_json::json!({"method": "LoRA", "rank": 8})), 1024);
    }
}
