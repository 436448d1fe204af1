//! Starting the servers in their order, and telling when each is ready.
//!
//! etcd and kube-apiserver start together: the one waits for the other. CRDs are installed next and
//! controllers come last, so that the garbage collector knows every kind from its beginning.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::{Api, Client};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{
    ControlPlane, Options,
    access::{Access, client},
    authority::Authority,
    crds,
    guardian::{Guarded, remove_in_the_end},
    servers::{Site, check_programs},
    wait::{wait_for, wait_until},
};

/// A few seconds on an idle machine. Here the compiler may be running beside it.
const DEADLINE: Duration = Duration::from_mins(2);

/// How often other ports are tried.
const ATTEMPTS: usize = 5;

/// One control plane for all tests of a process.
pub struct Shared {
    options: fn() -> Result<Options>,
    // The error too: the other tests need not wait for the same failure again.
    started: OnceCell<Result<ControlPlane, String>>,
}

impl Shared {
    /// For a static. Nothing starts before the first [`get`](Self::get).
    pub const fn new(options: fn() -> Result<Options>) -> Self {
        Self { options, started: OnceCell::const_new() }
    }

    /// Starts it if no test has yet, and waits until it is ready.
    pub async fn get(&'static self) -> Result<&'static ControlPlane> {
        let start = || async { ControlPlane::start((self.options)()?).await };
        let started =
            self.started.get_or_init(|| async { start().await.map_err(|error| format!("{error:#}")) });
        started.await.as_ref().map_err(|error| anyhow!("the shared control plane: {error}"))
    }
}

impl ControlPlane {
    /// Starts a control plane of the caller's own and waits until it is ready: the server answers, the
    /// built-in roles exist, the CRDs are served and the controllers have begun.
    pub async fn start(options: Options) -> Result<Self> {
        check_programs(options.controller_manager)?;
        for _ in 0..ATTEMPTS {
            match Self::try_start(&options).await {
                Err(error) if error.is::<PortTaken>() => {}
                other => return other,
            }
        }
        bail!(
            "every one of {ATTEMPTS} pairs of free ports was taken by another process before the servers started"
        )
    }

    async fn try_start(options: &Options) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("weighbridge-controlplane-").tempdir()?;
        remove_in_the_end(folder.path())?;
        let authority = Authority::new()?;
        let site = Site::new(folder.path(), &authority)?;
        let access = Access::new(site.url(), authority, folder.path().join("kubeconfigs"))?;
        let mut starting = Starting { servers: Vec::new(), access, folder };
        let client = client(starting.access.admin())?;

        starting.servers.push(site.start_etcd()?);
        starting.servers.push(site.start_api_server(&options.api_server_arguments)?);
        starting.until("kube-apiserver to be ready", || ready(&client)).await?;
        starting.until("the built-in roles", || roles(&client, |_| true)).await?;

        crds::install(&client, &options.crds).await.map_err(|error| starting.with_logs(&error))?;
        if options.controller_manager {
            let kubeconfig = starting.access.kubeconfig("system:kube-controller-manager", &[])?;
            starting.servers.push(site.start_controller_manager(&kubeconfig)?);
            // One of its controllers fills the built-in roles: this is how its work is seen.
            let filled = |role: &ClusterRole| role.rules.as_ref().is_some_and(|rules| !rules.is_empty());
            starting.until("the controllers to begin", || roles(&client, filled)).await?;
        }
        let Starting { servers, access, folder } = starting;
        let api_server_arguments = options.api_server_arguments.clone();
        let runs_controllers = options.controller_manager;
        Ok(Self { servers, site, api_server_arguments, access, runs_controllers, folder })
    }
}

/// Dropped when a step fails: then it takes its servers along.
struct Starting {
    servers: Vec<Guarded>,
    access: Access,
    folder: TempDir,
}

/// Another process was faster: to be tried again, with other ports.
#[derive(Debug, thiserror::Error)]
#[error("a port is taken")]
struct PortTaken;

impl Starting {
    async fn until<F, Fut>(&self, what: &str, mut condition: F) -> Result<()>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<bool>>,
    {
        let waited = wait_for(what, DEADLINE, || {
            let asked = condition();
            async {
                // A server that has ended is the answer, not a reason to go on asking.
                match self.casualty() {
                    Some(casualty) => Ok(Some(Err(casualty))),
                    None => Ok(asked.await?.then_some(Ok(()))),
                }
            }
        })
        .await;
        waited.map_err(|error| self.with_logs(&error))?
    }

    fn casualty(&self) -> Option<anyhow::Error> {
        self.servers.iter().find_map(|server| {
            let ended = match server.exit_status() {
                Ok(None) => return None,
                Ok(Some(status)) => status.to_string(),
                Err(error) => format!("{error:#}"),
            };
            let log = server.log_tail();
            if log.contains("address already in use") {
                return Some(PortTaken.into());
            }
            Some(anyhow!("{} ended ({ended}); the end of its log:\n{log}", server.name()))
        })
    }

    fn with_logs(&self, error: &anyhow::Error) -> anyhow::Error {
        let logs =
            self.servers.iter().map(|server| format!("\n--- {}\n{}", server.name(), server.log_tail()));
        anyhow!("{error:#}; the ends of the logs:{}", logs.collect::<String>())
    }
}

/// Waits for a server that was started again.
pub(super) async fn wait_until_ready(client: &Client) -> Result<()> {
    wait_until("kube-apiserver to be ready again", DEADLINE, || ready(client)).await
}

async fn ready(client: &Client) -> Result<bool> {
    let request = hyper::Request::get("/readyz").body(Vec::new())?;
    Ok(client.request_text(request).await? == "ok")
}

async fn roles(client: &Client, suffices: impl Fn(&ClusterRole) -> bool) -> Result<bool> {
    let roles: Api<ClusterRole> = Api::all(client.clone());
    for name in ["view", "edit"] {
        if !suffices(&roles.get(name).await?) {
            return Ok(false);
        }
    }
    Ok(true)
}
