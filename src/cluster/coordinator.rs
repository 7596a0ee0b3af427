//! One coordinator: where it is, what people and experience say of it, and what it has to do for us.
//!
//! Counts change only through guards, so that no way out of a call, a session or a connection can leak one.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::cooling::{Cooling, Standing};
use super::{AdminState, CoordinatorSettings, Ports, SettingsError};
use crate::ids::{CoordinatorId, CoordinatorName};

/// One coordinator of a cluster.
#[derive(Debug)]
pub struct Coordinator {
    /// Its place in the cluster's list.
    pub id: CoordinatorId,
    /// What people call it.
    pub name: CoordinatorName,
    /// A host name or an address literal, to be resolved at every dial.
    pub host: String,
    /// Where it listens.
    pub ports: Ports,
    /// Its share relative to the others.
    pub weight: NonZeroU32,
    draining: AtomicBool,
    counts: Counts,
    cooling: Mutex<Cooling>,
}

impl Coordinator {
    pub(super) fn new(id: CoordinatorId, settings: CoordinatorSettings) -> Result<Self, SettingsError> {
        let CoordinatorSettings { name, host, ports, weight, state } = settings;
        let Some(weight) = NonZeroU32::new(weight) else {
            return Err(SettingsError::ZeroWeight { name });
        };
        Ok(Self {
            id,
            name,
            host,
            ports,
            weight,
            draining: AtomicBool::new(state == AdminState::Drain),
            counts: Counts::default(),
            cooling: Mutex::default(),
        })
    }

    /// What people decided about it.
    pub fn state(&self) -> AdminState {
        if self.draining.load(Ordering::Relaxed) { AdminState::Drain } else { AdminState::Active }
    }

    /// Changes what people decided; picks that are already made stand.
    pub fn set_state(&self, state: AdminState) {
        self.draining.store(state == AdminState::Drain, Ordering::Relaxed);
    }

    /// What it has to do for this router at the moment.
    pub fn load(&self) -> Load {
        self.counts.load()
    }

    /// Counts an open that begins now and ends when the guard does.
    pub fn begin_open(self: &Arc<Self>) -> Opening {
        self.counts.opens_in_progress.fetch_add(1, Ordering::Relaxed);
        Opening { coordinator: Arc::clone(self) }
    }

    /// Counts a session (or a connection whose sessions cannot be seen) for as long as the guard lives.
    pub fn count_session(self: &Arc<Self>) -> SessionCount {
        self.counts.open_sessions.fetch_add(1, Ordering::Relaxed);
        SessionCount { coordinator: Arc::clone(self) }
    }

    /// Counts a running operation for as long as the guard lives.
    pub fn count_running(self: &Arc<Self>) -> RunningCount {
        self.counts.running_operations.fetch_add(1, Ordering::Relaxed);
        RunningCount { coordinator: Arc::clone(self) }
    }

    /// Whether it is tried in its turn or, since it took no sessions lately, last.
    pub fn standing(&self, now: Instant) -> Standing {
        self.cooling.lock().standing(now)
    }

    /// A dial was refused or timed out: it is tried last for 1 s, doubling up to 30 s with each failure after a pause.
    pub fn note_dial_failed(&self, now: Instant) {
        self.cooling.lock().note_dial_failed(now);
    }

    /// A dial succeeded; says nothing about a shutdown.
    pub fn note_dialed(&self) {
        self.cooling.lock().note_dialed();
    }

    /// It answered an `OpenSession` with "Server is being shut down:"; pauses as for failed dials.
    pub fn note_shutting_down(&self, now: Instant) {
        self.cooling.lock().note_shutting_down(now);
    }

    /// It opened a session, which disproves all of the above.
    pub fn note_opened(&self) {
        self.cooling.lock().note_opened();
    }
}

/// What one coordinator has to do for this router, read at one moment (each number by itself is exact).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Sessions, and connections that count as one.
    pub open_sessions: u32,
    /// Operations whose end was not seen.
    pub running_operations: u32,
    /// Opens sent or about to be sent, not yet answered.
    pub opens_in_progress: u32,
}

impl Load {
    /// The load in units of one running operation, divided by the weight; lower is better, 0.0 is idle.
    pub fn score(self, weight: NonZeroU32, idle_session_cost: f64) -> f64 {
        let busy = f64::from(self.running_operations) + f64::from(self.opens_in_progress);
        (busy + idle_session_cost * f64::from(self.open_sessions)) / f64::from(weight.get())
    }
}

/// The counters behind [`Load`]. Relaxed: they guard no other memory; picks see each other's because they hold a lock.
#[derive(Debug, Default)]
struct Counts {
    open_sessions: AtomicU32,
    running_operations: AtomicU32,
    opens_in_progress: AtomicU32,
}

impl Counts {
    fn load(&self) -> Load {
        Load {
            open_sessions: self.open_sessions.load(Ordering::Relaxed),
            running_operations: self.running_operations.load(Ordering::Relaxed),
            opens_in_progress: self.opens_in_progress.load(Ordering::Relaxed),
        }
    }
}

/// An open in progress, counted until this is dropped or becomes a session.
#[derive(Debug)]
#[must_use = "the open stops counting when this is dropped"]
pub struct Opening {
    coordinator: Arc<Coordinator>,
}

impl Opening {
    /// Where the session is being opened.
    pub fn coordinator(&self) -> &Arc<Coordinator> {
        &self.coordinator
    }

    /// The open succeeded: counts the session before it stops counting the open, so that at no moment neither counts.
    pub fn into_session(self) -> SessionCount {
        self.coordinator.count_session()
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.coordinator.counts.opens_in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A session, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the session stops counting when this is dropped"]
pub struct SessionCount {
    coordinator: Arc<Coordinator>,
}

impl SessionCount {
    /// Where the session is.
    pub fn coordinator(&self) -> &Arc<Coordinator> {
        &self.coordinator
    }
}

impl Drop for SessionCount {
    fn drop(&mut self) {
        self.coordinator.counts.open_sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A running operation, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the operation stops counting when this is dropped"]
pub struct RunningCount {
    coordinator: Arc<Coordinator>,
}

impl RunningCount {
    /// Where the operation runs.
    pub fn coordinator(&self) -> &Arc<Coordinator> {
        &self.coordinator
    }
}

impl Drop for RunningCount {
    fn drop(&mut self) {
        self.coordinator.counts.running_operations.fetch_sub(1, Ordering::Relaxed);
    }
}
