//! Places for connections of one kind. When all are taken, the oldest connection loses its place to the next
//! one, so that slow or silent clients keep nobody out. But every connection keeps its place for a moment
//! ([`GRACE`]), so that a crowd that comes at once does not push out requests that are just being read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::clock;

/// How long a connection keeps its place in any case. A request that was already sent is read and answered
/// within this time.
const GRACE: Duration = Duration::from_millis(100);

/// A limited number of places, and the connections that hold them.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
    /// Notified when a place becomes free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// In the order in which the places were taken.
    holders: BTreeMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    since: Instant,
    evicted: CancellationToken,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default(), freed: Notify::new() })
    }

    /// Takes a free place, or that of the oldest connection once its [`GRACE`] is over. `evicted` is
    /// cancelled when the place is given to another connection; the caller then has to close its own.
    /// Cancel-safe.
    pub(super) async fn take(self: &Arc<Self>, evicted: &CancellationToken) -> Place {
        loop {
            // `notified` keeps a permit of a place that is freed before it is polled, so none is missed.
            let freed = self.freed.notified();
            let free_at = match self.try_take(evicted, clock::now()) {
                Ok(place) => return place,
                Err(free_at) => free_at,
            };
            tokio::select! {
                biased;
                () = freed => {}
                () = sleep_until(free_at.into()) => {}
            }
        }
    }

    /// # Errors
    /// When no place is free and the oldest connection is within its grace; the error is the end of that
    /// grace.
    fn try_take(self: &Arc<Self>, evicted: &CancellationToken, now: Instant) -> Result<Place, Instant> {
        let mut taken = self.taken.lock();
        if taken.holders.len() >= self.most
            && let Some(oldest) = taken.holders.first_entry()
        {
            let free_at = oldest.get().since + GRACE;
            if now < free_at {
                return Err(free_at);
            }
            oldest.remove().evicted.cancel();
        }
        let number = taken.next;
        taken.next += 1;
        taken.holders.insert(number, Holder { since: now, evicted: evicted.clone() });
        drop(taken);
        Ok(Place { of: Arc::clone(self), number })
    }
}

/// A place that is held until it is dropped or given to another connection.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Places>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        // It is no longer there if it was given to another connection.
        if self.of.taken.lock().holders.remove(&self.number).is_some() {
            self.of.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_once_it_has_had_its_moments() {
        let (places, now) = (Places::new(2), clock::now());
        let ends: [CancellationToken; 3] = Default::default();
        let first = places.try_take(&ends[0], now).unwrap();
        let second = places.try_take(&ends[1], now + Duration::from_millis(1)).unwrap();
        assert_eq!(places.try_take(&ends[2], now + GRACE / 2).unwrap_err(), now + GRACE);
        assert!(!ends[0].is_cancelled());
        let _third = places.try_take(&ends[2], now + GRACE).unwrap();
        assert!(ends[0].is_cancelled() && !ends[1].is_cancelled());
        drop(first);
        let later = CancellationToken::new();
        assert!(places.try_take(&later, now + GRACE).is_err(), "its place is the third one's");
        drop(second);
        assert!(places.try_take(&later, now + GRACE).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_next_when_one_leaves_and_need_not_wait_for_the_oldest() {
        let (places, start) = (Places::new(1), clock::now());
        let ends: [CancellationToken; 3] = Default::default();
        let first = places.take(&ends[0]).await;
        let (waiting, end) = (Arc::clone(&places), ends[1].clone());
        let next = tokio::spawn(async move { waiting.take(&end).await });
        tokio::task::yield_now().await;
        drop(first);
        let _second = next.await.unwrap();
        assert_eq!(clock::now(), start);
        let _third = places.take(&ends[2]).await;
        assert_eq!(clock::now(), start + GRACE);
        assert!(ends[1].is_cancelled());
    }
}
