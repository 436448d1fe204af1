//! What reaches a replica from the network and from files: reviews, streams of manifests, and the policy.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Collected};
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use weighbridge::batch;
use weighbridge::cli::input;
use weighbridge::cluster::Cluster;
use weighbridge::config::policy::Policies;
use weighbridge::job::Ask;
use weighbridge::policy::{Policy, Reads};
use weighbridge::server::Bodies;
use weighbridge::surroundings::Surroundings;
use weighbridge::webhook::{Metrics, Webhook, router};

use super::sound::sound;

/// The longest answer: the apiserver keeps warnings and annotations of a review in its log.
const LONGEST_ANSWER: usize = 64 << 10;

/// What its apiserver answers to everything: a namespace that enforces.
const NAMESPACE: &str = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"default","labels":{"weighbridge.dev/mode":"enforce"}}}"#;

/// A webhook, and the runtime that it works in.
static WEBHOOK: LazyLock<(Runtime, Router)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let router = runtime.block_on(async {
        let apiserver = tower::service_fn(|_: Request<kube::client::Body>| async {
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(NAMESPACE)))
        });
        let client = kube::Client::new(apiserver, "default");
        let cluster = Cluster::new(Policies::new(Policy::default()), Vec::new(), Reads::default());
        let webhook = Webhook::new(client, cluster, Metrics::default(), 40 << 20);
        router(Arc::new(webhook), Bodies::new(40 << 20, weighbridge::server::Metrics::default()), false)
    });
    (runtime, router)
});

/// A body at the webhook's port. An answer has a uid, and no answer is an internal error.
pub fn review(data: &[u8]) {
    let (runtime, router) = &*WEBHOOK;
    let request = Request::post("/validate?timeout=30s").header("content-type", "application/json");
    let Ok(request) = request.body(Body::from(data.to_vec())) else { return };
    let (status, body) = runtime.block_on(async {
        let Ok(response) = router.clone().oneshot(request).await;
        let status = response.status();
        (status, response.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default())
    });
    assert!(!status.is_server_error(), "{status}");
    if status != StatusCode::OK {
        return;
    }
    assert!(body.len() <= LONGEST_ANSWER, "{} bytes", body.len());
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let response = &answer["response"];
    assert!(response["uid"].as_str().is_some_and(|uid| !uid.is_empty()), "{answer}");
    let code = response["status"]["code"].as_u64();
    let refused = matches!(code, Some(403 | 422));
    assert_eq!(response["allowed"].as_bool(), Some(!refused), "{answer}");
    let notes = response["auditAnnotations"].as_object().into_iter().flatten();
    for (key, value) in notes {
        assert!(key != "error" || value != "panic", "{answer}");
    }
    let warnings = response["warnings"].as_array().into_iter().flatten();
    for line in warnings.filter_map(Value::as_str) {
        assert!(line.chars().count() <= 256 && !line.chars().any(char::is_control), "{line:?}");
    }
}

/// A file of manifests, as `check` reads it.
pub fn stream(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let input = input::of_text("f.yaml", text);
    let values: Vec<Value> = input.objects.iter().map(|object| object.value.clone()).collect();
    let policy = Policy::default();
    let around = Surroundings::of(&values, &policy.kinds);
    for entry in batch::entries(&input.objects, &around, &policy, &Ask::default()) {
        if let Err(broken) = sound(&entry.judgement) {
            panic!("{broken}");
        }
    }
    for unreadable in &input.unreadable {
        let line = unreadable.to_string();
        assert!(line.chars().count() <= 1_024 && !line.chars().any(char::is_control), "{line:?}");
    }
}

/// The file of a policy. What is accepted has thresholds that are probabilities.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Policy::default().with_text_of(Path::new("config.yaml"), text) {
        Ok(Policy { rules, .. }) => {
            let ordered = 0.0 <= rules.warn_at && rules.warn_at <= rules.deny_at && rules.deny_at <= 1.0;
            assert!(ordered, "warnAt {}, denyAt {}", rules.warn_at, rules.deny_at);
        }
        Err(error) => {
            let line = format!("{error:#}");
            assert!(line.chars().count() <= 1_024 && !line.chars().any(char::is_control), "{line:?}");
        }
    }
}
