//! The listed permissions suffice, and the process needs no others.

use anyhow::Result;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use serde_json::json;
use weighbridge::controller::permissions::{Permission, optional_permissions, permissions};
use weighbridge::kinds::Kinds;

use super::gate::{Yard, refusal, weighbridge};
use super::jobs::{fitting, hopeless};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, TestNamespace};

/// The user who gets permissions, and the objects that they are for.
pub(crate) struct Grant<'a> {
    /// The name of its roles and of the webhook configuration.
    pub(crate) name: &'a str,
    pub(crate) home: &'a str,
    /// The user.
    pub(crate) user: &'a str,
    /// The Secret that holds the CA.
    pub(crate) secret: &'a str,
}

/// The rule that grants a permission.
fn rule(permission: &Permission, grant: &Grant<'_>) -> PolicyRule {
    let name = match permission.resource {
        "secrets" => grant.secret,
        _ => grant.name,
    };
    PolicyRule {
        api_groups: Some(vec![permission.group.to_owned()]),
        resources: Some(vec![permission.resource.to_owned()]),
        verbs: permission.verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        resource_names: permission.one_object.then(|| vec![name.to_owned()]),
        ..PolicyRule::default()
    }
}

/// Permissions that the chart needs in a cluster, and the process outside of one.
fn outside_a_cluster(group: &str, resource: &str) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: ["create", "update", "delete"].map(str::to_owned).into(),
        ..PolicyRule::default()
    }
}

/// Starts a process in a namespace of its own, as a user with just these permissions.
pub(crate) async fn start<'a>(
    control_plane: &'a ControlPlane,
    name: &str,
    permissions: &[Permission],
    arguments: &[&str],
) -> Result<(Serve, TestNamespace<'a>)> {
    let home = control_plane.namespace(&[]).await?;
    let user = Grant { name, home: home.name(), user: name, secret: "weighbridge-ca" };
    grant(control_plane, &user, permissions).await?;
    let namespace = control_plane.guarded_namespace(home.name(), &[]).await?;
    let setup = Setup {
        home: home.name().to_owned(),
        kubeconfig: Some(control_plane.kubeconfig_of(name, &[])?),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        ..Setup::new(name, Reach::Namespaces(vec![namespace.name().to_owned()]))
    };
    Ok((Serve::start(control_plane, weighbridge(), setup).await?, namespace))
}

pub(crate) async fn grant(
    control_plane: &ControlPlane,
    grant: &Grant<'_>,
    permissions: &[Permission],
) -> Result<()> {
    let Grant { name, home, user, .. } = *grant;
    let client = control_plane.admin()?;
    let post = PostParams::default();
    let rules = |own_namespace: bool| {
        let granted = permissions.iter().filter(move |permission| permission.own_namespace == own_namespace);
        granted.map(|permission| rule(permission, grant)).collect::<Vec<_>>()
    };
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };

    let mut everywhere = rules(false);
    everywhere.push(outside_a_cluster("admissionregistration.k8s.io", "validatingwebhookconfigurations"));
    let role = ClusterRole { metadata: metadata.clone(), rules: Some(everywhere), aggregation_rule: None };
    Api::<ClusterRole>::all(client.clone()).create(&post, &role).await?;
    let mut at_home = rules(true);
    at_home.push(outside_a_cluster("", "secrets"));
    let role = Role { metadata, rules: Some(at_home) };
    Api::<Role>::namespaced(client.clone(), home).create(&post, &role).await?;

    let group = "rbac.authorization.k8s.io";
    let binding = |kind: &str| {
        json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": kind, "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        })
    };
    let everywhere: ClusterRoleBinding = serde_json::from_value(binding("ClusterRole"))?;
    Api::<ClusterRoleBinding>::all(client.clone()).create(&post, &everywhere).await?;
    let at_home: RoleBinding = serde_json::from_value(binding("Role"))?;
    Api::<RoleBinding>::namespaced(client, home).create(&post, &at_home).await?;
    Ok(())
}

#[tokio::test]
async fn the_listed_permissions_suffice() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let (mut all, mut flags) = (permissions(Kinds::built_in()), Vec::new());
    for (flag, more) in optional_permissions() {
        all.extend(more);
        flags.push(flag);
    }
    let (serve, namespace) = start(control_plane, "permitted", &all, &flags).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    yard.admitted(&fitting("llama")?).await?;
    yard.estimate("pytorchjob-llama").await?;
    assert_eq!(refusal(yard.create(&hopeless("late")?).await?)?.code, 403);

    let metrics = serve.metrics().await?;
    for failures in ["weighbridge_watch_errors_total", "weighbridge_reconcile_failures_total"] {
        assert!(metrics.sum(failures, &[]) < 0.5, "{failures}: {metrics:?}");
    }
    let log = std::fs::read_to_string(serve.log())?;
    assert!(!log.to_lowercase().contains("forbidden"), "{log}");
    serve.stop().await
}

#[tokio::test]
async fn a_missing_permission_is_reported_and_blocks_nothing_else() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let missing = ["nodes", "jobs", "customresourcedefinitions", "events"];
    let mut others = permissions(Kinds::built_in());
    others.retain(|permission| !missing.contains(&permission.resource));
    let (serve, namespace) = start(control_plane, "forgotten", &others, &["--read-config-maps"]).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    yard.admitted(&fitting("llama")?).await?;
    yard.estimate("pytorchjob-llama").await?;
    assert_eq!(refusal(yard.create(&hopeless("late")?).await?)?.code, 403);

    let metrics = serve.metrics().await?;
    for resource in ["nodes", "jobs", "configmaps"] {
        let forbidden = [("resource", resource), ("reason", "Forbidden")];
        assert!(metrics.sum("weighbridge_watch_errors_total", &forbidden) > 0.5, "{resource}: {metrics:?}");
    }
    serve.stop().await
}
