//! A rolling restart under load: replicas behind the chart's Service are replaced, one after the other, while jobs are
//! submitted all the time and whatever is not answered would be refused.

use anyhow::{Result, ensure};
use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, Client, api::PostParams};
use tokio_util::sync::CancellationToken;

use super::{
    controlplane::{ControlPlane, wait_until, wait_until_refused},
    helm::{CHART, Helm},
    outside::{NAME, Replica, SOON, control_plane, get, hopeless, namespace},
};

/// How many jobs are submitted at once: enough that the apiserver keeps connections to every replica.
const AT_ONCE: usize = 16;

/// What became of the jobs that were submitted.
#[derive(Default)]
struct Tally {
    judged: usize,
    /// What the apiserver said instead of the judgement.
    lost: Vec<String>,
}

/// Submits jobs that must be refused, by dry runs, until it is told to stop.
async fn load(client: Client, stop: CancellationToken) -> Result<Tally> {
    let jobs = Api::<Job>::namespaced(client, "default");
    let (job, dry_run) = (hopeless()?, PostParams { dry_run: true, ..PostParams::default() });
    let mut tally = Tally::default();
    while !stop.is_cancelled() {
        for said in join_all((0..AT_ONCE).map(|_| jobs.create(&dry_run, &job))).await {
            match said {
                // If no replica answers, the policy Fail makes it 500.
                Err(kube::Error::Api(status))
                    if status.code == 403 && status.message.contains("weighbridge.dev\" denied") =>
                {
                    tally.judged += 1;
                }
                Ok(_) => tally.lost.push("admitted".to_owned()),
                Err(error) => tally.lost.push(error.to_string()),
            }
        }
    }
    Ok(tally)
}

/// Until the replica has answered some.
async fn asked(replica: &Replica) -> Result<()> {
    wait_until("the replica to be asked", SOON, || async { Ok(replica.answered().await? > 0.5) }).await
}

/// As a Deployment replaces a pod: the new one is ready and behind the Service before the old one is told to stop. That
/// the old one is unready the apiserver learns only after it is.
async fn replace(control_plane: &ControlPlane, client: &Client, old: Replica, name: &str) -> Result<Replica> {
    let new = Replica::start(control_plane, client, name).await?;
    new.endpoint(client, true).await?;
    old.process.terminate()?;
    wait_until("the old replica to say that it is unready", SOON, || async {
        Ok(get(old.plain, "/readyz").await? == 503)
    })
    .await?;
    old.endpoint(client, false).await?;
    let status = old.process.wait(SOON).await?;
    ensure!(status.success(), "it ended with {status}: {}", old.process.log_tail());
    Ok(new)
}

#[tokio::test]
async fn a_rolling_restart_under_load_loses_no_admission() -> Result<()> {
    let control_plane = control_plane().await?;
    let client = control_plane.admin()?;
    namespace(&client).await?;
    let helm = Helm::of(&control_plane.kubeconfig())?;
    let fail = "--set=webhook.failurePolicy=Fail";
    helm.run(&["install", NAME, CHART, "--namespace", NAME, fail]).await?.success()?;
    let one = Replica::start(&control_plane, &client, "one").await?;
    let other = Replica::start(&control_plane, &client, "other").await?;
    for replica in [&one, &other] {
        replica.endpoint(&client, true).await?;
    }
    wait_until_refused(&control_plane, "default").await?;

    let stop = CancellationToken::new();
    let submitted = tokio::spawn(load(client.clone(), stop.clone()));
    asked(&one).await?;
    asked(&other).await?;
    let one = replace(&control_plane, &client, one, "one-again").await?;
    asked(&one).await?;
    let other = replace(&control_plane, &client, other, "other-again").await?;
    asked(&other).await?;
    stop.cancel();

    let tally = submitted.await??;
    assert!(tally.lost.is_empty(), "{} of {}: {:?}", tally.lost.len(), tally.judged, tally.lost.first());
    assert!(tally.judged >= 200, "{} is no load", tally.judged);
    Ok(())
}
