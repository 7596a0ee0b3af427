//! What the task that polls a coordinator's web port, and those who wait for what it says, tell each other.

use tokio::sync::Notify;

use crate::net::host::Host;

/// One coordinator's watchers.
#[derive(Debug)]
pub(in crate::serve) struct Watched {
    /// Where it is, for all who dial it.
    pub(in crate::serve) host: Host,
    pub(in crate::serve) poll: Notify,
    /// A poll has ended.
    pub(in crate::serve) polled: Notify,
}

impl Watched {
    /// A coordinator that nobody has dialed yet.
    pub(in crate::serve) fn at(host: &str) -> Self {
        Self { host: host.into(), poll: Notify::new(), polled: Notify::new() }
    }
}
