//! TLS towards clients and towards coordinators, with rustls.
//!
//! The cryptography is always named explicitly ([`provider`]): a default of the whole process would be
//! decided by whichever crate comes first.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub mod certificates;
mod choice;
pub mod client;
mod failure;
pub mod handshake;
pub mod io;
mod open;
mod outgoing;
pub mod refusal;
pub mod server;
mod session;
mod tickets;

/// The cryptography of all TLS connections: aws-lc-rs. Its handshakes cost less than ring's
/// (docs/BENCHMARKS.md), and it has a key exchange that a quantum computer does not break, X25519MLKEM768:
/// what a client prefers is taken, and coordinators are offered X25519 first, which costs less.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests;
