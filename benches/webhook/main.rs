//! `make bench-webhook`: what an answer of the gate takes, beside an answer of Pod Security Admission's own webhook.
//!
//! Both run at once beside one real control plane, and one client asks them in turn, over the same number of
//! connections, in TLS. Rates on a shared machine are noise, so the processor time of an answer stands beside them: it
//! is read from the kernel's account of the server's process, and hardly depends on what else runs.
//!
//! `ARGS=fairness` shows what a neighbour of a flood waits, `ARGS=controller` how fast estimates become Ready.
//! `ARGS="speed --gate PATH"` times another build.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for what it does not hold")]

mod client;
mod controller;
mod fairness;
mod figures;
mod podsecurity;
mod process;
mod reviews;
mod speed;

#[expect(dead_code, reason = "the other benchmark uses the rest")]
#[path = "../documents.rs"]
mod documents;

#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
#[path = "../../tests/controlplane/mod.rs"]
mod controlplane;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use controlplane::{ControlPlane, Options, Reach, Serve, Setup};

/// What the command line asks for.
struct Asked {
    speed: bool,
    fairness: bool,
    controller: bool,
    /// The build of weighbridge that is timed.
    gate: PathBuf,
    runs: usize,
    /// How many estimates are created.
    estimates: usize,
}

fn asked() -> Result<Option<Asked>> {
    let mut arguments = std::env::args().skip(1);
    let (mut is_bench, mut parts, mut runs, mut estimates) = (false, Vec::new(), 6, 2_000);
    let mut gate = PathBuf::from(env!("CARGO_BIN_EXE_weighbridge"));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--gate" => gate = arguments.next().context("--gate needs a path")?.into(),
            "--runs" => runs = arguments.next().context("--runs needs a number")?.parse()?,
            "--estimates" => estimates = arguments.next().context("--estimates needs a number")?.parse()?,
            "speed" | "fairness" | "controller" => parts.push(argument),
            other => bail!(
                "unknown argument {other:?}; known are speed, fairness, controller, --gate PATH, --runs N and \
                 --estimates N"
            ),
        }
    }
    let has = |part: &str| parts.is_empty() || parts.iter().any(|other| other == part);
    let (speed, fairness, controller) = (has("speed"), has("fairness"), has("controller"));
    let asked = Asked { speed, fairness, controller, gate, runs, estimates };
    // `cargo test --benches` only shows that it compiles.
    Ok(is_bench.then_some(asked))
}

/// One thread, so that the client leaves the other processors to the servers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Some(asked) = asked()? else { return Ok(()) };
    let options = Options { controller_manager: false, ..Options::standard()? };
    let control_plane = ControlPlane::start(options).await?;
    let serve = Serve::start(&control_plane, &asked.gate, Setup::new("bench", Reach::Everything)).await?;
    if asked.speed {
        speed::compare(&control_plane, &serve, asked.runs).await?;
    }
    if asked.fairness {
        fairness::measure(&control_plane, &serve, asked.runs).await?;
    }
    if asked.controller {
        return controller::measure(&control_plane, serve, asked.estimates).await;
    }
    serve.stop().await
}
