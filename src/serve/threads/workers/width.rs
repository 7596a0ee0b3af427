//! Decides how many threads serve connections: as few as can do so without delay. A thread with little to do
//! falls asleep and must be woken for every other call, which costs as much as the call itself; a thread that
//! always has the next call at hand stays awake.

use std::time::Duration;

/// The longest acceptable turn. A turn is how long a connection that has become ready waits until those that
/// were ready before it are served. If the turns of a thread are longer than this, twice as many threads
/// serve.
const LONG_TURN: Duration = Duration::from_micros(300);
/// How many of the last four looks must find long turns: a single one may only mean that the thread waited
/// for a processor.
const CROWDED_LOOKS: u32 = 2;
/// Two threads can become one if their turns together are shorter than this.
const SHORT_TURN: Duration = Duration::from_micros(150);
/// Two threads can become one only if together they are busy for less than this share of the time. Where
/// connections become ready at random, turns stay short until a thread is full, and then become long at once.
const BUSY: f64 = 0.6;
/// How many looks in a row (two seconds of them) must find that half of the threads are enough before their
/// number is halved. A thread that begins to serve takes up to a second until its first look; until then its
/// last look from when it served before is used.
const CALM_LOOKS: u32 = 20;

/// The load that a look has found at a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Look {
    /// How long the thread's turns are.
    pub turn: Duration,
    /// The share of the time since the look before in which the thread was busy, from 0 to 1.
    pub busy: f64,
}

/// The number of threads that serve connections: a power of two, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width {
    /// The number of threads, at least 1.
    pub threads: usize,
    /// A bit for each of the last looks, the latest being the lowest: whether that look found too few
    /// threads.
    crowded: u8,
    /// How many looks in a row found that half of the threads are enough.
    calm: u32,
}

impl Width {
    /// A width of this many threads, with no looks behind it.
    pub(crate) const fn of(threads: usize) -> Self {
        Self { threads, crowded: 0, calm: 0 }
    }

    /// The width after one more look at each of the threads, including those that do not serve.
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
        // If the number of all threads is not a power of two, halving returns to one.
        let half = threads.next_power_of_two() / 2;
        let (kept, left) = used.split_at(half.min(used.len()));
        let would_do = |(one, other): (&Look, &Look)| {
            one.turn.saturating_add(other.turn) < SHORT_TURN && one.busy + other.busy < BUSY
        };
        let calm = if kept.iter().zip(left).all(would_do) { calm.saturating_add(1) } else { 0 };
        if half > 0 && calm >= CALM_LOOKS { Self::of(half) } else { Self { threads, crowded, calm } }
    }
}

/// The mean of turns measured one after the other, weighted by their length. Connections become ready at any
/// time, so a turn twice as long delays twice as many; a lull delays none.
pub(crate) fn weighted_mean(turns: &[Duration]) -> Duration {
    let all = turns.iter().map(Duration::as_secs_f64).sum::<f64>().max(f64::MIN_POSITIVE);
    let mean = turns.iter().map(|turn| turn.as_secs_f64() * (turn.as_secs_f64() / all)).sum();
    Duration::from_secs_f64(mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(turns: &[u64], busy: f64) -> Vec<Look> {
        turns.iter().map(|turn| Look { turn: Duration::from_micros(*turn), busy }).collect()
    }

    /// How many threads serve after `times` looks that found these turns, on threads that are hardly busy.
    fn after(times: u32, threads: usize, turns: &[u64]) -> usize {
        (0..times).fold(Width::of(threads), |width, _| width.next(&looks(turns, 0.1))).threads
    }

    #[test]
    fn threads_become_more_when_one_of_them_stays_crowded() {
        assert_eq!(after(CROWDED_LOOKS, 1, &[301, 0, 0, 0]), 2);
        assert_eq!(after(CROWDED_LOOKS, 2, &[10, 301, 0, 0]), 4);
        assert_eq!(after(CROWDED_LOOKS, 2, &[10, 301, 0]), 3);
        assert_eq!(after(9, 4, &[900, 900, 900, 900]), 4, "there are only four");
        assert_eq!(after(9, 1, &[900]), 1, "there is only one");
    }

    #[test]
    fn a_single_long_turn_does_not_make_a_thread_crowded() {
        let mut width = Width::of(1);
        for times in 0..100 {
            width = width.next(&looks(&[if times % 4 == 0 { 50_000 } else { 300 }, 0], 1.0));
            assert_eq!(width.threads, 1);
        }
    }

    #[test]
    fn a_thread_with_long_turns_in_every_other_look_is_crowded() {
        let found = [301, 0, 301].map(|turn| looks(&[turn, 0], 0.9));
        assert_eq!(found.iter().fold(Width::of(1), |width, found| width.next(found)).threads, 2);
    }

    #[test]
    fn threads_that_do_not_serve_are_ignored() {
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
    fn threads_do_not_become_fewer_when_half_of_them_would_be_full() {
        let busy = |busy| (0..99).fold(Width::of(2), |width, _| width.next(&looks(&[30, 30], busy))).threads;
        assert_eq!((busy(0.31), busy(0.29)), (2, 1));
    }

    #[test]
    fn a_lull_does_not_shorten_the_mean_turn() {
        let mean = |turns: &[u64]| {
            weighted_mean(&turns.iter().copied().map(Duration::from_micros).collect::<Vec<_>>())
        };
        assert!(mean(&[2_000, 2_000, 1, 1, 1, 1, 1, 1]) > Duration::from_micros(1_990));
        assert!(mean(&[20; 8]).abs_diff(Duration::from_micros(20)) < Duration::from_nanos(10));
        assert_eq!((mean(&[0; 8]), mean(&[])), (Duration::ZERO, Duration::ZERO));
    }
}
