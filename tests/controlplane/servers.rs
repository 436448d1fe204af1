//! The command lines of the three servers, and the files that these name.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::{
    audit,
    authority::{Authority, service_account_keys},
    guardian::Guarded,
    programs::program,
};

/// What the servers share: a folder, and the ports they find each other by.
pub(super) struct Site {
    folder: PathBuf,
    etcd: u16,
    api_server: u16,
}

pub(super) const API_SERVER: &str = "kube-apiserver";

/// Those that the tests have a use for: everything that makes or deletes objects of ours, fills the
/// built-in roles, or clears namespaces. The others would only take memory.
const CONTROLLERS: &str = "clusterrole-aggregation-controller,cronjob-controller,deployment-controller,\
                           garbage-collector-controller,job-controller,namespace-controller,\
                           replicaset-controller,serviceaccount-controller";

/// Fails at once, and not half way, where a program is missing.
pub(super) fn check_programs(controller_manager: bool) -> Result<()> {
    program("etcd")?;
    program(API_SERVER)?;
    if controller_manager {
        program("kube-controller-manager")?;
    }
    Ok(())
}

impl Site {
    /// Chooses free ports. Another process may take one of them before the servers do: the server then
    /// ends, and the start is tried again with others.
    pub(super) fn new(folder: &Path, authority: &Authority) -> Result<Self> {
        let write = |name: &str, content: &str| fs::write(folder.join(name), content);
        let server = authority.server()?;
        write("ca.crt", &authority.certificate())?;
        write("server.crt", &server.certificate)?;
        write("server.key", &server.key)?;
        let (private, public) = service_account_keys()?;
        write("service-accounts.key", &private)?;
        write("service-accounts.pub", &public)?;
        write("audit-policy.json", audit::POLICY)?;

        // Both held at once, or they might be the same.
        let etcd = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let api_server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            folder: folder.to_owned(),
            etcd: etcd.local_addr()?.port(),
            api_server: api_server.local_addr()?.port(),
        })
    }

    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_server)
    }

    pub(super) fn start_etcd(&self) -> Result<Guarded> {
        let url = format!("http://127.0.0.1:{}", self.etcd);
        let mut command = Command::new(program("etcd")?);
        command
            .arg(format!("--data-dir={}", self.path("etcd")))
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            // It has no peers. It insists on listening for them, but any port will do.
            .arg("--listen-peer-urls=http://127.0.0.1:0")
            // Nothing of this is to survive.
            .arg("--unsafe-no-fsync");
        self.start("etcd", &command)
    }

    pub(super) fn start_api_server(&self, arguments: &[String]) -> Result<Guarded> {
        let mut command = Command::new(program(API_SERVER)?);
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd))
            .arg(format!("--secure-port={}", self.api_server))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            // It would publish its address as the Service `kubernetes`, and refuses to with loopback.
            .arg("--endpoint-reconciler-type=none")
            .arg("--service-cluster-ip-range=10.0.0.0/24")
            .arg(format!("--tls-cert-file={}", self.path("server.crt")))
            .arg(format!("--tls-private-key-file={}", self.path("server.key")))
            .arg(format!("--client-ca-file={}", self.path("ca.crt")))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", self.path("service-accounts.pub")))
            .arg(format!("--service-account-signing-key-file={}", self.path("service-accounts.key")))
            .arg(format!("--audit-policy-file={}", self.path("audit-policy.json")))
            .arg(format!("--audit-log-path={}", self.path(audit::LOG)))
            // Written before the request is answered: a test that has the answer finds the event.
            .arg("--audit-log-mode=blocking")
            .arg("--allow-privileged=true")
            .args(arguments);
        self.start(API_SERVER, &command)
    }

    /// Each controller acts as its own service account, as in a cluster made by kubeadm: a webhook sees the
    /// same users here as there.
    pub(super) fn start_controller_manager(&self, kubeconfig: &Path) -> Result<Guarded> {
        let mut command = Command::new(program("kube-controller-manager")?);
        command
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--controllers={CONTROLLERS}"))
            .arg("--use-service-account-credentials=true")
            .arg("--leader-elect=false")
            // Does not listen.
            .arg("--secure-port=0");
        self.start("kube-controller-manager", &command)
    }

    fn start(&self, name: &str, command: &Command) -> Result<Guarded> {
        Guarded::spawn(command, &self.folder.join(format!("{name}.log")))
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}
