//! What is told of sessions and operations when they end, to whoever keeps a history of them.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::end::{OperationEnd, SessionEnd};
use super::operation::OperationKind;
use super::session::Origin;
use crate::ids::{Access, CoordinatorId};
use crate::wire::facts::Guid;

/// Keeps a history. It is told of an end on the path of a call, so it must not wait.
pub trait History: fmt::Debug + Send + Sync {
    /// A session has ended. Each is told of once.
    fn session_ended(&self, session: EndedSession);

    /// An operation has ended. Each is told of once.
    fn operation_ended(&self, operation: EndedOperation);
}

/// Whose something was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Whoever was behind the session.
    pub access: Access,
    /// Of the connection that began to use the session last; `None` if no connection ever did.
    pub origin: Option<Arc<Origin>>,
}

/// A session that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSession {
    /// What its client knew it by.
    pub guid: Guid,
    /// Where it was last.
    pub coordinator: CoordinatorId,
    /// Where it was before it moved, each once, in the order of its first stay.
    pub earlier: Vec<CoordinatorId>,
    /// Whose it was.
    pub whose: Whose,
    /// Whether it was a session of Beeswax.
    pub is_beeswax: bool,
    /// Whether it was located, not opened here.
    pub is_located: bool,
    /// When it was opened, or located.
    pub since: Instant,
    /// How it ended.
    pub end: SessionEnd,
}

/// An operation that has ended: it was open until now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedOperation {
    /// What identified it.
    pub guid: Guid,
    /// Where it was.
    pub coordinator: CoordinatorId,
    /// `None` for one that was located.
    pub session: Option<Guid>,
    /// `None` for one that was located.
    pub whose: Option<Whose>,
    /// What minted it.
    pub kind: OperationKind,
    /// When it was minted, or located.
    pub since: Instant,
    /// How it ended.
    pub end: OperationEnd,
}
