//! A real Kubernetes control plane for tests: etcd, kube-apiserver and kube-controller-manager.
//!
//! A test that talks to a mock proves that the code agrees with the mock. What matters here (which
//! objects the server sends to a webhook, what it makes of the answer, which of our requests RBAC
//! refuses, when the garbage collector strikes) is decided by the real programs, and they start in
//! seconds. So there is no mock of Kubernetes anywhere.
//!
//! A suite of `tests/kubernetes.rs` asks for the one control plane that the tests of that binary share:
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_namespace_without_a_label_is_judged_by_the_default_mode() -> anyhow::Result<()> {
//!     let control_plane = ControlPlane::shared().await?;
//!     let namespace = control_plane.namespace(&[]).await?;
//!     let user = namespace.edit_user().await?;
//!     // …
//! }
//! ```
//!
//! Three things to know:
//!
//! - A `kube::Client` belongs to the runtime in which it was made, and every `#[tokio::test]` has a
//!   runtime of its own. Share the control plane, never a client: make one in each test.
//! - Tests share a server, so each works in namespaces of its own.
//! - Statics are not dropped when a process ends. [`guardian`] ends the servers in every case.
//!
//! [`serve`] starts `weighbridge serve` beside it, for the tests and for the demo.

#![expect(unreachable_pub, reason = "a library in all but name, for the tests and for the demo")]
#![expect(clippy::doc_markdown, reason = "the names of kinds are plain words here")]
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for what it does not hold")]

mod access;
mod audit;
mod authority;
mod crds;
mod guardian;
mod memory;
mod metrics;
mod namespace;
mod programs;
mod serve;
mod servers;
mod start;
mod wait;

pub use access::{Kubectl, KubectlOutput};
pub use audit::AuditEvent;
pub use guardian::Guarded;
pub use memory::MemoryGroup;
pub use metrics::{Metrics, got};
pub use namespace::TestNamespace;
pub use programs::{helm, kubeflow_crds, neighbour, neighbours_chart, repository_crds};
pub use serve::{Among, Reach, Serve, Setup, wait_until_refused};
pub use start::Shared;
pub use wait::{wait_for, wait_until};

use std::path::{Path, PathBuf};

use access::{Access, client};
use anyhow::{Context as _, Result};
use servers::Site;
use tempfile::TempDir;

/// A running control plane. Dropped, or left behind by a process that ended, it leaves nothing.
pub struct ControlPlane {
    // Before the folder, so that nothing writes into it any more when it is removed.
    servers: Vec<Guarded>,
    site: Site,
    api_server_arguments: Vec<String>,
    access: Access,
    runs_controllers: bool,
    folder: TempDir,
}

/// What a control plane is started with.
pub struct Options {
    /// Installed before the controllers start: the garbage collector notices a new CRD only on its
    /// periodic resync, some fifteen seconds apart.
    pub crds: Vec<PathBuf>,
    /// Whether kube-controller-manager runs. Without it the built-in `view` and `edit` grant nothing:
    /// one of its controllers fills them.
    pub controller_manager: bool,
    /// Added to kube-apiserver's command line, where the last of two equal flags wins.
    pub api_server_arguments: Vec<String>,
}

impl Options {
    /// With controllers, but without any CRD.
    pub fn bare() -> Self {
        Self { crds: Vec::new(), controller_manager: true, api_server_arguments: Vec::new() }
    }

    /// With controllers, our CRDs and Kubeflow's.
    pub fn standard() -> Result<Self> {
        let mut crds = repository_crds()?;
        crds.extend(kubeflow_crds()?);
        Ok(Self { crds, ..Self::bare() })
    }
}

impl ControlPlane {
    /// The control plane of this test process, with [`Options::standard`]; the first to ask waits until
    /// it is ready. A suite that needs other options has a [`Shared`] of its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: Shared = Shared::new(Options::standard);
        SHARED.get().await
    }

    /// A client that may do everything, for the calling test's runtime.
    pub fn admin(&self) -> Result<kube::Client> {
        client(self.access.admin())
    }

    /// A client of this name, in these groups, by a certificate; for the calling test's runtime. It may
    /// do what a role bound to it allows: at first, nothing but discovery.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<kube::Client> {
        client(&self.kubeconfig_of(name, groups)?)
    }

    /// The administrator's kubeconfig, for kubectl and our own binary.
    pub fn kubeconfig(&self) -> PathBuf {
        self.access.admin().to_owned()
    }

    /// A new kubeconfig for this name and these groups.
    pub fn kubeconfig_of(&self, name: &str, groups: &[&str]) -> Result<PathBuf> {
        self.access.kubeconfig(name, groups)
    }

    /// The real kubectl, as the administrator.
    pub fn kubectl(&self) -> Result<Kubectl> {
        Kubectl::new(self.access.admin(), self.folder.path())
    }

    /// The real kubectl, as somebody else.
    pub fn kubectl_as(&self, name: &str, groups: &[&str]) -> Result<Kubectl> {
        Kubectl::new(&self.kubeconfig_of(name, groups)?, self.folder.path())
    }

    /// Where kube-apiserver listens, such as `https://127.0.0.1:41873`.
    #[allow(dead_code, reason = "the demo shows it, and no test does; in the demo this would expect nothing")]
    pub fn url(&self) -> &str {
        self.access.url()
    }

    /// A folder that goes when the control plane does: for logs and files of what runs beside it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process ids of its programs.
    pub fn processes(&self) -> Vec<u32> {
        self.servers.iter().map(Guarded::id).collect()
    }

    /// One of its programs, such as `etcd`.
    pub fn program(&self, name: &str) -> Result<&Guarded> {
        self.servers.iter().find(|server| server.name() == name).with_context(|| format!("no {name} runs"))
    }

    /// Ends kube-apiserver at once. What it stored stays.
    pub fn kill_api_server(&self) -> Result<()> {
        self.program(servers::API_SERVER)?.kill().map(drop)
    }

    /// Starts kube-apiserver again, with the same address and data, and waits until it is ready.
    pub async fn start_api_server_again(&mut self) -> Result<()> {
        let again = self.site.start_api_server(&self.api_server_arguments)?;
        let ended = self.servers.iter_mut().find(|server| server.name() == servers::API_SERVER);
        *ended.context("no kube-apiserver ran")? = again;
        start::wait_until_ready(&self.admin()?).await
    }
}
