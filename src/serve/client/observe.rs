//! Connections whose two sides prove themselves to each other by Kerberos. Without a key of its own the router
//! cannot take part in that, so it passes such a connection on to one coordinator, byte for byte, and reads
//! along: first the handshake, then calls and replies.
//!
//! What protects its payload with a layer, and what cannot be followed any more, is passed on unread from then
//! on.

mod overheard;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::cluster::{OpaqueCount, Opening};
use crate::ids::Depth;
use crate::metrics::ListenerMetrics;
use crate::net::relay::{Ended, Side};
use crate::net::stream::Stream;
use crate::serve::client::observe::overheard::{Overheard, Place};
use crate::serve::client::{Connection, note_depth};
use crate::serve::connections::Listed;
use crate::serve::link::slot::Slot;
use crate::serve::message::client::Client;
use crate::serve::message::end::End;
use crate::serve::settings::DRAIN_LOOK_INTERVAL;
use crate::serve::threads::alarm::Alarm;
use crate::serve::threads::signals::Signal;
use crate::session::table::Origin;
use crate::wire::dialogue::LostTrack;
use crate::wire::sasl::gssapi::{Choice, Handshake, Peer, Stage as Progress, is_wrapped};
use crate::wire::scan::ScanError;

/// Reads until the client's first token is in `pending`, behind its START. No coordinator is dialed before
/// that: impalad has two threads for all handshakes of a port, and a client that gets no ticket sends none.
///
/// # Errors
/// [`End::NoToken`], when the client closes the connection before that; [`End::BadHandshake`], when what it
/// sends is no handshake.
pub(super) async fn first_token<S: Stream>(client: &mut Client<S>) -> Result<(), End> {
    let (mut handshake, mut seen) = (Handshake::default(), 0);
    loop {
        let new = client.pending.get(seen..).unwrap_or_default();
        let pushed = handshake.push(Peer::Client, new);
        if handshake.has_first_token() {
            return Ok(());
        }
        seen += pushed?;
        if !client.more().await? {
            return Err(End::NoToken);
        }
    }
}

/// Reads along on one connection.
pub(super) struct Observer<S: Stream> {
    place: Arc<Place<S>>,
    counters: ListenerMetrics,
    listed: Arc<Listed>,
    stage: Stage<S>,
    /// How deep the connection is understood, once that was counted.
    depth: Option<Depth>,
    /// When a handshake takes too long, and then when to look again whether a drain may end the connection.
    alarm: Alarm,
    is_draining: bool,
    /// Why the router itself ends the connection.
    end: Option<End>,
}

/// How far the connection has come.
enum Stage<S: Stream> {
    Handshake {
        handshake: Handshake,
        opening: Opening,
    },
    /// One side has refused the other.
    Refused,
    Calls(Box<Overheard<S>>),
    /// It is not read any more.
    Unread {
        _counted: OpaqueCount,
    },
}

/// What an observer knows of a connection's end.
pub(super) enum Observed {
    /// This is how it ended.
    Ended(End),
    /// It ended as any connection might.
    NothingSpecial,
}

impl<S: Stream> Observer<S> {
    /// Creates one for a connection whose coordinator was dialed, before anything passes by.
    pub(super) fn new(connection: &Connection<S>, opening: Opening) -> Self {
        let place = Place {
            shared: Arc::clone(&connection.shared),
            fleet: Arc::clone(&connection.entrance.fleet),
            coordinator: Arc::clone(opening.coordinator()),
            address: connection.client.address,
            origin: Origin { client: connection.client.ip, listener: Arc::clone(&connection.entrance.name) },
        };
        Self {
            alarm: Alarm::after(place.shared.settings.handshake_timeout),
            place: Arc::new(place),
            counters: connection.counters.clone(),
            listed: Arc::clone(&connection.listed),
            stage: Stage::Handshake { handshake: Handshake::default(), opening },
            depth: None,
            is_draining: false,
            end: None,
        }
    }

    /// Reads what a side sent.
    pub(super) fn note_read(&mut self, slot: &mut Slot<S>, from: Side, bytes: &[u8]) {
        match &mut self.stage {
            Stage::Handshake { .. } => self.follow_handshake(slot, from, bytes),
            Stage::Calls(overheard) => {
                if let Err(lost) = overheard.hear(from, bytes) {
                    self.lose_track(&lost);
                } else if self.depth.is_none() && overheard.has_heard_call() {
                    self.note_depth(Depth::Observe);
                }
            }
            Stage::Refused | Stage::Unread { .. } => {}
        }
    }

    fn follow_handshake(&mut self, slot: &mut Slot<S>, from: Side, bytes: &[u8]) {
        let Stage::Handshake { handshake, .. } = &mut self.stage else { return };
        let peer = match from {
            Side::Client => Peer::Client,
            Side::Coordinator => Peer::Coordinator,
        };
        let rest = match handshake.push(peer, bytes) {
            Ok(used) => bytes.get(used..).unwrap_or_default(),
            Err(error) => return self.read_no_more(error),
        };
        match handshake.stage() {
            // No client is known that does not wait for the verdict.
            Progress::UnderWay(_) if !rest.is_empty() => self.read_no_more("frames before the verdict"),
            Progress::UnderWay(Peer::Client) => {
                self.alarm.reset(self.place.shared.settings.handshake_timeout);
            }
            Progress::UnderWay(Peer::Coordinator) => {}
            Progress::Refused(_) => self.stage = Stage::Refused,
            Progress::Complete => {
                self.begin_calls(slot);
                if !rest.is_empty() {
                    self.note_read(slot, from, rest);
                }
            }
        }
    }

    /// Both sides have proven who they are.
    fn begin_calls(&mut self, slot: &mut Slot<S>) {
        let begun = std::mem::replace(&mut self.stage, Stage::Refused);
        let Stage::Handshake { handshake, opening } = begun else { return };
        slot.prove();
        // From now on a break of the connection says something about the coordinator.
        let _counted_by_the_slot = slot.begin_life(self.place.coordinator.moves());
        self.place.coordinator.note_logged_in(slot.port.service);
        let choice = handshake.choice();
        if let Some(user) = choice.and_then(|choice| choice.authorization_id.as_deref()) {
            tracing::Span::current().record("user", user);
        }
        match choice {
            Some(Choice { layers, .. }) if !layers.are_none() => {
                tracing::debug!(qop = layers.as_str(), "a layer protects what follows");
                self.pass_on_unread();
            }
            _ => {
                let overheard = Overheard::new(&self.place, slot, opening.into_session());
                self.stage = Stage::Calls(Box::new(overheard));
            }
        }
    }

    fn lose_track(&mut self, lost: &LostTrack) {
        let is_first = matches!(&self.stage, Stage::Calls(overheard) if !overheard.has_heard_call());
        match lost {
            LostTrack::Message(ScanError::NotStrict { word })
                if is_first && is_wrapped(word.to_be_bytes()) =>
            {
                tracing::debug!("a layer protects what follows, although the handshake did not say so");
                self.pass_on_unread();
            }
            lost => self.read_no_more(lost),
        }
    }

    /// Says why the connection is not read any more.
    fn read_no_more(&mut self, cause: impl fmt::Display) {
        if let Some(left_out) = self.place.shared.admit_line("a Kerberos connection is not read any more", "")
        {
            tracing::info!(%cause, left_out, "a Kerberos connection is not read any more, only passed on");
        }
        self.pass_on_unread();
    }

    /// Forgets what is known of the connection: nobody would see it end.
    fn pass_on_unread(&mut self) {
        let counted = self.place.coordinator.count_opaque();
        if let Stage::Calls(overheard) =
            std::mem::replace(&mut self.stage, Stage::Unread { _counted: counted })
        {
            overheard.forget();
        }
        self.note_depth(Depth::Opaque);
    }

    fn note_depth(&mut self, depth: Depth) {
        if self.depth.is_none() {
            self.depth = Some(depth);
            note_depth(&self.counters, &self.listed, depth);
        }
    }

    /// Is ready when the router ends the connection: a client dawdles in its handshake, or the router drains
    /// and nothing is under way.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Stage::Handshake { handshake, .. } = &self.stage {
            while self.alarm.poll_rings(cx).is_ready() {
                if handshake.stage() == Progress::UnderWay(Peer::Client) {
                    self.end = Some(End::HandshakeTimedOut);
                    return Poll::Ready(());
                }
                self.alarm.reset(self.place.shared.settings.handshake_timeout);
            }
            return Poll::Pending;
        }
        let Stage::Calls(overheard) = &self.stage else { return Poll::Pending };
        if !self.listed.signals.is_set(Signal::Drain) {
            return Poll::Pending;
        }
        if overheard.is_idle() {
            self.end = Some(End::RouterShutdown);
            return Poll::Ready(());
        }
        // An operation may be closed on another connection.
        if !std::mem::replace(&mut self.is_draining, true) {
            self.alarm.reset(DRAIN_LOOK_INTERVAL);
        }
        while self.alarm.poll_rings(cx).is_ready() {
            self.alarm.reset(DRAIN_LOOK_INTERVAL);
        }
        Poll::Pending
    }

    /// Says what the end of the relay means here.
    pub(super) fn end_of(&mut self, slot: &mut Slot<S>, ended: &Ended) -> Observed {
        if let Some(end) = self.end.take() {
            return Observed::Ended(end);
        }
        match (&self.stage, ended.who) {
            (Stage::Refused, _) => Observed::Ended(End::CredentialsRefused),
            // impalad says no more than that.
            (Stage::Handshake { .. }, Side::Coordinator) if ended.error.is_none() => {
                Observed::Ended(End::CredentialsRefused)
            }
            (Stage::Handshake { .. }, Side::Client) if ended.error.is_none() => {
                Observed::Ended(End::ClientBroke { inside: "handshake" })
            }
            (Stage::Calls(overheard), Side::Coordinator) => {
                slot.note_broken();
                if !overheard.is_idle() {
                    self.place.fleet.doubt(&self.place.coordinator, slot.port.service);
                }
                Observed::NothingSpecial
            }
            _ => Observed::NothingSpecial,
        }
    }
}

impl<S: Stream> Drop for Observer<S> {
    fn drop(&mut self) {
        // Of a handshake that failed nobody knows what it would have come to.
        self.note_depth(Depth::Observe);
    }
}
