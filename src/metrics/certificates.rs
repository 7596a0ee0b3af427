//! What is counted of a listener's certificates.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::{Per, ReloadOutcome};
use super::series::CertificateLabels;

/// What is counted of one listener's certificates.
#[derive(Debug)]
pub struct CertificateMetrics {
    /// Changes of the files that were found.
    pub reloads: Per<ReloadOutcome>,
    pub(super) listener: String,
    pub(super) expires: Family<CertificateLabels, Gauge>,
    /// What is shown now.
    pub(super) shown: Mutex<BTreeMap<String, i64>>,
}

impl CertificateMetrics {
    /// Shows when each certificate expires, by its name and in seconds since 1970, in place of what was shown
    /// before. Of several with one name, the earliest is shown.
    pub fn show_expiry(&self, certificates: impl Iterator<Item = (String, i64)>) {
        let mut earliest = BTreeMap::new();
        for (name, expires) in certificates {
            let known = earliest.entry(name).or_insert(expires);
            *known = expires.min(*known);
        }
        let labels =
            |name: &String| CertificateLabels { listener: self.listener.clone(), name: name.clone() };
        let mut shown = self.shown.lock();
        for gone in shown.keys().filter(|name| !earliest.contains_key(*name)) {
            self.expires.remove(&labels(gone));
        }
        for (name, expires) in &earliest {
            self.expires.get_or_create_owned(&labels(name)).set(*expires);
        }
        *shown = earliest;
    }
}
