//! The history: what sessions and operations were like that have ended, and what operators had done.
//!
//! Whoever tells of an end puts it into a bounded queue and goes on. A thread of its own makes records of it, has the
//! last of them in memory, for the API, and adds a line for each to a file, if the config names one. A disk that is
//! full or slow costs records, never the time of a call.

mod file;
mod keeper;
mod queue;
mod recent;
mod told;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use self::file::{HistoryError, examine};
use self::file::{HistoryFile, Lines};
use self::keeper::{Keeper, Troubles};
use self::queue::Queue;
use self::recent::Recent;
use self::told::{OfCluster, Told};
use super::config::HistoryConfig;
use super::view::{Record, VerbDone};
use crate::clock;
use crate::metrics::Metrics;
use crate::serve::fleet::Fleet;
use crate::session::table;

/// The history of a router.
#[derive(Clone, Debug)]
pub struct History {
    queue: Arc<Queue<Told>>,
    recent: Recent,
}

/// A history whose file is open, and which nobody keeps yet.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) history: History,
    file: Option<HistoryFile>,
}

/// Ends the keeping of a history when it is dropped; what was told until then is still kept.
#[derive(Debug)]
pub(super) struct Keeping {
    queue: Arc<Queue<Told>>,
    /// Cancelled once all is kept.
    ended: CancellationToken,
}

impl History {
    /// One that nobody keeps, so that all it is told is lost after a while.
    pub fn unkept(metrics: &Metrics) -> Self {
        Self { queue: Arc::new(Queue::new(metrics.history_lost.clone())), recent: Recent::default() }
    }

    /// Opens the file, if there is to be one.
    ///
    /// # Errors
    /// [`HistoryError`], when it cannot be a history's.
    pub(super) fn open(config: Option<&HistoryConfig>, metrics: &Metrics) -> Result<Opened, HistoryError> {
        let open = |config: &HistoryConfig| HistoryFile::open(config.clone(), clock::time_of_day());
        Ok(Opened { file: config.map(open).transpose()?, history: Self::unkept(metrics) })
    }

    /// The history of one cluster's sessions and operations.
    pub fn of_cluster(&self, cluster: &Arc<str>) -> Box<dyn table::History> {
        Box::new(OfCluster { cluster: Arc::clone(cluster), queue: Arc::clone(&self.queue) })
    }

    /// An operator had something done, which was asked for at `from`.
    pub fn note_verb(&self, from: Instant, done: VerbDone) {
        self.queue.tell(Told::Verb { from, to: clock::now(), done: Box::new(done) });
    }

    /// The last records, the newest first.
    pub fn recent(&self) -> Vec<Arc<Record>> {
        self.recent.all()
    }
}

impl Opened {
    /// Begins to keep what is told; the coordinators of these clusters have names.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn keep(self, fleets: Vec<Arc<Fleet>>, metrics: &Metrics) -> io::Result<(History, Keeping)> {
        let Self { history, file } = self;
        let History { queue, recent } = history.clone();
        let lost = metrics.history_lost.clone();
        let keeper = Keeper { recent, lines: file, lost, troubles: Troubles::default() };
        let keeping = Keeping { queue: Arc::clone(&queue), ended: CancellationToken::new() };
        run(keeper, queue, fleets, keeping.ended.clone())?;
        Ok((history, keeping))
    }
}

fn run(
    keeper: Keeper<impl Lines + Send + 'static>,
    queue: Arc<Queue<Told>>,
    fleets: Vec<Arc<Fleet>>,
    ended: CancellationToken,
) -> io::Result<()> {
    let work = move || {
        let name = |cluster: &str, coordinator| {
            let fleet = fleets.iter().find(|fleet| *fleet.cluster.name == *cluster);
            fleet.map(|fleet| fleet.name_of(coordinator)).unwrap_or_default()
        };
        let _ended = ended.drop_guard();
        keeper.run(&queue, &name);
    };
    thread::Builder::new().name("history".to_owned()).spawn(work).map(drop)
}

impl Keeping {
    /// Tells of what is open as left open, and waits until all is kept, or for as long as this at most.
    pub(super) async fn end(&self, fleets: &[Arc<Fleet>], patience: Duration) {
        let (fleets, queue) = (fleets.to_vec(), Arc::clone(&self.queue));
        // On a thread that may be left behind, because a disk may not answer.
        let last_words = move || {
            for fleet in &fleets {
                fleet.table.tell_left_open();
            }
            queue.close();
        };
        if thread::Builder::new().name("history-end".to_owned()).spawn(last_words).is_err() {
            self.queue.close();
        }
        let _in_time = timeout(patience, self.ended.cancelled()).await;
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.queue.close();
    }
}
