//! Hashes of the commands, variables and mounts of an object's pods. They compare a child with its owner, which is
//! not cached.
//!
//! A controller makes its children from the owner's templates. It adds variables, volumes, containers, labels and
//! node selectors. It rarely changes the command of a container or the number of accelerators of a pod. So a child is
//! like its owner if
//!
//! - none of its pods asks for more accelerators than the largest pod of the owner,
//! - each container that asks for accelerators has the command of such a container of the owner,
//! - its pod asks for as many accelerators as the owner's pod with that command, unless the operator of the owner's
//!   kind chooses the number,
//! - each variable of such a container has the owner's value if the owner has the variable,
//! - it adds and lacks no variable that the command reads, except those that operators set,
//! - it has the owner's working directory and the owner's `envFrom`,
//! - each ConfigMap that it mounts is mounted by the owner too, except in the folders of operators,
//! - it has as many pods with that command as the owner, or as a Job inside the owner,
//! - each of its weighbridge annotations is one of the owner's, and
//! - each of its labels that chooses an accelerator is one of the owner's.
//!
//! Some controllers do change the command: Ray's pods run `ray start`, MPI's workers `sshd`, and a runtime may
//! complete a `tune run`. So a child that differs is judged by itself, and is not refused for the difference alone.
//! If only the command differs and the owner has annotations about the training, they count for its children too.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use crate::command::set_by_others;
use crate::hardware::labels::of_labels;
use crate::hardware::{Catalogue, resources};
use crate::kinds::requests::requests;
use crate::kinds::{self, KINDS, Kind, PodGroup};
use crate::surroundings::{ConfigMaps, Surroundings};

/// The prefix of our annotations.
const ANNOTATION_PREFIX: &str = "weighbridge.dev/";
/// The most containers, variables and pairs that are kept of one object. An object with more is like no other.
const LIMIT: usize = 256;
/// How deep an object is searched for node labels.
const DEEPEST: usize = 24;

/// Kinds whose operators choose the number of accelerators, by group and kind.
const CHOOSES_ACCELERATORS: &[(&str, &str)] =
    &[("elastic.iml.github.io", "ElasticJob"), ("kaiwo.silogen.ai", "KaiwoJob")];

/// Variables that operators set, besides those that `command` knows.
const SET_BY_OPERATORS: &[&str] = &[
    "COORDINATOR_ADDRESS",
    "COORDINATOR_PORT",
    "FQ_RAY_IP",
    "NNODES",
    "NODE_ID",
    "NODE_NUM",
    "NPROC_PER_NODE",
    "NUM_PROCESSES",
    "POD_IP",
    "POD_NAME",
    "PROCESS_ID",
    "PYTHONUNBUFFERED",
    "REDIS_PASSWORD",
    "TASK_INDEX",
    "WORKER_ADDRS",
    "WORKER_PORT",
];
/// Prefixes of further variables that operators set.
const SET_BY_OPERATORS_PREFIXES: &[&str] =
    &["ASCEND_", "HCCL_", "I_MPI_", "MPI_", "MPICH_", "MS_", "PADDLE_", "PRTE_", "TRAINER_", "VOLCANO_"];

/// Folders where operators, meshes and the apiserver mount their own ConfigMaps.
const MOUNTED_BY_OPERATORS: &[&str] = &[
    "/etc/istio",
    "/etc/mpi",
    "/etc/volcano",
    "/user/serverid/devindex/config",
    "/var/run/secrets",
    "/run/secrets",
];

/// How a child compares with an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The owner's template may have made it.
    Same,
    /// Only its command differs, and the owner's annotations describe the training.
    OtherCommand,
    /// Anything else differs.
    Different,
}

/// Hashes of an object's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Likeness {
    /// The most accelerators that one pod asks for.
    accelerators: u64,
    /// The containers that ask for accelerators.
    trainers: Vec<Trainer>,
    /// Our annotations, anywhere in the object.
    annotations: BTreeSet<u64>,
    /// Node labels that the object requires, anywhere in it.
    node_labels: BTreeSet<u64>,
    /// Those of `node_labels` that name an accelerator.
    accelerator_labels: BTreeSet<u64>,
    /// Whether the object itself has our annotations, besides those of its templates.
    annotated: bool,
    /// Whether a part of it is in another object that is not known.
    incomplete: bool,
    /// Whether its operator may ask for fewer accelerators than its templates.
    chooses: bool,
    /// Whether it has more than the limit.
    truncated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trainer {
    command: u64,
    /// How many accelerators its pod asks for.
    accelerators: u64,
    /// How many pods run it. `None` if the object does not tell.
    pods: Option<u64>,
    environment: Vec<Variable>,
    /// Names that the values of its variables may refer to with a `$`, except those that operators set.
    mentioned: BTreeSet<u64>,
    /// Its working directory and its `envFrom`.
    settings: u64,
    config_maps: Vec<Mount>,
}

/// A variable of a container, by hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Variable {
    name: u64,
    /// The hash of name and value.
    pair: u64,
    /// Whether the command or a mounted script reads it, and no operator sets it.
    read: bool,
}

/// A ConfigMap that a container mounts, by hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mount {
    path: u64,
    /// The hash of the path, the ConfigMap's name and the mounted keys.
    source_hash: u64,
    /// Whether operators mount their own ConfigMaps at this path.
    by_operators: bool,
}

impl Likeness {
    /// The likeness of an object of this kind.
    pub fn of(kind: &Kind, object: &Value, around: &Surroundings, catalogue: &Catalogue) -> Self {
        let completed = kind.complete.map(|complete| complete(object, around));
        let incomplete = completed.as_ref().is_some_and(|completed| completed.absent.is_some());
        let is_cut = completed.as_ref().is_some_and(|completed| completed.is_cut);
        let object = completed.as_ref().map_or(object, |completed| &completed.object);
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let job = KINDS.iter().find(|kind| (kind.group, kind.kind) == ("batch", "Job"));
        let mut groups = kind.pod_groups(object);
        let truncated = is_cut || kind.has_more_groups(object, groups.len());
        for (inner, _) in kind.inner_objects(object) {
            let inner_kind = kinds::built_in(inner).or(job);
            groups.extend(inner_kind.map(|kind| kind.pod_groups(inner)).unwrap_or_default());
        }
        let chooses = CHOOSES_ACCELERATORS.contains(&(kind.group, kind.kind));
        let mut likeness = Self { incomplete, chooses, truncated, ..Self::default() };
        for request in requests(&groups, &around.documents, namespace, catalogue) {
            likeness.accelerators = likeness.accelerators.max(request.per_pod);
            let pod = Pod {
                template: request.template,
                accelerators: request.per_pod,
                pods: request.pods,
                namespace,
                config_maps: &around.config_maps,
            };
            likeness.add_trainers(&pod, catalogue);
        }
        likeness.add_annotations(kind, object, &groups);
        likeness.add_node_labels(object, catalogue, 0);
        let kept = [likeness.trainers.len(), likeness.annotations.len(), likeness.node_labels.len()];
        likeness.truncated |= kept.iter().any(|number| *number >= LIMIT);
        likeness
    }

    /// The likeness of an object that was not read. No object is like it.
    pub(super) fn unread() -> Self {
        Self { truncated: true, ..Self::default() }
    }

    /// Whether one of its pods asks for accelerators.
    pub fn asks_for_accelerators(&self) -> bool {
        self.accelerators > 0 || self.truncated || self.annotated
    }

    /// Compares an object that claims to be a child with this owner.
    pub fn compare(&self, child: &Self) -> Comparison {
        let like = !self.truncated
            && !child.truncated
            && child.annotations.is_subset(&self.annotations)
            && child.accelerator_labels.is_subset(&self.node_labels)
            && (self.incomplete || child.accelerators <= self.accelerators);
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
            } else if !owners.iter().any(|own| self.may_make(own, trainer)) {
                return Comparison::Different;
            }
        }
        match comparison {
            Comparison::OtherCommand if !(self.annotated || self.incomplete) => Comparison::Different,
            other => other,
        }
    }

    /// Whether the owner's container may have made the child's container with the same command.
    fn may_make(&self, own: &Trainer, child: &Trainer) -> bool {
        let as_many = own.pods.is_none() || child.pods.is_none() || own.pods == child.pods;
        let as_large = self.incomplete || self.chooses || own.accelerators == child.accelerators;
        as_many
            && as_large
            && own.has_environment_of(child, self.incomplete)
            && (self.incomplete || own.has_files_of(child))
    }

    fn add_trainers(&mut self, pod: &Pod<'_>, catalogue: &Catalogue) {
        let list = |field: &str| pod.template.pointer(field).and_then(Value::as_array).into_iter().flatten();
        let containers: Vec<&Value> = list("/spec/containers").chain(list("/spec/initContainers")).collect();
        let asking: Vec<&Value> = containers
            .iter()
            .copied()
            .filter(|container| asks_for_accelerators(container, catalogue))
            .collect();
        // A pod's claims and GPU shares belong to all its containers.
        for container in if asking.is_empty() { containers } else { asking } {
            if self.trainers.len() >= LIMIT {
                return;
            }
            let trainer = Trainer::of(container, pod);
            let kept = [trainer.environment.len(), trainer.mentioned.len(), trainer.config_maps.len()];
            self.truncated |= kept.iter().any(|number| *number >= LIMIT);
            self.trainers.push(trainer);
        }
    }

    fn add_annotations(&mut self, kind: &Kind, object: &Value, groups: &[PodGroup<'_>]) {
        let ours = |object: &Value| {
            let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
            let ours =
                annotations.into_iter().flatten().filter(|(key, _)| key.starts_with(ANNOTATION_PREFIX));
            ours.map(|(key, value)| hash(&[Some(&Value::from(key.as_str())), Some(value)]))
                .take(LIMIT)
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

    /// Node selectors and affinity terms at any depth: queues write them into lists of the kind.
    fn add_node_labels(&mut self, value: &Value, catalogue: &Catalogue, depth: usize) {
        if depth > DEEPEST || self.node_labels.len() >= LIMIT {
            return;
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    self.add_node_labels(item, catalogue, depth + 1);
                }
            }
            Value::Object(fields) => {
                let selector = fields.get("nodeSelector").and_then(Value::as_object).into_iter().flatten();
                for (key, value) in selector {
                    self.add_node_label(key, value.as_str(), catalogue);
                }
                if let (Some(key), Some("In")) = (
                    fields.get("key").and_then(Value::as_str),
                    fields.get("operator").and_then(Value::as_str),
                ) {
                    let values = fields.get("values").and_then(Value::as_array).into_iter().flatten();
                    for value in values {
                        self.add_node_label(key, value.as_str(), catalogue);
                    }
                }
                for field in fields.values() {
                    self.add_node_labels(field, catalogue, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn add_node_label(&mut self, key: &str, value: Option<&str>, catalogue: &Catalogue) {
        let Some(value) = value else { return };
        if self.node_labels.len() >= LIMIT {
            return;
        }
        let label = hash(&[Some(&Value::from(key)), Some(&Value::from(value))]);
        self.node_labels.insert(label);
        if of_labels(catalogue, |wanted| (wanted == key).then_some(value)).is_some() {
            self.accelerator_labels.insert(label);
        }
    }
}

/// A template whose pods ask for accelerators.
struct Pod<'a> {
    template: &'a Value,
    accelerators: u64,
    pods: Option<u64>,
    namespace: &'a str,
    config_maps: &'a ConfigMaps,
}

impl Trainer {
    fn of(container: &Value, pod: &Pod<'_>) -> Self {
        let list = |field: &str| container.get(field).and_then(Value::as_array).into_iter().flatten();
        let name =
            |variable: &Value| variable.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (config_maps, scripts) = config_maps(container, pod);
        let names: BTreeSet<String> = list("env").take(LIMIT).map(name).collect();
        let texts = list("command").chain(list("args")).filter_map(Value::as_str).chain(scripts);
        let read: BTreeSet<&str> = texts.flat_map(names_in).filter(|word| names.contains(*word)).collect();
        let environment = list("env").take(LIMIT).map(|variable| {
            let text = name(variable);
            Variable {
                name: hash_of_text(&text),
                pair: hash(&[Some(variable)]),
                read: read.contains(text.as_str()) && !set_by_operators(&text),
            }
        });
        let values = list("env").take(LIMIT).filter_map(|variable| variable.get("value")?.as_str());
        let mentioned = values.filter(|value| value.contains('$')).flat_map(names_in);
        let mentioned = mentioned.filter(|word| !set_by_operators(word)).map(hash_of_text);
        let sources = list("envFrom").map(Some);
        let directory = container.get("workingDir").filter(|directory| !directory.is_null());
        let settings: Vec<_> = std::iter::once(directory).chain(sources).take(LIMIT).collect();
        Self {
            command: hash(&[container.get("command"), container.get("args")]),
            accelerators: pod.accelerators,
            pods: pod.pods,
            environment: environment.collect(),
            mentioned: mentioned.take(LIMIT).collect(),
            settings: hash(&settings),
            config_maps,
        }
    }

    /// Whether the child has these variables. It may add variables that the command does not read.
    fn has_environment_of(&self, child: &Self, incomplete: bool) -> bool {
        let last = |trainer: &Self, name: u64| {
            trainer.environment.iter().rfind(|variable| variable.name == name).map(|variable| variable.pair)
        };
        let is_read = |variable: &Variable| variable.read || self.mentioned.contains(&variable.name);
        let same = child.environment.iter().all(|variable| {
            let mut own = self.environment.iter().filter(|own| own.name == variable.name).peekable();
            if own.peek().is_none() {
                return incomplete || !is_read(variable);
            }
            own.any(|own| own.pair == variable.pair)
                && last(self, variable.name) == last(child, variable.name)
        });
        let complete = self.environment.iter().all(|own| !is_read(own) || last(child, own.name).is_some());
        same && complete && (incomplete || self.settings == child.settings)
    }

    /// Whether the child mounts no other ConfigMaps. Operators may mount theirs at paths that the owner does not use.
    fn has_files_of(&self, child: &Self) -> bool {
        child.config_maps.iter().all(|mount| {
            let mut own_mounts = self.config_maps.iter().filter(|own| own.path == mount.path).peekable();
            (mount.by_operators && own_mounts.peek().is_none())
                || own_mounts.any(|own| own.source_hash == mount.source_hash)
        })
    }
}

/// The ConfigMaps that a container mounts, and their texts.
fn config_maps<'a>(container: &Value, pod: &Pod<'a>) -> (Vec<Mount>, Vec<&'a str>) {
    let volumes = pod.template.pointer("/spec/volumes").and_then(Value::as_array);
    let (mut found, mut texts) = (Vec::new(), Vec::new());
    for mount in container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten().take(LIMIT) {
        let named = |volume: &&Value| volume.get("name").is_some() && volume.get("name") == mount.get("name");
        let Some(volume) = volumes.into_iter().flatten().find(named) else { continue };
        let projected = volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten();
        let path = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
        let by_operators = MOUNTED_BY_OPERATORS.iter().any(|folder| is_below(path, folder));
        for source in std::iter::once(volume).chain(projected).filter_map(|source| source.get("configMap")) {
            if found.len() >= LIMIT {
                return (found, texts);
            }
            let source_hash = hash(&[
                Some(&Value::from(path)),
                mount.get("subPath"),
                mount.get("subPathExpr"),
                source.get("name"),
                source.get("items"),
            ]);
            found.push(Mount { path: hash_of_text(path), source_hash, by_operators });
            let name = source.get("name").and_then(Value::as_str).unwrap_or_default();
            let data = pod.config_maps.get(pod.namespace, name);
            texts.extend(data.into_iter().flat_map(|data| data.values()).map(|text| &**text));
        }
    }
    (found, texts)
}

fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder).filter(|_| !path.contains(".."));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Words of a text that may be a variable's name: `$NAME`, `${NAME:-1}`, `$(NAME)`, `$((NAME))` and
/// `environ["NAME"]`.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn set_by_operators(name: &str) -> bool {
    set_by_others(name)
        || SET_BY_OPERATORS.contains(&name)
        || SET_BY_OPERATORS_PREFIXES.iter().any(|begin| name.starts_with(begin))
}

fn asks_for_accelerators(container: &Value, catalogue: &Catalogue) -> bool {
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

fn hash_of_text(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kinds;

    fn likeness(object: &Value) -> Likeness {
        let kind = Kinds::built_in().of(object).unwrap();
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

    /// A pod as an operator makes it from that template.
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
    fn a_child_with_the_additions_of_operators_and_meshes_is_like_its_owner() {
        assert_eq!(compare(|_| {}), Comparison::Same);
    }

    #[test]
    fn a_child_with_another_command_size_or_annotation_differs() {
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
    fn a_child_of_an_annotated_owner_may_have_another_command() {
        let mut owner = owner();
        owner["metadata"]["annotations"] = json!({"weighbridge.dev/model": "llama-2-7b"});
        let mut child = child();
        child["spec"]["containers"][0]["command"] = json!(["tune", "run"]);
        assert_eq!(likeness(&owner).compare(&likeness(&child)), Comparison::OtherCommand);
        child["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = json!(9);
        assert_eq!(likeness(&owner).compare(&likeness(&child)), Comparison::Different);
    }

    const ENV: &str = "/spec/containers/0/env";

    /// Compares a child whose command is a script with its owner, after one of their templates is changed.
    fn of_script(script: &str, own: impl Fn(&mut Value), change: impl Fn(&mut Value)) -> Comparison {
        let mut template = json!({"spec": pod_spec(8, &["bash", "-c", script])});
        template["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/cfg"}]);
        template["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "small"}}]);
        own(&mut template);
        let mut owner = owner();
        owner["spec"]["pytorchReplicaSpecs"]["Worker"]["template"] = template.clone();
        template["apiVersion"] = json!("v1");
        template["kind"] = json!("Pod");
        template["metadata"] = json!({"name": "a-worker-3", "ownerReferences": [{"controller": true}]});
        change(&mut template);
        likeness(&owner).compare(&likeness(&template))
    }

    fn push(template: &mut Value, pointer: &str, items: &Value) {
        template
            .pointer_mut(pointer)
            .unwrap()
            .as_array_mut()
            .unwrap()
            .extend(items.as_array().unwrap().clone());
    }

    #[test]
    fn a_variable_that_the_command_reads_must_be_the_owners() {
        for (script, name, expected) in [
            ("a.py --num-layers ${L:-12}", "L", Comparison::Different),
            ("a.py --num-layers $L", "L", Comparison::Different),
            ("a.py --num-layers $(L)", "L", Comparison::Different),
            ("a.py --num-layers $((L * 2))", "L", Comparison::Different),
            ("a.py --num-layers ${LAYERS:-12}", "L", Comparison::Same),
            ("torchrun --nnodes $PET_NNODES --node-rank ${RANK} a.py", "PET_NNODES", Comparison::Same),
            ("torchrun --nnodes $WORLD_SIZE --node-rank ${RANK} a.py", "RANK", Comparison::Same),
        ] {
            let added = json!([{"name": name, "value": "80"}]);
            assert_eq!(of_script(script, |_| {}, |pod| push(pod, ENV, &added)), expected, "{script} {name}");
        }
        let refers = json!([{"name": "ARGS", "value": "--num-layers $(L)"}]);
        let added = json!([{"name": "L", "value": "80"}]);
        let by_value = of_script("a.py $ARGS", |own| push(own, ENV, &refers), |pod| push(pod, ENV, &added));
        assert_eq!(by_value, Comparison::Different, "the value of another variable mentions it");
        let script = "a.py --size ${SIZE:-70b}";
        let removed = of_script(script, |_| {}, |pod| *pod.pointer_mut(ENV).unwrap() = json!([]));
        assert_eq!(removed, Comparison::Different, "a variable is removed");
    }

    #[test]
    fn the_last_value_of_a_variable_must_be_the_owners() {
        let (first, second) = (json!({"name": "L", "value": "80"}), json!({"name": "L", "value": "12"}));
        let twice = json!([first, second]);
        let compare = |env: Value| {
            of_script(
                "a.py $L",
                |own| push(own, ENV, &twice),
                |pod| *pod.pointer_mut(ENV).unwrap() = env.clone(),
            )
        };
        assert_eq!(compare(json!([{"name": "SIZE", "value": "7b"}, first, second])), Comparison::Same);
        assert_eq!(compare(json!([{"name": "SIZE", "value": "7b"}, second, first])), Comparison::Different);
    }

    #[test]
    fn sources_of_variables_and_the_directory_must_be_the_owners() {
        for (field, value) in
            [("envFrom", json!([{"configMapRef": {"name": "big"}}])), ("workingDir", json!("/other"))]
        {
            let set = |pod: &mut Value| pod["spec"]["containers"][0][field] = value.clone();
            assert_eq!(of_script("a.py", |_| {}, set), Comparison::Different, "{field} added");
            assert_eq!(of_script("a.py", set, |_| {}), Comparison::Same, "{field} kept");
        }
    }

    #[test]
    fn config_maps_must_be_the_owners_except_in_the_folders_of_operators() {
        let volume = "/spec/volumes/0";
        for source in [
            json!({"name": "v", "configMap": {"name": "big"}}),
            json!({"name": "v", "configMap": {"name": "small", "items": [{"key": "big", "path": "run.sh"}]}}),
            json!({"name": "v", "projected": {"sources": [{"configMap": {"name": "big"}}]}}),
        ] {
            let other =
                of_script("/cfg/run.sh", |_| {}, |pod| *pod.pointer_mut(volume).unwrap() = source.clone());
            assert_eq!(other, Comparison::Different, "{source}");
        }
        for (path, expected) in [
            ("/var/run/secrets/kubernetes.io/serviceaccount", Comparison::Same),
            ("/etc/mpi", Comparison::Same),
            ("/etc/mpi/../../cfg", Comparison::Different),
            ("/cfg/run.sh", Comparison::Different),
        ] {
            let added = of_script(
                "/cfg/run.sh",
                |_| {},
                |pod| {
                    push(pod, "/spec/containers/0/volumeMounts", &json!([{"name": "w", "mountPath": path}]));
                    let sources =
                        json!({"sources": [{"serviceAccountToken": {}}, {"configMap": {"name": "ca"}}]});
                    push(pod, "/spec/volumes", &json!([{"name": "w", "projected": sources}]));
                },
            );
            assert_eq!(added, expected, "{path}");
        }
        let defaulted = of_script(
            "/cfg/run.sh",
            |_| {},
            |pod| {
                pod.pointer_mut(volume).unwrap()["configMap"]["defaultMode"] = json!(420);
            },
        );
        assert_eq!(defaulted, Comparison::Same, "the API server's defaults");
    }

    #[test]
    fn a_variable_that_a_mounted_script_reads_must_be_the_owners() {
        let mut around = Surroundings::default();
        let script = json!({"data": {"run.sh": "a.py --num-layers ${L:-12}"}});
        let mut config_maps = ConfigMaps::default();
        config_maps.add("", "small", ConfigMaps::data(&script));
        around.config_maps = std::sync::Arc::new(config_maps);
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
            "spec": pod_spec(8, &["bash", "/cfg/run.sh"])});
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/cfg"}]);
        pod["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "small"}}]);
        let kind = Kinds::built_in().of(&pod).unwrap();
        let likeness = |pod: &Value| Likeness::of(kind, pod, &around, Catalogue::builtin());
        let own = likeness(&pod);
        push(&mut pod, ENV, &json!([{"name": "OTHER", "value": "80"}]));
        assert_eq!(own.compare(&likeness(&pod)), Comparison::Same);
        push(&mut pod, ENV, &json!([{"name": "L", "value": "80"}]));
        assert_eq!(own.compare(&likeness(&pod)), Comparison::Different);
    }

    #[test]
    fn only_the_kinds_that_choose_accelerators_may_ask_for_fewer() {
        let fewer = json!({"nvidia.com/gpu": 1});
        let limits = "/spec/containers/0/resources/limits";
        let differs = compare(|child| *child.pointer_mut(limits).unwrap() = fewer.clone());
        assert_eq!(differs, Comparison::Different);
        let template = owner()["spec"]["pytorchReplicaSpecs"]["Worker"]["template"].clone();
        let elastic = json!({
            "apiVersion": "elastic.iml.github.io/v1alpha1", "kind": "ElasticJob", "metadata": {"name": "a"},
            "spec": {"replicaSpecs": {"worker": {"replicas": 4, "template": template}}},
        });
        let mut child = child();
        *child.pointer_mut(limits).unwrap() = fewer;
        assert_eq!(likeness(&elastic).compare(&likeness(&child)), Comparison::Same);
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
    fn a_job_must_have_as_many_pods_as_the_owners_template() {
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
    fn a_pod_without_accelerators_is_like_any_owner() {
        let launcher = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "main", "command": ["mpirun", "train.py"]}]}});
        assert_eq!(likeness(&owner()).compare(&likeness(&launcher)), Comparison::Same);
    }

    #[test]
    fn an_owner_with_too_many_containers_is_like_no_child() {
        let mut owner = owner();
        let template = owner["spec"]["pytorchReplicaSpecs"]["Worker"]["template"].take();
        let roles = (0..=LIMIT).map(|number| (number.to_string(), json!({"template": template})));
        owner["spec"]["pytorchReplicaSpecs"] = Value::Object(roles.collect());
        assert_eq!(likeness(&owner).compare(&likeness(&child())), Comparison::Different);
    }
}
