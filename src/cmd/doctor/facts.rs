//! What the doctor gathers, before anything is judged.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::control::config::ClusterConfig;
use crate::ids::Service;
use crate::net::kerberos::KeyTried;
use crate::net::kerberos::keytab::Key;
use crate::net::survey::{SurveyError, Surveyed};
use crate::net::tls::certificates::Certificate;
use crate::net::web::{ImpalaFlags, ImpalaMetrics, WebError};
use crate::serve::background::own_login::LoginTried;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Whether the config needs Kerberos and this build lacks it.
    pub(super) lacks_kerberos: bool,
    pub(super) listeners: Vec<Listener>,
    pub(super) clusters: Vec<Cluster>,
}

/// A listener.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: String,
    /// The chains in its files, or why they cannot be read; `None` without TLS.
    pub(super) certificates: Option<Result<Vec<Vec<Certificate>>, String>>,
    pub(super) kerberos: Option<ListenerKerberos>,
    /// What answers there now, if that was asked.
    pub(super) port: Option<Port>,
}

/// Kerberos of a listener.
#[derive(Debug)]
pub(super) struct ListenerKerberos {
    pub(super) keytab: Keytab,
    /// The host in the principal, if the config names one.
    pub(super) host: Option<Names>,
    /// Whether the key fits; `None` if that was not tried.
    pub(super) key: Option<KeyTried>,
}

/// A keytab.
#[derive(Debug)]
pub(super) struct Keytab {
    pub(super) file: PathBuf,
    /// The principal that must have a key in it.
    pub(super) wanted: Option<String>,
    /// Whether others than the owner may read it.
    pub(super) is_open: bool,
    /// The keys, or why it cannot be read.
    pub(super) keys: Result<Vec<Key>, String>,
}

/// A host's name, its addresses, and their names.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) name: String,
    /// The addresses, each with its name if it has one; or why there are none.
    pub(super) addresses: Result<Vec<(IpAddr, Option<String>)>, String>,
}

/// A cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) config: ClusterConfig,
    /// The certificate that the router shows, or why its files of TLS cannot be used; `None` without either.
    pub(super) certificate: Option<Result<Certificate, String>>,
    pub(super) kerberos: Option<ClusterKerberos>,
    pub(super) coordinators: Vec<Coordinator>,
}

/// The router's own principal.
#[derive(Debug)]
pub(super) struct ClusterKerberos {
    pub(super) keytab: Keytab,
    /// How long its ticket is good, or why there is none; `None` if that was not tried.
    pub(super) ticket: Option<Result<Duration, String>>,
}

/// A coordinator.
#[derive(Debug)]
pub(super) struct Coordinator {
    pub(super) name: String,
    pub(super) names: Names,
    pub(super) ports: Vec<Port>,
    pub(super) web: Option<Web>,
    /// What became of the router's own login; `None` if that was not tried.
    pub(super) login: Option<LoginTried>,
}

/// A port of a listener or a coordinator.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) service: Service,
    /// `host:port`
    pub(super) address: String,
    /// What was found out, or why nothing was.
    pub(super) surveyed: Result<Surveyed, SurveyError>,
    /// What was found out inside of TLS, without trust, where TLS answered somebody who spoke in the clear.
    pub(super) inside: Option<Surveyed>,
    /// When that was.
    pub(super) asked_at: SystemTime,
}

/// The pages of a web port.
#[derive(Debug)]
pub(super) struct Web {
    /// `host:port`
    pub(super) address: String,
    pub(super) flags: Result<ImpalaFlags, WebError>,
    pub(super) metrics: Option<ImpalaMetrics>,
    pub(super) is_quiescing: bool,
    /// `Date` of an answer, if it has one.
    pub(super) date: Option<SystemTime>,
    /// When that was.
    pub(super) asked_at: SystemTime,
}
