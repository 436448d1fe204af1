//! The replica's way to the apiserver is held, slow or cut, or the apiserver is away.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::line::State;
use super::{SOON, Scene};
use crate::cluster::gate::create;
use crate::cluster::jobs::fitting;
use crate::controlplane::wait_until;

/// Longer than the pauses of a watch are at first.
const LONG: Duration = Duration::from_secs(30);

/// Submits a job a second for a time, and returns the names of their estimates.
async fn meanwhile(scene: &Scene, time: Duration) -> Result<Vec<String>> {
    let (since, mut estimates) = (Instant::now(), Vec::new());
    while since.elapsed() < time {
        estimates.push(scene.submit(&format!("meanwhile-{}", estimates.len())).await?);
        scene.load.goes_on(20).await?;
    }
    Ok(estimates)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn nothing_is_lost_while_no_packet_of_the_apiserver_arrives() -> Result<()> {
    let scene = Scene::start("held").await?;
    scene.line.set(State::Held);
    let estimates = meanwhile(&scene, LONG).await?;
    scene.line.set(State::Open);
    let recovery = scene.recovered(estimates).await?;
    scene.end("no packet of the apiserver for 30 s", recovery).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn nothing_is_lost_while_connections_to_the_apiserver_are_refused() -> Result<()> {
    let scene = Scene::start("cut").await?;
    scene.line.set(State::Cut);
    let estimates = meanwhile(&scene, LONG).await?;
    scene.line.set(State::Open);
    let recovery = scene.recovered(estimates).await?;
    scene.end("connections refused for 30 s", recovery).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn nothing_is_lost_while_every_answer_of_the_apiserver_takes_five_seconds() -> Result<()> {
    let scene = Scene::start("slow").await?;
    scene.line.set(State::Slow(Duration::from_secs(5)));
    let estimates = meanwhile(&scene, LONG).await?;
    // Slow or not, estimates come.
    super::fits(&scene.client, "pytorchjob-meanwhile-0")
        .await
        .map_err(|error| scene.serve.with_log(&error))?;
    scene.line.set(State::Open);
    let recovery = scene.recovered(estimates).await?;
    scene.end("5 s an answer for 30 s and more", recovery).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn watches_that_break_again_and_again_miss_nothing() -> Result<()> {
    let scene = Scene::start("broken").await?;
    let mut estimates = Vec::new();
    for number in 0..8 {
        scene.line.set(State::Cut);
        estimates.push(scene.submit(&format!("broken-{number}")).await?);
        scene.line.set(State::Open);
        // It is connected again when this estimate is right.
        super::fits(&scene.client, &estimates[number]).await.map_err(|error| scene.serve.with_log(&error))?;
    }
    let recovery = scene.recovered(estimates).await?;
    scene.end("watches broken 8 times", recovery).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn a_watch_from_a_version_that_is_forgotten_begins_with_a_list() -> Result<()> {
    let mut scene = Scene::start("expired").await?;
    scene.line.set(State::Cut);
    let mut estimates = vec![scene.submit("before-the-restart").await?];
    // A server that starts knows no change from before.
    scene.control_plane.kill_api_server()?;
    scene.control_plane.start_api_server_again().await?;
    estimates.push(scene.submit("behind-the-restart").await?);
    scene.line.set(State::Open);
    let recovery = scene.recovered(estimates).await?;
    let expired = [("resource", "pytorchjobs"), ("reason", "Expired")];
    let expired = scene.serve.metrics().await?.sum("weighbridge_watch_errors_total", &expired);
    ensure!(expired > 0.5, "no watch was told that its version is forgotten");
    scene.end("watches expired (410)", recovery).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn nothing_is_lost_when_the_apiserver_restarts() -> Result<()> {
    let mut scene = Scene::start("restarted").await?;
    let estimates = vec![scene.submit("before").await?];
    scene.control_plane.kill_api_server()?;
    let away = Instant::now();
    // Long enough that a client that waits longer each time waits long.
    wait_until("the apiserver to be away for a while", SOON, || async {
        Ok(away.elapsed() > Duration::from_secs(15))
    })
    .await?;
    scene.control_plane.start_api_server_again().await?;
    let recovery = scene.recovered(estimates).await?;
    // What it knew is not forgotten, and what is new is judged.
    let again = create(&scene.client, super::NAMESPACE, &fitting("again")?).await?;
    ensure!(again.is_ok(), "{again:?}");
    scene.load.goes_on(100).await?;
    scene.end("apiserver killed, and back after 15 s", recovery).await
}
