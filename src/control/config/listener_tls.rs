//! What `[listener.tls]` means, and where its files are.

use std::path::{Path, PathBuf};

use super::keys::{ListenerFile, ListenerTlsFile, PairFile};
use super::problem::{Fault, Problems};
use super::value::Entry;
use crate::net::tls::certificates::PairFiles;
use crate::net::tls::server::{ClientCertificates, Settings};

/// The most pairs of one listener.
const MOST_PAIRS: usize = 100;

/// TLS of a listener; within it none if it has none. Returns `None` only after a problem was added.
#[expect(clippy::option_option, reason = "invalid, absent, there")]
pub(super) fn of(listener: &ListenerFile, problems: &mut Problems) -> Option<Option<Settings>> {
    if listener.tls.written && listener.sni.written {
        let what =
            "has no effect beside [listener.tls], which ends TLS before a cluster is chosen".to_owned();
        let remedy = "remove sni, or [listener.tls] to have TLS passed through".to_owned();
        listener.sni.fault(problems, Fault::Conflict { what, remedy });
    }
    match &listener.tls.value {
        Some(file) => settings(file, problems).map(Some),
        None if listener.tls.written => None,
        None => Some(None),
    }
}

fn settings(file: &ListenerTlsFile, problems: &mut Problems) -> Option<Settings> {
    let pairs = pairs(file, problems);
    if file.client_auth.written && !file.client_ca.written {
        let what = "has no effect without client_ca".to_owned();
        let remedy = "add client_ca, the file of the authorities, or remove client_auth".to_owned();
        file.client_auth.fault(problems, Fault::Conflict { what, remedy });
    }
    if file.ticket_key.written && file.client_ca.written {
        let what = "ticket_key has no effect beside client_ca: no session resumes without a look at the client's \
                    certificate";
        let remedy = "remove ticket_key".to_owned();
        file.ticket_key.fault(problems, Fault::Conflict { what: what.to_owned(), remedy });
    }
    let auth = file.client_auth.value?;
    let clients = written(&file.client_ca)?.map(|ca| ClientCertificates { ca, auth });
    Some(Settings {
        pairs: pairs?,
        clients,
        minimum_version: file.minimum_version.value?,
        required: file.required.value?,
        ticket_key: written(&file.ticket_key)?,
        strict_sni: file.strict_sni.value?,
    })
}

/// The pairs, by whichever keys they are written.
fn pairs(file: &ListenerTlsFile, problems: &mut Problems) -> Option<Vec<PairFiles>> {
    let conflict = |entry: &Entry<PathBuf>, problems: &mut Problems, what: &str, remedy: &str| {
        let (what, remedy) = (what.to_owned(), remedy.to_owned());
        entry.fault(problems, Fault::Conflict { what, remedy });
    };
    if file.pairs.written {
        for entry in [&file.certificate, &file.key].into_iter().filter(|entry| entry.written) {
            let remedy = "make it a part of pairs, the first for clients that ask for no name";
            conflict(entry, problems, "stands beside pairs", remedy);
        }
        let pairs = file.pairs.value.as_ref()?;
        if !(1..=MOST_PAIRS).contains(&pairs.len()) {
            let value = format!("a list of {}", pairs.len());
            file.pairs.fault(problems, Fault::OutOfRange { value, range: "1 to 100 pairs" });
        }
        return pairs.iter().map(|PairFile { certificate, key }| pair(certificate, key)).collect();
    }
    if !file.certificate.written {
        if file.key.written {
            conflict(
                &file.key,
                problems,
                "has no certificate",
                "add certificate, the file of its certificate",
            );
        } else {
            let example = "certificate = \"router.crt\" and key = \"router.key\"";
            file.certificate.fault(problems, Fault::Missing { example });
        }
    }
    Some(vec![pair(&file.certificate, &file.key)?])
}

/// Without a file of its own, the key is in that of the certificate.
fn pair(certificate: &Entry<PathBuf>, key: &Entry<PathBuf>) -> Option<PairFiles> {
    let certificate = certificate.value.clone()?;
    let key = written(key)?.unwrap_or_else(|| certificate.clone());
    Some(PairFiles { certificate, key })
}

/// A path, if one is written. Returns `None` only after a problem was added.
#[expect(clippy::option_option, reason = "invalid, absent, there")]
fn written(entry: &Entry<PathBuf>) -> Option<Option<PathBuf>> {
    if entry.written { entry.value.clone().map(Some) } else { Some(None) }
}

/// Makes relative paths count from `folder`.
pub(super) fn count_from(folder: &Path, tls: &mut Settings) {
    let pairs = tls.pairs.iter_mut().flat_map(|pair| [&mut pair.certificate, &mut pair.key]);
    let clients = tls.clients.as_mut().map(|clients| &mut clients.ca);
    for path in pairs.chain(clients).chain(&mut tls.ticket_key) {
        *path = folder.join(&*path);
    }
}
