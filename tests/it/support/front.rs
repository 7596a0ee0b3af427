//! What makes a simulated coordinator one with TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use hs2router::fake::Coordinator;
use rustls::ServerConfig;

use super::relay::Relay;

/// TLS in front of one coordinator.
pub(crate) struct Front {
    /// Its port for HS2.
    pub(crate) hs2: Relay,
    /// Its port for Beeswax.
    pub(crate) beeswax: Relay,
    /// Its port for HS2 over HTTP.
    pub(crate) hs2_http: Relay,
    /// Its web port, where that has TLS, too.
    pub(crate) web: Option<Relay>,
}

impl Front {
    pub(crate) fn start(coordinator: &Coordinator, tls: &Arc<ServerConfig>, has_web: bool) -> Self {
        let relay = |to| Relay::ending_tls(to, Arc::clone(tls));
        let web = has_web.then(|| relay(coordinator.web()));
        let (hs2, beeswax) = (relay(coordinator.hs2()), relay(coordinator.beeswax()));
        Self { hs2, beeswax, hs2_http: relay(coordinator.hs2_http()), web }
    }
}

/// A coordinator's ports as a router's config has them; its web port only if that is polled.
pub(super) fn ports(coordinator: &Coordinator, front: Option<&Front>, is_polled: bool) -> String {
    let port = |own: SocketAddr, relay: Option<&Relay>| relay.map_or(own, Relay::address).port();
    let web = port(coordinator.web(), front.and_then(|front| front.web.as_ref()));
    format!(
        "hs2 = {}, beeswax = {}, hs2_http = {}, web = {}",
        port(coordinator.hs2(), front.map(|front| &front.hs2)),
        port(coordinator.beeswax(), front.map(|front| &front.beeswax)),
        port(coordinator.hs2_http(), front.map(|front| &front.hs2_http)),
        if is_polled { web } else { 0 },
    )
}
