//! A page at an address of this machine, until Ctrl-C.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use axum::Router;
use tokio::signal::unix::{SignalKind, signal};

use super::output::print;
use crate::server::{Metrics, Port, Stop};

/// A port of this machine alone; 0 takes a free one.
pub(super) fn bind(port: u16) -> Result<Port> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Port::bind(address).context("choose another port with --port, or 0 for a free one")
}

/// Tells the address, and serves until it is interrupted. `path` is where the page begins.
pub(super) async fn serve(port: Port, router: Router, what: &str, path: &str) -> Result<()> {
    let (mut terminated, mut interrupted) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    print(&format!("{what} at http://{}{path} until you press Ctrl-C.\n", port.address()))?;
    let stop = Stop::default();
    let serving = tokio::spawn(port.serve_page(router, Metrics::default(), stop.clone()));
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    stop.gracefully();
    serving.await?
}
