//! The webhook's only route, `POST /validate`. It accepts JSON that arrives in time and fits into the replica's
//! budget.
//!
//! Every review with a uid is answered with 200: the apiserver takes any other code for a failure of the webhook,
//! and then refuses the object under `failurePolicy: Fail`. So a review that is too large or too late, or for which there is
//! no room, is read up to its uid and admitted with a warning.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;

use super::{Webhook, deadline};
use crate::server::bodies::{Came, Dropped};
use crate::server::{Bodies, Caller};

/// The apiserver reads at most 3 MiB of a request (`MaxRequestBodyBytes` of its generic server) and stores at most
/// 1.5 MiB of an object (etcd's `--max-request-bytes`). Go's JSON encoder writes `<`, `>`, `&` and control characters
/// as six characters. So an ordinary review has at most 18 MiB of a new object and 9 MiB of the old one, plus its
/// other fields. Only a protobuf request that is written to grow becomes larger; it is admitted unjudged.
const LARGEST_BODY: usize = 28 << 20;
/// The longest time for a body to arrive. The apiserver sends only complete bodies.
const BODY: Duration = Duration::from_secs(10);

/// The state of the route.
struct Route {
    webhook: Arc<Webhook>,
    bodies: Bodies,
    /// Whether callers must show a client certificate.
    certified: bool,
}

/// The route. If `certified` is true, only callers with a client certificate are answered.
pub fn router(webhook: Arc<Webhook>, bodies: Bodies, certified: bool) -> Router {
    Router::new()
        .route("/validate", post(validate))
        // The last resort: judging catches its own panics. The panic's message is not sent, because it may quote a
        // review.
        .layer(CatchPanicLayer::custom(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        .with_state(Arc::new(Route { webhook, bodies, certified }))
}

async fn validate(State(route): State<Arc<Route>>, request: Request) -> Response {
    let requested = route.webhook.metrics().requested();
    let response = answer(&route, request).await;
    requested.answered(response.status().as_u16());
    response
}

async fn answer(route: &Route, request: Request) -> Response {
    let Route { webhook, bodies, certified } = route;
    let allowance = deadline::allowance(request.uri().query());
    let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
    // The apiserver's timeout includes the time to connect.
    let started = caller.since.unwrap_or_else(Instant::now);
    if *certified && !caller.certified {
        webhook.metrics().unanswerable();
        return (StatusCode::FORBIDDEN, "a client certificate of the apiserver is required").into_response();
    }
    if !is_json(request.headers()) {
        webhook.metrics().unanswerable();
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json")
            .into_response();
    }
    let until = (started + allowance).min(Instant::now() + BODY);
    let received = bodies.read(&caller, request.into_body(), LARGEST_BODY, until).await;
    let code_without_uid = match &received {
        Came::Broken => {
            webhook.metrics().unanswerable();
            return (StatusCode::BAD_REQUEST, "the body is incomplete").into_response();
        }
        Came::Head(_, Dropped::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        Came::Head(_, Dropped::NoRoom) => StatusCode::SERVICE_UNAVAILABLE,
        Came::Head(_, Dropped::Late) => StatusCode::REQUEST_TIMEOUT,
        Came::Whole(_) => StatusCode::BAD_REQUEST,
    };
    match webhook.answer(received, &caller, allowance.saturating_sub(started.elapsed())).await {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(unanswerable) => (code_without_uid, unanswerable.to_string()).into_response(),
    }
}

/// Whether the content type is `application/json`, with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
