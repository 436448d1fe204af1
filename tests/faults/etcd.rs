//! etcd is paused: the apiserver lives, and can neither read nor write.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{SOON, Scene};
use crate::controlplane::wait_until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn nothing_is_lost_while_etcd_does_not_answer() -> Result<()> {
    let scene = Scene::start("etcd").await?;
    let estimates = vec![scene.submit("before").await?];
    scene.control_plane.program("etcd")?.pause()?;
    let paused = Instant::now();
    wait_until("etcd to be away for a while", SOON, || async {
        Ok(paused.elapsed() > Duration::from_secs(20))
    })
    .await?;
    scene.control_plane.program("etcd")?.resume()?;
    let recovery = scene.recovered(estimates).await?;
    scene.load.goes_on(100).await?;
    scene.end("etcd paused for 20 s", recovery).await
}
