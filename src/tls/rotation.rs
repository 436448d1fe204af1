//! When the next CA follows: a rule over the Secret's data and the time, equal for all replicas.
//!
//! ```text
//!            born            2/3 of its life        + overlap        + overlap + a leaf's life, twice
//! signs       A ───────────────────────────────────── B ─────────────────────────────────────────► B
//! trusted     A ───────────── A and B ──────────────── B and A ────────── B ───────────────────────► B
//! ```
//!
//! 1. **Publish.** When a third of its life is left, the next CA is created and trusted. It does not sign yet.
//! 2. **Use.** When it has been trusted for the overlap, it signs. Every replica has published it many times by then.
//! 3. **Forget.** When no leaf of the old CA can still be valid, the old CA is no longer trusted.
//!
//! A CA that is not valid yet was made with a clock ahead. No apiserver trusts it, so it is **replaced** at once.
//!
//! Each step follows from the certificates' own dates, so there is no other state. If a replica misses a step, the
//! next pass takes it. Time is the wall clock's.

use time::{Duration, OffsetDateTime};

/// The lifetimes of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of a CA.
    pub authority: Duration,
    /// Of a replica's own certificate.
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
    /// The end of its validity.
    pub(super) not_after: OffsetDateTime,
}

/// A step of the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Create the next CA, and let it be trusted.
    Publish,
    /// Let the next CA sign.
    Use,
    /// Trust only the CA that signs.
    Forget,
    /// Create a CA that signs at once, since the present one is not valid yet.
    Replace,
}

/// The next step, and when it is due.
///
/// `others` says whether CAs are trusted besides the one that signs and the next one.
pub(super) fn next(
    current: Dates,
    following: Option<Dates>,
    others: bool,
    lifetimes: &Lifetimes,
) -> (Step, OffsetDateTime) {
    if let Some(following) = following {
        // Earlier than planned if the present CA ends before the overlap does.
        return (Step::Use, (following.born + lifetimes.overlap).min(current.not_after));
    }
    let publish = current.not_after - (current.not_after - current.born) / 3;
    // By its dates, it has signed since its overlap ended. A slow replica has the same time again.
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
    fn a_ca_is_published_then_used_then_the_old_one_forgotten() {
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
    fn a_missed_step_is_taken_later() {
        // Long after its end: the step was due in the past.
        let (step, due) = next(born(0), None, true, &LIFETIMES);
        assert!(step == Step::Forget && due < at(1000));
        let late = Some(born(299));
        assert!(
            next(born(0), late, false, &LIFETIMES).1 <= at(300),
            "the next one signs before the old one ends"
        );
    }

    #[test]
    fn with_short_lives_a_ca_that_signs_is_never_forgotten() {
        let lifetimes = Lifetimes { leaf: Duration::days(299), ..LIFETIMES };
        assert_eq!(next(born(0), None, true, &lifetimes).0, Step::Publish);
    }
}
