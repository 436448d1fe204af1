//! How many pods: one of many, and a number that changes.

use serde_json::json;
use weighbridge::job::field;
use weighbridge::judgement::Verdict;

use super::judged;
use super::stated::{STATED, pytorchjob, template};

#[test]
fn one_pod_of_many_is_not_judged_as_if_it_were_alone() {
    let annotations: &[_] = &[
        ("model", "llama-2-70b"),
        ("framework", "fsdp"),
        ("sharding", "fsdp"),
        ("recompute", "full"),
        ("attention", "flash"),
        ("precision", "bf16"),
        ("micro-batch-size", "1"),
        ("sequence-length", "2048"),
        ("gpu-type", "H100-80GB"),
    ];
    let mut pod = template(8);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"] = pytorchjob(annotations, 0)["metadata"].clone();
    assert_eq!(judged(&pod).verdict, Verdict::OutOfMemory);
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "kubeflow.org/v2beta1", "kind": "MPIJob", "name": "a", "uid": "b", "controller": true}]);
    let judgement = judged(&pod);
    assert_eq!(judgement.verdict, Verdict::Unknown, "{}", judgement.message);
    assert!(judgement.missing.contains(&field::accelerator::COUNT.erased()), "{:?}", judgement.missing);
}

#[test]
fn an_elastic_job_is_judged_as_it_is_asked_for() {
    let mut job = pytorchjob(STATED, 7);
    let asked_for = judged(&job);
    job["spec"]["elasticPolicy"] = json!({"minReplicas": 1, "maxReplicas": 7});
    assert_eq!(judged(&job).memory, asked_for.memory);
}
