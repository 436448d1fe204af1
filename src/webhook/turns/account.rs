//! The used time of a tenant or a peer, and what its next work will cost by its latest work.

use std::collections::VecDeque;
use std::ops::Deref;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Size, Turn};

/// Judging that takes this long is expensive. An ordinary object takes under 1 ms, the slowest script about 75 ms.
const EXPENSIVE: Duration = Duration::from_millis(20);
/// Expensive work takes at least this many times the time of the cheapest namespace.
const FACTOR: u32 = 4;
/// A review of up to this many bytes is small: any content is judged in less than [`EXPENSIVE`].
pub(super) const SMALL: usize = 8 << 10;
/// Judging that takes less is quick. An ordinary object takes a tenth of it.
const QUICK: Duration = Duration::from_millis(2);
/// A review of more bytes is not quick, even if all earlier ones were.
const LONG: usize = 32 << 10;
/// How long a namespace is not quick after a review that was not.
pub(super) const NOT_QUICK: Duration = Duration::from_secs(2);
/// How long the used time of a tenant is remembered.
pub(super) const REMEMBERED: Duration = Duration::from_secs(10);

/// The used time and the queue of a peer or a tenant.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) used: Duration,
    /// The mean of the latest times.
    pub(super) mean: Option<Duration>,
    /// When judging was last not quick.
    not_quick: Option<Instant>,
    pub(super) running: usize,
    pub(super) seen: Instant,
    pub(super) waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) number: u64,
    pub(super) size: Size,
    pub(super) start: oneshot::Sender<Turn>,
}

/// The cost of judging, estimated from the latest times of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Price {
    Cheap,
    Expensive,
    Unknown,
}

impl Account {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            used: Duration::ZERO,
            mean: None,
            not_quick: None,
            running: 0,
            seen: now,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    /// The tenant returns. Its old time no longer counts, and it starts at the least time of the active ones.
    pub(super) fn resume(&mut self, now: Instant, least_used: Duration) {
        if self.is_idle() {
            if now - self.seen > REMEMBERED {
                (self.used, self.mean) = (Duration::ZERO, None);
            }
            self.used = self.used.max(least_used);
        }
        self.seen = now;
    }

    pub(super) fn start(&mut self, charged: Duration) {
        self.running += 1;
        self.used += charged;
    }

    pub(super) fn settle(&mut self, charged: Duration, took: Duration) {
        self.running = self.running.saturating_sub(1);
        self.used = (self.used + took).saturating_sub(charged);
        self.seen = Instant::now();
    }

    /// Learns from the time that work took. Zero if it was not done.
    pub(super) fn learn(&mut self, took: Duration) {
        if !took.is_zero() {
            self.mean = Some(self.mean.map_or(took, |mean| (mean * 3 + took) / 4));
        }
        if took >= QUICK {
            self.not_quick = Some(Instant::now());
        }
    }

    /// Whether its work was quick lately, and the next is not long.
    pub(super) fn is_quick(&self, size: Size, now: Instant) -> bool {
        size.bytes <= LONG && self.mean.is_some() && self.not_quick.is_none_or(|at| now - at > NOT_QUICK)
    }

    pub(super) fn price(&self, size: Size, cheapest: &impl Deref<Target = Duration>) -> Price {
        match self.mean {
            Some(mean) if mean >= EXPENSIVE && mean >= **cheapest * FACTOR => Price::Expensive,
            None if size.bytes > SMALL => Price::Unknown,
            _ => Price::Cheap,
        }
    }
}
