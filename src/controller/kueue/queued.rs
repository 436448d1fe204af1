//! A Workload of Kueue that waits for checks, read from its object.
//!
//! ```text
//! waits = active, quota reserved, a check Pending; not evicted, not finished
//! ```
//!
//! Kueue sets the checks of an evicted workload back to Pending while its quota is still reserved, so the eviction counts.
//! Source: sigs.k8s.io/kueue v0.17.0, `apis/kueue/v1beta2/workload_types.go` and `pkg/workload`; v1beta1 has the same fields.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// A workload that waits for checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queued {
    /// The Pending checks.
    pub(super) pending: Vec<String>,
    /// The controlling owner.
    pub(super) owner: Option<Owner>,
    /// The queue of the cluster that has the quota.
    pub(super) cluster_queue: String,
    pub(super) sets: Vec<PodSet>,
    /// When the quota was reserved.
    pub(super) reserved: Option<Timestamp>,
}

/// The object that Kueue starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// Pods from one template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodSet {
    pub(super) name: String,
    /// The flavor of each resource.
    pub(super) flavors: BTreeMap<String, String>,
    /// The node selector of the template.
    pub(super) selector: BTreeMap<String, String>,
}

impl Queued {
    /// The workload, if it waits for checks.
    pub(super) fn of(workload: &Value) -> Option<Self> {
        let active = workload.pointer("/spec/active").and_then(Value::as_bool) != Some(false);
        let holds = |kind: &str| condition(workload, kind).is_some_and(|it| text(it, "status") == "True");
        if !active || !holds("QuotaReserved") || holds("Evicted") || holds("Finished") {
            return None;
        }
        let pending: Vec<String> = list(workload, "/status/admissionChecks")
            .filter(|check| text(check, "state") == "Pending")
            .map(|check| text(check, "name").to_owned())
            .collect();
        let admission = workload.pointer("/status/admission").filter(|admission| admission.is_object())?;
        let sets = list(admission, "/podSetAssignments").map(|assignment| pod_set(workload, assignment));
        let reserved = condition(workload, "QuotaReserved").map(|it| text(it, "lastTransitionTime"));
        (!pending.is_empty()).then(|| Self {
            pending,
            owner: owner(workload),
            cluster_queue: text(admission, "clusterQueue").to_owned(),
            sets: sets.collect(),
            reserved: reserved.and_then(|time| time.parse().ok()),
        })
    }

    /// The flavors of the extended resources, which accelerators are.
    pub(super) fn accelerator_flavors(&self) -> Vec<&str> {
        let all = self.sets.iter().flat_map(|set| &set.flavors);
        let mut flavors: Vec<&str> =
            all.filter(|(resource, _)| resource.contains('/')).map(|(_, flavor)| flavor.as_str()).collect();
        flavors.sort_unstable();
        flavors.dedup();
        flavors
    }
}

fn pod_set(workload: &Value, assignment: &Value) -> PodSet {
    let name = text(assignment, "name");
    let set = list(workload, "/spec/podSets").find(|set| text(set, "name") == name);
    PodSet {
        name: name.to_owned(),
        flavors: texts(assignment.get("flavors")),
        selector: texts(set.and_then(|set| set.pointer("/template/spec/nodeSelector"))),
    }
}

fn owner(workload: &Value) -> Option<Owner> {
    let is_controller = |owner: &&Value| owner.get("controller").and_then(Value::as_bool) == Some(true);
    let owner = list(workload, "/metadata/ownerReferences").find(is_controller)?;
    Some(Owner {
        api_version: text(owner, "apiVersion").to_owned(),
        kind: text(owner, "kind").to_owned(),
        name: text(owner, "name").to_owned(),
        uid: text(owner, "uid").to_owned(),
    })
}

fn condition<'a>(workload: &'a Value, kind: &str) -> Option<&'a Value> {
    list(workload, "/status/conditions").find(|condition| text(condition, "type") == kind)
}

/// The items of a list, if it is there.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of a map.
pub(super) fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A workload of a job with two sets of pods, which waits for a check.
    pub(in crate::controller::kueue) fn waiting() -> Value {
        json!({
            "metadata": {"name": "job-a", "namespace": "team", "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": "other", "uid": "u0"},
                {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "a", "uid": "u1", "controller": true},
            ]},
            "spec": {"active": true, "queueName": "q", "podSets": [
                {"name": "master", "count": 1, "template": {"spec": {"nodeSelector": {"zone": "a"}}}},
                {"name": "worker", "count": 3, "template": {"spec": {}}},
            ]},
            "status": {
                "conditions": [{"type": "QuotaReserved", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "admission": {"clusterQueue": "gpus", "podSetAssignments": [
                    {"name": "master", "count": 1, "flavors": {"cpu": "plain", "nvidia.com/gpu": "a100"}},
                    {"name": "worker", "count": 3, "flavors": {"cpu": "plain", "nvidia.com/gpu": "t4"}},
                ]},
                "admissionChecks": [
                    {"name": "memory", "state": "Pending", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                    {"name": "budget", "state": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                ],
            },
        })
    }

    #[test]
    fn a_workload_with_quota_and_a_pending_check_is_read() {
        let queued = Queued::of(&waiting()).unwrap();
        assert_eq!(queued.pending, ["memory"]);
        assert_eq!(queued.owner.as_ref().map(|owner| owner.name.as_str()), Some("a"));
        assert_eq!((queued.cluster_queue.as_str(), queued.sets.len()), ("gpus", 2));
        assert_eq!(queued.sets[0].selector, BTreeMap::from([("zone".to_owned(), "a".to_owned())]));
        assert_eq!(queued.accelerator_flavors(), ["a100", "t4"]);
        assert_eq!(queued.reserved, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_workload_that_waits_for_something_else_is_not_read() {
        let quota = "/status/conditions/0/status";
        let evicted = json!([
            {"type": "QuotaReserved", "status": "True"}, {"type": "Evicted", "status": "True"},
        ]);
        for (pointer, value) in [
            (quota, json!("False")),
            ("/status/conditions", evicted),
            ("/status/admission", Value::Null),
            ("/status/admissionChecks/0/state", json!("Ready")),
            ("/spec/active", json!(false)),
            ("/status", Value::Null),
            ("/status/admissionChecks", json!("none")),
        ] {
            let mut workload = waiting();
            *workload.pointer_mut(pointer).unwrap() = value;
            assert_eq!(Queued::of(&workload), None, "{pointer}");
        }
    }
}
