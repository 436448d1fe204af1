//! Nodes: where a job does not say which accelerator it wants, they do.

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup};
use crate::gate::{Yard, refusal, weighbridge};
use crate::jobs::pytorchjob;

#[tokio::test]
async fn a_job_that_names_no_accelerator_is_judged_on_those_of_the_nodes() -> Result<()> {
    // Of its own, since nodes are everybody's.
    let options = Options { controller_manager: false, ..Options::standard()? };
    let control_plane = ControlPlane::start(options).await?;
    let serve = Serve::start(&control_plane, weighbridge(), Setup::new("nodes", Reach::Everything)).await?;
    let yard = Yard::new(&control_plane, &serve, control_plane.namespace(&[]).await?)?;

    let job = |name: &str| pytorchjob(name, 1, &[("parameters", "13B"), ("tensor-parallel", "8")]);
    yard.admitted(&job("early")).await?;
    let estimate = yard.estimate_that("pytorchjob-early", "Unknown").await?;
    assert_eq!(estimate["status"]["reason"], "UnknownAccelerator", "{}", estimate["status"]);

    // As GPU feature discovery labels a node, and the device plugin offers its GPUs.
    let labels = json!({"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.memory": "15360", "nvidia.com/gpu.count": "8"});
    let node = serde_json::from_value(json!({"metadata": {"name": "t4", "labels": labels}}))?;
    let nodes: Api<Node> = Api::all(control_plane.admin()?);
    nodes.create(&PostParams::default(), &node).await?;
    let offered = json!({"nvidia.com/gpu": "8"});
    let status = Patch::Merge(json!({"status": {"capacity": offered, "allocatable": offered}}));
    nodes.patch_status("t4", &PatchParams::default(), &status).await?;

    // What was judged before is judged again, and what comes now is refused.
    yard.estimate_that("pytorchjob-early", "OutOfMemory").await?;
    let said = refusal(yard.create(&job("late")).await?)?;
    assert!(said.code == 403 && said.message.contains("T4"), "{said}");
    serve.stop().await
}
