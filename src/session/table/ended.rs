//! Tells of sessions and operations that end.

use super::end::{OperationEnd, SessionEnd};
use super::history::{EndedOperation, EndedSession, History, Whose};
use super::operation::Open;
use super::session::Session;
use super::store::Table;
use crate::ids::CoordinatorId;
use crate::wire::facts::Guid;

impl Table {
    /// Tells this history of each session and operation that ends.
    #[must_use]
    pub fn with_history(self, history: Box<dyn History>) -> Self {
        Self { history: Some(history), ..self }
    }

    /// Whose a session is, if anybody wants to know when something of it ends.
    pub(super) fn whose(&self, session: &Session) -> Option<Whose> {
        self.history.is_some().then(|| session.whose())
    }

    /// The session is about to end like this; `None` if nobody wants to know, or that was told before.
    pub(super) fn ending(&self, guid: &Guid, session: &Session, end: SessionEnd) -> Option<EndedSession> {
        self.history.is_some().then(|| session.ending(*guid, end)).flatten()
    }

    pub(super) fn tell_session(&self, ended: Option<EndedSession>) {
        if let (Some(history), Some(ended)) = (&self.history, ended) {
            history.session_ended(ended);
        }
    }

    /// An operation that was open on a coordinator is so no more.
    pub(super) fn tell_operation(
        &self,
        guid: Guid,
        (coordinator, open): (CoordinatorId, &Open),
        whose: Option<Whose>,
        end: OperationEnd,
    ) {
        let Some(history) = &self.history else { return };
        let seen = if open.load.is_none() { Some(OperationEnd::Lost) } else { open.end };
        let (session, kind, since, end) = (open.session, open.kind, open.since, seen.unwrap_or(end));
        history.operation_ended(EndedOperation { guid, coordinator, session, whose, kind, since, end });
    }

    /// Tells of all that is open as left open: the router ends.
    #[expect(clippy::disallowed_methods, reason = "what was open is told of in no order")]
    pub fn tell_left_open(&self) {
        let guids: Vec<Guid> = self.operations.iter().map(|operation| *operation.key()).collect();
        for guid in guids {
            self.take_open(&guid, OperationEnd::LeftOpen);
        }
        let guids: Vec<Guid> = self.sessions.iter().map(|session| *session.key()).collect();
        for guid in guids {
            self.remove_session(&guid, SessionEnd::LeftOpen);
        }
    }
}

impl Session {
    fn whose(&self) -> Whose {
        Whose { access: self.usage.access.clone(), origin: self.usage.origin.clone() }
    }

    fn ending(&self, guid: Guid, end: SessionEnd) -> Option<EndedSession> {
        let usage = &*self.usage;
        Some(EndedSession {
            guid,
            coordinator: self.coordinator,
            earlier: usage.life.mobile().map(|mobile| mobile.earlier().to_vec()).unwrap_or_default(),
            whose: self.whose(),
            is_beeswax: self.secret.is_none(),
            is_located: usage.activity.was_located(),
            since: usage.activity.since(),
            end: usage.life.end(end)?,
        })
    }
}
