//! What an operator says of TLS towards a cluster.

use std::path::PathBuf;

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

/// The two PEM files of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The certificate, with the intermediate ones behind it.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
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
}
