//! The listeners by which clients reach a fleet.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ipnet::IpNet;
use tokio::net::TcpStream;

use crate::ids::{Identity, Service};
use crate::net::per_address::PerAddress;
use crate::net::server_names::ServerNames;
use crate::net::stream::Stream;
use crate::net::tls::server::ListenerTls;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::tickets::Tickets;
use crate::serve::link::login::Login;

/// A listener's address, and the fleet behind it.
#[derive(Debug)]
pub struct Entrance<S: Stream = TcpStream> {
    /// The address as configured.
    pub name: Arc<str>,
    /// The fleet that its connections go to.
    pub fleet: Arc<Fleet<S>>,
    /// The service whose port is used until the client's bytes tell which one it needs.
    pub service: Service,
    /// TLS with a certificate of the router; `None` if TLS is relayed unread.
    pub tls: Option<Arc<ListenerTls>>,
    /// How tickets of clients are judged; `None` if GSSAPI is relayed unread.
    pub tickets: Option<Arc<Tickets>>,
    /// Connections from these networks come from balancers and begin with a PROXY header.
    pub balancers: Arc<[IpNet]>,
    /// What requests over HTTP from these networks say about where they came from is believed.
    pub proxies: Arc<[IpNet]>,
    /// The connections of each client address, and their limits.
    pub addresses: Arc<PerAddress>,
    /// The entrances to other fleets, for TLS clients that ask for these names and are relayed unread.
    pub server_names: ServerNames<Arc<Self>>,
    /// Whether the log says that HTTP is relayed unread here.
    pub tells_of_http: AtomicBool,
}

/// How the router speaks for clients whose tickets it has accepted.
#[derive(Debug)]
pub(crate) struct Delegation {
    /// How their tickets are judged.
    pub(crate) tickets: Arc<Tickets>,
    /// What the router shows coordinators.
    pub(crate) login: Login,
}

impl<S: Stream> Entrance<S> {
    /// An entrance for whoever comes, without limits.
    pub fn new(name: Arc<str>, fleet: Arc<Fleet<S>>, service: Service) -> Self {
        let (balancers, proxies, addresses) = (Arc::default(), Arc::default(), Arc::default());
        let (server_names, tells_of_http) = (ServerNames::default(), AtomicBool::new(false));
        let (tls, tickets) = (None, None);
        Self {
            name,
            fleet,
            service,
            tls,
            tickets,
            balancers,
            proxies,
            addresses,
            server_names,
            tells_of_http,
        }
    }

    /// How the router speaks for clients that come by ticket, if it does so.
    pub(crate) fn delegation(&self) -> Option<Delegation> {
        let tickets = Arc::clone(self.tickets.as_ref()?);
        Some(Delegation { tickets, login: self.fleet.keyring.login_of(&Identity::Router)? })
    }

    /// Whether a client at this address is believed when it says where its requests came from.
    pub(crate) fn trusts(&self, from: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&from))
    }

    /// Warns, once, that HTTP is relayed unread, which loses sessions where there are several coordinators.
    pub(crate) fn note_unread_http(&self) {
        if !self.tells_of_http.swap(true, Ordering::Relaxed) {
            let cluster = &self.fleet.cluster.name;
            tracing::warn!(
                %cluster,
                "HTTP is relayed unread, with all its headers, because no coordinator of the cluster has a port for \
                 it: say which one by hs2_http"
            );
        }
    }

    /// Whether a connection from this address has to begin with a PROXY header.
    pub(crate) fn expects_header(&self, from: IpAddr) -> bool {
        self.balancers.iter().any(|network| network.contains(&from))
    }
}
