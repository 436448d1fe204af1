//! The pauses between the attempts of a watch that fails: longer each time, up to half a minute.
//!
//! While the apiserver cannot be reached at all, they are at most five seconds: an attempt costs it nothing, and
//! estimates wait for it.
//!
//! They begin anew after a list that succeeded, and only then. A permission that is missing would otherwise be asked for
//! every second, for ever, since each attempt begins well.

use std::time::Duration;

use kube::runtime::{utils::Backoff, watcher::DefaultBackoff};

/// The longest pause while the apiserver cannot be reached, without up to a second that spreads the attempts.
const AWAY: Duration = Duration::from_secs(4);

/// The pauses, one after the other.
#[derive(Default)]
pub(crate) struct Patience(DefaultBackoff);

impl Patience {
    /// The next pause is the shortest again.
    pub(crate) fn begin_anew(&mut self) {
        self.0.reset();
    }

    /// The next pause while the apiserver cannot be reached.
    pub(crate) fn next_while_away(&mut self) -> Duration {
        let pause = self.0.next().unwrap_or(AWAY);
        if pause < AWAY { pause } else { AWAY + Duration::from_millis(pause.subsec_millis().into()) }
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

/// For kube's own watches, which ask for shorter pauses whenever an attempt begins.
impl Backoff for Patience {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_though_each_attempt_begins_well() {
        let mut patience = Patience::default();
        let pauses: Vec<Duration> = std::iter::from_fn(|| {
            patience.reset();
            patience.next()
        })
        .take(8)
        .collect();
        assert!(pauses[0] < Duration::from_secs(2), "{pauses:?}");
        assert!(pauses[7] > Duration::from_secs(20), "{pauses:?}");
    }

    #[test]
    fn the_pauses_stay_short_and_differ_while_the_apiserver_is_away() {
        let pauses = || {
            let mut patience = Patience::default();
            (0..20).map(|_| patience.next_while_away()).collect::<Vec<_>>()
        };
        let (one, other) = (pauses(), pauses());
        assert!(one.iter().all(|pause| *pause < Duration::from_secs(5)), "{one:?}");
        assert_ne!(one[10..], other[10..]);
    }

    #[test]
    fn the_pauses_begin_anew_when_told_so() {
        let mut patience = Patience::default();
        let last = patience.by_ref().take(8).last().unwrap();
        patience.begin_anew();
        let first = patience.next().unwrap();
        assert!(last > Duration::from_secs(20) && first < Duration::from_secs(2), "{last:?}, {first:?}");
    }
}
