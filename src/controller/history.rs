//! What earlier runs of a workload's job taught, and the record of its own run.

use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::reconcile::{Error, Reconciler, Workload};
use crate::api::history::{TrainingHistory, records, runs};
use crate::api::observed;
use crate::api::status;
use crate::api::v1alpha1::{HistoryStatus, TrainingEstimateStatus};
use crate::cluster::histories::{Histories, name};
use crate::judgement::{Judgement, Verdict};
use crate::kinds::Kind;
use crate::learn::fingerprint::fingerprint;
use crate::learn::history::{Lesson, MOST_HISTORIES, Run, with};
use crate::learn::lesson::{applied, narrowed};
use crate::policy::Policy;
use crate::surroundings::Surroundings;
use crate::units::Bytes;

/// The field manager of the histories.
const FIELD_MANAGER: &str = "weighbridge";

/// What the history of a job taught.
pub(super) struct Learned {
    /// The fingerprint's hash.
    fingerprint: String,
    /// The verdict of the estimate alone.
    estimated: Verdict,
    /// The predicted peak.
    predicted: Option<Bytes>,
    runs: Option<usize>,
    /// The most memory that one accelerator used in these runs.
    observed: Option<Bytes>,
    /// The interval of the needed memory, narrowed by what was observed.
    interval: Option<(Bytes, Bytes)>,
}

impl Learned {
    /// The judgement in the light of the history. None if the workload does not train or has no fingerprint.
    pub(super) fn of(
        kind: &Kind,
        namespace: &str,
        workload: &serde_json::Value,
        around: &Surroundings,
        judgement: &Judgement,
        policy: &Policy,
        histories: &Histories,
    ) -> Option<(Judgement, Self)> {
        if !judgement.verdict.trains() {
            return None;
        }
        let accelerator = judgement.summary.accelerator.as_deref();
        let print = fingerprint(kind, workload, accelerator, around, &policy.catalogue)?;
        let lesson = histories.lesson(namespace, &print);
        let (runs, observed) = match lesson.as_deref() {
            Some(Lesson::Ran { runs, observed }) => (Some(*runs), *observed),
            Some(Lesson::RanOut { .. }) => (Some(0), None),
            None => (None, None),
        };
        let learned = Self {
            fingerprint: print,
            estimated: judgement.verdict,
            predicted: judgement.memory.as_ref().map(|memory| memory.peak_bytes),
            runs,
            observed,
            interval: judgement
                .memory
                .as_ref()
                .zip(observed)
                .map(|(memory, observed)| narrowed(memory, observed, policy)),
        };
        let judgement = match lesson {
            Some(lesson) => applied(judgement.clone(), &lesson, policy).judgement,
            None => judgement.clone(),
        };
        Some((judgement, learned))
    }
}

/// What was learned, for the estimate's status.
pub(super) fn status(learned: &Learned) -> HistoryStatus {
    let signed = |bytes: Bytes| i64::try_from(bytes.0).ok();
    HistoryStatus {
        name: name(&learned.fingerprint),
        estimated_verdict: learned.estimated.name().to_owned(),
        runs: learned.runs.and_then(|runs| i64::try_from(runs).ok()),
        peak_bytes: learned.observed.and_then(signed),
        lower_bytes: learned.interval.and_then(|(lower, _)| signed(lower)),
        upper_bytes: learned.interval.and_then(|(_, upper)| signed(upper)),
    }
}

impl Reconciler {
    /// Adds the run of a workload that ended to the history of its job.
    pub(super) async fn remember(
        &self,
        workload: &Workload,
        learned: &Learned,
        next: &TrainingEstimateStatus,
    ) -> Result<(), Error> {
        let (Some(_ended), Some(outcome)) = (&next.progress, status::outcome(next)) else { return Ok(()) };
        let object = &workload.object;
        let (Some(namespace), Some(uid)) = (object.namespace(), object.uid()) else { return Ok(()) };
        let run = Run {
            uid: uid.to_owned(),
            workload: format!("{}/{}", workload.kind.slug, object.name().unwrap_or_default()),
            at: outcome
                .at
                .clone()
                .unwrap_or_else(|| Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            verdict: learned.estimated.name().to_owned(),
            predicted: learned.predicted,
            observed: observed::peaks(next).and_then(|peaks| peaks.highest()),
            outcome: outcome.kind,
            reason: outcome.reason,
            seconds: next.running_seconds,
        };
        let resource = ApiResource::erase::<TrainingHistory>(&());
        let name = name(&learned.fingerprint);
        let found = self.source(resource.clone(), Some(namespace)).get(&name).await?;
        let before = found.as_ref().map(|found| runs(found.value())).unwrap_or_default();
        let is_new = before.iter().all(|known| known.uid != run.uid);
        let Some(runs) = with(&before, run) else { return Ok(()) };
        let histories: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        if found.is_none() {
            for surplus in self.cluster.histories.beyond(namespace, MOST_HISTORIES - 1) {
                match histories.delete(&surplus, &DeleteParams::default()).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    deleted => {
                        deleted.map_err(crate::cluster::Error::Kube)?;
                    }
                }
            }
        }
        let history = json!({
            "apiVersion": "weighbridge.dev/v1alpha1",
            "kind": "TrainingHistory",
            "metadata": {"name": name},
            "spec": {"fingerprint": learned.fingerprint, "runs": records(&runs)},
        });
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        histories.patch(&name, &ours, &Patch::Apply(history)).await.map_err(crate::cluster::Error::Kube)?;
        if is_new {
            self.metrics().remembered.inc();
        }
        Ok(())
    }
}
