//! Asks Prometheus from time to time how much memory the pods of workloads use.
//!
//! One question for each metric covers all pods, so the number of questions does not grow with the cluster. The replica that
//! leads asks, every `everyMinutes` of the policy and when the policy changes. A workload whose peak has grown is reconciled.
//! A Prometheus that gives no answer changes nothing: a counter counts it, and estimates without a peak say so in a
//! condition.

mod client;
mod metrics;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use self::client::{Client, Failure};
pub(super) use self::metrics::Metrics;
use super::estimates::Estimates;
use super::queue::Requests;
use crate::api::observed::Observing;
use crate::cluster::Cluster;
use crate::learn::observed::answer::points;
use crate::learn::observed::peaks::{Peaks, Pod, peaks};
use crate::learn::observed::query::{Period, query};
use crate::policy::{Observed, Policy};
use crate::units::Bytes;

/// What was observed.
#[derive(Debug, Default)]
pub(super) struct Observations {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The peaks of workloads, by their uids.
    peaks: BTreeMap<String, Peaks>,
    /// Why Prometheus gave no answer when it was last asked.
    failure: Option<String>,
}

impl Observations {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peaks of a workload.
    pub(super) fn of(&self, uid: &str) -> Option<Peaks> {
        self.lock().peaks.get(uid).cloned()
    }

    /// Whether Prometheus answers.
    pub(super) fn observing(&self) -> Observing {
        self.lock().failure.clone().map_or(Observing::Answered, Observing::Failed)
    }

    /// Adds peaks, and gives the uids of the workloads whose peaks have changed.
    fn add(&self, found: BTreeMap<String, Peaks>) -> Vec<String> {
        let mut state = self.lock();
        let mut changed = Vec::new();
        for (uid, peaks) in found {
            let known = state.peaks.entry(uid.clone()).or_default();
            let both = known.with(&peaks);
            if both != *known {
                *known = both;
                changed.push(uid);
            }
        }
        changed
    }
}

/// Asks until it is dropped.
pub(super) async fn run(
    cluster: Arc<Cluster>,
    estimates: Arc<Estimates>,
    requests: Requests,
    observations: Arc<Observations>,
    metrics: Metrics,
) {
    let mut policies = cluster.policies.changes();
    let mut answered = BTreeMap::new();
    loop {
        let policy = policies.borrow_and_update().clone();
        let Some(observed) = &policy.observed else {
            if policies.changed().await.is_err() {
                return;
            }
            continue;
        };
        let pods = cluster.workloads.pods();
        let (found, failure) = ask_all(&policy, observed, &pods, &mut answered, &metrics).await;
        if let Some(failure) = &failure {
            tracing::warn!(address = observed.prometheus, %failure, "Prometheus gave no answer; asking again later");
        }
        {
            let mut state = observations.lock();
            state.failure = failure.as_ref().map(ToString::to_string);
            state.peaks.retain(|uid, _| cluster.workloads.get(uid).is_some());
        }
        for uid in observations.add(found) {
            let Some(workload) = cluster.workloads.get(&uid) else { continue };
            for (key, lane) in estimates.after_change_of(&workload) {
                requests.now(key, lane);
            }
        }
        let pause = Duration::from_secs(60 * u64::from(observed.every_minutes));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = policies.changed() => if changed.is_err() { return },
        }
    }
}

/// Asks for every metric. Gives the peaks by workload, and the last failure.
async fn ask_all(
    policy: &Policy,
    observed: &Observed,
    pods: &[Pod],
    answered: &mut BTreeMap<String, i64>,
    metrics: &Metrics,
) -> (BTreeMap<String, Peaks>, Option<Failure>) {
    let mut found: BTreeMap<String, Peaks> = BTreeMap::new();
    let client = match Client::new(observed).await {
        Ok(client) => client,
        Err(failure) => {
            metrics.failed(&failure);
            return (found, Some(failure));
        }
    };
    // What is above the memory of every accelerator is a mistake.
    let most =
        policy.catalogue.all().iter().map(|accelerator| accelerator.memory).max().unwrap_or(Bytes::MAX);
    let mut last = None;
    for gauge in &observed.metrics {
        let now = Timestamp::now().as_second();
        let period = Period::until(now, answered.get(&gauge.name).copied());
        let answer = client.ask(&query(observed, gauge, &period), &period).await;
        let read = answer.and_then(|text| Ok(points(&text, observed, gauge.unit, most)?));
        match read {
            Ok(points) => {
                metrics.answered();
                answered.insert(gauge.name.clone(), now);
                for (uid, new) in peaks(&points, pods, period.step, &gauge.name) {
                    let all = found.entry(uid).or_default();
                    *all = all.with(&new);
                }
            }
            Err(failure) => {
                metrics.failed(&failure);
                let gives_up = matches!(failure, Failure::Unreachable | Failure::Slow);
                last = Some(failure);
                if gives_up {
                    break;
                }
            }
        }
    }
    (found, last)
}
