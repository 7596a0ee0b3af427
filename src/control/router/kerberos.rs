//! Kerberos, as the config wants it.

use std::io;
use std::sync::Arc;

use crate::control::config::{ClusterConfig, Config, ListenerConfig};
use crate::metrics::Metrics;
use crate::net::kerberos::{Kerberos, NOT_BUILT_IN};
use crate::net::listen::ListenAddress;
use crate::serve::background::own_ticket::OwnTicket;
use crate::serve::fleet::tickets::Tickets;
use crate::serve::settings::KerberosPlan;
use crate::wire::sasl::kerberos::KerberosError;

/// Why there is no Kerberos.
#[derive(Debug, thiserror::Error)]
pub enum KerberosStart {
    /// The config needs what this build lacks.
    #[error("{NOT_BUILT_IN}")]
    NotBuiltIn,
    /// Its threads cannot be started.
    #[error("no thread for Kerberos can be started: {0}")]
    Threads(#[from] io::Error),
    /// The keytab of a listener cannot be used.
    #[error("listener {listener}: keytab {keytab}: {source}")]
    Keytab {
        /// The listener's address.
        listener: ListenAddress,
        /// The file.
        keytab: String,
        /// What Kerberos says.
        source: KerberosError,
    },
}

/// Starts Kerberos if the config needs it, and looks into the keytabs of the listeners.
///
/// # Errors
/// When this build has no Kerberos, or a keytab cannot be used.
pub(super) fn start(config: &Config) -> Result<Option<Arc<Kerberos>>, KerberosStart> {
    if config.keytabs().is_none() {
        return Ok(None);
    }
    let kerberos = Kerberos::of_system()?.ok_or(KerberosStart::NotBuiltIn)?;
    for listener in &config.listeners {
        let Some(file) = &listener.kerberos else { continue };
        let principal = file.principal.as_ref().map(|principal| &*principal.0);
        kerberos.check_keytab(principal).map_err(|source| KerberosStart::Keytab {
            listener: listener.address,
            keytab: file.keytab.display().to_string(),
            source,
        })?;
    }
    Ok(Some(Arc::new(kerberos)))
}

/// How a listener judges tickets, if it does.
pub(super) fn tickets(listener: &ListenerConfig, kerberos: &Arc<Kerberos>) -> Option<Arc<Tickets>> {
    let file = listener.kerberos.as_ref()?;
    Some(Arc::new(Tickets {
        kerberos: Arc::clone(kerberos),
        principal: file.principal.as_ref().map(|principal| Arc::clone(&principal.0)),
        rules: Arc::clone(&file.rules),
    }))
}

/// How the router logs in as itself at the coordinators of a cluster, if it does.
pub(super) fn plan(cluster: &ClusterConfig, kerberos: &Arc<Kerberos>) -> Option<KerberosPlan> {
    let config = cluster.kerberos.as_ref()?;
    Some(KerberosPlan {
        kerberos: Arc::clone(kerberos),
        principal: Arc::clone(&config.principal.0),
        coordinator: Arc::clone(&config.coordinator.0),
    })
}

/// What looks after the router's own tickets for the clusters that need one.
pub(super) fn own_tickets<'a>(
    config: &'a Config,
    kerberos: Option<&'a Arc<Kerberos>>,
    metrics: &'a Metrics,
) -> impl Iterator<Item = OwnTicket> + 'a {
    config.clusters.iter().filter_map(move |cluster| {
        let (plan, name) = (plan(cluster, kerberos?)?, Arc::clone(&cluster.name));
        Some(OwnTicket { expires: metrics.own_ticket_expires(&name), cluster: name, plan })
    })
}
