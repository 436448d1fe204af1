//! What a browser may do with a page, and who may ask for it.
//!
//! A page at this machine's address answers to this machine's names alone, so that no foreign name can lead here. Its
//! address is not passed on when it is left, it is not kept, and no other page shows it.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};

/// Routes that answer requests to this machine's names alone. `content` is the Content-Security-Policy.
pub fn only_of_this_machine(router: Router, content: &'static str) -> Router {
    with_rules(router.layer(middleware::from_fn(refuse_other_names)), content)
}

/// Routes whose pages a browser shows by these rules.
pub(super) fn with_rules(router: Router, content: &'static str) -> Router {
    router.layer(middleware::from_fn_with_state(content, tell_rules))
}

async fn refuse_other_names(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this page answers at localhost alone").into_response()
    }
}

async fn tell_rules(State(content): State<&'static str>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let told = [
        (header::CONTENT_SECURITY_POLICY, content),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in told {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
