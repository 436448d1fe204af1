//! Installed, upgraded and uninstalled by the real helm, with the binary outside the cluster as the chart's own
//! ServiceAccount, called by the apiserver through the chart's own Service.

use std::{collections::BTreeSet, fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration,
    apps::v1::Deployment,
    authentication::v1::TokenRequest,
    batch::v1::Job,
    core::v1::{Namespace, Pod, Secret, ServiceAccount},
    discovery::v1::EndpointSlice,
    events::v1::Event,
    rbac::v1::{ClusterRole, PolicyRule, Role},
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
    config::Kubeconfig,
};
use serde_json::{Value, json};
use weighbridge::api::v1alpha1::TrainingEstimate;

use crate::{
    controlplane::{
        AuditEvent, ControlPlane, Guarded, Options, kubeflow_crds, wait_for, wait_until, wait_until_refused,
    },
    helm::{CHART, Helm},
    machine,
};

const SOON: Duration = Duration::from_mins(1);
const NAME: &str = "weighbridge";
const CRD: &str = "trainingestimates.weighbridge.dev";

/// Every request of service accounts is logged, reads too.
const AUDIT: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts:weighbridge"]}, {"level": "None"}]
}"#;

/// What the role allows and one replica in this test has no occasion for, and why it is needed.
const UNUSED: &[(&str, &str)] = &[
    ("patch events", "an event that recurs is counted up"),
    ("patch leases", "the lease is renewed after some seconds, which may be later than this test looks"),
];

async fn control_plane() -> Result<ControlPlane> {
    let folder = tempfile::Builder::new().prefix("weighbridge-audit-").tempdir()?;
    let policy = folder.path().join("policy.json");
    fs::write(&policy, AUDIT)?;
    let options = Options {
        // Not our own: the chart brings it.
        crds: kubeflow_crds()?,
        api_server_arguments: vec![
            // Webhooks are called at their endpoints: nobody makes a Service's address reachable here.
            "--enable-aggregator-routing=true".to_owned(),
            format!("--audit-policy-file={}", policy.display()),
        ],
        ..Options::bare()
    };
    // The server has read the policy when it is ready.
    ControlPlane::start(options).await
}

async fn namespace(client: &Client) -> Result<()> {
    // The strictest of Pod Security's levels.
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAME, "labels": labels}}))?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// The binary, started as a kubelet would, but outside.
async fn serve(control_plane: &ControlPlane, client: &Client) -> Result<(Guarded, SocketAddr, SocketAddr)> {
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
            _ => argument.replace("$(POD_NAME)", "weighbridge-outside"),
        };
        command.arg(argument);
    }
    command
        .arg("--kubeconfig")
        .arg(kubeconfig(control_plane, client, pod.service_account_name.as_deref()).await?);
    let process = Guarded::spawn(&command, &control_plane.folder().join("serve.log"))?;
    let ready = wait_until("the replica to be ready", SOON, || async {
        if let Some(status) = process.exit_status()? {
            anyhow::bail!("it ended with {status}");
        }
        Ok(get(plain, "/readyz").await? == 200)
    });
    ready.await.map_err(|error| error.context(process.log_tail()))?;
    Ok((process, webhook, plain))
}

/// The ServiceAccount's own way in: a token, as the kubelet asks for one.
async fn kubeconfig(control_plane: &ControlPlane, client: &Client, account: Option<&str>) -> Result<PathBuf> {
    let account = account.context("the pod names no ServiceAccount")?;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), NAME);
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}}))?;
    let token = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    let token = token.status.context("no token")?.token;
    let admin = Kubeconfig::read_from(control_plane.kubeconfig())?;
    let mut config = serde_json::to_value(admin)?;
    config["users"][0]["user"] = json!({"token": token});
    let path = control_plane.folder().join("service-account.kubeconfig");
    fs::write(&path, serde_json::to_vec(&config)?)?;
    Ok(path)
}

/// The status of a plain request.
async fn get(address: SocketAddr, path: &str) -> Result<u16> {
    use http_body_util::Empty;
    use hyper_util::{client::legacy, rt::TokioExecutor};
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<hyper::body::Bytes>>();
    Ok(client.get(format!("http://{address}{path}").parse()?).await?.status().as_u16())
}

/// What the endpoint slice controller would do if the pod ran in the cluster.
async fn endpoints(client: &Client, webhook: SocketAddr) -> Result<()> {
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": "weighbridge-outside", "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [webhook.ip().to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": webhook.port(), "protocol": "TCP"}],
    }))?;
    Api::<EndpointSlice>::namespaced(client.clone(), NAME).create(&PostParams::default(), &slice).await?;
    Ok(())
}

/// The bundles of all entries.
async fn bundles(client: &Client) -> Result<Vec<Vec<u8>>> {
    let configuration = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get(NAME).await?;
    let entries = configuration.webhooks.into_iter().flatten();
    Ok(entries
        .map(|entry| entry.client_config.ca_bundle.map(|bundle| bundle.0).unwrap_or_default())
        .collect())
}

async fn ca(client: &Client) -> Result<Secret> {
    Ok(Api::<Secret>::namespaced(client.clone(), NAME).get("weighbridge-ca").await?)
}

/// Seventy billion parameters, trained whole on one GPU.
fn hopeless() -> Result<Job> {
    let annotations = json!({"weighbridge.dev/parameters": "70B", "weighbridge.dev/gpu-type": "A100-80GB"});
    job("early", &annotations)
}

fn fitting() -> Result<Job> {
    let annotations = json!({"weighbridge.dev/model": "llama-3-8b", "weighbridge.dev/method": "lora",
        "weighbridge.dev/gpu-type": "H100-80GB", "weighbridge.dev/micro-batch-size": "1",
        "weighbridge.dev/sequence-length": "2048", "weighbridge.dev/recompute": "full"});
    job("fitting", &annotations)
}

/// Suspended, so that nobody makes pods of it.
fn job(name: &str, annotations: &Value) -> Result<Job> {
    let container =
        json!({"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }))?)
}

/// The pod of the Deployment passes the namespace's Pod Security level.
async fn pod_is_restricted(client: &Client) -> Result<()> {
    let deployment = Api::<Deployment>::namespaced(client.clone(), NAME).get(NAME).await?;
    let template = deployment.spec.template;
    let metadata =
        ObjectMeta { name: Some("as-in-the-deployment".to_owned()), ..template.metadata.unwrap_or_default() };
    let pod = Pod { metadata, spec: template.spec, status: None };
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    Api::<Pod>::namespaced(client.clone(), NAME).create(&dry_run, &pod).await?;
    Ok(())
}

#[tokio::test]
async fn it_installs_refuses_through_its_own_service_upgrades_and_uninstalls() -> Result<()> {
    let control_plane = control_plane().await?;
    let client = control_plane.admin()?;
    let helm = Helm::of(&control_plane.kubeconfig())?;
    namespace(&client).await?;
    let jobs = Api::<Job>::namespaced(client.clone(), "default");
    // Before anybody is asked: the controller finds it.
    jobs.create(&PostParams::default(), &hopeless()?).await?;

    let fail = ["--set", "webhook.failurePolicy=Fail"];
    let install = ["install", NAME, CHART, "--namespace", NAME];
    let notes = helm.run(&[&install[..], &fail[..]].concat()).await?.success()?;
    assert!(notes.contains("kubectl delete validatingwebhookconfiguration weighbridge"), "{notes}");
    assert!(bundles(&client).await?.iter().all(Vec::is_empty), "nobody has written one yet");
    assert!(ca(&client).await?.data.is_none(), "the CA's Secret is rendered empty");
    pod_is_restricted(&client).await?;

    let (process, webhook, plain) = serve(&control_plane, &client).await?;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(plain, path).await?, 200, "{path}");
    }
    endpoints(&client, webhook).await?;
    wait_until_refused(&control_plane, "default").await.map_err(|error| error.context(process.log_tail()))?;

    // What fits is admitted through it, too, and gets its estimate.
    jobs.create(&PostParams::default(), &fitting()?).await?;
    let estimates = Api::<TrainingEstimate>::namespaced(client.clone(), "default");
    wait_for("the estimate to be judged", SOON, || async {
        Ok(estimates.get_opt("job-fitting").await?.filter(|estimate| estimate.status.is_some()))
    })
    .await
    .map_err(|error| error.context(process.log_tail()))?;
    let events = Api::<Event>::namespaced(client.clone(), "default");
    wait_until("an event about the job that was there before", SOON, || async {
        let said = events.list(&ListParams::default()).await?;
        Ok(said
            .items
            .iter()
            .any(|event| event.regarding.as_ref().and_then(|on| on.name.as_deref()) == Some("early")))
    })
    .await
    .map_err(|error| error.context(process.log_tail()))?;
    the_role_is_what_is_needed(&control_plane, &client).await?;

    let before = (bundles(&client).await?, ca(&client).await?.data);
    assert!(before.0.iter().all(|bundle| !bundle.is_empty()) && before.1.is_some());
    // Nobody is there to repair what the upgrade would break.
    process.terminate()?;
    process.wait(SOON).await?;
    let upgrade =
        ["upgrade", NAME, CHART, "--namespace", NAME, "--set", "webhook.timeoutSeconds=7,replicaCount=3"];
    helm.run(&[&upgrade[..], &fail[..]].concat()).await?.success()?;
    let configuration = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get(NAME).await?;
    assert!(configuration.webhooks.iter().flatten().all(|entry| entry.timeout_seconds == Some(7)));
    let after = (bundles(&client).await?, ca(&client).await?.data);
    assert!(before == after, "an upgrade leaves what the replicas wrote");

    helm.run(&["uninstall", NAME, "--namespace", NAME]).await?.success()?;
    let gone = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get_opt(NAME).await?;
    assert!(gone.is_none(), "nothing may be asked of a webhook that is gone");
    assert!(Api::<CustomResourceDefinition>::all(client.clone()).get_opt(CRD).await?.is_some());
    assert!(estimates.get_opt("job-fitting").await?.is_some(), "estimates outlive the chart");
    jobs.delete("fitting", &DeleteParams::background()).await?;

    // Installed again, the definition that was kept is taken over.
    helm.run(&[&install[..], &fail[..]].concat()).await?.success()?;
    Ok(())
}

/// One verb on one resource, as RBAC sees it.
fn asked(event: &AuditEvent) -> Option<(String, String, String)> {
    let text = |key: &str| event.object_ref[key].as_str().unwrap_or_default().to_owned();
    let resource = match text("subresource").as_str() {
        "" => text("resource"),
        subresource => format!("{}/{subresource}", text("resource")),
    };
    // Discovery is everybody's.
    (!resource.is_empty()).then(|| (event.verb.clone(), text("apiGroup"), resource))
}

/// Every request was allowed, and every permission was used or has a reason.
async fn the_role_is_what_is_needed(control_plane: &ControlPlane, client: &Client) -> Result<()> {
    let user = format!("system:serviceaccount:{NAME}:{NAME}");
    let events = control_plane.audit_events_of(&user)?;
    ensure!(events.len() > 10, "the audit log knows of {} requests", events.len());
    let forbidden: Vec<_> = events
        .iter()
        .filter(|event| event.response_status["code"] == 403)
        .map(|event| &event.request_uri)
        .collect();
    assert!(forbidden.is_empty(), "not allowed: {forbidden:?}");

    let used: BTreeSet<_> = events.iter().filter_map(asked).collect();
    let role = Api::<ClusterRole>::all(client.clone()).get(NAME).await?;
    let own = Api::<Role>::namespaced(client.clone(), NAME).get(NAME).await?;
    let rules: Vec<PolicyRule> =
        role.rules.into_iter().flatten().chain(own.rules.into_iter().flatten()).collect();
    let served = served(client).await?;
    let mut unused = Vec::new();
    for rule in &rules {
        let (group, resource) = (one(rule.api_groups.as_deref())?, one(rule.resources.as_deref())?);
        for verb in &rule.verbs {
            // Whoever may list objects may read each of them anyway: `get` grants nothing more.
            let comes_along = verb == "get" && rule.verbs.iter().any(|other| other == "list");
            let known = comes_along || UNUSED.iter().any(|(what, _)| *what == format!("{verb} {resource}"));
            let call = (verb.clone(), group.clone(), resource.clone());
            // Kinds that are not installed here are not asked for.
            if !used.contains(&call) && !known && served.contains(&(group.clone(), resource.clone())) {
                unused.push(format!("{verb} {resource}"));
            }
        }
    }
    assert!(unused.is_empty(), "allowed, and never needed: {unused:?}");
    Ok(())
}

fn one(values: Option<&[String]>) -> Result<String> {
    match values {
        Some([value]) => Ok(value.clone()),
        other => anyhow::bail!("a rule is about one thing: {other:?}"),
    }
}

/// The (group, resource) pairs that this cluster serves.
async fn served(client: &Client) -> Result<BTreeSet<(String, String)>> {
    let mut served = BTreeSet::new();
    let groups = client.list_api_groups().await?;
    for version in groups.groups.iter().flat_map(|group| &group.versions) {
        let group = version.group_version.split('/').next().unwrap_or_default();
        let resources = client.list_api_group_resources(&version.group_version).await?;
        served.extend(resources.resources.into_iter().map(|resource| (group.to_owned(), resource.name)));
    }
    let core = client.list_core_api_resources("v1").await?;
    served.extend(core.resources.into_iter().map(|resource| (String::new(), resource.name)));
    Ok(served)
}
