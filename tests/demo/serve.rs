//! `weighbridge serve` as a process of its own, beside the control plane and reached by the apiserver over loopback.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use crate::controlplane::{ControlPlane, Guarded, wait_until};

const SOON: Duration = Duration::from_mins(1);
const NAMESPACE: &str = "weighbridge";

/// A running `weighbridge serve`.
pub(super) struct Serve {
    process: Guarded,
}

/// Starts it and waits until it says that it is ready.
pub(super) async fn start(control_plane: &ControlPlane, weighbridge: &Path) -> Result<Serve> {
    let kubectl = control_plane.kubectl()?;
    kubectl.run(&["create", "namespace", NAMESPACE]).await?.success()?;

    // The apiserver is told the address before the port is bound, so the port must be chosen here.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let ready_file = control_plane.folder().join("weighbridge.ready");
    let mut command = Command::new(weighbridge);
    command
        .args(["serve", "--namespace", NAMESPACE, "--failure-policy", "Fail"])
        .args(["--listen", &address.to_string(), "--metrics-listen", "127.0.0.1:0"])
        .args(["--webhook-url", &format!("https://{address}/validate")])
        .arg("--ready-file")
        .arg(&ready_file)
        .arg("--kubeconfig")
        .arg(control_plane.kubeconfig());
    let serve = Serve { process: Guarded::spawn(&command, &control_plane.folder().join("weighbridge.log"))? };
    let waited = wait_until("weighbridge serve to be ready", SOON, || async {
        serve.still_runs()?;
        Ok(ready_file.is_file())
    })
    .await;
    waited.map_err(|error| serve.with_log(&error))?;
    println!("weighbridge serve listens at https://{address}/validate, as a validating webhook");
    Ok(serve)
}

impl Serve {
    /// Stops it as a kubelet would. An error that came before is told with the log.
    pub(super) async fn stop(self, before: Result<()>) -> Result<()> {
        before.map_err(|error| self.with_log(&error))?;
        self.process.terminate()?;
        let status = self.process.wait(SOON).await?;
        ensure!(status.success(), "weighbridge serve ended with {status}:\n{}", self.process.log_tail());
        Ok(())
    }

    fn still_runs(&self) -> Result<()> {
        match self.process.exit_status()? {
            None => Ok(()),
            Some(status) => Err(anyhow!("it ended with {status}")),
        }
    }

    fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("{error:#}\nThe end of weighbridge serve's log:\n{}", self.process.log_tail())
    }
}
