//! Alive and ready are two things.
//!
//! A process is alive if it answers at all; a restart would not help in any other case. It is ready if all its
//! [gates](Gate) are open: caches filled, our definition served, certificate trusted, not stopping. `/readyz` names
//! the closed gates.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::telemetry;

/// The sources of readiness.
#[derive(Clone)]
pub struct Health {
    cluster: Arc<Cluster>,
    certificate: watch::Receiver<bool>,
    stopping: CancellationToken,
}

/// A condition of readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gate {
    name: &'static str,
    /// Why it is closed. None while it is open.
    shut: Option<String>,
}

impl Health {
    /// Readiness by these caches and this certificate, until shutdown.
    pub fn new(
        cluster: Arc<Cluster>,
        certificate: watch::Receiver<bool>,
        stopping: CancellationToken,
    ) -> Self {
        Self { cluster, certificate, stopping }
    }

    /// Waits until the process is ready. Never returns if it is stopped first.
    pub async fn ready(&self) {
        self.cluster.readiness.ready().await;
        // An error means that the certificates have ended. Then it never becomes ready.
        if self.certificate.clone().wait_for(|trusted| *trusted).await.is_err()
            || self.stopping.is_cancelled()
        {
            std::future::pending::<()>().await;
        }
    }

    fn gates(&self) -> [Gate; 4] {
        let missing = self.cluster.readiness.missing();
        let caches = match (self.cluster.readiness.is_filled(), missing.is_empty()) {
            (true, _) => None,
            (false, true) => Some("discovery has not ended".to_owned()),
            (false, false) => Some(format!("still reading {}", missing.join(", "))),
        };
        let undefined = "trainingestimates.weighbridge.dev is not served: weighbridge crds | kubectl apply --server-side -f -";
        let definition = (!self.cluster.readiness.is_defined()).then(|| undefined.to_owned());
        let certificate = (!*self.certificate.borrow()).then(|| "not trusted yet".to_owned());
        let stopping = self.stopping.is_cancelled().then(|| "the process was told to stop".to_owned());
        [
            Gate { name: "caches", shut: caches },
            Gate { name: "definition", shut: definition },
            Gate { name: "certificate", shut: certificate },
            Gate { name: "running", shut: stopping },
        ]
    }
}

/// `/livez`, `/readyz` and `/metrics`.
pub fn router(health: Health, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(metrics).with_state(registry))
}

async fn readyz(State(health): State<Health>) -> Response {
    let gates = health.gates();
    let line = |gate: &Gate| match &gate.shut {
        None => format!("{}: ok\n", gate.name),
        Some(why) => format!("{}: {why}\n", gate.name),
    };
    let open = gates.iter().all(|gate| gate.shut.is_none());
    let status = if open { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, gates.iter().map(line).collect::<String>()).into_response()
}

/// The metrics, as OpenMetrics to a reader that accepts it, else in Prometheus' older text format.
async fn metrics(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> impl IntoResponse {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let openmetrics = accepted.into_iter().any(|value| value.contains("application/openmetrics-text"));
    let text = telemetry::encode(&registry);
    if openmetrics {
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(header::CONTENT_TYPE, content_type)], text)
    } else {
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        ([(header::CONTENT_TYPE, content_type)], telemetry::as_prometheus_text(&text))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::config::policy::Policies;
    use crate::policy::Policy;

    #[tokio::test]
    async fn a_reader_gets_the_format_that_it_accepts() {
        let mut registry = Registry::default();
        registry.register("jobs", "Jobs", prometheus_client::metrics::counter::Counter::<u64>::default());
        let registry = Arc::new(registry);
        for (accept, content_type, kind) in [
            (None, "text/plain; version=0.0.4; charset=utf-8", "# TYPE jobs_total counter"),
            (
                Some("text/plain;version=0.0.4"),
                "text/plain; version=0.0.4; charset=utf-8",
                "# TYPE jobs_total counter",
            ),
            (
                Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                "# TYPE jobs counter",
            ),
        ] {
            let headers = accept.map(|accept| (header::ACCEPT, accept.parse().unwrap()));
            let answer =
                metrics(State(registry.clone()), HeaderMap::from_iter(headers)).await.into_response();
            assert_eq!(answer.headers()[header::CONTENT_TYPE], content_type, "{accept:?}");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(text.contains(kind) && text.contains("jobs_total 0"), "{text}");
            assert_eq!(text.contains("# EOF"), accept.is_some_and(|accept| accept.contains("openmetrics")));
        }
    }

    async fn readyz(health: &Health) -> (StatusCode, String) {
        let router = router(health.clone(), Arc::default());
        let response = router.oneshot(Request::get("/readyz").body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_process_is_ready_while_every_gate_is_open() {
        let cluster =
            Cluster::new(Policies::new(Policy::default()), Vec::new(), crate::policy::Reads::default());
        let (trusted, certificate) = watch::channel(false);
        let stopping = CancellationToken::new();
        let health = Health::new(cluster.clone(), certificate, stopping.clone());
        let (status, gates) = readyz(&health).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(gates.contains("caches: still reading namespaces, nodes"), "{gates}");
        assert!(gates.contains("certificate: not trusted yet"), "{gates}");

        for cache in ["nodes", "namespaces"] {
            cluster.readiness.reached(cache);
        }
        cluster.readiness.discovered();
        cluster.readiness.defined();
        trusted.send_replace(true);
        health.ready().await;
        assert_eq!(readyz(&health).await.0, StatusCode::OK);

        stopping.cancel();
        let (status, gates) = readyz(&health).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(gates.contains("running: the process was told to stop"), "{gates}");
    }
}
