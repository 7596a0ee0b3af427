//! Looks into keytabs, and gets tickets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{World, names};
use crate::cmd::doctor::facts::{ClusterKerberos, Keytab, ListenerKerberos};
use crate::control::config;
use crate::ids::{Family, Service};
use crate::net::dial::Destination;
use crate::net::kerberos::{Kerberos, keytab, try_key};
use crate::net::stream::Sockets;
use crate::serve::background::own_login::{LoginTried, OwnLogin};
use crate::serve::settings::KerberosPlan;

/// The bits of a file's mode by which others than its owner may read it.
const OTHERS_READ: u32 = 0o044;

/// Gets tickets, if this build can.
#[derive(Clone)]
pub(super) struct Tickets {
    pub(super) kerberos: Option<Arc<Kerberos>>,
    pub(super) user: Arc<str>,
    pub(super) allowed: Duration,
}

impl Tickets {
    /// Looks into the keytab of a listener, and tries its key with a ticket of the router's own.
    pub(super) async fn of_listener(
        &self,
        listener: &config::ListenerKerberos,
        own: Option<&config::ClusterKerberos>,
        world: &World,
    ) -> ListenerKerberos {
        let principal = listener.principal.as_ref().map(|principal| &*principal.0);
        let host = match principal.and_then(host_in) {
            Some(host) => Some(names::of(host, world).await),
            None => None,
        };
        let mut key = None;
        if let (Some(kerberos), Some(service), Some(own)) = (&self.kerberos, &listener.principal, own) {
            let (own, service) = (own.principal.clone(), service.clone());
            let tried = kerberos.initiating(move |provider| try_key(provider, &own.0, &service.0));
            key = timeout(self.allowed, tried).await.ok().and_then(Result::ok);
        }
        ListenerKerberos { keytab: keytab(&listener.keytab, principal), host, key }
    }

    /// Looks into the keytab of the router, and gets its own ticket.
    pub(super) async fn of_cluster(&self, cluster: &config::ClusterKerberos) -> ClusterKerberos {
        let ticket = match &self.kerberos {
            None => None,
            Some(kerberos) => {
                let principal = Arc::clone(&cluster.principal.0);
                let looked = kerberos.initiating(move |provider| provider.lifetime(&principal));
                Some(match timeout(self.allowed, looked).await {
                    Ok(Ok(ticket)) => ticket.map_err(|error| error.to_string()),
                    Ok(Err(busy)) => Err(busy.to_string()),
                    Err(_elapsed) => Err(format!("no answer from the KDC within {:?}", self.allowed)),
                })
            }
        };
        ClusterKerberos { keytab: keytab(&cluster.keytab, Some(&cluster.principal.0)), ticket }
    }

    /// Logs in at a coordinator's port; `None` if this build cannot.
    pub(super) async fn try_login(
        &self,
        cluster: &config::ClusterKerberos,
        family: Family,
        service: Service,
        (network, destination): (&Sockets, &Destination),
    ) -> Option<LoginTried> {
        let plan = KerberosPlan {
            kerberos: Arc::clone(self.kerberos.as_ref()?),
            principal: Arc::clone(&cluster.principal.0),
            coordinator: Arc::clone(&cluster.coordinator.0),
        };
        let (user, allowed) = (&*self.user, self.allowed);
        Some(OwnLogin { plan, network, destination, service, family, user, allowed }.attempt().await)
    }
}

fn keytab(file: &Path, wanted: Option<&str>) -> Keytab {
    let mode = fs::metadata(file).map(|metadata| metadata.permissions().mode());
    Keytab {
        file: file.to_owned(),
        wanted: wanted.map(str::to_owned),
        is_open: mode.is_ok_and(|mode| mode & OTHERS_READ != 0),
        keys: keytab::keys(file).map_err(|error| error.to_string()),
    }
}

/// The host in a principal such as `impala/host@REALM`.
fn host_in(principal: &str) -> Option<&str> {
    let (name, _realm) = principal.rsplit_once('@')?;
    name.split_once('/').map(|(_service, host)| host)
}
