//! Sessions that operators want on another coordinator. A connection that uses such a session moves it, when it
//! is idle; whoever wanted that is told what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::ids::CoordinatorId;
use crate::wire::facts::Guid;

/// What came of a wish: where the session is, or why it did not move.
pub(crate) type Fulfilled = Result<CoordinatorId, String>;

/// The sessions that operators want elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes(Arc<Mutex<Open>>);

/// Those that are not fulfilled yet.
#[derive(Debug, Default)]
struct Open {
    /// How many there were. A wish is known by its number, as a session may be wanted elsewhere again.
    made: u64,
    wishes: BTreeMap<Guid, Wish>,
}

/// Where a session is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    number: u64,
    /// None: wherever the best coordinator is.
    pub(crate) to: Option<CoordinatorId>,
}

#[derive(Debug)]
struct Wish {
    wanted: Wanted,
    /// Whether a connection has begun to move it.
    begun: bool,
    told: oneshot::Sender<Fulfilled>,
}

/// A wish that was made. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Wished {
    wishes: Wishes,
    session: Guid,
    number: u64,
    /// What came of it.
    pub(crate) told: oneshot::Receiver<Fulfilled>,
}

impl Wishes {
    /// Whether nobody wants anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().wishes.is_empty()
    }

    /// Has a session moved by one of its connections. None if somebody has that done already.
    pub(crate) fn make(&self, session: Guid, to: Option<CoordinatorId>) -> Option<Wished> {
        let (told, telling) = oneshot::channel();
        let mut open = self.0.lock();
        if open.wishes.contains_key(&session) {
            return None;
        }
        open.made += 1;
        let number = open.made;
        open.wishes.insert(session, Wish { wanted: Wanted { number, to }, begun: false, told });
        Some(Wished { wishes: self.clone(), session, number, told: telling })
    }

    /// Whether a session is wanted elsewhere and no connection has begun to move it.
    pub(crate) fn is_waited_for(&self, session: &Guid) -> bool {
        self.0.lock().wishes.get(session).is_some_and(|wish| !wish.begun)
    }

    /// A connection begins to move a session. None if that is not wanted, or another connection does it.
    pub(crate) fn begin(&self, session: &Guid) -> Option<Wanted> {
        let mut open = self.0.lock();
        let wish = open.wishes.get_mut(session).filter(|wish| !wish.begun)?;
        wish.begun = true;
        Some(wish.wanted)
    }

    /// What came of a wish that was begun.
    pub(crate) fn end(&self, session: &Guid, wanted: Wanted, came: Fulfilled) {
        if let Some(wish) = self.take(session, wanted.number) {
            // Whoever wanted it may have given up.
            let _told = wish.told.send(came);
        }
    }

    /// Takes out this wish, and no later one for the same session.
    fn take(&self, session: &Guid, number: u64) -> Option<Wish> {
        let mut open = self.0.lock();
        open.wishes.get(session).filter(|wish| wish.wanted.number == number)?;
        open.wishes.remove(session)
    }

    /// The sessions that are to move.
    pub(crate) fn sessions(&self) -> Vec<Guid> {
        self.0.lock().wishes.keys().copied().collect()
    }
}

impl Drop for Wished {
    fn drop(&mut self) {
        let _given_up = self.wishes.take(&self.session, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Guid = [1; 16];
    const PLACE: CoordinatorId = CoordinatorId(2);

    #[test]
    fn one_connection_fulfils_a_wish_and_tells_of_it() {
        let all = Wishes::default();
        assert_eq!(all.begin(&SESSION), None);
        let mut one = all.make(SESSION, Some(PLACE)).unwrap();
        assert!(all.make(SESSION, None).is_none(), "somebody wants it moved already");
        let wanted = all.begin(&SESSION).unwrap();
        assert_eq!(wanted.to, Some(PLACE));
        assert_eq!(all.begin(&SESSION), None, "another connection does it");
        assert_eq!(all.sessions(), [SESSION]);
        all.end(&SESSION, wanted, Ok(PLACE));
        assert!(all.is_empty());
        assert_eq!(one.told.try_recv(), Ok(Ok(PLACE)));
    }

    #[test]
    fn a_wish_ends_when_nobody_waits_for_it_any_more_and_not_the_next_one() {
        let all = Wishes::default();
        let first = all.make(SESSION, None).unwrap();
        let begun = all.begin(&SESSION).unwrap();
        drop(first);
        assert!(all.is_empty());
        let mut second = all.make(SESSION, Some(PLACE)).unwrap();
        // The connection that began comes to an end.
        all.end(&SESSION, begun, Err("it is pinned".to_owned()));
        assert!(second.told.try_recv().is_err() && all.begin(&SESSION).is_some());
    }

    #[test]
    fn whoever_hears_of_a_wish_late_takes_back_no_later_one() {
        let all = Wishes::default();
        let first = all.make(SESSION, None).unwrap();
        all.end(&SESSION, all.begin(&SESSION).unwrap(), Ok(PLACE));
        let _second = all.make(SESSION, None).unwrap();
        drop(first);
        assert!(all.begin(&SESSION).is_some());
    }
}
