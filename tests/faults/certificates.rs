//! Certificates end while the apiserver cannot be reached: the replica's own, whose authority it knows.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::line::State;
use super::{NAMESPACE, SOON, Scene};
use crate::cluster::stranger::{Stranger, review};
use crate::controlplane::wait_until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn a_certificate_that_ends_while_the_apiserver_is_away_is_renewed() -> Result<()> {
    let lives = ["--ca-lifetime=1h", "--certificate-lifetime=120s", "--ca-overlap=3s"];
    let scene = Scene::start_with("expiring", &lives).await?;
    scene.line.set(State::Held);
    let away = Instant::now();
    // Two requests time out before it is renewed, ten seconds each.
    wait_until("the certificate to end", SOON + SOON, || async {
        Ok(away.elapsed() > Duration::from_secs(125))
    })
    .await?;
    // The apiserver keeps its connections. A new one sees the certificate of today.
    let stranger = Stranger::new(&scene.client, &scene.serve, None).await?;
    let (status, answer) =
        stranger.post(review(NAMESPACE, "{}")).await.map_err(|error| scene.serve.with_log(&error))?;
    ensure!(status == 200 && answer["response"]["allowed"] == true, "{status}: {answer}");
    scene.line.set(State::Open);
    let recovery = scene.recovered(Vec::new()).await?;
    scene.load.goes_on(100).await?;
    scene.end("the end of a certificate without an apiserver", recovery).await
}
