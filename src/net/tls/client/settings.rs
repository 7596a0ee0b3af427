//! What an operator says of TLS towards a cluster.

use std::net::IpAddr;
use std::path::PathBuf;

use rustls::pki_types::ServerName;

use crate::net::tls::certificates::PairFiles;

/// How a cluster's coordinators are reached; `docs/CONFIG.md` explains each key under `[cluster.tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterTlsSettings {
    /// A PEM file with the certificates that are trusted; none for the system's.
    pub ca: Option<PathBuf>,
    /// What the router shows to a coordinator that asks for a certificate.
    pub pair: Option<PairFiles>,
    /// What is demanded of a coordinator's certificate.
    pub verify: Verify,
}

/// What is demanded of a coordinator's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// That it is for the coordinator's own name, and comes from a trusted issuer.
    Full,
    /// That it is for this name, the same for all coordinators, and comes from a trusted issuer.
    NameOfCluster(String),
    /// Nothing: whoever answers at the address is believed. Only the handshake itself is checked.
    Nothing,
}

impl Verify {
    /// The word for it in the config.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NameOfCluster(_) => "name-of-cluster",
            Self::Nothing => "none",
        }
    }

    /// The name that a coordinator's certificate has to be for. `host` is how the config names the
    /// coordinator; `server_name` is the name in its certificate where that differs. With
    /// [`Self::NameOfCluster`] neither matters.
    ///
    /// # Errors
    /// When the name is none that a certificate can be for.
    pub fn name_for(
        &self,
        host: &str,
        server_name: Option<&str>,
    ) -> Result<ServerName<'static>, NoServerName> {
        match self {
            Self::NameOfCluster(name) => parse_name(name),
            Self::Full | Self::Nothing => parse_name(server_name.unwrap_or(host)),
        }
    }
}

/// A name that no certificate can be for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a name that a certificate can be for; set server_name")]
pub struct NoServerName {
    /// The name.
    pub name: String,
}

/// The name that a certificate is checked for: a host name, without the dot that may end it, or an IP
/// address.
///
/// # Errors
/// When the text is neither.
pub fn parse_name(name: &str) -> Result<ServerName<'static>, NoServerName> {
    // An IPv6 address may be written as an IPv4 one is mapped; certificates have the latter.
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(ServerName::from(address.to_canonical()));
    }
    let without_dot = name.strip_suffix('.').unwrap_or(name);
    ServerName::try_from(without_dot.to_owned()).map_err(|_| NoServerName { name: name.to_owned() })
}
