//! Judges names and addresses.

use std::net::IpAddr;

use crate::cmd::doctor::facts::{Cluster, Names};
use crate::cmd::doctor::finding::{Kind, Notes};
use crate::cmd::doctor::kinds;
use crate::net::host::is_one_host;

/// What stands for a coordinator's host in the name of its service.
const HOST: &str = "_HOST";

/// Judges the name of a coordinator.
pub(super) fn of_coordinator(names: &Names, cluster: &Cluster, notes: &mut Notes) {
    let kerberos = cluster.config.kerberos.as_ref();
    let needs_name = kerberos.is_some_and(|kerberos| kerberos.coordinator.0.contains(HOST));
    if needs_name && names.name.parse::<IpAddr>().is_ok() {
        notes.add(&kinds::HOST_IS_ADDRESS, format!("the host is {}", names.name));
    }
    // Where the router logs in itself, it asks for the principal as the config writes it.
    judge(names, kerberos.is_none(), &kinds::NAME_UNRESOLVED, notes);
}

/// Judges the host in the principal of a listener.
pub(super) fn of_principal(names: &Names, notes: &mut Notes) {
    judge(names, true, &kinds::PRINCIPAL_UNRESOLVED, notes);
}

fn judge(names: &Names, reverse_matters: bool, unresolved: &'static Kind, notes: &mut Notes) {
    let Names { name, addresses } = names;
    let addresses = match addresses {
        Ok(addresses) => addresses,
        Err(text) => return notes.add(unresolved, format!("{name}: {text}")),
    };
    let described = |(address, reverse): &(IpAddr, Option<String>)| match reverse {
        Some(reverse) => format!("{address} ({reverse})"),
        None => format!("{address} (without a name)"),
    };
    let list = addresses.iter().map(described).collect::<Vec<_>>().join(", ");
    let seen = format!("{name}: {list}");
    let only: Vec<IpAddr> = addresses.iter().map(|(address, _)| *address).collect();
    let is_address = name.parse::<IpAddr>().is_ok();
    let is_same = |reverse: &Option<String>| {
        reverse.as_ref().is_some_and(|reverse| reverse.trim_end_matches('.').eq_ignore_ascii_case(name))
    };
    if !is_one_host(&only) {
        notes.add(&kinds::NAME_OF_SEVERAL, seen);
    } else if reverse_matters && !is_address && !addresses.iter().any(|(_, reverse)| is_same(reverse)) {
        notes.add(&kinds::REVERSE_NAME, seen);
    } else {
        notes.add(&kinds::NAMES, seen);
    }
}
