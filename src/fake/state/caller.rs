//! The caller of a request: its user, and the user in whose name it acts.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::fake::http::ReceivedHead;
use crate::ids::Service;

/// The caller of a call, and its connection.
pub(in crate::fake) struct Caller {
    pub(in crate::fake) service: Service,
    pub(in crate::fake) connection: u64,
    /// For whom its calls are.
    pub(in crate::fake) who: RefCell<Who>,
    /// The number of the call in the log.
    pub(in crate::fake) call: Cell<u64>,
    /// Whether the current call reached its handler, which means that its arguments could be read.
    pub(in crate::fake) reached: Cell<bool>,
    /// Whether a call on this connection ever had a session.
    pub(in crate::fake) had_session: Cell<bool>,
}

/// For whom the calls of a connection are (Impala: `ConnectionContext`). Over HTTP each request says that
/// anew; what it does not say stays.
#[derive(Clone, Debug, Default)]
pub(in crate::fake) struct Who {
    /// The authenticated name, if the port authenticates.
    pub(in crate::fake) user: Option<String>,
    /// The user of `?doAs=`.
    pub(in crate::fake) do_as: Option<String>,
    /// The head of the last request, if it came over HTTP.
    pub(in crate::fake) head: Option<Arc<ReceivedHead>>,
}

impl Caller {
    /// The authenticated name, if the port authenticates.
    pub(in crate::fake) fn user(&self) -> Option<String> {
        self.who.borrow().user.clone()
    }

    /// For whom it works, which is not asked without an authenticated name (Impala:
    /// `impala-hs2-server.cc` `OpenSession`).
    pub(in crate::fake) fn do_as(&self) -> Option<String> {
        let who = self.who.borrow();
        who.do_as.clone().filter(|name| !name.is_empty() && who.user.is_some())
    }
}
