//! What was told of ends and is not kept yet.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::metrics::{HistoryLoss, Per};

/// How many may wait to be kept. More are lost. Each takes some 200 bytes.
pub(super) const MOST_WAITING: usize = 8192;
/// So many are kept at once, without collecting more.
const ENOUGH: usize = MOST_WAITING / 2;
/// How long records are collected, once there is one, so that whoever tells of an end seldom has to wake the keeper.
const COLLECTED_FOR: Duration = Duration::from_millis(50);

/// A bounded queue. To tell never waits, except for the lock, which nobody holds for longer than to exchange a list.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    /// There is something to keep, or nothing will come any more.
    news: Condvar,
    /// There is room again.
    room: Condvar,
    lost: Per<HistoryLoss>,
}

#[derive(Debug)]
struct Waiting<T> {
    told: Vec<T>,
    is_closed: bool,
    /// How many were lost since somebody last took.
    lost: usize,
}

/// What somebody has taken out of the queue.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub(super) told: Vec<T>,
    /// How many were lost since the last time.
    pub(super) lost: usize,
}

impl<T> Queue<T> {
    pub(super) fn new(lost: Per<HistoryLoss>) -> Self {
        let waiting = Waiting { told: Vec::new(), is_closed: false, lost: 0 };
        Self { waiting: Mutex::new(waiting), news: Condvar::new(), room: Condvar::new(), lost }
    }

    /// Tells of something; it is lost, and counted, if too much waits.
    pub(super) fn tell(&self, what: T) {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed || waiting.told.len() >= MOST_WAITING {
            waiting.lost += 1;
            drop(waiting);
            self.lost.count(HistoryLoss::TooMany);
            return;
        }
        waiting.told.push(what);
        let wakes = [1, ENOUGH].contains(&waiting.told.len());
        drop(waiting);
        if wakes {
            self.news.notify_one();
        }
    }

    /// As [`Self::tell`], but waits for room.
    pub(super) fn tell_in_time(&self, what: T) {
        let mut waiting = self.waiting.lock();
        self.room
            .wait_while(&mut waiting, |waiting| !waiting.is_closed && waiting.told.len() >= MOST_WAITING);
        drop(waiting);
        self.tell(what);
    }

    /// Waits until there is something, and a moment longer to have more of it; gives up after `patience`. `None`
    /// once the queue is closed and nothing is left.
    pub(super) fn take(&self, patience: Duration) -> Option<Taken<T>> {
        let mut waiting = self.waiting.lock();
        let is_idle = |waiting: &mut Waiting<T>| waiting.told.is_empty() && !waiting.is_closed;
        let in_vain = self.news.wait_while_for(&mut waiting, is_idle, patience).timed_out();
        if !in_vain {
            let may_collect = |waiting: &mut Waiting<T>| !waiting.is_closed && waiting.told.len() < ENOUGH;
            self.news.wait_while_for(&mut waiting, may_collect, COLLECTED_FOR);
        }
        if waiting.is_closed && waiting.told.is_empty() && waiting.lost == 0 {
            return None;
        }
        let (told, lost) = (std::mem::take(&mut waiting.told), std::mem::take(&mut waiting.lost));
        drop(waiting);
        self.room.notify_all();
        Some(Taken { told, lost })
    }

    /// Nothing is taken in any more.
    pub(super) fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.news.notify_all();
        self.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::metrics::Metrics;

    const LONG: Duration = Duration::from_mins(10);

    fn queue() -> (Metrics, Arc<Queue<usize>>) {
        let metrics = Metrics::new();
        let queue = Arc::new(Queue::new(metrics.history_lost.clone()));
        (metrics, queue)
    }

    #[test]
    fn nobody_waits_when_nobody_takes_and_what_is_lost_is_counted() {
        let (metrics, queue) = queue();
        // Were this to wait for room, it would wait for ever.
        (0..MOST_WAITING + 100).for_each(|number| queue.tell(number));
        let Taken { told, lost } = queue.take(LONG).unwrap();
        assert_eq!((told.len(), lost), (MOST_WAITING, 100));
        assert_eq!(told, (0..MOST_WAITING).collect::<Vec<_>>(), "the oldest are kept, in order");
        let text = metrics.render().unwrap();
        assert!(text.contains("hs2router_history_lost_total{cause=\"too_many\"} 100"), "{text}");
        queue.close();
        assert!(queue.take(LONG).is_none());
    }

    #[test]
    fn what_waits_when_the_queue_is_closed_is_still_taken() {
        let (_, queue) = queue();
        queue.tell(1);
        queue.close();
        queue.tell(2);
        assert_eq!(queue.take(LONG).map(|taken| (taken.told, taken.lost)), Some((vec![1], 1)));
        assert!(queue.take(LONG).is_none());
    }

    #[test]
    fn a_keeper_that_waited_hears_of_the_first_and_who_may_wait_loses_nothing() {
        const ALL: usize = 3 * MOST_WAITING;
        let (_, queue) = queue();
        let (taking, teller) = (Arc::clone(&queue), Arc::clone(&queue));
        let keeper = thread::spawn(move || {
            let taken = std::iter::from_fn(|| taking.take(LONG));
            taken.fold((0, 0), |(told, lost), taken| (told + taken.told.len(), lost + taken.lost))
        });
        thread::spawn(move || (0..ALL).for_each(|number| teller.tell_in_time(number))).join().unwrap();
        queue.close();
        assert_eq!(keeper.join().unwrap(), (ALL, 0));
    }

    #[test]
    fn somebody_looks_up_from_time_to_time_when_nothing_happens() {
        let (_, queue) = queue();
        let taken = queue.take(Duration::from_millis(1)).unwrap();
        assert_eq!((taken.told.len(), taken.lost), (0, 0));
    }
}
