//! The chart installed on a control plane, and replicas outside the cluster that run as the chart says.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use k8s_openapi::api::{
    apps::v1::Deployment,
    authentication::v1::TokenRequest,
    batch::v1::Job,
    core::v1::{Namespace, ServiceAccount},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    config::Kubeconfig,
};
use serde_json::{Value, json};

use super::{
    controlplane::{ControlPlane, Guarded, Metrics, Options, kubeflow_crds, wait_until},
    machine,
};

pub(crate) const SOON: Duration = Duration::from_mins(1);
/// Of the release and of its namespace.
pub(crate) const NAME: &str = "weighbridge";

/// Every request of service accounts is logged, reads too.
const AUDIT: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts:weighbridge"]}, {"level": "None"}]
}"#;

/// A bare one, with an audit log of what replicas ask for.
pub(crate) async fn control_plane() -> Result<ControlPlane> {
    let folder = tempfile::Builder::new().prefix("weighbridge-audit-").tempdir()?;
    let policy = folder.path().join("policy.json");
    fs::write(&policy, AUDIT)?;
    let options = Options {
        // Not our own: the chart brings it.
        crds: kubeflow_crds()?,
        api_server_arguments: vec![
            // Webhooks are called at their endpoints: no proxy makes a Service's address reachable here.
            "--enable-aggregator-routing=true".to_owned(),
            format!("--audit-policy-file={}", policy.display()),
        ],
        ..Options::bare()
    };
    // The server has read the policy when it is ready.
    ControlPlane::start(options).await
}

/// The release's namespace.
pub(crate) async fn namespace(client: &Client) -> Result<()> {
    // The strictest of Pod Security's levels.
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAME, "labels": labels}}))?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// A replica, started as a kubelet would, but outside.
pub(crate) struct Replica {
    pub(crate) process: Guarded,
    /// Where it answers /livez, /readyz and /metrics.
    pub(crate) plain: SocketAddr,
    name: String,
    webhook: SocketAddr,
}

impl Replica {
    /// Ready, and not behind the Service yet.
    pub(crate) async fn start(control_plane: &ControlPlane, client: &Client, name: &str) -> Result<Self> {
        let deployment = Api::<Deployment>::namespaced(client.clone(), NAME).get(NAME).await?;
        let pod = deployment.spec.template.spec.context("no pod")?;
        let container = pod.containers.first().context("no container")?;
        let (webhook, plain) = machine::two_free(machine::address()?)?;

        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_weighbridge"));
        for argument in container.args.iter().flatten() {
            // Only where it listens differs: a pod has its addresses to itself.
            let argument = match argument.split_once('=') {
                Some(("--listen", _)) => format!("--listen={webhook}"),
                Some(("--metrics-listen", _)) => format!("--metrics-listen={plain}"),
                _ => argument.replace("$(POD_NAME)", name),
            };
            command.arg(argument);
        }
        let kubeconfig = control_plane.folder().join(format!("{name}.kubeconfig"));
        identity(control_plane, client, pod.service_account_name.as_deref(), &kubeconfig).await?;
        command.arg("--kubeconfig").arg(kubeconfig);
        let process = Guarded::spawn(&command, &control_plane.folder().join(format!("{name}.log")))?;
        let ready = wait_until("the replica to be ready", SOON, || async {
            if let Some(status) = process.exit_status()? {
                anyhow::bail!("it ended with {status}");
            }
            Ok(get(plain, "/readyz").await? == 200)
        });
        ready.await.map_err(|error| error.context(process.log_tail()))?;
        Ok(Self { process, plain, name: name.to_owned(), webhook })
    }

    /// What the endpoint slice controller does with a pod that is ready or not. Each has a slice of its own, since their
    /// ports differ.
    pub(crate) async fn endpoint(&self, client: &Client, ready: bool) -> Result<()> {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": self.name, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": [self.webhook.ip().to_string()],
                "conditions": {"ready": ready, "serving": ready, "terminating": !ready},
            }],
            "ports": [{"name": "https", "port": self.webhook.port(), "protocol": "TCP"}],
        }))?;
        let slices = Api::<EndpointSlice>::namespaced(client.clone(), NAME);
        slices.patch(&self.name, &PatchParams::apply("test").force(), &Patch::Apply(&slice)).await?;
        Ok(())
    }

    /// How often it was asked by the apiserver.
    pub(crate) async fn answered(&self) -> Result<f64> {
        let metrics =
            Metrics::read(self.plain).await.map_err(|error| error.context(self.process.log_tail()))?;
        Ok(metrics.sum("weighbridge_admission_reviews_total", &[]))
    }
}

/// The ServiceAccount's own way in: a token, as the kubelet asks for one.
async fn identity(
    control_plane: &ControlPlane,
    client: &Client,
    account: Option<&str>,
    kubeconfig: &Path,
) -> Result<()> {
    let account = account.context("the pod names no ServiceAccount")?;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), NAME);
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}}))?;
    let token = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    let token = token.status.context("no token")?.token;
    let admin = Kubeconfig::read_from(control_plane.kubeconfig())?;
    let mut config = serde_json::to_value(admin)?;
    config["users"][0]["user"] = json!({"token": token});
    fs::write(kubeconfig, serde_json::to_vec(&config)?)?;
    Ok(())
}

/// The status of a plain request.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<u16> {
    use http_body_util::Empty;
    use hyper_util::{client::legacy, rt::TokioExecutor};
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<hyper::body::Bytes>>();
    Ok(client.get(format!("http://{address}{path}").parse()?).await?.status().as_u16())
}

/// Seventy billion parameters, trained whole on one GPU.
pub(crate) fn hopeless() -> Result<Job> {
    let annotations = json!({"weighbridge.dev/parameters": "70B", "weighbridge.dev/method": "full", "weighbridge.dev/gpu-type": "A100-80GB"});
    job("early", &annotations)
}

/// Suspended, so that no controller makes pods of it.
pub(crate) fn job(name: &str, annotations: &Value) -> Result<Job> {
    let container =
        json!({"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }))?)
}
