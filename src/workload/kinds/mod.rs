//! The workload kinds: where each keeps its pod templates and replica counts.
//!
//! One kind a file; [`KINDS`] is the one list. The webhook's rules and conditions, the controller's watches and the
//! chart's permissions are all made from it, so a kind is added here and nowhere else.

mod job;
mod pod;
mod pytorchjob;

use serde_json::Value;

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
    /// The (group, kind) pairs that its controller makes, directly or by way of others.
    pub makes: &'static [(&'static str, &'static str)],
    /// Where the object shows whether it asks for accelerators, for the webhook's matchConditions.
    pub pod_specs: PodSpecs,
    /// JSON pointer of the field that queues flip to hold the workload back.
    pub suspend: Option<&'static str>,
    /// JSON pointer of the deadline in seconds.
    pub active_deadline_seconds: Option<&'static str>,
    /// The groups of pods that the object asks for. Never fails: what is not there is not listed.
    pub pod_groups: for<'a> fn(&'a Value) -> Vec<PodGroup<'a>>,
    /// The command that the object gives outside of its containers (`RayJob`'s `entrypoint`).
    pub entrypoint: Option<for<'a> fn(&'a Value) -> Option<Entrypoint<'a>>>,
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
    /// At these paths, in CEL's optional syntax, each giving one pod spec; absence of accelerators is provable.
    At(&'static [&'static str]),
    /// In the values of a map, at this path, each holding `template.spec`.
    InMapOfTemplates(&'static str),
    /// Somewhere else (a runtime, a cluster selector): the webhook is always called.
    Elsewhere,
}

/// Pods made from one template.
#[derive(Clone, Debug)]
pub struct PodGroup<'a> {
    /// The group's role, as the kind names it (`Master`, `Worker`); empty where there is only one.
    pub role: &'a str,
    /// The pod template: `metadata` and `spec`.
    pub template: &'a Value,
    /// Where the template is in the object, for provenance: `spec.template`.
    pub path: String,
    /// How many pods; none where the object is one of a number that it doesn't tell.
    pub replicas: Option<u64>,
}

/// Every kind that is understood.
pub static KINDS: &[Kind] = &[pytorchjob::KIND, job::KIND, pod::KIND];

/// The kind of an object, by group and kind; any of its versions.
pub fn find(group: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.group == group && k.kind == kind)
}

/// The kind of an object, by its `apiVersion` and `kind`.
pub fn of(object: &Value) -> Option<&'static Kind> {
    let api_version = object.get("apiVersion")?.as_str()?;
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    find(group, object.get("kind")?.as_str()?)
}

/// A count of replicas, or of completions, as the API gives it: absent is one, negative is none.
fn replicas(value: Option<&Value>) -> u64 {
    match value.and_then(Value::as_i64) {
        None => 1,
        Some(count) => u64::try_from(count).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn slugs_are_unique_and_fit_a_name() {
        let slugs: BTreeSet<_> = KINDS.iter().map(|k| k.slug).collect();
        assert_eq!(slugs.len(), KINDS.len());
        assert!(
            slugs.iter().all(|s| s.len() <= 40 && s.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        );
    }

    #[test]
    fn a_kind_is_found_whatever_its_version() {
        let object = serde_json::json!({"apiVersion": "batch/v1", "kind": "Job"});
        assert_eq!(of(&object).map(|k| k.slug), Some("job"));
        assert!(of(&serde_json::json!({"apiVersion": "apps/v1", "kind": "Job"})).is_none());
        assert!(of(&serde_json::json!({"apiVersion": 1, "kind": []})).is_none());
    }
}
