//! What the server's audit log says of a request: who made it, how it ended, and the annotations that
//! admission webhooks added, which no response carries.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::{ControlPlane, wait::wait_for};

/// Reads are left out, and so are the leases and events that would drown everything else.
pub(super) const POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "verbs": ["get", "list", "watch"]},
    {"level": "None", "resources": [{"group": "coordination.k8s.io"}, {"group": "events.k8s.io"}]},
    {"level": "None", "resources": [{"group": "", "resources": ["events"]}]},
    {"level": "Metadata"}
  ]
}"#;

/// The server writes the event before it answers, so this is a courtesy to a slow disk.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request, as the server logged it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// With the dry run and the field manager in its query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// `{username, groups, …}`
    #[serde(default)]
    pub user: Value,
    /// `{apiGroup, apiVersion, resource, subresource, namespace, name}`, of which a create with
    /// `generateName` has no name.
    #[serde(default)]
    pub object_ref: Value,
    /// `{code, reason, message, …}`
    #[serde(default)]
    pub response_status: Value,
    /// What authorization and admission noted, by `webhook's name/key` for a webhook's own.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl ControlPlane {
    /// The latest logged request for which `matches` is true, as soon as there is one.
    pub async fn audit_event(&self, what: &str, matches: impl Fn(&AuditEvent) -> bool) -> Result<AuditEvent> {
        let log = self.folder().join(LOG);
        let what = format!("the audit log to say: {what}");
        wait_for(&what, DEADLINE, || async { Ok(events(&log)?.into_iter().rev().find(&matches)) }).await
    }

    /// Every request of this user that was logged so far.
    pub fn audit_events_of(&self, user: &str) -> Result<Vec<AuditEvent>> {
        let mut events = events(&self.folder().join(LOG))?;
        events.retain(|event| event.user["username"] == user);
        Ok(events)
    }

    /// The annotations of the latest request with this verb about this object, which has a namespace.
    pub async fn audit_annotations(
        &self,
        verb: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<BTreeMap<String, String>> {
        let what = format!("{verb} {resource} {namespace}/{name}");
        let about = |event: &AuditEvent| {
            event.verb == verb
                && event.object_ref["resource"] == resource
                && event.object_ref["namespace"] == namespace
                && event.object_ref["name"] == name
        };
        Ok(self.audit_event(&what, about).await?.annotations)
    }
}

/// The log's name in the control plane's folder.
pub(super) const LOG: &str = "audit.log";

fn events(log: &Path) -> Result<Vec<AuditEvent>> {
    let text = fs::read_to_string(log)?;
    // The last line may be half written.
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
