//! Watches of workloads, without an apiserver.

use std::sync::Arc;

use serde_json::{Value, json};

use super::WorkloadSink;
use super::budget::{BUDGET, EXPENSIVE};
use crate::cluster::documents::DocumentSink;
use crate::cluster::follow::{Sink as _, Wanted};
use crate::cluster::{Cluster, Likeness, Object, Standing};
use crate::config::policy::Policies;
use crate::judgement::Verdict;
use crate::kinds::Kinds;
use crate::policy::{Policy, Reads};
use crate::surroundings::DOCUMENTS;

fn cluster() -> Arc<Cluster> {
    Cluster::new(Policies::new(Policy::default()), Vec::new(), Reads::default())
}

fn sink(cluster: &Cluster, group: &str, kind: &str) -> WorkloadSink {
    let mut sink = WorkloadSink::new(cluster, Kinds::built_in().find(group, kind).unwrap());
    sink.restarted();
    sink.listed();
    sink
}

/// A job of one GPU whose script is a file of the ConfigMap `code`.
fn job(namespace: &str, name: &str) -> Object {
    let template = json!({"spec": {
        "volumes": [{"name": "code", "configMap": {"name": "code"}}],
        "containers": [{
            "name": "main", "image": "a",
            "command": ["bash", "/code/run.sh"],
            "volumeMounts": [{"name": "code", "mountPath": "/code"}],
            "resources": {"limits": {"nvidia.com/gpu": "1"}},
        }],
    }});
    json!({"metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}/{name}")},
           "spec": {"template": template}})
    .into()
}

fn write_config_map(cluster: &Cluster, namespace: &str) {
    let document = DOCUMENTS.iter().find(|document| document.kind == "ConfigMap").unwrap();
    let mut sink = DocumentSink::new(document, None, cluster.documents.clone());
    sink.listed();
    let script = "torchrun --nproc_per_node=1 pretrain_gpt.py --num-layers 80 --hidden-size 8192 \
                  --num-attention-heads 64 --seq-length 4096 --micro-batch-size 1 --bf16";
    let object = json!({"metadata": {"name": "code", "namespace": namespace}, "data": {"run.sh": script}});
    sink.apply(object.into());
    // Dropping the sink would remove its documents.
    std::mem::forget(sink);
}

#[test]
fn a_new_document_has_the_workloads_of_its_namespace_read_again() {
    let cluster = cluster();
    let mut sink = sink(&cluster, "batch", "Job");
    sink.apply(job("team", "a"));
    sink.apply(job("other", "b"));
    assert_eq!(sink.wanted(), Wanted::Nothing);
    let verdict = |uid: &str| cluster.workloads.get(uid).unwrap().verdict;
    let before = verdict("team/a");

    write_config_map(&cluster, "team");
    assert_eq!(sink.wanted(), Wanted::Object("team".into(), "a".into()));
    sink.apply(job("team", "a"));
    assert_ne!(verdict("team/a"), before);
    assert!(!matches!(sink.wanted(), Wanted::Object(..)));
}

#[test]
fn a_pod_that_may_train_with_a_later_document_is_kept() {
    let cluster = cluster();
    let mut sink = sink(&cluster, "", "Pod");
    let of = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut pod = job("team", name);
        let template = pod.value()["spec"]["template"]["spec"].clone();
        pod.value_mut()["spec"] = template;
        change(pod.value_mut());
        pod
    };
    sink.apply(of("may-train", &|_| {}));
    sink.apply(of("no-gpu", &|pod| pod["spec"]["containers"][0]["resources"] = json!({})));
    sink.apply(of("no-map", &|pod| pod["spec"]["volumes"] = json!([])));
    let kept: Vec<_> = cluster.workloads.all().iter().map(|digest| digest.name.clone()).collect();
    assert!(kept.contains(&"may-train".to_owned()) && !kept.contains(&"no-gpu".to_owned()), "{kept:?}");
}

/// The workload `team/huge`, by its identity alone.
fn too_large() -> Object {
    json!({"metadata": {"name": "huge", "namespace": "team", "uid": "team/huge"}}).into()
}

/// The standing of a pod of the workload `team/huge`.
fn standing_of_a_pod(cluster: &Cluster, api_version: &str, kind: &str) -> Standing {
    let owner = json!([{"apiVersion": api_version, "kind": kind, "name": "huge", "uid": "team/huge",
                        "controller": true}]);
    let pod = json!({"metadata": {"ownerReferences": owner}});
    cluster.workloads.standing(Kinds::built_in().find("", "Pod").unwrap(), "team", &pod, Likeness::default)
}

#[test]
fn a_training_job_too_large_to_be_read_is_unknown_and_covers_no_child() {
    let cluster = cluster();
    let mut sink = sink(&cluster, "kubeflow.org", "PyTorchJob");
    let standing = || standing_of_a_pod(&cluster, "kubeflow.org/v1", "PyTorchJob");
    assert!(matches!(standing(), Standing::Waiting(_)));
    sink.too_large(too_large());
    let digest = cluster.workloads.get("team/huge").unwrap();
    assert_eq!((digest.verdict, digest.child, digest.peak), (Verdict::Unknown, false, None));
    assert_eq!(standing(), Standing::Differs { command_only: false });
}

#[test]
fn the_pods_of_a_job_too_large_to_be_read_are_judged_by_themselves() {
    let cluster = cluster();
    let mut sink = sink(&cluster, "batch", "Job");
    sink.too_large(too_large());
    assert_eq!(cluster.workloads.get("team/huge").unwrap().verdict, Verdict::NotTraining);
    assert_eq!(standing_of_a_pod(&cluster, "batch/v1", "Job"), Standing::Idle);
}

#[test]
fn a_job_that_grows_too_large_loses_its_old_digest() {
    let cluster = cluster();
    let mut sink = sink(&cluster, "batch", "Job");
    write_config_map(&cluster, "team");
    sink.apply(job("team", "huge"));
    let before = cluster.workloads.get("team/huge").unwrap();
    assert_ne!(before.verdict, Verdict::NotTraining);
    sink.too_large(too_large());
    let now = cluster.workloads.get("team/huge").unwrap();
    assert_eq!((now.verdict, now.peak), (Verdict::Unknown, None));
    assert_eq!(standing_of_a_pod(&cluster, "batch/v1", "Job"), Standing::Differs { command_only: false });

    sink.restarted();
    sink.too_large(too_large());
    sink.listed();
    assert_eq!(cluster.workloads.get("team/huge").unwrap().verdict, Verdict::Unknown, "it is still there");
    sink.apply(job("team", "huge"));
    let again = cluster.workloads.get("team/huge").unwrap();
    assert_eq!((again.verdict, again.peak), (before.verdict, before.peak), "it can be read again");
}

#[test]
fn a_pod_too_large_to_be_read_is_not_kept() {
    let cluster = cluster();
    let mut sink = sink(&cluster, "", "Pod");
    sink.too_large(too_large());
    assert!(cluster.workloads.all().is_empty());
}

#[test]
fn the_expensive_objects_of_a_namespace_delay_no_other() {
    let cluster = cluster();
    let mut sink = sink(&cluster, "batch", "Job");
    sink.budget.charge("alice", BUDGET + EXPENSIVE);
    sink.budget.charge("bob", EXPENSIVE / 2);
    for name in ["a", "b", "a"] {
        sink.apply(job("alice", name));
    }
    sink.apply(job("bob", "c"));
    let known = || cluster.workloads.all().iter().map(|digest| digest.uid.clone()).collect::<Vec<_>>();
    assert_eq!(known(), ["bob/c"]);
    assert!(sink.waits());
    let alice = |name: &str| Wanted::Object("alice".into(), name.into());
    assert_eq!(sink.wanted(), alice("a"));
    sink.apply(job("alice", "a"));
    assert_eq!(known(), ["alice/a", "bob/c"]);
    assert_eq!((sink.wanted(), sink.wanted()), (alice("b"), Wanted::Nothing), "each once");
}

#[test]
fn an_object_that_trains_nothing_is_judged_once() {
    let cluster = cluster();
    let mut sink = sink(&cluster, "", "Pod");
    let pod = |phase: &str, image: &str| -> Object {
        json!({"metadata": {"name": "web", "namespace": "team", "uid": "u"}, "status": {"phase": phase},
               "spec": {"containers": [{"name": "main", "image": image}]}})
        .into()
    };
    sink.apply(pod("Pending", "a"));
    // From now on, a judgement would have to wait.
    sink.budget.charge("team", BUDGET + EXPENSIVE);
    sink.apply(pod("Running", "a"));
    assert!(!sink.waits(), "only its status has changed");
    sink.apply(pod("Running", "b"));
    assert!(sink.waits());
}
