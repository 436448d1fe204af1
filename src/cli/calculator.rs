//! `weighbridge calculator`: the calculator's page, at an address of this machine, until Ctrl-C.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::output::print;
use crate::pages::calculator;
use crate::policy::Policy;
use crate::server::{Metrics, Port, Stop};

/// The arguments of `calculator`.
#[derive(Args, Debug)]
#[command(
    after_help = "The page uses no network: it talks to this program alone. Its address holds all fields, so a \
                        bookmark or a link keeps a question.\n\nExample:\n  weighbridge calculator\n  weighbridge \
                        calculator --port 9000 --policy policy.yaml"
)]
pub(super) struct Arguments {
    /// The port, on this machine alone; 0 takes a free one
    #[arg(long, default_value_t = 8765)]
    port: u16,
    /// The policy's file, as `serve --config` takes it
    #[arg(long, visible_alias = "config", value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Serves the page until it is interrupted.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let policy = Policy::of_file(arguments.policy.as_deref())?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let port = Port::bind(address).context("choose another port with --port, or 0 for a free one")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(port, policy))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(port: Port, policy: Policy) -> anyhow::Result<()> {
    let (mut terminated, mut interrupted) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    print(&format!("The calculator is at http://{}/ until you press Ctrl-C.\n", port.address()))?;
    let stop = Stop::default();
    let serving =
        tokio::spawn(port.serve_plain(calculator::router(policy), Metrics::default(), stop.clone()));
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    stop.gracefully();
    serving.await?
}
