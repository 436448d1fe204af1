//! The real Kueue, as its own chart installs it: definitions, roles, webhooks and configuration.
//!
//! There is no kubelet. So its Deployment is replaced by a process that acts as the chart's service account, and its certificates,
//! which Kueue makes itself and keeps in a Secret, are copied to the folder where a kubelet would mount them. The Service of its
//! webhooks becomes the name of this machine.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};

use crate::cluster::gate;
use crate::controlplane::{
    ControlPlane, Guarded, got, helm, neighbour, neighbours_chart, wait_for, wait_until,
};

const NAMESPACE: &str = "kueue-system";
const WEBHOOKS: &str = "kueue-webhook-service";
const CERTIFICATES: &str = "kueue-webhook-server-cert";
/// It makes certificates and fills its caches first.
const SOON: Duration = Duration::from_mins(3);

/// Kinds of the chart that need a kubelet, or an apiserver that Kueue serves.
const LEFT_OUT: &[&str] = &["APIService", "Deployment"];

/// A running Kueue.
pub(super) struct Kueue {
    process: Guarded,
}

impl Kueue {
    /// Installs it and starts it.
    pub(super) async fn start(control_plane: &ControlPlane) -> Result<Self> {
        let [health, webhooks] = free_ports()?;
        let mut documents = rendered()?;
        let config = documents.iter().find(|document| document["kind"] == "ConfigMap");
        let config = config.and_then(|config| config["data"]["controller_manager_config.yaml"].as_str());
        let config = config.context("the chart has no configuration")?.to_owned();
        documents.retain(|document| !LEFT_OUT.iter().any(|kind| document["kind"] == *kind));
        for document in &mut documents {
            reach_this_machine(document, webhooks);
        }
        documents
            .insert(0, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": documents});
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        control_plane.kubectl()?.run_with_input(&apply, &list.to_string()).await?.success()?;

        let folder = control_plane.folder().join("kueue");
        fs::create_dir_all(&folder)?;
        let file = folder.join("config.yaml");
        let mut config: Value = serde_saphyr::from_str(&config)?;
        config["health"]["healthProbeBindAddress"] = json!(format!("127.0.0.1:{health}"));
        config["metrics"]["bindAddress"] = json!("0");
        config["leaderElection"]["leaderElect"] = json!(false);
        let certificates = folder.join("certificates");
        config["webhook"] = json!({"host": "127.0.0.1", "port": webhooks, "certDir": certificates});
        // It would need the apiserver's own certificate authority.
        config["featureGates"] = json!({"VisibilityOnDemand": false});
        fs::write(&file, config.to_string())?;

        let mut command = Command::new(neighbour("kueue")?);
        command.arg(format!("--config={}", file.display())).arg("--zap-log-level=2");
        command.env("KUBECONFIG", control_plane.kubeconfig_of(gate::KUEUE, &[])?);
        let process = Guarded::spawn(&command, &folder.join("log"))?;
        let kueue = Self { process };
        mount(control_plane, &certificates).await.map_err(|error| kueue.with_log(&error))?;
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, health));
        wait_until("Kueue to be ready", SOON, || async {
            ensure!(kueue.process.exit_status()?.is_none(), "it has ended");
            Ok(got(health, "/readyz").await?.0 == 200)
        })
        .await
        .map_err(|error| kueue.with_log(&error))?;
        Ok(kueue)
    }

    /// The error, and what Kueue wrote to its log at the end.
    pub(super) fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow::anyhow!("{error:#}\nThe end of the log of Kueue:\n{}", self.process.log_tail())
    }
}

/// The documents of the chart.
fn rendered() -> Result<Vec<Value>> {
    let output = Command::new(helm()?)
        .args(["template", "kueue", "--namespace", NAMESPACE])
        .arg(neighbours_chart("kueue")?)
        .output()?;
    ensure!(output.status.success(), "helm: {}", String::from_utf8_lossy(&output.stderr));
    let documents: Vec<Value> = serde_saphyr::from_multiple(std::str::from_utf8(&output.stdout)?)?;
    Ok(documents.into_iter().filter(Value::is_object).collect())
}

/// Has the apiserver find Kueue's webhooks on this machine: the Service is a name of it, and those who refer to the Service
/// give the port.
fn reach_this_machine(document: &mut Value, port: u16) {
    let give_port = |config: &mut Value| config["service"]["port"] = json!(port);
    if document["kind"] == "Service" && document["metadata"]["name"] == WEBHOOKS {
        document["spec"] = json!({"type": "ExternalName", "externalName": "127.0.0.1"});
    }
    if let Some(conversion) = document.pointer_mut("/spec/conversion/webhook/clientConfig") {
        give_port(conversion);
    }
    for webhook in document.pointer_mut("/webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        give_port(&mut webhook["clientConfig"]);
    }
}

/// Writes the certificates into a folder as soon as Kueue has made them. It waits for `tls.crt` there.
async fn mount(control_plane: &ControlPlane, folder: &Path) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(control_plane.admin()?, NAMESPACE);
    let made = wait_for("Kueue to make its certificates", SOON, || async {
        let data = secrets.get(CERTIFICATES).await?.data.unwrap_or_default();
        Ok(data.contains_key("tls.crt").then_some(data))
    });
    fs::create_dir_all(folder)?;
    for (file, content) in made.await? {
        let unfinished = folder.join(format!(".{file}"));
        fs::write(&unfinished, content.0)?;
        fs::rename(unfinished, folder.join(file))?;
    }
    Ok(())
}

/// Ports that nothing listens on.
fn free_ports() -> Result<[u16; 2]> {
    let [first, second] = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    Ok([first?.local_addr()?.port(), second?.local_addr()?.port()])
}
