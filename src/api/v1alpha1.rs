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

/// A training job, written by hand or read from the workload that `workloadRef` names. What is written here wins
/// over what was read.
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
    doc = "What a training job will take: peak memory per GPU, days, GPU-hours and cost, and whether it fits."
)]
#[serde(rename_all = "camelCase")]
pub struct TrainingEstimateSpec {
    /// The workload whose fields are read; fields given beside it win over them. It can't be changed once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<WorkloadRef>,
    /// The training job itself.
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
    /// The uid, where exactly this object is meant and none that takes its name later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub uid: Option<String>,
}

/// The judgement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrainingEstimateStatus {
    /// The generation of the spec that was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// The decision: Fits, Tight, OutOfMemory, Unknown or NotTraining.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub verdict: Option<String>,
    /// Why, in one CamelCase word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// The probability that it runs out of memory, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub oom_probability_milli: Option<i64>,
    /// The fields of the spec that would have to be added before more can be said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_INPUTS))]
    pub missing: Vec<String>,
    /// What a person should know: disagreements, assumptions that could decide, unknown keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_WARNINGS))]
    pub warnings: Vec<String>,
    /// Every value that was used, and where it came from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_INPUTS))]
    pub inputs: Vec<InputStatus>,
    /// Peak memory per accelerator, of the rank that needs most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStatus>,
    /// How long training takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeStatus>,
    /// The share of that time that is spent training, and what the rest is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodput: Option<GoodputStatus>,
    /// When it must be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DeadlineStatus>,
    /// What training costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostStatus>,
    /// The nearest changed configurations that fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADVICE))]
    pub advice: Vec<AdviceStatus>,
    /// The figures as people read them, for the columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<DisplayStatus>,
    /// When the workload began to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub start_time: Option<Time>,
    /// When it should be done: the start and the predicted time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub expected_completion_time: Option<Time>,
    /// The start and the lower end of the predicted time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub earliest_completion_time: Option<Time>,
    /// The start and the upper end of the predicted time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub latest_completion_time: Option<Time>,
    /// How the workload ended, and how far that departs from the prediction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressStatus>,
    /// Ready, FitsMemory and WithinDeadline; BypassedAdmission where it was never weighed at the gate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// A value and where it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InputStatus {
    /// The spec's field.
    pub field: String,
    /// The value as text.
    pub value: String,
    /// Where it came from: an annotation, an argument, a known model, an assumption.
    pub source: String,
}

/// Peak memory per accelerator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryStatus {
    /// What must fit.
    #[schemars(range(min = 0))]
    pub peak_bytes: i64,
    /// The 5th percentile of what must fit.
    #[schemars(range(min = 0))]
    pub lower_bytes: i64,
    /// The 95th percentile of what must fit.
    #[schemars(range(min = 0))]
    pub upper_bytes: i64,
    /// The live tensors: torch's max_memory_allocated.
    #[schemars(range(min = 0))]
    pub allocated_bytes: i64,
    /// With what the allocator keeps: max_memory_reserved.
    #[schemars(range(min = 0))]
    pub reserved_bytes: i64,
    /// With context, communicators and workspaces: nvidia-smi's figure.
    #[schemars(range(min = 0))]
    pub process_bytes: i64,
    /// What one accelerator offers a process; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub capacity_bytes: Option<i64>,
    /// The rank that needs most.
    pub worst_rank: String,
    /// When it needs most.
    pub instant: String,
    /// What the peak is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_COMPONENTS))]
    pub components: Vec<ComponentStatus>,
}

/// A part of the peak.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentStatus {
    /// What it is.
    pub name: String,
    /// How much of the peak it holds.
    #[schemars(range(min = 0))]
    pub bytes: i64,
}

/// How long training takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeStatus {
    /// Wall-clock seconds; absent where the number of accelerators or the amount of training is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds: Option<i64>,
    /// The interval's lower end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub low_seconds: Option<i64>,
    /// The interval's upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub high_seconds: Option<i64>,
    /// Thousandths of accelerator-hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub gpu_milli_hours: Option<i64>,
    /// The interval's lower end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub low_gpu_milli_hours: Option<i64>,
    /// The interval's upper end.
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

/// The share of the time that is spent training, not failing, restarting or saving.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GoodputStatus {
    /// The share, in thousandths.
    #[schemars(range(min = 0, max = 1000))]
    pub milli: i64,
    /// The interval's lower end.
    #[schemars(range(min = 0, max = 1000))]
    pub low_milli: i64,
    /// The interval's upper end.
    #[schemars(range(min = 0, max = 1000))]
    pub high_milli: i64,
    /// Between two failures of the job, as assumed; absent where the share was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds_between_failures: Option<i64>,
    /// Spent once: loading, and saving at the end.
    #[schemars(range(min = 0))]
    pub startup_seconds: i64,
}

/// When it must be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadlineStatus {
    /// From its start.
    #[schemars(range(min = 0))]
    pub seconds: i64,
    /// Who says so: target.days, spec.activeDeadlineSeconds, a queue's label.
    pub source: String,
}

/// How a workload ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProgressStatus {
    /// Succeeded or Failed.
    #[schemars(length(max = 32))]
    pub outcome: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub completion_time: Option<Time>,
    /// From start to end, where it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub actual_seconds: Option<i64>,
    /// The time that it took over the time that was predicted, in thousandths: 1000 where they are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub departure_milli: Option<i64>,
}

/// What training costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CostStatus {
    /// For all accelerator-hours.
    #[schemars(length(max = 64))]
    pub total: String,
    /// For the accelerator-hours at the interval's lower end.
    #[schemars(length(max = 64))]
    pub total_low: String,
    /// For those at its upper end.
    #[schemars(length(max = 64))]
    pub total_high: String,
    /// One accelerator, one hour.
    #[schemars(length(max = 64))]
    pub per_gpu_hour: String,
    /// ISO 4217.
    #[schemars(length(max = 16))]
    pub currency: String,
    /// Who gave the price: Given (the workload), Policy or Catalogue (list prices).
    #[schemars(length(max = 32))]
    pub source: String,
    /// The price's date, where it was not given with the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub as_of: Option<String>,
}

/// A changed configuration that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AdviceStatus {
    /// The change, as a person would say it.
    pub change: String,
    /// What must fit after the change.
    #[schemars(range(min = 0))]
    pub peak_bytes: i64,
    /// Wall-clock seconds after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds: Option<i64>,
}

/// The figures as people read them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DisplayStatus {
    /// The model's name, or its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How many accelerators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<String>,
    /// The accelerator's key in the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
    /// What must fit, per accelerator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<String>,
    /// The 5th to the 95th percentile of what must fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// What one accelerator offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The probability that it runs out of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_probability: Option<String>,
    /// Wall-clock days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<String>,
    /// Accelerator-hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_hours: Option<String>,
    /// What it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
}

fn timestamp(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// The fields of every Kubernetes condition, one condition a type.
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
