//! A TrainJob joined with its runtime: the pods that the trainer's operator makes of the two.
//!
//! ```text
//! runtime.spec.template.spec.replicatedJobs ─► trainer.* over the container `node` ─► overrides ─► groups of pods
//! pods = trainer.numNodes, else runtime.spec.mlPolicy.numNodes, for the training jobs
//! ```
//!
//! The training jobs have the label `trainer.kubeflow.org/trainjob-ancestor-step: trainer`, or the name `node`. With
//! MPI the launcher is one of the nodes if `runLauncherAsNode` is set. `trainer` changes only the container `node`. Its
//! `resourcesPerNode` is merged into the container's resources, as Trainer 2.3 does; before, it replaced them.
//! If the runtime's container has another name, the operator ignores the trainer's arguments, and so does this
//! reader.
//!
//! There are three schemas of overrides under one version: `podSpecOverrides` (2.0), `podTemplateOverrides` (2.1) and
//! `runtimePatches` (2.2 and later). All are read. Each gives, by the job's name, a part of a pod's spec. Source:
//! kubeflow/trainer, pkg/apis/trainer/v1alpha1.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::kinds::pods::{MAX_GROUPS, of_job, replicas};
use crate::kinds::{Completed, PodGroup};
use crate::surroundings::Surroundings;

/// The label of jobs that are steps of a TrainJob.
const STEP: &str = "/template/metadata/labels/trainer.kubeflow.org~1trainjob-ancestor-step";
/// The container that trains.
const NODE: &str = "node";
/// The job and the container that train, under kubeflow.org/v2alpha1.
const NODE_JOB_BEFORE: &str = "trainer-node";
const NODE_BEFORE: &str = "trainer";
/// A runtime without `kind` is a ClusterTrainingRuntime.
const DEFAULT_KIND: &str = "ClusterTrainingRuntime";

/// Puts the TrainJob's pods into `spec.groups`.
pub(crate) fn complete(object: &Value, around: &Surroundings) -> Completed<'static> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/spec/runtimeRef/kind"), text("/spec/runtimeRef/name"));
    let kind = if kind.is_empty() { DEFAULT_KIND } else { kind };
    let namespace = if kind == DEFAULT_KIND { "" } else { text("/metadata/namespace") };
    let runtime = around.documents.get(kind, namespace, name);
    let trainer = object.pointer("/spec/trainer");
    let label =
        format!("{} {}", crate::printable::printable(kind, 24), crate::printable::printable(name, 64));
    let mut groups = match runtime {
        Some(runtime) => of_runtime(runtime, trainer, &label),
        None => alone(trainer).into_iter().collect(),
    };
    let overrides = overrides(object);
    for (job, patch) in &overrides {
        let meant =
            groups.iter_mut().filter(|group| job.is_empty() || group.get("role") == Some(&json!(job)));
        for group in meant {
            if let Some(template) = group.get_mut("template") {
                merge(template, patch);
            }
        }
    }
    let mut completed = object.clone();
    if let Some(spec) = completed.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("groups".into(), Value::Array(groups));
        if let Some(uri) = runtime.and_then(initialized).filter(|_| object.pointer(MODEL).is_none()) {
            spec.insert("initializer".into(), json!({"model": {"storageUri": uri}}));
        }
    }
    let jobs = runtime.and_then(|runtime| runtime.pointer(JOBS)?.as_array());
    let is_cut = jobs.is_some_and(|jobs| jobs.len() > MAX_GROUPS) || overrides.len() >= MAX_GROUPS;
    let (by, absent) = if runtime.is_some() { (vec![label], None) } else { (Vec::new(), Some(label)) };
    Completed { object: Cow::Owned(completed), by, absent, is_cut }
}

/// The groups of pods in a completed object.
pub(crate) fn groups(object: &Value) -> Vec<PodGroup<'_>> {
    let groups = object.pointer("/spec/groups").and_then(Value::as_array).into_iter().flatten();
    groups.take(MAX_GROUPS).filter_map(of).collect()
}

fn of(group: &Value) -> Option<PodGroup<'_>> {
    let text = |field: &str| group.get(field).and_then(Value::as_str).unwrap_or_default();
    Some(PodGroup {
        role: text("role"),
        template: group.get("template")?,
        path: text("path").to_owned(),
        replicas: group.get("pods").and_then(Value::as_u64),
    })
}

const JOBS: &str = "/spec/template/spec/replicatedJobs";
const MODEL: &str = "/spec/initializer/model/storageUri";

fn jobs(runtime: &Value) -> impl Iterator<Item = &Value> {
    let jobs = runtime.pointer(JOBS).and_then(Value::as_array);
    jobs.into_iter().flatten().take(MAX_GROUPS)
}

/// The source of the model in the runtime's own initializer.
fn initialized(runtime: &Value) -> Option<String> {
    let job =
        jobs(runtime).find(|job| job.pointer(STEP).and_then(Value::as_str) == Some("model-initializer"))?;
    let containers = job.pointer("/template/spec/template/spec/containers")?.as_array()?;
    let variables = containers.iter().filter_map(|container| container.get("env")?.as_array()).flatten();
    let uri = variables.filter(|v| v.get("name").and_then(Value::as_str) == Some("STORAGE_URI"));
    uri.filter_map(|v| v.get("value")?.as_str()).map(str::to_owned).next()
}

fn of_runtime(runtime: &Value, trainer: Option<&Value>, label: &str) -> Vec<Value> {
    let name = |job: &Value| job.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let labelled = |job: &Value| job.pointer(STEP).and_then(Value::as_str) == Some("trainer");
    let mpi = runtime.pointer("/spec/mlPolicy/mpi").filter(|mpi| mpi.is_object());
    let launcher_is_node = mpi.and_then(|mpi| mpi.get("runLauncherAsNode")) == Some(&Value::Bool(true));
    let nodes = [trainer.and_then(|t| t.get("numNodes")), runtime.pointer("/spec/mlPolicy/numNodes")];
    let nodes = nodes.into_iter().flatten().find_map(Value::as_u64);
    let any_labelled = jobs(runtime).any(labelled);
    let mut groups = Vec::new();
    for job in jobs(runtime) {
        let Some(template) = job.pointer("/template/spec/template") else { continue };
        let mut template = template.clone();
        let is_launcher = mpi.is_some() && name(job) == "launcher";
        let trains = labelled(job)
            || [NODE, NODE_JOB_BEFORE].contains(&name(job).as_str())
            || (!any_labelled && name(job) == "trainer");
        let written = job
            .pointer("/template/spec")
            .and_then(|spec| of_job("", spec, "", replicas(job.get("replicas"))));
        let mut pods = written.and_then(|group| group.replicas);
        if trains {
            let container = if name(job) == NODE_JOB_BEFORE { NODE_BEFORE } else { NODE };
            overlay(
                &mut template,
                container,
                trainer,
                is_launcher && !launcher_is_node,
                !labelled(job) && mpi.is_some(),
            );
            if is_launcher {
                pods = Some(1);
            } else if let Some(nodes) = nodes {
                pods = Some(if launcher_is_node { nodes.saturating_sub(1) } else { nodes });
            }
        }
        groups.push(json!({
            "role": name(job),
            "path": format!("{label} job {}", crate::printable::printable(&name(job), 64)),
            "pods": pods,
            "template": template,
        }));
    }
    groups
}

/// Puts the job's trainer over the container of this name.
///
/// A launcher that is not a node gets no accelerators. Nodes that MPI starts get no command.
fn overlay(template: &mut Value, name: &str, trainer: Option<&Value>, no_resources: bool, no_command: bool) {
    let Some(trainer) = trainer else { return };
    let containers = template.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    let named = |container: &&mut Value| container.get("name").and_then(Value::as_str) == Some(name);
    let Some(node) = containers.and_then(|containers| containers.iter_mut().find(named)) else { return };
    let Some(node) = node.as_object_mut() else { return };
    for field in ["image", "command", "args"] {
        let skipped = no_command && field != "image";
        if let Some(value) = trainer.get(field).filter(|value| !value.is_null() && !skipped) {
            node.insert(field.into(), value.clone());
        }
    }
    if let Some(resources) = trainer.get("resourcesPerNode").filter(|r| r.is_object() && !no_resources) {
        merge_field(node, "resources", resources);
    }
    if let Some(env) = trainer.get("env").filter(|env| env.is_array()) {
        merge_field(node, "env", env);
    }
}

/// The trainer's pods without a known runtime: its own fields and its own number of nodes.
fn alone(trainer: Option<&Value>) -> Option<Value> {
    let trainer = trainer?;
    let mut template = json!({"spec": {"containers": [{"name": NODE}]}});
    overlay(&mut template, NODE, Some(trainer), false, false);
    let pods = trainer.get("numNodes").and_then(Value::as_u64);
    Some(json!({"role": NODE, "path": "spec.trainer", "pods": pods, "template": template}))
}

/// Every override: the name of its job, and a pod template with its changes.
fn overrides(object: &Value) -> Vec<(String, Value)> {
    let list = |pointer: &str| object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let name = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut overrides = Vec::new();
    let templates = list("/spec/podTemplateOverrides").map(|over| (over, over.clone()));
    let specs = list("/spec/podSpecOverrides").map(|over| (over, json!({"spec": over})));
    for (over, template) in specs.chain(templates).take(MAX_GROUPS) {
        for job in over.get("targetJobs").and_then(Value::as_array).into_iter().flatten().take(MAX_GROUPS) {
            overrides.push((name(job), template.clone()));
        }
    }
    for patch in list("/spec/runtimePatches").take(MAX_GROUPS) {
        let jobs =
            patch.pointer("/trainingRuntimeSpec/template/spec/replicatedJobs").and_then(Value::as_array);
        for job in jobs.into_iter().flatten().take(MAX_GROUPS) {
            if let Some(template) = job.pointer("/template/spec/template") {
                overrides.push((name(job), template.clone()));
            }
        }
    }
    overrides.truncate(MAX_GROUPS);
    overrides
}

/// Merges an override into a template: labels and annotations, placement, volumes, and the environment and mounts of
/// containers that exist, by name.
fn merge(template: &mut Value, patch: &Value) {
    let Some(template) = template.as_object_mut() else { return };
    for (group, fields) in [
        ("metadata", &["labels", "annotations"][..]),
        (
            "spec",
            &["nodeSelector", "affinity", "volumes", "initContainers", "containers", "resourceClaims"][..],
        ),
    ] {
        let Some(given) = patch.get(group).and_then(Value::as_object) else { continue };
        let Some(kept) = template.entry(group).or_insert_with(|| json!({})).as_object_mut() else { continue };
        for field in fields {
            match given.get(*field) {
                Some(containers) if field.ends_with("ontainers") => merge_containers(kept, field, containers),
                Some(value) => merge_field(kept, field, value),
                None => {}
            }
        }
    }
}

fn merge_containers(spec: &mut Map<String, Value>, field: &str, given: &Value) {
    let kept = spec.get_mut(field).and_then(Value::as_array_mut);
    for container in kept.into_iter().flatten() {
        let same = |other: &&Value| other.get("name").is_some() && other.get("name") == container.get("name");
        let given = given.as_array().into_iter().flatten().find(same).and_then(Value::as_object);
        if let (Some(given), Some(container)) = (given.cloned(), container.as_object_mut()) {
            for field in ["env", "volumeMounts"] {
                if let Some(value) = given.get(field) {
                    merge_field(container, field, value);
                }
            }
        }
    }
}

/// Merges a field: maps by key, lists of named items by name, anything else as a whole.
fn merge_field(kept: &mut Map<String, Value>, field: &str, given: &Value) {
    let key = if field == "volumeMounts" { "mountPath" } else { "name" };
    match (kept.get_mut(field), given) {
        (_, Value::Null) => {}
        (Some(Value::Object(kept)), Value::Object(given)) => {
            for (name, value) in given {
                merge_field(kept, name, value);
            }
        }
        (Some(Value::Array(kept)), Value::Array(given))
            if given.iter().all(|item| item.get(key).is_some()) =>
        {
            for item in given {
                match kept.iter_mut().find(|before| before.get(key) == item.get(key)) {
                    Some(before) => *before = item.clone(),
                    None => kept.push(item.clone()),
                }
            }
        }
        _ => {
            kept.insert(field.to_owned(), given.clone());
        }
    }
}
