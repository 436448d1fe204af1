//! Who gets how much of the memory for documents.
//!
//! Namespaces share it: while there is room, each takes what it needs. When there is none, the namespace that takes most
//! makes room for one that takes less. So no namespace can fill it for all. ConfigMaps make room for everything else,
//! and what belongs to the cluster never makes room. What is left out is remembered, up to a number.

use std::collections::{BTreeMap, BTreeSet};

/// The most that all documents take, in bytes.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// The most that all but ConfigMaps take.
const MAX_BYTES_OF_FIRST: usize = 32 << 20;
/// The most that one takes. A ConfigMap has a mebibyte of text at most.
pub(super) const MAX_BYTES_OF_ONE: usize = 2 << 20;
/// The documents that are remembered though they are left out.
const MOST_LEFT_OUT: usize = 4_096;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Whether a document makes room for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    First,
    ConfigMap,
}

/// There is no room for a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// The documents of a namespace that are kept, and their bytes.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    documents: BTreeMap<Id, usize>,
}

/// What a namespace would have left, and its documents by their size.
type Left<'a> = (usize, Vec<(&'a Id, usize)>);

/// The documents' shares of the memory.
#[derive(Debug, Default)]
pub(super) struct Shares {
    first: BTreeMap<String, Share>,
    config_maps: BTreeMap<String, Share>,
    /// The documents that found no room, each with its rank and its bytes. None for one that is too large at any time.
    left_out: BTreeMap<Id, Option<(Rank, usize)>>,
    /// The kinds with more documents left out than are remembered.
    forgetful: BTreeSet<&'static str>,
}

impl Shares {
    /// The bytes of all documents that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.of(Rank::First) + self.of(Rank::ConfigMap)
    }

    fn of(&self, rank: Rank) -> usize {
        self.shares(rank).values().map(|share| share.bytes).sum()
    }

    fn shares(&self, rank: Rank) -> &BTreeMap<String, Share> {
        match rank {
            Rank::First => &self.first,
            Rank::ConfigMap => &self.config_maps,
        }
    }

    /// Gives a document of so many bytes its place; says which documents lose theirs.
    pub(super) fn admit(&mut self, id: &Id, rank: Rank, bytes: usize) -> Result<Vec<Id>, NoRoom> {
        self.remove(id);
        if bytes > MAX_BYTES_OF_ONE {
            self.leave_out(id.clone(), None);
            return Err(NoRoom);
        }
        let Some(displaced) = self.displaced(id, rank, bytes) else {
            self.leave_out(id.clone(), Some((rank, bytes)));
            return Err(NoRoom);
        };
        for other in &displaced {
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
        Ok(displaced)
    }

    /// The document is gone.
    pub(super) fn remove(&mut self, id: &Id) {
        self.left_out.remove(id);
        self.take(id);
    }

    /// Whether the document is left out.
    pub(super) fn left_out(&self, id: &Id) -> bool {
        self.left_out.contains_key(id)
    }

    /// How many documents of a kind are left out, as far as they are remembered.
    pub(super) fn number_left_out(&self, kind: &str) -> usize {
        self.left_out.keys().filter(|id| id.kind == kind).count()
    }

    /// Whether there is room for something that was left out.
    pub(super) fn has_room(&self) -> bool {
        self.left_out.values().flatten().any(|left_out| self.fits(*left_out))
            || self.forgetful.iter().any(|kind| self.is_forgetful(kind))
    }

    /// A document of this kind that was left out and for which there is room now; first one of the namespace that has
    /// least.
    pub(super) fn next_left_out(&self, kind: &str, namespace: Option<&str>) -> Option<Id> {
        let wanted = |id: &Id| id.kind == kind && namespace.is_none_or(|namespace| id.namespace == namespace);
        let fitting = self.left_out.iter().filter_map(|(id, left_out)| {
            let (rank, bytes) = (*left_out)?;
            (wanted(id) && self.fits((rank, bytes))).then_some((rank, id))
        });
        let bytes =
            |(rank, id): &(Rank, &Id)| self.shares(*rank).get(&id.namespace).map_or(0, |share| share.bytes);
        fitting.min_by_key(bytes).map(|(_, id)| id.clone())
    }

    /// Whether more of a kind was left out than is remembered, and there is room.
    pub(super) fn is_forgetful(&self, kind: &str) -> bool {
        self.forgetful.contains(kind) && self.bytes() + MAX_BYTES_OF_ONE <= MAX_BYTES
    }

    /// All of a kind are listed again.
    pub(super) fn remember(&mut self, kind: &str) {
        self.forgetful.remove(kind);
    }

    fn fits(&self, (rank, bytes): (Rank, usize)) -> bool {
        let of_rank = match rank {
            Rank::First => self.of(Rank::First) + bytes <= MAX_BYTES_OF_FIRST,
            Rank::ConfigMap => true,
        };
        of_rank && self.bytes() + bytes <= MAX_BYTES
    }

    fn leave_out(&mut self, id: Id, bytes: Option<(Rank, usize)>) {
        if self.left_out.len() < MOST_LEFT_OUT {
            self.left_out.insert(id, bytes);
        } else if bytes.is_some() {
            self.forgetful.insert(id.kind);
        }
    }

    /// Takes a document's place away; says what it took.
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

    /// The documents that must make room for another. None where the room cannot be made.
    fn displaced(&self, id: &Id, rank: Rank, bytes: usize) -> Option<Vec<Id>> {
        let over = |taken: usize, most: usize| (taken + bytes).saturating_sub(most);
        let own = self.shares(rank).get(&id.namespace).map_or(0, |share| share.bytes) + bytes;
        // What belongs to the cluster comes before all namespaces.
        let own = if id.namespace.is_empty() { 0 } else { own };
        match rank {
            Rank::ConfigMap => self.of_the_heaviest(rank, over(self.bytes(), MAX_BYTES), Some(own)),
            Rank::First => {
                let need = over(self.of(rank), MAX_BYTES_OF_FIRST);
                let mut displaced = self.of_the_heaviest(rank, need, Some(own))?;
                let first: usize =
                    self.of(rank) - displaced.iter().filter_map(|id| self.bytes_of(rank, id)).sum::<usize>();
                let need = over(self.of(Rank::ConfigMap) + first, MAX_BYTES);
                displaced.extend(self.of_the_heaviest(Rank::ConfigMap, need, None)?);
                Some(displaced)
            }
        }
    }

    fn bytes_of(&self, rank: Rank, id: &Id) -> Option<usize> {
        self.shares(rank).get(&id.namespace)?.documents.get(id).copied()
    }

    /// Documents of so many bytes together, each of the namespace that then has most; the largest first. None where such
    /// a namespace would not have more than `own`.
    fn of_the_heaviest(&self, rank: Rank, need: usize, own: Option<usize>) -> Option<Vec<Id>> {
        let (mut freed, mut displaced) = (0, Vec::new());
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
            displaced.push(id.clone());
        }
        Some(displaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(namespace: &str, name: &str) -> Id {
        Id { kind: "ConfigMap", namespace: namespace.into(), name: name.into() }
    }

    const MIB: usize = 1 << 20;

    /// The memory, full of a mebibyte each of `alice`.
    fn full_of_alice() -> Shares {
        let mut shares = Shares::default();
        for number in 0..64 {
            assert_eq!(shares.admit(&id("alice", &number.to_string()), Rank::ConfigMap, MIB), Ok(vec![]));
        }
        shares
    }

    #[test]
    fn one_namespace_may_take_all_that_no_other_needs() {
        let mut shares = full_of_alice();
        assert_eq!(shares.admit(&id("alice", "more"), Rank::ConfigMap, 1), Err(NoRoom));
        assert!(shares.left_out(&id("alice", "more")) && !shares.has_room());
    }

    #[test]
    fn the_namespace_that_takes_most_makes_room_until_all_have_equal_shares() {
        let mut shares = full_of_alice();
        let admitted =
            (0..64).filter(|n| shares.admit(&id("bob", &n.to_string()), Rank::ConfigMap, MIB).is_ok());
        assert_eq!(admitted.count(), 32);
        assert_eq!(shares.bytes(), MAX_BYTES);
        let crumb = shares.admit(&id("carol", "crumb"), Rank::ConfigMap, 10);
        assert_eq!(crumb.map(|displaced| displaced.len()), Ok(1));
    }

    #[test]
    fn what_was_left_out_is_wanted_when_there_is_room_for_it() {
        let mut shares = full_of_alice();
        assert!(shares.admit(&id("alice", "more"), Rank::ConfigMap, MIB).is_err());
        assert_eq!(shares.next_left_out("ConfigMap", None), None);
        shares.remove(&id("alice", "7"));
        assert!(shares.has_room());
        assert_eq!(shares.next_left_out("ConfigMap", Some("bob")), None);
        assert_eq!(shares.next_left_out("ConfigMap", None), Some(id("alice", "more")));
        assert!(shares.admit(&id("alice", "more"), Rank::ConfigMap, MIB).is_ok());
        assert!(!shares.has_room() && shares.number_left_out("ConfigMap") == 0);
    }

    #[test]
    fn what_belongs_to_the_cluster_comes_first_and_stays() {
        let mut shares = full_of_alice();
        let runtime = |namespace: &str, name: &str| Id { kind: "Runtime", ..id(namespace, name) };
        for number in 0..32 {
            assert!(shares.admit(&runtime("alice", &number.to_string()), Rank::First, MIB).is_ok());
        }
        assert_eq!(shares.of(Rank::ConfigMap), MAX_BYTES - MAX_BYTES_OF_FIRST);
        assert!(shares.admit(&runtime("alice", "more"), Rank::First, MIB).is_err());
        for number in 0..40 {
            let admitted = shares.admit(&runtime("", &number.to_string()), Rank::First, MIB);
            assert_eq!(admitted.is_ok(), number < 32, "{number}");
        }
        assert!(shares.bytes() <= MAX_BYTES);
    }

    #[test]
    fn more_left_out_than_is_remembered_is_listed_again() {
        let mut shares = full_of_alice();
        for number in 0..=MOST_LEFT_OUT {
            assert!(shares.admit(&id("alice", &format!("x{number}")), Rank::ConfigMap, MIB).is_err());
        }
        assert!(!shares.is_forgetful("ConfigMap"), "there is no room");
        shares.remove(&id("alice", "1"));
        shares.remove(&id("alice", "2"));
        assert!(shares.is_forgetful("ConfigMap"));
        shares.remember("ConfigMap");
        assert!(!shares.is_forgetful("ConfigMap"));
    }
}
