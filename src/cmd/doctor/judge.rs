//! From facts to findings, without asking anybody anything.

mod certificates;
mod kerberos;
mod names;
mod ports;
mod settings;

use std::time::SystemTime;

use super::facts::{Cluster, Coordinator, Facts, Listener};
use super::finding::{Finding, Notes};
use super::kinds;
use crate::net::kerberos::NOT_BUILT_IN;
use crate::net::tls::client::Verify;

/// Judges all facts. `now` is what certificates are judged by.
pub(super) fn judge(facts: &Facts, now: SystemTime) -> Vec<Finding> {
    let mut found = Vec::new();
    if facts.lacks_kerberos {
        let mut notes = Notes::about("this program");
        notes.add(&kinds::NO_KERBEROS, NOT_BUILT_IN);
        found.extend(notes.found);
    }
    for listener in &facts.listeners {
        found.extend(judge_listener(listener, now));
    }
    for cluster in &facts.clusters {
        found.extend(judge_cluster(cluster, now));
        for coordinator in &cluster.coordinators {
            found.extend(judge_coordinator(coordinator, cluster, now));
        }
    }
    found
}

fn judge_listener(listener: &Listener, now: SystemTime) -> Vec<Finding> {
    let mut notes = Notes::about(format!("listener {}", listener.address));
    match &listener.certificates {
        None => {}
        Some(Err(text)) => notes.add(&kinds::CERTIFICATE_UNREADABLE, text),
        Some(Ok(chains)) => chains.iter().for_each(|chain| certificates::of_file(chain, now, &mut notes)),
    }
    if let Some(kerberos) = &listener.kerberos {
        kerberos::of_listener(kerberos, &mut notes);
    }
    if let Some(port) = &listener.port {
        ports::of_listener(port, now, &mut notes);
    }
    notes.found
}

fn judge_cluster(cluster: &Cluster, now: SystemTime) -> Vec<Finding> {
    let mut notes = Notes::about(format!("cluster {}", cluster.config.name));
    match &cluster.certificate {
        None => {}
        Some(Err(text)) => notes.add(&kinds::CERTIFICATE_UNREADABLE, text),
        Some(Ok(own)) => certificates::shown(std::slice::from_ref(own), now, &mut notes),
    }
    let verify = cluster.config.tls.as_ref().map(|tls| &tls.settings.verify);
    if verify == Some(&Verify::Nothing) {
        notes.add(&kinds::UNVERIFIED, "the coordinators' certificates are not verified");
    }
    if let Some(kerberos) = &cluster.kerberos {
        kerberos::of_cluster(kerberos, &mut notes);
    }
    notes.found
}

fn judge_coordinator(coordinator: &Coordinator, cluster: &Cluster, now: SystemTime) -> Vec<Finding> {
    let mut notes = Notes::about(format!("coordinator {}", coordinator.name));
    names::of_coordinator(&coordinator.names, cluster, &mut notes);
    // There is nothing to reach by a name without addresses.
    if coordinator.names.addresses.is_err() {
        return notes.found;
    }
    for port in &coordinator.ports {
        ports::of_coordinator(port, cluster, now, &mut notes);
    }
    if let Some(web) = &coordinator.web {
        settings::of_web(web, &cluster.config, &mut notes);
    }
    settings::of_clocks(coordinator, &mut notes);
    if let Some(tried) = &coordinator.login {
        kerberos::of_login(tried, &mut notes);
    }
    notes.found
}

#[cfg(test)]
mod tests;
