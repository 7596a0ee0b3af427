//! What is counted of the certificates that listeners and clusters have.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::{Per, ReloadOutcome};
use super::series::OwnerLabels;

/// What has certificates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The listener with this address: it shows them to clients.
    Listener(Arc<str>),
    /// The cluster with this name: its coordinators are shown them.
    Cluster(Arc<str>),
}

impl Owner {
    /// The owner's label.
    fn alone(&self) -> OwnerLabels {
        vec![match self {
            Self::Listener(address) => ("listener", address.to_string()),
            Self::Cluster(name) => ("cluster", name.to_string()),
        }]
    }

    /// The owner's label with another one.
    fn and(&self, label: &'static str, value: &str) -> OwnerLabels {
        let mut labels = self.alone();
        labels.push((label, value.to_owned()));
        labels
    }
}

/// The metrics of all owners of one kind.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) reloads: Family<OwnerLabels, Counter>,
    pub(super) expires: Family<OwnerLabels, Gauge>,
    pub(super) bad: Family<OwnerLabels, Gauge>,
}

impl Certificates {
    pub(super) fn of(&self, owner: Owner) -> CertificateMetrics {
        let reloads = |outcome| self.reloads.get_or_create_owned(&owner.and("outcome", outcome));
        CertificateMetrics {
            reloads: Per::new(reloads),
            bad: self.bad.get_or_create_owned(&owner.alone()),
            owner,
            expires: self.expires.clone(),
            shown: Mutex::default(),
        }
    }
}

/// What is counted of the certificates of one listener or cluster.
#[derive(Debug)]
pub struct CertificateMetrics {
    /// Changes of the files that were found.
    pub reloads: Per<ReloadOutcome>,
    /// 1 while what is in the files cannot be used.
    pub bad: Gauge,
    owner: Owner,
    expires: Family<OwnerLabels, Gauge>,
    /// What is shown now.
    shown: Mutex<BTreeMap<String, i64>>,
}

impl CertificateMetrics {
    /// Whose certificates they are.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Shows when each certificate expires, by its name and in seconds since 1970, in place of what was shown
    /// before. Of several with one name, the earliest is shown.
    pub fn show_expiry(&self, certificates: impl Iterator<Item = (String, i64)>) {
        let mut earliest = BTreeMap::new();
        for (name, expires) in certificates {
            let known = earliest.entry(name).or_insert(expires);
            *known = expires.min(*known);
        }
        let mut shown = self.shown.lock();
        for gone in shown.keys().filter(|name| !earliest.contains_key(*name)) {
            self.expires.remove(&self.owner.and("name", gone));
        }
        for (name, expires) in &earliest {
            self.expires.get_or_create_owned(&self.owner.and("name", name)).set(*expires);
        }
        *shown = earliest;
    }
}
