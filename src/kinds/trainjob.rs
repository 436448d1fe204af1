//! trainer.kubeflow.org/v1alpha1 TrainJob: the pods of a runtime, with the job's changes.
//!
//! The runtime is another object: a TrainingRuntime of the namespace, or a ClusterTrainingRuntime. [`runtime`] joins
//! the two, as `spec.groups` of the completed object. Without the runtime only the job's own trainer is known, and
//! the job is judged as one that asks for unknown accelerators.
//!
//! Before its first release the kind was kubeflow.org/v2alpha1. Such an object is read in the same way.

use serde_json::Value;

use crate::kinds::{BLANK, Kind, Makes, Pods, Purpose, runtime};

pub(crate) const KIND: Kind = Kind {
    group: "trainer.kubeflow.org",
    versions: &["v1alpha1"],
    kind: "TrainJob",
    plural: "trainjobs",
    slug: "trainjob",
    purpose: Purpose::Training,
    makes: Makes::These(&[("jobset.x-k8s.io", "JobSet"), ("batch", "Job"), ("", "Pod")]),
    suspend: Some("/spec/suspend"),
    placements: &["/spec/podSpecOverrides", "/spec/podTemplateOverrides", "/spec/runtimePatches"],
    active_deadline_seconds: Some("/spec/activeDeadlineSeconds"),
    pods: Pods::Own(runtime::groups),
    lists: &["/spec/podSpecOverrides", "/spec/podTemplateOverrides", "/spec/runtimePatches"],
    complete: Some(runtime::complete),
    model: Some(model),
    // Where the runtimes mount the volume of the initializer.
    model_folder: Some("/workspace/model"),
    ..BLANK
};

/// The model that the initializer fetches.
fn model(object: &Value) -> Option<(String, &'static str)> {
    let uri = object.pointer("/spec/initializer/model/storageUri")?.as_str()?;
    // hf://owner/name, with an optional branch after @.
    let name = uri.strip_prefix("hf://")?;
    let name = name.split('@').next().unwrap_or(name).trim_end_matches('/');
    (!name.is_empty()).then(|| (name.to_owned(), "spec.initializer.model.storageUri"))
}
