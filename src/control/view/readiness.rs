//! Whether new clients are to be sent to this router.

use std::time::Instant;

use serde::Serialize;

use crate::control::rotation::Rotation;

/// What `/readyz` says while all is well.
const OK: &str = "ok";

/// Whether load balancers are to send new clients.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Readiness {
    rotation: &'static str,
    /// In seconds.
    out_for: Option<f64>,
    /// What `/readyz` says.
    pub readyz: &'static str,
}

impl Readiness {
    /// Looks at what people want, and whether the router was told to stop.
    pub fn of(rotation: &Rotation, is_draining: bool, now: Instant) -> Self {
        let out_since = rotation.out_since();
        let readyz = match out_since {
            _ if is_draining => "draining",
            Some(_) => "out of rotation",
            None => OK,
        };
        Self {
            rotation: if out_since.is_some() { "out" } else { "in" },
            out_for: out_since.map(|since| now.saturating_duration_since(since).as_secs_f64()),
            readyz,
        }
    }

    /// Whether new clients are wanted.
    pub fn is_ready(&self) -> bool {
        self.readyz == OK
    }
}
