//! Objects of kinds that are not judged as a whole, though they hold pods that ask for accelerators.
//!
//! ```text
//! a misspelt kind (`Jbo`, `PyTorchjob`)            ─► not recognised, with the nearest kind
//! a kind that only serves (`InferenceService`)     ─► trains nothing
//! any other (`Deployment`, Argo's `Workflow`)      ─► each of its pods, as the gate sees it when it is created
//! ```
//!
//! Pods are found by their shape: a map with a list `containers`. [Argo's](super::argo) templates hold one container each,
//! or create objects. KAITO's `Workspace` names a model and a machine, from which its controller makes a Job. Source:
//! kaito-project/kaito api/v1beta1 `workspace_types.go`.

use serde_json::{Map, Value, json};

use super::argo;
use crate::hardware::Catalogue;
use crate::hardware::resources::counts_accelerators;
use crate::job::Cause;
use crate::judgement::Judgement;
use crate::kinds::Kinds;
use crate::printable::printable;
use crate::surroundings::Document;

/// The most values of an object that are searched, and the deepest of them.
const MOST: usize = 20_000;
const DEEPEST: usize = 24;
/// The most pods of an object that are judged.
const MOST_PODS: usize = 64;
/// A misspelt name has at most this many letters wrong.
pub(super) const MOST_WRONG: usize = 2;

/// Kinds that train nothing, whatever their pods run.
const NOT_TRAINING: &[(&str, &str, Cause)] = &[
    ("serving.kserve.io", "InferenceService", Cause::Server),
    ("serving.kserve.io", "LLMInferenceService", Cause::Server),
    ("serving.knative.dev", "Service", Cause::Server),
    ("ray.io", "RayService", Cause::Server),
    ("machinelearning.seldon.io", "SeldonDeployment", Cause::Server),
    ("nvidia.com", "DynamoGraphDeployment", Cause::Server),
    ("apps.nvidia.com", "NIMService", Cause::Server),
    ("apps.nvidia.com", "NIMCache", Cause::Preparation),
    ("kaiwo.silogen.ai", "KaiwoService", Cause::Server),
    ("kaito.sh", "InferenceSet", Cause::Server),
    ("kaito.sh", "RAGEngine", Cause::Server),
    ("kubeflow.org", "Notebook", Cause::Notebook),
];

/// What becomes of an object whose kind is not judged as a whole.
pub(super) enum Other {
    /// It is set aside as a whole.
    Aside(Box<Judgement>),
    /// Its pods and the objects that it creates are judged, each as an object, with these other objects around it.
    Started { judged: Vec<Value>, around: Vec<Value> },
}

/// What becomes of such an object. None if it asks for no accelerators, or only informs.
pub(super) fn read(object: &Value, kinds: &Kinds, catalogue: &Catalogue) -> Option<Other> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    if Document::of(object).is_some() || kind == "CustomResourceDefinition" {
        return None;
    }
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if let Some(pods) = of_workspace(object, group, kind) {
        return Some(Other::Started { judged: pods, around: Vec::new() });
    }
    let (pods, created) =
        if is_argo(object) { (argo::pods(object), argo::created(object)) } else { (Vec::new(), Vec::new()) };
    let mut found = Search::of([object], catalogue);
    // A patch or a created object may ask where the workflow itself does not.
    let asked = found.asked.max(Search::of(pods.iter().chain(&created), catalogue).asked);
    if asked == 0 {
        return None;
    }
    let asked = Some(asked);
    let known = |(other, name, _): &&(&str, &str, Cause)| (*other, *name) == (group, kind);
    if let Some((.., cause)) = NOT_TRAINING.iter().find(known) {
        return Some(Other::Aside(Judgement::aside(*cause, asked).into()));
    }
    if let Some(nearest) = nearest(group, kind, kinds) {
        let why = format!("no kind is called {}; did you mean {nearest}?", printable(kind, 48));
        return Some(Other::Aside(Judgement::not_recognised(Cause::UnknownKind, asked, &why).into()));
    }
    found.pods.extend(pods);
    if found.pods.is_empty() && created.is_empty() {
        return Some(Other::Aside(Judgement::aside(Cause::UnknownKind, asked).into()));
    }
    found.pods.truncate(MOST_PODS);
    let metadata = |template: &Value| {
        let mut metadata = template.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        for field in ["name", "namespace"] {
            if let Some(value) = object.get("metadata").and_then(|metadata| metadata.get(field)) {
                metadata.insert(field.to_owned(), value.clone());
            }
        }
        Value::Object(metadata)
    };
    let pod = |template: &Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(template), "spec": template.get("spec")});
    let judged = found.pods.iter().map(pod).chain(created.iter().cloned()).collect();
    Some(Other::Started { judged, around: created })
}

/// The accelerators that an object asks for, wherever it does.
pub(super) fn asked(object: &Value, catalogue: &Catalogue) -> u64 {
    Search::of([object], catalogue).asked
}

fn is_argo(object: &Value) -> bool {
    object
        .get("apiVersion")
        .and_then(Value::as_str)
        .is_some_and(|version| version.starts_with("argoproj.io/"))
}

/// Changes every template of pods, and every object that a workflow creates, where they stand.
pub(super) fn each_started(object: &mut Value, change: &mut impl FnMut(&mut Value)) {
    if is_argo(object) {
        argo::each_started(object, change);
    }
    let mut left = MOST;
    each_template(object, 0, &mut left, change);
}

fn each_template(value: &mut Value, depth: usize, left: &mut usize, change: &mut impl FnMut(&mut Value)) {
    if *left == 0 || depth > DEEPEST {
        return;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_template(item, depth + 1, left, change)),
        Value::Object(map) if map.get("spec").is_some_and(has_containers) => change(value),
        Value::Object(map) => {
            map.values_mut().for_each(|inner| each_template(inner, depth + 1, left, change));
        }
        _ => {}
    }
}

/// How many letters of a name are wrong, if another one is meant. Capitals make no difference.
pub(super) fn wrong_letters(name: &str, meant: &str) -> usize {
    strsim::osa_distance(&name.to_lowercase(), &meant.to_lowercase())
}

/// The kind that is meant: of the same group and with few wrong letters, or of the same name in another group.
fn nearest(group: &str, kind: &str, kinds: &Kinds) -> Option<String> {
    let of_group = kinds.all().filter(|known| known.group == group);
    let of_group = of_group.map(|known| (wrong_letters(known.kind, kind), known));
    if let Some((_, known)) =
        of_group.filter(|(wrong, _)| *wrong <= MOST_WRONG).min_by_key(|(wrong, _)| *wrong)
    {
        return Some(known.kind.to_owned());
    }
    let version = |known: &crate::kinds::Kind| {
        let version = known.versions.first().copied().unwrap_or_default();
        if known.group.is_empty() { version.to_owned() } else { format!("{}/{version}", known.group) }
    };
    let same = kinds.all().find(|known| known.kind == kind);
    same.map(|known| format!("apiVersion {}", version(known)))
}

/// A search for pods and for requests of accelerators.
struct Search<'c> {
    left: usize,
    /// Templates: maps with `spec`, and `metadata` if there is one.
    pods: Vec<Value>,
    /// The accelerators of all resources that were found.
    asked: u64,
    catalogue: &'c Catalogue,
}

impl<'c> Search<'c> {
    fn of<'v>(values: impl IntoIterator<Item = &'v Value>, catalogue: &'c Catalogue) -> Self {
        let mut search = Self { left: MOST, pods: Vec::new(), asked: 0, catalogue };
        for value in values {
            search.value(value, 0);
        }
        search
    }

    fn value(&mut self, value: &Value, depth: usize) {
        if self.left == 0 || depth > DEEPEST {
            return;
        }
        self.left -= 1;
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.value(item, depth + 1)),
            Value::Object(map) => {
                if let Some(spec) = map.get("spec").filter(|spec| has_containers(spec)) {
                    self.pods.push(template(map.get("metadata"), spec));
                } else if has_containers(value) && !self.pods.iter().any(|pod| pod.get("spec") == Some(value))
                {
                    self.pods.push(template(None, value));
                }
                if let Some(resources) = map.get("resources").and_then(Value::as_object) {
                    self.resources(resources);
                }
                // What is asked stands outside of the object's status.
                let asked = map.iter().filter(|(key, _)| depth > 0 || *key != "status");
                asked.for_each(|(_, inner)| self.value(inner, depth + 1));
            }
            _ => {}
        }
    }

    fn resources(&mut self, resources: &Map<String, Value>) {
        let given = ["limits", "requests"].iter().find_map(|field| {
            let asked = resources.get(*field)?.as_object()?.iter().map(|(name, quantity)| {
                let counts = counts_accelerators(self.catalogue, name);
                let count = || quantity.as_u64().or_else(|| quantity.as_str()?.trim().parse().ok());
                if counts { count().unwrap_or_default() } else { 0 }
            });
            Some(asked.fold(0, u64::saturating_add)).filter(|asked| *asked > 0)
        });
        self.asked = self.asked.saturating_add(given.unwrap_or_default());
    }
}

fn has_containers(spec: &Value) -> bool {
    let containers = spec.get("containers").and_then(Value::as_array);
    containers.is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_object))
}

/// A template of a pod.
pub(super) fn template(metadata: Option<&Value>, spec: &Value) -> Value {
    json!({"metadata": metadata.cloned().unwrap_or_else(|| json!({})), "spec": spec})
}

/// Azure's machines with GPUs on which KAITO tunes, and how many GPUs each has. Source: learn.microsoft.com, sizes of
/// the NC and ND families.
const MACHINES: &[(&str, u64)] = &[
    ("Standard_NC4as_T4_v3", 1),
    ("Standard_NC8as_T4_v3", 1),
    ("Standard_NC16as_T4_v3", 1),
    ("Standard_NC64as_T4_v3", 4),
    ("Standard_NC6s_v3", 1),
    ("Standard_NC12s_v3", 2),
    ("Standard_NC24s_v3", 4),
    ("Standard_NC24ads_A100_v4", 1),
    ("Standard_NC48ads_A100_v4", 2),
    ("Standard_NC96ads_A100_v4", 4),
    ("Standard_NC40ads_H100_v5", 1),
    ("Standard_NC80adis_H100_v5", 2),
    ("Standard_NV36ads_A10_v5", 1),
    ("Standard_NV72ads_A10_v5", 2),
    ("Standard_ND96asr_v4", 8),
    ("Standard_ND96amsr_A100_v4", 8),
    ("Standard_ND96isr_H100_v5", 8),
    ("Standard_ND96isr_H200_v5", 8),
];

/// The judgement of a pod of a Workspace, with the Workspace's own fields as sources.
pub(super) fn sourced(mut judgement: Judgement, object: &Value) -> Judgement {
    let fields =
        [("weighbridge.dev/model", "tuning.preset.name"), ("weighbridge.dev/method", "tuning.method")];
    let annotations = object.pointer("/metadata/annotations");
    for (key, field) in fields {
        let is_own = annotations.is_some_and(|annotations| annotations.get(key).is_some());
        if object.get("tuning").is_some() && !is_own {
            let inputs = judgement.inputs.iter_mut().filter(|input| input.source.ends_with(key));
            inputs.for_each(|input| field.clone_into(&mut input.source));
        }
    }
    judgement
}

/// The pod that KAITO's controller makes of a Workspace: it tunes with accelerate, or serves with vLLM. The preset and
/// the method become annotations of the pod, since only the controller's configuration has them as options.
fn of_workspace(object: &Value, group: &str, kind: &str) -> Option<Vec<Value>> {
    if (group, kind) != ("kaito.sh", "Workspace") {
        return None;
    }
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let machine = text("/resource/instanceType").unwrap_or("Standard_NC24ads_A100_v4");
    let gpus =
        MACHINES.iter().find(|(known, _)| known.eq_ignore_ascii_case(machine)).map_or(1, |(_, gpus)| *gpus);
    let (preset, method) = (text("/tuning/preset/name"), text("/tuning/method"));
    let processes = format!("--num_processes={gpus}");
    let command = match preset {
        Some(_) => vec!["accelerate", "launch", processes.as_str(), "/workspace/tfs/fine_tuning.py"],
        None => vec!["vllm", "serve"],
    };
    let config = text("/tuning/config").filter(|_| preset.is_some());
    let volumes = config.map_or_else(Vec::new, |name| {
        vec![json!({"name": "config", "configMap": {"name": name, "optional": true}})]
    });
    let mounts =
        config.map_or_else(Vec::new, |_| vec![json!({"name": "config", "mountPath": "/mnt/config"})]);
    let mut metadata = object.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(annotations) = metadata.entry("annotations").or_insert_with(|| json!({})).as_object_mut() {
        for (key, value) in [("weighbridge.dev/model", preset), ("weighbridge.dev/method", method)] {
            if let Some(value) = value.filter(|_| preset.is_some()) {
                annotations.entry(key).or_insert_with(|| value.into());
            }
        }
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {
            "nodeSelector": {"node.kubernetes.io/instance-type": machine},
            "volumes": volumes,
            "containers": [{
                "name": "workspace", "command": command, "volumeMounts": mounts,
                "resources": {"limits": {"nvidia.com/gpu": gpus}},
            }],
        },
    });
    Some(vec![pod])
}
