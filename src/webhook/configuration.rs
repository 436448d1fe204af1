//! The `ValidatingWebhookConfiguration`: one entry for each kind, and one for the labels of namespaces.
//!
//! The chart renders it for a cluster; `serve --webhook-url` creates one for the demo and for tests. Every field is
//! written, even a default, so that the apiserver stores exactly this object.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, RuleWithOperations, ValidatingWebhook, ValidatingWebhookConfiguration,
    WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::api::ObjectMeta;

use super::namespaces;
use crate::admission::conditions;
use crate::kinds::{Kind, Kinds};
use crate::policy::mode::MODE_LABEL;
use crate::policy::{FailurePolicy, Mode};

/// Namespaces that must work even if the webhook is down.
const SYSTEM: &[&str] = &["kube-node-lease", "kube-system"];

/// The settings of all entries.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration's name.
    pub name: String,
    /// The URL where the apiserver reaches the webhook.
    pub url: String,
    /// Whether the apiserver admits or refuses requests while the webhook does not answer.
    pub failure_policy: FailurePolicy,
    /// How long the apiserver waits for an answer.
    pub timeout_seconds: u8,
    /// The webhook's own namespace. It is exempt, so that the webhook can start.
    pub own_namespace: String,
    /// Further labels that a namespace must have.
    pub namespace_labels: BTreeMap<String, String>,
}

/// The configuration, without any caBundle.
pub fn configuration(settings: &Settings, kinds: &Kinds) -> ValidatingWebhookConfiguration {
    let metadata = ObjectMeta { name: Some(settings.name.clone()), ..ObjectMeta::default() };
    let kinds = kinds.all().map(|kind| entry(kind, settings));
    let webhooks = kinds.chain([namespace_entry(settings)]).collect();
    ValidatingWebhookConfiguration { metadata, webhooks: Some(webhooks) }
}

fn entry(kind: &Kind, settings: &Settings) -> ValidatingWebhook {
    ValidatingWebhook {
        name: format!("{}.weighbridge.dev", kind.slug),
        failure_policy: Some(settings.failure_policy.name().into()),
        match_conditions: Some(conditions::of(kind).into_iter().map(match_condition).collect()),
        rules: Some(vec![rule(kind)]),
        ..bare_entry(settings)
    }
}

/// The entry for changes of a namespace's mode label. The webhook never refuses them, so its failure policy is
/// `Ignore`.
fn namespace_entry(settings: &Settings) -> ValidatingWebhook {
    let label = |object: &str| format!("{object}.?metadata.?labels[?'{MODE_LABEL}'].orValue('')");
    ValidatingWebhook {
        name: format!("{}.weighbridge.dev", namespaces::SLUG),
        failure_policy: Some(FailurePolicy::Ignore.name().into()),
        match_conditions: Some(vec![MatchCondition {
            name: "changes-the-mode".into(),
            expression: format!("{} != {}", label("object"), label("oldObject")),
        }]),
        rules: Some(vec![RuleWithOperations {
            api_groups: Some(vec![String::new()]),
            api_versions: Some(vec!["v1".into()]),
            operations: Some(vec!["UPDATE".into()]),
            resources: Some(vec!["namespaces".into()]),
            scope: Some("Cluster".into()),
        }]),
        ..bare_entry(settings)
    }
}

/// The fields that all entries have in common.
fn bare_entry(settings: &Settings) -> ValidatingWebhook {
    ValidatingWebhook {
        admission_review_versions: vec!["v1".into()],
        client_config: WebhookClientConfig {
            url: Some(settings.url.clone()),
            ..WebhookClientConfig::default()
        },
        match_policy: Some("Equivalent".into()),
        namespace_selector: Some(selected_namespaces(settings)),
        object_selector: Some(LabelSelector::default()),
        side_effects: "None".into(),
        timeout_seconds: Some(settings.timeout_seconds.into()),
        ..ValidatingWebhook::default()
    }
}

fn rule(kind: &Kind) -> RuleWithOperations {
    let scale = kind.scale.map(|_| format!("{}/scale", kind.plural));
    RuleWithOperations {
        api_groups: Some(vec![kind.group.into()]),
        api_versions: Some(kind.versions.iter().map(|version| (*version).to_owned()).collect()),
        operations: Some(vec!["CREATE".into(), "UPDATE".into()]),
        // The second name does no harm if the definition has no scale subresource.
        resources: Some(std::iter::once(kind.plural.to_owned()).chain(scale).collect()),
        scope: Some("Namespaced".into()),
    }
}

fn match_condition(condition: conditions::Condition) -> MatchCondition {
    MatchCondition { name: condition.name.into(), expression: condition.expression }
}

fn selected_namespaces(settings: &Settings) -> LabelSelector {
    let not_in = |key: &str, values: Vec<String>| LabelSelectorRequirement {
        key: key.into(),
        operator: "NotIn".into(),
        values: Some(values),
    };
    let mut exempt: Vec<String> = SYSTEM.iter().map(|name| (*name).to_owned()).collect();
    if !exempt.contains(&settings.own_namespace) {
        exempt.push(settings.own_namespace.clone());
    }
    LabelSelector {
        match_expressions: Some(vec![
            not_in(MODE_LABEL, vec![Mode::Off.name().into()]),
            not_in("kubernetes.io/metadata.name", exempt),
        ]),
        match_labels: Some(settings.namespace_labels.clone()).filter(|labels| !labels.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn made() -> ValidatingWebhookConfiguration {
        configuration(
            &Settings {
                name: "test".into(),
                url: "https://127.0.0.1:9443/validate".into(),
                failure_policy: FailurePolicy::Fail,
                timeout_seconds: 5,
                own_namespace: "weighbridge".into(),
                namespace_labels: BTreeMap::from([("team".into(), "a".into())]),
            },
            Kinds::built_in(),
        )
    }

    #[test]
    fn every_kind_has_an_entry_of_its_own() {
        let webhooks = made().webhooks.unwrap();
        let names: BTreeSet<_> = webhooks.iter().map(|webhook| webhook.name.clone()).collect();
        assert_eq!(names.len(), Kinds::built_in().all().count() + 1, "and one for namespaces");
        for (webhook, kind) in webhooks.iter().zip(Kinds::built_in().all()) {
            // The apiserver requires at least three parts.
            assert!(webhook.name.split('.').count() >= 3);
            assert_eq!(webhook.side_effects, "None");
            let resources = webhook.rules.as_ref().unwrap()[0].resources.clone().unwrap();
            let built_in = ["batch", ""].contains(&kind.group);
            assert_eq!(resources[0], kind.plural);
            assert_eq!(resources.get(1).cloned(), (!built_in).then(|| format!("{}/scale", kind.plural)));
            assert!(webhook.client_config.ca_bundle.is_none());
        }
    }

    #[test]
    fn the_system_and_own_namespaces_are_exempt() {
        let selector = made().webhooks.unwrap().remove(0).namespace_selector.unwrap();
        let expressions = selector.match_expressions.unwrap();
        assert_eq!(expressions[0].values, Some(vec!["off".into()]));
        let exempt = expressions[1].values.clone().unwrap();
        assert!(["kube-system", "weighbridge"].iter().all(|name| exempt.iter().any(|e| e == name)));
        assert_eq!(selector.match_labels.unwrap()["team"], "a");
    }
}
