//! Who is judged next: work is shared by peer and by namespace, and not first come, first served.
//!
//! ```text
//! next = the peer that has used the least time ─► of it, the namespace that has used the least
//! ```
//!
//! A namespace's small reviews and its others count as two, so that an ordinary job does not wait for a long script.
//! Used is the time that judging took, so that dear work counts for what it is. One that was away begins at what the
//! least of the others has used: being away saves nothing up. A peer comes before a namespace, since anybody can name a
//! namespace in a review, and no caller can choose an address.
//!
//! As many are judged at a time as there are processors, and one more. Dear work has at most half of the processors, on threads of [low priority](super::background), and
//! work of which nothing is known yet one place more, so that cheap work never waits for either. Work is dear where judging
//! took [`DEAR`] or more in that namespace lately, and [much longer](FACTOR) than in another. It is unknown where nothing
//! was judged in that namespace lately, and the review is not small. Of [large](LARGE) bodies one is judged at a time, and
//! what the objects of all may take in memory is bounded.
//!
//! A namespace with more than [`MOST_WAITING`] reviews in the queue, and everybody's last ones where the whole queue is
//! full, are told so at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::server::Peer;

/// Judging that takes this long is dear. An ordinary object takes under a millisecond, the dearest script some 75.
const DEAR: Duration = Duration::from_millis(20);
/// As many times as long as in the cheapest namespace is dear.
const FACTOR: u32 = 4;
/// A review of up to this many bytes is small: whatever is in it is judged in less.
const SMALL: usize = 8 << 10;
/// A body of more bytes is large.
const LARGE: usize = 1 << 20;
/// Reviews of one namespace that may wait.
const MOST_WAITING: usize = 256;
/// Reviews that may wait in all.
const MOST_WAITING_IN_ALL: usize = 2_048;
/// Namespaces that are remembered.
const MOST_TENANTS: usize = 4_096;
/// For how long the time that a namespace used is remembered.
const MEMORY: Duration = Duration::from_secs(10);
/// A parsed object takes at most this many times its text, and this much in all.
const SWELLING: usize = 96;
const LARGEST_OBJECT: usize = 18 << 20;

/// Whose work it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tenant {
    peer: Peer,
    /// As the review names it; empty where it names none.
    namespace: String,
    /// Small reviews have a share of their own, which large ones of the same namespace do not use up.
    small: bool,
}

impl Tenant {
    pub(super) fn new(peer: Peer, namespace: &str) -> Self {
        Self { peer, namespace: namespace.to_owned(), small: false }
    }
}

/// How much work it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// The bytes of the review.
    pub(super) bytes: usize,
    /// The objects that are held parsed.
    pub(super) objects: usize,
}

impl Size {
    /// The memory that its objects may take.
    fn memory(self) -> usize {
        self.bytes.saturating_mul(SWELLING).min(LARGEST_OBJECT).saturating_mul(self.objects)
    }
}

/// The queue.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    at_once: usize,
    dear_at_once: usize,
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

/// What is being judged.
#[derive(Debug, Default)]
struct Running {
    all: usize,
    dear: usize,
    unknown: usize,
    large: usize,
    memory: usize,
}

/// What a peer or a namespace has used, and what waits.
#[derive(Debug)]
struct Account {
    used: Duration,
    /// The mean of the last times.
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

/// A turn at judging, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    tenant: Tenant,
    started: Instant,
    price: Price,
    size: Size,
    memory: usize,
    /// What the tenant was charged beforehand.
    charged: Duration,
    over: bool,
}

/// What judging costs, by what is known of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Price {
    Cheap,
    Dear,
    Unknown,
}

/// Too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowded;

impl Turns {
    /// For so many processors, and so many bytes of parsed objects.
    pub(super) fn new(processors: usize, memory: usize) -> Self {
        // On a large machine memory is what is scarce.
        let processors = processors.clamp(1, 16);
        Self(Arc::new(Shared {
            at_once: processors + 1,
            dear_at_once: (processors / 2).max(1),
            memory,
            state: Mutex::default(),
        }))
    }

    /// A turn, when it comes. Given up where this is dropped before.
    pub(super) async fn turn(&self, tenant: Tenant, size: Size) -> Result<Turn, Crowded> {
        let tenant = Tenant { small: size.bytes <= SMALL, ..tenant };
        let (start, turn) = oneshot::channel();
        let number = self.0.enter(&tenant, size, start)?;
        let _leave = Leave { shared: &self.0, tenant, number };
        turn.await.map_err(|_| Crowded)
    }
}

/// Takes a review out of the queue when its caller has gone.
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

    fn enter(
        self: &Arc<Self>,
        tenant: &Tenant,
        size: Size,
        start: oneshot::Sender<Turn>,
    ) -> Result<u64, Crowded> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.admit(tenant);
        let account = state.tenants.get_mut(tenant).ok_or(Crowded)?;
        if account.waiting.len() >= MOST_WAITING {
            return Err(Crowded);
        }
        account.waiting.push_back(Waiting { number, size, start });
        state.waiting += 1;
        if state.waiting > MOST_WAITING_IN_ALL {
            state.shed();
        }
        self.dispatch(&mut state);
        Ok(number)
    }

    /// Starts what may be started.
    fn dispatch(self: &Arc<Self>, state: &mut State) {
        while let Some((tenant, price)) = self.next(state) {
            let Some(account) = state.tenants.get_mut(&tenant) else { return };
            let Some(Waiting { size, start, .. }) = account.waiting.pop_front() else { return };
            state.waiting -= 1;
            let memory = self.weight(size);
            let charged = account.mean.unwrap_or_default();
            state.running.all += 1;
            state.running.dear += usize::from(price == Price::Dear);
            state.running.unknown += usize::from(price == Price::Unknown);
            state.running.large += usize::from(size.bytes > LARGE);
            state.running.memory += memory;
            account.start(charged);
            if let Some(account) = state.peers.get_mut(&tenant.peer) {
                account.start(charged);
            }
            let (shared, started) = (self.clone(), Instant::now());
            let turn = Turn { shared, tenant, started, price, size, memory, charged, over: false };
            // Where it was given up meanwhile, its turn is over.
            if let Err(mut turn) = start.send(turn) {
                turn.end(state, Duration::ZERO);
            }
        }
    }

    /// Whose turn it is, and what it costs.
    fn next(&self, state: &State) -> Option<(Tenant, Price)> {
        if state.running.all >= self.at_once {
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
        let uncertain = running.dear + running.unknown <= self.dear_at_once;
        let affordable = match price {
            Price::Cheap => true,
            Price::Dear => uncertain && running.dear < self.dear_at_once,
            Price::Unknown => uncertain,
        };
        // One place is always another namespace's.
        account.running + 1 < self.at_once
            && affordable
            && (size.bytes <= LARGE || running.large == 0)
            && running.memory + self.weight(*size) <= self.memory
    }

    /// What its objects are charged: the largest leave half of the memory to others.
    fn weight(&self, size: Size) -> usize {
        size.memory().min(self.memory / 2)
    }
}

impl State {
    /// Makes the accounts of a tenant that has none, or was away.
    fn admit(&mut self, tenant: &Tenant) {
        let now = Instant::now();
        if self.tenants.len() >= MOST_TENANTS {
            self.forget(now);
        }
        let busy = |account: &&Account| account.running > 0 || !account.waiting.is_empty();
        let least = |accounts: &mut dyn Iterator<Item = &Account>| {
            accounts.filter(busy).map(|account| account.used).min().unwrap_or_default()
        };
        let of_peers = least(&mut self.busy_peers());
        let of_peer = self.tenants.iter().filter(|(other, _)| other.peer == tenant.peer);
        let of_tenants = least(&mut of_peer.map(|(_, account)| account));
        self.peers.entry(tenant.peer).or_insert_with(|| Account::new(now)).seen(now, of_peers);
        self.tenants.entry(tenant.clone()).or_insert_with(|| Account::new(now)).seen(now, of_tenants);
    }

    /// The peers' accounts that have something to do.
    fn busy_peers(&self) -> impl Iterator<Item = &Account> {
        let waits = |peer: &Peer| {
            self.tenants.iter().any(|(tenant, account)| tenant.peer == *peer && !account.waiting.is_empty())
        };
        self.peers.iter().filter(move |(peer, _)| waits(peer)).map(|(_, account)| account)
    }

    /// Forgets those that were away, and, of too many, all that do nothing.
    fn forget(&mut self, now: Instant) {
        let idle = |account: &Account| account.running == 0 && account.waiting.is_empty();
        self.tenants.retain(|_, account| !idle(account) || now - account.seen < MEMORY);
        if self.tenants.len() >= MOST_TENANTS {
            self.tenants.retain(|_, account| !idle(account));
        }
        let kept: std::collections::BTreeSet<Peer> = self.tenants.keys().map(|tenant| tenant.peer).collect();
        self.peers.retain(|peer, _| kept.contains(peer));
    }

    /// Sends away the last of the longest queue.
    fn shed(&mut self) {
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

    /// It comes again: what it used long ago no longer counts, and being away saves nothing up.
    fn seen(&mut self, now: Instant, least: Duration) {
        let idle = self.running == 0 && self.waiting.is_empty();
        if idle {
            if now - self.seen > MEMORY {
                (self.used, self.mean) = (Duration::ZERO, None);
            }
            self.used = self.used.max(least);
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
            Some(mean) if mean >= DEAR && mean >= cheapest * FACTOR => Price::Dear,
            None if size.bytes > SMALL => Price::Unknown,
            _ => Price::Cheap,
        }
    }
}

impl Turn {
    /// Whether its namespace is known for dear work.
    pub(super) fn is_dear(&self) -> bool {
        self.price == Price::Dear
    }

    fn end(&mut self, state: &mut State, took: Duration) {
        self.over = true;
        state.running.all -= 1;
        state.running.dear -= usize::from(self.price == Price::Dear);
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
        if self.over {
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
    const LITTLE: Size = Size { bytes: 2 << 10, objects: 1 };

    fn tenant(peer: &str, namespace: &str) -> Tenant {
        Tenant::new(Peer::of(peer.parse().unwrap()), namespace)
    }

    fn at_work(turns: &Turns) -> usize {
        turns.0.state().running.all
    }

    /// Judges for so long, again and again, and tells when each was done.
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
    async fn cheap_work_does_not_wait_for_another_namespaces_dear_work() {
        let turns = Turns::new(2, 64 << 20);
        let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
        let dear = (0..200).map(|_| judge(&turns, &alice, SIZE, Duration::from_millis(75), 1));
        let cheap = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            judge(&turns, &bob, LITTLE, Duration::from_millis(1), 100).await
        };
        let (_, waited) = tokio::join!(futures::future::join_all(dear), cheap);
        let longest = waited.into_iter().max().unwrap();
        assert!(longest <= Duration::from_millis(3), "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_is_new_does_not_wait_for_anothers_dear_work() {
        let turns = Turns::new(2, 64 << 20);
        let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
        let dear = (0..20).map(|_| judge(&turns, &alice, SIZE, Duration::from_millis(75), 1));
        let cheap = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            judge(&turns, &bob, SIZE, Duration::from_millis(1), 1).await
        };
        let (_, waited) = tokio::join!(futures::future::join_all(dear), cheap);
        assert_eq!(waited, [Duration::from_millis(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn small_reviews_do_not_wait_for_long_scripts_of_the_same_namespace() {
        let turns = Turns::new(2, 64 << 20);
        let alice = tenant("10.0.0.1", "ta");
        let dear = (0..200).map(|_| judge(&turns, &alice, SIZE, Duration::from_millis(75), 1));
        let cheap = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            judge(&turns, &alice, LITTLE, Duration::from_millis(1), 100).await
        };
        let (_, waited) = tokio::join!(futures::future::join_all(dear), cheap);
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
        // One of the other's comes in between, and one may be under way.
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
        assert_eq!(at_work(&turns), 0);
        let large = Size { bytes: 28 << 20, objects: 3 };
        let first = turns.turn(tenants[0].clone(), large).now_or_never();
        assert!(first.is_some());
        assert!(turns.turn(tenants[1].clone(), large).now_or_never().is_none());
        assert!(turns.turn(tenants[2].clone(), LITTLE).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_with_too_many_waiting_is_told_so() {
        let turns = Turns::new(1, 64 << 20);
        let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
        let _running = turns.turn(alice.clone(), SIZE).await.unwrap();
        let mut waiting: Vec<_> =
            (0..MOST_WAITING).map(|_| Box::pin(turns.turn(alice.clone(), SIZE))).collect();
        for waiting in &mut waiting {
            assert!(waiting.now_or_never().is_none());
        }
        assert!(matches!(turns.turn(alice.clone(), SIZE).now_or_never(), Some(Err(Crowded))));
        assert!(turns.turn(bob, LITTLE).now_or_never().is_some());
        // Who gives up makes room.
        waiting.pop();
        assert!(turns.turn(alice, SIZE).now_or_never().is_none());
        drop(waiting);
        assert_eq!(turns.0.state().waiting, 0);
    }
}
