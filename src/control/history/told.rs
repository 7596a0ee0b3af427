//! What a history is told, and who tells it of the ends in a cluster.

use std::sync::Arc;
use std::time::Instant;

use super::queue::Queue;
use crate::clock;
use crate::control::view::VerbDone;
use crate::session::table::{self, EndedOperation, EndedSession, OperationEnd, SessionEnd};

/// What the history is told. Boxed, so that the queue is small.
#[derive(Debug)]
pub(super) enum Told {
    Session { cluster: Arc<str>, at: Instant, ended: Box<EndedSession> },
    Operation { cluster: Arc<str>, at: Instant, ended: Box<EndedOperation> },
    Verb { from: Instant, to: Instant, done: Box<VerbDone> },
}

/// Tells of the ends in one cluster.
#[derive(Debug)]
pub(super) struct OfCluster {
    pub(super) cluster: Arc<str>,
    pub(super) queue: Arc<Queue<Told>>,
}

impl OfCluster {
    fn tell(&self, told: Told, may_wait: bool) {
        if may_wait { self.queue.tell_in_time(told) } else { self.queue.tell(told) }
    }
}

impl table::History for OfCluster {
    fn session_ended(&self, session: EndedSession) {
        // What is left open is told of when no call is under way any more.
        let may_wait = session.end == SessionEnd::LeftOpen;
        let (cluster, at) = (Arc::clone(&self.cluster), clock::now());
        self.tell(Told::Session { cluster, at, ended: Box::new(session) }, may_wait);
    }

    fn operation_ended(&self, operation: EndedOperation) {
        let may_wait = operation.end == OperationEnd::LeftOpen;
        let (cluster, at) = (Arc::clone(&self.cluster), clock::now());
        self.tell(Told::Operation { cluster, at, ended: Box::new(operation) }, may_wait);
    }
}
