//! `weighbridge.dev/v1alpha1`: the fields of a `TrainingEstimate`.
//!
//! The spec is the core's [`TrainingJob`] and `workloadRef`. The status holds no floats and no unsigned numbers:
//! bytes and seconds are int64, ratios are in thousandths, FLOPs and money are strings, and `display` is for the
//! columns, which cannot compute.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::bounds::{MAX_ADVICE, MAX_COMPONENTS, MAX_INPUTS, MAX_WARNINGS};
use crate::job::TrainingJob;
use crate::learn::observed::peaks::MOST_PODS;

/// A training job, written by hand or read from the workload of `workloadRef`. Fields that are written here beat the
/// fields that are read.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "weighbridge.dev",
    version = "v1alpha1",
    kind = "TrainingEstimate",
    plural = "trainingestimates",
    shortname = "te",
    category = "training",
    namespaced,
    status = "TrainingEstimateStatus",
    derive = "PartialEq",
    doc = "The estimate of a training job: peak memory per GPU, days, GPU-hours and cost, and whether it fits."
)]
#[serde(rename_all = "camelCase")]
pub struct TrainingEstimateSpec {
    /// The workload whose fields are read. Fields beside it beat them. It can't be changed once it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<WorkloadRef>,
    /// The training job.
    #[serde(flatten)]
    pub job: TrainingJob,
}

/// A workload in the estimate's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRef {
    /// Group and version: kubeflow.org/v1.
    #[schemars(length(min = 1, max = 317))]
    pub api_version: String,
    /// The kind: PyTorchJob.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The uid. With it, the estimate is of this object only, and not of a later one with the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub uid: Option<String>,
}

/// The judgement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrainingEstimateStatus {
    /// The generation of the judged spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// The decision: Fits, Tight, OutOfMemory, Unknown or NotTraining.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub verdict: Option<String>,
    /// The reason, in one CamelCase word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Why, in one line for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub message: Option<String>,
    /// The probability that the job runs out of memory, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub oom_probability_milli: Option<i64>,
    /// How far the estimate of such jobs was compared with measurements: Checked, Derived or Unchecked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub evidence: Option<String>,
    /// The missing fields of the spec that decide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_INPUTS))]
    pub missing: Vec<String>,
    /// Warnings: disagreements, assumptions that could decide, unknown keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_WARNINGS))]
    pub warnings: Vec<String>,
    /// Every used value, with its source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_INPUTS))]
    pub inputs: Vec<InputStatus>,
    /// Peak memory per accelerator, of the rank that needs the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStatus>,
    /// Host memory of the pod with the first rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<ResourceStatus>,
    /// Shared memory of this pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_memory: Option<ResourceStatus>,
    /// The disk on which the job saves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<ResourceStatus>,
    /// The time of the training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeStatus>,
    /// The share of that time that is spent in training, and the other shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodput: Option<GoodputStatus>,
    /// The deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DeadlineStatus>,
    /// The cost of the training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostStatus>,
    /// The nearest changed configurations that fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADVICE))]
    pub advice: Vec<AdviceStatus>,
    /// The figures in short form, for the columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<DisplayStatus>,
    /// When the pods of the workload first ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub start_time: Option<Time>,
    /// Since when they run. Absent while they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub running_since: Option<Time>,
    /// How long they ran before: the time between suspensions adds up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub running_seconds: Option<i64>,
    /// How far the training itself says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportStatus>,
    /// The predicted end: the start and the predicted time, less the time that it ran before. If the training reports its
    /// remaining time, that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub expected_completion_time: Option<Time>,
    /// The earliest predicted end: the start and the lower end of the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub earliest_completion_time: Option<Time>,
    /// The latest predicted end: the start and the upper end of the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub latest_completion_time: Option<Time>,
    /// How the workload ended, or what went wrong while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeStatus>,
    /// Why the workload exists although it is predicted to run out of memory: Override, Mode or Bypass.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub admitted_by: Option<String>,
    /// The memory that its pods really used, by the metrics of their accelerators' exporter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<ObservedStatus>,
    /// What earlier runs of the same job taught.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryStatus>,
    /// The end of the workload, compared with the prediction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressStatus>,
    /// Ready, `FitsMemory`, `FitsHost` and `WithinDeadline`. `BypassedAdmission`, if the workload was admitted without a judgement.
    /// `Observed`, if the policy has memory observed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// A value and its source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InputStatus {
    /// The spec's field.
    pub field: String,
    /// The value as text.
    pub value: String,
    /// Its source: an annotation, an argument, a known model, an assumption.
    pub source: String,
}

/// Peak memory per accelerator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryStatus {
    /// The memory that must be available.
    #[schemars(range(min = 0))]
    pub peak_bytes: i64,
    /// The least that the job needs in every reading of what is open. A refusal rests on it.
    #[schemars(range(min = 0))]
    pub least_bytes: i64,
    /// The lower end of the 90 % interval.
    #[schemars(range(min = 0))]
    pub lower_bytes: i64,
    /// The upper end of the 90 % interval.
    #[schemars(range(min = 0))]
    pub upper_bytes: i64,
    /// The live tensors: torch's max_memory_allocated.
    #[schemars(range(min = 0))]
    pub allocated_bytes: i64,
    /// Allocated memory, and the memory that the allocator keeps: max_memory_reserved.
    #[schemars(range(min = 0))]
    pub reserved_bytes: i64,
    /// Reserved memory, context, communicators and workspaces: nvidia-smi's figure.
    #[schemars(range(min = 0))]
    pub process_bytes: i64,
    /// The memory that one accelerator offers a process. Absent if it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub capacity_bytes: Option<i64>,
    /// The rank that needs the most memory.
    pub worst_rank: String,
    /// The instant at which it needs the most memory.
    pub instant: String,
    /// The parts of the peak.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_COMPONENTS))]
    pub components: Vec<ComponentStatus>,
}

/// A part of the peak.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentStatus {
    /// Its name.
    pub name: String,
    /// Its share of the peak.
    #[schemars(range(min = 0))]
    pub bytes: i64,
}

/// A resource besides device memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceStatus {
    /// The decision: Fits, Tight, OutOfMemory or Unknown.
    #[schemars(length(max = 32))]
    pub verdict: String,
    /// Why, in one line for a person.
    pub message: String,
    /// The need.
    #[schemars(range(min = 0))]
    pub peak_bytes: i64,
    /// The lower end of the 90 % interval.
    #[schemars(range(min = 0))]
    pub lower_bytes: i64,
    /// The upper end of the 90 % interval.
    #[schemars(range(min = 0))]
    pub upper_bytes: i64,
    /// The limit. Absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub limit_bytes: Option<i64>,
    /// The parts of the need.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_COMPONENTS))]
    pub components: Vec<ComponentStatus>,
    /// What would help.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADVICE))]
    pub advice: Vec<String>,
}

/// The time of the training.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeStatus {
    /// Wall-clock seconds. Absent if the number of accelerators or the amount of training is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds: Option<i64>,
    /// The lower end of the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub low_seconds: Option<i64>,
    /// The upper end of the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub high_seconds: Option<i64>,
    /// Thousandths of accelerator-hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub gpu_milli_hours: Option<i64>,
    /// The lower end of the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub low_gpu_milli_hours: Option<i64>,
    /// The upper end of the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub high_gpu_milli_hours: Option<i64>,
    /// Model FLOPs utilization, in thousandths.
    #[schemars(range(min = 0))]
    pub mfu_milli: i64,
    /// Model FLOPs of the whole training.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub flops: Option<String>,
}

/// The share of the time that is spent in training, not in failures, restarts or checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GoodputStatus {
    /// The share, in thousandths.
    #[schemars(range(min = 0, max = 1000))]
    pub milli: i64,
    /// The lower end of the interval.
    #[schemars(range(min = 0, max = 1000))]
    pub low_milli: i64,
    /// The upper end of the interval.
    #[schemars(range(min = 0, max = 1000))]
    pub high_milli: i64,
    /// The assumed time between two failures of the job. Absent if the share was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds_between_failures: Option<i64>,
    /// The time for loading at the start and saving at the end.
    #[schemars(range(min = 0))]
    pub startup_seconds: i64,
}

/// The deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadlineStatus {
    /// The time from the start.
    #[schemars(range(min = 0))]
    pub seconds: i64,
    /// Its source: target.days, spec.activeDeadlineSeconds, a queue's label.
    pub source: String,
}

/// The end of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProgressStatus {
    /// Succeeded or Failed.
    #[schemars(length(max = 32))]
    pub outcome: String,
    /// The time of the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub completion_time: Option<Time>,
    /// The time from start to end, if it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub actual_seconds: Option<i64>,
    /// The ratio of the time to the predicted time, in thousandths. It is 1000 if they are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub departure_milli: Option<i64>,
}

/// The cost of the training.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CostStatus {
    /// The cost of all accelerator-hours.
    #[schemars(length(max = 64))]
    pub total: String,
    /// The cost at the lower end of the interval.
    #[schemars(length(max = 64))]
    pub total_low: String,
    /// The cost at the upper end of the interval.
    #[schemars(length(max = 64))]
    pub total_high: String,
    /// The price of one accelerator for one hour.
    #[schemars(length(max = 64))]
    pub per_gpu_hour: String,
    /// ISO 4217.
    #[schemars(length(max = 16))]
    pub currency: String,
    /// The source of the price: Given (the workload), Policy or Catalogue (list prices).
    #[schemars(length(max = 32))]
    pub source: String,
    /// The date of the price, if the workload does not give the price.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub as_of: Option<String>,
}

/// A changed configuration that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AdviceStatus {
    /// The change, in words.
    pub change: String,
    /// The memory that must be available after the change.
    #[schemars(range(min = 0))]
    pub peak_bytes: i64,
    /// Wall-clock seconds after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds: Option<i64>,
}

/// What a training reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportStatus {
    /// How much is done, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<i64>,
    /// The seconds until its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub remaining_seconds: Option<i64>,
    /// When it reported this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub at: Option<Time>,
}

/// How a workload ended, and the evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OutcomeStatus {
    /// Completed, OutOfMemory, HostOutOfMemory, Evicted, Deadline or Failed.
    #[schemars(length(max = 32))]
    pub kind: String,
    /// The container that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The evidence in few words: CUDA out of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub at: Option<Time>,
}

/// The memory that the pods of a workload really used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedStatus {
    /// The most memory in use on one accelerator. It also holds what the job's allocator keeps for later.
    #[schemars(range(min = 0))]
    pub peak_bytes: i64,
    /// The ratio to memory.processBytes, in thousandths. It is 1000 if they are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ratio_milli: Option<i64>,
    /// The metric.
    pub source: String,
    /// When it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub at: Option<Time>,
    /// The pods that used the most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_PODS))]
    pub pods: Vec<PodPeak>,
}

/// The most memory that a pod used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodPeak {
    /// The pod.
    pub name: String,
    /// The most memory in use on one of its accelerators.
    #[schemars(range(min = 0))]
    pub peak_bytes: i64,
}

/// What earlier runs of the same job taught.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HistoryStatus {
    /// The TrainingHistory of this job in this namespace. It exists once a run has ended.
    pub name: String,
    /// The verdict of the estimate alone.
    #[schemars(length(max = 32))]
    pub estimated_verdict: String,
    /// How many runs ended well since one ran out of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub runs: Option<i64>,
    /// The most memory that one accelerator used in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub peak_bytes: Option<i64>,
    /// The lower end of the needed memory per accelerator, narrowed by what was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub lower_bytes: Option<i64>,
    /// The upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub upper_bytes: Option<i64>,
}

/// The figures in short form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DisplayStatus {
    /// The model's name, or its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The number of accelerators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<String>,
    /// The accelerator's key in the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
    /// The memory that must be available, per accelerator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<String>,
    /// The 90 % interval of that memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// The memory that one accelerator offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The probability that the job runs out of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_probability: Option<String>,
    /// Wall-clock days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<String>,
    /// Accelerator-hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_hours: Option<String>,
    /// The cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// The keys of the fields to add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

pub(super) fn timestamp(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// The fields of every Kubernetes condition. There is one condition of each type.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "minLength": 1},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
                },
                "message": {"type": "string", "maxLength": 1024}
            }
        }
    })
}
