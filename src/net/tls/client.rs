//! TLS towards the coordinators of a cluster: what is trusted, what the router shows of itself, and the
//! sessions that later handshakes resume. The files are read again by [`ClusterTls::refresh`].

mod cluster;
mod coordinator;
mod failure;
mod files;
mod settings;
mod verifier;

pub use self::cluster::ClusterTls;
pub use self::coordinator::CoordinatorTls;
pub use self::failure::TlsFailure;
pub use self::settings::{ClusterTlsSettings, NoServerName, Verify, parse_name};
pub use self::verifier::{Distrust, Untrusted};

#[cfg(test)]
mod tests;
