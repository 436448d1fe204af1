//! When an override of a refusal counts.
//!
//! The annotation `weighbridge.dev/override` turns a refusal into an audited warning, if
//!
//! - it gives a reason,
//! - the policy names the user or one of their groups (by default it names none), and
//! - the object had it from the beginning: an UPDATE cannot add it or change its reason.

use crate::judgement::Judgement;

/// The override of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Override {
    /// The object has none.
    None,
    /// It counts.
    Granted(String),
    /// It does not count, for this reason.
    Refused(&'static str),
}

/// The override of a request. `old` is the judgement of the object before an UPDATE.
pub fn of(new: &Judgement, old: Option<&Judgement>, allowed: bool) -> Override {
    let Some(given) = &new.override_reason else { return Override::None };
    let reason = given.trim();
    if reason.is_empty() {
        Override::Refused("weighbridge.dev/override needs a reason")
    } else if !allowed {
        Override::Refused("weighbridge.dev/override does not count: the policy does not name you")
    } else if old.is_some_and(|old| old.override_reason.as_deref().map(str::trim) != Some(reason)) {
        Override::Refused("weighbridge.dev/override does not count when an update adds it")
    } else {
        Override::Granted(crate::admission::message::one_line(reason, 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::judgement;

    fn with(reason: Option<&str>) -> Judgement {
        Judgement { override_reason: reason.map(str::to_owned), ..judgement() }
    }

    #[test]
    fn a_reason_counts_on_creation_if_the_policy_names_the_user() {
        assert_eq!(of(&with(None), None, true), Override::None);
        assert_eq!(of(&with(Some(" measured it ")), None, true), Override::Granted("measured it".into()));
        assert!(matches!(of(&with(Some("measured it")), None, false), Override::Refused(_)));
        assert!(matches!(of(&with(Some("  ")), None, true), Override::Refused(_)));
    }

    #[test]
    fn an_update_adds_no_override() {
        let (with_reason, without) = (with(Some("measured it")), with(None));
        assert!(matches!(of(&with_reason, Some(&without), true), Override::Refused(_)));
        assert!(matches!(of(&with_reason, Some(&with(Some("another"))), true), Override::Refused(_)));
        assert_eq!(of(&with_reason, Some(&with_reason), true), Override::Granted("measured it".into()));
    }
}
