//! The pods of workloads: the nodes on which they run, and how they ended.
//!
//! A pod that the scheduler has placed has the field `spec.nodeName`. From then on its node decides the accelerator. A pod
//! whose container ended badly shows [why](crate::learn::outcome). Its owners lead to the workload that is judged. An owner
//! may appear in the cache after the pod, so the owners are followed when the pods of a workload are asked for.
//!
//! Controllers delete pods that failed. What the last of them showed is kept for a while, and so are the names of deleted pods:
//! the [metrics](crate::learn::observed) of their accelerators are asked for from time to time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::children::Claim;
use super::workloads::Workloads;
use crate::hardware::Catalogue;
use crate::hardware::labels::of_labels;
use crate::learn::observed::peaks::Pod;
use crate::learn::outcome::{self, Outcome};
use crate::surroundings::Node;

/// The most deleted pods of a namespace whose outcome is kept.
const MOST_GONE: usize = 64;

/// The most deleted pods of the cluster whose names are kept.
const MOST_ENDED: usize = 4096;

/// What is noted of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Noted {
    uid: String,
    name: String,
    /// When it was created, in seconds since 1970.
    created: i64,
    /// The owner that the pod claims. None if the pod itself is judged.
    claim: Option<Claim>,
    node: Option<String>,
    outcome: Option<Outcome>,
}

/// The pods of a namespace.
#[derive(Clone, Debug, Default)]
struct OfNamespace {
    pods: BTreeMap<String, Noted>,
    /// Deleted pods that ended badly, the oldest first.
    gone: VecDeque<Noted>,
}

/// The pods that are noted.
#[derive(Debug, Default)]
struct All {
    by_namespace: BTreeMap<String, OfNamespace>,
    /// Deleted pods with their namespaces, the oldest first.
    ended: VecDeque<(String, Noted)>,
}

/// The pods that are noted.
#[derive(Debug, Default)]
pub(super) struct Pods(Mutex<All>);

impl Pods {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workloads {
    /// Notes a pod that asks for accelerators. Its workload is reconciled if something new is known.
    pub(super) fn note(&self, namespace: &str, uid: &str, claim: Option<Claim>, pod: &Value) {
        let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).map(str::to_owned);
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str);
        let created = text("/metadata/creationTimestamp").and_then(|at| at.parse::<Timestamp>().ok());
        let noted = Noted {
            uid: uid.to_owned(),
            name: text("/metadata/name").unwrap_or_default().to_owned(),
            created: created.map_or(i64::MAX, Timestamp::as_second),
            claim: claim.clone(),
            node,
            outcome: outcome::of_pod(pod),
        };
        if noted.node.is_none() && noted.outcome.is_none() {
            return;
        }
        {
            let mut all = self.pods.lock();
            let pods = &mut all.by_namespace.entry(namespace.to_owned()).or_default().pods;
            if pods.insert(uid.to_owned(), noted.clone()) == Some(noted) {
                return;
            }
        }
        let workload = claim.map_or_else(|| Some(uid.to_owned()), |claim| self.outermost(&claim, namespace));
        if let Some(workload) = workload.and_then(|uid| self.get(&uid)) {
            self.notify(&workload);
        }
    }

    /// Notes that a pod is gone.
    pub(super) fn left(&self, namespace: &str, uid: &str) {
        let mut all = self.pods.lock();
        let All { by_namespace, ended } = &mut *all;
        let Some(of_namespace) = by_namespace.get_mut(namespace) else { return };
        let removed = of_namespace.pods.remove(uid);
        if let Some(noted) = &removed {
            if ended.len() >= MOST_ENDED {
                ended.pop_front();
            }
            ended.push_back((namespace.to_owned(), Noted { outcome: None, ..noted.clone() }));
        }
        if let Some(noted) = removed.filter(|noted| noted.outcome.is_some()) {
            if of_namespace.gone.len() >= MOST_GONE {
                of_namespace.gone.pop_front();
            }
            of_namespace.gone.push_back(Noted { node: None, ..noted });
        }
        if of_namespace.pods.is_empty() && of_namespace.gone.is_empty() {
            by_namespace.remove(namespace);
        }
    }

    /// The nodes on which the pods of a workload run.
    pub fn nodes_of(&self, namespace: &str, uid: &str) -> BTreeSet<String> {
        self.pods_of(namespace, uid).into_iter().filter_map(|noted| noted.node).collect()
    }

    /// How pods of a workload ended that ended badly.
    pub fn outcomes_of(&self, namespace: &str, uid: &str) -> Vec<Outcome> {
        self.pods_of(namespace, uid).into_iter().filter_map(|noted| noted.outcome).collect()
    }

    /// The pods of all workloads, also the last that were deleted.
    pub fn pods(&self) -> Vec<Pod> {
        let noted: Vec<(String, Noted)> = {
            let all = self.pods.lock();
            let present = all.by_namespace.iter().flat_map(|(namespace, of_it)| {
                of_it.pods.values().map(|noted| (namespace.clone(), noted.clone()))
            });
            present.chain(all.ended.iter().cloned()).collect()
        };
        let pod = |(namespace, noted): (String, Noted)| {
            let workload = match &noted.claim {
                Some(claim) => self.outermost(claim, &namespace)?,
                None => noted.uid,
            };
            Some(Pod { name: (namespace, noted.name), workload, created: noted.created })
        };
        noted.into_iter().filter_map(pod).collect()
    }

    fn pods_of(&self, namespace: &str, uid: &str) -> Vec<Noted> {
        let OfNamespace { pods, gone } =
            self.pods.lock().by_namespace.get(namespace).cloned().unwrap_or_default();
        let is_its = |noted: &Noted| match &noted.claim {
            Some(claim) => self.outermost(claim, namespace).as_deref() == Some(uid),
            None => noted.uid == uid,
        };
        pods.into_values().chain(gone).filter(is_its).collect()
    }
}

/// The nodes whose accelerators offer the least: every rank needs the same memory. All of them, if one is not known.
pub fn smallest(nodes: Vec<Arc<Node>>, catalogue: &Catalogue) -> Vec<Arc<Node>> {
    let offer = |node: &Arc<Node>| {
        let found = of_labels(catalogue, |key| node.labels.get(key))?;
        found.usable(catalogue).or_else(|| Some(found.accelerator?.usable()))
    };
    let least =
        nodes.iter().map(offer).collect::<Option<Vec<_>>>().and_then(|offers| offers.into_iter().min());
    match least {
        Some(least) => nodes.into_iter().filter(|node| offer(node) == Some(least)).collect(),
        None => nodes,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::Digest;
    use crate::kinds::Kinds;

    #[test]
    fn the_nodes_of_a_workload_are_those_of_the_pods_below_it() {
        let workloads = Workloads::default();
        let kind = |kind| Kinds::built_in().find("batch", kind).unwrap();
        let claim = |kind, uid: &str| Claim { uid: Some(uid.into()), ..Claim::of(kind, uid) };
        let pod = |node: Value| json!({"spec": {"nodeName": node}});
        workloads.note("team", "p1", Some(claim(kind("Job"), "j")), &pod(json!("a100")));
        workloads.note("team", "p2", Some(claim(kind("Job"), "j")), &pod(json!("h100")));
        workloads.note("team", "p3", Some(claim(kind("Job"), "other")), &pod(json!("t4")));
        workloads.note("team", "p4", None, &pod(json!("l4")));
        workloads.note("team", "p5", None, &pod(json!(null)));
        let nodes = |uid: &str| workloads.nodes_of("team", uid).into_iter().collect::<Vec<_>>();
        assert_eq!(nodes("j"), Vec::<String>::new(), "its job is not in the cache yet");

        let job = Digest { kind: kind("Job"), child: true, ..Digest::example("j") };
        workloads.insert(Digest { claim: Some(claim(kind("CronJob"), "c")), ..job });
        workloads.insert(Digest { kind: kind("CronJob"), ..Digest::example("c") });
        assert_eq!(nodes("c"), ["a100", "h100"]);
        assert_eq!(nodes("p4"), ["l4"]);
        assert_eq!(workloads.nodes_of("elsewhere", "c").len(), 0);
        workloads.left("team", "p1");
        assert_eq!(nodes("c"), ["h100"]);
    }

    #[test]
    fn a_pod_that_was_deleted_is_still_known_by_its_name() {
        let workloads = Workloads::default();
        workloads.insert(Digest::example("u1"));
        let job = Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap();
        let claim = || Some(Claim { uid: Some("u1".into()), ..Claim::of(job, "llama") });
        let pod = |name: &str| {
            json!({
                "metadata": {"name": name, "creationTimestamp": "1970-01-01T00:01:00Z"}, "spec": {"nodeName": "h100"},
            })
        };
        workloads.note("team", "p1", claim(), &pod("llama-0"));
        let named =
            |name: &str| Pod { name: ("team".into(), name.into()), workload: "u1".into(), created: 60 };
        assert_eq!(workloads.pods(), [named("llama-0")]);
        workloads.left("team", "p1");
        workloads.note("team", "p2", claim(), &pod("llama-1"));
        assert_eq!(workloads.pods(), [named("llama-1"), named("llama-0")]);
        assert!(workloads.outcomes_of("team", "u1").is_empty());
        for number in 0..MOST_ENDED {
            let uid = number.to_string();
            workloads.note("other", &uid, None, &pod(&uid));
            workloads.left("other", &uid);
        }
        assert_eq!(
            workloads.pods().iter().filter(|pod| pod.workload == "u1").count(),
            1,
            "the oldest is forgotten"
        );
    }

    #[test]
    fn of_several_accelerators_the_smallest_decides() {
        let node = |name: &str, product: &str| {
            let labels = [("nvidia.com/gpu.product", product)].into_iter().collect();
            Arc::new(Node { name: name.into(), labels, ..Node::default() })
        };
        let of = |nodes: Vec<Arc<Node>>| {
            smallest(nodes, Catalogue::builtin()).iter().map(|node| node.name.clone()).collect::<Vec<_>>()
        };
        let h100 = node("large", "NVIDIA-H100-80GB-HBM3");
        let a100 = node("small", "NVIDIA-A100-SXM4-40GB");
        assert_eq!(of(vec![h100.clone(), a100.clone()]), ["small"]);
        assert_eq!(of(vec![h100, a100, node("unknown", "Quantum-9")]), ["large", "small", "unknown"]);
    }

    #[test]
    fn what_a_failed_pod_showed_is_kept_after_it_is_deleted() {
        let workloads = Workloads::default();
        workloads.insert(Digest::example("u1"));
        let job = Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap();
        let claim = || Some(Claim { uid: Some("u1".into()), ..Claim::of(job, "llama") });
        let failed = json!({"status": {"containerStatuses": [
            {"name": "pytorch", "state": {"terminated": {"exitCode": 1, "message": "CUDA out of memory"}}},
        ]}});
        for number in 0..MOST_GONE + 8 {
            let uid = number.to_string();
            workloads.note("team", &uid, claim(), &failed);
            workloads.left("team", &uid);
        }
        let outcomes = workloads.outcomes_of("team", "u1");
        assert_eq!(outcomes.len(), MOST_GONE);
        assert_eq!(outcomes[0].kind, outcome::Kind::OutOfMemory);
        assert!(
            workloads.outcomes_of("team", "u2").is_empty() && workloads.nodes_of("team", "u1").is_empty()
        );
    }
}
