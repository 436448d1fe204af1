//! A running replica stays ready whatever the apiserver refuses, unless a caBundle is known that does not trust its
//! certificate.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use weighbridge::controller::permissions::permissions;
use weighbridge::kinds::Kinds;

use super::gate::{SOON, create, refusal};
use super::jobs::hopeless;
use super::permissions::start;
use crate::controlplane::{ControlPlane, Serve, TestNamespace, wait_for, wait_until};

/// A gate with the permissions of the chart, which a test can restrict.
struct Test<'a> {
    serve: Serve,
    namespace: TestNamespace<'a>,
    client: Client,
    name: &'static str,
}

impl<'a> Test<'a> {
    async fn start(control_plane: &'a ControlPlane, name: &'static str) -> Result<Self> {
        let (serve, namespace) = start(control_plane, name, &permissions(Kinds::built_in()), &[]).await?;
        Ok(Self { serve, namespace, client: control_plane.admin()?, name })
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.serve.home())
    }

    /// Restricts the verbs for one resource to these.
    async fn may_only(&self, resource: &str, verbs: &[&str]) -> Result<()> {
        let narrowed = |rules: Option<Vec<k8s_openapi::api::rbac::v1::PolicyRule>>| {
            let mut rules = rules.unwrap_or_default();
            for rule in rules.iter_mut().filter(|rule| rule.resources.iter().flatten().any(|r| r == resource))
            {
                rule.verbs.retain(|verb| verbs.contains(&verb.as_str()));
            }
            rules.retain(|rule| !rule.verbs.is_empty());
            rules
        };
        let (patch, everywhere) = (PatchParams::default(), Api::<ClusterRole>::all(self.client.clone()));
        let rules = narrowed(everywhere.get(self.name).await?.rules);
        everywhere.patch(self.name, &patch, &Patch::Merge(json!({"rules": rules}))).await?;
        let at_home: Api<Role> = Api::namespaced(self.client.clone(), self.serve.home());
        let rules = narrowed(at_home.get(self.name).await?.rules);
        at_home.patch(self.name, &patch, &Patch::Merge(json!({"rules": rules}))).await?;
        Ok(())
    }

    /// Waits until another pass over the certificates has failed.
    async fn fails(&self) -> Result<()> {
        let failures = async || -> Result<f64> {
            Ok(self.serve.metrics().await?.sum("weighbridge_certificate_failures_total", &[]))
        };
        let before = failures().await?;
        // A change of the configuration starts a pass.
        let configurations: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let touched = json!({"metadata": {"annotations": {"test/touched": before.to_string()}}});
        configurations.patch(self.name, &PatchParams::default(), &Patch::Merge(touched)).await?;
        // Two failures, because the first pass may have begun before.
        wait_until("two passes to fail", SOON, || async { Ok(failures().await? > before + 1.5) })
            .await
            .map_err(|error| self.serve.with_log(&error))
    }

    /// Checks that it is ready and refuses a hopeless job.
    async fn works(&self) -> Result<()> {
        let (status, body) = self.serve.probe("/readyz").await?;
        ensure!(status == 200, "{body}");
        let refused = refusal(create(&self.client, self.namespace.name(), &hopeless("llama")?).await?)?;
        ensure!(refused.code == 403, "{}", refused.message);
        Ok(())
    }
}

#[tokio::test]
async fn without_its_role_binding_a_replica_stays_ready() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let test = Test::start(control_plane, "unbound").await?;
    let bindings: Api<RoleBinding> = Api::namespaced(test.client.clone(), test.serve.home());
    bindings.delete(test.name, &DeleteParams::default()).await?;
    test.fails().await?;
    test.works().await?;
    let log = std::fs::read_to_string(test.serve.log())?;
    ensure!(log.contains("the served one is still good"), "{log}");
    test.serve.stop().await
}

#[tokio::test]
async fn a_deleted_garbled_or_empty_ca_secret_leaves_a_replica_ready() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let test = Test::start(control_plane, "no-secret").await?;
    // Under the chart's permissions the process cannot create the Secret.
    test.may_only("secrets", &["get", "list", "update", "watch"]).await?;
    let name = "weighbridge-ca";
    let secret = test.secrets().get(name).await?;
    test.secrets().delete(name, &DeleteParams::default()).await?;
    test.fails().await?;
    test.works().await?;

    // An entry without a caBundle gets the CA that the replica holds in memory.
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(test.client.clone());
    let mut emptied = configurations.get(test.name).await?;
    for entry in emptied.webhooks.iter_mut().flatten() {
        entry.client_config.ca_bundle = None;
    }
    let emptied = json!({"webhooks": emptied.webhooks});
    configurations.patch(test.name, &PatchParams::default(), &Patch::Merge(&emptied)).await?;
    wait_until("the caBundle to be written", SOON, || async {
        let found = configurations.get(test.name).await?.webhooks.context("no entries")?;
        Ok(found
            .iter()
            .all(|entry| entry.client_config.ca_bundle.as_ref().is_some_and(|ca| !ca.0.is_empty())))
    })
    .await
    .map_err(|error| test.serve.with_log(&error))?;
    wait_until("the gate to refuse", SOON, || async { test.works().await.map(|()| true) }).await?;

    let garbled = ByteString(b"no certificate".to_vec());
    let data = [("tls.crt".to_owned(), garbled.clone()), ("tls.key".to_owned(), garbled)];
    let mut another = Secret { data: Some(data.into()), ..secret };
    another.metadata = kube::api::ObjectMeta { name: Some(name.into()), ..Default::default() };
    test.secrets().create(&PostParams::default(), &another).await?;
    test.fails().await?;
    test.works().await?;

    // The chart renders an empty Secret. A replica fills it, and the new CA is trusted.
    let empty = json!({"data": null});
    test.secrets().patch(name, &PatchParams::default(), &Patch::Merge(empty)).await?;
    wait_for("the Secret to be filled", SOON, || async {
        let data = test.secrets().get(name).await?.data.unwrap_or_default();
        Ok(data.contains_key("tls.crt").then_some(()))
    })
    .await?;
    wait_until("the gate to refuse", SOON, || async { test.works().await.map(|()| true) }).await?;
    test.serve.stop().await
}

#[tokio::test]
async fn a_ca_bundle_that_does_not_trust_a_replica_makes_it_unready() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let test = Test::start(control_plane, "distrusted").await?;
    test.may_only("validatingwebhookconfigurations", &["get", "list", "watch"]).await?;
    test.works().await?;
    let foreign = rcgen::generate_simple_self_signed(["other".to_owned()])?.cert.pem();
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(test.client.clone());
    let mut found = configurations.get(test.name).await?;
    for entry in found.webhooks.iter_mut().flatten() {
        entry.client_config.ca_bundle = Some(ByteString(foreign.clone().into_bytes()));
    }
    configurations.replace(&found.name_any(), &PostParams::default(), &found).await?;
    wait_until("the replica to be unready", SOON, || async {
        let (status, body) = test.serve.probe("/readyz").await?;
        Ok(status == 503 && body.contains("certificate: "))
    })
    .await?;
    // With Fail and without a trusted replica, the configuration would disturb later tests.
    configurations.delete(test.name, &DeleteParams::default()).await?;
    Ok(())
}
