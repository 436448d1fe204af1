//! The router with real reviews and hostile bodies, and with a judge for tests.

mod children;
mod decisions;
mod failures;
mod requests;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::{Client, Config};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Metrics, Webhook};
use crate::admission::judgement;
use crate::cluster::Cluster;
use crate::config::policy::Policies;
use crate::job::{Ask, Cause, InputError};
use crate::judgement::{Judgement, Reason, Verdict};
use crate::policy::{Overrides, Policy, Reads, World};
use crate::server::bodies::Came;
use crate::server::{Bodies, Caller};
use crate::surroundings::Surroundings;

/// Judges by the annotation `weighbridge.dev/model` only.
fn judge_by_model(object: &Value, _: &Surroundings, _: &World<'_>, _: &Ask) -> Judgement {
    let annotation = |key: &str| object["metadata"]["annotations"][key].as_str().map(str::to_owned);
    let judgement = Judgement { override_reason: annotation("weighbridge.dev/override"), ..judgement() };
    let message = "needs 96.4 GiB per GPU (at least 88.1), an A800-80GB offers 79.1 GiB".to_owned();
    match annotation("weighbridge.dev/model").as_deref() {
        Some("huge") => {
            Judgement { verdict: Verdict::OutOfMemory, reason: Reason::AboveCapacity, message, ..judgement }
        }
        Some("broken") => Judgement {
            verdict: Verdict::Unknown,
            reason: Reason::Malformed,
            errors: vec![InputError {
                field: "metadata.annotations[weighbridge.dev/model]".into(),
                message: "weighbridge.dev/model=\"broken\" must be a name".into(),
            }],
            ..judgement
        },
        Some("odd") => Judgement {
            verdict: Verdict::Unknown,
            reason: Reason::MissingInputs,
            message: "the model's size is not known: give weighbridge.dev/model".into(),
            ..judgement
        },
        Some("own") => Judgement::aside(Cause::UnknownProgram, Some(8)),
        Some("panic") => panic!("as the test wants it"),
        Some("slow") => {
            std::thread::sleep(std::time::Duration::from_millis(400));
            judgement
        }
        Some(_) => judgement,
        None => Judgement { verdict: Verdict::NotTraining, reason: Reason::NotTraining, ..judgement },
    }
}

/// A webhook over empty caches. It knows the namespaces `enforced`, `warned`, `audited` and `offed`; its apiserver
/// does not answer.
fn webhook() -> Arc<Webhook> {
    webhook_of("http://127.0.0.1:1")
}

fn webhook_of(apiserver: &str) -> Arc<Webhook> {
    webhook_under(Policy::default(), apiserver)
}

fn webhook_under(policy: Policy, apiserver: &str) -> Arc<Webhook> {
    let overrides = Overrides { users: vec!["ada".into()], groups: Vec::new() };
    let policies = Policies::new(Policy { overrides, ..policy });
    let cluster = Cluster::new(policies, Vec::new(), Reads::default());
    for (name, label) in [
        ("enforced", "enforce"),
        ("warned", "warn"),
        ("audited", "audit"),
        ("offed", "off"),
        ("odd", "block"),
    ] {
        cluster.namespaces.insert(name, Some(label.to_owned()));
    }
    cluster.namespaces.insert("plain", None);
    crate::tls::install_provider();
    let client = Client::try_from(Config::new(apiserver.parse().unwrap())).unwrap();
    let webhook = Webhook::new(client, cluster, Metrics::default(), 40 << 20);
    Arc::new(webhook.judging_by(judge_by_model))
}

fn router(webhook: Arc<Webhook>) -> axum::Router {
    let bodies = Bodies::new(40 << 20, crate::server::Metrics::default());
    super::router(webhook, bodies, false)
}

/// The webhook's metrics as text.
fn metrics_text(webhook: &Webhook) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    webhook.metrics().register(&mut registry);
    crate::telemetry::encode(&registry)
}

fn job(model: Option<&str>) -> Value {
    let annotations = model.map(|model| json!({"weighbridge.dev/model": model}));
    json!({
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob",
        "metadata": {"name": "llama", "namespace": "enforced", "annotations": annotations},
        "spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": 1, "template": {"spec": {"containers": []}}}}},
    })
}

/// A review as a real apiserver 1.37 sends it.
fn review(namespace: &str, operation: &str, object: &Value, old: &Value) -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "kubeflow.org", "version": "v1", "kind": "PyTorchJob"},
            "resource": {"group": "kubeflow.org", "version": "v1", "resource": "pytorchjobs"},
            "requestKind": {"group": "kubeflow.org", "version": "v1", "kind": "PyTorchJob"},
            "requestResource": {"group": "kubeflow.org", "version": "v1", "resource": "pytorchjobs"},
            "name": "llama", "namespace": namespace, "operation": operation,
            "userInfo": {"username": "bob", "groups": ["system:authenticated"], "extra": {"a": ["b"]}},
            "object": object, "oldObject": old, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

async fn post(content_type: &str, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::post(path).header("content-type", content_type).body(body.into()).unwrap();
    let response = router(webhook()).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn response_to(review: &Value) -> Value {
    let (status, body) = post("application/json", "/validate?timeout=10s", review.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    answer["response"].clone()
}

/// The webhook's answer to a body.
async fn answer(webhook: &Webhook, body: axum::body::Bytes, allowance: std::time::Duration) -> Value {
    let bodies = Bodies::new(40 << 20, crate::server::Metrics::default());
    let caller = Caller::default();
    let until = tokio::time::Instant::now() + allowance;
    let came = bodies.read(&caller, body.into(), 1 << 20, until).await;
    assert!(matches!(came, Came::Whole(_)));
    webhook.answer(came, &caller, allowance).await.unwrap()
}

async fn updated(object: &Value, old: &Value) -> Value {
    response_to(&review("enforced", "UPDATE", object, old)).await
}
