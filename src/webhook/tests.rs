//! The router with real reviews and hostile bodies, and with a judge for tests.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::{Client, Config};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Metrics, Webhook};
use crate::admission::judgement;
use crate::cluster::{Cluster, Digest, Likeness};
use crate::config::policy::Policies;
use crate::hardware::Catalogue;
use crate::job::{Ask, InputError};
use crate::judgement::{Judgement, Reason, Verdict};
use crate::kinds::Kinds;
use crate::policy::{Exemptions, Overrides, Policy, Reads, Unknown, World};
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
        ("odd", "Enforce"),
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

async fn created(namespace: &str, object: &Value) -> Value {
    response_to(&review(namespace, "CREATE", object, &Value::Null)).await
}

async fn updated(object: &Value, old: &Value) -> Value {
    response_to(&review("enforced", "UPDATE", object, old)).await
}

#[tokio::test]
async fn a_job_that_would_run_out_of_memory_is_refused_with_one_line() {
    let response = created("plain", &job(Some("huge"))).await;
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!((status["code"].as_u64(), status["reason"].as_str()), (Some(403), Some("Forbidden")));
    let message = "needs 96.4 GiB per GPU (at least 88.1), an A800-80GB offers 79.1 GiB";
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
        ("odd", true, true, true),
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

#[tokio::test]
async fn a_scale_of_an_unreadable_object_is_admitted_with_a_warning() {
    let scale =
        |replicas: u64| json!({"metadata": {"name": "llama", "uid": "u"}, "spec": {"replicas": replicas}});
    let mut review = review("enforced", "UPDATE", &scale(1), &scale(8));
    review["request"]["kind"] = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
    review["request"]["subResource"] = json!("scale");
    let response = response_to(&review).await;
    assert_eq!(
        (&response["allowed"], &response["auditAnnotations"]),
        (&json!(true), &json!({"error": "scale"}))
    );
    assert!(
        response["warnings"][0].as_str().unwrap().contains("could not read the object to scale"),
        "{response}"
    );
}

#[tokio::test]
async fn an_error_admits_with_a_warning_and_a_note() {
    let mut nonsense = review("enforced", "CREATE", &Value::Null, &Value::Null);
    nonsense["request"]["namespace"] = json!(["no", "name"]);
    let broken =
        review("enforced", "CREATE", &json!("BROKEN"), &Value::Null).to_string().replace("\"BROKEN\"", "{a}");
    let panicking = review("enforced", "CREATE", &job(Some("panic")), &Value::Null);
    for (body, error) in
        [(nonsense.to_string(), "unreadable"), (broken, "unreadable"), (panicking.to_string(), "panic")]
    {
        let (status, answer) = post("application/json", "/validate", body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let response = &answer["response"];
        assert_eq!(response["allowed"], true, "{response}");
        assert_eq!(response["auditAnnotations"], json!({"error": error}));
        assert!(response["warnings"][0].as_str().unwrap().contains("unjudged"));
    }
}

#[tokio::test]
async fn a_spent_deadline_admits_with_a_note() {
    let body = review("enforced", "CREATE", &job(Some("slow")), &Value::Null).to_string();
    let (status, answer) = post("application/json", "/validate?timeout=300ms", body).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["auditAnnotations"], json!({"error": "deadline"}));
}

#[tokio::test]
async fn namespaces_that_are_slow_to_read_delay_no_other_review() {
    // It accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = webhook_of(&format!("http://{}", silent.local_addr().unwrap()));
    let answer = async |namespace, allowance| {
        let review = review(namespace, "CREATE", &job(Some("huge")), &Value::Null);
        answer(&webhook, review.to_string().into(), allowance).await
    };
    let waiting = (0..64).map(|_| answer("unheard-of", std::time::Duration::from_secs(2)));
    let (waited, ()) = tokio::join!(futures::future::join_all(waiting), async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let answer = answer("enforced", std::time::Duration::from_millis(500)).await;
        assert_eq!(answer["response"]["status"]["code"], 403, "{answer}");
    });
    for answer in waited {
        let notes = &answer["response"]["auditAnnotations"];
        assert_eq!((&notes["mode"], &notes["verdict"]), (&json!("warn"), &json!("OutOfMemory")));
    }
}

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
    for model in ["huge", "huge", "small", "panic"] {
        let review = review("enforced", "CREATE", &job(Some(model)), &Value::Null).to_string();
        let request = Request::post("/validate").header("content-type", "application/json");
        let request = request.body(Body::from(review)).unwrap();
        router(webhook.clone()).oneshot(request).await.unwrap();
    }
    let text = metrics_text(&webhook);
    for line in [
        "weighbridge_admission_reviews_total{decision=\"denied\",verdict=\"OutOfMemory\",mode=\"enforce\",\
         operation=\"create\",kind=\"pytorchjob\"} 2",
        "weighbridge_admission_errors_total{error=\"panic\"} 1",
        "controller_runtime_webhook_latency_seconds_count{webhook=\"/validate\"} 4",
        "controller_runtime_webhook_requests_total{webhook=\"/validate\",code=\"200\"} 4",
        "controller_runtime_webhook_requests_in_flight{webhook=\"/validate\"} 0",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
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
                "the model's size is not known: give weighbridge.dev/model"
            );
        }
    }
}

#[tokio::test]
async fn a_review_that_is_too_large_is_admitted_under_its_uid() {
    let review = review("enforced", "CREATE", &json!("OBJECT"), &Value::Null).to_string();
    let large = review.replace("\"OBJECT\"", &format!("[{}0]", "0,".repeat(14 << 20)));
    let (status, answer) = post("application/json", "/validate", large).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["auditAnnotations"], json!({"error": "too-large"}));
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
async fn an_abandoned_review_is_counted_and_no_longer_in_flight() {
    let webhook = webhook();
    let review = review("enforced", "CREATE", &job(Some("slow")), &Value::Null).to_string();
    let request = Request::post("/validate").header("content-type", "application/json");
    let answered = router(webhook.clone()).oneshot(request.body(Body::from(review)).unwrap());
    let in_flight = "controller_runtime_webhook_requests_in_flight{webhook=\"/validate\"}";
    tokio::select! {
        _ = answered => panic!("it is slow"),
        () = async {
            while !metrics_text(&webhook).contains(&format!("{in_flight} 1")) {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    let text = metrics_text(&webhook);
    for line in [
        &format!("{in_flight} 0"),
        "weighbridge_admission_reviews_total{decision=\"abandoned\",verdict=\"NotJudged\",mode=\"none\",\
         operation=\"other\",kind=\"other\"} 1",
        "controller_runtime_webhook_requests_total{webhook=\"/validate\",code=\"499\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn a_namespace_that_is_not_a_dns_label_is_not_looked_up() {
    // It accepts connections and never answers, so a look-up would time out.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = webhook_of(&format!("http://{}", silent.local_addr().unwrap()));
    for namespace in ["tb/configmaps/x", "..", "?watch=true", "", "A", "-a"] {
        let review = review(namespace, "CREATE", &job(Some("huge")), &Value::Null).to_string();
        let request = Request::post("/validate?timeout=30s").header("content-type", "application/json");
        let answering = router(webhook.clone()).oneshot(request.body(Body::from(review)).unwrap());
        let response =
            tokio::time::timeout(std::time::Duration::from_secs(5), answering).await.expect(namespace);
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
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
        let answered = super::router(webhook(), bodies.clone(), true).oneshot(request).await.unwrap();
        assert_eq!(answered.status(), status);
    }
}
