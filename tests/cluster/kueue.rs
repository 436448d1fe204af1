//! AdmissionChecks of Kueue: a job is judged again on the flavor that it was assigned. The test writes what Kueue's own
//! controllers write.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::gate::{SOON, Yard, condition, weighbridge};
use super::jobs::{WHOLE, annotated, job, pytorchjob};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_for};

const ANSWERS: &str = "weighbridge_kueue_checks_total";

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("kueue.x-k8s.io", "v1beta2", kind))
}

/// Creates an object of the cluster.
async fn create(client: &Client, kind: &str, name: &str, spec: Value) -> Result<()> {
    let object = json!({
        "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

/// A flavor for each accelerator, a queue with both and a queue with the small one.
async fn queues(client: &Client) -> Result<()> {
    for (flavor, product) in [("t4", "Tesla-T4"), ("h200", "NVIDIA-H200")] {
        create(client, "ResourceFlavor", flavor, json!({"nodeLabels": {"nvidia.com/gpu.product": product}}))
            .await?;
    }
    for (queue, flavors) in [("both", &["t4", "h200"][..]), ("small", &["t4"])] {
        let quota = json!([{"name": "nvidia.com/gpu", "nominalQuota": 8}]);
        let flavors: Vec<Value> =
            flavors.iter().map(|name| json!({"name": name, "resources": quota})).collect();
        let group = json!({"coveredResources": ["nvidia.com/gpu"], "flavors": flavors});
        create(client, "ClusterQueue", queue, json!({"resourceGroups": [group]})).await?;
    }
    Ok(())
}

/// It fits on an H200 and not on a T4.
fn whole(name: &str) -> Value {
    pytorchjob(name, 1, WHOLE)
}

fn workloads(yard: &Yard<'_>) -> Api<DynamicObject> {
    Api::namespaced_with(yard.client.clone(), yard.name(), &resource("Workload"))
}

/// A Workload with this owner, to which this flavor of a queue was assigned. Two checks are Pending.
async fn assigned(
    yard: &Yard<'_>,
    owner: Option<&DynamicObject>,
    name: &str,
    queue: &str,
    flavor: &str,
) -> Result<()> {
    let owners: Vec<Value> = owner.map(reference).transpose()?.into_iter().collect();
    let workload = json!({
        "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload",
        "metadata": {"name": name, "ownerReferences": owners},
        "spec": {"active": true, "podSets": [{"name": "master", "count": 1, "template": {"spec": {"containers": []}}}]},
    });
    workloads(yard).create(&PostParams::default(), &serde_json::from_value(workload)?).await?;
    reserve(yard, name, queue, flavor).await
}

fn reference(owner: &DynamicObject) -> Result<Value> {
    let types = owner.types.as_ref().context("it has no kind")?;
    Ok(json!({
        "apiVersion": types.api_version, "kind": types.kind, "name": owner.name_any(), "uid": owner.uid(),
        "controller": true,
    }))
}

/// Writes what Kueue writes when it reserves quota.
async fn reserve(yard: &Yard<'_>, name: &str, queue: &str, flavor: &str) -> Result<()> {
    let now = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let pending =
        |check: &str| json!({"name": check, "state": "Pending", "message": "", "lastTransitionTime": now});
    let quota = json!({
        "type": "QuotaReserved", "status": "True", "reason": "QuotaReserved", "message": "", "lastTransitionTime": now,
    });
    let sets = json!([{"name": "master", "count": 1, "flavors": {"nvidia.com/gpu": flavor}}]);
    let status = json!({
        "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload",
        "status": {
            "conditions": [quota],
            "admission": {"clusterQueue": queue, "podSetAssignments": sets},
            "admissionChecks": [pending("memory"), pending("others")],
        },
    });
    let kueue = PatchParams::apply("kueue-admission").force();
    workloads(yard).patch_status(name, &kueue, &Patch::Apply(status)).await?;
    Ok(())
}

/// Our check of a Workload once it is no longer Pending, as `state: message`. The other check stays Pending.
async fn answer(yard: &Yard<'_>, name: &str) -> Result<String> {
    let workloads = workloads(yard);
    let found = wait_for(&format!("the check of {name} to be answered"), SOON, || async {
        let workload = serde_json::to_value(workloads.get(name).await?)?;
        let checks = workload["status"]["admissionChecks"].as_array().cloned().unwrap_or_default();
        let of = |name: &str| checks.iter().find(|check| check["name"] == name).cloned();
        let (ours, others) = (of("memory").context("none")?, of("others").context("none")?);
        ensure!(others["state"] == "Pending", "{others}");
        Ok((ours["state"] != "Pending").then_some(ours))
    })
    .await
    .map_err(|error| yard.serve.with_log(&error))?;
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    let pause = found["requeueAfterSeconds"].as_i64().map(|pause| format!(" after {pause} s"));
    Ok(format!("{}{}: {}", text("state"), pause.unwrap_or_default(), text("message")))
}

#[tokio::test]
async fn a_job_is_judged_again_on_the_flavor_that_its_queue_assigned() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/kueue.yaml");
    control_plane.install_crds(&[definitions]).await?;
    let client = control_plane.admin()?;
    queues(&client).await?;
    create(&client, "AdmissionCheck", "memory", json!({"controllerName": "weighbridge.dev/memory"})).await?;
    create(&client, "AdmissionCheck", "others", json!({"controllerName": "example.com/others"})).await?;

    let namespace = control_plane.guarded_namespace("kueue", &[("weighbridge.dev/mode", "enforce")]).await?;
    let lenient = control_plane.guarded_namespace("kueue", &[("weighbridge.dev/mode", "warn")]).await?;
    let names = vec![namespace.name().to_owned(), lenient.name().to_owned()];
    let setup = Setup {
        arguments: vec!["--kueue-check".to_owned()],
        ..Setup::new("kueue", Reach::Namespaces(names))
    };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let checks: Api<DynamicObject> = Api::all_with(client.clone(), &resource("AdmissionCheck"));
    wait_for("our check to be Active", SOON, || async {
        let check = serde_json::to_value(checks.get("memory").await?)?;
        Ok((condition(&check, "Active")["status"] == "True").then_some(()))
    })
    .await
    .map_err(|error| serve.with_log(&error))?;
    assert!(checks.get("others").await?.data["status"].is_null());

    let yard = Yard::new(control_plane, &serve, namespace)?;
    let large = yard.admitted(&whole("whole")).await?;
    assigned(&yard, Some(&large), "on-t4", "small", "t4").await?;
    let rejected = answer(&yard, "on-t4").await?;
    ensure!(rejected.starts_with("Rejected: pytorchjob/whole needs "), "{rejected}");
    ensure!(rejected.contains("a T4 offers") && rejected.ends_with("(flavor t4)"), "{rejected}");

    // A larger flavor of the same queue would do: it is assigned anew, and then the job may start.
    assigned(&yard, Some(&large), "moves", "both", "t4").await?;
    let retried = answer(&yard, "moves").await?;
    ensure!(retried.starts_with("Retry after 60 s: "), "{retried}");
    ensure!(retried.contains("flavor h200 may do"), "{retried}");
    reserve(&yard, "moves", "both", "h200").await?;
    let ready = answer(&yard, "moves").await?;
    ensure!(ready.starts_with("Ready: pytorchjob/whole needs ") && ready.contains("H200"), "{ready}");

    // What is not known is never refused.
    let unknown = yard.admitted(&job("unknown", 1, &[("sequence-length", "2048")])).await?;
    assigned(&yard, Some(&unknown), "unknown", "small", "t4").await?;
    let said = answer(&yard, "unknown").await?;
    ensure!(said.starts_with("Ready: job/unknown cannot be judged, so it is not refused"), "{said}");
    assigned(&yard, None, "alone", "small", "t4").await?;
    let said = answer(&yard, "alone").await?;
    ensure!(said.starts_with("Ready: the workload has no owner"), "{said}");
    // Neither is a job that the gate would admit.
    let lenient = Yard::new(control_plane, &serve, lenient)?;
    let warned = lenient.admitted(&annotated(whole("whole"), &[("gpu-type", "T4")])).await?;
    assigned(&lenient, Some(&warned), "warned", "small", "t4").await?;
    let said = answer(&lenient, "warned").await?;
    ensure!(said.starts_with("Ready: ") && said.contains("its namespace does not enforce"), "{said}");

    let metrics = serve.metrics().await?;
    for (answer, times) in [("rejected", 1.0), ("retry", 1.0), ("ready", 2.0), ("not-judged", 2.0)] {
        let counted = metrics.sum(ANSWERS, &[("answer", answer)]);
        assert!((counted - times).abs() < 0.5, "{answer}: {counted}");
    }
    serve.stop().await
}
