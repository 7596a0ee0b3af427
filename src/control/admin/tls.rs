//! Listeners and clusters for operators: how each of them has TLS, the state of its certificates, and which
//! clusters are paused.

use std::time::{Instant, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::guard;
use super::json::json;
use super::view::{Listener, View};
use crate::clock;
use crate::metrics::{Encryption, Owner};
use crate::net::tls::certificates::{Certificate, Standing};
use crate::net::tls::client::Verify;
use crate::net::tls::server::{ListenerTls, Settings};
use crate::serve::background::certificates::Reading;
use crate::serve::fleet::Fleet;
use crate::serve::settings::TlsPlan;

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    Router::new()
        .route("/api/v1/listeners", get(listeners))
        .route("/api/v1/clusters", get(clusters))
        .route_layer(from_fn(guard::own_host))
}

async fn listeners(State(view): State<View>) -> Response {
    let look = Look::new(&view);
    json(&view.listeners.iter().map(|listener| look.listener(listener)).collect::<Vec<_>>())
}

async fn clusters(State(view): State<View>) -> Response {
    let look = Look::new(&view);
    json(&view.fleets.iter().map(|fleet| look.cluster(fleet)).collect::<Vec<_>>())
}

/// One cluster, as in the list.
pub(super) fn show_cluster(view: &View, fleet: &Fleet) -> Response {
    json(&Look::new(view).cluster(fleet))
}

/// One listener in the answer.
#[derive(Debug, Serialize)]
struct ShownListener {
    address: String,
    cluster: String,
    service: &'static str,
    connections: Connections,
    /// Only if it has a certificate; otherwise TLS is relayed unread.
    tls: Option<TlsOfListener>,
}

#[derive(Debug, Serialize)]
struct Connections {
    open: i64,
    /// Served since the router's start; the two below as well.
    clear: u64,
    terminated: u64,
    passed_through: u64,
}

#[derive(Debug, Serialize)]
struct TlsOfListener {
    required: bool,
    minimum_version: &'static str,
    /// Whether clients must show a certificate; absent if they are not asked for one.
    client_auth: Option<&'static str>,
    /// In the order of the config.
    certificates: Vec<OwnCertificate>,
    files: Option<Files>,
}

/// One cluster in the answer.
#[derive(Debug, Serialize)]
struct ShownCluster {
    name: String,
    /// Seconds since an operator paused it.
    paused_for: Option<f64>,
    /// Seconds until the pause ends by itself.
    resumes_in: Option<f64>,
    /// Clients that wait for the end of the pause.
    waiting: usize,
    /// What was begun and has not been answered.
    under_way: usize,
    /// Only if it is reached with TLS.
    tls: Option<TlsOfCluster>,
}

#[derive(Debug, Serialize)]
struct TlsOfCluster {
    verify: &'static str,
    /// The name that all certificates must be for; absent if each must be for its coordinator's.
    server_name: Option<String>,
    /// The file with what is trusted; absent if nothing is verified.
    trusts: Option<String>,
    /// Whether the web port is reached with TLS too.
    web: bool,
    /// What the router shows to a coordinator that asks for a certificate.
    client_certificate: Option<ShownCertificate>,
    files: Option<Files>,
}

#[derive(Debug, Serialize)]
struct ShownCertificate {
    names: Vec<String>,
    issuer: String,
    /// Seconds; negative once it has expired.
    expires_in: f64,
    standing: &'static str,
}

/// A certificate that clients get.
#[derive(Debug, Serialize)]
struct OwnCertificate {
    #[serde(flatten)]
    certificate: ShownCertificate,
    /// Whether clients get it that ask for no name, or for a name that no certificate has.
    default: bool,
}

/// What came of reading the files.
#[derive(Debug, Serialize)]
struct Files {
    /// Seconds since that was read which is in use.
    since: f64,
    /// Only if the files as they are now cannot be used.
    failure: Option<ShownFailure>,
}

#[derive(Debug, Serialize)]
struct ShownFailure {
    /// Seconds since it was found.
    since: f64,
    reason: String,
}

/// A look at all of it at one time.
struct Look<'a> {
    view: &'a View,
    now: Instant,
    time_of_day: SystemTime,
}

impl<'a> Look<'a> {
    fn new(view: &'a View) -> Self {
        Self { view, now: clock::now(), time_of_day: clock::time_of_day() }
    }

    fn listener(&self, Listener { entrance, tls }: &Listener) -> ShownListener {
        let counted = self.view.shared.metrics.listener(&entrance.name);
        let owner = Owner::Listener(entrance.name.clone());
        let tls = entrance.tls.as_ref().zip(tls.as_ref());
        ShownListener {
            address: entrance.name.to_string(),
            cluster: entrance.fleet.cluster.name.to_string(),
            service: entrance.service.as_str(),
            connections: Connections {
                open: counted.open.get(),
                clear: counted.tls.counted(Encryption::Clear),
                terminated: counted.tls.counted(Encryption::Terminated),
                passed_through: counted.tls.counted(Encryption::PassedThrough),
            },
            tls: tls.map(|(tls, settings)| self.listener_tls(&owner, tls, settings)),
        }
    }

    fn listener_tls(&self, owner: &Owner, tls: &ListenerTls, settings: &Settings) -> TlsOfListener {
        let certificates = tls.certificates();
        let first = certificates.first().map(|first| &first.names);
        let shown = certificates.iter().map(|certificate| OwnCertificate {
            certificate: self.certificate(certificate),
            // Several may be for the same names, with keys of different kinds.
            default: !settings.strict_sni && first == Some(&certificate.names),
        });
        TlsOfListener {
            required: settings.required,
            minimum_version: settings.minimum_version.as_str(),
            client_auth: settings.clients.as_ref().map(|clients| clients.auth.as_str()),
            certificates: shown.collect(),
            files: self.files(owner),
        }
    }

    fn cluster(&self, fleet: &Fleet) -> ShownCluster {
        let name = &fleet.cluster.name;
        let tls = fleet.tls().map(|TlsPlan { cluster, web }| TlsOfCluster {
            verify: cluster.verify().as_str(),
            server_name: match cluster.verify() {
                Verify::NameOfCluster(name) => Some(name.clone()),
                Verify::Full | Verify::Nothing => None,
            },
            trusts: Some(cluster.trusts()).filter(|file| !file.is_empty()),
            web: *web,
            client_certificate: cluster
                .client_certificate()
                .map(|certificate| self.certificate(&certificate)),
            files: self.files(&Owner::Cluster(name.clone())),
        });
        let pause = fleet.pause.period();
        let until = pause.and_then(|pause| pause.until);
        ShownCluster {
            name: name.to_string(),
            paused_for: pause.map(|pause| self.seconds_since(pause.since)),
            resumes_in: until.map(|until| until.saturating_duration_since(self.now).as_secs_f64()),
            waiting: fleet.pause.waiting(),
            under_way: fleet.pause.under_way(),
            tls,
        }
    }

    fn certificate(&self, certificate: &Certificate) -> ShownCertificate {
        let left = certificate.not_after.duration_since(self.time_of_day);
        let addresses = certificate.addresses.iter().map(ToString::to_string);
        ShownCertificate {
            names: certificate.names.iter().cloned().chain(addresses).collect(),
            issuer: certificate.issuer().to_owned(),
            expires_in: left.map_or_else(|past| -past.duration().as_secs_f64(), |left| left.as_secs_f64()),
            standing: match certificate.standing(self.time_of_day) {
                Standing::NotYetValid => "not yet valid",
                Standing::Valid => "valid",
                Standing::ExpiresSoon => "expires soon",
                Standing::Expired => "expired",
            },
        }
    }

    fn files(&self, owner: &Owner) -> Option<Files> {
        let Reading { loaded, failure } = self.view.readings.of(owner)?;
        let failure = failure
            .map(|failure| ShownFailure { since: self.seconds_since(failure.at), reason: failure.reason });
        Some(Files { since: self.seconds_since(loaded), failure })
    }

    fn seconds_since(&self, then: Instant) -> f64 {
        self.now.saturating_duration_since(then).as_secs_f64()
    }
}
