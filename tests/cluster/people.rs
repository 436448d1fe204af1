//! Users: the built-in roles of a namespace include its estimates.

use anyhow::Result;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use weighbridge::api::v1alpha1::TrainingEstimate;

use super::gate::{Gate, Yard, refusal};
use super::jobs::{example, fitting};

fn estimates(client: Client, yard: &Yard<'_>) -> Api<DynamicObject> {
    Api::namespaced_with(client, yard.name(), &ApiResource::erase::<TrainingEstimate>(&()))
}

#[tokio::test]
async fn a_viewer_of_a_namespace_reads_its_estimates() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    yard.admitted(&fitting("llama2-70b")?).await?;
    yard.estimate("pytorchjob-llama2-70b").await?;

    let viewed = estimates(yard.namespace.view_user().await?, &yard);
    assert_eq!(viewed.list(&ListParams::default()).await?.items.len(), 1);
    assert_eq!(viewed.get("pytorchjob-llama2-70b").await?.data["status"]["verdict"], "Fits");
    let question = serde_json::from_value(example("trainingestimate-what-if.yaml")?)?;
    assert_eq!(refusal(viewed.create(&PostParams::default(), &question).await)?.code, 403);
    Ok(())
}

#[tokio::test]
async fn an_editor_of_a_namespace_writes_specs_but_no_statuses() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let edited = estimates(yard.namespace.edit_user().await?, &yard);
    let question = serde_json::from_value(example("trainingestimate-what-if.yaml")?)?;
    edited.create(&PostParams::default(), &question).await?;
    yard.estimate("llama2-70b-on-512-h100").await?;

    let answer = Patch::Merge(json!({"status": {"verdict": "OutOfMemory"}}));
    let written = edited.patch_status("llama2-70b-on-512-h100", &PatchParams::default(), &answer).await;
    assert_eq!(refusal(written)?.code, 403);
    Ok(())
}

#[tokio::test]
async fn a_user_cannot_read_the_estimates_of_another_namespace() -> Result<()> {
    let gate = Gate::shared().await?;
    let (mine, theirs) = (gate.yard().await?, gate.yard().await?);
    let user = mine.namespace.view_user().await?;
    assert_eq!(refusal(estimates(user, &theirs).list(&ListParams::default()).await)?.code, 403);
    Ok(())
}
