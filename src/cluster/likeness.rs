//! What an object's pods run, by hashes: by this a child is held against its owner, which is not kept.
//!
//! A controller makes its children of the owner's templates. It adds variables, volumes, containers, labels and places; it
//! hardly ever changes what a container runs or how many accelerators a pod asks for. So a child is like its owner if
//!
//! - none of its pods asks for more accelerators than the owner's largest,
//! - each container that asks for accelerators runs a command of the owner's containers that do,
//! - each variable that such a container of the owner has is the same in the child,
//! - it has as many pods of that command as the owner, or as a Job inside of the owner,
//! - each annotation of ours is one of the owner's, and
//! - each label by which it chooses an accelerator is one of the owner's.
//!
//! Some controllers do change the command: Ray's pods run `ray start`, MPI's workers `sshd`, and a runtime may complete a
//! `tune run`. A child that differs is therefore judged by itself and not refused for that alone. Where the command is all
//! that differs and annotations of the owner say what it trains, they speak for its children too.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use crate::hardware::labels::of_labels;
use crate::hardware::{Catalogue, resources};
use crate::surroundings::Surroundings;
use crate::workload::accelerator::requests;
use crate::workload::kinds::{self, Kind, PodGroup};

/// Our annotations begin with this.
const OURS: &str = "weighbridge.dev/";
/// Containers, variables and pairs that are kept of one object, at most. Of one with more, nothing is like it.
const MOST: usize = 256;
/// How deep an object is searched for places.
const DEEPEST: usize = 24;

/// How a child compares with an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is made of the owner.
    Same,
    /// It runs another command, and the owner's annotations say what it trains.
    OtherCommand,
    /// It differs.
    Different,
}

/// What an object's pods run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Likeness {
    /// The most accelerators that one pod asks for.
    accelerators: u64,
    /// The containers that ask for them.
    trainers: Vec<Trainer>,
    /// Annotations of ours, anywhere in the object.
    annotations: BTreeSet<u64>,
    /// Labels that nodes must have, anywhere in the object.
    places: BTreeSet<u64>,
    /// Those of them that name an accelerator.
    accelerator_labels: BTreeSet<u64>,
    /// Whether the object itself has annotations of ours, beside those of its templates.
    annotated: bool,
    /// Whether a part of it is elsewhere and not known.
    open: bool,
    /// Whether it has more than is kept.
    cut: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trainer {
    command: u64,
    /// How many pods run it; none where the object is one of a number that it doesn't tell.
    pods: Option<u64>,
    /// By hash of the name, a hash of name and value.
    environment: Vec<(u64, u64)>,
}

impl Likeness {
    /// Of an object of this kind.
    pub fn of(kind: &Kind, object: &Value, around: &Surroundings, catalogue: &Catalogue) -> Self {
        let completed = kind.complete.map(|complete| complete(object, around));
        let open = completed.as_ref().is_some_and(|completed| completed.absent.is_some());
        let is_cut = completed.as_ref().is_some_and(|completed| completed.is_cut);
        let object = completed.as_ref().map_or(object, |completed| &completed.object);
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let job = kinds::find("batch", "Job");
        let mut groups = kind.pod_groups(object);
        let cut = is_cut || kind.has_more_groups(object, groups.len());
        for (inner, _) in kind.inner_objects(object) {
            let inner_kind = kinds::of(inner).or(job);
            groups.extend(inner_kind.map(|kind| kind.pod_groups(inner)).unwrap_or_default());
        }
        let mut likeness = Self { open, cut, ..Self::default() };
        for request in requests(&groups, &around.documents, namespace, catalogue) {
            likeness.accelerators = likeness.accelerators.max(request.per_pod);
            likeness.add_trainers(request.template, request.pods, catalogue);
        }
        likeness.add_annotations(kind, object, &groups);
        likeness.add_places(object, catalogue, 0);
        let kept = [likeness.trainers.len(), likeness.annotations.len(), likeness.places.len()];
        likeness.cut |= kept.iter().any(|number| *number >= MOST);
        likeness
    }

    /// Of an object that was not read: nothing is like it.
    pub(super) fn unread() -> Self {
        Self { cut: true, ..Self::default() }
    }

    /// Whether any of its pods asks for accelerators.
    pub fn asks_for_accelerators(&self) -> bool {
        self.accelerators > 0 || self.cut || self.annotated
    }

    /// How an object that claims to be a child of this one compares with it.
    pub fn compare(&self, child: &Self) -> Comparison {
        let like = !self.cut
            && !child.cut
            && child.annotations.is_subset(&self.annotations)
            && child.accelerator_labels.is_subset(&self.places)
            && (self.open || child.accelerators <= self.accelerators);
        if !like {
            return Comparison::Different;
        }
        let same_command = |trainer: &Trainer| {
            self.trainers.iter().filter(|own| own.command == trainer.command).collect::<Vec<_>>()
        };
        let mut comparison = Comparison::Same;
        for trainer in &child.trainers {
            let owners = same_command(trainer);
            if owners.is_empty() {
                comparison = Comparison::OtherCommand;
            } else if !owners.iter().any(|own| own.makes(trainer)) {
                return Comparison::Different;
            }
        }
        match comparison {
            Comparison::OtherCommand if !(self.annotated || self.open) => Comparison::Different,
            other => other,
        }
    }

    fn add_trainers(&mut self, template: &Value, pods: Option<u64>, catalogue: &Catalogue) {
        let list = |field: &str| template.pointer(field).and_then(Value::as_array).into_iter().flatten();
        let containers: Vec<&Value> = list("/spec/containers").chain(list("/spec/initContainers")).collect();
        let asking: Vec<&Value> =
            containers.iter().copied().filter(|container| asks(container, catalogue)).collect();
        // Claims and shares of a GPU are the pod's, and not one container's.
        for container in if asking.is_empty() { containers } else { asking } {
            if self.trainers.len() >= MOST {
                return;
            }
            let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
            let pair = |variable: &Value| (hash(&[variable.get("name")]), hash(&[Some(variable)]));
            let environment: Vec<_> = variables.map(pair).take(MOST).collect();
            self.cut |= environment.len() >= MOST;
            let command = hash(&[container.get("command"), container.get("args")]);
            self.trainers.push(Trainer { command, pods, environment });
        }
    }

    fn add_annotations(&mut self, kind: &Kind, object: &Value, groups: &[PodGroup<'_>]) {
        let ours = |object: &Value| {
            let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
            let ours = annotations.into_iter().flatten().filter(|(key, _)| key.starts_with(OURS));
            ours.map(|(key, value)| hash(&[Some(&Value::from(key.as_str())), Some(value)]))
                .take(MOST)
                .collect::<Vec<_>>()
        };
        let own = ours(object);
        self.annotated = !own.is_empty();
        self.annotations.extend(own);
        for (inner, _) in kind.inner_objects(object) {
            self.annotations.extend(ours(inner));
        }
        for group in groups {
            self.annotations.extend(ours(group.template));
        }
    }

    /// Node selectors and terms of affinity, wherever they are: queues write them into lists of the kind's own.
    fn add_places(&mut self, value: &Value, catalogue: &Catalogue, depth: usize) {
        if depth > DEEPEST || self.places.len() >= MOST {
            return;
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    self.add_places(item, catalogue, depth + 1);
                }
            }
            Value::Object(fields) => {
                let selector = fields.get("nodeSelector").and_then(Value::as_object).into_iter().flatten();
                for (key, value) in selector {
                    self.add_place(key, value.as_str(), catalogue);
                }
                if let (Some(key), Some("In")) = (
                    fields.get("key").and_then(Value::as_str),
                    fields.get("operator").and_then(Value::as_str),
                ) {
                    let values = fields.get("values").and_then(Value::as_array).into_iter().flatten();
                    for value in values {
                        self.add_place(key, value.as_str(), catalogue);
                    }
                }
                for field in fields.values() {
                    self.add_places(field, catalogue, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn add_place(&mut self, key: &str, value: Option<&str>, catalogue: &Catalogue) {
        let Some(value) = value else { return };
        if self.places.len() >= MOST {
            return;
        }
        let place = hash(&[Some(&Value::from(key)), Some(&Value::from(value))]);
        self.places.insert(place);
        if of_labels(catalogue, |wanted| (wanted == key).then_some(value)).is_some() {
            self.accelerator_labels.insert(place);
        }
    }
}

impl Trainer {
    /// Whether a container with the same command may be made of this one.
    fn makes(&self, child: &Self) -> bool {
        let as_many = self.pods.is_none() || child.pods.is_none() || self.pods == child.pods;
        let same = |(name, pair): &(u64, u64)| {
            let mut own = self.environment.iter().filter(|(own, _)| own == name).peekable();
            own.peek().is_none() || own.any(|(_, own)| own == pair)
        };
        as_many && child.environment.iter().all(same)
    }
}

fn asks(container: &Value, catalogue: &Catalogue) -> bool {
    let counts = |name: &String| {
        resources::of_resource(catalogue, name).is_some_and(|resource| resource.kind.counts_accelerators())
    };
    let resource = |pointer: &str| {
        container.pointer(pointer).and_then(Value::as_object).is_some_and(|map| map.keys().any(counts))
    };
    resource("/resources/limits")
        || resource("/resources/requests")
        || container.pointer("/resources/claims").is_some()
}

fn hash(values: &[Option<&Value>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn likeness(object: &Value) -> Likeness {
        let kind = kinds::of(object).unwrap();
        Likeness::of(kind, object, &Surroundings::default(), Catalogue::builtin())
    }

    fn pod_spec(gpus: u64, command: &[&str]) -> Value {
        json!({"containers": [{
            "name": "main", "command": command, "env": [{"name": "SIZE", "value": "7b"}],
            "resources": {"limits": {"nvidia.com/gpu": gpus}},
        }]})
    }

    fn owner() -> Value {
        json!({
            "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "a"},
            "spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": 4, "template": {
                "metadata": {"annotations": {"weighbridge.dev/sharding": "fsdp"}},
                "spec": pod_spec(8, &["torchrun", "train.py"]),
            }}}},
        })
    }

    /// A pod as an operator makes it of that template.
    fn child() -> Value {
        let mut spec = pod_spec(8, &["torchrun", "train.py"]);
        spec["containers"][0]["env"] =
            json!([{"name": "RANK", "value": "3"}, {"name": "SIZE", "value": "7b"}]);
        spec["containers"].as_array_mut().unwrap().push(json!({"name": "istio", "args": ["proxy"]}));
        spec["initContainers"] = json!([{"name": "wait", "command": ["sh", "-c", "sleep 1"]}]);
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": "n1"});
        json!({
            "apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {"name": "a-worker-3", "annotations": {"weighbridge.dev/sharding": "fsdp", "other": "x"},
                "ownerReferences": [{"controller": true}]},
        })
    }

    fn compare(change: impl Fn(&mut Value)) -> Comparison {
        let mut child = child();
        change(&mut child);
        likeness(&owner()).compare(&likeness(&child))
    }

    #[test]
    fn what_operators_and_meshes_add_leaves_a_child_like_its_owner() {
        assert_eq!(compare(|_| {}), Comparison::Same);
    }

    #[test]
    fn a_child_that_asks_for_something_else_differs() {
        let container = "/spec/containers/0";
        for (pointer, value) in [
            ("/spec/containers/0/command", json!(["torchrun", "huge.py"])),
            ("/spec/containers/0/env/1/value", json!("70b")),
            ("/spec/containers/0/resources/limits", json!({"nvidia.com/gpu": 16})),
            ("/metadata/annotations", json!({"weighbridge.dev/sharding": "ddp"})),
            ("/metadata/annotations", json!({"weighbridge.dev/model": "llama-2-70b"})),
            ("/spec/nodeSelector", json!({"nvidia.com/gpu.product": "Tesla-T4"})),
        ] {
            let differs = compare(|child| *child.pointer_mut(pointer).unwrap() = value.clone());
            assert_eq!(differs, Comparison::Different, "{pointer} {value}");
        }
        let second = compare(|child| {
            let mut another = child.pointer(container).unwrap().clone();
            another["command"] = json!(["torchrun", "huge.py"]);
            child["spec"]["containers"].as_array_mut().unwrap().push(another);
        });
        assert_eq!(second, Comparison::Different, "a second container");
        let added = compare(|child| {
            let variables = child.pointer_mut("/spec/containers/0/env").unwrap().as_array_mut().unwrap();
            variables.push(json!({"name": "SIZE", "value": "70b"}));
        });
        assert_eq!(added, Comparison::Different, "the last of two values counts");
    }

    #[test]
    fn annotations_of_the_owner_speak_for_another_command() {
        let mut owner = owner();
        owner["metadata"]["annotations"] = json!({"weighbridge.dev/model": "llama-2-7b"});
        let mut child = child();
        child["spec"]["containers"][0]["command"] = json!(["tune", "run"]);
        assert_eq!(likeness(&owner).compare(&likeness(&child)), Comparison::OtherCommand);
        child["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = json!(9);
        assert_eq!(likeness(&owner).compare(&likeness(&child)), Comparison::Different);
    }

    fn job(pods: u64) -> Value {
        json!({"spec": {"parallelism": pods, "completions": pods,
            "template": {"spec": pod_spec(8, &["torchrun", "train.py"])}}})
    }

    fn named(mut object: Value, api_version: &str, kind: &str) -> Value {
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object["metadata"] = json!({"name": "a"});
        object
    }

    #[test]
    fn a_job_is_as_large_as_its_owner_makes_it() {
        let set = json!({"spec": {"replicatedJobs": [{"name": "w", "replicas": 4, "template": job(2)}]}});
        let cron = json!({"spec": {"jobTemplate": job(2)}});
        let wrapper = json!({"spec": {"components": [{"template": named(job(2), "batch/v1", "Job")}]}});
        for owner in [
            named(set, "jobset.x-k8s.io/v1alpha2", "JobSet"),
            named(cron, "batch/v1", "CronJob"),
            named(wrapper, "workload.codeflare.dev/v1beta2", "AppWrapper"),
        ] {
            let compare = |pods| likeness(&owner).compare(&likeness(&named(job(pods), "batch/v1", "Job")));
            assert_eq!(compare(2), Comparison::Same, "{owner}");
            assert_eq!(compare(1), Comparison::Different, "{owner}");
        }
    }

    #[test]
    fn what_asks_for_no_accelerators_is_like_any_owner() {
        let launcher = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "main", "command": ["mpirun", "train.py"]}]}});
        assert_eq!(likeness(&owner()).compare(&likeness(&launcher)), Comparison::Same);
    }

    #[test]
    fn nothing_is_like_what_is_too_long_to_keep() {
        let mut owner = owner();
        let template = owner["spec"]["pytorchReplicaSpecs"]["Worker"]["template"].take();
        let roles = (0..=MOST).map(|number| (number.to_string(), json!({"template": template})));
        owner["spec"]["pytorchReplicaSpecs"] = Value::Object(roles.collect());
        assert_eq!(likeness(&owner).compare(&likeness(&child())), Comparison::Different);
    }
}
