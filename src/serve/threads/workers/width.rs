//! How many threads serve connections: as few as can do so without delay. Threads that have little to do each fall asleep and
//! are woken for every other call, which costs as much as the call itself; one that always has the next call at hand does
//! not.

use std::time::Duration;

/// A turn is how long a connection waits that has become ready: until those that were ready before it are served. If a
/// thread's turns are longer than this, twice as many threads serve what it serves.
const LONG_TURN: Duration = Duration::from_micros(300);
/// So many of the last four looks must find long turns: one may come of a thread that had to wait for a processor.
const CROWDED_LOOKS: u32 = 2;
/// Two threads whose turns together are shorter can be one.
const SHORT_TURN: Duration = Duration::from_micros(150);
/// So can two that together are busy for less than this share of the time, and not if they are for more: where connections
/// come at any time, turns are short until a thread is full, and then long at once.
const BUSY: f64 = 0.6;
/// Threads become fewer when so many looks in a row have found that they can: two seconds of them. A thread that begins to
/// serve takes up to one until it looks, and says until then what it found when it served before.
const CALM_LOOKS: u32 = 20;

/// What a look at a thread has found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Look {
    /// How long its turns are.
    pub turn: Duration,
    /// For which share of the time since the look before it was busy.
    pub busy: f64,
}

/// How many threads serve connections: a power of two, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width {
    /// So many.
    pub threads: usize,
    /// Which of the last looks found that they are too few: a bit for each, the last one's the lowest.
    crowded: u8,
    /// Looks in a row that found that half of them would do.
    calm: u32,
}

impl Width {
    /// So many threads, whatever looks have found so far.
    pub(crate) const fn of(threads: usize) -> Self {
        Self { threads, crowded: 0, calm: 0 }
    }

    /// What it is after another look at each of all threads that there are.
    pub(crate) fn next(self, looks: &[Look]) -> Self {
        let Self { threads, crowded, calm } = self;
        let used = looks.get(..threads).unwrap_or(looks);
        let is_crowded = used.iter().any(|look| look.turn > LONG_TURN);
        let crowded = (crowded << 1 | u8::from(is_crowded)) & 0b1111;
        if is_crowded {
            let more = (threads * 2).min(looks.len());
            let stays = crowded.count_ones() >= CROWDED_LOOKS;
            return if stays { Self::of(more) } else { Self { threads, crowded, calm: 0 } };
        }
        // Those with all threads of which there is no power of two come back to one.
        let half = threads.next_power_of_two() / 2;
        let (kept, left) = used.split_at(half.min(used.len()));
        let would_do = |(one, other): (&Look, &Look)| {
            one.turn.saturating_add(other.turn) < SHORT_TURN && one.busy + other.busy < BUSY
        };
        let calm = if kept.iter().zip(left).all(would_do) { calm.saturating_add(1) } else { 0 };
        if half > 0 && calm >= CALM_LOOKS { Self::of(half) } else { Self { threads, crowded, calm } }
    }
}

/// How long turns are that were found one after the other. Each counts for its length, as it does for connections that become
/// ready at any time in it: a lull is the time of nobody.
pub(crate) fn felt(turns: &[Duration]) -> Duration {
    let all = turns.iter().map(Duration::as_secs_f64).sum::<f64>().max(f64::MIN_POSITIVE);
    let felt = turns.iter().map(|turn| turn.as_secs_f64() * (turn.as_secs_f64() / all)).sum();
    Duration::from_secs_f64(felt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(turns: &[u64], busy: f64) -> Vec<Look> {
        turns.iter().map(|turn| Look { turn: Duration::from_micros(*turn), busy }).collect()
    }

    /// How many threads there are after so many looks that found these turns on threads that are hardly busy.
    fn after(times: u32, threads: usize, turns: &[u64]) -> usize {
        (0..times).fold(Width::of(threads), |width, _| width.next(&looks(turns, 0.1))).threads
    }

    #[test]
    fn threads_become_more_when_one_of_them_stays_crowded() {
        assert_eq!(after(CROWDED_LOOKS, 1, &[301, 0, 0, 0]), 2);
        assert_eq!(after(CROWDED_LOOKS, 2, &[10, 301, 0, 0]), 4);
        assert_eq!(after(CROWDED_LOOKS, 2, &[10, 301, 0]), 3);
        assert_eq!(after(9, 4, &[900, 900, 900, 900]), 4, "there are no more");
        assert_eq!(after(9, 1, &[900]), 1, "there is no other");
    }

    #[test]
    fn a_single_long_turn_is_not_a_crowd() {
        let mut width = Width::of(1);
        for times in 0..100 {
            width = width.next(&looks(&[if times % 4 == 0 { 50_000 } else { 300 }, 0], 1.0));
            assert_eq!(width.threads, 1);
        }
    }

    #[test]
    fn a_thread_that_is_crowded_every_other_time_is_a_crowd() {
        let found = [301, 0, 301].map(|turn| looks(&[turn, 0], 0.9));
        assert_eq!(found.iter().fold(Width::of(1), |width, found| width.next(found)).threads, 2);
    }

    #[test]
    fn what_goes_on_in_threads_that_serve_nothing_counts_for_nothing() {
        assert_eq!(after(99, 1, &[100, 9_000]), 1);
    }

    #[test]
    fn threads_become_fewer_after_a_while_when_half_of_them_would_do() {
        assert_eq!(after(CALM_LOOKS - 1, 4, &[70, 70, 70, 70]), 4);
        assert_eq!(after(CALM_LOOKS, 4, &[70, 70, 70, 70]), 2);
        assert_eq!(after(CALM_LOOKS, 3, &[70, 70, 70]), 2);
        assert_eq!(after(99, 7, &[0; 7]), 1);
        assert_eq!(after(99, 2, &[100, 60]), 2);
        let mut width = Width::of(2);
        for times in 0..100 {
            width = width.next(&looks(if times % 9 == 8 { &[100, 60] } else { &[0, 0] }, 0.0));
        }
        assert_eq!(width.threads, 2);
    }

    #[test]
    fn threads_stay_as_many_where_half_of_them_would_be_full() {
        let busy = |busy| (0..99).fold(Width::of(2), |width, _| width.next(&looks(&[30, 30], busy))).threads;
        assert_eq!((busy(0.31), busy(0.29)), (2, 1));
    }

    #[test]
    fn a_lull_is_not_taken_for_the_end_of_work() {
        let felt =
            |turns: &[u64]| felt(&turns.iter().copied().map(Duration::from_micros).collect::<Vec<_>>());
        assert!(felt(&[2_000, 2_000, 1, 1, 1, 1, 1, 1]) > Duration::from_micros(1_990));
        assert!(felt(&[20; 8]).abs_diff(Duration::from_micros(20)) < Duration::from_nanos(10));
        assert_eq!((felt(&[0; 8]), felt(&[])), (Duration::ZERO, Duration::ZERO));
    }
}
