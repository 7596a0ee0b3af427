//! TLS to one port of a coordinator, with the sessions that it can resume.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

use super::cluster::{ClusterTls, Material};
use super::failure::TlsFailure;
use super::settings::NoServerName;

/// How many sessions are kept for a port: as many tickets as rustls keeps for one name. A ticket of TLS 1.3
/// serves once, and a coordinator sends one or two with each handshake.
const SESSIONS: usize = 8;

impl ClusterTls {
    /// TLS to one port of a coordinator. `host` and `server_name` are those of
    /// [`Verify::name_for`](super::Verify::name_for).
    ///
    /// # Errors
    /// When the name is none that a certificate can be for.
    pub fn for_coordinator(
        self: &Arc<Self>,
        host: &str,
        server_name: Option<&str>,
    ) -> Result<CoordinatorTls, NoServerName> {
        Ok(self.towards(self.verify().name_for(host, server_name)?))
    }

    /// TLS to one port of a coordinator whose certificate is for this name.
    pub fn towards(self: &Arc<Self>, server_name: ServerName<'static>) -> CoordinatorTls {
        CoordinatorTls::new(Arc::clone(self), server_name)
    }
}

/// TLS to one port of a coordinator. Each value has sessions of its own, so that what one port gave is never
/// shown to another.
#[derive(Debug)]
pub struct CoordinatorTls {
    cluster: Arc<ClusterTls>,
    server_name: ServerName<'static>,
    current: ArcSwap<Current>,
}

/// What handshakes use until the files change.
#[derive(Debug)]
struct Current {
    material: Arc<Material>,
    config: Arc<ClientConfig>,
}

impl Current {
    fn new(material: Arc<Material>, resumption: Resumption) -> Self {
        let mut config = material.template.clone();
        config.resumption = resumption;
        Self { material, config: Arc::new(config) }
    }

    /// What was agreed upon under earlier files is not resumed: a resumed handshake checks no certificate.
    fn without_sessions(material: Arc<Material>) -> Self {
        Self::new(material, Resumption::in_memory_sessions(SESSIONS))
    }
}

impl CoordinatorTls {
    fn new(cluster: Arc<ClusterTls>, server_name: ServerName<'static>) -> Self {
        let current = Current::without_sessions(cluster.material());
        Self { cluster, server_name, current: ArcSwap::from_pointee(current) }
    }

    /// What the next handshake uses. A config is for this port alone, and is the same as long as the files
    /// are.
    pub fn config(&self) -> Arc<ClientConfig> {
        let current = self.current.load();
        let material = self.cluster.material();
        if Arc::ptr_eq(&current.material, &material) {
            return Arc::clone(&current.config);
        }
        let renewed = Current::without_sessions(material);
        let config = Arc::clone(&renewed.config);
        self.current.store(Arc::new(renewed));
        config
    }

    /// The name that the port's certificate has to be for. A name, but no address, is also sent in clear
    /// (SNI), so that the coordinator can choose its certificate.
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }

    /// TLS towards the whole cluster.
    pub fn cluster(&self) -> &ClusterTls {
        &self.cluster
    }

    /// What an error during a handshake, or of the first read after it, means.
    ///
    /// If the coordinator may have objected to a session that was to be resumed, none is resumed any more
    /// until the files change: OpenSSL ends such handshakes where a server asks for client certificates and
    /// was given no context for sessions.
    pub fn failed(&self, error: &io::Error) -> TlsFailure {
        let failure = TlsFailure::of(error, self.cluster.shows_certificate());
        if failure.may_come_of_resumption() {
            let material = Arc::clone(&self.current.load().material);
            self.current.store(Arc::new(Current::new(material, Resumption::disabled())));
        }
        failure
    }
}
