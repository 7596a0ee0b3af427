//! TLS towards clients and towards coordinators, with rustls.
//!
//! The cryptography is always named explicitly ([`provider`]): a default of the whole process would be decided
//! by whichever crate comes first.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub mod certificates;
mod choice;
pub mod client;
mod failure;
pub mod handshake;
pub mod io;
mod outgoing;
pub mod refusal;
pub mod server;
mod session;
mod tickets;

/// The cryptography of all TLS connections: ring.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;
