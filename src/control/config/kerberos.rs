//! What `[listener.kerberos]` and `[cluster.kerberos]` mean, and how they go together.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::checked::{ClusterKerberos, ListenerKerberos};
use super::keys::{ClusterFile, ListenerFile, ListenerKerberosFile};
use super::principal::Principal;
use super::problem::{Fault, Problems};
use super::value::Entry;
use crate::ids::Service;
use crate::session::delegation::Rules;

/// What `[cluster.kerberos]` means; `None` where there is no such table, or something is wrong with it.
pub(super) fn of_cluster(file: &ClusterFile) -> Option<ClusterKerberos> {
    let kerberos = file.kerberos.value.as_ref()?;
    Some(ClusterKerberos {
        principal: kerberos.principal.value.clone()?,
        keytab: kerberos.keytab.value.clone()?,
        coordinator: kerberos.coordinator.value.clone()?,
    })
}

/// What `[listener.kerberos]` of a listener to this cluster means; within it `None` if there is no such table.
/// Returns `None` only after a problem was added.
#[expect(clippy::option_option, reason = "invalid, absent, there")]
pub(super) fn of_listener(
    listener: &ListenerFile,
    service: Service,
    cluster: &ClusterFile,
    problems: &mut Problems,
) -> Option<Option<ListenerKerberos>> {
    if !listener.kerberos.written {
        return Some(None);
    }
    let file = listener.kerberos.value.as_ref()?;
    if let Some((what, remedy)) = unfit(service, cluster) {
        conflict(&listener.kerberos, what, remedy, problems);
        return None;
    }
    let own = cluster.kerberos.value.as_ref()?.principal.value.as_ref()?;
    Some(Some(ListenerKerberos {
        keytab: file.keytab.value.clone()?,
        principal: if file.principal.written { Some(file.principal.value.clone()?) } else { None },
        rules: Arc::new(rules(file, own)?),
    }))
}

/// Why tickets cannot be accepted by a listener of this service to this cluster, and what to do.
fn unfit(service: Service, cluster: &ClusterFile) -> Option<(&'static str, &'static str)> {
    match service {
        Service::Beeswax => Some((
            "Beeswax has no delegation, so the router cannot speak for a Kerberos user there",
            "use a listener of service = \"hs2\" (impala-shell --protocol=hs2), or remove [listener.kerberos] to have \
             GSSAPI passed through",
        )),
        Service::Hs2 | Service::Hs2Http if !cluster.kerberos.written => Some((
            "its cluster has no [cluster.kerberos]: the router would have accepted a ticket, and nothing to show to \
             coordinators that ask for a password (LDAP)",
            "add [cluster.kerberos] if the coordinators take Kerberos; else remove [listener.kerberos]: clients with \
             passwords then use PLAIN",
        )),
        Service::Hs2 | Service::Hs2Http => None,
    }
}

fn rules(file: &ListenerKerberosFile, own: &Principal) -> Option<Rules> {
    let realms = if file.realms.written {
        file.realms.value.clone()?.0
    } else {
        BTreeSet::from([own.realm().to_owned()])
    };
    let (names, proxy_users) = (file.names.value.clone()?.0, file.proxy_users.value.clone()?.0);
    Some(Rules { realms, names, proxy_users })
}

/// Notes what does not go together: the library of Kerberos has one keytab for what it accepts and one for what
/// it begins, with one principal.
pub(super) fn check(listeners: &[ListenerFile], clusters: &[ClusterFile], problems: &mut Problems) {
    let keytabs = listeners.iter().filter_map(|listener| Some(&listener.kerberos.value.as_ref()?.keytab));
    all_same(
        keytabs,
        "another listener has another keytab, and a process can have one",
        "merge the two (ktutil) and choose by principal",
        problems,
    );
    let of_clusters = || clusters.iter().filter_map(|cluster| cluster.kerberos.value.as_ref());
    all_same(
        of_clusters().map(|kerberos| &kerberos.keytab),
        "another cluster has another keytab, and a process can have one",
        "use one keytab and principal for all clusters, or a router for each",
        problems,
    );
    all_same(
        of_clusters().map(|kerberos| &kerberos.principal),
        "another cluster has another principal, and a process can have one",
        "use one principal for all clusters, or a router for each",
        problems,
    );
    if !listeners.iter().any(|listener| listener.kerberos.written) {
        for cluster in clusters.iter().filter(|cluster| cluster.kerberos.written) {
            conflict(
                &cluster.kerberos,
                "has no effect without a [listener.kerberos]: the users to speak for come by that",
                "add [listener.kerberos], or remove this table",
                problems,
            );
        }
    }
}

fn all_same<'a, T: PartialEq + 'a>(
    entries: impl Iterator<Item = &'a Entry<T>>,
    what: &'static str,
    remedy: &'static str,
    problems: &mut Problems,
) {
    let mut first = None;
    for entry in entries {
        match (&entry.value, first) {
            (Some(value), None) => first = Some(value),
            (Some(value), Some(first)) if value != first => conflict(entry, what, remedy, problems),
            _ => {}
        }
    }
}

fn conflict<T>(entry: &Entry<T>, what: &str, remedy: &str, problems: &mut Problems) {
    entry.fault(problems, Fault::Conflict { what: what.to_owned(), remedy: remedy.to_owned() });
}
