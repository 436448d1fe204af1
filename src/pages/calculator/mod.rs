//! The calculator: a form of fields, and live what the training would take.
//!
//! ```text
//! GET  /                  the page: the form is made from the table of fields
//! POST /v1/calculate      {"fields": {"model": "llama-3-8b", …}, "days": "90"} ─► figures, drawings, layouts, lines to take
//! ```
//!
//! The page loads only from its own address, and the browser is told so. The answer to the same fields is that of `check`
//! and `plan`: the same functions make it ([`answer`]). It reads no object of a cluster, and knows the policy alone.
//!
//! `weighbridge calculator` answers [this machine](Place::ThisMachine) alone, `serve` [everyone who reaches it](Place::Server). A
//! question must be JSON, which a browser sends to another origin only with permission. Nothing gives it.

mod answer;
mod choices;
mod form;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::Semaphore;

use super::guard;
use crate::policy::Policy;

/// The largest question. Two hundred fields with values of usual length have a tenth of it.
const LARGEST_BODY: usize = 64 << 10;
/// How long a question waits for its turn. The server closes connections that wait longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The page runs nothing but its own file, and asks its own address alone.
const CONTENT: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action \
                       'none'; base-uri 'none'; frame-ancestors 'none'";

/// Where the calculator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the machine of the person who asks.
    ThisMachine,
    /// In the cluster, beside the webhook.
    Server,
}

impl Place {
    /// The last line of the page.
    const fn words(self) -> &'static str {
        match self {
            Self::ThisMachine => "Nothing leaves this machine.",
            Self::Server => "It reads nothing of the cluster, and keeps no question.",
        }
    }

    /// Questions that are answered at once. Beside the webhook one is enough, so that admission has the other processors.
    const fn at_once(self) -> usize {
        match self {
            Self::ThisMachine => 2,
            Self::Server => 1,
        }
    }
}

/// The policy in effect, whenever it is asked for.
pub type Current = Arc<dyn Fn() -> Arc<Policy> + Send + Sync>;

struct Calculator {
    policy: Current,
    place: Place,
    turns: Semaphore,
}

/// The routes of the calculator.
pub fn router(policy: Current, place: Place) -> Router {
    let calculator = Arc::new(Calculator { policy, place, turns: Semaphore::new(place.at_once()) });
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    let router = Router::new()
        .route("/", get(page_of))
        .route(
            "/style.css",
            file(
                "text/css; charset=utf-8",
                concat!(include_str!("../style.css"), include_str!("calculator.css")),
            ),
        )
        .route("/calculator.js", file("text/javascript; charset=utf-8", include_str!("calculator.js")))
        // A browser asks for an icon by itself. There is none.
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/v1/calculate", post(calculate))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(calculator);
    match place {
        Place::ThisMachine => guard::only_of_this_machine(router, CONTENT),
        Place::Server => guard::with_rules(router, CONTENT),
    }
}

async fn page_of(State(calculator): State<Arc<Calculator>>) -> impl IntoResponse {
    let page = form::page(&(calculator.policy)().catalogue, calculator.place);
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page)
}

async fn calculate(State(calculator): State<Arc<Calculator>>, headers: HeaderMap, body: Bytes) -> Response {
    let refused = |status: StatusCode, why: &str| (status, Json(json!({ "error": why }))).into_response();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the question must be application/json");
    }
    let question: answer::Question = match serde_json::from_slice(&body) {
        Ok(question) => question,
        Err(error) => {
            return refused(StatusCode::BAD_REQUEST, &format!("the question cannot be read: {error}"));
        }
    };
    let Ok(Ok(_turn)) = tokio::time::timeout(PATIENCE, calculator.turns.acquire()).await else {
        return refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "the calculator is busy: change a field to ask again",
        );
    };
    let policy = (calculator.policy)();
    let answered = tokio::task::spawn_blocking(move || answer::answer(&question, &policy)).await;
    match answered {
        Ok(Ok(answer)) => Json(answer).into_response(),
        _ => refused(StatusCode::INTERNAL_SERVER_ERROR, "calculating failed"),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;

    fn calculator(place: Place) -> Router {
        let policy = Arc::new(Policy::default());
        router(Arc::new(move || policy.clone()), place)
    }

    async fn ask(host: &str, kind: &str, body: &str) -> (StatusCode, Response, Value) {
        ask_at(Place::ThisMachine, host, kind, body).await
    }

    async fn ask_at(place: Place, host: &str, kind: &str, body: &str) -> (StatusCode, Response, Value) {
        let request = Request::post("/v1/calculate")
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = calculator(place).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes).unwrap_or_default();
        (parts.status, Response::from_parts(parts, Body::empty()), value)
    }

    const QUESTION: &str =
        r#"{"fields": {"model": "llama-3-8b", "method": "lora", "gpu-type": "A100-80GB"}}"#;

    #[tokio::test]
    async fn the_answer_is_that_of_check() {
        let (status, _, answer) = ask("localhost:8765", "application/json", QUESTION).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["element"]["model"], "llama-3-8b");
        assert!(answer["html"].as_str().is_some_and(|html| html.contains("<svg")), "{answer}");
    }

    #[tokio::test]
    async fn other_pages_and_other_names_are_refused() {
        for (host, kind, expected) in [
            ("evil.example", "application/json", StatusCode::MISDIRECTED_REQUEST),
            ("localhost.evil.example:8765", "application/json", StatusCode::MISDIRECTED_REQUEST),
            ("", "application/json", StatusCode::MISDIRECTED_REQUEST),
            ("127.0.0.1:8765", "text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ("[::1]:8765", "application/json", StatusCode::OK),
        ] {
            let (status, response, _) = ask(host, kind, QUESTION).await;
            assert_eq!(status, expected, "{host} {kind}");
            assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], CONTENT);
        }
    }

    #[tokio::test]
    async fn a_server_answers_under_every_name_and_still_asks_for_json() {
        for (kind, expected) in
            [("application/json", StatusCode::OK), ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE)]
        {
            let (status, response, _) = ask_at(Place::Server, "gpu.example", kind, QUESTION).await;
            assert_eq!(status, expected, "{kind}");
            assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], CONTENT);
        }
    }

    #[tokio::test]
    async fn nonsense_is_answered_with_what_is_wrong() {
        for body in ["", "3", "{\"fields\": 3}", "{\"fields\": {\"a\": {}}}"] {
            let (status, _, answer) = ask("localhost", "application/json", body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(answer["error"].is_string(), "{body}");
        }
        let long = format!("{{\"fields\": {{\"model\": \"{}\"}}}}", "x".repeat(LARGEST_BODY));
        let (status, _, _) = ask("localhost", "application/json", &long).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
