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
pub(crate) struct Wishes(Arc<Mutex<BTreeMap<Guid, Wish>>>);

/// Where a session is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// None: wherever the best coordinator is.
    pub(crate) to: Option<CoordinatorId>,
}

#[derive(Debug)]
struct Wish {
    to: Option<CoordinatorId>,
    /// Whether a connection has begun to move it.
    begun: bool,
    told: oneshot::Sender<Fulfilled>,
}

/// A wish that was made. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Wished {
    wishes: Wishes,
    session: Guid,
    /// What came of it.
    pub(crate) told: oneshot::Receiver<Fulfilled>,
}

impl Wishes {
    /// Whether nobody wants anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Has a session moved by one of its connections. None if somebody has that done already.
    pub(crate) fn make(&self, session: Guid, to: Option<CoordinatorId>) -> Option<Wished> {
        let (told, telling) = oneshot::channel();
        let mut wishes = self.0.lock();
        if wishes.contains_key(&session) {
            return None;
        }
        wishes.insert(session, Wish { to, begun: false, told });
        Some(Wished { wishes: self.clone(), session, told: telling })
    }

    /// A connection begins to move a session. None if that is not wanted, or another connection does it.
    pub(crate) fn begin(&self, session: &Guid) -> Option<Wanted> {
        let mut wishes = self.0.lock();
        let wish = wishes.get_mut(session).filter(|wish| !wish.begun)?;
        wish.begun = true;
        Some(Wanted { to: wish.to })
    }

    /// What came of a wish.
    pub(crate) fn end(&self, session: &Guid, came: Fulfilled) {
        if let Some(wish) = self.0.lock().remove(session) {
            // Whoever wanted it may have given up.
            let _told = wish.told.send(came);
        }
    }

    /// The sessions that are to move.
    pub(crate) fn sessions(&self) -> Vec<Guid> {
        self.0.lock().keys().copied().collect()
    }
}

impl Drop for Wished {
    fn drop(&mut self) {
        self.wishes.0.lock().remove(&self.session);
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
        assert_eq!(all.begin(&SESSION), Some(Wanted { to: Some(PLACE) }));
        assert_eq!(all.begin(&SESSION), None, "another connection does it");
        assert_eq!(all.sessions(), [SESSION]);
        all.end(&SESSION, Ok(PLACE));
        assert!(all.is_empty());
        assert_eq!(one.told.try_recv(), Ok(Ok(PLACE)));
    }

    #[test]
    fn a_wish_ends_when_nobody_waits_for_it_any_more() {
        let all = Wishes::default();
        drop(all.make(SESSION, None).unwrap());
        assert!(all.is_empty());
        // A connection may have begun.
        all.end(&SESSION, Err("it is pinned".to_owned()));
    }
}
