//! `weighbridge kinds`: the webhook's entries and the permissions, as input for the chart.
//!
//! The chart renders its `ValidatingWebhookConfiguration` and its roles from `charts/weighbridge/files/kinds.yaml`,
//! which this command prints. So the cluster sends and allows exactly the kinds and verbs that this code knows. With
//! a policy's file the table has its further kinds, too; the chart renders those from its value `config`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use k8s_openapi::api::admissionregistration::v1::{MatchCondition, RuleWithOperations, ValidatingWebhook};
use serde::Serialize;

use super::output::print;
use crate::controller::permissions::{Permission, optional_permissions, permissions};
use crate::kinds::Kinds;
use crate::policy::{FailurePolicy, Policy};
use crate::webhook::configuration::{Settings, configuration};

const HEADER: &str = "\
# Generated from the kinds in src/kinds/, the entries in src/webhook/configuration.rs and the permissions in
# src/controller/permissions.rs. Do not edit; run
#
#     make generate
#
---
";

/// The arguments of `kinds`.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The policy's file, whose further kinds are in the table too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Serialize)]
struct Table {
    webhooks: Vec<Entry>,
    permissions: Vec<Rule>,
    optional: Vec<Optional>,
}

/// Permissions that only an optional flag needs.
#[derive(Serialize)]
struct Optional {
    /// The flag of `serve`.
    flag: &'static str,
    permissions: Vec<Rule>,
}

/// The fields of an entry that the chart may not change.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    /// Whether its failure policy is always `Ignore`, even if the chart sets another one for the other entries.
    always_ignore: bool,
    match_conditions: Option<Vec<MatchCondition>>,
    rules: Option<Vec<RuleWithOperations>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    own_namespace: bool,
    one_object: bool,
}

impl From<ValidatingWebhook> for Entry {
    fn from(webhook: ValidatingWebhook) -> Self {
        Self {
            name: webhook.name,
            // The entries are made with `Fail`.
            always_ignore: webhook.failure_policy.as_deref() == Some("Ignore"),
            match_conditions: webhook.match_conditions,
            rules: webhook.rules,
        }
    }
}

impl From<Permission> for Rule {
    fn from(permission: Permission) -> Self {
        Self {
            group: permission.group,
            resource: permission.resource,
            verbs: permission.verbs,
            own_namespace: permission.own_namespace,
            one_object: permission.one_object,
        }
    }
}

/// The table, as in the chart's file.
///
/// # Errors
/// It cannot be written as YAML. The tests rule this out.
pub fn yaml(kinds: &Kinds) -> anyhow::Result<String> {
    let settings = Settings {
        name: String::new(),
        url: String::new(),
        failure_policy: FailurePolicy::Fail,
        timeout_seconds: 5,
        own_namespace: String::new(),
        namespace_labels: BTreeMap::new(),
    };
    let own = configuration(&settings, kinds);
    let webhooks = own.webhooks.into_iter().flatten().map(Entry::from).collect();
    let rules = |permissions: Vec<Permission>| permissions.into_iter().map(Rule::from).collect();
    let optional = optional_permissions().into_iter();
    let optional = optional.map(|(flag, more)| Optional { flag, permissions: rules(more) }).collect();
    let table = Table { webhooks, permissions: rules(permissions(kinds)), optional };
    Ok(format!("{HEADER}{}\n", serde_saphyr::to_string(&table)?.trim_end()))
}

/// Prints the table.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let policy = Policy::of_file(arguments.config.as_deref())?;
    Ok(print(&yaml(&policy.kinds)?)?)
}
