//! Rate, processor time, latency and memory, each beside those of Pod Security Admission's webhook.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::client::Server;
use crate::controlplane::{ControlPlane, Serve};
use crate::documents::{FITS, MEGATRON, REFUSED, running};
use crate::figures::{median, percentile};
use crate::podsecurity::PodSecurity;
use crate::process::Process;
use crate::reviews::{NUMBER, Review, numbered, pod};

/// An apiserver opens as many connections as it has open requests.
const CONNECTIONS: usize = 16;
const LASTS: Duration = Duration::from_secs(2);
/// Reviews a second, far below what either can answer.
const STEADY: f64 = 500.0;

/// Compares the two in each run: one after the other, for each document.
pub(crate) async fn compare(control_plane: &ControlPlane, serve: &Serve, runs: usize) -> Result<()> {
    let other = PodSecurity::start(control_plane).await?;
    let namespace = control_plane.namespace(&[]).await?;
    let theirs = (other.server()?, other.process());
    let ours = (Server::new(serve.webhook(), "/validate")?, Process(serve.id()));
    let review = |plural: &str, object: &Value| Review::new(namespace.name(), plural, object);
    let example = |text| -> Result<Value> { Ok(numbered(serde_saphyr::from_str(text)?)) };
    let megatron = running(&format!("{MEGATRON}  --seed 1 # {NUMBER}\n"));
    let rows = [
        ("the same pod", review("pods", &pod()), true, false),
        ("the same pod, not changed", review("pods", &pod()).repeated(), true, false),
        ("the same pod, closing", review("pods", &pod()), true, true),
        ("PyTorchJob that fits", review("pytorchjobs", &example(FITS)?), true, false),
        ("PyTorchJob, not changed", review("pytorchjobs", &example(FITS)?).repeated(), true, false),
        ("PyTorchJob refused", review("pytorchjobs", &example(REFUSED)?), false, false),
        ("Megatron, 40 lines", review("jobs", &megatron), true, false),
    ];
    println!(
        "{CONNECTIONS} connections, {runs} runs of {} s; medians, and theirs as the multiple\n",
        LASTS.as_secs()
    );
    println!("{:27} {:>10} {:>7} {:>14} {:>7}", "REVIEW", "A SECOND", "RATIO", "PROCESSOR", "RATIO");
    let their_pod = review("pods", &pod());
    let mut their_rate = [Vec::new(), Vec::new()];
    for (name, review, admitted, close) in &rows {
        let (mut rates, mut costs, mut ratios) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
        for _ in 0..runs {
            let [their_pods, their_cost] = asked(&theirs, &their_pod, true, *close).await?;
            let [rate, cost] = asked(&ours, review, *admitted, *close).await?;
            ratios[0].push(rate / their_pods);
            ratios[1].push(their_cost / cost);
            rates.push(rate);
            costs.push(cost);
            if !close {
                their_rate[0].push(their_pods);
                their_rate[1].push(their_cost);
            }
        }
        println!(
            "{name:27} {:>10.0} {:>7.2} {:>11.1} µs {:>7.2}",
            median(&rates),
            median(&ratios[0]),
            median(&costs),
            median(&ratios[1])
        );
    }
    println!(
        "{:27} {:>10.0} {:>7.2} {:>11.1} µs {:>7.2}",
        "theirs, a pod",
        median(&their_rate[0]),
        1.0,
        median(&their_rate[1]),
        1.0
    );
    println!("\n{STEADY} pods a second on {CONNECTIONS} connections, in ms");
    for (name, (server, _)) in [("theirs", &theirs), ("ours", &ours)] {
        let mut tails = [Vec::new(), Vec::new()];
        for _ in 0..runs {
            let answers = server.ask_at(&their_pod, CONNECTIONS, STEADY, 1_000).await?;
            tails[0].push(percentile(&answers.times, 50));
            tails[1].push(percentile(&answers.times, 99));
        }
        println!("{name:27} p50 {:.2}  p99 {:.2}", median(&tails[0]), median(&tails[1]));
    }
    println!("\nMemory in RAM, in MiB");
    for (name, (_, process)) in [("theirs", &theirs), ("ours", &ours)] {
        let [now, most] = process.memory()?;
        println!("{name:27} {now:.0}, at most {most:.0}");
    }
    Ok(())
}

/// The answers a second, and the microseconds of processor time of an answer.
async fn asked(
    (server, process): &(Server, Process),
    review: &Review,
    admitted: bool,
    close: bool,
) -> Result<[f64; 2]> {
    let before = process.time()?;
    let answers = server.ask(review, CONNECTIONS, LASTS, close).await?;
    let took = process.time()?.saturating_sub(before);
    let count = answers.times.len();
    let expected = if admitted { count } else { 0 };
    ensure!(answers.admitted == expected, "{} of {count} were admitted", answers.admitted);
    let count = count as f64;
    Ok([count / answers.took.as_secs_f64(), took.as_secs_f64() * 1e6 / count])
}
