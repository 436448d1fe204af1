//! The decision, over plain data.
//!
//! ```text
//! would be refused   in enforce, without an override or a reason to admit            denied
//!                    otherwise, in enforce or warn                                   a warning
//!                    in audit                                                        a note
//! tight, unknown     in enforce or warn                                              a warning (unknown: as the policy says)
//! ```
//!
//! An object would be refused if its verdict is `OutOfMemory` (403), if a part of it could not be read (422), or if
//! its verdict is `Unknown` and the policy denies unknown jobs (403). Every training job is noted in the audit log.
//! An object that does not train gets no note.

use std::collections::BTreeMap;

use crate::admission::message;
use crate::admission::overrides::Override;
use crate::job::keys::PREFIX;
use crate::judgement::{Judgement, Reason, Verdict};
use crate::policy::{HostMemory, Mode, Unknown, Unrecognised};

/// The input of a decision.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The object as messages name it: `pytorchjob/llama2-70b`.
    pub subject: &'a str,
    /// The judgement of the new object.
    pub judgement: &'a Judgement,
    /// The namespace's mode.
    pub mode: Mode,
    /// How the policy handles unknown jobs.
    pub unknown: Unknown,
    /// How the policy handles objects that are not recognised.
    pub unrecognised: Unrecognised,
    /// The override of the request.
    pub override_given: Override,
    /// Why it may not be refused, if there is a reason.
    pub ratchet: Option<Ratchet>,
}

/// Why an object may not be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ratchet {
    /// The update changes only fields that may change freely, or its placement alone is the fault.
    SameJob,
    /// The old object would be refused as well.
    AlreadySo,
    /// It is a child with another command than its owner's, and the owner has annotations about the training.
    Owner,
}

/// Why an object would be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It would run out of memory.
    OutOfMemory,
    /// Its pod would run out of another resource, for which the policy refuses.
    Host,
    /// It could not be read.
    Malformed,
    /// It trains, but cannot be judged, and the policy denies unknown jobs.
    Unknown,
}

/// A decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Why it is refused, if it is.
    pub denied: Option<Fault>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Notes for the audit log.
    pub notes: BTreeMap<&'static str, String>,
}

/// Why an object would be refused in the mode `enforce`, if it would be.
pub fn fault(judgement: &Judgement, unknown: Unknown) -> Option<Fault> {
    match judgement.verdict {
        Verdict::NotTraining | Verdict::Unrecognised => None,
        _ if judgement.reason == Reason::Malformed || !judgement.errors.is_empty() => Some(Fault::Malformed),
        Verdict::OutOfMemory => Some(Fault::OutOfMemory),
        _ if judgement.refused_resource().is_some() => Some(Fault::Host),
        Verdict::Unknown if unknown == Unknown::Deny => Some(Fault::Unknown),
        Verdict::Fits | Verdict::Tight | Verdict::Unknown => None,
    }
}

/// Decides.
pub fn decide(case: &Case<'_>) -> Decided {
    let judgement = case.judgement;
    if case.mode == Mode::Off {
        return Decided::default();
    }
    if !judgement.verdict.trains() {
        return without_training(case);
    }
    let fault = fault(judgement, case.unknown);
    let granted = matches!(case.override_given, Override::Granted(_));
    let denied = fault.filter(|_| case.mode == Mode::Enforce && !granted && case.ratchet.is_none());
    let warns = matches!(case.mode, Mode::Enforce | Mode::Warn);
    Decided {
        denied,
        warnings: if warns { warnings(case, fault, denied) } else { Vec::new() },
        notes: notes(case, fault, denied),
    }
}

/// An object without a training is admitted, with a warning if nothing shows whether it trains and the policy wants one.
fn without_training(case: &Case<'_>) -> Decided {
    let warns = case.judgement.verdict == Verdict::Unrecognised
        && case.unrecognised == Unrecognised::Warn
        && matches!(case.mode, Mode::Enforce | Mode::Warn);
    // The cause would leave no room for what to add.
    let asks = case.judgement.message.split(':').next().unwrap_or_default();
    let line = || message::warning_about(case.subject, &format!("{asks}; if it trains, add {PREFIX}model"));
    Decided { warnings: warns.then(line).into_iter().collect(), ..Decided::default() }
}

/// Warnings, the most important first. They do not repeat a refusal.
fn warnings(case: &Case<'_>, fault: Option<Fault>, denied: Option<Fault>) -> Vec<String> {
    let judgement = case.judgement;
    let mut warnings = Vec::new();
    let may_not_fit = match judgement.verdict {
        Verdict::OutOfMemory | Verdict::Tight => true,
        Verdict::Unknown => case.unknown != Unknown::Admit,
        Verdict::Fits | Verdict::NotTraining | Verdict::Unrecognised => false,
    };
    if denied.is_none() && fault == Some(Fault::Malformed) {
        warnings.extend(message::causes(&judgement.errors).map(|(_, message)| message::warning(&message)));
    } else if denied.is_none() && may_not_fit {
        warnings.push(message::doubt(case.subject, judgement, fault.is_some()));
    }
    match (&case.override_given, fault) {
        (Override::Granted(reason), Some(_)) => {
            warnings.push(message::warning_about("admitted by weighbridge.dev/override", reason));
        }
        (Override::Refused(why), Some(_)) => warnings.push(message::warning(why)),
        _ => {}
    }
    if denied.is_none() && judgement.host_memory != HostMemory::Audit {
        warnings.extend(message::resources(case.subject, judgement));
    }
    let told = message::warning(&judgement.message);
    warnings.extend(message::warnings(judgement).into_iter().filter(|line| *line != told));
    // Two sources may give the same warning.
    let mut seen = std::collections::BTreeSet::new();
    warnings.retain(|line| !line.is_empty() && seen.insert(line.clone()));
    warnings
}

fn notes(case: &Case<'_>, fault: Option<Fault>, denied: Option<Fault>) -> BTreeMap<&'static str, String> {
    let judgement = case.judgement;
    let mut notes = BTreeMap::from([
        ("verdict", judgement.verdict.name().to_owned()),
        ("reason", judgement.reason.name().to_owned()),
        ("mode", case.mode.name().to_owned()),
    ]);
    if let Some(memory) = &judgement.memory {
        notes.insert("peak-bytes", memory.peak_bytes.0.to_string());
        if let Some(capacity) = memory.capacity_bytes {
            notes.insert("capacity-bytes", capacity.0.to_string());
        }
    }
    for (name, resource) in judgement.resources() {
        if matches!(resource.verdict, Verdict::OutOfMemory | Verdict::Tight) {
            let key = match name {
                "host memory" => "host-memory",
                "shared memory" => "shared-memory",
                _ => "storage",
            };
            notes.insert(key, message::one_line(&resource.message, message::LINE));
        }
    }
    if fault.is_some() && denied.is_none() {
        notes.insert("would-deny", "true".to_owned());
        let message = match fault {
            Some(Fault::Malformed) => message::malformed(case.subject, &judgement.errors),
            Some(Fault::Host) => message::resource_refusal(case.subject, judgement),
            _ => message::refusal(case.subject, judgement),
        };
        notes.insert("message", message);
    }
    match (fault, &case.override_given) {
        (Some(_), Override::Granted(reason)) => {
            notes.insert("override", reason.clone());
        }
        (Some(_), Override::Refused(why)) => {
            notes.insert("override-refused", (*why).to_owned());
        }
        _ => {}
    }
    match case.ratchet.filter(|_| fault.is_some()) {
        Some(Ratchet::SameJob) => notes.insert("update", "same-job".to_owned()),
        Some(Ratchet::AlreadySo) => notes.insert("update", "already-so".to_owned()),
        // The note `owner` is added elsewhere.
        Some(Ratchet::Owner) | None => None,
    };
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::judgement;
    use crate::job::{Cause, InputError};
    use crate::judgement::Resource;
    use crate::units::Bytes;

    fn judgement_of(verdict: Verdict, reason: Reason) -> Judgement {
        Judgement { verdict, reason, message: "needs 96.4 GiB per GPU".into(), ..judgement() }
    }

    fn out_of_memory() -> Judgement {
        judgement_of(Verdict::OutOfMemory, Reason::AboveCapacity)
    }

    fn malformed() -> Judgement {
        let error = |message: &str| InputError { field: "f".into(), message: message.into() };
        Judgement {
            errors: vec![error("a"), error("b")],
            ..judgement_of(Verdict::Unknown, Reason::Malformed)
        }
    }

    /// A case in the mode `enforce`, of a new object without an override.
    fn enforced(judgement: &Judgement) -> Case<'_> {
        let mode = Mode::Enforce;
        let subject = "job/a";
        Case {
            subject,
            judgement,
            mode,
            override_given: Override::None,
            ratchet: None,
            unknown: Unknown::Warn,
            unrecognised: Unrecognised::Admit,
        }
    }

    fn decided(judgement: &Judgement, mode: Mode) -> Decided {
        decide(&Case { mode, ..enforced(judgement) })
    }

    #[test]
    fn each_mode_denies_warns_or_notes() {
        let tight = judgement_of(Verdict::Tight, Reason::NearCapacity);
        let unknown = judgement_of(Verdict::Unknown, Reason::UnknownModel);
        let fits = judgement_of(Verdict::Fits, Reason::BelowCapacity);
        for (judgement, mode, denied, warnings, would_deny) in [
            (&out_of_memory(), Mode::Enforce, Some(Fault::OutOfMemory), 0, false),
            (&out_of_memory(), Mode::Warn, None, 1, true),
            (&out_of_memory(), Mode::Audit, None, 0, true),
            (&malformed(), Mode::Enforce, Some(Fault::Malformed), 0, false),
            (&malformed(), Mode::Warn, None, 2, true),
            (&malformed(), Mode::Audit, None, 0, true),
            (&tight, Mode::Enforce, None, 1, false),
            (&tight, Mode::Warn, None, 1, false),
            (&tight, Mode::Audit, None, 0, false),
            (&unknown, Mode::Enforce, None, 1, false),
            (&unknown, Mode::Audit, None, 0, false),
            (&fits, Mode::Enforce, None, 0, false),
            (&fits, Mode::Warn, None, 0, false),
        ] {
            let decided = decided(judgement, mode);
            let case = format!("{:?} in {mode:?}", judgement.verdict);
            assert_eq!(decided.denied, denied, "{case}");
            assert_eq!(decided.warnings.len(), warnings, "{case}: {:?}", decided.warnings);
            assert_eq!(decided.notes.contains_key("would-deny"), would_deny, "{case}");
            assert_eq!(decided.notes["verdict"], judgement.verdict.name(), "{case}");
            assert_eq!(decided.notes["mode"], mode.name(), "{case}");
        }
    }

    #[test]
    fn no_training_and_mode_off_give_no_warning_and_no_note() {
        for mode in [Mode::Enforce, Mode::Warn, Mode::Audit, Mode::Off] {
            assert_eq!(
                decided(&judgement_of(Verdict::NotTraining, Reason::NotTraining), mode),
                Decided::default()
            );
        }
        assert_eq!(decided(&out_of_memory(), Mode::Off), Decided::default());
    }

    #[test]
    fn an_object_that_is_not_recognised_gives_a_warning_only_if_the_policy_wants_one() {
        let judgement = Judgement::aside(Cause::UnknownProgram, Some(8));
        for (unrecognised, mode, warnings) in [
            (Unrecognised::Admit, Mode::Enforce, 0),
            (Unrecognised::Warn, Mode::Enforce, 1),
            (Unrecognised::Warn, Mode::Warn, 1),
            (Unrecognised::Warn, Mode::Audit, 0),
            (Unrecognised::Warn, Mode::Off, 0),
        ] {
            let decided = decide(&Case { mode, unrecognised, ..enforced(&judgement) });
            assert_eq!(
                (decided.denied, decided.warnings.len()),
                (None, warnings),
                "{unrecognised:?} {mode:?}"
            );
        }
        let decided = decide(&Case { unrecognised: Unrecognised::Warn, ..enforced(&judgement) });
        let expected = "job/a: asks for 8 GPUs, not recognised; if it trains, add weighbridge.dev/model";
        assert_eq!(decided.warnings, [expected]);
        let server = Judgement::aside(Cause::Server, Some(8));
        let unrecognised = Unrecognised::Warn;
        assert_eq!(decide(&Case { unrecognised, ..enforced(&server) }), Decided::default());
    }

    #[test]
    fn an_override_admits_and_is_noted() {
        let judgement = out_of_memory();
        let override_given = Override::Granted("measured it".into());
        let decided = decide(&Case { override_given, ..enforced(&judgement) });
        assert_eq!(decided.denied, None);
        assert_eq!(decided.notes["override"], "measured it");
        assert_eq!(decided.notes["would-deny"], "true");
        assert_eq!(
            decided.warnings,
            [
                "job/a would be refused: needs 96.4 GiB per GPU",
                "admitted by weighbridge.dev/override: measured it"
            ]
        );
    }

    #[test]
    fn a_refused_override_gives_its_reason() {
        let judgement = out_of_memory();
        let override_given = Override::Refused("it needs a reason");
        let decided = decide(&Case { override_given, ..enforced(&judgement) });
        assert_eq!(decided.denied, Some(Fault::OutOfMemory));
        assert_eq!(decided.warnings, ["it needs a reason"]);
        assert_eq!(decided.notes["override-refused"], "it needs a reason");
    }

    #[test]
    fn an_override_of_a_job_that_fits_is_not_mentioned() {
        let judgement = judgement_of(Verdict::Fits, Reason::BelowCapacity);
        let override_given = Override::Refused("it needs a reason");
        let decided = decide(&Case { override_given, ..enforced(&judgement) });
        assert!(decided.warnings.is_empty() && !decided.notes.contains_key("override-refused"));
    }

    #[test]
    fn a_ratchet_admits_with_a_warning() {
        for judgement in [out_of_memory(), malformed()] {
            for (ratchet, note) in [(Ratchet::SameJob, "same-job"), (Ratchet::AlreadySo, "already-so")] {
                let decided = decide(&Case { ratchet: Some(ratchet), ..enforced(&judgement) });
                assert_eq!(decided.denied, None);
                assert!(!decided.warnings.is_empty());
                assert_eq!(decided.notes["update"], note);
            }
        }
    }

    /// A job whose GPUs have room, and whose pod has too little host memory.
    fn out_of_host_memory(host_memory: HostMemory) -> Judgement {
        let host = Resource {
            verdict: Verdict::OutOfMemory,
            message: "needs 620.0 GiB of host memory a pod (at least 540.0 GiB), 400.0 GiB are allowed"
                .into(),
            probability: Some(1.0),
            peak_bytes: Bytes::from_mib(620 << 10),
            lower_bytes: Bytes::from_mib(540 << 10),
            upper_bytes: Bytes::from_mib(700 << 10),
            limit_bytes: Some(Bytes::from_mib(400 << 10)),
            limit_source: None,
            instant: "training".into(),
            components: Vec::new(),
            warnings: vec!["no container requests memory or cpu".into()],
            advice: Vec::new(),
        };
        Judgement { host: Some(host), host_memory, ..judgement_of(Verdict::Fits, Reason::BelowCapacity) }
    }

    #[test]
    fn the_policy_decides_what_host_memory_does() {
        for (host_memory, mode, denied, warnings) in [
            (HostMemory::Audit, Mode::Enforce, None, 0),
            (HostMemory::Warn, Mode::Enforce, None, 2),
            (HostMemory::Warn, Mode::Audit, None, 0),
            (HostMemory::Enforce, Mode::Enforce, Some(Fault::Host), 0),
            (HostMemory::Enforce, Mode::Warn, None, 2),
        ] {
            let judgement = out_of_host_memory(host_memory);
            let decided = decided(&judgement, mode);
            let case = format!("{host_memory:?} in {mode:?}: {decided:?}");
            assert_eq!((decided.denied, decided.warnings.len()), (denied, warnings), "{case}");
            let message = "needs 620.0 GiB of host memory a pod (at least 540.0 GiB), 400.0 GiB are allowed";
            assert_eq!(decided.notes["host-memory"], message, "{case}");
            let would_deny = host_memory == HostMemory::Enforce && denied.is_none();
            assert_eq!(decided.notes.contains_key("would-deny"), would_deny, "{case}");
        }
    }

    #[test]
    fn a_warning_is_not_repeated() {
        let mut judgement = judgement_of(Verdict::Tight, Reason::NearCapacity);
        judgement.warnings = vec!["needs 96.4 GiB per GPU".into(), "the arguments say 4".into()];
        let decided = decided(&judgement, Mode::Warn);
        assert_eq!(decided.warnings, ["job/a needs 96.4 GiB per GPU", "the arguments say 4"]);
    }
}
