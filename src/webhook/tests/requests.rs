//! Requests of any form, and how they are counted.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{job, metrics_text, post, response_to, review, router, updated, webhook};
use crate::server::{Bodies, Caller};

#[tokio::test]
async fn a_subresource_and_an_unknown_kind_are_admitted_unjudged() {
    let mut status = review("enforced", "UPDATE", &job(Some("huge")), &job(Some("small")));
    status["request"]["subResource"] = json!("status");
    let mut strange = review("enforced", "CREATE", &job(Some("huge")), &Value::Null);
    strange["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    let mut connect = review("enforced", "CONNECT", &job(Some("huge")), &Value::Null);
    connect["request"]["object"] = Value::Null;
    for review in [status, strange, connect] {
        let response = response_to(&review).await;
        assert_eq!(response, json!({"uid": response["uid"], "allowed": true}));
    }
}

#[tokio::test]
async fn a_body_without_a_uid_is_a_bad_request_with_its_reason() {
    let deep = "[".repeat(100_000);
    let v1beta1 = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {}});
    for (body, expected) in [
        (Vec::new(), "not an AdmissionReview"),
        (b"no json".to_vec(), "not an AdmissionReview"),
        (b"\xff\xfe".to_vec(), "not UTF-8"),
        (deep.into_bytes(), "not an AdmissionReview"),
        (br#"{"kind": "Pod", "apiVersion": "v1"}"#.to_vec(), "v1 Pod"),
        (v1beta1.to_string().into_bytes(), "v1beta1"),
        (vec![b' '; 3 << 20], "not an AdmissionReview"),
        (br#"{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}"#.to_vec(), "no request.uid"),
    ] {
        let (status, answer) = post("application/json", "/validate", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer.contains(expected), "{answer} should say {expected}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_or_too_large_is_not_read() {
    let review = review("enforced", "CREATE", &job(Some("huge")), &Value::Null).to_string();
    for content_type in ["text/plain", "application/yaml", ""] {
        let (status, _) = post(content_type, "/validate", review.clone()).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    let (status, _) = post("application/json; charset=utf-8", "/validate", review.clone()).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = post("application/json", "/validate", vec![b' '; (28 << 20) + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = post("application/json", "/other", review.clone()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let request = Request::get("/validate").body(Body::empty()).unwrap();
    let response = router(webhook()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn every_answer_is_counted() {
    let webhook = webhook();
    for model in ["huge", "huge", "small", "panic", "own"] {
        let review = review("enforced", "CREATE", &job(Some(model)), &Value::Null).to_string();
        let request = Request::post("/validate").header("content-type", "application/json");
        let request = request.body(Body::from(review)).unwrap();
        router(webhook.clone()).oneshot(request).await.unwrap();
    }
    let text = metrics_text(&webhook);
    for line in [
        "weighbridge_admission_reviews_total{decision=\"denied\",verdict=\"OutOfMemory\",mode=\"enforce\",\
         operation=\"create\",kind=\"pytorchjob\"} 2",
        "weighbridge_admission_reviews_total{decision=\"allowed\",verdict=\"Unrecognised\",mode=\"enforce\",\
         operation=\"create\",kind=\"pytorchjob\"} 1",
        "weighbridge_admission_without_estimate_total{cause=\"unknown-program\",kind=\"pytorchjob\"} 1",
        "weighbridge_admission_errors_total{error=\"panic\"} 1",
        "controller_runtime_webhook_latency_seconds_count{webhook=\"/validate\"} 5",
        "controller_runtime_webhook_requests_total{webhook=\"/validate\",code=\"200\"} 5",
        "controller_runtime_webhook_requests_in_flight{webhook=\"/validate\"} 0",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn an_update_of_metadata_alone_is_answered_before_its_objects_are_parsed() {
    let mut labelled = job(Some("panic"));
    labelled["metadata"]["labels"] = json!({"touched": "now"});
    let response = updated(&labelled, &job(Some("panic"))).await;
    assert_eq!(response, json!({"uid": response["uid"], "allowed": true}));
    let mut queued = job(Some("panic"));
    queued["metadata"]["labels"] = json!({"kueue.x-k8s.io/queue-name": "now"});
    let response = updated(&queued, &job(Some("panic"))).await;
    assert_eq!(response["auditAnnotations"]["error"], "panic");
}

#[tokio::test]
async fn fields_in_another_order_are_read_too() {
    let mut review = review("enforced", "CREATE", &job(Some("huge")), &Value::Null);
    let request = review["request"].as_object_mut().unwrap();
    for last in ["uid", "namespace", "kind"] {
        let value = request.shift_remove(last).unwrap();
        request.insert(last.to_owned(), value);
    }
    assert_eq!(response_to(&review).await["status"]["code"], 403);
}

#[tokio::test]
async fn a_caller_without_a_required_certificate_is_forbidden() {
    let bodies = Bodies::new(40 << 20, crate::server::Metrics::default());
    let review = review("enforced", "CREATE", &job(Some("huge")), &Value::Null).to_string();
    for (certified, status) in [(false, StatusCode::FORBIDDEN), (true, StatusCode::OK)] {
        let request = Request::post("/validate").header("content-type", "application/json");
        let mut caller = Caller::default();
        caller.certified = certified;
        let request = request.extension(caller);
        let request = request.body(Body::from(review.clone())).unwrap();
        let answered = super::super::router(webhook(), bodies.clone(), true).oneshot(request).await.unwrap();
        assert_eq!(answered.status(), status);
    }
}
