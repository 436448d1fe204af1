//! `weighbridge calculator`: the calculator's page, at an address of this machine, until Ctrl-C.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::local_page;
use crate::pages::calculator::{self, Place};
use crate::policy::Policy;

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
    let policy = Arc::new(Policy::of_file(arguments.policy.as_deref())?);
    let port = local_page::bind(arguments.port)?;
    let router = calculator::router(Arc::new(move || policy.clone()), Place::ThisMachine);
    let serving = local_page::serve(port, router, "The calculator is", "/");
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serving)?;
    Ok(ExitCode::SUCCESS)
}
