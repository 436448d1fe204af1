//! The request bodies that a replica holds, within one budget of bytes.
//!
//! Each body is charged as it arrives, before its bytes are kept. No body waits for the budget. When it is spent,
//! bodies are dropped in this order:
//!
//! 1. the oldest of those that have not arrived within [`SLOW`],
//! 2. of the peer that holds the most: its largest body over [`LIGHT`] bytes,
//! 3. of that peer, a small body that is still arriving, and then any.
//!
//! So a flood of large or slow bodies harms only its senders. An ordinary review is small and arrives at once, so it
//! always has room. The [head](HEAD) of a dropped body stays, so that its sender gets an answer with the review's
//! uid. A body that is being judged is [taken](Body::take): it is charged, and can no longer be dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::HttpBody as _;
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::activity::WholeRequest;
use super::buffer::Buffer;
use super::metrics::Metrics;
use super::peer::{Caller, Peer};

/// The part that stays of a dropped body. A review's uid, kind and namespace are in its first thousand bytes.
const HEAD: usize = 4 << 10;
/// The cost of a request without its body.
const OVERHEAD: usize = 8 << 10;
/// The largest small body.
const LIGHT: usize = 64 << 10;
/// A body that takes longer is dropped before others.
const SLOW: Duration = Duration::from_secs(1);
/// The most bytes that are read of a dropped body.
const MOST_THROWN_AWAY: usize = 64 << 20;

/// The budget, and the bodies charged to it.
#[derive(Clone, Debug)]
pub struct Bodies(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    budget: usize,
    held: Mutex<Held>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    bytes: usize,
    entries: BTreeMap<u64, Entry>,
}

/// A body that is held.
#[derive(Debug)]
struct Entry {
    peer: Peer,
    since: Instant,
    whole: bool,
    bytes: Buffer,
    /// Its charge: the room of its bytes, and the overhead.
    charge: usize,
    /// Gets the head when the body is dropped.
    dropped: oneshot::Sender<Vec<u8>>,
}

/// Why a body is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is larger than the limit.
    TooLarge,
    /// The budget is spent.
    NoRoom,
    /// It did not arrive in time.
    Late,
}

/// The end of reading a body.
#[derive(Debug)]
pub enum Came {
    /// It has arrived.
    Whole(Body),
    /// It was dropped, and this is its head.
    Head(Vec<u8>, Dropped),
    /// The sender gave up.
    Broken,
}

/// A body that is held until this is dropped.
#[derive(Debug)]
pub struct Body {
    place: Place,
    /// The first bytes.
    head: Vec<u8>,
    length: usize,
    _whole: WholeRequest,
}

/// A body that is charged and can no longer be dropped.
#[derive(Debug)]
pub struct Taken {
    bytes: Buffer,
    shared: Arc<Shared>,
    charge: usize,
}

/// A body's place among the others.
#[derive(Debug)]
struct Place {
    number: u64,
    shared: Arc<Shared>,
    head: oneshot::Receiver<Vec<u8>>,
}

impl Bodies {
    /// An empty table with this budget.
    pub fn new(budget: usize, metrics: Metrics) -> Self {
        Self(Arc::new(Shared { budget, held: Mutex::default(), metrics }))
    }

    /// Reads a body of at most so many bytes, until the deadline.
    pub async fn read(
        &self,
        caller: &Caller,
        body: axum::body::Body,
        largest: usize,
        until: Instant,
    ) -> Came {
        let mut coming =
            Coming { bodies: self, largest, head: Vec::new(), why: None, place: self.place(caller.peer) };
        let read = timeout_at(until, coming.read(body)).await;
        if read.is_err() && coming.why.is_none() {
            coming.discard(Dropped::Late);
        }
        match (read, coming.why) {
            (Ok(Err(Broken)), _) => Came::Broken,
            (_, Some(why)) => Came::Head(coming.head, why),
            (_, None) => match coming.place.whole(caller) {
                Ok(body) => Came::Whole(body),
                Err(head) => Came::Head(head, Dropped::NoRoom),
            },
        }
    }

    fn place(&self, peer: Peer) -> Place {
        let (dropped, head) = oneshot::channel();
        let mut held = self.0.held();
        let number = held.next;
        held.next += 1;
        let (since, bytes) = (Instant::now(), Buffer::new());
        let entry = Entry { peer, since, whole: false, bytes, charge: OVERHEAD, dropped };
        held.bytes += OVERHEAD;
        held.entries.insert(number, entry);
        held.make_room(&self.0);
        Place { number, shared: self.0.clone(), head }
    }
}

/// The sender gave up.
struct Broken;

/// A body that is arriving.
struct Coming<'a> {
    bodies: &'a Bodies,
    largest: usize,
    /// The head of a dropped body, and why it was dropped.
    head: Vec<u8>,
    why: Option<Dropped>,
    place: Place,
}

impl Coming<'_> {
    /// Reads to the end. The rest of a dropped body is read and discarded, since a sender reads no answer before it
    /// has sent all.
    async fn read(&mut self, mut body: axum::body::Body) -> Result<(), Broken> {
        let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let mut length = 0_usize;
        if declared > self.largest {
            self.discard(Dropped::TooLarge);
        }
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                head = &mut self.place.head, if self.why.is_none() => {
                    self.why = Some(Dropped::NoRoom);
                    self.head = head.unwrap_or_default();
                    if self.head.len() < HEAD {
                        // So little has arrived that the sender is slow. It is not waited for.
                        return Ok(());
                    }
                    continue;
                }
            };
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|_| Broken)?.into_data() else { continue };
            length = length.saturating_add(data.len());
            if length > MOST_THROWN_AWAY {
                return Err(Broken);
            }
            if length > self.largest && self.why.is_none() {
                self.discard(Dropped::TooLarge);
            }
            if self.why.is_none() {
                self.place.append(&data, declared, self.largest);
            } else {
                let missing = HEAD.saturating_sub(self.head.len()).min(data.len());
                self.head.extend(data.iter().take(missing));
            }
        }
        Ok(())
    }

    fn discard(&mut self, why: Dropped) {
        self.bodies.0.metrics.dropped_body(match why {
            Dropped::TooLarge => "too-large",
            Dropped::NoRoom => "no-room",
            Dropped::Late => "late",
        });
        self.why = Some(why);
        self.head = self.place.shared.held().discard(self.place.number);
    }
}

impl Place {
    /// Keeps more of the body, and makes room for it first.
    fn append(&mut self, data: &[u8], declared: usize, largest: usize) {
        let mut held = self.shared.held();
        let Some(entry) = held.entries.get_mut(&self.number) else { return };
        let length = entry.bytes.bytes().len() + data.len();
        let more = (OVERHEAD + entry.bytes.taking(length, declared)).saturating_sub(entry.charge);
        // Charged first, so that there is room when the bytes are kept.
        entry.charge += more;
        held.bytes += more;
        held.make_room(&self.shared);
        let Some(entry) = held.entries.get_mut(&self.number) else { return };
        if entry.bytes.append(data, declared, largest).is_err() {
            // The system has no memory left.
            held.drop_for_room(self.number, &self.shared);
        }
    }

    /// The body has arrived. If it was dropped, its head.
    fn whole(mut self, caller: &Caller) -> Result<Body, Vec<u8>> {
        let mut held = self.shared.held();
        let Some(entry) = held.entries.get_mut(&self.number) else {
            drop(held);
            return Err(self.head.try_recv().unwrap_or_default());
        };
        entry.whole = true;
        let head = entry.bytes.head(HEAD);
        let length = entry.bytes.bytes().len();
        drop(held);
        Ok(Body { place: self, head, length, _whole: caller.activity.whole() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.held().discard(self.number);
        self.shared.metrics.holds(self.shared.held().bytes);
    }
}

impl Body {
    /// The first bytes.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The number of bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The whole body. None if it was dropped in the meantime.
    pub fn take(self) -> Option<Taken> {
        let shared = self.place.shared.clone();
        let mut held = shared.held();
        let entry = held.entries.remove(&self.place.number)?;
        drop(held);
        // The charge moves with it.
        Some(Taken { bytes: entry.bytes, shared, charge: entry.charge })
    }
}

impl Taken {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.bytes = Buffer::new();
        let mut held = self.shared.held();
        held.bytes = held.bytes.saturating_sub(self.charge);
        self.shared.metrics.holds(held.bytes);
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Drops bodies until the rest is within the budget.
    fn make_room(&mut self, shared: &Shared) {
        while self.bytes > shared.budget {
            let Some(number) = self.dispensable(Instant::now()) else { break };
            self.drop_for_room(number, shared);
        }
        shared.metrics.holds(self.bytes);
    }

    fn drop_for_room(&mut self, number: u64, shared: &Shared) {
        let Some(entry) = self.remove(number) else { return };
        shared.metrics.dropped_body("no-room");
        // Its reader may have ended.
        let _ = entry.dropped.send(entry.bytes.head(HEAD));
    }

    /// The body to drop first.
    fn dispensable(&self, now: Instant) -> Option<u64> {
        let slow = self.entries.iter().filter(|(_, entry)| !entry.whole && now - entry.since > SLOW);
        if let Some((number, _)) = slow.min_by_key(|(_, entry)| entry.since) {
            return Some(*number);
        }
        let mut of_peers: BTreeMap<Peer, usize> = BTreeMap::new();
        for entry in self.entries.values() {
            *of_peers.entry(entry.peer).or_default() += entry.charge;
        }
        let (fullest, _) = of_peers.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        let its = self.entries.iter().filter(|(_, entry)| entry.peer == fullest);
        let rank = |entry: &Entry| {
            let bytes = entry.charge;
            (if bytes > LIGHT { bytes } else { 0 }, !entry.whole, bytes)
        };
        its.max_by_key(|(_, entry)| rank(entry)).map(|(number, _)| *number)
    }

    /// The body, no longer charged.
    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.bytes = self.bytes.saturating_sub(entry.charge);
        Some(entry)
    }

    /// The head of a body that is no longer held.
    fn discard(&mut self, number: u64) -> Vec<u8> {
        self.remove(number).map(|entry| entry.bytes.head(HEAD)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Bytes;
    use futures::{FutureExt as _, StreamExt as _, stream};

    use super::*;

    const MIB: usize = 1 << 20;

    fn bodies(budget: usize) -> Bodies {
        Bodies::new(budget, Metrics::default())
    }

    fn caller(address: &str) -> Caller {
        Caller::at(address.parse().unwrap())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    /// A body that arrives at once.
    fn of(bytes: usize) -> axum::body::Body {
        axum::body::Body::from(vec![b'a'; bytes])
    }

    /// A body that stops after its first bytes.
    fn stuck(bytes: usize) -> axum::body::Body {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b'a'; bytes]))]);
        axum::body::Body::from_stream(first.chain(stream::pending()))
    }

    async fn whole(bodies: &Bodies, caller: &Caller, bytes: usize) -> Body {
        match bodies.read(caller, of(bytes), 64 * MIB, soon()).await {
            Came::Whole(body) => body,
            other => panic!("{other:?}"),
        }
    }

    fn held(bodies: &Bodies) -> usize {
        bodies.0.held().bytes
    }

    #[tokio::test]
    async fn a_held_body_is_charged_until_it_is_dropped() {
        let bodies = bodies(8 * MIB);
        let body = whole(&bodies, &Caller::default(), MIB).await;
        assert_eq!((body.length(), body.head().len()), (MIB, HEAD));
        assert!(held(&bodies) > MIB);
        let taken = body.take().unwrap();
        assert!(held(&bodies) > MIB);
        assert_eq!(taken.bytes().len(), MIB);
        drop(taken);
        assert_eq!(held(&bodies), 0);
        drop(whole(&bodies, &Caller::default(), MIB).await);
        assert_eq!(held(&bodies), 0);
    }

    #[tokio::test]
    async fn the_largest_body_of_the_fullest_peer_makes_room() {
        let bodies = bodies(12 * MIB);
        let (one, other) = (caller("10.0.0.1"), caller("10.0.0.2"));
        let kept = whole(&bodies, &other, 3 * MIB).await;
        let small = whole(&bodies, &one, 6 << 10).await;
        let large = whole(&bodies, &one, 2 * MIB).await;
        let largest = whole(&bodies, &one, 5 * MIB / 2).await;
        let next = whole(&bodies, &other, 2 * MIB).await;
        assert!(largest.take().is_none());
        for body in [kept, small, large, next] {
            assert!(body.take().is_some());
        }
    }

    #[tokio::test]
    async fn a_flood_of_large_bodies_drops_no_small_one() {
        let bodies = bodies(9 * MIB);
        let caller = Caller::default();
        let small = whole(&bodies, &caller, 20 << 10).await;
        let flood = (0..50).map(|_| bodies.read(&caller, of(3 * MIB), 64 * MIB, soon()));
        let flood = futures::future::join_all(flood).await;
        let dropped = flood.iter().filter(|came| matches!(came, Came::Head(..))).count();
        assert!(held(&bodies) <= 9 * MIB);
        assert!(small.take().is_some());
        // The first ones may have been dropped after they had arrived.
        let kept = flood.into_iter().filter_map(|came| match came {
            Came::Whole(body) => body.take(),
            _ => None,
        });
        assert_eq!(kept.count(), 2, "{dropped} were dropped on their way");
        assert_eq!(held(&bodies), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_dropped_before_any_other() {
        let bodies = bodies(8 * MIB);
        let (one, other) = (caller("10.0.0.1"), caller("10.0.0.2"));
        let mut slow = Box::pin(bodies.read(&one, stuck(2 * MIB), 64 * MIB, soon()));
        assert!((&mut slow).now_or_never().is_none());
        tokio::time::advance(SLOW * 2).await;
        let large = whole(&bodies, &other, 5 * MIB).await;
        let _next = whole(&bodies, &other, MIB).await;
        assert!(large.take().is_some());
        // The rest is read, and the head is kept.
        assert!((&mut slow).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_in_time_gives_its_bytes_back() {
        let bodies = bodies(8 * MIB);
        let until = Instant::now() + Duration::from_secs(2);
        let came = bodies.read(&Caller::default(), stuck(2 * MIB), 64 * MIB, until).await;
        let Came::Head(head, Dropped::Late) = came else { panic!("{came:?}") };
        assert_eq!(head.len(), HEAD);
        assert_eq!(held(&bodies), 0);
    }

    #[tokio::test]
    async fn the_head_of_a_body_that_is_too_large_is_kept() {
        let bodies = bodies(8 * MIB);
        let undeclared = stream::iter((0..4).map(|_| Ok::<_, Infallible>(Bytes::from(vec![b'a'; MIB]))));
        for body in [of(4 * MIB), axum::body::Body::from_stream(undeclared)] {
            let came = bodies.read(&Caller::default(), body, 2 * MIB, soon()).await;
            let Came::Head(head, Dropped::TooLarge) = came else { panic!("{came:?}") };
            assert_eq!(head.len(), HEAD);
            assert_eq!(held(&bodies), 0);
        }
    }

    #[tokio::test]
    async fn a_request_without_a_body_is_charged_too() {
        let bodies = bodies(8 * MIB);
        let body = whole(&bodies, &Caller::default(), 0).await;
        assert_eq!(held(&bodies), OVERHEAD);
        drop(body);
        assert_eq!(held(&bodies), 0);
    }
}
