//! Children, and the owners that cover them.

use serde_json::{Value, json};

use super::{answer, job, response_to, review, webhook};
use crate::cluster::{Digest, Likeness};
use crate::hardware::Catalogue;
use crate::judgement::Verdict;
use crate::kinds::Kinds;
use crate::surroundings::Surroundings;

#[tokio::test]
async fn a_child_passes_and_an_unknown_owner_is_noted() {
    let mut review = review("enforced", "CREATE", &Value::Null, &Value::Null);
    review["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
    review["request"]["object"] = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "llama-worker-0",
            "annotations": {"weighbridge.dev/model": "huge"},
            "ownerReferences": [{"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "llama",
                                 "uid": "u", "controller": true}],
        },
        "spec": {"containers": []},
    });
    let response = response_to(&review).await;
    assert_eq!(response["allowed"], true);
    assert_eq!(response["auditAnnotations"], json!({"owner": "unknown"}));

    review["request"]["object"]["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    assert_eq!(response_to(&review).await["allowed"], false);
}

/// A review of a pod of this model, which claims to be a child of the `PyTorchJob` `enforced/llama`.
fn child(model: &str) -> Value {
    let mut pod = job(Some(model));
    (pod["apiVersion"], pod["kind"]) = (json!("v1"), json!("Pod"));
    pod["metadata"]["name"] = json!("llama-worker-0");
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob",
        "name": "llama", "uid": "u", "controller": true}]);
    pod["spec"] = json!({"containers": [{"name": "main", "command": ["torchrun", "train.py"],
        "resources": {"limits": {"nvidia.com/gpu": 8}}}]});
    let mut review = review("enforced", "CREATE", &pod, &Value::Null);
    review["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
    review
}

/// The answer to a review of a child whose owner is in the cache.
async fn response_to_child(owner: &Value, verdict: Verdict, review: &Value) -> Value {
    let webhook = webhook();
    let kind = Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap();
    let likeness = Likeness::of(kind, owner, &Surroundings::default(), Catalogue::builtin());
    let namespace = "enforced".to_owned();
    webhook.workloads().insert(Digest { namespace, likeness, verdict, ..Digest::example("u") });
    let body = axum::body::Bytes::from(review.to_string());
    let answer = answer(&webhook, body, std::time::Duration::from_secs(10)).await;
    answer["response"].clone()
}

#[tokio::test]
async fn a_child_passes_only_if_its_owner_trains_and_made_it() {
    let mut owner = job(Some("huge"));
    owner["spec"]["pytorchReplicaSpecs"]["Worker"]["template"] = child("huge")["request"]["object"].clone();
    let made = response_to_child(&owner, Verdict::Fits, &child("huge")).await;
    assert_eq!(made, json!({"uid": made["uid"], "allowed": true}));
    let unknown = response_to_child(&owner, Verdict::Unknown, &child("huge")).await;
    assert_eq!(unknown["allowed"], true);

    let idle = response_to_child(&owner, Verdict::NotTraining, &child("huge")).await;
    assert_eq!(idle["status"]["code"], 403, "{idle}");
    assert_eq!(idle["auditAnnotations"]["owner"], "does-not-train");
    let small = response_to_child(&owner, Verdict::NotTraining, &child("small")).await;
    assert_eq!(small["allowed"], true);

    let mut larger = child("huge");
    larger["request"]["object"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = json!(16);
    let larger = response_to_child(&owner, Verdict::Fits, &larger).await;
    assert_eq!(larger["status"]["code"], 403, "{larger}");
    assert_eq!(larger["auditAnnotations"]["owner"], "differs");
}

#[tokio::test]
async fn a_child_with_another_command_of_an_annotated_owner_is_only_warned_about() {
    let mut other = child("huge");
    other["request"]["object"]["spec"]["containers"][0]["command"] = json!(["tune", "run"]);
    let mut owner = job(Some("huge"));
    owner["spec"]["pytorchReplicaSpecs"]["Worker"]["template"] = child("huge")["request"]["object"].clone();
    let answer = response_to_child(&owner, Verdict::Fits, &other).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    assert!(answer["warnings"].is_array(), "{answer}");
    let notes = &answer["auditAnnotations"];
    assert_eq!((&notes["owner"], &notes["would-deny"]), (&json!("differs"), &json!("true")));

    // Now only the template has the annotation.
    owner["metadata"]["annotations"] = Value::Null;
    let answer = response_to_child(&owner, Verdict::Fits, &other).await;
    assert_eq!(answer["status"]["code"], 403, "{answer}");
}
