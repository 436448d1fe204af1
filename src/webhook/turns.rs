//! Which review is judged next. Time is shared by peer and by namespace, not first come, first served.
//!
//! ```text
//! next = the peer that has used the least time ─► its namespace that has used the least time
//! ```
//!
//! A namespace's small reviews and its other reviews count as two tenants, so that an ordinary job does not wait for
//! a long script. Each tenant is charged the time that judging took, so expensive work costs more. A tenant that
//! returns starts at the least time of the active ones: it cannot save up time while it is away. The peer comes
//! before the namespace, because a caller can put any namespace into a review, but cannot choose its address.
//!
//! One more review is judged at a time than there are processors. Expensive work gets at most half of the processors,
//! on threads of [low priority](super::background). Unknown work gets one slot more, so that cheap work waits for
//! neither. Work is expensive if judging lately took [`EXPENSIVE`] or more in that namespace, and [much
//! longer](FACTOR) than in the cheapest. It is unknown if nothing was judged in that namespace lately and the review
//! is not small. One [large](LARGE) body is judged at a time, and the memory of all parsed objects is bounded.
//!
//! A review is rejected at once if its namespace has [`MAX_WAITING`] reviews in the queue. If the whole queue is
//! full, the last review of the longest queue is rejected.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::server::Peer;

/// Judging that takes this long is expensive. An ordinary object takes under 1 ms, the slowest script about 75 ms.
const EXPENSIVE: Duration = Duration::from_millis(20);
/// Expensive work takes at least this many times the time of the cheapest namespace.
const FACTOR: u32 = 4;
/// A review of up to this many bytes is small: any content is judged in less than [`EXPENSIVE`].
const SMALL: usize = 8 << 10;
/// A body of more bytes is large.
const LARGE: usize = 1 << 20;
/// The most reviews of one namespace that wait.
const MAX_WAITING: usize = 256;
/// The most reviews that wait in all.
const MAX_WAITING_IN_ALL: usize = 2_048;
/// The most tenants that are remembered.
const MAX_TENANTS: usize = 4_096;
/// How long the used time of a tenant is remembered.
const REMEMBERED: Duration = Duration::from_secs(10);
/// A parsed object takes at most this many times the bytes of its text, and at most [`LARGEST_OBJECT`] bytes.
const MEMORY_PER_BYTE: usize = 96;
const LARGEST_OBJECT: usize = 18 << 20;

/// Whose time the work uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tenant {
    peer: Peer,
    /// The namespace in the review, or empty.
    namespace: String,
    /// Small reviews have a share of their own, which larger ones of the same namespace cannot use up.
    small: bool,
}

impl Tenant {
    pub(super) fn new(peer: Peer, namespace: &str) -> Self {
        Self { peer, namespace: namespace.to_owned(), small: false }
    }
}

/// The size of the work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// The bytes of the review.
    pub(super) bytes: usize,
    /// How many parsed objects are held.
    pub(super) objects: usize,
}

impl Size {
    /// The most memory that its parsed objects take.
    fn memory(self) -> usize {
        self.bytes.saturating_mul(MEMORY_PER_BYTE).min(LARGEST_OBJECT).saturating_mul(self.objects)
    }
}

/// The queue.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: usize,
    expensive_slots: usize,
    memory: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: usize,
    running: Running,
    peers: BTreeMap<Peer, Account>,
    tenants: BTreeMap<Tenant, Account>,
}

/// The work in progress.
#[derive(Debug, Default)]
struct Running {
    all: usize,
    expensive: usize,
    unknown: usize,
    large: usize,
    memory: usize,
}

/// The used time and the queue of a peer or a tenant.
#[derive(Debug)]
struct Account {
    used: Duration,
    /// The mean of the latest times.
    mean: Option<Duration>,
    running: usize,
    seen: Instant,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    size: Size,
    start: oneshot::Sender<Turn>,
}

/// A turn to judge. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    tenant: Tenant,
    started: Instant,
    price: Price,
    size: Size,
    memory: usize,
    /// The time that the tenant was charged in advance.
    charged: Duration,
    ended: bool,
}

/// The cost of judging, estimated from the latest times of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Price {
    Cheap,
    Expensive,
    Unknown,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

impl Turns {
    /// A queue for a number of processors and a memory for parsed objects, in bytes.
    pub(super) fn new(processors: usize, memory: usize) -> Self {
        // On a large machine the memory is the limit, not the processors.
        let processors = processors.clamp(1, 16);
        Self(Arc::new(Shared {
            slots: processors + 1,
            expensive_slots: (processors / 2).max(1),
            memory,
            state: Mutex::default(),
        }))
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    pub(super) async fn turn(&self, tenant: Tenant, size: Size) -> Result<Turn, QueueFull> {
        let tenant = Tenant { small: size.bytes <= SMALL, ..tenant };
        let (start, turn) = oneshot::channel();
        let number = self.0.enqueue(&tenant, size, start)?;
        let _leave = Leave { shared: &self.0, tenant, number };
        turn.await.map_err(|_| QueueFull)
    }
}

/// Removes a review from the queue when its caller goes away.
struct Leave<'a> {
    shared: &'a Arc<Shared>,
    tenant: Tenant,
    number: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let Some(account) = state.tenants.get_mut(&self.tenant) else { return };
        let before = account.waiting.len();
        account.waiting.retain(|waiting| waiting.number != self.number);
        state.waiting -= before - account.waiting.len();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(
        self: &Arc<Self>,
        tenant: &Tenant,
        size: Size,
        start: oneshot::Sender<Turn>,
    ) -> Result<u64, QueueFull> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.admit(tenant);
        let account = state.tenants.get_mut(tenant).ok_or(QueueFull)?;
        if account.waiting.len() >= MAX_WAITING {
            return Err(QueueFull);
        }
        account.waiting.push_back(Waiting { number, size, start });
        state.waiting += 1;
        if state.waiting > MAX_WAITING_IN_ALL {
            state.reject_last();
        }
        self.dispatch(&mut state);
        Ok(number)
    }

    /// Starts all work that may start.
    fn dispatch(self: &Arc<Self>, state: &mut State) {
        while let Some((tenant, price)) = self.next(state) {
            let Some(account) = state.tenants.get_mut(&tenant) else { return };
            let Some(Waiting { size, start, .. }) = account.waiting.pop_front() else { return };
            state.waiting -= 1;
            let memory = self.memory_charge(size);
            let charged = account.mean.unwrap_or_default();
            state.running.all += 1;
            state.running.expensive += usize::from(price == Price::Expensive);
            state.running.unknown += usize::from(price == Price::Unknown);
            state.running.large += usize::from(size.bytes > LARGE);
            state.running.memory += memory;
            account.start(charged);
            if let Some(account) = state.peers.get_mut(&tenant.peer) {
                account.start(charged);
            }
            let (shared, started) = (self.clone(), Instant::now());
            let turn = Turn { shared, tenant, started, price, size, memory, charged, ended: false };
            // The caller went away meanwhile, so the turn ends.
            if let Err(mut turn) = start.send(turn) {
                turn.end(state, Duration::ZERO);
            }
        }
    }

    /// The tenant whose turn it is, and the cost of its work.
    fn next(&self, state: &State) -> Option<(Tenant, Price)> {
        if state.running.all >= self.slots {
            return None;
        }
        let cheapest = state.tenants.values().filter_map(|account| account.mean).min().unwrap_or_default();
        let startable = state.tenants.iter().filter_map(|(tenant, account)| {
            let price = account.price(account.waiting.front()?.size, cheapest);
            self.may_start(state, account, price).then_some((tenant, account, price))
        });
        let used = |peer: &Peer| state.peers.get(peer).map(|account| account.used).unwrap_or_default();
        startable
            .min_by_key(|(tenant, account, _)| (used(&tenant.peer), tenant.peer, account.used))
            .map(|(tenant, _, price)| (tenant.clone(), price))
    }

    fn may_start(&self, state: &State, account: &Account, price: Price) -> bool {
        let Some(Waiting { size, .. }) = account.waiting.front() else { return false };
        let running = &state.running;
        let uncertain = running.expensive + running.unknown <= self.expensive_slots;
        let affordable = match price {
            Price::Cheap => true,
            Price::Expensive => uncertain && running.expensive < self.expensive_slots,
            Price::Unknown => uncertain,
        };
        // One slot is always left for another tenant.
        account.running + 1 < self.slots
            && affordable
            && (size.bytes <= LARGE || running.large == 0)
            && running.memory + self.memory_charge(*size) <= self.memory
    }

    /// The memory that a review is charged. The largest leave half of the memory to others.
    fn memory_charge(&self, size: Size) -> usize {
        size.memory().min(self.memory / 2)
    }
}

impl State {
    /// Makes the accounts of a tenant that has none or was away.
    fn admit(&mut self, tenant: &Tenant) {
        let now = Instant::now();
        if self.tenants.len() >= MAX_TENANTS {
            self.remove_idle(now);
        }
        let busy = |account: &&Account| account.running > 0 || !account.waiting.is_empty();
        let least_used = |accounts: &mut dyn Iterator<Item = &Account>| {
            accounts.filter(busy).map(|account| account.used).min().unwrap_or_default()
        };
        let of_peers = least_used(&mut self.busy_peers());
        let of_same_peer = self.tenants.iter().filter(|(other, _)| other.peer == tenant.peer);
        let of_tenants = least_used(&mut of_same_peer.map(|(_, account)| account));
        self.peers.entry(tenant.peer).or_insert_with(|| Account::new(now)).resume(now, of_peers);
        self.tenants.entry(tenant.clone()).or_insert_with(|| Account::new(now)).resume(now, of_tenants);
    }

    /// The accounts of peers with waiting work.
    fn busy_peers(&self) -> impl Iterator<Item = &Account> {
        let waits = |peer: &Peer| {
            self.tenants.iter().any(|(tenant, account)| tenant.peer == *peer && !account.waiting.is_empty())
        };
        self.peers.iter().filter(move |(peer, _)| waits(peer)).map(|(_, account)| account)
    }

    /// Removes accounts that are idle for long. If there are too many, removes all idle ones.
    fn remove_idle(&mut self, now: Instant) {
        let idle = |account: &Account| account.running == 0 && account.waiting.is_empty();
        self.tenants.retain(|_, account| !idle(account) || now - account.seen < REMEMBERED);
        if self.tenants.len() >= MAX_TENANTS {
            self.tenants.retain(|_, account| !idle(account));
        }
        let kept: std::collections::BTreeSet<Peer> = self.tenants.keys().map(|tenant| tenant.peer).collect();
        self.peers.retain(|peer, _| kept.contains(peer));
    }

    /// Rejects the last review of the longest queue.
    fn reject_last(&mut self) {
        let longest = self.tenants.values_mut().max_by_key(|account| account.waiting.len());
        if longest.is_some_and(|account| account.waiting.pop_back().is_some()) {
            self.waiting -= 1;
        }
    }
}

impl Account {
    fn new(now: Instant) -> Self {
        Self { used: Duration::ZERO, mean: None, running: 0, seen: now, waiting: VecDeque::new() }
    }

    /// The tenant returns. Its old time no longer counts, and it starts at the least time of the active ones.
    fn resume(&mut self, now: Instant, least_used: Duration) {
        let idle = self.running == 0 && self.waiting.is_empty();
        if idle {
            if now - self.seen > REMEMBERED {
                (self.used, self.mean) = (Duration::ZERO, None);
            }
            self.used = self.used.max(least_used);
        }
        self.seen = now;
    }

    fn start(&mut self, charged: Duration) {
        self.running += 1;
        self.used += charged;
    }

    fn settle(&mut self, charged: Duration, took: Duration) {
        self.running = self.running.saturating_sub(1);
        self.used = (self.used + took).saturating_sub(charged);
        self.seen = Instant::now();
    }

    fn price(&self, size: Size, cheapest: Duration) -> Price {
        match self.mean {
            Some(mean) if mean >= EXPENSIVE && mean >= cheapest * FACTOR => Price::Expensive,
            None if size.bytes > SMALL => Price::Unknown,
            _ => Price::Cheap,
        }
    }
}

impl Turn {
    /// Whether its tenant's work has been expensive.
    pub(super) fn is_expensive(&self) -> bool {
        self.price == Price::Expensive
    }

    fn end(&mut self, state: &mut State, took: Duration) {
        self.ended = true;
        state.running.all -= 1;
        state.running.expensive -= usize::from(self.price == Price::Expensive);
        state.running.unknown -= usize::from(self.price == Price::Unknown);
        state.running.large -= usize::from(self.size.bytes > LARGE);
        state.running.memory -= self.memory;
        if let Some(account) = state.peers.get_mut(&self.tenant.peer) {
            account.settle(self.charged, took);
        }
        if let Some(account) = state.tenants.get_mut(&self.tenant) {
            account.settle(self.charged, took);
            if !took.is_zero() {
                account.mean = Some(account.mean.map_or(took, |mean| (mean * 3 + took) / 4));
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let shared = self.shared.clone();
        let mut state = shared.state();
        self.end(&mut state, self.started.elapsed());
        shared.dispatch(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const SIZE: Size = Size { bytes: 20 << 10, objects: 1 };
    const SMALL_SIZE: Size = Size { bytes: 2 << 10, objects: 1 };

    fn tenant(peer: &str, namespace: &str) -> Tenant {
        Tenant::new(Peer::of(peer.parse().unwrap()), namespace)
    }

    fn running_turns(turns: &Turns) -> usize {
        turns.0.state().running.all
    }

    /// Judges one review after the other, and returns how long each took in all.
    async fn judge(
        turns: &Turns,
        tenant: &Tenant,
        size: Size,
        takes: Duration,
        times: usize,
    ) -> Vec<Duration> {
        let mut waited = Vec::new();
        for _ in 0..times {
            let asked = Instant::now();
            let turn = turns.turn(tenant.clone(), size).await.unwrap();
            tokio::time::sleep(takes).await;
            drop(turn);
            waited.push(asked.elapsed());
        }
        waited
    }

    #[tokio::test(start_paused = true)]
    async fn cheap_work_does_not_wait_for_the_expensive_work_of_another_namespace() {
        let turns = Turns::new(2, 64 << 20);
        let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
        let expensive = (0..200).map(|_| judge(&turns, &alice, SIZE, Duration::from_millis(75), 1));
        let cheap = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            judge(&turns, &bob, SMALL_SIZE, Duration::from_millis(1), 100).await
        };
        let (_, waited) = tokio::join!(futures::future::join_all(expensive), cheap);
        let longest = waited.into_iter().max().unwrap();
        assert!(longest <= Duration::from_millis(3), "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_namespace_does_not_wait_for_the_expensive_work_of_another() {
        let turns = Turns::new(2, 64 << 20);
        let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
        let expensive = (0..20).map(|_| judge(&turns, &alice, SIZE, Duration::from_millis(75), 1));
        let cheap = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            judge(&turns, &bob, SIZE, Duration::from_millis(1), 1).await
        };
        let (_, waited) = tokio::join!(futures::future::join_all(expensive), cheap);
        assert_eq!(waited, [Duration::from_millis(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn small_reviews_do_not_wait_for_long_scripts_of_the_same_namespace() {
        let turns = Turns::new(2, 64 << 20);
        let alice = tenant("10.0.0.1", "ta");
        let expensive = (0..200).map(|_| judge(&turns, &alice, SIZE, Duration::from_millis(75), 1));
        let cheap = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            judge(&turns, &alice, SMALL_SIZE, Duration::from_millis(1), 100).await
        };
        let (_, waited) = tokio::join!(futures::future::join_all(expensive), cheap);
        let longest = waited.into_iter().max().unwrap();
        assert!(longest <= Duration::from_millis(3), "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_shared_by_namespace_and_not_by_the_number_of_reviews() {
        let turns = Turns::new(1, 64 << 20);
        let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
        let takes = Duration::from_millis(50);
        let many = (0..100).map(|_| judge(&turns, &alice, SIZE, takes, 1));
        let one = judge(&turns, &bob, SIZE, takes, 10);
        let (_, waited) = tokio::join!(futures::future::join_all(many), one);
        // One review of alice comes in between, and one may be running.
        assert!(waited.iter().all(|waited| *waited <= takes * 3), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_names_many_namespaces_has_one_share() {
        let turns = Turns::new(1, 64 << 20);
        let bob = tenant("10.0.0.1", "tb");
        let takes = Duration::from_millis(50);
        let names: Vec<_> = (0..100).map(|number| tenant("10.0.0.2", &number.to_string())).collect();
        let many = names.iter().map(|tenant| judge(&turns, tenant, SIZE, takes, 2));
        let one = judge(&turns, &bob, SIZE, takes, 10);
        let (_, waited) = tokio::join!(futures::future::join_all(many), one);
        assert!(waited.iter().all(|waited| *waited <= takes * 3), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn large_objects_are_bounded_together() {
        let turns = Turns::new(8, 40 << 20);
        let size = Size { bytes: 900 << 10, objects: 1 };
        let tenants: Vec<_> = (0..8).map(|number| tenant("10.0.0.1", &number.to_string())).collect();
        let mut running = Vec::new();
        for tenant in &tenants {
            running.extend(turns.turn(tenant.clone(), size).now_or_never());
        }
        assert_eq!(running.len(), 2);
        drop(running);
        assert_eq!(running_turns(&turns), 0);
        let large = Size { bytes: 28 << 20, objects: 3 };
        let first = turns.turn(tenants[0].clone(), large).now_or_never();
        assert!(first.is_some());
        assert!(turns.turn(tenants[1].clone(), large).now_or_never().is_none());
        assert!(turns.turn(tenants[2].clone(), SMALL_SIZE).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_review_of_a_namespace_with_a_full_queue_is_rejected() {
        let turns = Turns::new(1, 64 << 20);
        let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
        let _running = turns.turn(alice.clone(), SIZE).await.unwrap();
        let mut waiting: Vec<_> =
            (0..MAX_WAITING).map(|_| Box::pin(turns.turn(alice.clone(), SIZE))).collect();
        for waiting in &mut waiting {
            assert!(waiting.now_or_never().is_none());
        }
        assert!(matches!(turns.turn(alice.clone(), SIZE).now_or_never(), Some(Err(QueueFull))));
        assert!(turns.turn(bob, SMALL_SIZE).now_or_never().is_some());
        // A caller that goes away makes room.
        waiting.pop();
        assert!(turns.turn(alice, SIZE).now_or_never().is_none());
        drop(waiting);
        assert_eq!(turns.0.state().waiting, 0);
    }
}
