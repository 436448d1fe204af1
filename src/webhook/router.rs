//! The webhook's one route, `POST /validate`, and what it takes from strangers: JSON, in time, within the replica's budget.
//!
//! Whatever has a uid is answered with 200, since the apiserver takes any other code for a webhook that failed, and that
//! refuses under `failurePolicy: Fail`. So a review that is too large, that does not come in time, or for which there is no
//! room, is read up to its uid and admitted with a warning.

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

/// The apiserver reads at most 3 MiB of a request (`MaxRequestBodyBytes` of its generic server), stores at most 1.5 MiB of
/// an object (etcd's `--max-request-bytes`), and writes JSON with Go's encoder, which takes six characters for `<`, `>`,
/// `&` and control characters. So an ordinary review has at most 18 MiB of a new object, 9 MiB of the old one, and what is
/// around them. More comes only of a request in protobuf that is written to swell; it is admitted unjudged.
const LARGEST_BODY: usize = 28 << 20;
/// How long a body may take to come. The apiserver has it whole before it sends it.
const BODY: Duration = Duration::from_secs(10);

/// What the route needs besides the webhook.
struct Route {
    webhook: Arc<Webhook>,
    bodies: Bodies,
    /// Whether a caller must have shown a client certificate.
    certified: bool,
}

/// The route. Only callers with a client certificate are answered, where `certified` says so.
pub fn router(webhook: Arc<Webhook>, bodies: Bodies, certified: bool) -> Router {
    Router::new()
        .route("/validate", post(validate))
        // The last resort: judging has its own. What the panic says is not repeated, since it may quote a review.
        .layer(CatchPanicLayer::custom(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        .with_state(Arc::new(Route { webhook, bodies, certified }))
}

async fn validate(State(route): State<Arc<Route>>, request: Request) -> Response {
    let requested = route.webhook.metrics().requested();
    let response = answered(&route, request).await;
    requested.answered(response.status().as_u16());
    response
}

async fn answered(route: &Route, request: Request) -> Response {
    let Route { webhook, bodies, certified } = route;
    let allowance = deadline::allowance(request.uri().query());
    let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
    // The apiserver's time runs while it connects, too.
    let started = caller.since.unwrap_or_else(Instant::now);
    if *certified && !caller.certified {
        webhook.metrics().unanswerable();
        return (StatusCode::FORBIDDEN, "show the client certificate of the apiserver").into_response();
    }
    if !is_json(request.headers()) {
        webhook.metrics().unanswerable();
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json")
            .into_response();
    }
    let until = (started + allowance).min(Instant::now() + BODY);
    let came = bodies.read(&caller, request.into_body(), LARGEST_BODY, until).await;
    let otherwise = match &came {
        Came::Broken => {
            webhook.metrics().unanswerable();
            return (StatusCode::BAD_REQUEST, "the body did not come to its end").into_response();
        }
        Came::Head(_, Dropped::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        Came::Head(_, Dropped::NoRoom) => StatusCode::SERVICE_UNAVAILABLE,
        Came::Head(_, Dropped::Late) => StatusCode::REQUEST_TIMEOUT,
        Came::Whole(_) => StatusCode::BAD_REQUEST,
    };
    match webhook.answer(came, &caller, allowance.saturating_sub(started.elapsed())).await {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(unanswerable) => (otherwise, unanswerable.to_string()).into_response(),
    }
}

/// `application/json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
