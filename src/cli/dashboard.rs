//! `weighbridge dashboard`: the estimates of a cluster in a browser, until Ctrl-C.
//!
//! The page runs on the machine of the person who looks, and reads with that person's kubeconfig. So it shows what kubectl would
//! show, no token reaches a server of ours, and the cluster needs no further address or login. Other people on the machine
//! could ask the same port: the address has a secret part, and nothing is answered without it.

use std::fs::File;
use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use clap::Args;

use super::estimates::{Access, Viewer};
use super::local_page;
use crate::pages::{estimates, guard};
use crate::tls;

/// The page has a style sheet and no script.
const CONTENT: &str =
    "default-src 'none'; style-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The arguments of `dashboard`.
#[derive(Args, Debug)]
#[command(
    after_help = "The page shows the TrainingEstimates that you may read, as kubectl would. It reads them again with each \
                        reload, and writes nothing.\n\nExample:\n  kubectl weighbridge dashboard\n  kubectl weighbridge \
                        dashboard -n team-a -n team-b"
)]
pub(super) struct Arguments {
    /// A namespace; several may be given [default: all that you may read]
    #[arg(short, long, value_name = "NAME")]
    namespace: Vec<String>,
    #[command(flatten)]
    access: Access,
    /// The port, on this machine alone; 0 takes a free one
    #[arg(long, default_value_t = 8766)]
    port: u16,
}

struct Dashboard {
    viewer: Viewer,
    namespaces: Vec<String>,
}

/// Serves the page until it is interrupted.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    tls::install_provider();
    let port = local_page::bind(arguments.port)?;
    let path = format!("/{}/", secret()?);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let viewer = Viewer::with(&arguments.access).await?;
        let dashboard = Dashboard { viewer, namespaces: arguments.namespace.clone() };
        // What cannot be read at all is told here, and not in the browser.
        dashboard.viewer.seen(&dashboard.namespaces).await?;
        local_page::serve(port, router(dashboard, &path), "The dashboard is", &path).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A part of the address that cannot be guessed.
fn secret() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("no random numbers: /dev/urandom cannot be read")?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

fn router(dashboard: Dashboard, path: &str) -> Router {
    let style = || async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], estimates::STYLE) };
    let pages = Router::new()
        .route("/", get(overview))
        .route("/style.css", get(style))
        .route("/jobs/{namespace}/{name}", get(one))
        .with_state(Arc::new(dashboard));
    let router = Router::new()
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .nest_service(path.trim_end_matches('/'), pages);
    guard::only_of_this_machine(router, CONTENT)
}

async fn overview(State(dashboard): State<Arc<Dashboard>>) -> Response {
    match dashboard.viewer.seen(&dashboard.namespaces).await {
        Ok(seen) => page(StatusCode::OK, estimates::overview(&dashboard.viewer.cluster, seen)),
        Err(error) => page(StatusCode::BAD_GATEWAY, estimates::trouble("", &format!("{error:#}"))),
    }
}

async fn one(
    State(dashboard): State<Arc<Dashboard>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    // Other letters are in no name, and could be another address of the apiserver.
    let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let read = async {
        if is_name(&namespace) && is_name(&name) {
            dashboard.viewer.one(&namespace, &name).await
        } else {
            Ok(None)
        }
    };
    match read.await {
        Ok(Some(estimate)) => page(StatusCode::OK, estimates::one(&estimate)),
        Ok(None) => {
            let gone = format!("There is no estimate {name} in {namespace} any more.");
            page(StatusCode::NOT_FOUND, estimates::trouble("../../", &gone))
        }
        Err(error) => page(StatusCode::BAD_GATEWAY, estimates::trouble("../../", &format!("{error:#}"))),
    }
}

fn page(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}
