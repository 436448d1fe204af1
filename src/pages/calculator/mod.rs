//! The calculator: a form of fields, and live what the training would take.
//!
//! ```text
//! GET  /                  the page: the form is made from the table of fields
//! POST /v1/calculate      {"fields": {"model": "llama-3-8b", …}, "days": "90"} ─► figures, drawings, layouts, lines to take
//! ```
//!
//! The page loads only from its own address, and the browser is told so. The answer to the same fields is that of `check`
//! and `plan`: the same functions make it ([`answer`]).
//!
//! Another page in the same browser cannot ask: only this machine's names are answered, so that no foreign name can lead
//! here, and a request must be JSON, which a browser sends to another origin only with permission. Nothing gives it.

mod answer;
mod form;
mod scaling;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::policy::Policy;

/// The largest question. Two hundred fields with values of usual length have a tenth of it.
const LARGEST_BODY: usize = 64 << 10;
/// Questions that are answered at once.
const AT_ONCE: usize = 2;
/// The page loads nothing from elsewhere, and runs nothing but its own file.
const CONTENT: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action \
                       'none'; base-uri 'none'; frame-ancestors 'none'";

struct Calculator {
    policy: Policy,
    page: String,
    turns: Semaphore,
}

/// The routes of the calculator on this machine.
pub fn router(policy: Policy) -> Router {
    let page = form::page(&policy.catalogue);
    let calculator = Arc::new(Calculator { policy, page, turns: Semaphore::new(AT_ONCE) });
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    Router::new()
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
        .layer(middleware::from_fn(only_of_this_machine))
        .with_state(calculator)
}

/// Refuses requests under other names than this machine's, and tells the browser what the page may do.
async fn only_of_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let mut response = if matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "the calculator answers at localhost alone").into_response()
    };
    let told = [
        (header::CONTENT_SECURITY_POLICY, CONTENT),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in told {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn page_of(State(calculator): State<Arc<Calculator>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], calculator.page.clone())
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
    let asked = calculator.clone();
    let Ok(_turn) = calculator.turns.acquire().await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "the calculator stops");
    };
    let answered = tokio::task::spawn_blocking(move || answer::answer(&question, &asked.policy)).await;
    match answered {
        Ok(Ok(answer)) => Json(answer).into_response(),
        _ => refused(StatusCode::INTERNAL_SERVER_ERROR, "calculating failed"),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(host: &str, kind: &str, body: &str) -> (StatusCode, Response, Value) {
        let request = Request::post("/v1/calculate")
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = router(Policy::default()).oneshot(request).await.unwrap();
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
