//! The process may do what its list of permissions says, and needs no more.

use anyhow::Result;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use serde_json::json;
use weighbridge::controller::permissions::{Permission, permissions};

use crate::controlplane::{ControlPlane, Reach, Serve, Setup};
use crate::gate::{Yard, condition, refusal, weighbridge};
use crate::jobs::{fitting, hopeless};

const USER: &str = "weighbridge-with-no-more-than-it-needs";

fn rule(permission: &Permission) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![permission.group.to_owned()]),
        resources: Some(vec![permission.resource.to_owned()]),
        verbs: permission.verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}

/// In a cluster the chart makes the configuration; here the process makes its own.
fn its_own_configuration() -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec!["admissionregistration.k8s.io".to_owned()]),
        resources: Some(vec!["validatingwebhookconfigurations".to_owned()]),
        verbs: ["create", "update", "delete"].map(str::to_owned).into(),
        ..PolicyRule::default()
    }
}

async fn grant(control_plane: &ControlPlane, home: &str) -> Result<()> {
    let client = control_plane.admin()?;
    let post = PostParams::default();
    let rules = |own_namespace: bool| {
        let granted =
            permissions().into_iter().filter(move |permission| permission.own_namespace == own_namespace);
        granted.map(|permission| rule(&permission)).collect::<Vec<_>>()
    };
    let metadata = ObjectMeta { name: Some(USER.to_owned()), ..ObjectMeta::default() };

    let mut everywhere = rules(false);
    everywhere.push(its_own_configuration());
    let role = ClusterRole { metadata: metadata.clone(), rules: Some(everywhere), aggregation_rule: None };
    Api::<ClusterRole>::all(client.clone()).create(&post, &role).await?;
    let role = Role { metadata, rules: Some(rules(true)) };
    Api::<Role>::namespaced(client.clone(), home).create(&post, &role).await?;

    let group = "rbac.authorization.k8s.io";
    let binding = |kind: &str| {
        json!({
            "metadata": {"name": USER},
            "roleRef": {"apiGroup": group, "kind": kind, "name": USER},
            "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
        })
    };
    let everywhere: ClusterRoleBinding = serde_json::from_value(binding("ClusterRole"))?;
    Api::<ClusterRoleBinding>::all(client.clone()).create(&post, &everywhere).await?;
    let at_home: RoleBinding = serde_json::from_value(binding("Role"))?;
    Api::<RoleBinding>::namespaced(client, home).create(&post, &at_home).await?;
    Ok(())
}

#[tokio::test]
async fn the_permissions_that_are_listed_suffice() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let home = control_plane.namespace(&[]).await?;
    grant(control_plane, home.name()).await?;
    let namespace = control_plane.guarded_namespace(home.name(), &[]).await?;
    let setup = Setup {
        home: home.name().to_owned(),
        kubeconfig: Some(control_plane.kubeconfig_of(USER, &[])?),
        ..Setup::new("permissions", Reach::Namespaces(vec![namespace.name().to_owned()]))
    };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;

    let yard = Yard::new(control_plane, &serve, namespace)?;
    yard.admitted(&fitting("llama")?).await?;
    let estimate = yard.estimate("pytorchjob-llama").await?;
    assert_eq!(condition(&estimate, "Ready")["status"], "True");
    assert_eq!(refusal(yard.create(&hopeless("late")?).await?)?.code, 403);

    let metrics = serve.metrics().await?;
    for failures in ["weighbridge_watch_errors_total", "weighbridge_reconcile_failures_total"] {
        assert!(metrics.sum(failures, &[]) < 0.5, "{failures}: {metrics:?}");
    }
    let said = std::fs::read_to_string(serve.log())?;
    assert!(!said.to_lowercase().contains("forbidden"), "{said}");
    serve.stop().await
}
