//! Decisions: modes, updates, overrides, exemptions and verdicts.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{job, response_to, review, router, updated, webhook_under};
use crate::policy::{Exemptions, Policy, Unknown};

async fn created(namespace: &str, object: &Value) -> Value {
    response_to(&review(namespace, "CREATE", object, &Value::Null)).await
}

#[tokio::test]
async fn a_job_that_would_run_out_of_memory_is_refused_with_one_line() {
    let response = created("plain", &job(Some("huge"))).await;
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!((status["code"].as_u64(), status["reason"].as_str()), (Some(403), Some("Forbidden")));
    let message = "pytorchjob/llama needs 96.4 GiB per GPU (at least 88.1), an A800-80GB offers 79.1 GiB";
    assert_eq!(status["message"], message);
    assert_eq!(status["details"], json!({"name": "llama", "group": "kubeflow.org", "kind": "PyTorchJob"}));
    assert_eq!(response["auditAnnotations"]["verdict"], "OutOfMemory");
    assert_eq!(response["auditAnnotations"]["mode"], "enforce");
}

#[tokio::test]
async fn a_malformed_annotation_is_refused_with_its_cause() {
    let response = created("plain", &job(Some("broken"))).await;
    assert_eq!(response["status"]["code"], 422);
    assert_eq!(response["status"]["reason"], "Invalid");
    assert_eq!(
        response["status"]["details"]["causes"],
        json!([{
            "reason": "FieldValueInvalid",
            "message": "weighbridge.dev/model=\"broken\" must be a name",
            "field": "metadata.annotations[weighbridge.dev/model]",
        }])
    );
}

#[tokio::test]
async fn each_namespace_has_its_mode() {
    for (namespace, allowed, warnings, would_deny) in [
        ("enforced", false, false, false),
        ("plain", false, false, false),
        ("warned", true, true, true),
        ("audited", true, false, true),
        ("offed", true, false, false),
        ("odd", false, true, false),
        ("unreadable", true, true, true),
    ] {
        let response = created(namespace, &job(Some("huge"))).await;
        assert_eq!(response["allowed"], allowed, "{namespace}: {response}");
        assert_eq!(response["warnings"].is_array(), warnings, "{namespace}: {response}");
        assert_eq!(
            response["auditAnnotations"]["would-deny"] == "true",
            would_deny,
            "{namespace}: {response}"
        );
    }
}

#[tokio::test]
async fn an_object_that_does_not_train_gets_no_note_in_any_namespace() {
    for namespace in ["enforced", "odd", "unreadable"] {
        let response = created(namespace, &job(None)).await;
        assert_eq!(response, json!({"uid": response["uid"], "allowed": true}), "{namespace}");
    }
}

#[tokio::test]
async fn an_update_is_refused_only_if_it_makes_a_job_worse() {
    let (fits, huge) = (job(Some("small")), job(Some("huge")));
    assert_eq!(updated(&huge, &fits).await["allowed"], false);
    assert_eq!(updated(&fits, &huge).await["allowed"], true);

    let mut other = huge.clone();
    other["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"] = json!(2);
    let response = updated(&other, &huge).await;
    assert_eq!(
        (&response["allowed"], &response["auditAnnotations"]["update"]),
        (&json!(true), &json!("already-so"))
    );

    let mut unsuspended = huge.clone();
    unsuspended["spec"]["runPolicy"] = json!({"suspend": false});
    let response = updated(&unsuspended, &huge).await;
    assert_eq!(
        (&response["allowed"], &response["auditAnnotations"]["update"]),
        (&json!(true), &json!("same-job"))
    );

    let mut going = fits.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(
        updated(&huge, &going).await,
        json!({"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": true})
    );
}

#[tokio::test]
async fn an_override_counts_only_for_users_that_the_policy_names() {
    let mut overridden = job(Some("huge"));
    overridden["metadata"]["annotations"]["weighbridge.dev/override"] = json!("measured it");
    let mut review = review("enforced", "CREATE", &overridden, &Value::Null);
    assert_eq!(response_to(&review).await["allowed"], false);
    review["request"]["userInfo"]["username"] = json!("ada");
    let response = response_to(&review).await;
    assert_eq!(response["allowed"], true);
    assert_eq!(response["auditAnnotations"]["override"], "measured it");

    let mut added = self::review("enforced", "UPDATE", &overridden, &job(Some("small")));
    added["request"]["userInfo"]["username"] = json!("ada");
    assert_eq!(response_to(&added).await["allowed"], false);
}

/// The answer under another policy.
async fn response_under(policy: Policy, review: &Value) -> Value {
    let request = Request::post("/validate").header("content-type", "application/json");
    let request = request.body(Body::from(review.to_string())).unwrap();
    let response = router(webhook_under(policy, "http://127.0.0.1:1")).oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<Value>(&body).unwrap()["response"].take()
}

#[tokio::test]
async fn an_exempt_request_is_admitted_with_a_note() {
    let by = |exemptions| Policy { exemptions, ..Policy::default() };
    let list = |name: &str| vec![name.to_owned()];
    let mut job = job(Some("huge"));
    job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["priorityClassName"] = "system".into();
    let review = review("enforced", "CREATE", &job, &Value::Null);
    for (exemptions, expected_note) in [
        (Exemptions { namespaces: list("enf*"), ..Exemptions::default() }, Some("namespace")),
        (Exemptions { users: list("bob"), ..Exemptions::default() }, Some("user")),
        (Exemptions { groups: list("system:authenticated"), ..Exemptions::default() }, Some("group")),
        (Exemptions { priority_classes: list("system"), ..Exemptions::default() }, Some("priority-class")),
        (Exemptions { users: list("eve"), ..Exemptions::default() }, None),
    ] {
        let answer = response_under(by(exemptions), &review).await;
        assert_eq!(answer["allowed"], expected_note.is_some(), "{answer}");
        assert_eq!(answer["auditAnnotations"]["exempt"].as_str(), expected_note, "{answer}");
    }
}

#[tokio::test]
async fn an_unknown_verdict_is_handled_as_the_policy_says() {
    let review = review("enforced", "CREATE", &job(Some("odd")), &Value::Null);
    for (unknown, allowed, warnings) in
        [(Unknown::Admit, true, 0), (Unknown::Warn, true, 1), (Unknown::Deny, false, 0)]
    {
        let answer = response_under(Policy { unknown, ..Policy::default() }, &review).await;
        assert_eq!(answer["allowed"], allowed, "{answer}");
        assert_eq!(answer["warnings"].as_array().map_or(0, Vec::len), warnings, "{answer}");
        if !allowed {
            assert_eq!(answer["status"]["code"], 403);
            assert_eq!(
                answer["status"]["message"],
                "pytorchjob/llama: the model's size is not known: give weighbridge.dev/model"
            );
        }
    }
}

#[tokio::test]
async fn an_object_of_too_many_values_is_unknown() {
    let mut job = job(Some("huge"));
    let list = json!(vec![0; 4_000]);
    job["spec"]["more"] = json!(vec![list; 30]);
    let review = review("enforced", "CREATE", &job, &Value::Null);
    let answer = response_to(&review).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    assert_eq!(answer["warnings"].as_array().map(Vec::len), Some(1), "{answer}");
    let notes = &answer["auditAnnotations"];
    assert_eq!((&notes["verdict"], &notes["reason"]), (&json!("Unknown"), &json!("TooLarge")), "{answer}");
    assert_eq!(notes["error"], "too-large");
    let denied = response_under(Policy { unknown: Unknown::Deny, ..Policy::default() }, &review).await;
    assert_eq!(denied["status"]["code"], 403, "{denied}");
}
