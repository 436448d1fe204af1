//! Acting on what was decided: reads, writes and their errors.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::events::Recorder;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::desired::{self, Holder};
use super::naming::is_name;
use super::queue::{Key, Outcome};
use super::{Metrics, Settings, notices, progress};
use crate::api::{
    status::{Circumstances, status},
    v1alpha1::{TrainingEstimate, TrainingEstimateStatus},
};
use crate::cluster::{Claim, Cluster, Digest, MODE_LABEL, Standing, discovery};
use crate::judge::{Ask, judge};
use crate::judgement::{Judgement, Verdict};
use crate::webhook::Mode;
use crate::workload::kinds::{self, Kind};

/// As whom the controller writes.
const FIELD_MANAGER: &str = "weighbridge";

/// Why something could not be reconciled.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Kube(#[from] kube::Error),
    #[error("both names that its estimate could have are taken: {0} and {1}")]
    NamesTaken(String, String),
    // What a panic says may quote what was judged, so it goes no further.
    #[error("judging it failed")]
    Judge,
    #[error("it can't be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl Error {
    const fn reason(&self) -> &'static str {
        match self {
            Self::Kube(kube::Error::Api(_)) => "Refused",
            Self::Kube(_) => "Unreachable",
            Self::NamesTaken(..) => "NamesTaken",
            Self::Judge => "JudgeFailed",
            Self::Unreadable(_) => "Unreadable",
        }
    }

    /// Somebody else was faster; what they did is seen next time.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.code == 409)
    }
}

/// What it takes to reconcile.
pub(super) struct Reconciler {
    pub(super) client: Client,
    pub(super) cluster: Arc<Cluster>,
    pub(super) settings: Arc<Settings>,
    pub(super) recorder: Recorder,
}

/// A workload that an estimate refers to, as it is now.
struct Workload {
    kind: &'static Kind,
    object: Value,
    reference: ObjectReference,
}

impl Reconciler {
    /// Reconciles; what fails is reported here and tried again by the queue.
    pub(super) async fn reconcile(&self, key: Key) -> Outcome {
        let started = Instant::now();
        self.metrics().begins();
        let outcome = self.reconciled(&key).await;
        self.metrics().ended(outcome, started.elapsed());
        outcome
    }

    async fn reconciled(&self, key: &Key) -> Outcome {
        let result = match key {
            Key::Workload { uid } => self.workload(uid).await,
            Key::Estimate { namespace, name } => self.estimate(namespace, name).await,
        };
        match result {
            Ok(outcome) => outcome,
            Err(error) if error.is_conflict() => Outcome::Waiting,
            Err(error) => {
                self.metrics().failed(error.reason());
                tracing::warn!(?key, reason = error.reason(), %error, "reconciling failed and is tried again");
                Outcome::Failed
            }
        }
    }

    /// Sees to it that a workload has its estimate.
    async fn workload(&self, uid: &str) -> Result<Outcome, Error> {
        let Some(workload) = self.cluster.workloads.get(uid) else { return Ok(Outcome::Done) };
        if let Standing::Waiting(claim) = &workload.standing
            && !workload.deleting
        {
            return self.child(&workload, claim).await;
        }
        if !desired::wants_estimate(&workload) {
            return Ok(Outcome::Done);
        }
        let api = self.estimates(&workload.namespace);
        let names = desired::names(&workload);
        for name in &names {
            let found = api.get_opt(name).await?;
            match desired::holder(found.as_ref(), &workload) {
                Holder::Ours => return Ok(Outcome::Done),
                Holder::Leaving => return Ok(Outcome::Waiting),
                Holder::Other => {}
                Holder::Nobody => {
                    let estimate = serde_json::from_value(desired::estimate(&workload, name))?;
                    let ours =
                        PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
                    api.create(&ours, &estimate).await?;
                    self.metrics().created.inc();
                    return Ok(Outcome::Done);
                }
            }
        }
        let [first, second] = names;
        Err(Error::NamesTaken(first, second))
    }

    /// Sees to it that a child whose owner no cache knew is judged by itself, unless an owner covers it after all.
    async fn child(&self, child: &Digest, claim: &Claim) -> Result<Outcome, Error> {
        match self.cluster.workloads.standing_again(child) {
            Standing::Covered => return Ok(Outcome::Done),
            // A cache will know it soon.
            Standing::Waiting(_) if self.exists(&child.namespace, claim).await? => {
                return Ok(Outcome::Waiting);
            }
            _ => {}
        }
        let resource = discovery::resource(child.kind, version(&child.api_version));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &child.namespace, &resource);
        let Some(object) = api.get_opt(&child.name).await? else { return Ok(Outcome::Done) };
        if object.metadata.uid.as_deref() != Some(child.uid.as_str()) {
            return Ok(Outcome::Done);
        }
        let object = serde_json::to_value(object)?;
        let around = self.cluster.surroundings();
        let policy = self.cluster.policies.current();
        let judging = tokio::task::spawn_blocking(move || {
            let ask = Ask { advice: false, ..Ask::default() };
            judge(&object, &around, &policy.catalogue, &policy.rules, &ask)
        });
        let judgement = judging.await.map_err(|_| Error::Judge)?;
        let peak = judgement.memory.map(|memory| memory.peak_bytes);
        // The cache tells of it, and then it gets its estimate like any workload.
        self.cluster.workloads.judged_by_itself(child, judgement.verdict, peak);
        Ok(Outcome::Done)
    }

    /// Whether an owner is there.
    async fn exists(&self, namespace: &str, claim: &Claim) -> Result<bool, Error> {
        let Some(kind) = kinds::find(claim.group, claim.kind) else { return Ok(false) };
        for version in kind.versions {
            let resource = discovery::resource(kind, version);
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
            if let Some(owner) = api.get_metadata_opt(&claim.name).await? {
                return Ok(owner.metadata.uid.as_deref() == Some(claim.uid.as_str()));
            }
        }
        Ok(false)
    }

    /// Sees to it that an estimate's status is its judgement.
    async fn estimate(&self, namespace: &str, name: &str) -> Result<Outcome, Error> {
        let api = self.estimates(namespace);
        let Some(estimate) = api.get_opt(name).await? else { return Ok(Outcome::Done) };
        if estimate.metadata.deletion_timestamp.is_some() {
            return Ok(Outcome::Done);
        }
        let workload = self.referred(&estimate, namespace).await?;
        let owned = estimate.metadata.owner_references.iter().flatten().any(|o| o.controller == Some(true));
        if owned && workload.is_none() {
            // Its workload is gone, and it will be too: the garbage collector sees to that.
            return Ok(Outcome::Done);
        }
        let judgement = self.judge(&estimate, workload.as_ref()).await?;

        // A status that can't be read is as good as none: it is written anew.
        let previous = estimate.data.get("status").cloned().unwrap_or_default();
        let previous: TrainingEstimateStatus = serde_json::from_value(previous).unwrap_or_default();
        let progress = workload.as_ref().map(|w| crate::workload::progress(w.kind, &w.object));
        let (start, end) = progress::moments(&progress.unwrap_or_default());
        let circumstances = Circumstances {
            generation: estimate.metadata.generation,
            start,
            end,
            bypassed: owned && self.bypassed(&judgement, workload.as_ref(), namespace).await?,
        };
        let next = status(&judgement, &previous, &circumstances, Timestamp::now());
        if next != previous {
            self.write_status(&api, &estimate, &next).await?;
            self.metrics().written(judgement.verdict);
            self.tell(&judgement, &previous, &next, workload.as_ref(), &estimate).await;
        }
        Ok(Outcome::Done)
    }

    /// The workload that an estimate refers to, if it is there and of a kind that is understood.
    async fn referred(&self, estimate: &DynamicObject, namespace: &str) -> Result<Option<Workload>, Error> {
        let text = |field| estimate.data.pointer(field).and_then(Value::as_str);
        let (Some(api_version), Some(kind), Some(name)) = (
            text("/spec/workloadRef/apiVersion"),
            text("/spec/workloadRef/kind"),
            text("/spec/workloadRef/name"),
        ) else {
            return Ok(None);
        };
        if !is_name(name) {
            return Ok(None);
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let Some(kind) = kinds::find(group, kind) else { return Ok(None) };
        let Some(version) = kind.versions.iter().find(|v| **v == version) else { return Ok(None) };
        let resource = discovery::resource(kind, version);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        // A kind that isn't served answers 404, as an object that isn't there does.
        let Some(object) = api.get_opt(name).await? else { return Ok(None) };
        if text("/spec/workloadRef/uid").is_some_and(|uid| object.metadata.uid.as_deref() != Some(uid)) {
            return Ok(None);
        }
        let reference = reference(&object, &resource);
        Ok(Some(Workload { kind, object: serde_json::to_value(object)?, reference }))
    }

    /// Judges away from the threads that wait for the network: advice takes its time.
    async fn judge(&self, estimate: &DynamicObject, workload: Option<&Workload>) -> Result<Judgement, Error> {
        let estimate = serde_json::to_value(estimate)?;
        let mut around = (*self.cluster.surroundings()).clone();
        around.workloads = workload.map(|w| w.object.clone()).into_iter().collect();
        let policy = self.cluster.policies.current();
        let judging = tokio::task::spawn_blocking(move || {
            judge(&estimate, &around, &policy.catalogue, &policy.rules, &Ask::default())
        });
        judging.await.map_err(|_| Error::Judge)
    }

    /// Whether it exists although the webhook would have refused it.
    async fn bypassed(
        &self,
        judgement: &Judgement,
        workload: Option<&Workload>,
        namespace: &str,
    ) -> Result<bool, Error> {
        let policy = self.cluster.policies.current();
        // Who gave the reason is not known any more; but where nobody may, it didn't count.
        let overridden = judgement.override_reason.is_some() && policy.overrides.name_anybody();
        if judgement.verdict != Verdict::OutOfMemory || overridden {
            return Ok(false);
        }
        let exempt = policy.exemptions.namespace(namespace).or_else(|| {
            let around = self.cluster.surroundings();
            let exempt = |workload: &Workload| {
                policy.exemptions.pods(workload.kind, &workload.object, &around, &policy.catalogue)
            };
            workload.and_then(exempt)
        });
        if exempt.is_some() {
            return Ok(false);
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let Some(namespace) = namespaces.get_metadata_opt(namespace).await? else { return Ok(false) };
        Ok(match namespace.labels().get(MODE_LABEL) {
            Some(mode) => mode == "enforce",
            None => policy.mode == Mode::Enforce,
        })
    }

    async fn write_status(
        &self,
        api: &Api<DynamicObject>,
        estimate: &DynamicObject,
        status: &TrainingEstimateStatus,
    ) -> Result<(), Error> {
        let patch = json!({
            "apiVersion": "weighbridge.dev/v1alpha1",
            "kind": "TrainingEstimate",
            // Another object of the same name answers with a conflict.
            "metadata": {"name": estimate.name_any(), "uid": estimate.metadata.uid},
            "status": status,
        });
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        api.patch_status(&estimate.name_any(), &ours, &Patch::Apply(patch)).await?;
        Ok(())
    }

    async fn tell(
        &self,
        judgement: &Judgement,
        previous: &TrainingEstimateStatus,
        next: &TrainingEstimateStatus,
        workload: Option<&Workload>,
        estimate: &DynamicObject,
    ) {
        if notices::bypassed(next) && !notices::bypassed(previous) {
            self.metrics().bypassed.inc();
        }
        if previous.progress.is_none()
            && let Some(progress) = &next.progress
        {
            self.metrics().departed(progress, next.time.as_ref());
        }
        let regarding = match workload {
            Some(workload) => workload.reference.clone(),
            None => reference(estimate, &ApiResource::erase::<TrainingEstimate>(&())),
        };
        for event in notices::notices(judgement, previous, next) {
            if let Err(error) = self.recorder.publish(&event, &regarding).await {
                tracing::warn!(%error, reason = event.reason, "an event was not recorded");
            }
        }
    }

    fn estimates(&self, namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<TrainingEstimate>(&());
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    fn metrics(&self) -> &Metrics {
        &self.settings.metrics
    }
}

/// The version of an `apiVersion`.
fn version(api_version: &str) -> &str {
    api_version.rsplit('/').next().unwrap_or(api_version)
}

fn reference(object: &DynamicObject, resource: &ApiResource) -> ObjectReference {
    ObjectReference {
        api_version: Some(resource.api_version.clone()),
        kind: Some(resource.kind.clone()),
        name: object.metadata.name.clone(),
        namespace: object.metadata.namespace.clone(),
        uid: object.metadata.uid.clone(),
        resource_version: object.metadata.resource_version.clone(),
        ..ObjectReference::default()
    }
}
