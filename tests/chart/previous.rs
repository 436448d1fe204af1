//! What an older chart left is taken over by this one.
//!
//! `previous/` holds the definitions of earlier commits, each under the name of its commit.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use weighbridge::api::v1alpha1::TrainingEstimate;

use super::{
    controlplane::{ControlPlane, Options},
    helm::{CHART, Helm},
};

const PREVIOUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/previous/crds-0c89f6c.yaml");
const CRD: &str = "trainingestimates.weighbridge.dev";

fn written_then() -> Result<TrainingEstimate> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "kept"},
        "spec": {
            "model": {"name": "llama-3-8b", "parameters": "8B"},
            "parallelism": {"tensor": 2, "sharding": "FSDP"},
            "batch": {"microBatchSize": 1, "globalBatchSize": 16, "sequenceLength": 4096},
            "precision": "BF16", "optimizer": "AdamW",
            "accelerator": {"type": "H100-80GB", "count": 8},
        },
    }))?)
}

#[tokio::test]
async fn definitions_and_objects_of_an_older_version_are_taken_over() -> Result<()> {
    let options = Options { crds: vec![PREVIOUS.into()], controller_manager: false, ..Options::bare() };
    let control_plane = ControlPlane::start(options).await?;
    let client = control_plane.admin()?;
    let namespace = serde_json::from_value(json!({"metadata": {"name": "weighbridge"}}))?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let estimates = Api::<TrainingEstimate>::namespaced(client.clone(), "default");
    let before = estimates.create(&PostParams::default(), &written_then()?).await?;

    // What was applied by hand belongs to no release: helm says so, and takes it over when it is told to.
    let helm = Helm::of(&control_plane.kubeconfig())?;
    let install = ["install", "weighbridge", CHART, "--namespace", "weighbridge"];
    let refused = helm.run(&install).await?;
    assert!(!refused.success && refused.stderr.contains("invalid ownership metadata"), "{}", refused.stderr);
    let taken = ["--take-ownership", "--force-conflicts"];
    helm.run(&[&install[..], &taken[..]].concat()).await?.success()?;

    let definition = Api::<CustomResourceDefinition>::all(client.clone()).get(CRD).await?;
    let labels = definition.metadata.labels.clone().context("no labels")?;
    assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm");
    let fields = |definition: &CustomResourceDefinition| -> Result<Vec<String>> {
        let versions = serde_json::to_value(&definition.spec.versions)?;
        let spec = &versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        let mut names: Vec<_> = spec.as_object().context("no spec")?.keys().cloned().collect();
        names.sort();
        Ok(names)
    };
    assert_eq!(fields(&definition)?, fields(&weighbridge::api::definition::definition()?)?);
    let stored = definition.status.and_then(|status| status.stored_versions);
    assert_eq!(
        stored,
        Some(vec!["v1alpha1".to_owned()]),
        "no object is left in a version that is not served"
    );

    let after = estimates.get("kept").await?;
    assert_eq!(serde_json::to_value(&before.spec)?, serde_json::to_value(&after.spec)?);
    // It can still be changed: nothing that was valid has become invalid.
    let change = Patch::Merge(json!({"spec": {"batch": {"microBatchSize": 2}}}));
    estimates.patch("kept", &PatchParams::default(), &change).await?;
    Ok(())
}
