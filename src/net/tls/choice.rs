//! Which of a listener's certificates a client is shown.

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificates::{Certificate, Pair};
use crate::net::server_names::ServerNames;

/// The pairs of a listener, found by the name that a client asks for (SNI).
#[derive(Debug)]
pub(super) struct Choice {
    pairs: Vec<Pair>,
    /// Places in `pairs`.
    by_name: ServerNames<Vec<usize>>,
    /// The places of the first pair and of those for the same names.
    usual: Vec<usize>,
    /// Whether a client that asks for no name or for one that no certificate has is refused.
    strict: bool,
}

impl Choice {
    pub(super) fn new(pairs: Vec<Pair>, strict: bool) -> Self {
        let mut by_name = ServerNames::<Vec<_>>::default();
        for (nth, pair) in pairs.iter().enumerate() {
            // Nobody asks for what is no host name.
            for name in pair.certificate.names.iter().filter_map(|name| name.parse().ok()) {
                by_name.entry(name).push(nth);
            }
        }
        let names = |pair: &Pair| pair.certificate.names.clone();
        let first = pairs.first().map(names);
        let alike = pairs.iter().enumerate().filter(|(_, pair)| Some(names(pair)) == first);
        let usual = alike.map(|(nth, _)| nth).collect();
        Self { pairs, by_name, usual, strict }
    }

    /// The certificates, in the order of the config.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.pairs.iter().map(|pair| &pair.certificate)
    }

    /// Each certificate with those that were put behind it, in the order of the config.
    pub(super) fn chains(&self) -> Vec<Vec<Certificate>> {
        let chain =
            |pair: &Pair| pair.certified.cert.iter().filter_map(|der| Certificate::of(der).ok()).collect();
        self.pairs.iter().map(chain).collect()
    }

    /// The places of the pairs for a client that asks for this name: those with exactly this name, else those
    /// with a wildcard for it, else the usual ones. `None` if the client is refused.
    fn for_name(&self, name: Option<&str>) -> Option<&[usize]> {
        let own = name.and_then(|name| self.by_name.find(&name.to_ascii_lowercase()));
        own.or_else(|| (!self.strict).then_some(&self.usual)).map(Vec::as_slice)
    }
}

impl ResolvesServerCert for Choice {
    /// Of several pairs for one name, an RSA and an ECDSA one say, the first is taken whose key the client
    /// can verify.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let places = self.for_name(hello.server_name())?;
        let mut pairs = places.iter().filter_map(|nth| self.pairs.get(*nth));
        let first = pairs.clone().next();
        let fits = |pair: &&Pair| pair.certified.key.choose_scheme(hello.signature_schemes()).is_some();
        pairs.find(fits).or(first).map(|pair| Arc::clone(&pair.certified))
    }
}
