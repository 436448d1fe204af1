//! The judgement: what a training job takes, whether it fits, and the source of every input.
//!
//! This is plain data with the key names that `check -o json` promises. The `TrainingEstimate`'s status, the webhook's
//! message and the reports are made from it. So no name here is an abbreviation.

mod cost;
mod deadline;
mod resource;

use serde::{Deserialize, Serialize, Serializer};

pub use cost::{Cost, PriceSource};
pub use deadline::{Deadline, Outlook};
pub use resource::Resource;

use crate::job::keys::{self, PREFIX};
use crate::job::{AnyField, Cause, Follows, Input, InputError, TrainingJob, Understood};
use crate::policy::HostMemory;
use crate::units::{Bytes, Flops, gpus};

/// The longest warning, in characters.
pub const LONGEST_WARNING: usize = 120;

/// The whole judgement of one workload.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The decision.
    pub verdict: Verdict,
    /// Why, in one CamelCase word.
    pub reason: Reason,
    /// Why there is no estimate, if that is known. The values are a closed list of slugs: `reinforcement-learning`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cause: Option<Cause>,
    /// Why, as one line for a person: `needs 96.4 GiB per GPU (at least 88.1), an A800-80GB offers 79.1 GiB; …`.
    pub message: String,
    /// The probability that the job runs out of memory. `None` if we cannot estimate it.
    #[serde(serialize_with = "in_thousandths")]
    pub oom_probability: Option<f64>,
    /// How far the estimate of such jobs was compared with measurements. `None` without an estimate.
    pub evidence: Option<Evidence>,
    /// The fields to add for a better answer, printed as the annotations' keys, like `sequence-length`.
    #[serde(serialize_with = "by_key")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub missing: Vec<AnyField>,
    /// One line each, at most 120 characters: disagreements, assumptions that could decide, unknown keys.
    pub warnings: Vec<String>,
    /// Values that could not be read. If there are any, the object is malformed and the verdict is `Unknown`.
    pub errors: Vec<InputError>,
    /// Every value that was used, and its source.
    pub inputs: Vec<Input>,
    /// Peak memory per accelerator.
    pub memory: Option<Memory>,
    /// Host memory of the pod with the first rank.
    pub host: Option<Resource>,
    /// Shared memory of this pod, a part of its host memory.
    pub shared_memory: Option<Resource>,
    /// The disk on which the job saves.
    pub storage: Option<Resource>,
    /// How long the job takes.
    pub time: Option<Time>,
    /// The share of this time that is spent training, and where the rest goes.
    pub goodput: Option<Goodput>,
    /// When the job must finish, and whether it will.
    pub deadline: Option<Deadline>,
    /// What the job costs.
    pub cost: Option<Cost>,
    /// The nearest changes to the configuration that fit.
    pub advice: Vec<Advice>,
    /// The largest values of single fields with which the job still fits, everything else as it is. Only if it was asked for.
    pub room: Vec<Room>,
    /// How the words of the command and of its files were understood. `None` if no command was read.
    pub words: Option<Understood>,
    /// The explicit values of all sources, merged. It holds no assumptions.
    #[serde(skip)]
    pub job: TrainingJob,
    /// The model, the accelerator and their number, as a person names them. For columns and messages.
    #[serde(skip)]
    pub summary: Summary,
    /// Fields that contradict each other, one line each. They are also among the warnings.
    #[serde(skip)]
    pub contradictions: Vec<String>,
    /// The reason given for overriding a denial, if there is one.
    #[serde(skip)]
    pub override_reason: Option<String>,
    /// How much the memory depends on each missing field.
    #[serde(skip)]
    pub swings: Vec<Swing>,
    /// The figures that measurements can be compared with. `None` without an estimate.
    #[serde(skip)]
    pub counted: Option<Counted>,
    /// What the gate does if a resource besides device memory does not suffice.
    #[serde(skip)]
    pub host_memory: HostMemory,
}

/// The figures of the judged rank that PyTorch and the driver count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// `max_memory_allocated`.
    pub allocated: Interval,
    /// `max_memory_reserved`.
    pub reserved: Interval,
    /// The process's memory in nvidia-smi.
    pub process: Interval,
    /// Whether the job may set a field where we cannot read it.
    pub unread_fields: bool,
}

/// An estimate with its 90 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The point estimate.
    pub estimated: Bytes,
    /// The lower end.
    pub lower: Bytes,
    /// The upper end.
    pub upper: Bytes,
}

/// How much depends on an open field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swing {
    /// The field.
    pub field: AnyField,
    /// How much less memory the job needs with the field at its leanest.
    pub less: Bytes,
    /// How much more it needs with the field at its heaviest.
    pub more: Bytes,
}

impl Swing {
    /// The smallest difference that people would notice.
    pub const NOTABLE: Bytes = Bytes::from_mib(256);

    /// The difference between the leanest and the heaviest.
    pub fn total(self) -> Bytes {
        self.less + self.more
    }

    /// `attention unstated: up to 42.0 GiB more; add weighbridge.dev/attention`.
    pub fn warning(&self) -> String {
        let key = keys::of_field(self.field);
        let line = format!("{key} unstated: {self}; add {PREFIX}{key}");
        // A key that is cut off cannot be copied.
        if line.len() > LONGEST_WARNING { format!("{self}: add {PREFIX}{key}") } else { line }
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

/// `asks for 8 GPUs`.
fn asks_for(accelerators: Option<u64>) -> String {
    format!("asks for {}", accelerators.map_or_else(|| "GPUs".to_owned(), gpus))
}

impl Judgement {
    /// The resources that are judged besides device memory, each with its name.
    pub fn resources(&self) -> impl Iterator<Item = (&'static str, &Resource)> {
        let all =
            [("host memory", &self.host), ("shared memory", &self.shared_memory), ("storage", &self.storage)];
        all.into_iter().filter_map(|(name, resource)| Some((name, resource.as_ref()?)))
    }

    /// The resource besides device memory that runs out, if the policy refuses for it.
    pub fn refused_resource(&self) -> Option<&Resource> {
        let enforces = self.host_memory == HostMemory::Enforce;
        let runs_out = |resource: &&Resource| resource.verdict == Verdict::OutOfMemory;
        self.resources().map(|(_, resource)| resource).find(runs_out).filter(|_| enforces)
    }

    /// The judgement of an object that is too large to read.
    pub fn too_large() -> Self {
        Self {
            message: "the object has more values than are read, so it was not judged".to_owned(),
            ..Self::without_figures(Verdict::Unknown, Reason::TooLarge)
        }
    }

    /// The judgement of an object that asks for accelerators, if it does not train or nothing shows whether it does.
    pub fn aside(cause: Cause, accelerators: Option<u64>) -> Self {
        if cause.follows() == Follows::NotRecognised {
            let why = format!("{}; if it trains, add {PREFIX}model", cause.sentence());
            return Self::not_recognised(cause, accelerators, &why);
        }
        Self {
            cause: Some(cause),
            message: format!("{}, trains nothing: {}", asks_for(accelerators), cause.sentence()),
            summary: Summary { accelerators, ..Summary::default() },
            ..Self::without_figures(Verdict::NotTraining, Reason::NotTraining)
        }
    }

    /// The judgement of an object that asks for accelerators and is not recognised, and why in words of its own.
    pub fn not_recognised(cause: Cause, accelerators: Option<u64>, why: &str) -> Self {
        Self {
            cause: Some(cause),
            message: format!("{}, not recognised: {why}", asks_for(accelerators)),
            summary: Summary { accelerators, ..Summary::default() },
            ..Self::without_figures(Verdict::Unrecognised, Reason::NotRecognised)
        }
    }

    /// A judgement with only a verdict and its reason.
    pub fn without_figures(verdict: Verdict, reason: Reason) -> Self {
        Self {
            verdict,
            reason,
            cause: None,
            message: String::new(),
            oom_probability: None,
            evidence: None,
            missing: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
            inputs: Vec::new(),
            memory: None,
            host: None,
            shared_memory: None,
            storage: None,
            time: None,
            goodput: None,
            deadline: None,
            cost: None,
            advice: Vec::new(),
            room: Vec::new(),
            words: None,
            job: TrainingJob::default(),
            summary: Summary::default(),
            contradictions: Vec::new(),
            override_reason: None,
            swings: Vec::new(),
            counted: None,
            host_memory: HostMemory::Audit,
        }
    }
}

/// How far the estimate of a job's mode was compared with measurements. A mode is a framework with its sharding, method and
/// recomputation, for dense models or for models with experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Evidence {
    /// PyTorch's own counts, or two independent parties, cover the mode.
    Checked,
    /// The terms come from the framework's code. One party measured the mode, or another mode of the framework.
    Derived,
    /// No run of the framework was compared. Only arithmetic can refuse such a job.
    Unchecked,
}

impl Evidence {
    /// The class's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checked => "Checked",
            Self::Derived => "Derived",
            Self::Unchecked => "Unchecked",
        }
    }
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Verdict {
    /// The probability of running out is below the warning threshold.
    Fits,
    /// The probability is at the warning threshold or above it, and the lower bound is not above the capacity.
    Tight,
    /// The probability is at the denial threshold or above it, and the lower bound is above the capacity.
    OutOfMemory,
    /// The object trains, but the missing fields decide.
    Unknown,
    /// The object does not train, or asks for no accelerators. This is the usual answer.
    NotTraining,
    /// The object asks for accelerators, and it is not known whether it trains. It has no estimate.
    Unrecognised,
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
            Self::Unrecognised => "Unrecognised",
        }
    }

    /// Whether the object trains, as far as we know.
    pub const fn trains(self) -> bool {
        !matches!(self, Self::NotTraining | Self::Unrecognised)
    }
}

/// Why a verdict was reached. The list is closed: metrics use it as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Reason {
    /// The needed memory is below capacity.
    BelowCapacity,
    /// The needed memory is close to the capacity, so the job may run out.
    NearCapacity,
    /// The needed memory is above capacity.
    AboveCapacity,
    /// The same job ran to its end before, in this namespace.
    RanBefore,
    /// The same job ran out of memory before, in this namespace.
    RanOutBefore,
    /// The missing fields decide. `missing` lists them.
    MissingInputs,
    /// The model is in no table, and its dimensions are not given.
    UnknownModel,
    /// The accelerator is not named. Or it is in no table, and its memory is not given.
    UnknownAccelerator,
    /// A value could not be read. `errors` names it.
    Malformed,
    /// To read the object takes more work than allowed.
    TooLarge,
    /// The object was not read to its end, and the unread part may decide.
    NotReadToEnd,
    /// The object refers to a document that is missing, and that document may decide.
    ReferenceNotFound,
    /// The workload that an estimate refers to is missing.
    WorkloadNotFound,
    /// The estimate does not cover this kind of training.
    Unsupported,
    /// The estimate does not know how this kind of accelerator uses memory.
    UnsupportedAccelerator,
    /// The object asks for no accelerator, or does not train.
    NotTraining,
    /// The program that the object starts, or its kind, is in no table.
    NotRecognised,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::BelowCapacity,
        Self::NearCapacity,
        Self::AboveCapacity,
        Self::RanBefore,
        Self::RanOutBefore,
        Self::MissingInputs,
        Self::UnknownModel,
        Self::UnknownAccelerator,
        Self::Malformed,
        Self::TooLarge,
        Self::NotReadToEnd,
        Self::ReferenceNotFound,
        Self::WorkloadNotFound,
        Self::Unsupported,
        Self::UnsupportedAccelerator,
        Self::NotTraining,
        Self::NotRecognised,
    ];

    /// The reason's word, as conditions and labels show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BelowCapacity => "BelowCapacity",
            Self::NearCapacity => "NearCapacity",
            Self::AboveCapacity => "AboveCapacity",
            Self::RanBefore => "RanBefore",
            Self::RanOutBefore => "RanOutBefore",
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
            Self::NotRecognised => "NotRecognised",
        }
    }
}

/// The peak memory of one accelerator, for the worst rank.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The memory that must fit: the point estimate.
    pub peak_bytes: Bytes,
    /// The lower bound of the needed memory in every reading of what is open. A refusal rests on it.
    pub least_bytes: Bytes,
    /// The 5th percentile of the needed memory.
    pub lower_bytes: Bytes,
    /// The 95th percentile of the needed memory.
    pub upper_bytes: Bytes,
    /// The live tensors: torch's `max_memory_allocated`.
    pub allocated_bytes: Bytes,
    /// Live tensors, and the memory that the allocator keeps: `max_memory_reserved`.
    pub reserved_bytes: Bytes,
    /// All of these, with context, communicators and workspaces: the figure of nvidia-smi.
    pub process_bytes: Bytes,
    /// The memory that one accelerator offers a process. `None` if it is unknown.
    pub capacity_bytes: Option<Bytes>,
    /// The rank that needs the most, as `pipeline stage 0 of 4`.
    pub worst_rank: String,
    /// The moment when it needs the most: `backward`, `loss`, `optimizer step`, ….
    pub instant: String,
    /// The parts of the peak. They add up to `peak_bytes`.
    pub components: Vec<Component>,
    /// The need while the job trains and while it generates, if it does both on this accelerator. The peak is the higher.
    pub phases: Vec<Component>,
    /// The live tensors at each instant of a step, in its order: torch's `memory_allocated`.
    pub instants: Vec<Component>,
}

/// A probability to three decimals: the estimate is no finer.
#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn in_thousandths<S: Serializer>(probability: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    probability.map(|probability| (probability * 1000.0).round() / 1000.0).serialize(serializer)
}

/// Fields as people write them: each key once.
fn by_key<S: Serializer>(fields: &[AnyField], serializer: S) -> Result<S::Ok, S::Error> {
    keys::of_fields(fields).serialize(serializer)
}

/// A part of the peak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Component {
    /// `weights`, `gradients`, `optimizer states`, `activations`, `logits`, `communication`, `runtime`, ….
    pub name: &'static str,
    /// How much of the peak it holds.
    pub bytes: Bytes,
}

/// How long training takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Time {
    /// Wall-clock days. `None` if the number of accelerators is unknown.
    pub days: Option<f64>,
    /// The interval's lower end.
    pub days_low: Option<f64>,
    /// The interval's upper end.
    pub days_high: Option<f64>,
    /// Accelerator-hours. `None` if neither tokens nor steps are given.
    pub gpu_hours: Option<f64>,
    /// The interval's lower end.
    pub gpu_hours_low: Option<f64>,
    /// The interval's upper end.
    pub gpu_hours_high: Option<f64>,
    /// The time of one optimizer step. `None` if the global batch or the number of accelerators is unknown.
    pub step_seconds: Option<f64>,
    /// Tokens per second on one accelerator.
    pub tokens_per_second_per_gpu: f64,
    /// Model FLOPs utilization, 0 to 1.
    pub mfu: f64,
    /// The interval's lower end.
    pub mfu_low: f64,
    /// The interval's upper end.
    pub mfu_high: f64,
    /// Model FLOPs of one token, forward and backward, causal attention counted once.
    pub flops_per_token: f64,
    /// Model FLOPs with those of recomputation.
    pub hardware_flops_per_token: f64,
    /// The pipeline's bubble as a share of a step, by the schedule. The MFU includes it.
    pub pipeline_bubble: f64,
    /// What the FLOP counts include.
    pub convention: &'static str,
    /// Model FLOPs of the whole training. `None` if neither tokens nor steps are given.
    #[serde(skip)]
    pub flops: Option<Flops>,
}

/// The share of the time that is spent training. The rest goes to failures, restarts and saving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Goodput {
    /// The share, 0 to 1.
    pub share: f64,
    /// The interval's lower end.
    pub share_low: f64,
    /// The interval's upper end.
    pub share_high: f64,
    /// Whether the share is assumed.
    pub assumed: bool,
    /// The time between two failures of the job. `None` if the job gives the share.
    pub hours_between_failures: Option<f64>,
    /// The time between two checkpoints that loses the least.
    pub checkpoint_interval_seconds: Option<f64>,
    /// The time spent once, outside the share: loading, and the final save.
    pub startup_seconds: f64,
}

/// A changed configuration that fits.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// The change, as a person would write it: `pipeline-parallel 4 → 8`.
    pub change: String,
    /// Only the changed fields.
    pub spec: TrainingJob,
    /// The needed memory after the change.
    pub peak_bytes: Bytes,
    /// Days after the change.
    pub days: Option<f64>,
}

/// The largest value of a field with which the job still fits, everything else as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// The annotation's key, without its prefix.
    pub key: &'static str,
    /// The largest value that was found: the present one, doubled.
    pub at_most: u64,
    /// The memory that the job needs with it.
    pub peak_bytes: Bytes,
}

/// The parts of the job, as a person names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The model: its name, or its size.
    pub model: Option<String>,
    /// The accelerator as columns name it: `a800-80gb`, or the name that the job gives.
    pub accelerator: Option<String>,
    /// The accelerator as messages name it: `A800-80GB`.
    pub accelerator_name: Option<String>,
    /// The number of accelerators.
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
