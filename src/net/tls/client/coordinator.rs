//! TLS to one port of a coordinator, with the sessions that it can resume.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, CommonState, HandshakeKind};

use super::cluster::{ClusterTls, Material};
use super::failure::TlsFailure;
use super::settings::{NoServerName, Verify};
use crate::clock;
use crate::net::tls::certificates::Certificate;

/// How many sessions are kept for a port: as many tickets as rustls keeps for one name. A ticket of TLS 1.3
/// serves once, and a coordinator sends one or two with each handshake.
const SESSIONS: usize = 8;
/// For how long no session is resumed at a port that may have objected to one and has never resumed any:
/// each time that this is found out costs a dial.
const WITHOUT_SESSIONS: Duration = Duration::from_hours(24);

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

/// What handshakes use, with the sessions that came of them.
#[derive(Debug)]
struct Current {
    material: Arc<Material>,
    config: Arc<ClientConfig>,
    /// Until when no sessions are kept, if they are not.
    without_sessions_until: Option<Instant>,
    sessions: Mutex<Sessions>,
}

/// What is known of the sessions that are kept.
#[derive(Debug, Default)]
struct Sessions {
    /// Whether a handshake was complete, so that there may be some.
    are_there: bool,
    /// Whether the coordinator has resumed one of them.
    have_served: bool,
    /// When the first certificate expires that they were agreed upon with. A resumed handshake looks at no
    /// certificate.
    good_until: Option<SystemTime>,
}

impl Current {
    fn new(material: Arc<Material>, resumption: Resumption, without_sessions_until: Option<Instant>) -> Self {
        let mut config = material.template.clone();
        config.resumption = resumption;
        Self { material, config: Arc::new(config), without_sessions_until, sessions: Mutex::default() }
    }

    /// Nothing that was agreed upon before is resumed.
    fn afresh(material: Arc<Material>) -> Self {
        Self::new(material, Resumption::in_memory_sessions(SESSIONS), None)
    }

    fn without_sessions(material: Arc<Material>) -> Self {
        Self::new(material, Resumption::disabled(), Some(clock::now() + WITHOUT_SESSIONS))
    }

    /// Whether handshakes are to begin afresh. `time` is the time of day.
    fn is_over(&self, time: SystemTime) -> bool {
        self.without_sessions_until.is_some_and(|until| clock::now() >= until)
            || self.sessions.lock().good_until.is_some_and(|until| time > until)
    }
}

impl CoordinatorTls {
    fn new(cluster: Arc<ClusterTls>, server_name: ServerName<'static>) -> Self {
        let current = Current::afresh(cluster.material());
        Self { cluster, server_name, current: ArcSwap::from_pointee(current) }
    }

    /// What the next handshake uses. A config is for this port alone, and is the same as long as the files
    /// are and the sessions are good.
    pub fn config(&self) -> Arc<ClientConfig> {
        let current = self.current.load();
        let material = self.cluster.material();
        if Arc::ptr_eq(&current.material, &material) && !current.is_over(self.cluster.time_of_day()) {
            return Arc::clone(&current.config);
        }
        let renewed = Current::afresh(material);
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

    /// Notes a handshake that is complete. When the certificate has expired that its session was agreed upon
    /// with, the session is resumed no more: a full handshake then tells whether there is a new one.
    pub fn note_complete(&self, negotiated: &CommonState) {
        let current = self.current.load();
        if negotiated.handshake_kind() == Some(HandshakeKind::Resumed) {
            current.sessions.lock().have_served = true;
            return;
        }
        let is_verified = *self.cluster.verify() != Verify::Nothing;
        let certificate = negotiated.peer_certificates().and_then(<[_]>::first).filter(|_| is_verified);
        let expires = certificate.and_then(|der| Certificate::of(der).ok()).map(|read| read.not_after);
        let mut sessions = current.sessions.lock();
        sessions.are_there = true;
        sessions.good_until = sessions.good_until.into_iter().chain(expires).min();
    }

    /// What an error during a handshake means.
    ///
    /// If the coordinator may have objected to a session that was to be resumed, all are forgotten. If it has
    /// resumed none of them, none is kept for a day: OpenSSL ends such handshakes where a server asks for
    /// client certificates and was given no context for sessions.
    pub fn failed(&self, error: &io::Error) -> TlsFailure {
        let failure = TlsFailure::of(error, self.cluster.shows_certificate());
        if failure.may_come_of_resumption() {
            let current = self.current.load();
            let material = Arc::clone(&current.material);
            let sessions = current.sessions.lock();
            if sessions.have_served {
                self.current.store(Arc::new(Current::afresh(material)));
            } else if sessions.are_there && current.without_sessions_until.is_none() {
                self.current.store(Arc::new(Current::without_sessions(material)));
            }
        }
        failure
    }
}
