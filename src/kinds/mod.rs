//! The workload kinds: where each keeps its pod templates and replica counts.
//!
//! One kind a file; [`KINDS`] is the one list. The webhook's rules and conditions, the controller's watches and the
//! chart's permissions are all made from it, so a kind is added here alone. Most kinds keep their templates in one of
//! a few [shapes](Pods); the others have a function of their own. An administrator can add [further] ones.

mod appwrapper;
mod ascendjob;
mod completed;
pub mod config_maps;
mod cronjob;
pub mod deadline;
pub mod elastic;
mod elasticjob;
pub mod further;
pub mod host;
mod hyperpodpytorchjob;
mod jaxjob;
mod job;
mod jobset;
mod kaiwojob;
mod leaderworkerset;
mod mpijob;
pub mod names;
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

pub use completed::Completed;
pub use further::Kinds;
pub(crate) use pods::dotted;
pub use pods::{PodGroup, Pods};

use crate::job::Gap;
use crate::surroundings::{self, Surroundings};

/// A kind of Kubernetes object that people train with.
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// The versions with this shape, the preferred one first.
    pub versions: &'static [&'static str],
    /// The kind, as in `kind: PyTorchJob`.
    pub kind: &'static str,
    /// The resource, as in RBAC rules and admission requests.
    pub plural: &'static str,
    /// Begins the names of its estimates. Unique among kinds.
    pub slug: &'static str,
    /// Whether the kind exists for training.
    pub purpose: Purpose,
    /// Whether its controller tells the pods of each other, so that launchers need no options for it. Kinds for
    /// training do.
    pub connects: bool,
    /// Whether its controller gives the pods their command, so that an image's own program never runs.
    pub commands: bool,
    /// The objects that its controller makes, directly or through others.
    pub makes: Makes,
    /// The label of its pods whose value is its name, if it makes them through objects that are not judged. Then the
    /// pods' own references do not lead to it.
    pub named_by: Option<&'static str>,
    /// The fields of the object that show whether it asks for accelerators, for the webhook's matchConditions.
    pub pod_specs: PodSpecs,
    /// JSON pointer of the field that a queue sets to hold the workload back.
    pub suspend: Option<&'static str>,
    /// JSON pointers of lists into which a queue writes the placement of the pods.
    pub placements: &'static [&'static str],
    /// JSON pointer of the number that the subresource `scale` changes: the definition's `specReplicasPath`. None for
    /// every built-in kind, for they have no such subresource.
    pub scale: Option<&'static str>,
    /// JSON pointer of the deadline in seconds.
    pub active_deadline_seconds: Option<&'static str>,
    /// The paths of the pod templates and of their numbers of pods.
    pub pods: Pods,
    /// JSON pointers of the lists that hold groups of pods, if [`pods`](Self::pods) does not give them.
    pub lists: &'static [&'static str],
    /// The objects in it that its controller creates unchanged, each with its path. Their annotations count as its
    /// own.
    pub inner: Option<for<'a> fn(&'a Value) -> Vec<Inner<'a>>>,
    /// Completes the object with parts of other objects.
    pub complete: Option<fn(&Value, &Surroundings) -> Completed<'static>>,
    /// A command outside of the object's containers (`RayJob`'s `entrypoint`).
    pub entrypoint: Option<for<'a> fn(&'a Value) -> Option<Entrypoint<'a>>>,
    /// A model that is named outside of the object's commands, with the path of the name.
    pub model: Option<fn(&Value) -> Option<Named>>,
    /// The folder in which the pods find this model.
    pub model_folder: Option<&'static str>,
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

/// An object in another object, and its path.
pub type Inner<'a> = (&'a Value, String);

/// A model's name, and its path.
pub type Named = (String, &'static str);

/// The fields that a kind's file leaves out.
const BLANK: Kind = Kind {
    group: "",
    versions: &["v1"],
    kind: "",
    plural: "",
    slug: "",
    purpose: Purpose::General,
    connects: false,
    commands: false,
    makes: Makes::These(&[("", "Pod")]),
    named_by: None,
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
    model_folder: None,
};

impl Kind {
    /// The groups of pods of the (completed) object. Never fails: an absent field gives no group.
    pub fn pod_groups<'a>(&self, object: &'a Value) -> Vec<PodGroup<'a>> {
        self.pods.groups(object)
    }

    /// Whether the object has more groups of pods than the ones that [`pod_groups`](Self::pod_groups) lists.
    fn has_more_groups(&self, object: &Value, listed: usize) -> bool {
        let is_long = |pointer: &&str| match object.pointer(pointer) {
            Some(Value::Array(list)) => list.len() > pods::MAX_GROUPS,
            Some(Value::Object(map)) => map.len() > pods::MAX_GROUPS,
            _ => false,
        };
        let within = |(inner, _): &(&Value, String)| {
            // A kind that can hold itself would recurse without end.
            let kind = built_in(inner).filter(|kind| !std::ptr::eq(*kind, self));
            kind.is_some_and(|kind| kind.has_more_groups(inner, 0))
        };
        listed >= pods::MAX_GROUPS
            || self.lists.iter().chain(self.pods.list().as_ref()).any(is_long)
            || self.inner_objects(object).iter().any(within)
    }

    /// Whether the object is for training: by its own kind, or by the kind of an object in it.
    pub fn purpose_of(&self, object: &Value) -> Purpose {
        let training = self
            .inner_objects(object)
            .iter()
            .any(|(inner, _)| built_in(inner).is_some_and(|kind| kind.purpose == Purpose::Training));
        if training { Purpose::Training } else { self.purpose }
    }

    /// Whether the object's controller, or a plugin of it, tells the pods of each other.
    pub(crate) fn tells_pods_of_each_other(&self, object: &Value) -> bool {
        const PLUGINS: &[&str] = &["pytorch", "mpi", "ray", "tensorflow"];
        let plugins = object.pointer("/spec/plugins");
        let within = |(inner, _): &(&Value, String)| built_in(inner).is_some_and(|kind| kind.connects);
        self.connects
            || self.inner_objects(object).iter().any(within)
            || self.purpose_of(object) == Purpose::Training
            || PLUGINS.iter().any(|name| plugins.is_some_and(|plugins| plugins.get(name).is_some()))
    }

    /// The objects in it that its controller creates unchanged.
    pub fn inner_objects<'a>(&self, object: &'a Value) -> Vec<(&'a Value, String)> {
        self.inner.map(|inner| inner(object)).unwrap_or_default()
    }
}

/// A command outside of an object's containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrypoint<'a> {
    /// The command, as a shell reads it.
    pub script: &'a str,
    /// Its own variables, beside those of the container that it runs in.
    pub environment: Vec<(String, String)>,
    /// Its path in the object: `spec.entrypoint`.
    pub path: &'static str,
    /// The part that cannot be read.
    pub gap: Option<Gap>,
}

/// Whether a kind exists for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is, unless the command is a known benchmark.
    Training,
    /// It is for anything. An object trains only if it has an annotation of ours or a known training launcher.
    General,
}

/// The paths of a kind's pod specs, as far as an expression over the object alone can know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodSpecs {
    /// At these places: an expression can prove that the object asks for no accelerators.
    At(&'static [Place]),
    /// In another object (a runtime, a cluster by selector): the webhook is always called.
    Elsewhere,
}

/// A place of pod templates, in CEL's optional syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One template, at this path.
    Template(&'static str),
    /// In the values of the map at this path, each holding `template`.
    Map(&'static str),
    /// In the items of the list at this path, each holding a template at the second path.
    List(&'static str, &'static str),
}

/// Every built-in kind.
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

/// The kind of an object, if it is one of [`KINDS`]. An object in another object can only be of these.
pub(crate) fn built_in(object: &Value) -> Option<&'static Kind> {
    let (group, kind) = group_and_kind(object)?;
    KINDS.iter().find(|known| (known.group, known.kind) == (group, kind))
}

/// The namespace that an object names.
pub(crate) fn namespace(object: &Value) -> Option<&str> {
    object.pointer("/metadata/namespace").and_then(Value::as_str)
}

/// The group and the kind of an object, by its `apiVersion` and `kind`.
fn group_and_kind(object: &Value) -> Option<(&str, &str)> {
    let (api_version, kind) = (object.get("apiVersion")?.as_str()?, object.get("kind")?.as_str()?);
    Some((surroundings::group(api_version), kind))
}
