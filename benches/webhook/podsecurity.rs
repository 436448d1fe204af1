//! Pod Security Admission's own webhook, as a process beside the control plane.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::client::Server;
use crate::controlplane::{ControlPlane, Guarded, wait_until};
use crate::process::Process;

/// As a cluster's administrator sets it: privileged pods are refused everywhere.
const CONFIGURATION: &str = "
apiVersion: pod-security.admission.config.k8s.io/v1
kind: PodSecurityConfiguration
defaults: {enforce: baseline, enforce-version: latest, audit: baseline, audit-version: latest, warn: baseline, warn-version: latest}
exemptions: {usernames: [], runtimeClasses: [], namespaces: []}
";

/// The running webhook.
pub(crate) struct PodSecurity {
    process: Guarded,
    address: SocketAddr,
}

impl PodSecurity {
    pub(crate) async fn start(control_plane: &ControlPlane) -> Result<Self> {
        let folder = control_plane.folder();
        let file = |name: &str, text: &str| -> Result<PathBuf> {
            let path = folder.join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        // The same kind of key as ours, or handshakes would compare the keys.
        let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        // Free now; nothing else here takes ports.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program()?);
        command
            .arg("--config")
            .arg(file("podsecurity.yaml", CONFIGURATION)?)
            .arg("--tls-cert-file")
            .arg(file("podsecurity.crt", &identity.cert.pem())?)
            .arg("--tls-private-key-file")
            .arg(file("podsecurity.key", &identity.signing_key.serialize_pem())?)
            .arg("--kubeconfig")
            .arg(control_plane.kubeconfig())
            .args(["--bind-address", "127.0.0.1", "--secure-port", &address.port().to_string()]);
        let process = Guarded::spawn(&command, &folder.join("podsecurity.log"))?;
        let started = Self { process, address };
        let server = started.server()?;
        let up = wait_until("Pod Security Admission's webhook", Duration::from_mins(1), || async {
            server.connect().await?;
            Ok(true)
        });
        up.await.with_context(|| started.process.log_tail())?;
        Ok(started)
    }

    pub(crate) fn server(&self) -> Result<Server> {
        Server::new(self.address, "/")
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.process.id())
    }
}

/// Built from its module, in a cache.
fn program() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/podsecurity/build");
    let output = Command::new(&script).stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("{} ended with {}", script.display(), output.status);
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}
