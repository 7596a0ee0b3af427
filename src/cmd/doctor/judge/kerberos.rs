//! Judges keys and tickets.

use std::collections::BTreeMap;

use super::names;
use crate::cmd::doctor::facts::{ClusterKerberos, Keytab, ListenerKerberos};
use crate::cmd::doctor::finding::{Kind, Notes};
use crate::cmd::doctor::kinds;
use crate::net::kerberos::KeyTried;
use crate::net::kerberos::keytab::{Cipher, Key};
use crate::serve::background::own_login::LoginTried;

/// How many principals are listed.
const MOST_LISTED: usize = 20;

/// What Kerberos says where clocks differ too much (MIT: `KRB5KRB_AP_ERR_SKEW`).
const SKEW: &str = "Clock skew too great";

/// Judges Kerberos of a listener.
pub(super) fn of_listener(kerberos: &ListenerKerberos, notes: &mut Notes) {
    of_keytab(&kerberos.keytab, notes);
    if let Some(host) = &kerberos.host {
        names::of_principal(host, notes);
    }
    match &kerberos.key {
        None => {}
        Some(KeyTried::Fits) => notes.add(&kinds::SERVICE_KEY, "a ticket for it was accepted"),
        Some(KeyTried::NoTicket(error)) => notes.add(&kinds::SERVICE_UNKNOWN, error.to_string()),
        Some(KeyTried::Refused(error)) => {
            notes.add(skew_or(&kinds::KEY_STALE, &error.text), error.to_string());
        }
    }
}

/// Judges the router's own principal.
pub(super) fn of_cluster(kerberos: &ClusterKerberos, notes: &mut Notes) {
    of_keytab(&kerberos.keytab, notes);
    match &kerberos.ticket {
        None => {}
        Some(Ok(left)) => {
            notes.add(&kinds::OWN_TICKET, format!("it is good for {} min", left.as_secs() / 60));
        }
        Some(Err(text)) => notes.add(skew_or(&kinds::NO_OWN_TICKET, text), text),
    }
}

/// Judges a login of the router's own.
pub(super) fn of_login(tried: &LoginTried, notes: &mut Notes) {
    match tried {
        LoginTried::NoTicket(text) => notes.add(skew_or(&kinds::SERVICE_UNKNOWN, text), text),
        LoginTried::Refused(text) => notes.add(skew_or(&kinds::TICKET_REFUSED, text), text),
        LoginTried::Delegated { user } => {
            notes.add(&kinds::DELEGATED, format!("a session for {user} was opened, and closed again"));
        }
        LoginTried::NotDelegated { user, text } => {
            notes.add(&kinds::NOT_DELEGATED, format!("no session for {user}: {text}"));
        }
        LoginTried::Unanswered(text) => notes.add(&kinds::DELEGATION_UNKNOWN, text),
    }
}

fn skew_or(kind: &'static Kind, text: &str) -> &'static Kind {
    if text.contains(SKEW) { &kinds::CLOCK_SKEW } else { kind }
}

fn of_keytab(keytab: &Keytab, notes: &mut Notes) {
    let file = keytab.file.display();
    let keys = match &keytab.keys {
        Ok(keys) => keys,
        Err(text) => return notes.add(&kinds::KEYTAB_UNREADABLE, format!("{file}: {text}")),
    };
    if keytab.is_open {
        notes.add(&kinds::KEYTAB_OPEN, format!("{file} can be read by others than its owner"));
    }
    let by_principal = by_principal(keys);
    let listed: Vec<String> = by_principal
        .iter()
        .take(MOST_LISTED)
        .map(|(principal, keys)| format!("{principal} ({})", described(keys)))
        .collect();
    let list = if listed.is_empty() { "no keys".to_owned() } else { listed.join("; ") };
    let wanted = keytab.wanted.as_ref();
    match wanted.filter(|wanted| !by_principal.contains_key(wanted.as_str())) {
        Some(wanted) => notes.add(&kinds::KEYTAB_LACKS, format!("{file} has no key of {wanted}, but {list}")),
        None => notes.add(&kinds::KEYTAB, format!("{file}: {list}")),
    }
    for (principal, keys) in &by_principal {
        let is_meant = wanted.is_none_or(|wanted| wanted == principal);
        if is_meant && keys.iter().all(|key| key.cipher.is_weak()) {
            notes.add(&kinds::KEYTAB_WEAK, format!("{principal} has {}", described(keys)));
        }
    }
}

fn by_principal(keys: &[Key]) -> BTreeMap<&str, Vec<&Key>> {
    let mut found: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for key in keys {
        found.entry(&key.principal).or_default().push(key);
    }
    found
}

/// The keys of one principal, as `kvno 2: aes256-cts-hmac-sha1-96`.
fn described(keys: &[&Key]) -> String {
    let mut versions: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for key in keys {
        let Cipher(number) = key.cipher;
        let name = key.cipher.name().map_or_else(|| format!("cipher {number}"), str::to_owned);
        versions.entry(key.version).or_default().push(name);
    }
    let one = |(version, ciphers): (&u32, &Vec<String>)| format!("kvno {version}: {}", ciphers.join(" "));
    versions.iter().map(one).collect::<Vec<_>>().join(", ")
}
