//! `POST /v1/estimate`: judgements for other policy engines, such as Kyverno and Gatekeeper. Off, unless `serve
//! --api`.
//!
//! The request is JSON: a workload, a `TrainingEstimate`, a `List` of these and of their documents (`ConfigMap`,
//! `Node`), or one of these in `{"object": …}`, as Kyverno sends it. The answer is the array of `check -o json`. The
//! endpoint reads no object of the cluster, so that callers cannot learn about objects that they may not read. Only
//! the policy is the cluster's.
//!
//! Callers need a token of the cluster ([`authentication`]), and may send ten requests a second.

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

use crate::batch::{self, Object};
use crate::config::policy::Policies;
use crate::job::{Ask, Quoting};
use crate::kinds::object::{self, NotRead};
use crate::policy::Policy;
use crate::report;
use crate::server::bodies::{Came, Dropped, Taken};
use crate::server::{Bodies, Caller};
use crate::surroundings::Surroundings;
use authentication::{Authentication, Unauthenticated};

/// The largest body. The apiserver accepts no request over 3 MiB.
const LARGEST_BODY: usize = 3 << 20;
/// The most documents of a request.
const MOST_DOCUMENTS: usize = 256;
/// How many requests a user may send in a second.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// The longest time for a request, including its wait.
const LONGEST: Duration = Duration::from_secs(10);

/// The metrics of the endpoint.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<CodeLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: u16,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_estimate_requests",
            "Requests to POST /v1/estimate, by HTTP code",
            self.requests.clone(),
        );
    }
}

/// The state of the endpoint.
struct Endpoint {
    authentication: Authentication,
    policies: Arc<Policies>,
    limits: DefaultKeyedRateLimiter<String>,
    /// One request is judged at a time, so that admission has the other processors.
    judging: Arc<Semaphore>,
    bodies: Bodies,
    metrics: Metrics,
}

/// The route. Tokens for these audiences count, besides those for the apiserver.
pub fn router(
    client: Client,
    audiences: Vec<String>,
    policies: Arc<Policies>,
    bodies: Bodies,
    metrics: Metrics,
) -> Router {
    let endpoint = Endpoint {
        authentication: Authentication::new(client, audiences),
        policies,
        limits: RateLimiter::keyed(Quota::per_second(REQUESTS_PER_SECOND)),
        judging: Arc::new(Semaphore::new(1)),
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
            let why = json!({"error": "there was no time to judge the request; try again"});
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(why)).into_response()
        }
    };
    endpoint.metrics.requests.get_or_create(&CodeLabels { code: response.status().as_u16() }).inc();
    response
}

impl Endpoint {
    async fn answer(&self, request: Request) -> Result<String, (StatusCode, String)> {
        let user = self.user(request.headers()).await?;
        if self.limits.check_key(&user).is_err() {
            let why = format!("more than {REQUESTS_PER_SECOND} requests a second");
            return Err((StatusCode::TOO_MANY_REQUESTS, why));
        }
        // Users without recent requests are removed.
        if self.limits.len() > 1_000 {
            self.limits.retain_recent();
        }
        // The body is read only after authentication.
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
                return Err((StatusCode::BAD_REQUEST, "the body is incomplete".to_owned()));
            }
        };
        let policy = self.policies.current();
        let permit = self.judging.clone().acquire_owned().await;
        let body = body.take().ok_or_else(no_room)?;
        let judging = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            catch_unwind(AssertUnwindSafe(|| judged(body, &policy)))
        });
        let failed = || (StatusCode::INTERNAL_SERVER_ERROR, "judging the request failed".to_owned());
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
    (StatusCode::SERVICE_UNAVAILABLE, "weighbridge is overloaded; try again".to_owned())
}

/// The report about the objects of a body.
fn judged(body: Taken, policy: &Policy) -> Result<String, (StatusCode, String)> {
    let objects = documents(body.bytes()).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    drop(body);
    // The caller has sent every object, so all values may be quoted.
    let ask = Ask { quoting: Quoting::Everything, ..Ask::default() };
    let around = Surroundings::of(&objects, &policy.kinds);
    let objects: Vec<_> = objects.into_iter().map(|value| Object { value, place: None }).collect();
    report::values(&batch::entries(&objects, &around, policy, &ask))
        .and_then(|values| report::json(&values))
        .map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "judging the request failed".to_owned()))
}

/// The documents in a body.
fn documents(body: &[u8]) -> Result<Vec<Value>, String> {
    let body = object::read(body).map_err(|error| match error {
        NotRead::TooLarge => "the body has too many values".to_owned(),
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
    fn an_object_may_be_bare_wrapped_or_in_a_list() {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job"});
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [job, job]});
        for (body, count) in
            [(json!({"object": job}), 1), (job.clone(), 1), (list.clone(), 2), (json!({"object": list}), 2)]
        {
            assert_eq!(documents(body.to_string().as_bytes()).unwrap().len(), count, "{body}");
        }
    }

    #[test]
    fn another_body_is_refused_with_the_expected_form() {
        for body in ["", "[]", "{}", "7", "{\"object\": 7}", "{\"object\": {}}"] {
            let why = documents(body.as_bytes()).unwrap_err();
            assert!(why.contains("not JSON") || why.contains("must be a Kubernetes object"), "{body}: {why}");
        }
        let many = json!({"kind": "List", "items": vec![json!({"kind": "Job"}); 257]});
        assert!(documents(many.to_string().as_bytes()).unwrap_err().contains("at most 256"));
    }
}
