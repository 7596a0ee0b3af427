//! TLS on connections of clients and to coordinators, with rustls.

pub mod handshake;
pub mod io;
mod outgoing;
mod session;

#[cfg(test)]
mod tests;
