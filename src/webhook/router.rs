//! The webhook's one route, `POST /validate`, and what it takes from strangers: JSON, at most 28 MiB of it, in time.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tower_http::catch_panic::CatchPanicLayer;

use super::{Webhook, deadline};

/// The apiserver takes objects of up to 3 MiB and keeps them up to 1.5 MiB, and Go writes `<`, `>` and `&` in six
/// characters: 18 MiB of a new object, 9 MiB of the old one, and what is around them. What isn't read is not weighed.
const LARGEST_BODY: usize = 28 << 20;

/// The route.
pub fn router(webhook: Arc<Webhook>) -> Router {
    Router::new()
        .route("/validate", post(validate))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        // The last resort: judging has its own.
        .layer(CatchPanicLayer::new())
        .with_state(webhook)
}

async fn validate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    let response = answered(&webhook, request).await;
    webhook.metrics().requested(response.status().as_u16());
    response
}

async fn answered(webhook: &Webhook, request: Request) -> Response {
    let started = Instant::now();
    let allowance = deadline::allowance(request.uri().query());
    if !is_json(request.headers()) {
        webhook.metrics().unanswerable();
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json")
            .into_response();
    }
    let body = match tokio::time::timeout(allowance, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => {
            webhook.metrics().unanswerable();
            return rejection.into_response();
        }
        Err(_elapsed) => {
            webhook.metrics().unanswerable();
            return (StatusCode::REQUEST_TIMEOUT, "the body did not come in time").into_response();
        }
    };
    match webhook.answer(body, allowance.saturating_sub(started.elapsed())).await {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(unanswerable) => (StatusCode::BAD_REQUEST, unanswerable.to_string()).into_response(),
    }
}

/// `application/json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
