//! Sockets: listening, dialing, watching and relaying, and TLS. Nothing here knows about sessions or
//! clusters.

pub mod buffer;
pub mod dial;
pub mod flow;
pub mod host;
pub mod kerberos;
pub mod limits;
pub mod linger;
pub mod listen;
pub mod per_address;
pub mod probe;
pub mod relay;
pub mod reverse;
pub mod scratch;
pub mod server_names;
pub mod socket;
pub mod stream;
pub mod survey;
pub mod tls;
pub mod web;
