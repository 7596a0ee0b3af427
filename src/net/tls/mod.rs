//! TLS on connections of clients and to coordinators.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub mod client;

/// The cryptography of all TLS connections. It is always given explicitly: a default of the process could be
/// set by any library.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
