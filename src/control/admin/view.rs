//! What the admin port shows.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::serve::fleet::Fleet;

/// What the admin port shows.
#[derive(Clone, Debug)]
pub struct View {
    /// Exposed at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the router starts to drain, which makes `/healthz` answer 503.
    pub draining: CancellationToken,
    /// Shown and drained below `/api/v1`.
    pub fleets: Vec<Arc<Fleet>>,
}
