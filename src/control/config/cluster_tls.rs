//! TLS towards coordinators: the rules of `[cluster.tls]` and of what a coordinator says of it, and what they
//! mean.

use super::checked::ClusterTlsConfig;
use super::host::Host;
use super::keys::{ClusterFile, ClusterTlsFile, CoordinatorFile};
use super::problem::{Fault, Problems};
use super::value::Entry;
use super::words::VerifyWord;
use crate::net::tls::certificates::PairFiles;
use crate::net::tls::client::{ClusterTlsSettings, Verify, parse_name};

/// What `[cluster.tls]` means; none where there is no such table, or something is wrong with it.
pub(super) fn of_cluster(file: &ClusterFile) -> Option<ClusterTlsConfig> {
    let tls = file.tls.value.as_ref()?;
    let pair = tls.certificate.value.clone().zip(tls.key.value.clone());
    let verify = match tls.verify.value? {
        VerifyWord::Full => Verify::Full,
        VerifyWord::NameOfCluster => Verify::NameOfCluster(tls.server_name.value.clone()?.0),
        VerifyWord::Nothing => Verify::Nothing,
    };
    let settings = ClusterTlsSettings {
        ca: tls.ca.value.clone(),
        pair: pair.map(|(certificate, key)| PairFiles { certificate, key }),
        verify,
    };
    Some(ClusterTlsConfig { settings, web: tls.web.value? })
}

/// Whether a coordinator is reached with TLS.
pub(super) fn is_reached_with_tls(file: &CoordinatorFile, cluster: &ClusterFile) -> bool {
    file.tls.value.unwrap_or(cluster.tls.written)
}

/// Notes everything that is wrong with TLS towards a cluster and its coordinators.
pub(super) fn check(file: &ClusterFile, problems: &mut Problems) {
    if let Some(tls) = &file.tls.value {
        table(tls, problems);
    }
    for one in file.coordinators.value.iter().flatten() {
        if file.tls.written {
            coordinator(one, file, problems);
        } else {
            without_table(one, problems);
        }
    }
}

fn table(tls: &ClusterTlsFile, problems: &mut Problems) {
    for (present, absent, name) in
        [(&tls.certificate, &tls.key, "key"), (&tls.key, &tls.certificate, "certificate")]
    {
        if present.written && !absent.written {
            conflict(
                present,
                format!("{name} is missing beside it"),
                format!("add {name}, or remove both"),
                problems,
            );
        }
    }
    certifiable(&tls.server_name, problems);
    match tls.verify.value {
        Some(VerifyWord::Nothing) if tls.ca.written => conflict(
            &tls.ca,
            "with verify = \"none\" nothing is trusted by it".to_owned(),
            "remove ca, or set verify = \"full\"".to_owned(),
            problems,
        ),
        Some(VerifyWord::NameOfCluster) if !tls.server_name.written => conflict(
            &tls.verify,
            "with \"name-of-cluster\" the name must be given".to_owned(),
            "add server_name = \"impala.example.com\"".to_owned(),
            problems,
        ),
        _ => {}
    }
    let is_other = |verify: VerifyWord| verify != VerifyWord::NameOfCluster;
    if tls.server_name.written && tls.verify.value.is_some_and(is_other) {
        conflict(
            &tls.server_name,
            "is the name in all certificates, but each coordinator's own is looked for".to_owned(),
            "set verify = \"name-of-cluster\", or give each coordinator its server_name instead".to_owned(),
            problems,
        );
    }
}

/// A coordinator of a cluster with `[cluster.tls]`.
fn coordinator(file: &CoordinatorFile, cluster: &ClusterFile, problems: &mut Problems) {
    let verify = cluster.tls.value.as_ref().and_then(|tls| tls.verify.value);
    if file.server_name.written {
        if file.tls.value == Some(false) {
            let what = "has no effect with tls = false".to_owned();
            conflict(&file.server_name, what, "remove one of the two".to_owned(), problems);
        }
        if verify == Some(VerifyWord::NameOfCluster) {
            let what = "has no effect with verify = \"name-of-cluster\"".to_owned();
            let remedy = "remove it, or set verify = \"full\"".to_owned();
            conflict(&file.server_name, what, remedy, problems);
        }
        certifiable(&file.server_name, problems);
    } else if is_reached_with_tls(file, cluster) && verify != Some(VerifyWord::NameOfCluster) {
        certifiable(&file.host, problems);
    }
}

/// A coordinator of a cluster that is reached in clear.
fn without_table(file: &CoordinatorFile, problems: &mut Problems) {
    let what = || "its cluster has no [cluster.tls]".to_owned();
    let remedy = || "add that table, or remove the key".to_owned();
    if file.tls.value == Some(true) {
        conflict(&file.tls, what(), remedy(), problems);
    }
    if file.server_name.written {
        conflict(&file.server_name, what(), remedy(), problems);
    }
}

/// A name that certificates can be for: not every name that a resolver takes is one.
fn certifiable(entry: &Entry<Host>, problems: &mut Problems) {
    let Some(Host(name)) = entry.value.as_ref().filter(|Host(name)| parse_name(name).is_err()) else {
        return;
    };
    let why = "is not a name that a certificate can be for".to_owned();
    let remedy = "write the name in the certificate as server_name".to_owned();
    entry.fault(problems, Fault::BadValue { value: name.clone(), why, remedy });
}

fn conflict<T>(entry: &Entry<T>, what: String, remedy: String, problems: &mut Problems) {
    entry.fault(problems, Fault::Conflict { what, remedy });
}
