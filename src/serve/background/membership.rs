//! Adds coordinators to a fleet that serves, and removes them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock;
use crate::cluster::{AdminState, Coordinator, CoordinatorSettings, Drain, DrainThen, SettingsError};
use crate::ids::{CoordinatorId, Service};
use crate::net::stream::Stream;
use crate::serve::background::watching::Watchers;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::member::Member;
use crate::serve::shared::Shared;

/// How often to look whether anything is left on a coordinator that is being removed.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the cancelling of operations may take after the deadline of the drain.
pub const CANCEL_TIME: Duration = Duration::from_secs(5);
/// How long the coordinator's watchers may take to end: one may have to close the session of its probe.
pub const WATCHERS_TIME: Duration = Duration::from_secs(5);

impl<S: Stream> Fleet<S> {
    /// Adds a coordinator: it is watched and picked from now on.
    ///
    /// # Errors
    /// [`SettingsError`], when the name is taken, the weight is 0, or all ids are used up.
    pub fn add_coordinator(
        self: &Arc<Self>,
        settings: CoordinatorSettings,
        watchers: &Watchers<S>,
    ) -> Result<CoordinatorId, SettingsError> {
        let keep = |coordinator: &Arc<Coordinator>| {
            if coordinator.state() == AdminState::Drain {
                self.drain(coordinator, None);
            }
            let member = self.keep(Arc::clone(coordinator), &watchers.shared.metrics);
            watchers.watch(self, &member);
            member
        };
        let (_, member) = self.cluster.add(settings, keep)?;
        // The new coordinator may have handles that no other had, and it has room.
        self.lookups.forget_unknown();
        for service in Service::ALL {
            self.serve_waiters(service);
        }
        let coordinator = &member.coordinator;
        tracing::info!(cluster = %self.cluster.name, coordinator = %coordinator.name, "coordinator added");
        Ok(coordinator.id)
    }

    /// Removes a coordinator; false if there is none with this id.
    ///
    /// The coordinator is drained first: it gets no new session, and sessions that can move leave. When
    /// nothing is left there, at the latest at the deadline of the drain (with [`DrainThen::Cancel`]
    /// [`CANCEL_TIME`] later), it is forgotten, its watchers end, and the links to it are closed; a link in
    /// use is closed after its call. Sessions and operations that are still there are then lost, as with a
    /// coordinator that dies. `deadline` counts from now; `None` means the deadline of the drain under way,
    /// or the usual one. If this future is dropped, the coordinator stays drained, and this can be called
    /// again.
    pub async fn remove_coordinator(
        &self,
        id: CoordinatorId,
        deadline: Option<Duration>,
        shared: &Shared<S>,
    ) -> bool {
        let Some(member) = self.member(id) else { return false };
        let coordinator = &member.coordinator;
        coordinator.retire(deadline, self.draining.deadline, clock::now());
        self.emptied(coordinator).await;
        if self.members.remove(id).is_none() {
            // Somebody else removed it meanwhile.
            return false;
        }
        member.end();
        // Links that connections own are closed by those connections.
        shared.have_connections_look();
        tracing::info!(
            cluster = %self.cluster.name, coordinator = %coordinator.name,
            sessions = coordinator.load().open_sessions, open_operations = coordinator.open_operations(),
            "coordinator removed: what was still there is lost"
        );
        self.unwatched(&member).await;
        // Before another one may have its name.
        shared.metrics.forget_coordinator(&self.cluster.name, &coordinator.name);
        self.cluster.remove(id);
        true
    }

    /// Waits until nothing is left on a coordinator, but not for longer than its drain allows.
    async fn emptied(&self, coordinator: &Coordinator) {
        let after = match self.draining.then {
            DrainThen::Leave => Duration::ZERO,
            DrainThen::Cancel => CANCEL_TIME,
        };
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let is_over = |drain: Drain| clock::now() >= drain.deadline + after;
            if coordinator.is_empty() || coordinator.drain_under_way().is_none_or(is_over) {
                return;
            }
        }
    }

    /// Waits until a coordinator's watchers have ended, at most [`WATCHERS_TIME`].
    async fn unwatched(&self, member: &Member<S>) {
        member.watchers.close();
        let _in_time = timeout(WATCHERS_TIME, member.watchers.wait()).await;
    }
}
