//! Host names, and the names that people give to things.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::ids::HostAndPort;

/// The longest name or host accepted, in bytes (RFC 1035 allows 253 for a host).
pub const LONGEST_NAME: usize = 253;

/// A host name or an IP address, without a port; resolved where it is dialed, not here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host(pub String);

/// A host with, perhaps, the number of its `HiveServer2` port: `impala-1`, `10.0.0.3:21051`, `[::1]:21050`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// Where it is.
    pub host: Host,
    /// The port, 1 to 65535; `None` stands for the flavor's default ports.
    pub port: Option<u16>,
}

/// A name that people give to a cluster or to a coordinator: it appears in logs, as a metric label and in
/// commands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub String);

/// Why a text is not a host or not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// It is longer than [`LONGEST_NAME`].
    #[error("is longer than {LONGEST_NAME} bytes")]
    TooLong,
    /// Somebody pasted `jdbc:hive2://…` or `http://…`.
    #[error("is a URL")]
    Url,
    /// It has a character that hosts and names do not have.
    #[error("contains the character {0:?}")]
    Character(char),
    /// The text after the colon is not a port.
    #[error("does not end in a port from 1 to 65535")]
    Port,
    /// It has a port where only a host is allowed.
    #[error("contains a port")]
    UnwantedPort,
}

impl Host {
    /// A form that is the same for all spellings of one host.
    pub(super) fn canonical(&self) -> String {
        match self.0.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().to_string(),
            Err(_) => self.0.trim_end_matches('.').to_lowercase(),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let HostPort { host, port } = text.parse()?;
        if port.is_some() { Err(HostError::UnwantedPort) } else { Ok(host) }
    }
}

impl FromStr for HostPort {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text.contains("://") {
            return Err(HostError::Url);
        }
        // `::1` is an address, `[::1]:21050` an address and a port.
        if text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self { host: Host(text.to_owned()), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port_number(port)?)),
            _ => (text, None),
        };
        if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let _: Ipv6Addr = inner.parse().map_err(|_| HostError::Character('['))?;
            return Ok(Self { host: Host(inner.to_owned()), port });
        }
        check(host, "._-")?;
        Ok(Self { host: Host(host.to_owned()), port })
    }
}

impl FromStr for Name {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        check(text, "._-:[]@")?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host.0;
        match self.port {
            Some(port) => HostAndPort { host, port }.fmt(f),
            None => f.write_str(host),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn port_number(text: &str) -> Result<u16, HostError> {
    text.parse().ok().filter(|port| *port > 0).ok_or(HostError::Port)
}

/// Letters, digits and `others` only: nothing that a log line, a label or a shell would have to quote.
fn check(text: &str, others: &str) -> Result<(), HostError> {
    if text.is_empty() {
        return Err(HostError::Empty);
    }
    if text.len() > LONGEST_NAME {
        return Err(HostError::TooLong);
    }
    let foreign = text.chars().find(|c| !c.is_ascii_alphanumeric() && !others.contains(*c));
    foreign.map_or(Ok(()), |c| Err(HostError::Character(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_carry_its_port() {
        for (text, host, port) in [
            ("impala-1.example.com", "impala-1.example.com", None),
            ("10.0.0.3:21051", "10.0.0.3", Some(21051)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[fe80::1]:21050", "fe80::1", Some(21050)),
        ] {
            let parsed = text.parse();
            assert_eq!(parsed, Ok(HostPort { host: Host(host.to_owned()), port }), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_reason() {
        for (text, why) in [
            ("", HostError::Empty),
            (":21050", HostError::Empty),
            ("jdbc:hive2://impala:21050", HostError::Url),
            ("impala 1", HostError::Character(' ')),
            ("impala/db", HostError::Character('/')),
            ("impala:hs2", HostError::Port),
            ("impala:0", HostError::Port),
            ("impala:65536", HostError::Port),
            ("[impala]:1", HostError::Character('[')),
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(why), "{text:?}");
        }
        assert_eq!("a:1".parse::<Host>(), Err(HostError::UnwantedPort));
        assert_eq!("a".repeat(254).parse::<Host>(), Err(HostError::TooLong));
    }

    #[test]
    fn a_host_and_port_print_as_they_are_written() {
        for text in ["impala-1", "10.0.0.3:21051", "::1", "[::1]:21050"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }
}
