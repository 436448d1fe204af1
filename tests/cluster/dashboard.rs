//! The dashboard reads as the person of the kubeconfig, and the calculator of `serve` reads nothing.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::gate::{Gate, weighbridge};
use super::jobs::fitting;
use super::workloads::Place;
use crate::controlplane::got;

/// `weighbridge dashboard`. It ends when it is dropped.
pub(crate) struct Dashboard {
    child: Child,
    address: SocketAddr,
    /// The secret part of its address.
    path: String,
}

impl Dashboard {
    pub(crate) fn start(kubeconfig: &Path, namespaces: &[&str]) -> Result<Self> {
        let named = namespaces.iter().flat_map(|name| ["-n", name]);
        let mut child = Command::new(weighbridge())
            .args(["dashboard", "--port", "0", "--kubeconfig"])
            .arg(kubeconfig)
            .args(named)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut line)?;
        let at =
            line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).context(line.clone())?;
        let (address, path) = at.split_once('/').context(line.clone())?;
        Ok(Self { child, address: address.parse()?, path: format!("/{path}") })
    }

    /// Its first page.
    pub(crate) fn address(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }

    async fn page(&self, below: &str) -> Result<(u16, String)> {
        got(self.address, &format!("{}{below}", self.path)).await
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_viewer_of_one_namespace_sees_no_other() -> Result<()> {
    let gate = Gate::shared().await?;
    let (mine, theirs) = (gate.yard().await?, gate.yard().await?);
    for yard in [&mine, &theirs] {
        yard.admitted(&fitting("llama2-70b")?).await?;
        yard.estimate("pytorchjob-llama2-70b").await?;
    }
    mine.namespace.view_user().await?;
    let user = mine.namespace.user_name("view");
    let kubeconfig = gate.control_plane.kubeconfig_of(&user, &[])?;
    let own = format!("jobs/{}/pytorchjob-llama2-70b", mine.name());
    let other = format!("jobs/{}/pytorchjob-llama2-70b", theirs.name());

    let named = Dashboard::start(&kubeconfig, &[mine.name(), theirs.name()])?;
    let (status, page) = named.page("").await?;
    ensure!(status == 200 && page.contains(&own), "{status} {page}");
    ensure!(!page.contains(theirs.name()) && page.contains("one other namespace"), "{page}");
    let (status, page) = named.page(&own).await?;
    ensure!(status == 200 && page.contains("optimizer states"), "{status} {page}");
    let (status, page) = named.page(&other).await?;
    ensure!(
        status == 502 && page.contains("forbidden") && !page.contains("optimizer states"),
        "{status} {page}"
    );

    // A person who may list the namespaces sees those that may be read.
    let admin = gate.control_plane.admin()?;
    let role = json!({"metadata": {"name": format!("{user}-namespaces")},
        "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]}]});
    let binding = json!({"metadata": {"name": format!("{user}-namespaces")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("{user}-namespaces")},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}]});
    let (roles, bindings): (Api<ClusterRole>, Api<ClusterRoleBinding>) =
        (Api::all(admin.clone()), Api::all(admin));
    roles.create(&PostParams::default(), &serde_json::from_value(role)?).await?;
    bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
    let all = Dashboard::start(&kubeconfig, &[])?;
    let (_, page) = all.page("").await?;
    ensure!(page.contains(&own) && !page.contains(theirs.name()), "{page}");

    // No other user of the machine is answered, and no other name leads here.
    let (status, page) = got(all.address, "/").await?;
    ensure!(status == 404 && page.is_empty(), "{status} {page}");
    Ok(())
}

#[tokio::test]
async fn a_person_who_may_read_nothing_is_told_so_at_the_start() -> Result<()> {
    let gate = Gate::shared().await?;
    let yard = gate.yard().await?;
    let kubeconfig = gate.control_plane.kubeconfig_of("stranger-of-the-dashboard", &[])?;
    let output = Command::new(weighbridge())
        .args(["dashboard", "--port", "0", "-n", yard.name(), "--kubeconfig"])
        .arg(kubeconfig)
        .output()?;
    let errors = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(2) && errors.contains("may not list"), "{errors}");
    Ok(())
}

#[tokio::test]
async fn serve_has_a_calculator_that_answers_as_check_does() -> Result<()> {
    let place = Place::shared().await?;
    let address = place.serve.calculator().context("it serves no calculator")?;
    let (status, page) = got(address, "/").await?;
    ensure!(status == 200 && page.contains("It reads nothing of the cluster"), "{status}");
    let question =
        json!({"fields": {"model": "llama-3-8b", "method": "lora", "gpu-type": "A100-80GB"}}).to_string();
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "POST /v1/calculate HTTP/1.0\r\nHost: gpu.example\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        question.len()
    );
    stream.write_all(format!("{head}{question}").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.contains(" 200 ") && head.contains("content-security-policy"), "{head}");
    let told: serde_json::Value = serde_json::from_str(body)?;
    ensure!(told["element"]["model"] == "llama-3-8b", "{body}");
    // The calculator is not beside the metrics, and the metrics are not beside the calculator.
    ensure!(got(address, "/metrics").await?.0 == 404 && place.serve.probe("/v1/calculate").await?.0 == 404);
    Ok(())
}
