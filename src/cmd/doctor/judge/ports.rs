//! Judges what ports speak.

use std::time::SystemTime;

use super::certificates;
use crate::cmd::doctor::facts::{Cluster, Port};
use crate::cmd::doctor::finding::Notes;
use crate::cmd::doctor::kinds;
use crate::ids::Service;
use crate::net::survey::{HttpAnswer, Mechanism, Spoken, SurveyError, Surveyed};
use crate::net::tls::client::TlsFailure;

/// Judges a port of a coordinator, which the router dials as the config says.
pub(super) fn of_coordinator(port: &Port, cluster: &Cluster, now: SystemTime, notes: &mut Notes) {
    let place = format!("{} {}", port.service, port.address);
    let Some(surveyed) = reached(port, &place, notes) else { return };
    certificates::shown(&surveyed.chain, now, notes);
    if surveyed.spoken == Spoken::Tls {
        let inside = port.inside.as_ref().map(|inside| format!("; inside: {}", said(&inside.spoken)));
        let seen = format!("{place}: TLS, on a connection in the clear{}", inside.unwrap_or_default());
        notes.add(&kinds::TLS_EXPECTED, seen);
        if let Some(inside) = &port.inside {
            certificates::shown(&inside.chain, now, notes);
        }
        return;
    }
    if understood(&surveyed.spoken, &place, notes) {
        judge_protocol(port.service, &surveyed.spoken, &place, cluster, notes);
    }
}

/// Judges a port of a listener, as a client sees it: with TLS if that is there, else in the clear.
pub(super) fn of_listener(port: &Port, now: SystemTime, notes: &mut Notes) {
    let place = &port.address;
    let Some(surveyed) = reached(port, place, notes) else { return };
    let inside = port.inside.as_ref().unwrap_or(surveyed);
    certificates::shown(&inside.chain, now, notes);
    if understood(&inside.spoken, place, notes) {
        let with = if port.inside.is_some() { "with TLS: " } else { "" };
        notes.add(&kinds::SPEAKS, format!("{place}: {with}{}", said(&inside.spoken)));
    }
}

/// What was found out about a port; `None` once it is noted why nothing was.
fn reached<'a>(port: &'a Port, place: &str, notes: &mut Notes) -> Option<&'a Surveyed> {
    let error = match &port.surveyed {
        Ok(surveyed) => return Some(surveyed),
        Err(error) => error,
    };
    let kind = match error {
        SurveyError::Dial(_) => &kinds::UNREACHABLE,
        SurveyError::Tls(TlsFailure::Untrusted(_)) => &kinds::UNTRUSTED,
        SurveyError::Tls(TlsFailure::NoTls | TlsFailure::Closed) | SurveyError::TlsSilent(_) => {
            &kinds::TLS_MISSING
        }
        SurveyError::Tls(_) => &kinds::TLS_REFUSED,
    };
    let text = match error {
        SurveyError::Dial(error) => error.failure.to_string(),
        other => other.to_string(),
    };
    notes.add(kind, format!("{place}: {text}"));
    None
}

/// Whether it is anything that a coordinator speaks; noted if not.
fn understood(spoken: &Spoken, place: &str, notes: &mut Notes) -> bool {
    let kind = match spoken {
        Spoken::Silence => &kinds::SILENT,
        Spoken::Closes => &kinds::CLOSES,
        Spoken::Other => &kinds::NOT_UNDERSTOOD,
        Spoken::Sasl { .. } | Spoken::Thrift { .. } | Spoken::Http(_) | Spoken::Tls => return true,
    };
    notes.add(kind, format!("{place}: {}", said(spoken)));
    false
}

fn judge_protocol(service: Service, spoken: &Spoken, place: &str, cluster: &Cluster, notes: &mut Notes) {
    let seen = format!("{place}: {}", said(spoken));
    let fits = match (service, spoken) {
        (Service::Hs2Http, spoken) => matches!(spoken, Spoken::Http(_)),
        (Service::Hs2 | Service::Beeswax, Spoken::Http(_)) => false,
        (service, Spoken::Thrift { is_beeswax }) => (service == Service::Beeswax) == *is_beeswax,
        _ => true,
    };
    if !fits {
        return notes.add(&kinds::WRONG_PROTOCOL, seen);
    }
    let own_login = cluster.config.kerberos.is_some();
    // The router is never itself over Beeswax.
    let needs_tickets = own_login && service != Service::Beeswax;
    match spoken {
        _ if needs_tickets && !spoken.takes_tickets() => notes.add(&kinds::GSSAPI_REFUSED, seen),
        Spoken::Thrift { .. } | Spoken::Http(HttpAnswer { status: 200, .. }) => {
            notes.add(&kinds::NO_LOGIN, seen);
        }
        Spoken::Sasl { plain: Mechanism::Refused, gssapi: Mechanism::Offered } if !own_login => {
            notes.add(&kinds::ONLY_TICKETS, seen);
        }
        _ => notes.add(&kinds::SPEAKS, seen),
    }
}

/// What a port speaks, in words.
fn said(spoken: &Spoken) -> String {
    let mechanism = |name: &str, mechanism: Mechanism| match mechanism {
        Mechanism::Offered => format!("{name} is offered"),
        Mechanism::Refused => format!("{name} is refused"),
        Mechanism::Unknown => format!("no answer about {name}"),
    };
    match spoken {
        Spoken::Sasl { plain, gssapi } => {
            format!("SASL: {}, {}", mechanism("PLAIN", *plain), mechanism("GSSAPI", *gssapi))
        }
        Spoken::Thrift { is_beeswax: false } => "Thrift without a login (NOSASL)".to_owned(),
        Spoken::Thrift { is_beeswax: true } => "Beeswax without a login (NOSASL)".to_owned(),
        Spoken::Http(HttpAnswer { status, authenticate, .. }) if authenticate.is_empty() => {
            format!("HTTP, status {status} without a login")
        }
        Spoken::Http(HttpAnswer { status, authenticate, .. }) => {
            format!("HTTP, status {status} without a login; WWW-Authenticate: {}", authenticate.join(", "))
        }
        Spoken::Tls => "TLS".to_owned(),
        Spoken::Silence => "no answer to any question".to_owned(),
        Spoken::Closes => "each connection is closed without an answer".to_owned(),
        Spoken::Other => "the answer is in no protocol that the router knows".to_owned(),
    }
}
