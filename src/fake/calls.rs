//! The calls that a coordinator received, for assertions.

use std::collections::VecDeque;
use std::sync::Arc;

use super::http::ReceivedHead;
use super::ids::Id;
use crate::ids::Service;

/// How many calls are remembered.
const LIMIT: usize = 100_000;

/// One call as it arrived. Statement texts, passwords and secrets are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedCall {
    /// The port that it came through.
    pub service: Service,
    /// Its name on the wire.
    pub method: String,
    /// The session in its handle, known once the call was executed; for Beeswax the connection's own.
    pub session: Option<Id>,
    /// The operation in its handle, or the one that it began.
    pub operation: Option<Id>,
    /// The number of its connection, counted from 1 for each coordinator.
    pub connection: u64,
    /// The user that the connection, or over HTTP the last request, authenticated as.
    pub user: Option<String>,
    /// The user of `?doAs=`, as far as it counts.
    pub do_as: Option<String>,
    /// The head of the request that came last, if it came over HTTP.
    pub head: Option<Arc<ReceivedHead>>,
    /// Whether it reached the service. Calls of unknown methods do not, nor do calls with
    /// [`super::Fault::DropBefore`].
    pub executed: bool,
}

/// The last calls, oldest first.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    first: u64,
    calls: VecDeque<ReceivedCall>,
}

impl CallLog {
    /// Adds a call and returns its number, with which details can be added later.
    pub(super) fn push(&mut self, call: ReceivedCall) -> u64 {
        if self.calls.len() == LIMIT {
            self.calls.pop_front();
            self.first += 1;
        }
        self.calls.push_back(call);
        self.first + self.calls.len() as u64 - 1
    }

    pub(super) fn entry(&mut self, number: u64) -> Option<&mut ReceivedCall> {
        self.calls.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn to_vec(&self) -> Vec<ReceivedCall> {
        self.calls.iter().cloned().collect()
    }
}
