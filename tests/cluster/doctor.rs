//! `weighbridge doctor` on installations that work and on broken ones.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use weighbridge::controller::permissions::permissions;
use weighbridge::kinds::Kinds;

use super::gate::{Gate, SOON, weighbridge};
use super::permissions::{Grant, grant};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_until};

/// The output of `doctor`, and its exit code.
async fn examined(control_plane: &ControlPlane, arguments: &[&str]) -> Result<(String, i32)> {
    let kubeconfig = control_plane.kubeconfig();
    let output = tokio::process::Command::new(weighbridge())
        .arg("doctor")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(arguments)
        .output()
        .await?;
    ensure!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok((String::from_utf8(output.stdout)?, output.status.code().context("it was killed")?))
}

#[tokio::test]
async fn each_part_that_works_is_reported() -> Result<()> {
    let gate = Gate::shared().await?;
    let yard = gate.yard().await?;
    let names = ["--namespace", "gate", "--configuration-name", "gate", "--try-in", yard.name()];
    // The Lease may have no holder while another test stops a replica.
    let (output, _) = examined(gate.control_plane, &names).await?;
    for line in [
        "ok     the apiserver answers, v1.",
        "ok     the CRD trainingestimates.weighbridge.dev is from this version",
        "ok     the configuration gate has an entry for each of ",
        "ok     the entries of gate trust a CA that is valid for 36",
        "ok     the current user has all ",
        "ok     a job that must run out of memory is denied in ",
    ] {
        ensure!(output.contains(line), "{line} in\n{output}");
    }
    // The process runs outside of the cluster, and needs no Service.
    ensure!(output.contains("note   the apiserver calls https://127.0.0.1:"), "{output}");
    Ok(())
}

#[tokio::test]
async fn each_broken_part_is_reported_with_its_fix() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("doctor", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let setup = Setup { failure_policy: "Ignore", ..Setup::new("doctor", reach) };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let names = ["--namespace", "doctor", "--configuration-name", "doctor", "--try-in", namespace.name()];
    serve.kill()?;

    // A killed process leaves its configuration behind, and no process answers.
    let client: Client = control_plane.admin()?;
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client);
    let (output, status) = examined(control_plane, &names).await?;
    ensure!(output.contains("WRONG  a job that must run out of memory is admitted"), "{output}");
    ensure!(status == 1, "it ended with {status}");

    let mut emptied = configurations.get("doctor").await?;
    for entry in emptied.webhooks.iter_mut().flatten() {
        entry.client_config.ca_bundle = None;
    }
    let emptied = json!({"webhooks": emptied.webhooks});
    configurations.patch("doctor", &PatchParams::default(), &Patch::Merge(&emptied)).await?;
    let (output, _) = examined(control_plane, &names).await?;
    ensure!(output.contains("entries of doctor trust no CA"), "{output}");

    configurations.delete("doctor", &kube::api::DeleteParams::default()).await?;
    wait_until("the configuration to be reported missing", SOON, || async {
        let (output, status) = examined(control_plane, &names).await?;
        Ok(status == 1 && output.contains("WRONG  the ValidatingWebhookConfiguration doctor does not exist"))
    })
    .await
}

#[tokio::test]
async fn the_permissions_of_a_renamed_release_are_checked_for_its_own_secret() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let home = control_plane.namespace(&[]).await?;
    let user = format!("system:serviceaccount:{}:team-a", home.name());
    let named = Grant { name: "team-a", home: home.name(), user: &user, secret: "team-a-ca" };
    grant(control_plane, &named, &permissions(Kinds::built_in())).await?;
    let names = [
        ["--namespace", home.name()],
        ["--configuration-name", "team-a"],
        ["--service", "team-a"],
        ["--service-account", "team-a"],
    ]
    .concat();
    let (output, _) = examined(control_plane, &names).await?;
    let absent = format!("WRONG  the service account {}/team-a does not exist", home.name());
    ensure!(output.contains(&absent), "{output}");
    let accounts: Api<ServiceAccount> = Api::namespaced(control_plane.admin()?, home.name());
    let account = serde_json::from_value(json!({"metadata": {"name": "team-a"}}))?;
    accounts.create(&PostParams::default(), &account).await?;
    let (output, _) = examined(control_plane, &names).await?;
    ensure!(output.contains("ok     team-a has all "), "{output}");
    let (output, status) =
        examined(control_plane, &[&names[..], &["--ca-secret", "another"]].concat()).await?;
    ensure!(status == 1 && output.contains("WRONG  team-a lacks ") && output.contains("secrets"), "{output}");
    Ok(())
}
