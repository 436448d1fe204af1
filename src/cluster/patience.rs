//! The pauses between the attempts of a watch that fails: longer each time, up to half a minute.
//!
//! A watch begins each attempt by saying that it begins, which kube's own pauses take for a success and start anew. A
//! permission that is missing would then be asked for every second, for ever. These grow until nothing has failed for
//! two minutes.

use std::time::Duration;

use kube::runtime::{utils::Backoff, watcher::DefaultBackoff};

/// For [`backoff`](kube::runtime::WatchStreamExt::backoff).
#[derive(Default)]
pub struct Patience(DefaultBackoff);

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

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
}
