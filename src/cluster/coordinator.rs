//! One coordinator: where it is, what people, probes and experience say of it, and what it has to do.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::pki_types::ServerName;

use super::changes::Mark;
use super::condition::{Condition, News, Report, Standing};
use super::counts::Counts;
use super::demands::Step;
use super::drain::Drain;
use super::health::{Change, Finding, Health};
use super::load::{Figures, Load, Others, Own, Share};
use super::roster::Known;
use super::{AdminState, CoordinatorSettings, HealthSettings, Ports, SettingsError};
use crate::ids::{CoordinatorId, CoordinatorName, PerService, Service};

/// What a pick goes by besides own counts, read at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    pub(super) standing: Standing,
    pub(super) share: Share,
    pub(super) others: Others,
    /// What it failed at of late, and others did; see [`super::failures`].
    pub(super) failures: f64,
}

/// One coordinator of a cluster.
#[derive(Debug)]
pub struct Coordinator {
    /// What it is known by as long as the router runs.
    pub id: CoordinatorId,
    /// What people call it.
    pub name: CoordinatorName,
    /// A host name or an address literal. A name is resolved when it is dialed.
    pub host: String,
    /// Where it listens.
    pub ports: Ports,
    /// The name that its certificate must be for; `None` if it is reached without TLS.
    pub tls: Option<ServerName<'static>>,
    /// Never 0.
    weight: AtomicU32,
    /// For picks, which ask every coordinator; changed under the lock of `drain`.
    draining: AtomicBool,
    /// To be noted whenever something is changed that a pick goes by.
    pub(super) mark: Mark,
    drain: Mutex<Option<Drain>>,
    /// Whether it is drained for good; changed under the lock of `drain`.
    retires: AtomicBool,
    /// Since when people keep it out.
    ejected: Mutex<Option<Instant>>,
    pub(super) counts: Counts,
    settings: HealthSettings,
    condition: Mutex<Condition>,
    /// Whether something used the port.
    used: PerService<AtomicBool>,
    opens_without_login: AtomicBool,
    /// How often it came to be at another address.
    moves: AtomicU32,
}

impl Known for Coordinator {
    fn id(&self) -> CoordinatorId {
        self.id
    }
}

impl Coordinator {
    pub(super) fn new(
        id: CoordinatorId,
        settings: CoordinatorSettings,
        health: HealthSettings,
        mark: Mark,
    ) -> Result<Self, SettingsError> {
        let CoordinatorSettings { name, host, ports, tls, weight, state } = settings;
        if weight == 0 {
            return Err(SettingsError::ZeroWeight { name });
        }
        Ok(Self {
            id,
            name,
            host,
            ports,
            tls,
            weight: AtomicU32::new(weight),
            draining: AtomicBool::new(state == AdminState::Drain),
            mark,
            drain: Mutex::default(),
            retires: AtomicBool::new(false),
            ejected: Mutex::default(),
            counts: Counts::default(),
            settings: health,
            condition: Mutex::default(),
            used: PerService::default(),
            opens_without_login: AtomicBool::new(false),
            moves: AtomicU32::new(0),
        })
    }

    /// What people decided about it.
    pub fn state(&self) -> AdminState {
        if self.draining.load(Ordering::Relaxed) { AdminState::Drain } else { AdminState::Active }
    }

    /// Whether people want new sessions on it: it is neither drained nor ejected by them.
    pub fn is_wanted(&self) -> bool {
        self.state() == AdminState::Active && self.ejected_since().is_none()
    }

    /// Its share relative to the others.
    pub fn weight(&self) -> NonZeroU32 {
        NonZeroU32::new(self.weight.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN)
    }

    /// Picks go by this weight from now on.
    pub fn set_weight(&self, weight: NonZeroU32) {
        self.weight.store(weight.get(), Ordering::Relaxed);
        self.mark.note_change();
    }

    /// People take it out at once: it gets no new session, whatever probes find. What it has goes on, as on a
    /// coordinator that probes have ejected. Nothing changes if it is out already.
    pub fn eject(&self, now: Instant) {
        self.ejected.lock().get_or_insert(now);
        self.mark.note_change();
    }

    /// People do not keep it out any more: it gets its share gradually, as after any return. False if they did
    /// not keep it out.
    pub fn restore(&self, now: Instant) -> bool {
        let was_out = self.ejected.lock().take().is_some();
        if was_out {
            self.alter(|condition| condition.note_returned(now));
        }
        was_out
    }

    /// Since when people keep it out.
    pub fn ejected_since(&self) -> Option<Instant> {
        *self.ejected.lock()
    }

    /// It gets no new session any more; picks that are already made stand. A deadline that is asked for
    /// counts from now and takes the place of that of a drain under way; `usual` is that of a new drain
    /// without one.
    pub fn drain(&self, deadline: Option<Duration>, usual: Duration, now: Instant) {
        let mut drain = self.drain.lock();
        *drain = Some(Drain::asked(*drain, deadline, usual, now));
        self.draining.store(true, Ordering::Relaxed);
        self.mark.note_change();
    }

    /// It is drained as by [`Self::drain`], for good: it is about to be removed.
    pub fn retire(&self, deadline: Option<Duration>, usual: Duration, now: Instant) {
        self.retires.store(true, Ordering::Relaxed);
        self.drain(deadline, usual, now);
    }

    /// It gets new sessions again, unless it is about to be removed.
    pub fn resume(&self) {
        let mut drain = self.drain.lock();
        if self.retires.load(Ordering::Relaxed) {
            return;
        }
        *drain = None;
        self.draining.store(false, Ordering::Relaxed);
        self.mark.note_change();
    }

    /// The drain that is under way, or has reached its deadline; none of a coordinator that was drained from
    /// the first, until [`Self::drain`] begins its time.
    pub fn drain_under_way(&self) -> Option<Drain> {
        *self.drain.lock()
    }

    /// Whether the deadline of its drain has come since this was asked last.
    pub fn drain_ends(&self, now: Instant) -> bool {
        self.drain.lock().as_mut().is_some_and(|drain| drain.ends(now))
    }

    /// What it has to do for this router at the moment.
    pub fn load(&self) -> Load {
        self.counts.load()
    }

    /// Operations that this router has open there: minted and not closed.
    pub fn open_operations(&self) -> u32 {
        self.counts.open_operations()
    }

    /// Whether this router has nothing there: no session, open or being opened, and no operation.
    pub fn is_empty(&self) -> bool {
        let Load { open_sessions, running_operations, opens_in_progress } = self.load();
        [open_sessions, running_operations, opens_in_progress, self.open_operations()] == [0; 4]
    }

    /// Connections of this router that are passed on to it unread; each counts as a session, too.
    pub fn opaque_connections(&self) -> u32 {
        self.counts.opaque_connections()
    }

    /// What of a poll's figures would be ours now.
    pub fn own(&self) -> Own {
        self.counts.own()
    }

    /// What it has to do for others, as of the last poll; nothing while there is none.
    pub fn others(&self) -> Others {
        self.condition.lock().polled.others()
    }

    /// The figures of the last poll, and when they were taken.
    pub fn figures(&self) -> Option<(Figures, Instant)> {
        self.condition.lock().polled.latest()
    }

    /// Whether one of its ports takes new sessions in its turn, later, or last of all.
    pub fn standing(&self, service: Service, now: Instant) -> Standing {
        self.condition.lock().standing(service, now)
    }

    /// How much of its weight it takes on a port: all, except for `slow_start` after a return.
    pub fn share(&self, service: Service, now: Instant) -> Share {
        self.condition.lock().share(service, self.settings.slow_start, now)
    }

    /// [`Self::standing`], [`Self::share`] and [`Self::others`] at the price of one: a pick asks every
    /// coordinator.
    pub(super) fn outlook(&self, service: Service, now: Instant) -> Outlook {
        let mut condition = self.condition.lock();
        Outlook {
            standing: condition.standing(service, now),
            share: condition.share(service, self.settings.slow_start, now),
            others: condition.polled.others(),
            failures: condition.failures(service).recent(now),
        }
    }

    /// What is known of the health of a port.
    pub fn health(&self, service: Service) -> Health {
        self.condition.lock().health(service).clone()
    }

    /// Whether nothing answers on a port, as far as probes tell.
    pub fn is_silent(&self, service: Service) -> bool {
        self.condition.lock().health(service).is_silent(&self.settings.probe)
    }

    /// Since when it says that it is shutting down.
    pub fn quiescing_since(&self) -> Option<Instant> {
        self.condition.lock().quiescing_since()
    }

    /// Since when it says that its catalog is not ready.
    pub fn starting_since(&self) -> Option<Instant> {
        self.condition.lock().starting_since()
    }

    /// Which process answers: a number that changes when another one does. Sessions and operations of the
    /// former are gone.
    pub fn incarnation(&self) -> u32 {
        self.condition.lock().incarnation()
    }

    /// How often it came to be at another address: a link from before leads to the former one.
    pub fn moves(&self) -> u32 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Its name leads to another address than before, because it could not be reached where it was.
    pub fn note_moved(&self, now: Instant) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        self.alter(|condition| condition.note_moved(now));
    }

    /// When the last poll began that was told when the coordinator's process was started.
    pub fn told_start(&self) -> Option<Instant> {
        self.condition.lock().told_start()
    }

    /// Whether a poll that began at `moment` or later was told when the coordinator's process was started.
    pub fn told_start_since(&self, moment: Instant) -> bool {
        self.condition.lock().told_start().is_some_and(|told| told >= moment)
    }

    /// Whether anything used a port; one that nothing uses is not probed (Impala: Beeswax is off by default).
    pub fn is_used(&self, service: Service) -> bool {
        self.used.get(service).load(Ordering::Relaxed)
    }

    /// A port is used from now on.
    pub fn note_used(&self, service: Service) {
        self.used.get(service).store(true, Ordering::Relaxed);
    }

    /// Whether it was seen to open an HS2 session for a client without a login.
    pub fn opens_without_login(&self) -> bool {
        self.opens_without_login.load(Ordering::Relaxed)
    }

    /// It opened an HS2 session for a client that sent plain, unframed Thrift: a probe may do the same.
    pub fn note_opened_without_login(&self) {
        self.opens_without_login.store(true, Ordering::Relaxed);
    }

    /// Every change of the condition comes by here, so that none is missed by the picks.
    fn alter<T>(&self, change: impl FnOnce(&mut Condition) -> T) -> T {
        let changed = change(&mut self.condition.lock());
        self.mark.note_change();
        changed
    }

    /// Takes in what a probe of a port found; says what that changed.
    pub fn note_probe(&self, service: Service, finding: Finding, now: Instant) -> Option<Change> {
        self.alter(|condition| condition.note_probe(service, finding, &self.settings.probe, now))
    }

    /// Takes in what its web port says to a poll that began at `begun`; `own` is what was ours while it was
    /// asked. Returns what is new.
    pub fn note_report(&self, report: Report, own: Own, begun: Instant, now: Instant) -> Vec<News> {
        self.alter(|condition| condition.note_report(report, own, begun, now))
    }

    /// Its web port said nothing, or nothing of use.
    pub fn note_no_report(&self) -> Option<News> {
        self.alter(Condition::note_no_report)
    }

    /// A dial of a port was refused or timed out: the coordinator is tried last for that service, for 1 s,
    /// doubling up to 30 s with each failure after a pause.
    pub fn note_dial_failed(&self, service: Service, now: Instant) {
        self.alter(|condition| condition.cooling.note_dial_failed(service, now));
    }

    /// A dial of a port succeeded; says nothing about a shutdown, nor about what comes of logins and opens.
    pub fn note_dialed(&self, service: Service) {
        self.alter(|condition| condition.cooling.note_dialed(service));
    }

    /// A login got no verdict: silence, or what is no answer. Pauses as for failed dials. A close is a
    /// verdict (Impala: `TSaslTransport::doSaslNegotiation`), and so is every refusal:
    /// [`super::Cluster::note_failed`] is for those.
    pub fn note_login_unanswered(&self, service: Service, now: Instant) {
        self.alter(|condition| condition.cooling.note_login_unanswered(service, now));
    }

    /// It accepted somebody's credentials.
    pub fn note_logged_in(&self, service: Service) {
        self.alter(|condition| {
            condition.cooling.note_logged_in(service);
            condition.failures(service).note_done(Step::Login);
        });
    }

    /// It lost an open that another coordinator answered, or broke off a reply that said that a session is
    /// open: no client can bring that about. Pauses as for failed dials.
    pub fn note_open_lost(&self, service: Service, now: Instant) {
        self.alter(|condition| condition.cooling.note_open_lost(service, now));
    }

    /// It failed at what another coordinator did: that counts like load, and fades within minutes.
    pub(super) fn note_failed(&self, service: Service, step: Step, now: Instant) {
        self.alter(|condition| condition.failures(service).note(step, now));
    }

    /// How many sessions it opened, or logins it accepted.
    pub(super) fn done(&self, service: Service, step: Step) -> u64 {
        self.condition.lock().failures(service).done(step)
    }

    /// It refused new work with "Server is being shut down:"; pauses as for failed dials, until its web port
    /// knows better.
    pub fn note_shutting_down(&self, now: Instant) {
        self.alter(|condition| condition.cooling.note_shutting_down(now));
    }

    /// It opened a session, which disproves all that was noted against the port, and a shutdown.
    pub fn note_opened(&self, service: Service) {
        self.alter(|condition| {
            condition.cooling.note_opened(service);
            condition.failures(service).note_done(Step::Open);
        });
    }
}
