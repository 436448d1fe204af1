//! Faults of the cluster around the gate, under load: what is lost or wrongly decided, and how long until estimates are
//! right again.
//!
//! Each test breaks something of a control plane of its own, so these take minutes and are run by `make test-faults`.
//! The replica reaches the apiserver through a [line] that a test can cut, hold or slow. The apiserver reaches the
//! replica directly, and failurePolicy is Fail: a request that the webhook does not answer is an error that the
//! [load] counts.

mod certificates;
mod clock;
mod connection;
mod etcd;
mod line;
pub(crate) mod load;
mod ours;
mod policy;
mod replicas;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::Value;
use weighbridge::api::v1alpha1::TrainingEstimate;

use crate::cluster::gate::{condition, create, weighbridge};
use crate::cluster::jobs::fitting;
use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup, wait_until};
use line::Line;
use load::{Expected, Load, Tally};

/// Longer than the longest pause between two attempts of a watch, and than a lease of a killed holder.
const SOON: Duration = Duration::from_mins(2);
const NAMESPACE: &str = "default";

/// A control plane, a gate that reaches it through a line, and load on both.
struct Scene {
    control_plane: ControlPlane,
    line: Line,
    serve: Serve,
    client: Client,
    load: Load,
}

impl Scene {
    async fn start(name: &str) -> Result<Self> {
        Self::start_with(name, &[]).await
    }

    async fn start_with(name: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_on(control_plane().await?, name, weighbridge(), arguments).await
    }

    async fn start_on(
        control_plane: ControlPlane,
        name: &str,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let line = Line::to(control_plane.url()).await?;
        let setup = Setup {
            kubeconfig: Some(through(&control_plane, &line, name)?),
            // The machine may be compiling, and the binary may be a slow debug build.
            arguments: [&["--timeout-seconds=15"], arguments]
                .concat()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ..Setup::new(name, Reach::Everything)
        };
        let serve = Serve::start(&control_plane, program, setup).await?;
        let client = control_plane.admin()?;
        let load = Load::start(client.clone(), Expected::Enforced).await?;
        Ok(Self { control_plane, line, serve, client, load })
    }

    /// Creates a job that fits, and returns the name of its estimate.
    async fn submit(&self, name: &str) -> Result<String> {
        create(&self.client, NAMESPACE, &fitting(name)?).await??;
        Ok(format!("pytorchjob-{name}"))
    }

    /// Waits until these estimates and the one of a new job are right, and returns how long that took.
    async fn recovered(&self, mut estimates: Vec<String>) -> Result<Duration> {
        let since = Instant::now();
        let name = "after-the-fault";
        wait_until("a job to be admitted", SOON, || async {
            match create(&self.client, NAMESPACE, &fitting(name)?).await? {
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(true),
                other => Ok(other.map(|_| true)?),
            }
        })
        .await?;
        estimates.push(format!("pytorchjob-{name}"));
        for name in estimates {
            fits(&self.client, &name).await.map_err(|error| self.serve.with_log(&error))?;
        }
        Ok(since.elapsed())
    }

    /// Ends the load, and prints what became of it. Nothing may have been lost or wrongly decided.
    async fn end(self, fault: &str, recovery: Duration) -> Result<()> {
        let tally = self.tally(fault, recovery).await?;
        ensure!(tally.lost.is_empty() && tally.wrong.is_empty(), "{fault}: {tally}");
        Ok(())
    }

    /// The same where some may be lost: then the caller judges.
    #[expect(clippy::print_stdout, reason = "the figures are what a person runs this for")]
    async fn tally(self, fault: &str, recovery: Duration) -> Result<Tally> {
        let tally = self.load.stop().await?;
        println!("{fault}: {tally}; estimates right after {:.1} s", recovery.as_secs_f64());
        let unjudged = self.serve.metrics().await?.sum("weighbridge_admission_errors_total", &[]);
        ensure!(unjudged < 0.5, "{fault}: {unjudged} reviews were admitted unjudged");
        let (status, body) = self.serve.probe("/readyz").await?;
        ensure!(status == 200, "{fault}: {body}");
        Ok(tally)
    }
}

/// Without controllers: no test here needs pods, and all of them start a control plane.
async fn control_plane() -> Result<ControlPlane> {
    ControlPlane::start(Options { controller_manager: false, ..Options::standard()? }).await
}

/// The administrator's kubeconfig, with the address of the line.
fn through(control_plane: &ControlPlane, line: &Line, name: &str) -> Result<PathBuf> {
    let mut config: Value = serde_json::from_slice(&fs::read(control_plane.kubeconfig())?)?;
    config["clusters"][0]["cluster"]["server"] = format!("https://{}", line.address()).into();
    let path = control_plane.folder().join(format!("{name}.kubeconfig"));
    fs::write(&path, config.to_string())?;
    Ok(path)
}

/// Waits until an estimate is Ready and says that its job fits.
async fn fits(client: &Client, name: &str) -> Result<()> {
    let resource = ApiResource::erase::<TrainingEstimate>(&());
    let estimates: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
    wait_until(&format!("the estimate {name}"), SOON, || async {
        let estimate = serde_json::to_value(estimates.get(name).await?)?;
        Ok(estimate["status"]["verdict"] == "Fits" && condition(&estimate, "Ready")["status"] == "True")
    })
    .await
}
