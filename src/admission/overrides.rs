//! Who may override a refusal, and when that counts.
//!
//! The annotation `weighbridge.dev/override` turns a refusal into an audited warning, if
//!
//! - it gives a reason,
//! - the policy names the user or one of their groups (by default nobody), and
//! - it was there from the beginning: an UPDATE that adds it, or gives another reason, adds nothing.

use crate::judgement::Judgement;

/// What a request makes of a reason to override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Override {
    /// None is given.
    None,
    /// It counts.
    Granted(String),
    /// It is given and doesn't count, for this reason.
    Refused(&'static str),
}

/// Whether the reason counts. `old` is the object before an UPDATE, as it was judged.
pub fn of(new: &Judgement, old: Option<&Judgement>, allowed: bool) -> Override {
    let Some(given) = &new.override_reason else { return Override::None };
    let reason = given.trim();
    if reason.is_empty() {
        Override::Refused("weighbridge.dev/override needs a reason")
    } else if !allowed {
        Override::Refused("weighbridge.dev/override does not count for you: the policy doesn't name you")
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
    fn a_reason_of_who_may_counts_from_the_beginning() {
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
