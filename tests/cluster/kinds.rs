//! Kinds that are installed and removed while the webhook runs.

use std::process::Command;

use anyhow::Result;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, api::DeleteParams};

use super::gate::{SOON, Yard, refusal, weighbridge};
use super::jobs::{fitting, hopeless};
use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup, kubeflow_crds, wait_until};

const DEFINITION: &str = "pytorchjobs.kubeflow.org";

#[tokio::test]
async fn a_kind_that_is_installed_later_is_watched_until_it_is_removed() -> Result<()> {
    let control_plane = ControlPlane::start(Options::bare()).await?;
    // Applied with kubectl, like a user does. They will do it again after an upgrade.
    let printed = Command::new(weighbridge()).arg("crds").output()?;
    for expected in ["created", "unchanged"] {
        let input = std::str::from_utf8(&printed.stdout)?;
        let output =
            control_plane.kubectl()?.run_with_input(&["apply", "-f", "-"], input).await?.success()?;
        assert!(
            output.lines().count() == 4 && output.lines().all(|line| line.ends_with(expected)),
            "{output}"
        );
    }
    let serve = Serve::start(&control_plane, weighbridge(), Setup::new("kinds", Reach::Everything)).await?;
    let watches = async || -> Result<f64> {
        Ok(serve.metrics().await?.sum("weighbridge_watches", &[("resource", "pytorchjobs")]))
    };
    assert!(watches().await? < 0.5, "it watches a kind that is not installed");

    let mut definitions = kubeflow_crds()?;
    definitions.retain(|path| path.to_string_lossy().contains("pytorchjobs"));
    control_plane.install_crds(&definitions).await?;
    let namespace = control_plane.namespace(&[]).await?;
    let yard = Yard::new(&control_plane, &serve, namespace)?;
    yard.admitted(&fitting("llama")?).await?;
    yard.estimate("pytorchjob-llama").await?;
    assert_eq!(refusal(yard.create(&hopeless("late")?).await?)?.code, 403);
    assert!(watches().await? > 0.5, "the metric counts no watch");

    let api: Api<CustomResourceDefinition> = Api::all(control_plane.admin()?);
    api.delete(DEFINITION, &DeleteParams::default()).await?;
    wait_until("the watch to end", SOON, || async { Ok(watches().await? < 0.5) })
        .await
        .map_err(|error| serve.with_log(&error))?;
    serve.stop().await
}
