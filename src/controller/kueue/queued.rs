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
    /// The Pending checks, and how often the workload was tried again because of each.
    pub(super) pending: BTreeMap<String, u32>,
    /// Whether it has started. A check that is added to the queue later is Pending then.
    pub(super) started: bool,
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
    /// The number of pods, if the queue starts fewer than the job asks for.
    pub(super) fewer_pods: Option<u64>,
    /// The template of the pods.
    pub(super) template: Value,
}

impl Queued {
    /// The workload, if it waits for checks.
    pub(super) fn of(workload: &Value) -> Option<Self> {
        let active = workload.pointer("/spec/active").and_then(Value::as_bool) != Some(false);
        let holds = |kind: &str| condition(workload, kind).is_some_and(|it| text(it, "status") == "True");
        if !active || !holds("QuotaReserved") || holds("Evicted") || holds("Finished") {
            return None;
        }
        let retries = |check: &Value| {
            let count = check.get("retryCount").and_then(Value::as_u64).unwrap_or_default();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let pending: BTreeMap<String, u32> = list(workload, "/status/admissionChecks")
            .filter(|check| text(check, "state") == "Pending")
            .map(|check| (text(check, "name").to_owned(), retries(check)))
            .collect();
        let admission = workload.pointer("/status/admission").filter(|admission| admission.is_object())?;
        let sets = list(admission, "/podSetAssignments").map(|assignment| pod_set(workload, assignment));
        let reserved = condition(workload, "QuotaReserved").map(|it| text(it, "lastTransitionTime"));
        (!pending.is_empty()).then(|| Self {
            pending,
            started: holds("Admitted"),
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
    let count = |value: &Value| value.get("count").and_then(Value::as_u64);
    let asked = set.and_then(count);
    PodSet {
        name: name.to_owned(),
        flavors: texts(assignment.get("flavors")),
        fewer_pods: count(assignment).filter(|count| asked.is_some_and(|asked| *count < asked)),
        template: set.and_then(|set| set.get("template")).cloned().unwrap_or_default(),
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

/// The text of a field, or none.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
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
                    {"name": "memory", "state": "Pending", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
                     "retryCount": 2},
                    {"name": "budget", "state": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                ],
            },
        })
    }

    #[test]
    fn a_workload_with_quota_and_a_pending_check_is_read() {
        let queued = Queued::of(&waiting()).unwrap();
        assert_eq!(queued.pending, BTreeMap::from([("memory".to_owned(), 2)]));
        assert_eq!(queued.owner.as_ref().map(|owner| owner.name.as_str()), Some("a"));
        assert_eq!((queued.cluster_queue.as_str(), queued.sets.len()), ("gpus", 2));
        assert_eq!(queued.sets[0].template, json!({"spec": {"nodeSelector": {"zone": "a"}}}));
        assert!(!queued.started);
        assert_eq!(queued.accelerator_flavors(), ["a100", "t4"]);
        assert_eq!(queued.reserved, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn the_pods_that_the_queue_starts_are_counted_if_they_are_fewer() {
        let mut workload = waiting();
        *workload.pointer_mut("/status/admission/podSetAssignments/1/count").unwrap() = json!(2);
        let queued = Queued::of(&workload).unwrap();
        assert_eq!([queued.sets[0].fewer_pods, queued.sets[1].fewer_pods], [None, Some(2)]);
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
