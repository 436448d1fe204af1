//! How the namespaces share the memory for documents.
//!
//! While there is room, each namespace takes as much as it needs. When the memory is full, the namespace with the
//! largest share gives way to one with a smaller share. So no namespace can fill the memory for all. ConfigMaps give
//! way to all other documents. Documents of the cluster never give way. Documents that are left out are remembered,
//! up to a limit.

use std::collections::{BTreeMap, BTreeSet};

/// The most bytes of all documents together.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// The most bytes of all documents but ConfigMaps.
const MAX_BYTES_OF_FIRST: usize = 32 << 20;
/// The most bytes of one document. A ConfigMap has at most a mebibyte of text.
pub(super) const MAX_BYTES_OF_ONE: usize = 2 << 20;
/// The most left-out documents that are remembered.
const MAX_LEFT_OUT: usize = 4_096;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Which documents give way: a ConfigMap gives way to the first rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    First,
    ConfigMap,
}

/// There is no room for a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// The cached documents of a namespace, and their bytes.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    documents: BTreeMap<Id, usize>,
}

/// The bytes that a namespace would keep, and its documents by size.
type Left<'a> = (usize, Vec<(&'a Id, usize)>);

/// The documents' shares of the memory.
#[derive(Debug, Default)]
pub(super) struct Shares {
    first: BTreeMap<String, Share>,
    config_maps: BTreeMap<String, Share>,
    /// The documents without room, each with its rank and bytes. `None` for one that is too large at any time.
    left_out: BTreeMap<Id, Option<(Rank, usize)>>,
    /// The kinds with more left-out documents than are remembered.
    overflowed: BTreeSet<&'static str>,
}

impl Shares {
    /// The bytes of all documents in the cache.
    pub(super) fn bytes(&self) -> usize {
        self.bytes_of_rank(Rank::First) + self.bytes_of_rank(Rank::ConfigMap)
    }

    fn bytes_of_rank(&self, rank: Rank) -> usize {
        self.shares(rank).values().map(|share| share.bytes).sum()
    }

    fn shares(&self, rank: Rank) -> &BTreeMap<String, Share> {
        match rank {
            Rank::First => &self.first,
            Rank::ConfigMap => &self.config_maps,
        }
    }

    /// Gives a document its room. Returns the documents that were evicted for it.
    pub(super) fn admit(&mut self, id: &Id, rank: Rank, bytes: usize) -> Result<Vec<Id>, NoRoom> {
        self.remove(id);
        if bytes > MAX_BYTES_OF_ONE {
            self.leave_out(id.clone(), None);
            return Err(NoRoom);
        }
        let Some(evicted) = self.to_evict(id, rank, bytes) else {
            self.leave_out(id.clone(), Some((rank, bytes)));
            return Err(NoRoom);
        };
        for other in &evicted {
            let lost = self.take(other);
            self.leave_out(other.clone(), lost);
        }
        let shares = match rank {
            Rank::First => &mut self.first,
            Rank::ConfigMap => &mut self.config_maps,
        };
        let share = shares.entry(id.namespace.clone()).or_default();
        share.bytes += bytes;
        share.documents.insert(id.clone(), bytes);
        Ok(evicted)
    }

    /// Removes a document that is deleted.
    pub(super) fn remove(&mut self, id: &Id) {
        self.left_out.remove(id);
        self.take(id);
    }

    /// Whether the document is left out.
    pub(super) fn left_out(&self, id: &Id) -> bool {
        self.left_out.contains_key(id)
    }

    /// How many left-out documents of a kind are remembered.
    pub(super) fn number_left_out(&self, kind: &str) -> usize {
        self.left_out.keys().filter(|id| id.kind == kind).count()
    }

    /// Whether a document that was left out has room now.
    pub(super) fn has_room(&self) -> bool {
        self.left_out.values().flatten().any(|left_out| self.fits(*left_out))
            || self.overflowed.iter().any(|kind| self.has_overflowed(kind))
    }

    /// A left-out document of this kind that has room now. The namespace with the smallest share comes first.
    pub(super) fn next_with_room(&self, kind: &str, namespace: Option<&str>) -> Option<Id> {
        let wanted = |id: &Id| id.kind == kind && namespace.is_none_or(|namespace| id.namespace == namespace);
        let fitting = self.left_out.iter().filter_map(|(id, left_out)| {
            let (rank, bytes) = (*left_out)?;
            (wanted(id) && self.fits((rank, bytes))).then_some((rank, id))
        });
        let bytes =
            |(rank, id): &(Rank, &Id)| self.shares(*rank).get(&id.namespace).map_or(0, |share| share.bytes);
        fitting.min_by_key(bytes).map(|(_, id)| id.clone())
    }

    /// Whether this kind had more left-out documents than are remembered, and there is room now.
    pub(super) fn has_overflowed(&self, kind: &str) -> bool {
        self.overflowed.contains(kind) && self.bytes() + MAX_BYTES_OF_ONE <= MAX_BYTES
    }

    /// Called before all of a kind are listed again.
    pub(super) fn clear_overflow(&mut self, kind: &str) {
        self.overflowed.remove(kind);
    }

    fn fits(&self, (rank, bytes): (Rank, usize)) -> bool {
        let of_rank = match rank {
            Rank::First => self.bytes_of_rank(Rank::First) + bytes <= MAX_BYTES_OF_FIRST,
            Rank::ConfigMap => true,
        };
        of_rank && self.bytes() + bytes <= MAX_BYTES
    }

    fn leave_out(&mut self, id: Id, bytes: Option<(Rank, usize)>) {
        if self.left_out.len() < MAX_LEFT_OUT {
            self.left_out.insert(id, bytes);
        } else if bytes.is_some() {
            self.overflowed.insert(id.kind);
        }
    }

    /// Removes a cached document. Returns its rank and bytes.
    fn take(&mut self, id: &Id) -> Option<(Rank, usize)> {
        for rank in [Rank::First, Rank::ConfigMap] {
            let shares = match rank {
                Rank::First => &mut self.first,
                Rank::ConfigMap => &mut self.config_maps,
            };
            let Some(share) = shares.get_mut(&id.namespace) else { continue };
            let Some(bytes) = share.documents.remove(id) else { continue };
            share.bytes = share.bytes.saturating_sub(bytes);
            if share.documents.is_empty() {
                shares.remove(&id.namespace);
            }
            return Some((rank, bytes));
        }
        None
    }

    /// The documents to evict for another one. `None` if there is no way to make room.
    fn to_evict(&self, id: &Id, rank: Rank, bytes: usize) -> Option<Vec<Id>> {
        let over = |taken: usize, most: usize| (taken + bytes).saturating_sub(most);
        let own = self.shares(rank).get(&id.namespace).map_or(0, |share| share.bytes) + bytes;
        // Documents of the cluster come before those of all namespaces.
        let own = if id.namespace.is_empty() { 0 } else { own };
        match rank {
            Rank::ConfigMap => {
                self.largest_of_the_largest_shares(rank, over(self.bytes(), MAX_BYTES), Some(own))
            }
            Rank::First => {
                let need = over(self.bytes_of_rank(rank), MAX_BYTES_OF_FIRST);
                let mut evicted = self.largest_of_the_largest_shares(rank, need, Some(own))?;
                let first: usize = self.bytes_of_rank(rank)
                    - evicted.iter().filter_map(|id| self.bytes_of(rank, id)).sum::<usize>();
                let need = over(self.bytes_of_rank(Rank::ConfigMap) + first, MAX_BYTES);
                evicted.extend(self.largest_of_the_largest_shares(Rank::ConfigMap, need, None)?);
                Some(evicted)
            }
        }
    }

    fn bytes_of(&self, rank: Rank, id: &Id) -> Option<usize> {
        self.shares(rank).get(&id.namespace)?.documents.get(id).copied()
    }

    /// Documents to evict until `need` bytes are free: each time the largest document of the namespace with the
    /// largest share. `None` if that share would not be larger than `own`.
    fn largest_of_the_largest_shares(&self, rank: Rank, need: usize, own: Option<usize>) -> Option<Vec<Id>> {
        let (mut freed, mut evicted) = (0, Vec::new());
        let mut left: BTreeMap<&str, Left<'_>> = BTreeMap::new();
        while freed < need {
            if left.is_empty() {
                let of_namespaces = self.shares(rank).iter().filter(|(namespace, _)| !namespace.is_empty());
                for (namespace, share) in of_namespaces {
                    let mut documents: Vec<_> =
                        share.documents.iter().map(|(id, bytes)| (id, *bytes)).collect();
                    documents.sort_by_key(|(_, bytes)| *bytes);
                    left.insert(namespace, (share.bytes, documents));
                }
            }
            let (bytes, documents) = left.values_mut().max_by_key(|(bytes, _)| *bytes)?;
            if own.is_some_and(|own| *bytes <= own) {
                return None;
            }
            let (id, of_one) = documents.pop()?;
            *bytes = bytes.saturating_sub(of_one);
            freed += of_one;
            evicted.push(id.clone());
        }
        Some(evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(namespace: &str, name: &str) -> Id {
        Id { kind: "ConfigMap", namespace: namespace.into(), name: name.into() }
    }

    const MIB: usize = 1 << 20;

    /// A memory that is full of documents of one mebibyte, all of `alice`.
    fn full_of_alice() -> Shares {
        let mut shares = Shares::default();
        for number in 0..64 {
            assert_eq!(shares.admit(&id("alice", &number.to_string()), Rank::ConfigMap, MIB), Ok(vec![]));
        }
        shares
    }

    #[test]
    fn one_namespace_may_take_all_the_room_that_no_other_needs() {
        let mut shares = full_of_alice();
        assert_eq!(shares.admit(&id("alice", "more"), Rank::ConfigMap, 1), Err(NoRoom));
        assert!(shares.left_out(&id("alice", "more")) && !shares.has_room());
    }

    #[test]
    fn the_largest_share_makes_room_until_all_shares_are_equal() {
        let mut shares = full_of_alice();
        let admitted =
            (0..64).filter(|n| shares.admit(&id("bob", &n.to_string()), Rank::ConfigMap, MIB).is_ok());
        assert_eq!(admitted.count(), 32);
        assert_eq!(shares.bytes(), MAX_BYTES);
        let crumb = shares.admit(&id("carol", "crumb"), Rank::ConfigMap, 10);
        assert_eq!(crumb.map(|evicted| evicted.len()), Ok(1));
    }

    #[test]
    fn a_left_out_document_is_read_again_when_there_is_room() {
        let mut shares = full_of_alice();
        assert!(shares.admit(&id("alice", "more"), Rank::ConfigMap, MIB).is_err());
        assert_eq!(shares.next_with_room("ConfigMap", None), None);
        shares.remove(&id("alice", "7"));
        assert!(shares.has_room());
        assert_eq!(shares.next_with_room("ConfigMap", Some("bob")), None);
        assert_eq!(shares.next_with_room("ConfigMap", None), Some(id("alice", "more")));
        assert!(shares.admit(&id("alice", "more"), Rank::ConfigMap, MIB).is_ok());
        assert!(!shares.has_room() && shares.number_left_out("ConfigMap") == 0);
    }

    #[test]
    fn documents_of_the_cluster_come_first_and_stay() {
        let mut shares = full_of_alice();
        let runtime = |namespace: &str, name: &str| Id { kind: "Runtime", ..id(namespace, name) };
        for number in 0..32 {
            assert!(shares.admit(&runtime("alice", &number.to_string()), Rank::First, MIB).is_ok());
        }
        assert_eq!(shares.bytes_of_rank(Rank::ConfigMap), MAX_BYTES - MAX_BYTES_OF_FIRST);
        assert!(shares.admit(&runtime("alice", "more"), Rank::First, MIB).is_err());
        for number in 0..40 {
            let admitted = shares.admit(&runtime("", &number.to_string()), Rank::First, MIB);
            assert_eq!(admitted.is_ok(), number < 32, "{number}");
        }
        assert!(shares.bytes() <= MAX_BYTES);
    }

    #[test]
    fn a_kind_with_more_left_out_than_is_remembered_is_listed_again() {
        let mut shares = full_of_alice();
        for number in 0..=MAX_LEFT_OUT {
            assert!(shares.admit(&id("alice", &format!("x{number}")), Rank::ConfigMap, MIB).is_err());
        }
        assert!(!shares.has_overflowed("ConfigMap"), "there is no room");
        shares.remove(&id("alice", "1"));
        shares.remove(&id("alice", "2"));
        assert!(shares.has_overflowed("ConfigMap"));
        shares.clear_overflow("ConfigMap");
        assert!(!shares.has_overflowed("ConfigMap"));
    }
}
