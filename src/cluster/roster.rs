//! The coordinators that belong to a fleet at the moment. They are looked up in every call and hardly ever
//! change, so a list is never changed in place: another one replaces it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::ids::CoordinatorId;

/// What is known by a coordinator's id.
pub trait Known {
    /// The id.
    fn id(&self) -> CoordinatorId;
}

/// All that were there at one moment, in the order of their ids.
pub type All<T> = Arc<Vec<Arc<T>>>;

/// One value for each coordinator that is there. To look one up writes nothing that threads share.
#[derive(Debug)]
pub struct Roster<T>(ArcSwap<Vec<Arc<T>>>);

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<T: Known> Roster<T> {
    /// All that are there now.
    pub fn all(&self) -> All<T> {
        self.0.load_full()
    }

    /// How many are there now.
    pub fn size(&self) -> usize {
        self.0.load().len()
    }

    /// The one with this id, if it is there now.
    pub fn get(&self, id: CoordinatorId) -> Option<Arc<T>> {
        let all = self.0.load();
        all.get(place_of(&all, id)?).cloned()
    }

    /// What `read` says of the one with this id, if it is there now.
    pub fn read<U>(&self, id: CoordinatorId, read: impl FnOnce(&T) -> U) -> Option<U> {
        let all = self.0.load();
        all.get(place_of(&all, id)?).map(|one| read(one))
    }

    /// One more. Of another with the same id only this one stays.
    pub fn add(&self, one: &Arc<T>) {
        let id = one.id();
        self.0.rcu(|all| {
            let mut more: Vec<_> = all.iter().filter(|other| other.id() != id).cloned().collect();
            more.insert(more.partition_point(|other| other.id() < id), Arc::clone(one));
            more
        });
    }

    /// One less, if it was there.
    pub fn remove(&self, id: CoordinatorId) -> Option<Arc<T>> {
        let before = self.0.rcu(|all| all.iter().filter(|one| one.id() != id).cloned().collect::<Vec<_>>());
        before.get(place_of(&before, id)?).cloned()
    }
}

/// Where the one with this id is in a list. At the place that its id says, as long as nobody has gone; never
/// behind that, as ids count up from 0.
pub(super) fn place_of<T: Known>(all: &[Arc<T>], id: CoordinatorId) -> Option<usize> {
    let first = usize::try_from(id.0).ok()?;
    if all.get(first).is_some_and(|one| one.id() == id) {
        return Some(first);
    }
    let before = all.get(..first).unwrap_or(all);
    before.binary_search_by_key(&id, |one| one.id()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Known for u32 {
        fn id(&self) -> CoordinatorId {
            CoordinatorId(*self)
        }
    }

    fn ids(all: &[Arc<u32>]) -> Vec<u32> {
        all.iter().map(|one| **one).collect()
    }

    #[test]
    fn a_list_that_was_taken_hold_of_does_not_change() {
        let roster = Roster::default();
        for id in [3, 9, 5] {
            roster.add(&Arc::new(id));
        }
        let before = roster.all();
        roster.remove(CoordinatorId(5));
        roster.add(&Arc::new(7));
        assert_eq!(ids(&before), [3, 5, 9]);
        assert_eq!(ids(&roster.all()), [3, 7, 9]);
    }

    #[test]
    fn each_is_found_by_its_id_as_long_as_it_is_there() {
        let roster = Roster::default();
        for id in [3, 9, 5] {
            roster.add(&Arc::new(id));
        }
        for id in [3, 5, 9] {
            assert_eq!(roster.get(CoordinatorId(id)).as_deref(), Some(&id));
            assert_eq!(roster.read(CoordinatorId(id), |one| one + 1), Some(id + 1));
        }
        assert_eq!(roster.remove(CoordinatorId(5)).as_deref(), Some(&5));
        assert_eq!((roster.get(CoordinatorId(5)), roster.remove(CoordinatorId(5))), (None, None));
        assert_eq!(ids(&roster.all()), [3, 9]);
    }
}
