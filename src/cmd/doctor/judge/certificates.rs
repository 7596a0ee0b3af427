//! Judges certificates.

use std::time::SystemTime;

use crate::cmd::doctor::finding::Notes;
use crate::cmd::doctor::kinds;
use crate::net::tls::certificates::{Certificate, Standing};

/// Judges a chain in a file of ours, the certificate of its owner first.
pub(super) fn of_file(chain: &[Certificate], now: SystemTime, notes: &mut Notes) {
    shown(chain, now, notes);
    if let Some(own) = chain.first().filter(|own| !own.has_alternative_names()) {
        notes.add(&kinds::WITHOUT_NAMES, own.to_string());
    }
}

/// Judges a chain that a coordinator has shown and that was accepted, or that nobody has verified.
pub(super) fn shown(chain: &[Certificate], now: SystemTime, notes: &mut Notes) {
    let Some(own) = chain.first() else { return };
    let seen = own.to_string();
    match own.standing(now) {
        Standing::Valid => notes.add(&kinds::CERTIFICATE, seen),
        Standing::ExpiresSoon => notes.add(&kinds::EXPIRES_SOON, seen),
        Standing::Expired => notes.add(&kinds::EXPIRED, seen),
        Standing::NotYetValid => {
            notes.add(&kinds::NOT_YET_VALID, format!("{seen}, and from {}", own.from_day()));
        }
    }
    let broken = chain.windows(2).find_map(|pair| match pair {
        [one, next] if one.issuer() != next.subject() => Some((one, next)),
        _ => None,
    });
    if let Some((one, next)) = broken {
        let (subject, issuer, next) = (one.subject(), one.issuer(), next.subject());
        notes.add(
            &kinds::CHAIN_BROKEN,
            format!("{subject} was issued by {issuer}, but is followed by {next}"),
        );
    }
}
