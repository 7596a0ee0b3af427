//! A host by its name, and its address, which stays the same for as long as the host can be reached there.
//!
//! A name may stand for several hosts, and resolvers change the order of their addresses with each answer. A
//! session is on one of them, so everybody who dials the name for the session has to reach the same one. The
//! first address that can be connected to is kept, for all ports and all dials, until no port can be
//! connected to there any more. Then the name is resolved again.
//!
//! A name with one IPv4 and one IPv6 address, such as `localhost`, is one host with two addresses: each of
//! its ports is dialed at the one that answers.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::net::lookup_host;

/// A host. Clones are the same host.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    state: Mutex<State>,
    /// Whether there is news, so that nobody has to take the lock only to find that there is none.
    is_news: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    chosen: Option<Chosen>,
    /// Where the host was when it was lost.
    last: Vec<IpAddr>,
    news: Option<Choice>,
}

/// The address or addresses of the host.
#[derive(Debug)]
struct Chosen {
    /// One address, or one of each family.
    addresses: Vec<IpAddr>,
    ports: Vec<Port>,
}

/// The result of the last dial of a port.
#[derive(Debug)]
struct Port {
    number: u16,
    /// Where it was connected to last.
    at: Option<IpAddr>,
    connects: bool,
}

/// Resolves names.
#[derive(Clone)]
pub enum Resolver {
    /// This machine's resolver, with its files and name servers.
    System,
    /// A function, which must not block.
    Given(Arc<Given>),
}

/// The addresses of a name.
pub type Given = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

impl Resolver {
    /// The addresses of a name, each once, in the order in which they are to be tried.
    ///
    /// # Errors
    /// When the name does not resolve, or has no address.
    pub async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut addresses: Vec<IpAddr> = match self {
            // The port does not matter; it comes back with each address.
            Self::System => lookup_host((name, 0)).await?.map(|address| address.ip()).collect(),
            Self::Given(resolve) => resolve(name)?,
        };
        let mut seen = HashSet::new();
        addresses.retain(|address| seen.insert(*address));
        Ok(addresses)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Given(_) => "Given",
        })
    }
}

/// A change of a host's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The address now.
    pub address: IpAddr,
    /// Addresses of further hosts that the name stands for.
    pub others: Vec<IpAddr>,
    /// Whether the host was at another address before.
    pub is_another: bool,
}

/// What a failed dial says about the host's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The host is still there, because another port can be connected to.
    There,
    /// The host has no known address now.
    Lost,
}

impl From<&str> for Host {
    fn from(name: &str) -> Self {
        // A literal may have brackets, as in a URL.
        let name = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let (state, is_news) = (Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Inner { name: name.into(), state, is_news }))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.0.name).field("state", &*self.0.state.lock()).finish()
    }
}

impl Host {
    /// A host name, or an address literal without brackets.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The change of the host's address, once for each: that its name also stands for others, or that the
    /// address differs from the one before.
    pub fn take_news(&self) -> Option<Choice> {
        let is_news = self.0.is_news.load(Ordering::Relaxed) && self.0.is_news.swap(false, Ordering::Relaxed);
        if is_news { self.0.state.lock().news.take() } else { None }
    }

    /// The addresses at which to dial a port, the likeliest first; none as long as no address is chosen.
    pub(super) fn addresses(&self, port: u16) -> Option<Vec<IpAddr>> {
        let state = self.0.state.lock();
        let chosen = state.chosen.as_ref()?;
        let known = chosen.ports.iter().find(|one| one.number == port).and_then(|one| one.at);
        let others = chosen.addresses.iter().copied().filter(|address| Some(*address) != known);
        Some(known.into_iter().chain(others).collect())
    }

    /// Notes that a port was connected to at one of the addresses of the name. False if the host is known to
    /// be elsewhere by now.
    pub(super) fn note_connected(&self, port: u16, at: IpAddr, all: &[IpAddr]) -> bool {
        let mut state = self.0.state.lock();
        if let Some(chosen) = &mut state.chosen {
            let is_there = chosen.addresses.contains(&at);
            if is_there && chosen.note(port, Some(at)).is_some_and(|former| former != at) {
                self.tell(&mut state, Choice { address: at, others: Vec::new(), is_another: true });
            }
            return is_there;
        }
        let (addresses, others) = if is_one_host(all) {
            (all.to_vec(), Vec::new())
        } else {
            (vec![at], all.iter().copied().filter(|other| *other != at).collect())
        };
        let ports = vec![Port { number: port, at: Some(at), connects: true }];
        state.chosen = Some(Chosen { addresses, ports });
        let is_another = !state.last.is_empty() && !state.last.contains(&at);
        if is_another || (state.last.is_empty() && !others.is_empty()) {
            self.tell(&mut state, Choice { address: at, others, is_another });
        }
        true
    }

    fn tell(&self, state: &mut State, news: Choice) {
        state.news = Some(news);
        self.0.is_news.store(true, Ordering::Relaxed);
    }

    /// Notes that a port could not be connected to at these addresses.
    pub(super) fn note_failed(&self, port: u16, at: &[IpAddr]) -> Failed {
        let mut state = self.0.state.lock();
        let Some(chosen) = state.chosen.as_mut() else { return Failed::Lost };
        if chosen.addresses.iter().any(|address| !at.contains(address)) {
            return Failed::There;
        }
        chosen.note(port, None);
        if chosen.ports.iter().any(|port| port.connects) {
            return Failed::There;
        }
        state.last = chosen.ports.iter().filter_map(|port| port.at).collect();
        state.chosen = None;
        Failed::Lost
    }
}

impl Chosen {
    /// Notes where a port was connected to, if anywhere; returns where it was connected to before.
    fn note(&mut self, number: u16, outcome: Option<IpAddr>) -> Option<IpAddr> {
        let connects = outcome.is_some();
        let Some(port) = self.ports.iter_mut().find(|port| port.number == number) else {
            self.ports.push(Port { number, at: outcome, connects });
            return None;
        };
        let former = port.at;
        (port.at, port.connects) = (outcome.or(former), connects);
        former
    }
}

/// Whether these can be the addresses of one host: no two are of one family.
pub fn is_one_host(addresses: &[IpAddr]) -> bool {
    let of_ipv4 = addresses.iter().filter(|address| address.is_ipv4()).count();
    of_ipv4 <= 1 && addresses.len() - of_ipv4 <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn who_connects_second_learns_where_the_host_is() {
        let (host, one, other) = (Host::from("fleet"), at("10.0.0.1"), at("10.0.0.2"));
        assert_eq!(host.addresses(1), None);
        assert!(host.note_connected(1, one, &[other, one]));
        assert!(!host.note_connected(2, other, &[other, one]));
        assert_eq!(host.addresses(2), Some(vec![one]));
    }

    #[test]
    fn a_port_that_never_connects_holds_a_host_nowhere() {
        let (host, one) = (Host::from("fleet"), at("10.0.0.1"));
        assert!(host.note_connected(1, one, &[one]));
        assert_eq!(host.note_failed(2, &[one]), Failed::There);
        assert_eq!(host.note_failed(1, &[one]), Failed::Lost);
        assert_eq!(host.addresses(1), None);
        // A failure at another address says nothing about the host's present one.
        assert!(host.note_connected(1, at("10.0.0.2"), &[at("10.0.0.2")]));
        assert_eq!(host.note_failed(1, &[one]), Failed::There);
        assert_eq!(host.addresses(1), Some(vec![at("10.0.0.2")]));
    }

    #[test]
    fn a_port_that_changes_from_one_family_to_the_other_is_another_process() {
        let (host, all) = (Host::from("localhost"), [at("::1"), at("127.0.0.1")]);
        assert!(host.note_connected(1, all[1], &all));
        assert_eq!(host.addresses(1), Some(vec![all[1], all[0]]), "where it was is tried first");
        assert!(host.note_connected(2, all[0], &all));
        assert_eq!(host.take_news(), None);
        assert!(host.note_connected(1, all[0], &all));
        assert_eq!(host.take_news(), Some(Choice { address: all[0], others: vec![], is_another: true }));
    }

    #[test]
    fn only_a_family_of_two_is_several_hosts() {
        for (addresses, one_host) in [
            (&["10.0.0.1"][..], true),
            (&["10.0.0.1", "2001:db8::1"], true),
            (&["10.0.0.1", "10.0.0.2"], false),
            (&["2001:db8::1", "10.0.0.1", "2001:db8::2"], false),
        ] {
            let addresses: Vec<IpAddr> = addresses.iter().map(|address| at(address)).collect();
            assert_eq!(is_one_host(&addresses), one_host, "{addresses:?}");
        }
    }
}
