//! When a CA is followed by the next one: a rule over the Secret's data and the time, the same for every replica.
//!
//! ```text
//!            born            2/3 of its life        + overlap        + overlap + a leaf's life, twice
//! signs       A ───────────────────────────────────── B ─────────────────────────────────────────► B
//! trusted     A ───────────── A and B ──────────────── B and A ────────── B ───────────────────────► B
//! ```
//!
//! 1. **Publish.** When a third of its life is left, the next CA is made and trusted; nothing is signed by it yet.
//! 2. **Use.** When it has been trusted for the overlap, in which every replica has published it many times, it signs.
//! 3. **Forget.** When no leaf of the CA before can be alive, that one is no longer trusted.
//!
//! A CA that is not good yet was made while a clock was ahead. No apiserver trusts it, so it is **replaced** at once.
//!
//! Each step is decided from the certificates' own dates, so that nothing has to be remembered, and a step that a
//! replica missed is made up for by the next. Time is the wall clock's.

use time::{Duration, OffsetDateTime};

/// For how long things are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A CA.
    pub authority: Duration,
    /// A replica's own certificate.
    pub leaf: Duration,
    /// How long a CA is trusted before it signs.
    pub overlap: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { authority: Duration::days(365), leaf: Duration::days(7), overlap: Duration::hours(1) }
    }
}

/// A CA in the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dates {
    /// When it was made.
    pub(super) born: OffsetDateTime,
    /// The last moment at which it is good.
    pub(super) not_after: OffsetDateTime,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make the next CA, and have it trusted.
    Publish,
    /// Let the next CA sign.
    Use,
    /// Trust nothing but the CA that signs.
    Forget,
    /// Make a CA that signs at once, since the one that is there is not good yet.
    Replace,
}

/// The next step, and when it is due.
///
/// `others` says whether anything else is trusted than the CA that signs and the next one.
pub(super) fn next(
    current: Dates,
    following: Option<Dates>,
    others: bool,
    lifetimes: &Lifetimes,
) -> (Step, OffsetDateTime) {
    if let Some(following) = following {
        // Earlier than planned where the CA at hand ends before the overlap does.
        return (Step::Use, (following.born + lifetimes.overlap).min(current.not_after));
    }
    let publish = current.not_after - (current.not_after - current.born) / 3;
    // It signs since its overlap, as far as its dates tell; a replica that was slow has as long again.
    let forget = current.born + (lifetimes.overlap + lifetimes.leaf) * 2;
    if others && forget < publish { (Step::Forget, forget) } else { (Step::Publish, publish) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes =
        Lifetimes { authority: Duration::days(300), leaf: Duration::days(7), overlap: Duration::hours(1) };

    fn at(days: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::days(days)
    }

    fn born(days: i64) -> Dates {
        Dates { born: at(days), not_after: at(days + 300) }
    }

    #[test]
    fn a_ca_is_published_used_and_the_one_before_forgotten() {
        assert_eq!(next(born(0), None, false, &LIFETIMES), (Step::Publish, at(200)));
        let following = Some(born(200));
        let used = at(200) + Duration::hours(1);
        assert_eq!(next(born(0), following, false, &LIFETIMES), (Step::Use, used));
        let forgotten = at(214) + Duration::hours(2);
        assert_eq!(next(born(200), None, true, &LIFETIMES), (Step::Forget, forgotten));
        assert!(forgotten > used + LIFETIMES.leaf, "a leaf signed just before lives until then");
        assert_eq!(next(born(200), None, false, &LIFETIMES), (Step::Publish, at(400)));
    }

    #[test]
    fn what_was_slept_through_is_made_up_for() {
        // Long after its end: whatever is due is due in the past.
        let (step, due) = next(born(0), None, true, &LIFETIMES);
        assert!(step == Step::Forget && due < at(1000));
        let late = Some(born(299));
        assert!(
            next(born(0), late, false, &LIFETIMES).1 <= at(300),
            "the next one signs before the old one ends"
        );
    }

    #[test]
    fn short_lives_never_forget_what_still_signs() {
        let lifetimes = Lifetimes { leaf: Duration::days(299), ..LIFETIMES };
        assert_eq!(next(born(0), None, true, &lifetimes).0, Step::Publish);
    }
}
