//! The open connections of a port: how many there may be, and which one is closed to let another in.
//!
//! A full port lets a new connection in by closing one connection of the peer that has the most: the oldest that
//! never had an answer, or else the one that has been at rest for longest. A connection whose request is being
//! answered is not closed. If no connection can be closed, the new one waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::metrics::Metrics;
use super::peer::Peer;

/// The connections of one port.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    port: &'static str,
    most: usize,
    table: Mutex<Table>,
    freed: Notify,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    peer: Peer,
    activity: Arc<Activity>,
    close: CancellationToken,
}

/// A connection's place in the table, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    number: u64,
    /// Its activity.
    pub(super) activity: Arc<Activity>,
    /// Cancelled to close it for another connection.
    pub(super) close: CancellationToken,
}

impl Connections {
    pub(super) fn new(port: &'static str, most: usize, metrics: Metrics) -> Self {
        Self(Arc::new(Shared { port, most, table: Mutex::default(), freed: Notify::new(), metrics }))
    }

    /// A place for a new connection, as soon as there is one.
    pub(super) async fn place(&self, peer: Peer) -> Place {
        loop {
            // Before the try, or a place that is freed in between would be missed.
            let freed = self.0.freed.notified();
            if let Some(place) = self.try_place(peer) {
                return place;
            }
            freed.await;
        }
    }

    /// A free place. If there is none, one connection is asked to close.
    fn try_place(&self, peer: Peer) -> Option<Place> {
        let mut table = self.table();
        if table.open.len() >= self.0.most {
            // It may have been asked before and still be open.
            if let Some(entry) = table.dispensable(peer).filter(|entry| !entry.close.is_cancelled()) {
                entry.close.cancel();
                self.0.metrics.displaced(self.0.port);
            }
            return None;
        }
        let (activity, close) = (Arc::<Activity>::default(), CancellationToken::new());
        let number = table.next;
        table.next += 1;
        table.open.insert(number, Entry { peer, activity: activity.clone(), close: close.clone() });
        self.0.metrics.connections(self.0.port, table.open.len());
        Some(Place { connections: self.clone(), number, activity, close })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The connection that is closed first for this peer.
    fn dispensable(&self, newcomer: Peer) -> Option<&Entry> {
        let mut counts: BTreeMap<Peer, usize> = BTreeMap::new();
        for entry in self.open.values() {
            *counts.entry(entry.peer).or_default() += 1;
        }
        let count = |peer: Peer| counts.get(&peer).copied().unwrap_or_default();
        // A peer gets no place from a peer that has fewer.
        let may_be_closed = self
            .open
            .values()
            .filter(|entry| entry.activity.may_be_closed() && count(entry.peer) >= count(newcomer));
        may_be_closed.min_by_key(|entry| {
            (std::cmp::Reverse(count(entry.peer)), entry.activity.is_proven(), entry.activity.since())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &self.connections.0;
        let mut table = self.connections.table();
        table.open.remove(&self.number);
        shared.metrics.connections(shared.port, table.open.len());
        drop(table);
        shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::of(text.parse().unwrap())
    }

    async fn full(of: &[&str]) -> (Connections, Vec<Place>) {
        let connections = Connections::new("test", of.len(), Metrics::default());
        let mut places = Vec::new();
        for address in of {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            places.push(connections.place(peer(address)).await);
        }
        (connections, places)
    }

    fn closed(places: &[Place]) -> Vec<usize> {
        (0..places.len()).filter(|number| places[*number].close.is_cancelled()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_fullest_peer_makes_room_for_a_new_connection() {
        let (connections, mut places) = full(&["10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3"]).await;
        assert!(connections.place(peer("10.0.0.4")).now_or_never().is_none());
        assert_eq!(closed(&places), [1]);
        drop(places.remove(1));
        assert!(connections.place(peer("10.0.0.4")).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_an_answer_is_closed_first() {
        let (connections, places) = full(&["10.0.0.1", "10.0.0.1"]).await;
        places[0].activity.proved();
        assert!(connections.place(peer("10.0.0.1")).now_or_never().is_none());
        assert_eq!(closed(&places), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_request_is_being_answered_is_not_closed() {
        let (connections, mut places) = full(&["10.0.0.1", "10.0.0.1"]).await;
        let requests: Vec<_> = places.iter().map(|place| place.activity.whole()).collect();
        assert!(connections.place(peer("10.0.0.2")).now_or_never().is_none());
        assert_eq!(closed(&places), [0; 0]);
        drop(requests);
        // The new connection waits for the first free place.
        let waiting = connections.place(peer("10.0.0.2"));
        let (place, ()) = tokio::join!(waiting, async { drop(places.pop()) });
        drop(place);
    }
}
