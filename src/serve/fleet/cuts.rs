//! What ends the connections to a coordinator that are relayed unread.

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::ids::CoordinatorId;

/// What ends the connections to each coordinator that are passed on unread: nobody knows what is under way on them, so
/// there is nothing to be cancelled.
#[derive(Debug)]
pub(in crate::serve) struct Cuts(Vec<Mutex<CancellationToken>>);

impl Cuts {
    /// For so many coordinators.
    pub(in crate::serve) fn new(coordinators: usize) -> Self {
        Self((0..coordinators).map(|_| Mutex::default()).collect())
    }

    /// What ends a connection that begins now.
    pub(in crate::serve) fn of(&self, coordinator: CoordinatorId) -> CancellationToken {
        self.0.get(usize::from(coordinator.0)).map(|token| token.lock().clone()).unwrap_or_default()
    }

    /// Ends those that there are; later ones live.
    pub(in crate::serve) fn cut(&self, coordinator: CoordinatorId) {
        if let Some(token) = self.0.get(usize::from(coordinator.0)) {
            std::mem::take(&mut *token.lock()).cancel();
        }
    }
}
