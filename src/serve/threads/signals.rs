//! How connections are called while they wait for something else: to look for sessions that shall leave, to end when nothing
//! is under way, to end at once.
//!
//! Each has a bell of its own and registers its task there, which is a few instructions a wake-up; what all connections
//! wait on together would be a lock that they share.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::ids::ConnId;

/// What a bell is rung for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::serve) enum Ring {
    /// To look for sessions of their own that shall leave a coordinator. Over when it was answered.
    Look = 1,
    /// To end as soon as nothing is under way. For good.
    Drain = 2,
    /// To end. For good.
    Cut = 4,
}

/// The bells of all connections.
#[derive(Debug, Default)]
pub(in crate::serve) struct Bells {
    hung: Mutex<Hung>,
}

#[derive(Debug, Default)]
struct Hung {
    /// In their order: that in which connections are called is not left to chance.
    bells: BTreeMap<ConnId, Arc<Bell>>,
    /// What was rung for good: for those who come later, too.
    lasting: u8,
}

/// A connection's bell.
#[derive(Debug, Default)]
pub(in crate::serve) struct Bell {
    rung: AtomicU8,
    waker: AtomicWaker,
}

/// Keeps a connection's bell among the others until it is dropped.
#[derive(Debug)]
pub(in crate::serve) struct Hanging {
    bells: Arc<Bells>,
    conn: ConnId,
    pub(in crate::serve) bell: Arc<Bell>,
}

impl Bells {
    /// Calls all connections.
    pub(in crate::serve) fn ring(&self, ring: Ring) {
        let mut hung = self.hung.lock();
        if ring != Ring::Look {
            hung.lasting |= ring as u8;
        }
        for bell in hung.bells.values() {
            bell.ring(ring as u8);
        }
    }

    /// A bell for a connection.
    pub(in crate::serve) fn hang(self: &Arc<Self>, conn: ConnId) -> Hanging {
        let bell = Arc::new(Bell::default());
        let mut hung = self.hung.lock();
        bell.ring(hung.lasting);
        hung.bells.insert(conn, Arc::clone(&bell));
        Hanging { bells: Arc::clone(self), conn, bell }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let mut hung = self.bells.hung.lock();
        hung.bells.remove(&self.conn);
    }
}

impl Bell {
    fn ring(&self, rings: u8) {
        self.rung.fetch_or(rings, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Whether it was rung for this, and not answered since.
    pub(in crate::serve) fn is_rung(&self, ring: Ring) -> bool {
        self.rung.load(Ordering::Acquire) & ring as u8 != 0
    }

    /// Nobody needs to come for this any more.
    pub(in crate::serve) fn answer(&self, ring: Ring) {
        self.rung.fetch_and(!(ring as u8), Ordering::AcqRel);
    }

    /// Resolves while it is rung for this. Cancel-safe. It wakes one task, the one that waited last.
    pub(in crate::serve) fn rings(&self, ring: Ring) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            // Registered before it looks: what is rung in between is not missed.
            self.waker.register(cx.waker());
            if self.is_rung(ring) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    /// As [`Self::rings`], for a task that polls that in every wake-up: it is registered already.
    pub(in crate::serve) fn rings_besides(&self, ring: Ring) -> impl Future<Output = ()> {
        poll_fn(move |_| if self.is_rung(ring) { Poll::Ready(()) } else { Poll::Pending })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn who_waits_is_called_and_only_for_what_was_rung() {
        let bells = Arc::new(Bells::default());
        let hanging = bells.hang(ConnId(1));
        let bell = Arc::clone(&hanging.bell);
        let waiting = tokio::spawn(async move { bell.rings(Ring::Look).await });
        // Begun to wait.
        tokio::task::yield_now().await;
        bells.ring(Ring::Drain);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        bells.ring(Ring::Look);
        timeout(DEADLINE, waiting).await.expect("it was woken").unwrap();
        hanging.bell.answer(Ring::Look);
        assert!(!hanging.bell.is_rung(Ring::Look) && hanging.bell.is_rung(Ring::Drain));
    }

    #[tokio::test]
    async fn who_comes_later_is_told_of_what_lasts() {
        let bells = Arc::new(Bells::default());
        bells.ring(Ring::Look);
        bells.ring(Ring::Cut);
        let hanging = bells.hang(ConnId(1));
        timeout(DEADLINE, hanging.bell.rings(Ring::Cut)).await.expect("it is to end");
        assert!(!hanging.bell.is_rung(Ring::Look));
    }

    #[test]
    fn a_bell_is_taken_down_with_its_connection() {
        let bells = Arc::new(Bells::default());
        let (one, two) = (bells.hang(ConnId(1)), bells.hang(ConnId(2)));
        drop(one);
        assert_eq!(bells.hung.lock().bells.len(), 1);
        drop(two);
        assert!(bells.hung.lock().bells.is_empty());
    }
}
