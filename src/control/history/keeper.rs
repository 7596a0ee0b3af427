//! Keeps what it is told: the last records in memory, and all of them in a file, if there is one.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::file::{Lines, NotAdded};
use super::queue::{Queue, Taken};
use super::recent::Recent;
use super::told::Told;
use crate::clock;
use crate::control::view::{Period, Record};
use crate::ids::CoordinatorId;
use crate::metrics::{HistoryLoss, Per};

/// How often files that were kept for long enough are looked for when nothing else happens.
const TIDIED_EVERY: Duration = Duration::from_hours(1);
/// How many bytes are written at once, in whole lines.
const AT_ONCE: usize = 64 << 10;

/// Keeps records, on a thread of its own.
pub(super) struct Keeper<L> {
    pub(super) recent: Recent,
    /// `None` where records are only kept in memory.
    pub(super) lines: Option<L>,
    pub(super) lost: Per<HistoryLoss>,
    pub(super) troubles: Troubles,
}

/// What is wrong at the moment; each is said once when it begins and once when it is over.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// The records that were not written since that failed.
    not_written: Option<u64>,
    /// The records that were lost since too many came.
    too_many: Option<u64>,
}

/// The present moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) time_of_day: SystemTime,
}

impl Now {
    fn read() -> Self {
        Self { instant: clock::now(), time_of_day: clock::time_of_day() }
    }

    /// The time of day of a moment.
    fn at(self, moment: Instant) -> SystemTime {
        self.time_of_day - self.instant.saturating_duration_since(moment)
    }

    fn period(self, from: Instant, to: Instant) -> Period {
        Period { start: self.at(from), lasted: to.saturating_duration_since(from) }
    }
}

impl<L: Lines> Keeper<L> {
    /// Keeps what comes, until the queue is closed. `name` has the name of a coordinator of a cluster.
    pub(super) fn run(mut self, queue: &Queue<Told>, name: &dyn Fn(&str, CoordinatorId) -> String) {
        while let Some(taken) = queue.take(TIDIED_EVERY) {
            self.keep(taken, Now::read(), name);
        }
    }

    pub(super) fn keep(
        &mut self,
        taken: Taken<Told>,
        now: Now,
        name: &dyn Fn(&str, CoordinatorId) -> String,
    ) {
        let Taken { told, lost } = taken;
        self.note_too_many(lost as u64);
        if told.is_empty()
            && let Some(lines) = &mut self.lines
        {
            lines.tidy(now.time_of_day);
        }
        let records: Vec<_> = told.into_iter().map(|told| Arc::new(record(told, now, name))).collect();
        self.recent.keep(&records);
        self.write(&records, now.time_of_day);
    }

    fn write(&mut self, records: &[Arc<Record>], now: SystemTime) {
        let Some(lines) = &mut self.lines else { return };
        let (mut chunk, mut in_it, mut rest) = (Vec::new(), 0, records);
        while let Some((record, after)) = rest.split_first() {
            let begin = chunk.len();
            if serde_json::to_writer(&mut chunk, &**record).is_ok() {
                chunk.push(b'\n');
                in_it += 1;
            } else {
                chunk.truncate(begin);
            }
            rest = after;
            if chunk.len() < AT_ONCE && !rest.is_empty() {
                continue;
            }
            match lines.add(&chunk, now) {
                Ok(()) => self.troubles.note_written(),
                Err(not_added) => {
                    let whole = whole_lines(&chunk, &not_added);
                    // What fails now is not tried for each piece.
                    let lost = in_it - whole + rest.len() as u64;
                    self.troubles.note_not_written(lost, &not_added);
                    self.lost.add(HistoryLoss::NotWritten, lost);
                    return;
                }
            }
            chunk.clear();
            in_it = 0;
        }
    }

    fn note_too_many(&mut self, lost: u64) {
        let total = &mut self.troubles.too_many;
        match (&mut *total, lost) {
            (None, 0) => {}
            (None, _) => {
                *total = Some(lost);
                tracing::warn!("more ends at once than the history can keep: some are lost");
            }
            (Some(before), 0) => {
                tracing::info!(lost = *before, "the history has every end again");
                *total = None;
            }
            (Some(before), _) => *before += lost,
        }
    }
}

impl Troubles {
    fn note_written(&mut self) {
        if let Some(lost) = self.not_written.take() {
            tracing::info!(lost, "the history is written again");
        }
    }

    fn note_not_written(&mut self, lost: u64, not_added: &NotAdded) {
        if let Some(before) = &mut self.not_written {
            *before += lost;
        } else {
            self.not_written = Some(lost);
            let error = &not_added.why;
            tracing::error!(%error, "the history cannot be written: what ends is lost to its file until it can be");
        }
    }
}

fn whole_lines(chunk: &[u8], not_added: &NotAdded) -> u64 {
    let written = chunk.get(..not_added.written).unwrap_or_default();
    written.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

fn record(told: Told, now: Now, name: &dyn Fn(&str, CoordinatorId) -> String) -> Record {
    match told {
        Told::Session { cluster, at, ended } => {
            Record::of_session(&ended, &cluster, now.period(ended.since, at), |id| name(&cluster, id))
        }
        Told::Operation { cluster, at, ended } => {
            Record::of_operation(&ended, &cluster, now.period(ended.since, at), |id| name(&cluster, id))
        }
        Told::Verb { from, to, done } => Record::of_verb(*done, now.period(from, to)),
    }
}

#[cfg(test)]
mod tests;
