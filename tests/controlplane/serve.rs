//! `weighbridge serve` as a process of its own beside the control plane, which reaches it over loopback.
//!
//! Several may run beside one control plane and must never meet: each has a namespace of its own for its certificates
//! and its lease, a webhook configuration of its own, and guards only what its [`Reach`] says.
//!
//! Ready means that the gate is closed: a dry run of a job that must run out of memory is refused.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use k8s_openapi::api::{batch::v1::Job, core::v1::Namespace};
use kube::{Api, api::PostParams};
use serde::Deserialize;
use serde_json::json;

use super::{ControlPlane, Guarded, Metrics, TestNamespace, metrics::got, wait_until};

const SOON: Duration = Duration::from_mins(1);

/// The label by which a namespace says which of several it belongs to.
const GUARDED_BY: &str = "test/guarded-by";

/// How it is started.
pub struct Setup {
    /// Names its webhook configuration, and what it leaves on the disk.
    pub name: String,
    /// The namespace of its certificates and its lease, which is made if it is not there: replicas share it.
    pub home: String,
    /// What it watches and guards.
    pub reach: Reach,
    /// What becomes of a request when it does not answer: `Fail` or `Ignore`.
    pub failure_policy: &'static str,
    /// The user as which it reaches the control plane: the administrator, if none is given.
    pub kubeconfig: Option<PathBuf>,
    /// More of its command line.
    pub arguments: Vec<String>,
    /// Where its standard error goes: into its log, where none is given.
    pub errors: Option<fs::File>,
    /// What it shares with other replicas, where it is one of several.
    pub among: Option<Among>,
}

/// A replica among several.
pub struct Among {
    /// The name of their webhook configuration.
    pub configuration: String,
    /// Where the apiserver reaches them all.
    pub service: SocketAddr,
    /// Where this one listens.
    pub listen: SocketAddr,
}

/// What is watched and guarded.
pub enum Reach {
    /// All of a control plane that no other shares.
    Everything,
    /// The namespaces that [`ControlPlane::guarded_namespace`] made for it. The first one enforces.
    Namespaces(Vec<String>),
}

/// A running `weighbridge serve`. Dropped, it is killed, and its webhook configuration stays.
pub struct Serve {
    setup: Setup,
    process: Guarded,
    webhook: SocketAddr,
    metrics: SocketAddr,
    calculator: Option<SocketAddr>,
}

impl Setup {
    /// One that fails closed, at home in a namespace of the same name.
    pub fn new(name: &str, reach: Reach) -> Self {
        Self {
            name: name.to_owned(),
            home: name.to_owned(),
            reach,
            failure_policy: "Fail",
            kubeconfig: None,
            arguments: Vec::new(),
            errors: None,
            among: None,
        }
    }
}

impl ControlPlane {
    /// A namespace for the one of this name alone, with these labels besides.
    pub async fn guarded_namespace(&self, by: &str, labels: &[(&str, &str)]) -> Result<TestNamespace<'_>> {
        let mut labels = labels.to_vec();
        labels.push((GUARDED_BY, by));
        self.namespace(&labels).await
    }
}

impl Serve {
    /// Starts the program and waits until the gate is closed.
    pub async fn start(control_plane: &ControlPlane, program: &Path, setup: Setup) -> Result<Self> {
        make_home(control_plane, &setup.home).await?;
        let file = |ending: &str| control_plane.folder().join(format!("{}.{ending}", setup.name));
        let ready = file("ready");
        // One of that name may have run before.
        let _ = fs::remove_file(&ready);

        let command = command(control_plane, program, &setup, &ready);
        let errors = setup.errors.as_ref().map(fs::File::try_clone).transpose()?;
        let process = Guarded::spawn_with_errors(&command, &file("log"), errors)?;
        let listening = ready_addresses(&process, &ready).await;
        let listening = listening.map_err(|error| with_log(&process, &error))?;
        let Listening { webhook, metrics, calculator } = listening;
        let serve = Self { setup, process, webhook, metrics, calculator };
        let closed = serve.wait_until_closed(control_plane).await;
        closed.map_err(|error| serve.with_log(&error))?;
        Ok(serve)
    }

    async fn wait_until_closed(&self, control_plane: &ControlPlane) -> Result<()> {
        let namespace = match &self.setup.reach {
            Reach::Everything => "default",
            Reach::Namespaces(names) => names.first().context("it guards no namespace")?,
        };
        wait_until_refused(control_plane, namespace).await
    }

    /// Its process id.
    #[allow(dead_code, reason = "the benchmark uses it, and the tests do not")]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The namespace of its certificates and its lease.
    pub fn home(&self) -> &str {
        &self.setup.home
    }

    /// Where its calculator listens, if it serves one.
    pub fn calculator(&self) -> Option<SocketAddr> {
        self.calculator
    }

    /// The name of its webhook configuration.
    pub fn configuration(&self) -> &str {
        &self.setup.name
    }

    /// Where the apiserver reaches it.
    pub fn webhook(&self) -> SocketAddr {
        self.webhook
    }

    /// Where it answers for health and metrics.
    pub fn plain(&self) -> SocketAddr {
        self.metrics
    }

    /// The file that holds its output.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// Where its metrics are.
    #[allow(dead_code, reason = "the demo uses it, and the tests do not")]
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics
    }

    /// Waits until it ends by itself.
    #[allow(dead_code, reason = "the demo uses it, and the tests do not")]
    pub async fn wait(&self, deadline: Duration) -> Result<std::process::ExitStatus> {
        self.process.wait(deadline).await
    }

    /// What it has counted so far.
    pub async fn metrics(&self) -> Result<Metrics> {
        Metrics::read(self.metrics).await.map_err(|error| self.with_log(&error))
    }

    /// What `/readyz` or `/livez` answers: the status, and the gates by name.
    pub async fn probe(&self, path: &str) -> Result<(u16, String)> {
        got(self.metrics, path).await.map_err(|error| self.with_log(&error))
    }

    /// Ends it without warning, as a node does that loses power. Its webhook configuration stays.
    pub fn kill(self) -> Result<Setup> {
        self.process.kill()?;
        Ok(self.setup)
    }

    /// Stops it as a kubelet does.
    pub async fn stop(self) -> Result<()> {
        self.process.terminate()?;
        let status = self.process.wait(SOON).await?;
        ensure!(status.success(), "weighbridge serve ended with {status}:\n{}", self.process.log_tail());
        Ok(())
    }

    /// The error, and what it wrote to its log at the end.
    pub fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        with_log(&self.process, error)
    }
}

fn with_log(process: &Guarded, error: &anyhow::Error) -> anyhow::Error {
    anyhow!("{error:#}\nThe end of the log of weighbridge serve:\n{}", process.log_tail())
}

/// Where it listens.
#[derive(Deserialize)]
struct Listening {
    webhook: SocketAddr,
    metrics: SocketAddr,
    calculator: Option<SocketAddr>,
}

/// What the ready file says, as soon as it is there.
async fn ready_addresses(process: &Guarded, ready: &Path) -> Result<Listening> {
    wait_until("weighbridge serve to be ready, or to end", SOON, || async {
        Ok(ready.is_file() || process.exit_status()?.is_some())
    })
    .await?;
    if let Some(status) = process.exit_status()? {
        bail!("weighbridge serve ended with {status}");
    }
    Ok(serde_json::from_slice(&fs::read(ready)?)?)
}

/// Until a job that must run out of memory is refused there. The apiserver learns of a webhook a moment after its
/// configuration is written, and both learn of a namespace's labels a moment after they are.
pub async fn wait_until_refused(control_plane: &ControlPlane, namespace: &str) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(control_plane.admin()?, namespace);
    let job = hopeless_job()?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let what = format!("a job that must run out of memory to be refused in {namespace}");
    wait_until(&what, SOON, || async {
        match jobs.create(&dry_run, &job).await {
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(true),
            other => Ok(other.map(|_| false)?),
        }
    })
    .await
}

/// Seventy billion parameters, trained whole on one GPU: whatever else is assumed.
fn hopeless_job() -> Result<Job> {
    let annotations = json!({"weighbridge.dev/parameters": "70B", "weighbridge.dev/method": "full", "weighbridge.dev/gpu-type": "A100-80GB"});
    let container =
        json!({"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}});
    Ok(serde_json::from_value(json!({
        "metadata": {"generateName": "hopeless-", "annotations": annotations},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }))?)
}

fn command(control_plane: &ControlPlane, program: &Path, setup: &Setup, ready: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["serve", "--namespace", &setup.home, "--failure-policy", setup.failure_policy])
        .args(["--metrics-listen", "127.0.0.1:0"])
        .arg("--ready-file")
        .arg(ready)
        .arg("--kubeconfig")
        .arg(setup.kubeconfig.clone().unwrap_or_else(|| control_plane.kubeconfig()));
    // Any free ports: it puts its own into the URL, and both into the file.
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (configuration, service, listen) = match &setup.among {
        Some(among) => (&among.configuration, among.service, among.listen),
        None => (&setup.name, any, any),
    };
    command.args(["--configuration-name", configuration]);
    command.args(["--listen", &listen.to_string(), "--webhook-url", &format!("https://{service}/validate")]);
    if let Reach::Namespaces(names) = &setup.reach {
        command.args(["--watch-namespaces", &names.join(",")]);
        command.args(["--namespace-selector", &format!("{GUARDED_BY}={}", setup.home)]);
    }
    command.args(&setup.arguments);
    command
}

async fn make_home(control_plane: &ControlPlane, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(control_plane.admin()?);
    let home = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    match namespaces.create(&PostParams::default(), &home).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => Ok(other.map(drop)?),
    }
}
