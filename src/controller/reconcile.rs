//! Reconciles: reads, writes, and their errors.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{ApiResource, Patch, PatchParams, PostParams};
use kube::runtime::events::Recorder;
use serde_json::{Value, json};

use super::desired::{self, Holder};
use super::estimates::Estimates;
use super::history::Learned;
use super::kueue::Checks;
use super::observe::Observations;
use super::queue::{Key, RunEnd};
use super::seen::Seen;
use super::{Metrics, Settings, history, notices, progress};
use crate::admission::{elastic, unread};
use crate::api::observed::{self, Observing};
use crate::api::status::{self, Admitted, Circumstances};
use crate::api::v1alpha1::{TrainingEstimate, TrainingEstimateStatus};
use crate::cluster::{
    self, Claim, Cluster, Digest, Object, Refers, Source, Standing, discovery, rests_on_nodes,
};
use crate::job::Ask;
use crate::judge::judge;
use crate::judgement::{Judgement, Verdict};
use crate::kinds::{self, Kind};
use crate::learn::observed::peaks::Peaks;
use crate::learn::outcome;
use crate::policy::Mode;
use crate::policy::mode::{self, MODE_LABEL};
use crate::surroundings::Node;

/// The field manager of the controller's writes.
const FIELD_MANAGER: &str = "weighbridge";

/// Why an object could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Apiserver(#[from] cluster::Error),
    #[error("both possible names of its estimate are taken: {0} and {1}")]
    NamesTaken(String, String),
    // The message of a panic may quote the object, so it is left out.
    #[error("judging it failed")]
    Judge,
    #[error("the flavor {0} is not in the cache")]
    Flavor(String),
}

impl Error {
    /// Every reason.
    pub(super) const REASONS: [&'static str; 6] =
        ["Refused", "Unreadable", "Unreachable", "NamesTaken", "JudgeFailed", "FlavorUnread"];

    const fn reason(&self) -> &'static str {
        match self {
            Self::Apiserver(cluster::Error::Kube(kube::Error::Api(_))) => "Refused",
            Self::Apiserver(cluster::Error::Unread(_) | cluster::Error::TooLarge(_)) => "Unreadable",
            Self::Apiserver(_) => "Unreachable",
            Self::NamesTaken(..) => "NamesTaken",
            Self::Judge => "JudgeFailed",
            Self::Flavor(_) => "FlavorUnread",
        }
    }

    /// Another writer was faster. Its change is read on the next run.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Apiserver(cluster::Error::Kube(kube::Error::Api(status))) if status.code == 409)
    }

    /// Nothing can be created in a namespace that is being deleted, and nothing is missed there.
    fn is_of_an_ending_namespace(&self) -> bool {
        let Self::Apiserver(cluster::Error::Kube(kube::Error::Api(status))) = self else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let is_ending = causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating");
        is_ending || (status.code == 404 && status.details.as_ref().is_some_and(|it| it.kind == "namespaces"))
    }
}

/// The means of a reconciliation.
pub(super) struct Reconciler {
    pub(super) client: Client,
    pub(super) cluster: Arc<Cluster>,
    pub(super) settings: Arc<Settings>,
    pub(super) estimates: Arc<Estimates>,
    pub(super) observations: Arc<Observations>,
    pub(super) checks: Arc<Checks>,
    pub(super) recorder: Recorder,
}

/// A judgement, and what earlier runs taught.
struct Judged {
    judgement: Judgement,
    learned: Option<Learned>,
}

/// Whether the estimate of an ended workload is complete: later changes of nodes and policy no longer concern it.
fn is_closed(
    previous: &TrainingEstimateStatus,
    generation: Option<i64>,
    outcome: Option<&outcome::Outcome>,
    observed: Option<&Peaks>,
) -> bool {
    previous.progress.is_some()
        && previous.observed_generation == generation
        && status::outcome(previous).map(|outcome| outcome.kind) == outcome.map(|outcome| outcome.kind)
        && observed::peaks(previous).as_ref() == observed
}

/// A workload that an estimate refers to, in its present state.
pub(super) struct Workload {
    pub(super) kind: &'static Kind,
    /// Only its identity, if it is too large to be read.
    pub(super) object: Object,
    pub(super) too_large: bool,
    reference: ObjectReference,
}

impl Reconciler {
    /// Reconciles a key. A failure is logged here, and the queue runs the key again.
    pub(super) async fn reconcile(&self, key: Key) -> RunEnd {
        let started = Instant::now();
        let _under_way = self.metrics().begins();
        let outcome = self.reconciled(&key).await;
        self.metrics().ended(outcome, started.elapsed());
        outcome
    }

    async fn reconciled(&self, key: &Key) -> RunEnd {
        let result = match key {
            Key::Workload { uid, .. } => self.workload(uid).await,
            Key::Estimate { namespace, name } => self.estimate(namespace, name).await,
            Key::Check { name } => self.check(name).await,
            Key::Queued { namespace, name } => self.queued(namespace, name).await,
        };
        match result {
            Ok(outcome) => outcome,
            Err(error) if error.is_conflict() => RunEnd::Waiting,
            // The namespace ends, and its workloads with it.
            Err(error) if error.is_of_an_ending_namespace() => RunEnd::Done,
            Err(error) => {
                self.metrics().failed(error.reason());
                let (object, name) = key.names();
                tracing::warn!(
                    object,
                    namespace = key.namespace(),
                    name,
                    reason = error.reason(),
                    %error,
                    "reconciling failed; trying again"
                );
                RunEnd::Failed
            }
        }
    }

    /// Creates the estimate that a workload lacks.
    async fn workload(&self, uid: &str) -> Result<RunEnd, Error> {
        let Some(workload) = self.cluster.workloads.get(uid) else { return Ok(RunEnd::Done) };
        if let Standing::Waiting(claim) = &workload.standing
            && !workload.deleting
        {
            return self.child(&workload, claim).await;
        }
        if !desired::wants_estimate(&workload) {
            return Ok(RunEnd::Done);
        }
        let api = self.estimates(&workload.namespace);
        let names = desired::names(&workload);
        for name in &names {
            let found = api.get(name).await?;
            match desired::holder(found.as_ref(), &workload) {
                Holder::Ours => return Ok(RunEnd::Done),
                Holder::Leaving => return Ok(RunEnd::Waiting),
                Holder::Other => {}
                Holder::Free => {
                    let ours =
                        PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
                    api.create(&ours, &desired::estimate(&workload, name)).await?;
                    self.metrics().created.inc();
                    return Ok(RunEnd::Done);
                }
            }
        }
        let [first, second] = names;
        Err(Error::NamesTaken(first, second))
    }

    /// Judges a child whose owner no cache has by itself, unless an owner covers it after all.
    async fn child(&self, child: &Digest, claim: &Claim) -> Result<RunEnd, Error> {
        match self.cluster.workloads.standing_again(child) {
            Standing::Covered => return Ok(RunEnd::Done),
            // A cache will have it soon.
            Standing::Waiting(_) if self.exists(&child.namespace, claim).await? => {
                return Ok(RunEnd::Waiting);
            }
            _ => {}
        }
        let resource = discovery::resource(child.kind, version(&child.api_version));
        let source = self.source(resource, Some(&child.namespace));
        let object = match source.get(&child.name).await {
            Ok(Some(object)) => object,
            // The cache reports objects that are too large to be read.
            Ok(None) | Err(cluster::Error::TooLarge(_)) => return Ok(RunEnd::Done),
            Err(error) => return Err(error.into()),
        };
        if object.uid() != Some(child.uid.as_str()) {
            return Ok(RunEnd::Done);
        }
        let around = self.cluster.surroundings();
        let policy = self.cluster.policies.current();
        let judging = self.cluster.background.spawn(move || {
            let ask = Ask { advice: false, ..Ask::default() };
            judge(object.value(), &around, &policy.world(), &ask)
        });
        let judgement = judging.await.map_err(|_| Error::Judge)?;
        let peak = judgement.memory.map(|memory| memory.peak_bytes);
        // The cache reports it, and then it gets its estimate like any workload.
        self.cluster.workloads.judged_by_itself(child, judgement.verdict, peak);
        Ok(RunEnd::Done)
    }

    /// Whether an owner exists.
    async fn exists(&self, namespace: &str, claim: &Claim) -> Result<bool, Error> {
        let Some(kind) = self.cluster.kinds().find(claim.group, claim.kind) else { return Ok(false) };
        for version in kind.versions {
            let resource = discovery::resource(kind, version);
            let source = self.source(resource, Some(namespace)).metadata_only();
            if let Some((owner, _too_large)) = whole_or_identity(source.get(&claim.name).await)? {
                return Ok(claim.uid.as_deref().is_none_or(|uid| owner.uid() == Some(uid)));
            }
        }
        Ok(false)
    }

    /// Writes the judgement into an estimate's status.
    async fn estimate(&self, namespace: &str, name: &str) -> Result<RunEnd, Error> {
        let api = self.estimates(namespace);
        let Some(estimate) = api.get(name).await? else { return Ok(RunEnd::Done) };
        // Little of it is kept, and its workload may need a turn.
        let estimate = estimate.give_up_turn();
        if estimate.is_being_deleted() {
            return Ok(RunEnd::Done);
        }
        let seen = Seen::of(estimate.value());
        let workload = self.referred(&estimate, namespace).await?;
        let owned = estimate.controller().is_some();
        if owned && workload.is_none() {
            // Its workload is gone, so the garbage collector will delete the estimate.
            return Ok(RunEnd::Done);
        }
        // A status that cannot be read is ignored, and written again.
        let previous = estimate.value().get("status").cloned().unwrap_or_default();
        let previous: TrainingEstimateStatus = serde_json::from_value(previous).unwrap_or_default();
        let progress = workload.as_ref().map(|w| kinds::progress::progress(w.kind, w.object.value()));
        let progress = progress.unwrap_or_default();
        let outcome = workload.as_ref().and_then(|workload| {
            let shown = self.cluster.workloads.outcomes_of(namespace, workload.object.uid()?);
            outcome::of_workload(progress.ended.as_ref(), &shown, status::outcome(&previous).as_ref())
        });
        let peaks = self.observed(workload.as_ref(), &previous);
        if owned && is_closed(&previous, estimate.generation(), outcome.as_ref(), peaks.as_ref()) {
            return Ok(RunEnd::Done);
        }
        let Judged { judgement, learned } = self.judge(&estimate, workload.as_ref()).await?;
        let named = || Refers::of(workload.as_ref().map_or(&Value::Null, |w| w.object.value())).labels;
        let too_large = workload.as_ref().is_some_and(|workload| workload.too_large);
        let by_nodes = !too_large && rests_on_nodes(&judgement);
        self.estimates.judged(namespace, name, by_nodes.then(named));

        let circumstances = Circumstances {
            generation: estimate.generation(),
            moments: progress::moments(&progress),
            outcome,
            observed: peaks,
            observing: workload.as_ref().and_then(|_| self.observing()),
            history: learned.as_ref().map(history::status),
            admitted: if owned {
                self.admitted(&judgement, workload.as_ref(), namespace).await?
            } else {
                None
            },
        };
        let next = status::status(&judgement, &previous, &circumstances, Timestamp::now());
        if next == previous {
            self.estimates.left(namespace, name, seen);
        } else {
            if let (Some(workload), Some(learned)) = (&workload, &learned) {
                // Before the status: once that says that it ended, nothing more is done.
                self.remember(workload, learned, &next).await?;
            }
            // Before the write, whose event may come before its answer.
            let status = serde_json::to_value(&next).unwrap_or_default();
            self.estimates.left(namespace, name, seen.with_status(&status));
            self.write_status(&api, &estimate, &next).await?;
            self.metrics().written(judgement.verdict);
            self.record_events(&judgement, &previous, &next, workload.as_ref(), &estimate).await;
        }
        Ok(RunEnd::Done)
    }

    /// The peaks of a workload, those of its status included. None if no metric showed any.
    fn observed(&self, workload: Option<&Workload>, previous: &TrainingEstimateStatus) -> Option<Peaks> {
        let new = workload.and_then(|workload| self.observations.of(workload.object.uid()?));
        match (observed::peaks(previous), new) {
            (Some(known), Some(new)) => Some(known.with(&new)),
            (known, new) => known.or(new),
        }
    }

    /// Whether Prometheus answers, if the policy has it asked.
    fn observing(&self) -> Option<Observing> {
        self.cluster.policies.current().observed.as_ref().map(|_| self.observations.observing())
    }

    /// The workload that an estimate refers to, if it exists and has a known kind.
    async fn referred(&self, estimate: &Object, namespace: &str) -> Result<Option<Workload>, Error> {
        let text = |field| estimate.value().pointer(field).and_then(Value::as_str);
        let (Some(api_version), Some(kind), Some(name)) = (
            text("/spec/workloadRef/apiVersion"),
            text("/spec/workloadRef/kind"),
            text("/spec/workloadRef/name"),
        ) else {
            return Ok(None);
        };
        self.workload_named((api_version, kind, name), text("/spec/workloadRef/uid"), namespace).await
    }

    /// The workload of this apiVersion, kind and name, if it exists and has a known kind.
    pub(super) async fn workload_named(
        &self,
        (api_version, kind, name): (&str, &str, &str),
        uid: Option<&str>,
        namespace: &str,
    ) -> Result<Option<Workload>, Error> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let Some(kind) = self.cluster.kinds().find(group, kind) else { return Ok(None) };
        let Some(version) = kind.versions.iter().find(|v| **v == version) else { return Ok(None) };
        let resource = discovery::resource(kind, version);
        // A kind that is not served answers 404, just as an absent object does.
        let source = self.source(resource.clone(), Some(namespace));
        let Some((object, too_large)) = whole_or_identity(source.get(name).await)? else { return Ok(None) };
        if uid.is_some_and(|uid| object.uid() != Some(uid)) {
            return Ok(None);
        }
        let reference = reference(&object, &resource);
        Ok(Some(Workload { kind, object, too_large, reference }))
    }

    /// Judges on a thread for blocking work, since advice takes time.
    async fn judge(&self, estimate: &Object, workload: Option<&Workload>) -> Result<Judged, Error> {
        if workload.is_some_and(|workload| workload.too_large) {
            return Ok(Judged { judgement: Judgement::too_large(), learned: None });
        }
        let estimate = estimate.value().clone();
        let mut around = (*self.cluster.surroundings()).clone();
        around.workloads = workload.map(|w| w.object.value().clone()).into_iter().collect();
        if let Some(landed) = workload.and_then(|workload| self.landed(workload, &around.nodes)) {
            around.nodes = landed;
        }
        let policy = self.cluster.policies.current();
        let read = workload
            .filter(|_| policy.history.is_kept())
            .map(|workload| (workload.kind, workload.object.namespace().unwrap_or_default().to_owned()));
        let histories = self.cluster.histories.clone();
        let kind = workload.map(|workload| workload.kind);
        let judging = self.cluster.background.spawn(move || {
            let mut judgement = judge(&estimate, &around, &policy.world(), &Ask::default());
            if let (Some(kind), Some(workload)) = (kind, around.workloads.first()) {
                judgement.warnings.extend(unread::config_maps_not_read(kind, workload, &around, &judgement));
                if let Some((object, size)) = elastic::smallest_to_judge(kind, workload, &judgement) {
                    let ask = Ask { advice: false, ..Ask::default() };
                    let smallest = judge(&object, &around, &policy.world(), &ask);
                    judgement.warnings.extend(elastic::at_smallest(&smallest, &size));
                }
            }
            let learned = read.and_then(|(kind, namespace)| {
                let workload = around.workloads.first()?;
                Learned::of(kind, &namespace, workload, &around, &judgement, &policy, &histories)
            });
            match learned {
                Some((judgement, learned)) => Judged { judgement, learned: Some(learned) },
                None => Judged { judgement, learned: None },
            }
        });
        judging.await.map_err(|_| Error::Judge)
    }

    /// The nodes on which the workload's pods run, if they run already.
    fn landed(&self, workload: &Workload, nodes: &Arc<[Arc<Node>]>) -> Option<Arc<[Arc<Node>]>> {
        let names = self.cluster.workloads.nodes_of(workload.object.namespace()?, workload.object.uid()?);
        let landed: Vec<_> = nodes.iter().filter(|node| names.contains(&node.name)).cloned().collect();
        let catalogue = &self.cluster.policies.current().catalogue;
        (!landed.is_empty()).then(|| cluster::smallest(landed, catalogue).into())
    }

    /// Why the workload exists, if it is predicted to run out of memory.
    pub(super) async fn admitted(
        &self,
        judgement: &Judgement,
        workload: Option<&Workload>,
        namespace: &str,
    ) -> Result<Option<Admitted>, Error> {
        let policy = self.cluster.policies.current();
        // The author of the reason is no longer known. But if no one may override, the reason did not count.
        let overridden = judgement.override_reason.is_some() && policy.overrides.name_anybody();
        if judgement.verdict != Verdict::OutOfMemory {
            return Ok(None);
        }
        if overridden {
            return Ok(Some(Admitted::Override));
        }
        let exempt = policy.exemptions.namespace(namespace).or_else(|| {
            let around = self.cluster.surroundings();
            let exempt = |workload: &Workload| {
                let object = workload.object.value();
                policy.exemptions.pods(workload.kind, object, &around, &policy.catalogue)
            };
            workload.and_then(exempt)
        });
        if exempt.is_some() {
            return Ok(Some(Admitted::Mode));
        }
        let namespaces = self.source(ApiResource::erase::<Namespace>(&()), None).metadata_only();
        let Some(namespace) = namespaces.get(namespace).await? else { return Ok(None) };
        let labelled = mode::Namespace::Known(namespace.label(MODE_LABEL).map(str::to_owned));
        let enforces = mode::of(&labelled, policy.mode).mode == Mode::Enforce;
        Ok(Some(if enforces { Admitted::Bypass } else { Admitted::Mode }))
    }

    async fn write_status(
        &self,
        api: &Source,
        estimate: &Object,
        status: &TrainingEstimateStatus,
    ) -> Result<(), Error> {
        let name = estimate.name().unwrap_or_default();
        let patch = json!({
            "apiVersion": "weighbridge.dev/v1alpha1",
            "kind": "TrainingEstimate",
            // Another object with the same name gives a conflict.
            "metadata": {"name": name, "uid": estimate.uid()},
            "status": status,
        });
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        Ok(api.patch_status(name, &ours, &Patch::Apply(patch)).await?)
    }

    async fn record_events(
        &self,
        judgement: &Judgement,
        previous: &TrainingEstimateStatus,
        next: &TrainingEstimateStatus,
        workload: Option<&Workload>,
        estimate: &Object,
    ) {
        if notices::bypassed(next) && !notices::bypassed(previous) {
            self.metrics().bypassed.inc();
        }
        if notices::contradicted(next) && !notices::contradicted(previous) {
            self.metrics().contradicted.inc();
        }
        if previous.progress.is_none()
            && let Some(progress) = &next.progress
        {
            self.metrics().ended_workload(next);
            self.metrics().departed(progress, next.time.as_ref());
        }
        self.metrics().observed.compared(previous, next);
        let regarding = match workload {
            Some(workload) => workload.reference.clone(),
            None => reference(estimate, &ApiResource::erase::<TrainingEstimate>(&())),
        };
        for event in notices::notices(judgement, previous, next) {
            if let Err(error) = self.recorder.publish(&event, &regarding).await {
                tracing::warn!(%error, reason = event.reason, "could not record an event");
            }
        }
    }

    fn estimates(&self, namespace: &str) -> Source {
        self.source(ApiResource::erase::<TrainingEstimate>(&()), Some(namespace))
    }

    pub(super) fn source(&self, resource: ApiResource, namespace: Option<&str>) -> Source {
        let room = self.cluster.room.clone();
        Source::new(self.client.clone(), resource, namespace.map(str::to_owned), room)
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.settings.metrics
    }
}

/// An object, or its identity if it is too large to be read, and whether it is.
fn whole_or_identity(
    found: Result<Option<Object>, cluster::Error>,
) -> Result<Option<(Object, bool)>, cluster::Error> {
    match found {
        Ok(found) => Ok(found.map(|object| (object, false))),
        Err(cluster::Error::TooLarge(object)) => Ok(Some((*object, true))),
        Err(error) => Err(error),
    }
}

/// The version of an `apiVersion`.
fn version(api_version: &str) -> &str {
    api_version.rsplit('/').next().unwrap_or(api_version)
}

fn reference(object: &Object, resource: &ApiResource) -> ObjectReference {
    ObjectReference {
        api_version: Some(resource.api_version.clone()),
        kind: Some(resource.kind.clone()),
        name: object.name().map(str::to_owned),
        namespace: object.namespace().map(str::to_owned),
        uid: object.uid().map(str::to_owned),
        resource_version: object.resource_version().map(str::to_owned),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    #[test]
    fn a_namespace_that_ends_is_no_failure() {
        let refused = |status: Value| {
            let status: kube::core::Status = serde_json::from_value(status).unwrap();
            Error::Apiserver(cluster::Error::Kube(kube::Error::Api(Box::new(status))))
                .is_of_an_ending_namespace()
        };
        let cause = json!([{"reason": "NamespaceTerminating", "field": "metadata.namespace", "message": ""}]);
        assert!(refused(json!({"code": 403, "reason": "Forbidden", "details": {"causes": cause}})));
        assert!(refused(json!({"code": 404, "reason": "NotFound", "details": {"kind": "namespaces"}})));
        assert!(!refused(json!({"code": 403, "reason": "Forbidden", "details": {"causes": []}})));
        assert!(!refused(
            json!({"code": 404, "reason": "NotFound", "details": {"kind": "trainingestimates"}})
        ));
    }

    #[test]
    fn the_estimate_of_an_ended_workload_is_complete_until_something_new_is_known() {
        let ended = json!({
            "observedGeneration": 1, "progress": {"outcome": "Failed"}, "outcome": {"kind": "Failed"},
        });
        let ended: TrainingEstimateStatus = serde_json::from_value(ended).unwrap();
        let outcome = |kind| outcome::Outcome { kind, container: None, reason: None, at: None };
        assert!(is_closed(&ended, Some(1), Some(&outcome(outcome::Kind::Failed)), None));
        let peaks = Peaks { pods: vec![("a-0".into(), Bytes(7))], ..Peaks::default() };
        let failed = outcome(outcome::Kind::Failed);
        assert!(!is_closed(&ended, Some(1), Some(&failed), Some(&peaks)), "a metric shows more");
        assert!(
            !is_closed(&ended, Some(1), Some(&outcome(outcome::Kind::OutOfMemory)), None),
            "a pod shows more"
        );
        assert!(
            !is_closed(&ended, Some(2), Some(&outcome(outcome::Kind::Failed)), None),
            "its spec has changed"
        );
        assert!(!is_closed(&ended, Some(1), None, None), "it runs again");
        assert!(!is_closed(&TrainingEstimateStatus::default(), None, None, None), "it runs");
    }

    #[test]
    fn the_status_of_a_workload_that_grew_too_large_keeps_no_figures() {
        let object: Object = json!({"metadata": {"uid": "u"}}).into();
        let found = whole_or_identity(Err(cluster::Error::TooLarge(Box::new(object)))).unwrap();
        assert!(found.is_some_and(|(object, too_large)| too_large && object.uid() == Some("u")));

        let previous = json!({"verdict": "Fits", "oomProbabilityMilli": 1, "missing": ["a"]});
        let previous: TrainingEstimateStatus = serde_json::from_value(previous).unwrap();
        let circumstances = Circumstances { generation: Some(1), ..Circumstances::default() };
        let next = status::status(&Judgement::too_large(), &previous, &circumstances, Timestamp::UNIX_EPOCH);
        assert_eq!((next.verdict.as_deref(), next.reason.as_deref()), (Some("Unknown"), Some("TooLarge")));
        assert!(next.oom_probability_milli.is_none() && next.missing.is_empty() && next.memory.is_none());
    }
}
