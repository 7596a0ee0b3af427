//! Impala's checks of who may use a session, and how sessions end.

use std::time::{Duration, Instant};

use super::{Caller, Session, Tables};
use crate::clock;
use crate::fake::ids::{Id, identifier};
use crate::fake::refusal::Refusal;
use crate::idl::t_c_l_i_service::THandleIdentifier;

impl Tables {
    /// Impala's checks in its order: form, existence, secret, expiry, user (Impala: `impala-server.cc`
    /// `WithSession`). After that the connection belongs to the session.
    pub(in crate::fake) fn check_session(
        &mut self,
        caller: &Caller,
        handle: &THandleIdentifier,
    ) -> Result<Id, Refusal> {
        let id = identifier(handle)?;
        self.look(id);
        let session = self.sessions.get_mut(&id).ok_or(Refusal::UnknownSession(id))?;
        if !session.secret.matches(&handle.secret) {
            return Err(Refusal::UnknownSession(id));
        }
        session.admit(caller)?;
        Ok(id)
    }

    pub(in crate::fake) fn own_session(&self, caller: &Caller) -> Option<Id> {
        self.bound.get(&caller.connection).copied()
    }

    /// Closes the sessions that have been without a connection for too long, and schedules the next check.
    pub(super) fn sweep(&mut self, now: Instant, timeout: Duration) {
        let ends = |session: &Session| session.disconnected_at.and_then(|at| at.checked_add(timeout));
        let over = self.sessions.iter().filter(|(_, session)| ends(session).is_some_and(|end| end <= now));
        let over: Vec<_> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.close_session(id);
        }
        self.sweep_at = self.sessions.values().filter_map(ends).min();
    }

    pub(super) fn close_session(&mut self, id: Id) {
        drop(self.sessions.remove(&id));
        self.close_operations(id);
    }

    pub(in crate::fake) fn close_operations(&mut self, id: Id) {
        let operations: Vec<_> =
            self.operations.values().filter(|operation| operation.session == id).map(|it| it.id).collect();
        for operation in operations {
            self.unregister(operation);
        }
    }

    pub(super) fn executing(&self) -> usize {
        let now = clock::now();
        self.operations.values().filter(|operation| operation.is_executing(now)).count()
    }
}

impl Session {
    /// Checks expiry and user; after that the connection belongs to the session.
    pub(in crate::fake) fn admit(&mut self, caller: &Caller) -> Result<(), Refusal> {
        self.access()?;
        if let Some(user) = caller.user()
            && user != self.connected_user
        {
            return Err(Refusal::WrongUser { connection: user, session: self.connected_user.clone() });
        }
        self.connections.insert(caller.connection);
        self.disconnected_at = None;
        Ok(())
    }
}
