//! Which objects of a watch are gone: those that it brought, and that a new list of it does not have.

use std::collections::BTreeSet;

/// The objects that a watch brought.
#[derive(Debug)]
pub(crate) struct Listing<Id> {
    brought: BTreeSet<Id>,
    /// Those of the list in progress. `None` between lists, when every end is told.
    listed: Option<BTreeSet<Id>>,
}

impl<Id: Ord + Clone> Listing<Id> {
    /// Before the first list.
    pub(crate) const fn new() -> Self {
        Self { brought: BTreeSet::new(), listed: Some(BTreeSet::new()) }
    }

    /// A list begins.
    pub(crate) fn restarted(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// Notes an object that exists.
    pub(crate) fn applied(&mut self, id: &Id) {
        if let Some(listed) = &mut self.listed {
            listed.insert(id.clone());
        }
        self.brought.insert(id.clone());
    }

    /// Forgets an object.
    pub(crate) fn deleted(&mut self, id: &Id) {
        if let Some(listed) = &mut self.listed {
            listed.remove(id);
        }
        self.brought.remove(id);
    }

    /// The list is complete. Returns the objects that are gone, and forgets them.
    pub(crate) fn complete(&mut self) -> Vec<Id> {
        let listed = self.listed.take().unwrap_or_else(|| self.brought.clone());
        let gone = self.brought.difference(&listed).cloned().collect();
        self.brought = listed;
        gone
    }

    /// The watch ended. Returns all of its objects.
    pub(crate) fn end(&mut self) -> BTreeSet<Id> {
        std::mem::take(&mut self.brought)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_list_lacks_is_gone() {
        let mut listing = Listing::new();
        for id in ["kept", "deleted", "lost"] {
            listing.applied(&id);
        }
        assert!(listing.complete().is_empty());
        listing.deleted(&"deleted");
        listing.restarted();
        listing.applied(&"kept");
        listing.applied(&"new");
        assert_eq!(listing.complete(), ["lost"]);
        assert_eq!(listing.end(), BTreeSet::from(["kept", "new"]));
    }

    #[test]
    fn nothing_is_kept_of_objects_that_come_and_go_between_lists() {
        let mut listing = Listing::new();
        listing.complete();
        for id in 0..100 {
            listing.applied(&id);
            listing.deleted(&id);
        }
        assert!(listing.brought.is_empty() && listing.listed.is_none());
    }
}
