//! Judges the object of a request, and decides by the rules of children, updates and overrides.

use std::sync::Arc;

use serde_json::Value;

use super::children;
use super::judgements;
use super::metrics::Review as Counted;
use super::outcome::{Outcome, admitted, status};
use super::review::{Operation, Request};
use super::reviewer::Reviewer;
use crate::admission::decide::{Case, Decided, Fault, Ratchet, decide, fault};
use crate::admission::elastic::{at_smallest, smallest_to_judge};
use crate::admission::message;
use crate::admission::overrides::{self, Override};
use crate::admission::{ratchet, unread};
use crate::cluster::Standing;
use crate::job::Ask;
use crate::judgement::Judgement;
use crate::kinds::Kind;
use crate::learn::fingerprint::fingerprint;
use crate::learn::lesson::applied;
use crate::policy::{Mode, Unknown, World};
use crate::surroundings::Surroundings;

/// The signature of [`judge`](crate::judge::judge). Tests pass another function.
pub(super) type Judge = fn(&Value, &Surroundings, &World<'_>, &Ask) -> Judgement;

/// Judges the object of a request and decides, on a thread of its own.
pub(super) struct Evaluation<'r> {
    pub(super) by: &'r Reviewer,
    pub(super) kind: &'static Kind,
    pub(super) mode: Mode,
    pub(super) may_override: bool,
    pub(super) may_place: bool,
}

impl Evaluation<'_> {
    /// Judges the object and decides.
    pub(super) fn evaluate(&self, request: &Request) -> Outcome {
        let standing = children::standing(
            self.kind,
            &request.namespace,
            &request.object,
            &self.by.workloads,
            &self.by.around,
            &self.by.policy,
        );
        let owner = children::note(&standing);
        if matches!(standing, Standing::Covered | Standing::Waiting(_)) {
            let mut admitted = admitted(request, Some(self.kind), Some(self.mode));
            admitted.decided.notes.extend(owner.map(|note| ("owner", note.to_owned())));
            return admitted;
        }
        let new = self.judged(&request.object, request);
        let old = self.old(&new, request);
        let ratchet = match &old {
            _ if request.operation != Operation::Update || self.fault(&new).is_none() => None,
            None => Some(Ratchet::SameJob),
            Some(old) if self.fault(old).is_some() => Some(Ratchet::AlreadySo),
            Some(_) => (self.may_place && self.only_placement_ruins(request)).then_some(Ratchet::SameJob),
        };
        // The same job keeps its earlier decision, so its override does not matter.
        let override_given = match ratchet {
            Some(Ratchet::SameJob) => Override::None,
            _ => overrides::of(&new, old.as_deref(), self.may_override),
        };
        let command_only = standing == Standing::Differs { command_only: true } && self.fault(&new).is_some();
        let ratchet = ratchet.or(command_only.then_some(Ratchet::Owner));
        self.decided(request, &new, override_given, ratchet, owner)
    }

    /// Decides by a judgement.
    pub(super) fn decided(
        &self,
        request: &Request,
        judgement: &Judgement,
        override_given: Override,
        ratchet: Option<Ratchet>,
        owner: Option<&str>,
    ) -> Outcome {
        let generated = || request.object.pointer("/metadata/generateName").and_then(Value::as_str);
        let name = Some(request.name.as_str()).filter(|name| !name.is_empty()).or_else(generated);
        let subject = message::subject(self.kind.kind, name.unwrap_or_default());
        let mut decided = decide(&Case {
            subject: &subject,
            judgement,
            mode: self.mode,
            unknown: self.by.policy.unknown,
            unrecognised: self.by.policy.unrecognised,
            override_given,
            ratchet,
        });
        if matches!(self.mode, Mode::Enforce | Mode::Warn) {
            decided.warnings.extend(self.further_warnings(request, judgement));
        }
        if !decided.notes.is_empty() {
            decided.notes.extend(owner.map(|note| ("owner", note.to_owned())));
        }
        self.log(request, judgement, &decided);
        let decision = match (&decided.denied, decided.warnings.is_empty()) {
            (Some(_), _) => "denied",
            (None, false) => "warned",
            (None, true) => "allowed",
        };
        let counted = Counted {
            decision,
            verdict: judgement.verdict.name(),
            mode: self.mode.name(),
            operation: request.operation.name(),
            kind: self.kind.slug,
        };
        let status =
            decided.denied.map(|fault| status(fault, &subject, judgement, self.kind, request.name.clone()));
        Outcome { counted, cause: judgement.cause, decided, status }
    }

    /// Warnings about what the judgement alone does not show: ConfigMaps that are not read, and a smaller size.
    fn further_warnings(&self, request: &Request, judgement: &Judgement) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.by.policy.unknown != Unknown::Admit {
            warnings.extend(unread::config_maps_not_read(
                self.kind,
                &request.object,
                &self.by.around,
                judgement,
            ));
        }
        if let Some((object, size)) = smallest_to_judge(self.kind, &request.object, judgement) {
            warnings.extend(at_smallest(&self.judged(&object, request), &size));
        }
        warnings
    }

    /// The fault of a judgement.
    pub(super) fn fault(&self, judgement: &Judgement) -> Option<Fault> {
        fault(judgement, self.by.policy.unknown)
    }

    /// The judgement of the old object, if the decision depends on it.
    fn old(&self, new: &Judgement, request: &Request) -> Option<Arc<Judgement>> {
        let decisive = request.operation == Operation::Update
            && self.fault(new).is_some()
            && !ratchet::same_job(self.kind, &request.old_object, &request.object, self.may_place);
        decisive.then(|| self.judged(&request.old_object, request))
    }

    /// Whether the object would be admitted if its pods were placed as before.
    fn only_placement_ruins(&self, request: &Request) -> bool {
        let placed = ratchet::placed_as_before(&request.old_object, &request.object);
        placed != request.object && self.fault(&self.judged(&placed, request)).is_none()
    }

    /// The judgement of an object, from the cache if it is there.
    pub(super) fn judged(&self, object: &Value, request: &Request) -> Arc<Judgement> {
        let key = judgements::key(&request.namespace, &request.kind, object);
        let estimated = self
            .by
            .judgements
            .get_or_judge(key, &self.by.around, &self.by.policy, || self.judge_now(object, request));
        self.learned(object, request, &estimated).map_or(estimated, Arc::new)
    }

    /// The judgement in the light of earlier runs of the same job in the namespace, if there were any.
    fn learned(&self, object: &Value, request: &Request, estimated: &Judgement) -> Option<Judgement> {
        let namespace = request.namespace.as_str();
        if !estimated.verdict.trains() || !self.by.histories.has_any(namespace) {
            return None;
        }
        let accelerator = estimated.summary.accelerator.as_deref();
        let catalogue = &self.by.policy.catalogue;
        let print = fingerprint(self.kind, object, accelerator, &self.by.around, catalogue)?;
        let lesson = self.by.histories.lesson(namespace, &print)?;
        Some(applied(estimated.clone(), &lesson, &self.by.policy).judgement)
    }

    fn judge_now(&self, object: &Value, request: &Request) -> Judgement {
        // An answer lists no inputs.
        let ask = Ask { inputs: false, ..Ask::default() };
        let judge = |object: &Value| {
            let policy = &self.by.policy;
            (self.by.judge)(object, &self.by.around, &policy.world(), &ask)
        };
        if object.get("kind").is_some() && object.get("apiVersion").is_some() {
            return judge(object);
        }
        // Reviews carry the kind outside of the object, but the judge reads it from the object.
        let mut named = object.clone();
        if let Some(fields) = named.as_object_mut() {
            fields.insert("apiVersion".into(), request.kind.api_version().into());
            fields.insert("kind".into(), request.kind.kind.clone().into());
        }
        judge(&named)
    }

    fn log(&self, request: &Request, judgement: &Judgement, decided: &Decided) {
        let Request { uid, namespace, name, user_info, .. } = request;
        let user = user_info.username.as_str();
        let (kind, verdict, mode) = (self.kind.kind, judgement.verdict.name(), self.mode.name());
        if decided.denied.is_some() {
            tracing::info!(uid, kind, namespace, name, user, verdict, mode, "refused");
        } else if decided.notes.contains_key("would-deny") {
            tracing::info!(
                uid,
                kind,
                namespace,
                name,
                user,
                verdict,
                mode,
                "admitted, but enforce would refuse it"
            );
        } else {
            tracing::debug!(uid, kind, namespace, name, verdict, mode, "admitted");
        }
    }
}
