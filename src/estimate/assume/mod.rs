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
//! | sequence length, at most the model's positions | 64 | 4096, 2048 in programs on Transformers, 1024 of adapters | 8192 |
//! | what an encoder reads | 64 | the cap, 1024 | the cap, 8192 |
//! | what a step keeps for a sample, where layers are not listed | nothing | nothing | four times the device's memory |
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
mod likely;
mod roles;
mod widths;

use serde_json::Value;

use crate::frameworks::profile::memory::Pipeline;
use crate::job::{AnyField, Input, TrainingJob, ValueOf};
use crate::model::ShapeError;

use super::plan::Plan;
use given::Given;
use likely::likely;

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
                && plan.profile.pipeline == Pipeline::Messages
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
