//! The roles to read estimates and histories and to ask questions. A user who may view or edit a namespace has them. A
//! history can be deleted, which makes its job new again, but not written: it is evidence.
//!
//! The built-in roles `view`, `edit` and `admin` collect the rules of every `ClusterRole` with their label, and each
//! has the rules of the one before. No role includes the status: only the controller writes it.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::ObjectMeta;

/// The built-in role, and the verbs that it adds to the one before.
const ADDED: &[(&str, &[&str])] = &[
    ("view", &["get", "list", "watch"]),
    ("edit", &["create", "delete", "deletecollection", "patch", "update"]),
];

/// A role for each of these built-in roles.
pub fn roles() -> impl Iterator<Item = ClusterRole> {
    ADDED.iter().map(|(role, verbs)| ClusterRole {
        metadata: ObjectMeta {
            name: Some(format!("weighbridge-{role}")),
            labels: Some(
                [(format!("rbac.authorization.k8s.io/aggregate-to-{role}"), "true".to_owned())].into(),
            ),
            ..ObjectMeta::default()
        },
        rules: Some(vec![rule("trainingestimates", verbs), rule("traininghistories", of_histories(verbs))]),
        aggregation_rule: None,
    })
}

fn rule(resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec!["weighbridge.dev".to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}

/// Of these verbs those that change no record.
fn of_histories<'a>(verbs: &'a [&'a str]) -> &'a [&'a str] {
    const DELETE: &[&str] = &["delete", "deletecollection"];
    if verbs.contains(&"create") { DELETE } else { verbs }
}
