//! The workload kinds: where each keeps its pod templates and replica counts.
//!
//! One kind a file; [`KINDS`] is the one list. The webhook's rules and conditions, the controller's watches and the
//! chart's permissions are all made from it, so a kind is added here and nowhere else. Most kinds keep their templates
//! in one of a few [shapes](Pods); the others read themselves. An administrator can add [further] ones.

mod appwrapper;
mod ascendjob;
mod cronjob;
pub mod deadline;
mod elasticjob;
pub mod further;
mod hyperpodpytorchjob;
mod jaxjob;
mod job;
mod jobset;
mod kaiwojob;
mod leaderworkerset;
mod mpijob;
pub mod object;
mod paddlejob;
mod pod;
mod pods;
pub mod progress;
mod pytorchjob;
mod raycluster;
mod rayjob;
pub mod requests;
mod runtime;
mod stream;
#[cfg(test)]
mod tests;
mod tfjob;
mod trainjob;
mod volcanojob;

use serde_json::Value;

pub use further::Kinds;
pub use pods::{PodGroup, Pods};

use crate::job::Gap;
use crate::surroundings::Surroundings;

/// A kind of Kubernetes object that people train with.
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// The versions whose shape is understood, the preferred one first.
    pub versions: &'static [&'static str],
    /// The kind, as in `kind: PyTorchJob`.
    pub kind: &'static str,
    /// The resource, as in RBAC rules and admission requests.
    pub plural: &'static str,
    /// Begins the names of its estimates; unique among kinds.
    pub slug: &'static str,
    /// Whether the kind exists for training.
    pub purpose: Purpose,
    /// Whether its controller tells the pods of each other, so that launchers need not be told. Kinds for training do.
    pub connects: bool,
    /// The objects that its controller makes, directly or by way of others.
    pub makes: Makes,
    /// Where the object shows whether it asks for accelerators, for the webhook's matchConditions.
    pub pod_specs: PodSpecs,
    /// JSON pointer of the field that queues flip to hold the workload back.
    pub suspend: Option<&'static str>,
    /// JSON pointers of lists into which queues write where the pods may be placed.
    pub placements: &'static [&'static str],
    /// JSON pointer of the number that the subresource `scale` changes: the definition's `specReplicasPath`. None of what
    /// is built in, which has no such subresource.
    pub scale: Option<&'static str>,
    /// JSON pointer of the deadline in seconds.
    pub active_deadline_seconds: Option<&'static str>,
    /// Where the pod templates and their numbers are.
    pub pods: Pods,
    /// JSON pointers of the lists that groups of pods are made of, where [`pods`](Self::pods) does not tell.
    pub lists: &'static [&'static str],
    /// The objects inside of it that are made of it as they are, with where they are: their annotations count as its own.
    pub inner: Option<for<'a> fn(&'a Value) -> Vec<Inner<'a>>>,
    /// Completes the object by what it takes from its surroundings.
    pub complete: Option<fn(&Value, &Surroundings) -> Completed>,
    /// The command that the object gives outside of its containers (`RayJob`'s `entrypoint`).
    pub entrypoint: Option<for<'a> fn(&'a Value) -> Option<Entrypoint<'a>>>,
    /// The model that the object names outside of its commands, with where it does.
    pub model: Option<fn(&Value) -> Option<Named>>,
}

/// The objects that a kind's controller makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Makes {
    /// None.
    Nothing,
    /// Objects of these kinds, each by group and kind.
    These(&'static [(&'static str, &'static str)]),
    /// Objects of every kind that is built in, but for its own: it holds them as they are.
    Every,
}

impl Makes {
    /// Whether objects of this kind are among them.
    pub fn include(self, kind: &Kind) -> bool {
        match self {
            Self::Nothing => false,
            Self::These(kinds) => kinds.contains(&(kind.group, kind.kind)),
            Self::Every => kind.makes != Self::Every && KINDS.iter().any(|known| known.slug == kind.slug),
        }
    }
}

/// An object inside of another, and where it is.
pub type Inner<'a> = (&'a Value, String);

/// A model's name, and where it is.
pub type Named = (String, &'static str);

/// What a kind's file leaves out.
const BLANK: Kind = Kind {
    group: "",
    versions: &["v1"],
    kind: "",
    plural: "",
    slug: "",
    purpose: Purpose::General,
    connects: false,
    makes: Makes::These(&[("", "Pod")]),
    pod_specs: PodSpecs::Elsewhere,
    suspend: None,
    placements: &[],
    scale: Some("/spec/replicas"),
    active_deadline_seconds: None,
    pods: Pods::None,
    lists: &[],
    inner: None,
    complete: None,
    entrypoint: None,
    model: None,
};

/// An object, completed by what it takes from its surroundings.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The object, as its kind's other functions read it.
    pub object: Value,
    /// What it is completed by, as it names it itself: `ClusterTrainingRuntime torch-distributed`.
    pub by: Vec<String>,
    /// What it refers to that is not there: `ClusterTrainingRuntime torch-distributed`.
    pub absent: Option<String>,
    /// Whether what it refers to has more than is read.
    pub is_cut: bool,
}

impl Kind {
    /// The groups of pods that the (completed) object asks for. Never fails: what is not there is not listed.
    pub fn pod_groups<'a>(&self, object: &'a Value) -> Vec<PodGroup<'a>> {
        self.pods.groups(object)
    }

    /// Whether the object has more groups of pods than [`pod_groups`](Self::pod_groups) lists, which are so many.
    pub fn has_more_groups(&self, object: &Value, listed: usize) -> bool {
        let is_long = |pointer: &&str| match object.pointer(pointer) {
            Some(Value::Array(list)) => list.len() > pods::MAX_GROUPS,
            Some(Value::Object(map)) => map.len() > pods::MAX_GROUPS,
            _ => false,
        };
        let within = |(inner, _): &(&Value, String)| {
            // A kind that is made of itself would be asked again without end.
            let kind = built_in(inner).filter(|kind| !std::ptr::eq(*kind, self));
            kind.is_some_and(|kind| kind.has_more_groups(inner, 0))
        };
        listed >= pods::MAX_GROUPS
            || self.lists.iter().chain(self.pods.list().as_ref()).any(is_long)
            || self.inner_objects(object).iter().any(within)
    }

    /// Whether the object exists for training: by its kind, or by that of what it holds.
    pub fn purpose_of(&self, object: &Value) -> Purpose {
        let training = self
            .inner_objects(object)
            .iter()
            .any(|(inner, _)| built_in(inner).is_some_and(|kind| kind.purpose == Purpose::Training));
        if training { Purpose::Training } else { self.purpose }
    }

    /// Whether the pods of the object are told of each other by its controller, or by a plugin of it.
    pub(crate) fn tells_pods_of_each_other(&self, object: &Value) -> bool {
        const PLUGINS: &[&str] = &["pytorch", "mpi", "ray", "tensorflow"];
        let plugins = object.pointer("/spec/plugins");
        let within = |(inner, _): &(&Value, String)| built_in(inner).is_some_and(|kind| kind.connects);
        self.connects
            || self.inner_objects(object).iter().any(within)
            || self.purpose_of(object) == Purpose::Training
            || PLUGINS.iter().any(|name| plugins.is_some_and(|plugins| plugins.get(name).is_some()))
    }

    /// The objects inside of it that are made of it as they are.
    pub fn inner_objects<'a>(&self, object: &'a Value) -> Vec<(&'a Value, String)> {
        self.inner.map(|inner| inner(object)).unwrap_or_default()
    }
}

/// A command that an object gives outside of its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrypoint<'a> {
    /// The command, as a shell reads it.
    pub script: &'a str,
    /// The variables that it is given beside those of the container that it runs in.
    pub environment: Vec<(String, String)>,
    /// Where it is in the object: `spec.entrypoint`.
    pub path: &'static str,
    /// What of it cannot be read.
    pub gap: Option<Gap>,
}

/// Whether a kind exists for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Training, unless the command is a known benchmark.
    Training,
    /// Anything: training only when an annotation of ours or a recognised training launcher says so.
    General,
}

/// Where a kind's pod specs are, as far as an expression over the object alone can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodSpecs {
    /// At these places; absence of accelerators is provable.
    At(&'static [Place]),
    /// Somewhere else (a runtime, a cluster selector): the webhook is always called.
    Elsewhere,
}

/// Where pod templates are, in CEL's optional syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One template, at this path.
    Template(&'static str),
    /// In the values of the map at this path, each holding `template`.
    Map(&'static str),
    /// In the items of the list at this path, each holding a template at the second path.
    List(&'static str, &'static str),
}

/// Every kind that is known.
pub static KINDS: &[Kind] = &[
    pytorchjob::KIND,
    job::KIND,
    pod::KIND,
    trainjob::KIND,
    mpijob::KIND,
    jobset::KIND,
    rayjob::KIND,
    raycluster::KIND,
    tfjob::KIND,
    paddlejob::KIND,
    jaxjob::KIND,
    volcanojob::KIND,
    leaderworkerset::KIND,
    appwrapper::KIND,
    hyperpodpytorchjob::KIND,
    ascendjob::KIND,
    elasticjob::KIND,
    kaiwojob::KIND,
    cronjob::KIND,
];

/// The kind of an object, where it is one of [`KINDS`]: what another object holds is none of an administrator's own.
pub(crate) fn built_in(object: &Value) -> Option<&'static Kind> {
    let (group, kind) = group_and_kind(object)?;
    KINDS.iter().find(|known| (known.group, known.kind) == (group, kind))
}

/// The group and the kind of an object, by its `apiVersion` and `kind`.
fn group_and_kind(object: &Value) -> Option<(&str, &str)> {
    let api_version = object.get("apiVersion")?.as_str()?;
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    Some((group, object.get("kind")?.as_str()?))
}
