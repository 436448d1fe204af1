//! `weighbridge kinds`: the webhook's entries and the permissions, as the chart reads them.
//!
//! The chart renders its `ValidatingWebhookConfiguration` and its roles from `charts/weighbridge/files/kinds.yaml`, which
//! this prints: what a cluster is told to send and to allow is what this code understands and does. With a policy's file
//! the kinds that it names are among them, which the chart renders from its value `config`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use k8s_openapi::api::admissionregistration::v1::{MatchCondition, RuleWithOperations, ValidatingWebhook};
use serde::Serialize;

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

/// What is typed behind `kinds`.
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

/// What is only needed where an administrator lets it be read.
#[derive(Serialize)]
struct Optional {
    /// The argument of `serve` that has it read.
    flag: &'static str,
    permissions: Vec<Rule>,
}

/// What is not the chart's to decide of an entry.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    /// Whether nothing may ever hang on it, whatever the failure policy of the others.
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
            // The entries are asked for with `Fail`.
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

/// The table, as the chart's file holds it.
///
/// # Errors
/// When it can't be written as YAML, which the tests rule out.
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

/// Prints it.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let policy = Policy::of_file(arguments.config.as_deref())?;
    std::io::stdout().lock().write_all(yaml(&policy.kinds)?.as_bytes())?;
    Ok(())
}
