//! Objects that never reach the webhook, because they show that they use no accelerator.

use anyhow::Result;
use serde_json::{Value, json};

use super::gate::{Yard, weighbridge};
use super::jobs::{job, pod_spec, pytorchjob};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup};

/// Objects that ask for no accelerator. One of them trains.
fn without_gpus() -> Vec<Value> {
    let mut trains = pytorchjob("trains", 2, &[]);
    for role in ["Master", "Worker"] {
        trains["spec"]["pytorchReplicaSpecs"][role]["template"]["spec"] = pod_spec(0);
    }
    let mut plain = job("plain", 1, &[]);
    plain["spec"]["template"]["spec"] = pod_spec(0);
    // The pod is created only when it may start.
    plain["spec"]["suspend"] = json!(true);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod_spec(0)});
    // As empty as the CRDs allow. An expression that fails on one of them would refuse it.
    let mut nothing = pytorchjob("nothing", 1, &[]);
    nothing["spec"]["pytorchReplicaSpecs"] = json!({});
    let mut no_template = pytorchjob("no-template", 1, &[]);
    no_template["spec"]["pytorchReplicaSpecs"] =
        json!({"Worker": {"replicas": 1}, "Master": {"template": {}}});
    let mut nulls = pytorchjob("nulls", 1, &[]);
    nulls["metadata"]["annotations"] = json!(null);
    nulls["spec"]["pytorchReplicaSpecs"]["Master"]["template"] = json!({
        "metadata": {"annotations": null, "labels": null},
        "spec": {
            "containers": [{"name": "pytorch", "image": "none", "resources": {"limits": {}, "requests": {}}}],
            "initContainers": [],
            "nodeSelector": {},
        },
    });
    let mut odd_role = trains.clone();
    odd_role["metadata"]["name"] = json!("odd-role");
    odd_role["spec"]["pytorchReplicaSpecs"] = json!({"a.b['c'] \" ü": {"template": {"spec": pod_spec(0)}}});
    vec![trains, plain, pod, nothing, no_template, nulls, odd_role]
}

/// One object for each way to ask for an accelerator.
fn with_gpus() -> Vec<Value> {
    let container = |resources: Value| {
        let mut spec = pod_spec(0);
        spec["containers"][0]["resources"] = resources;
        spec
    };
    let mut init = pod_spec(0);
    init["initContainers"] =
        json!([{"name": "warm", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]);
    let specs = [
        container(json!({"limits": {"nvidia.com/gpu": "1"}})),
        container(json!({"limits": {"amd.com/gpu": "1"}})),
        container(json!({"limits": {"nvidia.com/mig-3g.40gb": "1"}})),
        container(json!({"limits": {"huawei.com/Ascend910": "8"}})),
        init,
    ];
    let mut claim = pod_spec(0);
    claim["resourceClaims"] = json!([{"name": "gpu", "resourceClaimName": "gpu"}]);
    claim["containers"][0]["resources"] = json!({"claims": [{"name": "gpu"}]});
    let pods = specs.into_iter().chain([claim]).enumerate().map(|(number, spec)| {
        let metadata = json!({"name": format!("pod-{number}")});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    });
    let jobs = [
        // The CRD of this kind does not require limits.
        json!({"spec": container(json!({"requests": {"nvidia.com/gpu": 1}}))}),
        json!({"metadata": {"annotations": {"gpu-fraction": "0.5"}}, "spec": pod_spec(0)}),
        json!({"metadata": {"annotations": {"weighbridge.dev/model": "llama-2-7b"}}, "spec": pod_spec(0)}),
    ];
    let jobs = jobs.into_iter().enumerate().map(|(number, template)| {
        let mut job = pytorchjob(&format!("job-{number}"), 1, &[]);
        job["spec"]["pytorchReplicaSpecs"] = json!({"Worker": {"template": template}});
        job
    });
    pods.chain(jobs).collect()
}

#[tokio::test]
async fn only_objects_that_ask_for_an_accelerator_reach_the_webhook() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("traffic", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let serve = Serve::start(control_plane, weighbridge(), Setup::new("traffic", reach)).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;

    let before = yard.requests().await?;
    for object in without_gpus() {
        yard.create(&object).await??;
        let asked = yard.requests().await? - before;
        assert!(asked < 0.5, "the webhook was called for {object}");
    }
    for (number, object) in (1_u32..).zip(with_gpus()) {
        yard.create(&object).await??;
        let asked = yard.requests().await? - before;
        assert!(
            (asked - f64::from(number)).abs() < 0.5,
            "{asked} requests instead of {number} after {object}"
        );
    }
    serve.stop().await
}
