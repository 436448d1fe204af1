//! `POST /v1/estimate`: judgements for other engines, Kyverno and Gatekeeper for two. Off, unless `serve --api`.
//!
//! JSON in: a workload, a `TrainingEstimate`, a `List` of these and of documents that inform (`ConfigMap`, `Node`), or
//! `{"object": …}` around one, as Kyverno sends it. JSON out: the array that `check -o json` prints. Nothing is resolved
//! from the cluster, so that nobody learns through us what they may not read; only the policy is this cluster's.
//!
//! Who asks shows a token of the cluster ([`authentication`]), and asks no more than ten times a second.

mod authentication;

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use kube::Client;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::policy::Policies;
use crate::job::{Ask, Quoting};
use crate::kinds::object::{self, NotRead};
use crate::policy::Policy;
use crate::server::bodies::{Came, Dropped, Taken};
use crate::server::{Bodies, Caller};
use crate::{batch, report};
use authentication::{Authentication, Unauthenticated};

/// No workload is larger; the apiserver takes none over 3 MiB.
const LARGEST_BODY: usize = 3 << 20;
/// Documents of one request.
const MOST_DOCUMENTS: usize = 256;
/// How often one user may ask.
const A_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// How long a request may take, waiting included.
const LONGEST: Duration = Duration::from_secs(10);

/// What is counted.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<OfCode, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCode {
    code: u16,
}

impl Metrics {
    /// Makes them readable.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_estimate_requests",
            "Requests to POST /v1/estimate, by HTTP code",
            self.requests.clone(),
        );
    }
}

/// What it takes to answer.
struct Endpoint {
    authentication: Authentication,
    policies: Arc<Policies>,
    limits: DefaultKeyedRateLimiter<String>,
    /// One at a time: admission goes first.
    at_once: Arc<Semaphore>,
    bodies: Bodies,
    metrics: Metrics,
}

/// The route.
pub fn router(client: Client, policies: Arc<Policies>, bodies: Bodies, metrics: Metrics) -> Router {
    let endpoint = Endpoint {
        authentication: Authentication::new(client),
        policies,
        limits: RateLimiter::keyed(Quota::per_second(A_SECOND)),
        at_once: Arc::new(Semaphore::new(1)),
        bodies,
        metrics,
    };
    Router::new().route("/v1/estimate", post(estimate)).with_state(Arc::new(endpoint))
}

async fn estimate(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let answered = tokio::time::timeout(LONGEST, endpoint.answer(request)).await;
    let response = match answered {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Ok(Err((status, why))) => (status, axum::Json(json!({ "error": why }))).into_response(),
        Err(_elapsed) => {
            let why = json!({"error": "there was no time to judge it; ask again"});
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(why)).into_response()
        }
    };
    endpoint.metrics.requests.get_or_create(&OfCode { code: response.status().as_u16() }).inc();
    response
}

impl Endpoint {
    async fn answer(&self, request: Request) -> Result<String, (StatusCode, String)> {
        let user = self.user(request.headers()).await?;
        if self.limits.check_key(&user).is_err() {
            let why = format!("more than {A_SECOND} requests a second");
            return Err((StatusCode::TOO_MANY_REQUESTS, why));
        }
        // Who has not asked for a while is forgotten.
        if self.limits.len() > 1_000 {
            self.limits.retain_recent();
        }
        // Only now: a stranger's body is not read.
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
        let until = Instant::now() + LONGEST;
        let body = match self.bodies.read(&caller, request.into_body(), LARGEST_BODY, until).await {
            Came::Whole(body) => body,
            Came::Head(_, Dropped::TooLarge) => {
                let why = format!("the body is larger than {} MiB", LARGEST_BODY >> 20);
                return Err((StatusCode::PAYLOAD_TOO_LARGE, why));
            }
            Came::Head(_, Dropped::NoRoom) => return Err(no_room()),
            Came::Broken | Came::Head(_, Dropped::Late) => {
                return Err((StatusCode::BAD_REQUEST, "the body did not come to its end".to_owned()));
            }
        };
        let policy = self.policies.current();
        let permit = self.at_once.clone().acquire_owned().await;
        let body = body.take().ok_or_else(no_room)?;
        let judging = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            catch_unwind(AssertUnwindSafe(|| judged(body, &policy)))
        });
        let failed = || (StatusCode::INTERNAL_SERVER_ERROR, "judging it failed".to_owned());
        match judging.await {
            Ok(Ok(judged)) => judged,
            _ => Err(failed()),
        }
    }

    async fn user(&self, headers: &HeaderMap) -> Result<String, (StatusCode, String)> {
        self.authentication.user(headers).await.map_err(|error| match error {
            Unauthenticated::Unreachable => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            _ => (StatusCode::UNAUTHORIZED, error.to_string()),
        })
    }
}

fn no_room() -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, "there is too much to judge at once; ask again".to_owned())
}

/// The report of what a body holds.
fn judged(body: Taken, policy: &Policy) -> Result<String, (StatusCode, String)> {
    let objects = documents(body.bytes()).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    drop(body);
    // Who asks has brought every object along.
    let ask = Ask { quoting: Quoting::Everything, ..Ask::default() };
    report::json(&batch::entries(&objects, policy, &ask))
        .map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "judging it failed".to_owned()))
}

/// The documents of a body.
fn documents(body: &[u8]) -> Result<Vec<Value>, String> {
    let body = object::read(body).map_err(|error| match error {
        NotRead::TooLarge => "the body has more values than are read".to_owned(),
        NotRead::Malformed(why) => format!("the body is not JSON: {why}"),
    })?;
    let inner = match body {
        Value::Object(mut fields) if !fields.contains_key("kind") => fields.remove("object"),
        object @ Value::Object(_) => Some(object),
        _ => None,
    };
    let object = inner.filter(|inner| inner.get("kind").is_some());
    let object =
        object.ok_or("the body must be a Kubernetes object, a List, or {\"object\": …} around one")?;
    let is_list = object.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    let documents = match object.get("items") {
        Some(Value::Array(items)) if is_list => items.clone(),
        _ => vec![object],
    };
    if documents.len() > MOST_DOCUMENTS {
        return Err(format!("a List of {} objects; at most {MOST_DOCUMENTS} are read", documents.len()));
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_comes_bare_or_wrapped_or_in_a_list() {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job"});
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [job, job]});
        for (body, count) in
            [(json!({"object": job}), 1), (job.clone(), 1), (list.clone(), 2), (json!({"object": list}), 2)]
        {
            assert_eq!(documents(body.to_string().as_bytes()).unwrap().len(), count, "{body}");
        }
    }

    #[test]
    fn anything_else_is_told_what_it_must_be() {
        for body in ["", "[]", "{}", "7", "{\"object\": 7}", "{\"object\": {}}"] {
            let why = documents(body.as_bytes()).unwrap_err();
            assert!(why.contains("not JSON") || why.contains("must be a Kubernetes object"), "{body}: {why}");
        }
        let many = json!({"kind": "List", "items": vec![json!({"kind": "Job"}); 257]});
        assert!(documents(many.to_string().as_bytes()).unwrap_err().contains("at most 256"));
    }
}
