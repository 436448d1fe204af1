//! Ways in: kubeconfigs, clients and kubectl for the user that a test chooses.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{authority::Authority, programs::program};

/// What it takes to become a user of one server.
pub(super) struct Access {
    url: String,
    authority: Authority,
    folder: PathBuf,
    written: AtomicUsize,
    admin: PathBuf,
}

impl Access {
    /// Kubeconfigs are written to the folder, which is made.
    pub(super) fn new(url: String, authority: Authority, folder: PathBuf) -> Result<Self> {
        fs::create_dir(&folder)?;
        let mut access = Self { url, authority, folder, written: AtomicUsize::new(0), admin: PathBuf::new() };
        access.admin = access.kubeconfig("admin", &["system:masters"])?;
        Ok(access)
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn admin(&self) -> &Path {
        &self.admin
    }

    /// JSON is YAML, and needs no writer of its own.
    pub(super) fn kubeconfig(&self, name: &str, groups: &[&str]) -> Result<PathBuf> {
        let identity = self.authority.user(name, groups)?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": self.url,
                "certificate-authority-data": STANDARD.encode(self.authority.certificate()),
            }}],
            "users": [{"name": name, "user": {
                "client-certificate-data": STANDARD.encode(identity.certificate),
                "client-key-data": STANDARD.encode(identity.key),
            }}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        });
        // Numbered, since a user's name may hold what a file's may not.
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{number}.kubeconfig"));
        fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
        Ok(path)
    }
}

/// A client for the runtime that this is called in.
pub(super) fn client(kubeconfig: &Path) -> Result<kube::Client> {
    // Decided here, so that no other dependency's choice of a provider can make it ambiguous. It fails
    // when the process has one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    // Asynchronous only for kubeconfigs that run a program to get credentials.
    let its_own_context = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &its_own_context);
    Ok(kube::Client::try_from(futures::executor::block_on(config)?)?)
}

/// The real kubectl with a kubeconfig.
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

/// What kubectl said.
#[derive(Debug)]
pub struct KubectlOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained of; admission warnings are here too.
    pub stderr: String,
}

impl Kubectl {
    pub(super) fn new(kubeconfig: &Path, folder: &Path) -> Result<Self> {
        let cache = folder.join("kubectl");
        Ok(Self { program: program("kubectl")?, kubeconfig: kubeconfig.to_owned(), cache })
    }

    /// Runs it to its end.
    pub async fn run(&self, arguments: &[&str]) -> Result<KubectlOutput> {
        self.run_with_input(arguments, "").await
    }

    /// The same with something on standard input, for `apply -f -`.
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Result<KubectlOutput> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            // The person's own cache knows nothing of this server, and their settings are not the test's.
            .env("KUBECACHEDIR", &self.cache)
            .env("KUBERC", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| self.program.display().to_string())?;
        let mut stdin = child.stdin.take().context("kubectl has no standard input")?;
        let write = async move {
            // kubectl may end without having read it all: what it said then tells more than this error.
            let _ = stdin.write_all(input.as_bytes()).await;
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output?;
        Ok(KubectlOutput {
            status: output.status,
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }
}

impl KubectlOutput {
    /// What it printed, or an error with all that it said where it failed.
    pub fn success(self) -> Result<String> {
        let Self { status, stdout, stderr } = self;
        ensure!(status.success(), "kubectl: {status}\n{stdout}{stderr}");
        Ok(stdout)
    }
}
