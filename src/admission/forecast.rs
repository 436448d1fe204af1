//! What the gate would do with a new object: for `check`, which has the object and the policy, but no request.
//!
//! A request also has a user, and an update has an old object. Here there is none: no override counts, and no ratchet.

use super::decide::{self, Case, Fault};
use super::overrides::Override;
use crate::judgement::Judgement;
use crate::policy::{Mode, Unknown, Unrecognised};

/// What the gate would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// It admits the object without a word.
    Admitted,
    /// It admits the object with a warning.
    Warned,
    /// It admits the object, and the audit log has a note.
    Audited,
    /// It refuses the object.
    Refused,
    /// It refuses the object, because a value in it cannot be read.
    Invalid,
    /// It does not judge the object.
    NotJudged,
}

impl Forecast {
    /// What the gate would do with the object of a judgement, in a namespace of this mode.
    pub fn of(judgement: &Judgement, mode: Mode, unknown: Unknown, unrecognised: Unrecognised) -> Self {
        if mode == Mode::Off {
            return Self::NotJudged;
        }
        let decided = decide::decide(&Case {
            subject: "",
            judgement,
            mode,
            unknown,
            unrecognised,
            override_given: Override::None,
            ratchet: None,
        });
        match decided.denied {
            Some(Fault::Malformed) => Self::Invalid,
            Some(Fault::OutOfMemory | Fault::Host | Fault::Unknown) => Self::Refused,
            None if decided.notes.contains_key("would-deny") && decided.warnings.is_empty() => Self::Audited,
            None if decided.warnings.is_empty() => Self::Admitted,
            None => Self::Warned,
        }
    }

    /// The word of the column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Warned => "warned",
            Self::Audited => "audited",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::NotJudged => "not-judged",
        }
    }

    /// The word in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Admitted => "The gate admits it.",
            Self::Warned => "The gate admits it with a warning.",
            Self::Audited => "The gate admits it, and notes in the audit log that it would be refused.",
            Self::Refused => "The gate refuses it.",
            Self::Invalid => "The gate refuses it as invalid.",
            Self::NotJudged => "The gate does not judge it.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::InputError;
    use crate::judgement::{Reason, Verdict};

    #[test]
    fn the_gate_does_what_mode_and_verdict_say() {
        let of = |verdict| Judgement {
            message: "needs 97.4 GiB".to_owned(),
            ..Judgement::without_figures(verdict, Reason::AboveCapacity)
        };
        let unknown = Unknown::Warn;
        for (verdict, mode, expected) in [
            (Verdict::Fits, Mode::Enforce, Forecast::Admitted),
            (Verdict::Tight, Mode::Enforce, Forecast::Warned),
            (Verdict::Unknown, Mode::Enforce, Forecast::Warned),
            (Verdict::OutOfMemory, Mode::Enforce, Forecast::Refused),
            (Verdict::OutOfMemory, Mode::Warn, Forecast::Warned),
            (Verdict::OutOfMemory, Mode::Audit, Forecast::Audited),
            (Verdict::OutOfMemory, Mode::Off, Forecast::NotJudged),
        ] {
            let forecast = Forecast::of(&of(verdict), mode, unknown, Unrecognised::Admit);
            assert_eq!(forecast, expected, "{verdict:?} {mode:?}");
        }
        let invalid = Judgement {
            errors: vec![InputError { field: "f".into(), message: "m".into() }],
            ..of(Verdict::Unknown)
        };
        let invalid = Forecast::of(&invalid, Mode::Enforce, unknown, Unrecognised::Admit);
        assert_eq!(invalid, Forecast::Invalid);
        let unknown = Forecast::of(&of(Verdict::Unknown), Mode::Enforce, Unknown::Deny, Unrecognised::Admit);
        assert_eq!(unknown, Forecast::Refused);
        let aside = Judgement::aside(crate::job::Cause::UnknownProgram, Some(8));
        let warned = Forecast::of(&aside, Mode::Enforce, Unknown::Warn, Unrecognised::Warn);
        assert_eq!(warned, Forecast::Warned);
    }
}
