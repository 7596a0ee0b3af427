//! Counts each call of a connection once, however it ends.

use std::sync::Arc;

use crate::metrics::CallOutcome;
use crate::net::stream::Stream;
use crate::serve::shared::Shared;
use crate::wire::method::Method;

/// Counts the calls of a connection. A call that is under way when this is dropped counts as unanswered.
pub(crate) struct CallCount<S: Stream> {
    shared: Arc<Shared<S>>,
    under_way: Option<&'static Method>,
}

impl<S: Stream> CallCount<S> {
    /// Creates the count for a connection on which no call is under way.
    pub(crate) fn new(shared: Arc<Shared<S>>) -> Self {
        Self { shared, under_way: None }
    }

    /// Notes that a call begins.
    pub(crate) fn begin(&mut self, method: &'static Method) {
        self.under_way = Some(method);
    }

    /// Counts the call that is under way, which has ended.
    pub(crate) fn end(&mut self, outcome: CallOutcome) {
        if let Some(method) = self.under_way.take() {
            self.shared.calls.count(method.place(), outcome);
        }
    }
}

impl<S: Stream> Drop for CallCount<S> {
    fn drop(&mut self) {
        self.end(CallOutcome::Unanswered);
    }
}
