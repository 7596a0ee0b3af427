//! The one integration binary: a module for each promise.

#[cfg(test)]
mod addresses;

#[cfg(test)]
mod admin;

#[cfg(test)]
mod affinity;

#[cfg(test)]
mod locate;

#[cfg(test)]
mod balance;

#[cfg(test)]
mod binds;

#[cfg(test)]
mod cli;

#[cfg(test)]
mod config;

#[cfg(test)]
mod dead_links;

#[cfg(test)]
mod docs;

#[cfg(test)]
mod doctor;

#[cfg(test)]
mod expiry;
#[cfg(test)]
mod fake;

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod fuzz_seeds;

#[cfg(test)]
mod ghosts;

#[cfg(test)]
mod health;

#[cfg(test)]
mod history;

#[cfg(test)]
mod hive;

#[cfg(test)]
mod hostile;

#[cfg(test)]
mod http_input;

#[cfg(test)]
mod idl;

#[cfg(feature = "kerberos")]
#[cfg(test)]
mod kerberos;

#[cfg(test)]
mod large;

#[cfg(test)]
mod late;

#[cfg(test)]
mod layers;

#[cfg(test)]
mod ldap;

#[cfg(test)]
mod lost;

#[cfg(test)]
mod moves;

#[cfg(test)]
mod noise;

#[cfg(test)]
mod observe;

#[cfg(test)]
mod operation_types;

#[cfg(test)]
mod outlive;

#[cfg(test)]
mod page;

#[cfg(test)]
mod per_address;

#[cfg(test)]
mod over_http;

#[cfg(test)]
mod probe;

#[cfg(test)]
mod proxy_protocol;

#[cfg(test)]
mod quiescing;

#[cfg(test)]
mod real_clients;

#[cfg(test)]
mod real_drain;

#[cfg(test)]
mod reference;

#[cfg(test)]
mod replay;

#[cfg(test)]
mod resend;

#[cfg(test)]
mod retries;

#[cfg(test)]
mod room;

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod slow;

#[cfg(test)]
mod smuggling;

#[cfg(test)]
mod sni;

#[cfg(test)]
mod spans;

#[cfg(test)]
mod stall;

#[cfg(test)]
mod strangers;

#[cfg(test)]
mod support;

#[cfg(test)]
mod tls_coordinators;

#[cfg(test)]
mod tls_refusals;

#[cfg(test)]
mod tls_path;

#[cfg(test)]
mod tls_doc;

#[cfg(test)]
mod tls;

#[cfg(test)]
mod vanish;

#[cfg(test)]
mod words;

#[cfg(test)]
mod workers;

#[cfg(test)]
mod wrong_port;
