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

mod mounts;
mod node_labels;
mod operators;
#[cfg(test)]
mod tests;
mod trainer;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use self::node_labels::NodeLabels;
use self::trainer::{Pod, Trainer, asks_for_accelerators};
use crate::hardware::Catalogue;
use crate::job::keys;
use crate::kinds::requests::requests;
use crate::kinds::{self, KINDS, Kind, PodGroup};
use crate::surroundings::Surroundings;

/// The most containers, variables and pairs that are kept of one object. An object with more is like no other.
const LIMIT: usize = 256;

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
    /// The node labels that it requires.
    node_labels: NodeLabels,
    /// Whether the object itself has our annotations, besides those of its templates.
    annotated: bool,
    /// Whether a part of it is in another object that is not known.
    incomplete: bool,
    /// Whether its operator may ask for fewer accelerators than its templates.
    chooses: bool,
    /// Whether it has more than the limit.
    truncated: bool,
}

impl Likeness {
    /// The likeness of an object of this kind.
    pub fn of(kind: &Kind, object: &Value, around: &Surroundings, catalogue: &Catalogue) -> Self {
        let completed = kind.completed(object, around);
        let incomplete = completed.absent.is_some();
        let (object, namespace) = (&completed.object, completed.namespace());
        let (mut groups, truncated) = completed.pod_groups(kind);
        // A Job of a JobSet has the pods of its own template, not those of all replicas.
        let job = KINDS.iter().find(|kind| (kind.group, kind.kind) == ("batch", "Job"));
        for (inner, _) in kind.inner_objects(object) {
            let inner_kind = kinds::built_in(inner).or(job);
            groups.extend(inner_kind.map(|kind| kind.pod_groups(inner)).unwrap_or_default());
        }
        let chooses = operators::choose_accelerators(kind);
        let node_labels = NodeLabels::of(object, catalogue);
        let mut likeness = Self { node_labels, incomplete, chooses, truncated, ..Self::default() };
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
            && self.node_labels.include_accelerators_of(&child.node_labels)
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
            && (self.incomplete || mounts::include(&own.config_maps, &child.config_maps))
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
            self.truncated |= trainer.is_truncated();
            self.trainers.push(trainer);
        }
    }

    fn add_annotations(&mut self, kind: &Kind, object: &Value, groups: &[PodGroup<'_>]) {
        let ours = |object: &Value| {
            let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
            let ours = annotations.into_iter().flatten().filter(|(key, _)| key.starts_with(keys::PREFIX));
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
