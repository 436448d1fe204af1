//! The judgement: what a training job will take, whether that fits, and where every input came from.
//!
//! Plain data with the key names that `check -o json` promises. The `TrainingEstimate`'s status, the webhook's message
//! and the reports are all made from it, so nothing here is an abbreviation of anything.

mod cost;
mod deadline;

use serde::{Serialize, Serializer};

pub use cost::{Cost, PriceSource};
pub use deadline::{Deadline, Outlook};

use crate::job::{AnyField, Input, InputError, TrainingJob, keys};
use crate::units::{Bytes, Flops};

/// All that is said of one workload.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The decision.
    pub verdict: Verdict,
    /// Why, in one CamelCase word.
    pub reason: Reason,
    /// Why, in one line for a person: `needs 96.4 GiB per GPU (at least 88.1), an A800-80GB offers 79.1 GiB; …`.
    pub message: String,
    /// The probability that the job runs out of memory; none where nothing can be said.
    pub oom_probability: Option<f64>,
    /// What would have to be added before more can be said: printed by the annotations' keys, like `sequence-length`.
    #[serde(serialize_with = "by_key")]
    pub missing: Vec<AnyField>,
    /// One line each, at most 120 characters: disagreements, assumptions that could decide, unknown keys.
    pub warnings: Vec<String>,
    /// What could not be read: not empty means malformed, and the verdict is `Unknown`.
    pub errors: Vec<InputError>,
    /// Every value that was used, and where it came from.
    pub inputs: Vec<Input>,
    /// Peak memory per accelerator.
    pub memory: Option<Memory>,
    /// How long it takes.
    pub time: Option<Time>,
    /// The share of that time that is spent training, and what the rest is for.
    pub goodput: Option<Goodput>,
    /// When it must be done, and whether it will be.
    pub deadline: Option<Deadline>,
    /// What it costs.
    pub cost: Option<Cost>,
    /// The nearest changed configurations that fit.
    pub advice: Vec<Advice>,
    /// What was read, all sources merged; explicit values only, no assumptions.
    #[serde(skip)]
    pub job: TrainingJob,
    /// What a person calls the model, the accelerator and their number, for columns and messages.
    #[serde(skip)]
    pub summary: Summary,
    /// The reason given for overriding a denial, where one is.
    #[serde(skip)]
    pub override_reason: Option<String>,
    /// What hangs on each missing field, as far as it is memory.
    #[serde(skip)]
    pub swings: Vec<Swing>,
}

/// What hangs on an open field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swing {
    /// The field.
    pub field: AnyField,
    /// How much less than estimated is needed at its leanest.
    pub less: Bytes,
    /// How much more is needed at its heaviest.
    pub more: Bytes,
}

impl Swing {
    /// The least that people would notice.
    pub const NOTABLE: Bytes = Bytes::from_mib(256);

    /// From the leanest to the heaviest.
    pub fn total(self) -> Bytes {
        self.less + self.more
    }
}

/// `up to 42.0 GiB more`, and the like.
impl std::fmt::Display for Swing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.less >= Self::NOTABLE, self.more >= Self::NOTABLE) {
            (true, true) => write!(f, "from {} less to {} more", self.less, self.more),
            (true, false) => write!(f, "up to {} less", self.less),
            (false, _) => write!(f, "up to {} more", self.more),
        }
    }
}

impl Judgement {
    /// Of an object that is too large to be read.
    pub fn too_large() -> Self {
        Self {
            message: "the object has more values than are read, so it was not judged".to_owned(),
            ..Self::without_figures(Verdict::Unknown, Reason::TooLarge)
        }
    }

    /// A verdict and its reason, and nothing else yet.
    pub fn without_figures(verdict: Verdict, reason: Reason) -> Self {
        Self {
            verdict,
            reason,
            message: String::new(),
            oom_probability: None,
            missing: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
            inputs: Vec::new(),
            memory: None,
            time: None,
            goodput: None,
            deadline: None,
            cost: None,
            advice: Vec::new(),
            job: TrainingJob::default(),
            summary: Summary::default(),
            override_reason: None,
            swings: Vec::new(),
        }
    }
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Verdict {
    /// P(OOM) is under the warning threshold.
    Fits,
    /// P(OOM) is at the warning threshold or over, and the lower bound is not above the capacity.
    Tight,
    /// P(OOM) is at the denial threshold or over, and the lower bound is above the capacity.
    OutOfMemory,
    /// Training, but what is missing decides.
    Unknown,
    /// No training, or no accelerators: the usual answer.
    NotTraining,
}

impl Verdict {
    /// The verdict's word, as columns and labels show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fits => "Fits",
            Self::Tight => "Tight",
            Self::OutOfMemory => "OutOfMemory",
            Self::Unknown => "Unknown",
            Self::NotTraining => "NotTraining",
        }
    }
}

/// Why a verdict was reached. Closed: metrics use it as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Reason {
    /// The needed memory is below capacity.
    BelowCapacity,
    /// The needed memory is so near to capacity that it may run out.
    NearCapacity,
    /// The needed memory is above capacity.
    AboveCapacity,
    /// What is missing decides; `missing` lists it.
    MissingInputs,
    /// The model is in no table and its dimensions are not given.
    UnknownModel,
    /// The accelerator is not named, or in no table and its memory is not given.
    UnknownAccelerator,
    /// A value could not be read; `errors` says which.
    Malformed,
    /// Reading it would take more work than was asked for.
    TooLarge,
    /// It was not read to its end, and what was not read may decide.
    NotReadToEnd,
    /// It refers to a document that is not there, and what that says may decide.
    ReferenceNotFound,
    /// The workload that an estimate refers to is not there.
    WorkloadNotFound,
    /// It trains what the estimate does not cover.
    Unsupported,
    /// It trains on accelerators of whose memory the estimate knows nothing.
    UnsupportedAccelerator,
    /// It asks for no accelerator, or does not train.
    NotTraining,
}

impl Reason {
    /// The reason's word, as conditions and labels show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BelowCapacity => "BelowCapacity",
            Self::NearCapacity => "NearCapacity",
            Self::AboveCapacity => "AboveCapacity",
            Self::MissingInputs => "MissingInputs",
            Self::UnknownModel => "UnknownModel",
            Self::UnknownAccelerator => "UnknownAccelerator",
            Self::Malformed => "Malformed",
            Self::TooLarge => "TooLarge",
            Self::NotReadToEnd => "NotReadToEnd",
            Self::ReferenceNotFound => "ReferenceNotFound",
            Self::WorkloadNotFound => "WorkloadNotFound",
            Self::Unsupported => "Unsupported",
            Self::UnsupportedAccelerator => "UnsupportedAccelerator",
            Self::NotTraining => "NotTraining",
        }
    }
}

/// Peak memory per accelerator, of the worst rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// What must fit: the point estimate of the needed figure.
    pub peak_bytes: Bytes,
    /// The needed figure's 5th percentile.
    pub lower_bytes: Bytes,
    /// The needed figure's 95th percentile.
    pub upper_bytes: Bytes,
    /// The live tensors: torch's `max_memory_allocated`.
    pub allocated_bytes: Bytes,
    /// With what the allocator keeps: `max_memory_reserved`.
    pub reserved_bytes: Bytes,
    /// With context, communicators and workspaces: nvidia-smi's figure.
    pub process_bytes: Bytes,
    /// What one accelerator offers a process; none where it is not known.
    pub capacity_bytes: Option<Bytes>,
    /// The rank that needs most, as `pipeline stage 0 of 4`.
    pub worst_rank: String,
    /// When it needs most: `backward`, `loss`, `optimizer step`, ….
    pub instant: String,
    /// What the peak is made of; adds up to `peak_bytes`.
    pub components: Vec<Component>,
}

/// Fields as people write them: each key once.
fn by_key<S: Serializer>(fields: &[AnyField], serializer: S) -> Result<S::Ok, S::Error> {
    keys::of_fields(fields).serialize(serializer)
}

/// A part of the peak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Component {
    /// `weights`, `gradients`, `optimizer states`, `activations`, `logits`, `communication`, `runtime`, ….
    pub name: &'static str,
    /// How much of the peak it holds.
    pub bytes: Bytes,
}

/// How long training takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Time {
    /// Wall-clock days; none where the number of accelerators is not known.
    pub days: Option<f64>,
    /// The interval's lower end.
    pub days_low: Option<f64>,
    /// The interval's upper end.
    pub days_high: Option<f64>,
    /// Accelerator-hours; none where neither tokens nor steps are given.
    pub gpu_hours: Option<f64>,
    /// The interval's lower end.
    pub gpu_hours_low: Option<f64>,
    /// The interval's upper end.
    pub gpu_hours_high: Option<f64>,
    /// One optimizer step; none where the global batch or the number of accelerators is not known.
    pub step_seconds: Option<f64>,
    /// Tokens a second on one accelerator.
    pub tokens_per_second_per_gpu: f64,
    /// Model FLOPs utilization, 0 to 1.
    pub mfu: f64,
    /// The interval's lower end.
    pub mfu_low: f64,
    /// The interval's upper end.
    pub mfu_high: f64,
    /// Model FLOPs of one token, forward and backward, causal attention counted once.
    pub flops_per_token: f64,
    /// Those and what recomputation adds.
    pub hardware_flops_per_token: f64,
    /// The pipeline's bubble as a share of a step, as scheduled; in the MFU.
    pub pipeline_bubble: f64,
    /// What the counts of FLOPs mean.
    pub convention: &'static str,
    /// Model FLOPs of the whole training; none where neither tokens nor steps are given.
    #[serde(skip)]
    pub flops: Option<Flops>,
}

/// The share of the time that is spent training, not failing, restarting or saving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Goodput {
    /// The share, 0 to 1.
    pub share: f64,
    /// The interval's lower end.
    pub share_low: f64,
    /// The interval's upper end.
    pub share_high: f64,
    /// Whether nobody gave it.
    pub assumed: bool,
    /// Between two failures of the job; none where the share was given.
    pub hours_between_failures: Option<f64>,
    /// Between two checkpoints, as loses least.
    pub checkpoint_interval_seconds: Option<f64>,
    /// Spent once, beside the share: loading, and saving at the end.
    pub startup_seconds: f64,
}

/// A changed configuration that fits.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// The change, as a person would say it: `pipeline-parallel 4 → 8`.
    pub change: String,
    /// The changed fields alone.
    pub spec: TrainingJob,
    /// The needed memory after the change.
    pub peak_bytes: Bytes,
    /// Days after the change.
    pub days: Option<f64>,
}

/// What a person calls the parts of the job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The model: its name, or its size.
    pub model: Option<String>,
    /// The accelerator as columns name it: `a800-80gb`, or the name that was given.
    pub accelerator: Option<String>,
    /// The accelerator as messages name it: `A800-80GB`.
    pub accelerator_name: Option<String>,
    /// How many accelerators.
    pub accelerators: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::field;

    #[test]
    fn a_swing_says_in_which_direction_it_could_go() {
        let swing = |less, more| Swing {
            field: field::ATTENTION.into(),
            less: Bytes::from_gib(less),
            more: Bytes::from_gib(more),
        };
        assert_eq!(swing(0.0, 42.0).to_string(), "up to 42.0 GiB more");
        assert_eq!(swing(12.5, 0.1).to_string(), "up to 12.5 GiB less");
        assert_eq!(swing(1.0, 2.0).to_string(), "from 1.0 GiB less to 2.0 GiB more");
    }

    #[test]
    fn a_swing_of_a_quarter_gibibyte_is_notable() {
        let less = |mib| Swing {
            field: field::ATTENTION.into(),
            less: Bytes::from_mib(mib),
            more: Bytes::from_gib(42.0),
        };
        assert_eq!(less(255).to_string(), "up to 42.0 GiB more");
        assert_eq!(less(256).to_string(), "from 0.2 GiB less to 42.0 GiB more");
    }
}
