//! For whom the router opened a session under its own name. Coordinators see one user there for all, so a call
//! may go there only if the router knows the handle, its secret and its owner.

use std::sync::Arc;

use super::secret::same;
use super::store::Table;
use crate::ids::{Delegated, Identity};
use crate::wire::facts::{Guid, Handle};

impl Table {
    /// The user for whom the router opened a session. `None` if it is not known, the secret is another, or the
    /// session is not one of a user for whom the router speaks.
    pub fn delegated_session(&self, handle: &Handle) -> Option<Arc<Delegated>> {
        let session = self.sessions.get(&handle.guid)?;
        match &session.usage.access.identity {
            Identity::Delegated(owner) if same(session.secret.as_ref(), &handle.secret) => {
                Some(Arc::clone(owner))
            }
            _ => None,
        }
    }

    /// The same of an open operation: the owner is that of its session.
    pub fn delegated_operation(&self, operation: &Handle) -> Option<Arc<Delegated>> {
        self.delegated_owner(&self.session_of(operation)?)
    }

    /// The user for whom the router opened the session with this guid. Whoever asks must know that it is the
    /// session's.
    pub fn delegated_owner(&self, session: &Guid) -> Option<Arc<Delegated>> {
        match &self.sessions.get(session)?.usage.access.identity {
            Identity::Delegated(owner) => Some(Arc::clone(owner)),
            _ => None,
        }
    }
}
