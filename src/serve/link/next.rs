//! Chooses the next waiter when a port has room: cancels and closes first, then calls and new sessions in
//! turn.

use std::sync::Arc;

use parking_lot::MutexGuard;

use crate::clock;
use crate::cluster::room::{Purpose, Room};
use crate::net::stream::Stream;
use crate::serve::link::port::{Idle, LinkWanted, Port, State};
use crate::serve::link::session_queue::Waiter;
use crate::serve::link::slot::{Grant, here};

/// A waiter whose turn has come, with its grant. It is told after the port's lock is released: closing links
/// takes time, and dropping a grant that nobody receives takes the lock again.
struct Called<S: Stream> {
    waiter: Waiter<Grant<S>>,
    grant: Grant<S>,
    _closed: Vec<Idle<S>>,
}

impl<S: Stream> Port<S> {
    /// Serves waiters for as long as there is room.
    pub(crate) fn serve_waiters(self: &Arc<Self>) {
        self.serve_waiters_in(self.state.lock());
    }

    pub(super) fn serve_waiters_in(self: &Arc<Self>, mut state: MutexGuard<'_, State<S>>) {
        if state.relief.is_empty() && state.work.is_empty() && self.session_queue.is_empty() {
            return;
        }
        let mut called = Vec::new();
        while let Some(next) = self.next(&mut state) {
            called.push(next);
        }
        drop(state);
        for Called { waiter, grant, _closed } in called {
            // If the waiter is gone, its grant is dropped here, which serves the next one.
            drop(waiter.called.send(grant));
        }
    }

    /// Ends a connection that the coordinator has not answered, if a waiter could use its slot. Returns
    /// whether one was told to end. The waiter is served when that slot ends.
    pub(crate) fn make_room(&self) -> bool {
        let state = self.state.lock();
        let waiting = state.relief.len() + state.work.len() + self.session_queue.len();
        if !self.unanswered.could_give_way(waiting) || !self.somebody_waits(&state) {
            return false;
        }
        let told = self.unanswered.give_way(clock::now());
        drop(state);
        told.inspect(|one| one.notify_one()).is_some()
    }

    /// Whether one more free slot would serve a waiter.
    fn somebody_waits(&self, state: &State<S>) -> bool {
        let State { room, relief, work, .. } = state;
        relief.any(|one| room.wants_place(one.holder(), Purpose::Relief))
            || work.any(|one| room.wants_place(one.holder(), Purpose::Work))
            || self.takes_sessions()
                && self
                    .session_queue
                    .any(|one| self.is_untried(one) && room.wants_place(one.holder(), Purpose::Work))
    }

    fn next(self: &Arc<Self>, state: &mut State<S>) -> Option<Called<S>> {
        let (waiter, purpose) = self.next_waiter(state)?;
        let wanted = LinkWanted { holder: waiter.holder(), purpose, kind: waiter.kind, here: here() };
        let (grant, closed) = self.claim_in(state, wanted)?;
        Some(Called { waiter, grant, _closed: closed })
    }

    /// The next waiter to be served: cancels and closes first, because they make room, but never twice in a
    /// row while others wait; calls and new sessions in turn.
    fn next_waiter(&self, state: &mut State<S>) -> Option<(Waiter<Grant<S>>, Purpose)> {
        let State { room, relief, work, session_next, relief_was_next, .. } = state;
        let was_next = std::mem::take(relief_was_next);
        let mut first = || relief.next(|one| room.has_room(one.holder(), Purpose::Relief, one.kind));
        if !was_next && let Some(next) = first() {
            *relief_was_next = true;
            return Some((next, Purpose::Relief));
        }
        let mut call = || {
            if work.is_empty() {
                return None;
            }
            work.next(|one| room.has_room(one.holder(), Purpose::Work, one.kind))
        };
        let next = if *session_next {
            self.next_session(room).or_else(call)
        } else {
            call().or_else(|| self.next_session(room))
        };
        *session_next = !*session_next;
        match next {
            Some(next) => Some((next, Purpose::Work)),
            None if was_next => Some((first()?, Purpose::Relief)),
            None => None,
        }
    }

    fn next_session(&self, room: &Room<Idle<S>>) -> Option<Waiter<Grant<S>>> {
        if self.session_queue.is_empty() || !self.takes_sessions() {
            return None;
        }
        self.session_queue
            .next(|one| self.is_untried(one) && room.has_room(one.holder(), Purpose::Work, one.kind))
    }

    fn is_untried(&self, one: &Waiter<Grant<S>>) -> bool {
        !one.tried.contains(&self.coordinator.id)
    }

    /// Whether new sessions may go to this port's coordinator.
    pub(crate) fn takes_sessions(&self) -> bool {
        self.coordinator.is_wanted()
            && self.coordinator.ports.of(self.service).is_some()
            && self.coordinator.standing(self.service, clock::now()).is_fit()
    }
}
