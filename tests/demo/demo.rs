//! `make demo`: the whole way on a real control plane, for a person to watch.
//!
//! A PyTorchJob that would run out of memory is refused by a real kube-apiserver, its fixed sibling is admitted, and
//! `kubectl get trainingestimates` shows what the admitted ones will take. Then everything stays up until it is
//! interrupted; with `--once` it ends by itself, with status 0 only if all of that really happened.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "showing things is what it is for")]

#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
#[path = "../controlplane/mod.rs"]
mod controlplane;
mod programs;
mod scenes;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use controlplane::{ControlPlane, Options, Reach, Serve, Setup};
use tokio::signal::unix::{SignalKind, signal};

/// A demo is interrupted long before.
const AS_LONG_AS_IT_LASTS: Duration = Duration::from_hours(24 * 365);

#[tokio::main]
async fn main() -> ExitCode {
    match demo().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    let once = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [argument] if argument == "--once" => true,
        other => bail!("it knows no arguments but --once, and was given {other:?}"),
    };
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    // What an interrupt leaves half done is removed by the destructors on the way out.
    tokio::select! {
        shown = show(once) => shown,
        _ = interrupted.recv() => { println!("\nInterrupted: all of it is gone."); Ok(()) }
        _ = terminated.recv() => Ok(()),
    }
}

async fn show(once: bool) -> Result<()> {
    heading("The programs of a real control plane, and meanwhile what the examples would take");
    let programs = programs::build_while_checking_the_examples().await?;

    heading("etcd, kube-apiserver, kube-controller-manager, and weighbridge serve beside them");
    let control_plane = ControlPlane::start(Options::standard()?).await?;
    println!("Kubernetes answers at {}", control_plane.url());
    // As the chart installs it: what cannot be asked about is admitted.
    let setup = Setup { failure_policy: "Ignore", ..Setup::new("weighbridge", Reach::Everything) };
    let serve = Serve::start(&control_plane, &programs.weighbridge, setup).await?;
    println!("weighbridge serve is asked about every job, as a validating webhook");
    let played = scenes::play(&control_plane, &serve, once).await;
    let played = match played {
        Ok(()) if !once => stay(&control_plane, &programs, &serve).await,
        other => other,
    };
    // A graceful stop takes the webhook's configuration along, as an uninstalled chart would.
    played.map_err(|error| serve.with_log(&error))?;
    serve.stop().await
}

/// Says how to look around, and waits for the end.
async fn stay(control_plane: &ControlPlane, programs: &programs::Programs, serve: &Serve) -> Result<()> {
    heading("It stays up until you press Ctrl-C");
    println!("In another terminal:\n");
    println!("  export KUBECONFIG={}", control_plane.kubeconfig().display());
    println!("  export PATH={}:$PATH    # kubectl, where you have none", programs.folder.display());
    println!("  kubectl get trainingestimates -A");
    println!("  kubectl describe trainingestimate pytorchjob-llama2-70b");
    println!("  kubectl apply -f examples/pytorchjob-llama2-70b-oom.yaml");
    println!("  kubectl label namespace default weighbridge.dev/mode=warn    # then apply it again");
    println!("  {} calculator    # model, tokens and GPUs in a browser", programs.weighbridge.display());
    println!("\nIts log is {}", serve.log().display());
    println!("Its metrics are at http://{}/metrics", serve.metrics_address());
    println!("It makes its webhook configuration itself and restores it, since no chart is installed here.");
    let ended = serve.wait(AS_LONG_AS_IT_LASTS).await?;
    bail!("weighbridge serve has ended ({ended}), so nothing is judged any more")
}

fn heading(text: &str) {
    println!("\n── {text}\n");
}
