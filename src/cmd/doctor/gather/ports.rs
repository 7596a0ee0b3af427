//! Connects to ports, and asks what they speak.

use std::sync::Arc;
use std::time::Duration;

use super::World;
use crate::clock;
use crate::cmd::doctor::facts::{Port, Web};
use crate::control::config::CoordinatorConfig;
use crate::ids::Service;
use crate::net::dial::Destination;
use crate::net::host::Host;
use crate::net::socket::SocketSettings;
use crate::net::stream::Sockets;
use crate::net::survey::{Expected, Spoken, SurveySettings, Surveyed, survey};
use crate::net::tls::client::{ClusterTls, ClusterTlsSettings, Verify};
use crate::net::web::{self, WebSettings};

/// Connects to the ports of a cluster's coordinators.
pub(super) struct Dialer {
    pub(super) world: World,
    pub(super) network: Sockets,
    /// TLS as the config has it.
    tls: Option<Arc<ClusterTls>>,
}

impl Dialer {
    pub(super) fn new(world: &World, tls: Option<Arc<ClusterTls>>) -> Self {
        let settings = SocketSettings { keepalive: Duration::from_mins(1), user_timeout: None };
        let network = Sockets { settings, resolver: world.resolver.clone() };
        Self { world: world.clone(), network, tls }
    }

    /// A port of this host; with TLS for this coordinator, if there is one.
    pub(super) fn destination(
        &self,
        host: &Host,
        port: u16,
        with_tls: Option<&CoordinatorConfig>,
    ) -> Destination {
        let tls = with_tls.zip(self.tls.as_ref()).and_then(|(coordinator, tls)| {
            tls.for_coordinator(&coordinator.host, coordinator.server_name.as_deref()).ok()
        });
        Destination { host: host.clone(), port, tls: tls.map(Arc::new) }
    }

    /// Asks a port what it speaks.
    pub(super) async fn port(
        &self,
        service: Service,
        host: &Host,
        number: u16,
        with_tls: Option<&CoordinatorConfig>,
    ) -> Port {
        self.ask(service, Expected::Port(service), self.destination(host, number, with_tls)).await
    }

    /// Asks a listener of a router what it speaks, and what inside of TLS: one that requires TLS tells that to
    /// whoever comes without, in the protocol that it was asked in.
    pub(super) async fn listener(&self, service: Service, host: &Host, number: u16) -> Port {
        let expected = match service {
            Service::Hs2Http => Expected::Port(service),
            Service::Hs2 | Service::Beeswax => Expected::Listener,
        };
        let destination = self.destination(host, number, None);
        let port = self.ask(service, expected, destination.clone()).await;
        match port {
            Port { surveyed: Ok(_), inside: None, .. } => {
                Port { inside: self.inside(expected, destination).await, ..port }
            }
            port => port,
        }
    }

    async fn ask(&self, service: Service, expected: Expected, destination: Destination) -> Port {
        let surveyed = survey(&destination, expected, &self.settings()).await;
        let asked_at = clock::time_of_day();
        let speaks_tls = matches!(&surveyed, Ok(Surveyed { spoken: Spoken::Tls, .. }));
        let inside = if speaks_tls { self.inside(expected, destination.clone()).await } else { None };
        Port { service, address: destination.to_string(), surveyed, inside, asked_at }
    }

    fn settings(&self) -> SurveySettings<Sockets> {
        SurveySettings { network: self.network.clone(), allowed: self.world.allowed }
    }

    /// What a port speaks inside of TLS, whoever it is. It is shown no credentials.
    async fn inside(&self, expected: Expected, destination: Destination) -> Option<Surveyed> {
        let settings = ClusterTlsSettings { ca: None, pair: None, verify: Verify::Nothing };
        let anybody = Arc::new(ClusterTls::load(settings).ok()?);
        let tls = anybody.for_coordinator(destination.host.name(), None).ok()?;
        let destination = Destination { tls: Some(Arc::new(tls)), ..destination };
        survey(&destination, expected, &self.settings()).await.ok()
    }

    /// Reads the pages of a web port.
    pub(super) async fn web(&self, host: &Host, number: u16, with_tls: Option<&CoordinatorConfig>) -> Web {
        let destination = self.destination(host, number, with_tls);
        let settings = WebSettings { network: self.network.clone(), allowed: self.world.allowed };
        let flags = web::impala_flags(&destination, &settings).await;
        let (mut metrics, mut is_quiescing, mut date) = (None, false, None);
        if flags.is_ok() {
            metrics = web::impala_metrics(&destination, &settings).await.ok();
            is_quiescing = web::is_quiescing(&destination, &settings).await.ok().flatten() == Some(true);
            let answer = survey(&destination, Expected::Port(Service::Hs2Http), &self.settings()).await;
            if let Ok(Surveyed { spoken: Spoken::Http(answer), .. }) = answer {
                date = answer.date;
            }
        }
        let asked_at = clock::time_of_day();
        Web { address: destination.to_string(), flags, metrics, is_quiescing, date, asked_at }
    }
}

/// The port where a login by ticket is worth a try: the binary one before that for HTTP.
pub(super) fn with_tickets(ports: &[Port]) -> Option<&Port> {
    let takes_tickets = |port: &Port| port.surveyed.as_ref().is_ok_and(|it| it.spoken.takes_tickets());
    let of = |service| ports.iter().find(|port| port.service == service && takes_tickets(port));
    of(Service::Hs2).or_else(|| of(Service::Hs2Http))
}
