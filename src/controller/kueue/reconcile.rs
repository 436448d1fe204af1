//! Reconciles admission checks and the Workloads that wait for them.
//!
//! A check is answered once, in the state Pending. An error of ours must not hold a job back. So what cannot be read is tried
//! again for a minute, and then the check is Ready. The minute begins when the quota was reserved. For a job that waited while no
//! replica led, it begins with the leader.
//!
//! Kueue replaces the message of a check when it takes the quota back, which is at once. So the answer is also a condition of the
//! Workload, which stays, and an event of the job if it does not start.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{ApiResource, Patch, PatchParams};
use kube::runtime::events::EventType;
use serde_json::{Value, json};

use super::queued::{Owner, Queued};
use super::{flavors, is_ours};
use crate::admission::message;
use crate::admission::queued::{Answer, Case, Elsewhere, State};
use crate::api::conditions::{Finding, Holds, merge};
use crate::cluster::Object;
use crate::controller::history::Learned;
use crate::controller::notices;
use crate::controller::queue::RunEnd;
use crate::controller::reconcile::{Error, Reconciler, Workload};
use crate::job::Ask;
use crate::judge::judge;
use crate::judgement::{Judgement, Verdict};
use crate::surroundings::{Assigned, Surroundings};

/// The field manager of the states and conditions.
const FIELD_MANAGER: &str = "weighbridge";

/// The condition of a Workload that says whether it fits on its flavor.
const FITS_MEMORY: &str = "weighbridge.dev/FitsMemory";

/// How long a job waits for what cannot be read.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

impl Reconciler {
    /// Sets an admission check of ours Active, which lets queues use it.
    pub(in crate::controller) async fn check(&self, name: &str) -> Result<RunEnd, Error> {
        let Some(resource) = self.checks.resource("AdmissionCheck", "admissionchecks") else {
            return Ok(RunEnd::Done);
        };
        let api = self.source(resource.clone(), None);
        let Some(check) = api.get(name).await?.filter(|check| is_ours(check) && !check.is_being_deleted())
        else {
            return Ok(RunEnd::Done);
        };
        let previous = conditions(&check);
        let has_parameters = check.value().pointer("/spec/parameters").is_some_and(Value::is_object);
        let ignored =
            if has_parameters { "; it has no parameters, and ignores those of the check" } else { "" };
        let active = Finding {
            kind: "Active",
            holds: Holds::True,
            reason: "Active",
            message: format!("weighbridge judges jobs on the flavors that they were assigned{ignored}"),
        };
        let next = merge(&previous, vec![active], check.generation(), Timestamp::now());
        if next.iter().all(|condition| previous.contains(condition)) {
            return Ok(RunEnd::Done);
        }
        let status = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, "uid": check.uid()},
            "status": {"conditions": next},
        });
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        api.patch_status(name, &ours, &Patch::Apply(status)).await?;
        Ok(RunEnd::Done)
    }

    /// Answers the checks of a Workload that waits.
    pub(in crate::controller) async fn queued(&self, namespace: &str, name: &str) -> Result<RunEnd, Error> {
        let Some(resource) = self.checks.resource("Workload", "workloads") else { return Ok(RunEnd::Done) };
        let api = self.source(resource.clone(), Some(namespace));
        let Some(object) = api.get(name).await? else { return Ok(RunEnd::Done) };
        // Little of it is kept, and its owner may need a turn.
        let object = object.give_up_turn();
        let Some(queued) = Queued::of(object.value()) else { return Ok(RunEnd::Done) };
        let Some(ours) = self.checks.ours_among(&queued.pending) else { return Ok(RunEnd::Waiting) };
        if ours.is_empty() {
            return Ok(RunEnd::Done);
        }
        let now = Timestamp::now();
        // Versions before v1beta2 know no pause, and count nothing.
        let counts = resource.version != "v1beta1";
        let retries = ours.values().copied().max().filter(|_| counts);
        let answer = match self.answer(&queued, retries, namespace).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(RunEnd::Done),
            Err(error) if is_patient(queued.reserved, self.checks.since(), now) => return Err(error),
            Err(error) => {
                tracing::warn!(namespace, name, %error, "a workload of Kueue could not be judged; it is admitted");
                Answer::not_judged(
                    "weighbridge could not judge the job, so it is not refused; its log says why",
                )
            }
        };
        self.write(&resource, &object, &ours, &answer).await?;
        self.metrics().kueue.answered(&answer);
        self.tell(&queued, namespace, &answer).await;
        Ok(RunEnd::Done)
    }

    /// Writes an answer into the status of a Workload.
    async fn write(
        &self,
        resource: &ApiResource,
        workload: &Object,
        checks: &BTreeMap<String, u32>,
        answer: &Answer,
    ) -> Result<(), Error> {
        let now = Timestamp::now();
        let states: Vec<Value> = checks.keys().map(|check| state(check, answer, now)).collect();
        let found = merge(&conditions(workload), vec![finding(answer)], workload.generation(), now);
        let name = workload.name().unwrap_or_default();
        let status = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            // A workload that has changed since gives a conflict.
            "metadata": {"name": name, "uid": workload.uid(), "resourceVersion": workload.resource_version()},
            "status": {"admissionChecks": states, "conditions": found},
        });
        let manager = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.source(resource.clone(), workload.namespace());
        Ok(api.patch_status(name, &manager, &Patch::Apply(status)).await?)
    }

    /// Records an event of a job that does not start.
    async fn tell(&self, queued: &Queued, namespace: &str, answer: &Answer) {
        let reason = match answer.state {
            State::Ready => return,
            State::Retry => "AdmissionCheckRetry",
            State::Rejected => "AdmissionCheckRejected",
        };
        let Some(owner) = &queued.owner else { return };
        let regarding = ObjectReference {
            api_version: Some(owner.api_version.clone()),
            kind: Some(owner.kind.clone()),
            name: Some(owner.name.clone()),
            namespace: Some(namespace.to_owned()),
            uid: Some(owner.uid.clone()),
            ..ObjectReference::default()
        };
        let event = notices::event(EventType::Warning, reason, answer.message.clone());
        if let Err(error) = self.recorder.publish(&event, &regarding).await {
            tracing::warn!(%error, reason, "could not record an event");
        }
    }

    /// The answer about the owner of a Workload. None if the owner is gone.
    async fn answer(
        &self,
        queued: &Queued,
        retries: Option<u32>,
        namespace: &str,
    ) -> Result<Option<Answer>, Error> {
        let Some(owner) = &queued.owner else {
            let why = "the workload has no owner that controls it, so it is not judged";
            return Ok(Some(Answer::not_judged(why)));
        };
        let subject = message::subject(&owner.kind, &owner.name);
        if !self.is_known(owner) {
            let why = format!("{subject}: its kind is not judged");
            return Ok(Some(Answer::not_judged(&why)));
        }
        let named = (owner.api_version.as_str(), owner.kind.as_str(), owner.name.as_str());
        let Some(workload) = self.workload_named(named, Some(&owner.uid), namespace).await? else {
            return Ok(None);
        };
        if workload.too_large {
            let why = format!("{subject}: {}, so it is not refused", Judgement::too_large().message);
            return Ok(Some(Answer::not_judged(&why)));
        }
        let assigned = flavors::assigned(queued, &self.cluster.documents.others()).map_err(Error::Flavor)?;
        let (judgement, elsewhere) = self.judged_on(&workload, queued, assigned, namespace).await?;
        let admitted = self.admitted(&judgement, Some(&workload), namespace).await?;
        Ok(Some(Answer::of(&Case {
            subject: &subject,
            judgement: &judgement,
            flavors: &queued.accelerator_flavors(),
            elsewhere: elsewhere.as_ref(),
            retries,
            started: queued.started,
            refuses: admitted == Some(crate::api::status::Admitted::Bypass),
        })))
    }

    fn is_known(&self, owner: &Owner) -> bool {
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        self.cluster.kinds().find(group, &owner.kind).is_some_and(|kind| kind.versions.contains(&version))
    }

    /// The judgement on the assigned nodes. If the job runs out there, also another flavor on which it does not.
    async fn judged_on(
        &self,
        workload: &Workload,
        queued: &Queued,
        assigned: Assigned,
        namespace: &str,
    ) -> Result<(Judgement, Option<Elsewhere>), Error> {
        let (kind, object) = (workload.kind, workload.object.value().clone());
        let (around, policy) = (self.cluster.surroundings(), self.cluster.policies.current());
        let (histories, namespace) = (self.cluster.histories.clone(), namespace.to_owned());
        let queued = queued.clone();
        let judging = self.cluster.background.spawn(move || {
            let on = |assigned: Assigned, ask: &Ask| {
                let around = Surroundings { assigned: assigned.into(), ..around.shared() };
                let judgement = judge(&object, &around, &policy.world(), ask);
                let kept = policy.history.is_kept();
                let learned = kept.then(|| {
                    Learned::of(kind, &namespace, &object, &around, &judgement, &policy, &histories)
                });
                learned.flatten().map_or(judgement, |(judgement, _)| judgement)
            };
            let judgement = on(assigned, &Ask::default());
            let runs_out = judgement.verdict == Verdict::OutOfMemory;
            let others = if runs_out { flavors::others(&queued, &around.documents) } else { Vec::new() };
            let quick = Ask { advice: false, ..Ask::default() };
            let does_not = |other: flavors::Other| {
                (on(other.assigned, &quick).verdict != Verdict::OutOfMemory).then_some(other.elsewhere)
            };
            let elsewhere = others.into_iter().find_map(does_not);
            (judgement, elsewhere)
        });
        judging.await.map_err(|_| Error::Judge)
    }
}

/// Whether a job waits longer for what cannot be read.
fn is_patient(reserved: Option<Timestamp>, led: Option<Timestamp>, now: Timestamp) -> bool {
    reserved.max(led).is_some_and(|since| now.duration_since(since) < PATIENCE)
}

/// The conditions of an object of Kueue's.
fn conditions(object: &Object) -> Vec<Condition> {
    let conditions = object.value().pointer("/status/conditions").cloned().unwrap_or_default();
    serde_json::from_value(conditions).unwrap_or_default()
}

/// What an answer says of the workload's memory.
fn finding(answer: &Answer) -> Finding {
    let (holds, reason) = match answer.fits {
        Some(true) => (Holds::True, Verdict::Fits.name()),
        Some(false) => (Holds::False, Verdict::OutOfMemory.name()),
        None => (Holds::Unknown, "NotJudged"),
    };
    Finding { kind: FITS_MEMORY, holds, reason, message: answer.message.clone() }
}

/// A check's state as Kueue's API has it.
fn state(check: &str, answer: &Answer, now: Timestamp) -> Value {
    let mut state = json!({
        "name": check,
        "state": answer.state.name(),
        "message": answer.message,
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    if let (Some(seconds), Some(fields)) = (answer.requeue_after, state.as_object_mut()) {
        fields.insert("requeueAfterSeconds".to_owned(), json!(seconds));
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_waited_while_no_replica_led_is_tried_for_a_minute_of_the_leader() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let now = at(1_000).unwrap();
        for (reserved, led, patient) in [
            (at(970), at(100), true),
            (at(930), at(100), false),
            (at(100), at(970), true),
            (None, at(970), true),
            (None, None, false),
        ] {
            assert_eq!(is_patient(reserved, led, now), patient, "{reserved:?} {led:?}");
        }
    }
}
