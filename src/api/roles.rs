//! Who may read estimates and ask questions: whoever may view or edit a namespace.
//!
//! The built-in roles `view`, `edit` and `admin` take in the rules of every `ClusterRole` with their label, and each the
//! rules of the one before. Nobody is given the status: the controller alone answers.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::ObjectMeta;

/// The built-in role, and what it adds to the one before.
const ADDED: &[(&str, &[&str])] = &[
    ("view", &["get", "list", "watch"]),
    ("edit", &["create", "delete", "deletecollection", "patch", "update"]),
];

/// One role for each built-in role that is added to.
pub fn roles() -> impl Iterator<Item = ClusterRole> {
    ADDED.iter().map(|(role, verbs)| ClusterRole {
        metadata: ObjectMeta {
            name: Some(format!("weighbridge-{role}")),
            labels: Some(
                [(format!("rbac.authorization.k8s.io/aggregate-to-{role}"), "true".to_owned())].into(),
            ),
            ..ObjectMeta::default()
        },
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec!["weighbridge.dev".to_owned()]),
            resources: Some(vec!["trainingestimates".to_owned()]),
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            ..PolicyRule::default()
        }]),
        aggregation_rule: None,
    })
}
