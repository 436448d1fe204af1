//! Installed, upgraded and uninstalled by the real helm, with the binary outside the cluster as the chart's own
//! ServiceAccount, called by the apiserver through the chart's own Service.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration,
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Pod, Secret},
    events::v1::Event,
    rbac::v1::{ClusterRole, PolicyRule, Role},
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use serde_json::json;
use weighbridge::api::v1alpha1::TrainingEstimate;

use super::{
    controlplane::{AuditEvent, ControlPlane, wait_for, wait_until, wait_until_refused},
    helm::{CHART, Helm},
    outside::{NAME, Replica, SOON, control_plane, get, hopeless, job, namespace},
};

const CRD: &str = "trainingestimates.weighbridge.dev";

/// What the role allows and one replica in this test has no occasion for, and why it is needed.
const UNUSED: &[(&str, &str)] = &[
    ("patch events", "an event that recurs is counted up"),
    ("patch leases", "the lease is renewed after some seconds, which may be later than this test looks"),
    ("create tokenreviews", "a caller of POST /v1/estimate shows a token, and it is not called here"),
    ("create traininghistories", "a history is kept when a job ends, and none ends here"),
    ("patch traininghistories", "the same for a job that ran before"),
    ("delete traininghistories", "a history whose jobs are long gone is removed"),
];

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

fn fitting() -> Result<Job> {
    let annotations = json!({"weighbridge.dev/model": "llama-3-8b", "weighbridge.dev/method": "lora",
        "weighbridge.dev/gpu-type": "H100-80GB", "weighbridge.dev/micro-batch-size": "1",
        "weighbridge.dev/sequence-length": "2048", "weighbridge.dev/recompute": "full"});
    job("fitting", &annotations)
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

    // With every option that asks for a permission.
    let options = "webhook.failurePolicy=Fail,read.configMaps=true,read.queues=true,read.claims=true,\
                   api.enabled=true,learning.history=admit";
    let fail = ["--set", options];
    let install = ["install", NAME, CHART, "--namespace", NAME];
    let notes = helm.run(&[&install[..], &fail[..]].concat()).await?.success()?;
    assert!(notes.contains("kubectl delete validatingwebhookconfiguration weighbridge"), "{notes}");
    let rendered = bundles(&client).await?;
    assert!(!rendered.is_empty() && rendered.iter().all(Vec::is_empty), "none is written yet");
    assert!(ca(&client).await?.data.is_none(), "the CA's Secret is rendered empty");
    pod_is_restricted(&client).await?;

    let replica = Replica::start(&control_plane, &client, "weighbridge-outside").await?;
    let process = &replica.process;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(replica.plain, path).await?, 200, "{path}");
    }
    replica.endpoint(&client, true).await?;
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
        Ok(said.items.iter().any(|event| {
            let about = event.regarding.as_ref().and_then(|on| on.name.as_deref());
            // Kubernetes says something about it, too.
            let by = event.reporting_controller.as_deref();
            about == Some("early") && by == Some("weighbridge.dev/controller")
        }))
    })
    .await
    .map_err(|error| error.context(process.log_tail()))?;
    the_role_is_what_is_needed(&control_plane, &client).await?;

    let before = (bundles(&client).await?, ca(&client).await?.data);
    assert!(before.0.len() == rendered.len() && before.0.iter().all(|bundle| !bundle.is_empty()));
    assert!(before.1.is_some(), "a replica has filled the Secret");
    // No replica is there to repair what the upgrade would break.
    process.terminate()?;
    process.wait(SOON).await?;
    let upgrade =
        ["upgrade", NAME, CHART, "--namespace", NAME, "--set", "webhook.timeoutSeconds=7,replicaCount=3"];
    helm.run(&[&upgrade[..], &fail[..]].concat()).await?.success()?;
    let configuration = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get(NAME).await?;
    let timeouts: BTreeSet<_> =
        configuration.webhooks.iter().flatten().map(|entry| entry.timeout_seconds).collect();
    assert_eq!(timeouts, BTreeSet::from([Some(7)]));
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

    let role = Api::<ClusterRole>::all(client.clone()).get(NAME).await?;
    let own = Api::<Role>::namespaced(client.clone(), NAME).get(NAME).await?;
    let rules: Vec<PolicyRule> =
        role.rules.into_iter().flatten().chain(own.rules.into_iter().flatten()).collect();
    let served = served(client).await?;
    let unused = || -> Result<Vec<String>> {
        let used = control_plane.audit_events_of(&user)?.iter().filter_map(asked).collect();
        never_used(&rules, &used, &served)
    };
    // What is answered is logged a moment later. That it never is, the assertion says better than the wait.
    let _ = wait_until("every permission to be used", SOON, || async { Ok(unused()?.is_empty()) }).await;
    let unused = unused()?;
    assert!(unused.is_empty(), "allowed, and never needed: {unused:?}");
    Ok(())
}

/// What these rules allow and no request used, among the resources that the cluster serves.
fn never_used(
    rules: &[PolicyRule],
    used: &BTreeSet<(String, String, String)>,
    served: &BTreeSet<(String, String)>,
) -> Result<Vec<String>> {
    let mut unused = Vec::new();
    for rule in rules {
        let (group, resource) = (one(rule.api_groups.as_deref())?, one(rule.resources.as_deref())?);
        for verb in &rule.verbs {
            // A list shows each object anyway: `get` grants nothing more.
            let comes_along = verb == "get" && rule.verbs.iter().any(|other| other == "list");
            let known = comes_along || UNUSED.iter().any(|(what, _)| *what == format!("{verb} {resource}"));
            let call = (verb.clone(), group.clone(), resource.clone());
            // Kinds that are not installed here are not asked for.
            if !used.contains(&call) && !known && served.contains(&(group.clone(), resource.clone())) {
                unused.push(format!("{verb} {resource}"));
            }
        }
    }
    Ok(unused)
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
