//! The controller of Kueue's admission checks that name `weighbridge.dev/memory`, off by default.
//!
//! At submission a job may still get one of several accelerators, so the webhook judges it on the largest. Kueue assigns a
//! flavor later, with the quota. Then a check of ours judges the job again, on the accelerator of that flavor, before it starts.
//!
//! ```text
//! Workload with quota, not evicted, our check Pending ─► its owner, judged on the assigned nodes ─► state of the check
//! ```
//!
//! The replica that leads follows the admission checks and the Workloads. It keeps the names of its checks and nothing else.
//! Workloads go through the controller's queue, like estimates. Nothing here is used by the webhook.

mod flavors;
mod metrics;
mod queued;
mod reconcile;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{ApiResource, GroupVersionKind};

pub(super) use self::metrics::Metrics;
use self::queued::Queued;
use super::queue::{Key, Lane, Requests};
use crate::cluster::follow::{Follow, Sink};
use crate::cluster::{Cluster, Object, Source, discovery};
use crate::surroundings::{KUEUE, KUEUE_VERSIONS};

/// The name that admission checks give in `spec.controllerName`.
const CONTROLLER: &str = "weighbridge.dev/memory";

/// How often to ask which version of Kueue is served.
const BETWEEN_VERSIONS: Duration = Duration::from_mins(1);

/// The admission checks of this controller.
#[derive(Debug, Default)]
pub(super) struct Checks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The served version of Kueue's API.
    version: Option<&'static str>,
    /// Since when all admission checks are known.
    listed: Option<Timestamp>,
    ours: BTreeSet<String>,
}

impl Checks {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kind of Kueue's as a resource of the apiserver, if Kueue is served.
    fn resource(&self, kind: &str, plural: &str) -> Option<ApiResource> {
        self.lock().version.map(|version| resource(version, kind, plural))
    }

    /// Since when checks are answered.
    fn since(&self) -> Option<Timestamp> {
        self.lock().listed
    }

    /// Those of these checks that are ours. None while not all are known.
    fn ours_among(&self, pending: &BTreeMap<String, u32>) -> Option<BTreeMap<String, u32>> {
        let state = self.lock();
        let ours = pending.iter().filter(|(name, _)| state.ours.contains(*name));
        state.listed.map(|_| ours.map(|(name, retries)| (name.clone(), *retries)).collect())
    }
}

fn resource(version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(KUEUE, version, kind), plural)
}

/// Follows Kueue's objects until it is dropped.
pub(super) async fn run(client: Client, cluster: Arc<Cluster>, checks: Arc<Checks>, requests: Requests) {
    let served = || discovery::served_version(&client, KUEUE, KUEUE_VERSIONS, "admissionchecks");
    loop {
        let Some(version) = served().await.flatten() else {
            tokio::time::sleep(BETWEEN_VERSIONS).await;
            continue;
        };
        *checks.lock() = State { version: Some(version), ..State::default() };
        let another_version = async {
            loop {
                tokio::time::sleep(BETWEEN_VERSIONS).await;
                if served().await.is_some_and(|served| served != Some(version)) {
                    return;
                }
            }
        };
        tokio::select! {
            () = follow(&client, &cluster, &checks, &requests, version) => {}
            () = another_version => tracing::info!(version, "this version of Kueue's API is no longer the one to use"),
        }
    }
}

/// Follows the objects of one version.
async fn follow(
    client: &Client,
    cluster: &Arc<Cluster>,
    checks: &Arc<Checks>,
    requests: &Requests,
    version: &str,
) {
    let source = |kind: &str, plural: &str, namespace: Option<String>| {
        Source::new(client.clone(), resource(version, kind, plural), namespace, cluster.room.clone())
    };
    let follow_checks = Follow {
        source: source("AdmissionCheck", "admissionchecks", None),
        resource: "admissionchecks",
        cache: "admissionchecks".into(),
    };
    let sink = CheckSink { checks: checks.clone(), requests: requests.clone(), seen: BTreeSet::new() };
    let workloads = cluster.scopes().into_iter().map(|namespace| {
        let cache = format!("workloads/{}", namespace.as_deref().unwrap_or("*"));
        let source = source("Workload", "workloads", namespace);
        let follow = Follow { source, resource: "workloads", cache };
        follow.into(QueuedSink { requests: requests.clone() }, &cluster.readiness, &cluster.metrics)
    });
    tokio::join!(
        follow_checks.into(sink, &cluster.readiness, &cluster.metrics),
        futures::future::join_all(workloads)
    );
}

/// Keeps the names of our checks, and has each reconciled.
struct CheckSink {
    checks: Arc<Checks>,
    requests: Requests,
    /// Those of ours in the list in progress.
    seen: BTreeSet<String>,
}

impl Sink for CheckSink {
    fn restarted(&mut self) {
        self.seen.clear();
    }

    fn apply(&mut self, check: Object) {
        let Some(name) = check.name().map(str::to_owned) else { return };
        if is_ours(&check) {
            self.seen.insert(name.clone());
            self.checks.lock().ours.insert(name.clone());
            self.requests.now(Key::Check { name }, Lane::Workloads);
        } else {
            self.checks.lock().ours.remove(&name);
        }
    }

    fn delete(&mut self, check: Object) {
        if let Some(name) = check.name() {
            self.seen.remove(name);
            self.checks.lock().ours.remove(name);
        }
    }

    fn listed(&mut self) {
        let mut state = self.checks.lock();
        let seen = &self.seen;
        state.ours.retain(|name| seen.contains(name));
        state.listed.get_or_insert_with(Timestamp::now);
    }
}

fn is_ours(check: &Object) -> bool {
    check.value().pointer("/spec/controllerName").and_then(serde_json::Value::as_str) == Some(CONTROLLER)
}

/// Has each workload reconciled that waits for checks.
struct QueuedSink {
    requests: Requests,
}

impl Sink for QueuedSink {
    fn restarted(&mut self) {}

    fn apply(&mut self, workload: Object) {
        if let (Some(_), Some(namespace), Some(name)) =
            (Queued::of(workload.value()), workload.namespace(), workload.name())
        {
            let key = Key::Queued { namespace: namespace.to_owned(), name: name.to_owned() };
            self.requests.now(key, Lane::Workloads);
        }
    }

    fn delete(&mut self, _workload: Object) {}

    fn listed(&mut self) {}
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::queue;

    fn check(name: &str, controller: &str) -> Object {
        json!({"metadata": {"name": name}, "spec": {"controllerName": controller}}).into()
    }

    #[test]
    fn only_checks_that_name_this_controller_are_ours() {
        let (checks, mut queue) = (Arc::new(Checks::default()), queue::queue());
        let mut sink =
            CheckSink { checks: checks.clone(), requests: queue.requests(), seen: BTreeSet::new() };
        let pending = BTreeMap::from(["memory", "budget", "gone"].map(|name| (name.to_owned(), 0)));
        let ours = || Some(checks.ours_among(&pending)?.into_keys().collect::<Vec<_>>());
        sink.restarted();
        sink.apply(check("memory", CONTROLLER));
        sink.apply(check("gone", CONTROLLER));
        sink.apply(check("budget", "kueue.x-k8s.io/provisioning-request"));
        assert_eq!(ours(), None, "not all are known yet");
        sink.listed();
        assert_eq!(ours().unwrap(), ["gone", "memory"]);
        assert_eq!(queue.requested().len(), 2);
        sink.restarted();
        sink.apply(check("memory", CONTROLLER));
        sink.listed();
        assert_eq!(ours().unwrap(), ["memory"]);
        sink.delete(check("memory", CONTROLLER));
        assert!(ours().unwrap().is_empty());
    }
}
