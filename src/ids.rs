//! Names for things: newtypes with a short, stable printed form that logs, metrics and messages share.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// One client connection since the router started; printed as `c1a4`, with a hexadecimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{:x}", self.0)
    }
}

impl ConnId {
    /// Reads one as it is printed, and in no other form.
    pub fn read(text: &str) -> Option<Self> {
        let id = Self(u64::from_str_radix(text.strip_prefix('c')?, 16).ok()?);
        (id.to_string() == text).then_some(id)
    }
}

/// The name of a coordinator, unique within its cluster: what people drain, and the `coordinator` label of
/// metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoordinatorName(pub Arc<str>);

impl fmt::Display for CoordinatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One coordinator of a cluster. As long as the router runs, no other coordinator of that cluster gets the
/// same id. Ids count up from 0 in the order in which coordinators were added, to [`Self::LAST`] at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoordinatorId(pub u32);

impl CoordinatorId {
    /// The last one that is ever given.
    pub const LAST: Self = Self(u32::MAX - 1);
}

/// Which of a coordinator's client ports: the Thrift service (or its HTTP form) that listens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// `HiveServer2` Thrift, binary (Impala: 21050).
    Hs2,
    /// Beeswax Thrift, binary (Impala: 21000, off by default since IMPALA-14990).
    Beeswax,
    /// `HiveServer2` Thrift over HTTP (Impala: 28000).
    Hs2Http,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 3] = [Self::Hs2, Self::Beeswax, Self::Hs2Http];

    /// The same, the one first that most clients use.
    pub const BY_USE: [Self; 3] = [Self::Hs2, Self::Hs2Http, Self::Beeswax];

    /// The word used in config, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs2 => "hs2",
            Self::Beeswax => "beeswax",
            Self::Hs2Http => "hs2-http",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One value for each [`Service`], which is reached by the service and never by its position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerService<T> {
    hs2: T,
    beeswax: T,
    hs2_http: T,
}

impl<T> PerService<T> {
    /// What `make` makes for each service, in the order of [`Service::ALL`].
    pub fn new(mut make: impl FnMut(Service) -> T) -> Self {
        Self { hs2: make(Service::Hs2), beeswax: make(Service::Beeswax), hs2_http: make(Service::Hs2Http) }
    }

    /// The value of a service.
    pub fn get(&self, service: Service) -> &T {
        match service {
            Service::Hs2 => &self.hs2,
            Service::Beeswax => &self.beeswax,
            Service::Hs2Http => &self.hs2_http,
        }
    }

    /// The value of a service, to be changed.
    pub fn get_mut(&mut self, service: Service) -> &mut T {
        match service {
            Service::Hs2 => &mut self.hs2,
            Service::Beeswax => &mut self.beeswax,
            Service::Hs2Http => &mut self.hs2_http,
        }
    }

    /// What `change` makes of each value.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> PerService<U> {
        PerService { hs2: change(self.hs2), beeswax: change(self.beeswax), hs2_http: change(self.hs2_http) }
    }

    /// Every service with its value, in the order of [`Service::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Service, &T)> {
        Service::ALL.into_iter().map(|service| (service, self.get(service)))
    }

    /// Every value.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }

    /// Every value, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        [&mut self.hs2, &mut self.beeswax, &mut self.hs2_http].into_iter()
    }
}

/// Whose code answers a client: what it accepts at a login, and its words for an error, differ by that and
/// not by version alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Impala's own, in C++.
    Impala,
    /// `HiveServer2`'s, in Java, which Spark and Kyuubi have taken over.
    Hive,
}

/// For whom calls are made, as coordinators know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// Nobody in particular: a port without login.
    Anonymous,
    /// A name that SASL PLAIN has proven.
    Plain(Arc<str>),
    /// Whoever a credential stands for that goes along with each request over HTTP, and that only the
    /// coordinators can judge. Behind a pointer, so that it makes no session larger whose identity is another.
    Credential(Arc<Credential>),
    /// A user whom the router has authenticated itself, and for whom it speaks under its own name.
    Delegated(Arc<Delegated>),
    /// The router itself, on links by which it speaks for users.
    Router,
    /// Somebody whose bytes are passed on unread.
    Unread,
}

impl Identity {
    /// Whether it is proven by tickets of Kerberos. Only the client has those, and each is good for one
    /// request, so the router can prove nothing for this identity where it holds no cookie of the coordinator.
    pub fn needs_tickets(&self) -> bool {
        matches!(self, Self::Credential(credential) if credential.needs_tickets())
    }
}

/// A user whom the router has authenticated itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delegated {
    /// The principal that the client has proven.
    pub principal: Arc<str>,
    /// The user in whose name it acts: its own, or that of another for whom it may speak.
    pub user: Arc<str>,
}

/// A credential that an HTTP client sends, together with the user in whose name it wants to act. Requests with
/// equal ones are made for the same user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credential {
    /// What it proves its user with.
    pub proof: Proof,
    /// The user that the query parameter `doAs` names.
    pub do_as: Option<Arc<str>>,
}

/// What the user of a request over HTTP is proven with. Hashes are keyed for each process, so that they say
/// nothing about what was hashed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    /// An `Authorization` that is good for any number of requests, by its hash.
    Lasting([u64; 2]),
    /// A ticket of Kerberos, by its hash. It is good for one request.
    Ticket([u64; 2]),
    /// The user that a coordinator named when a ticket was shown to it.
    Named(Arc<str>),
    /// The router itself, which has a ticket of its own for each link.
    Router,
}

impl Credential {
    /// Whether its user is proven by tickets.
    pub fn needs_tickets(&self) -> bool {
        !matches!(self.proof, Proof::Lasting(_))
    }
}

/// How messages travel on a connection: what stands around their payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Nothing (NOSASL): a message ends where it ends.
    Unframed,
    /// `TFramedTransport`: a frame holds one message.
    Framed,
    /// After a SASL handshake: frames hold a byte stream.
    Sasl,
    /// HTTP/1.1: the body of a request or of its answer holds one message.
    Http,
    /// Payload that is changed, in lines: the tests' own, to which nothing but the ends may be adapted.
    #[cfg(test)]
    Lines,
}

impl Transport {
    /// The word that operators see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unframed => "unframed",
            Self::Framed => "framed",
            Self::Sasl => "sasl",
            Self::Http => "http",
            #[cfg(test)]
            Self::Lines => "lines",
        }
    }

    /// The port of a coordinator for calls of HS2 that travel like this.
    pub fn hs2(self) -> Service {
        if self == Self::Http { Service::Hs2Http } else { Service::Hs2 }
    }
}

/// What a link is made for, and how: links with the same access are interchangeable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// For whom it speaks.
    pub identity: Identity,
    /// How messages travel on it.
    pub transport: Transport,
}

impl Access {
    /// Nobody in particular, without frames.
    pub const ANONYMOUS: Self = Self { identity: Identity::Anonymous, transport: Transport::Unframed };

    /// Somebody whose bytes are passed on unread, and with them whatever stands around messages.
    pub const UNREAD: Self = Self { identity: Identity::Unread, transport: Transport::Unframed };

    /// The port of a coordinator for calls of HS2 that travel like this.
    pub fn hs2(&self) -> Service {
        self.transport.hs2()
    }

    /// The links on which calls with this access travel. All users for whom the router speaks share its own.
    #[must_use]
    pub fn on_links(&self) -> Self {
        let identity = match &self.identity {
            Identity::Delegated(_) => Identity::Router,
            other => other.clone(),
        };
        Self { identity, transport: self.transport }
    }
}

/// Where a client comes from, as far as bounds go: an address. Of IPv6, which gives everybody a network of
/// their own, that network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Its bytes; those of an IPv4 address behind the prefix that IPv6 has for them (RFC 4291 §2.5.5.2).
    pub fn octets(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        const HOST_BITS: u32 = 64;
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> HOST_BITS << HOST_BITS;
                Ipv6Addr::from(network).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// An IPv6 network is printed with its length.
impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// A host and a port, as they are printed everywhere: an IPv6 address in brackets (RFC 5952, section 6).
#[derive(Clone, Copy, Debug)]
pub struct HostAndPort<'a> {
    /// A host name or an address literal without brackets.
    pub host: &'a str,
    /// The port.
    pub port: u16,
}

impl fmt::Display for HostAndPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// How deep a connection is understood (`docs/ARCHITECTURE.md`, "Depths").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Every call is read and sent to the owner of its handle.
    Route,
    /// Bytes are passed on untouched, to one coordinator for the life of the connection, and read on their
    /// way.
    Observe,
    /// Bytes are passed on untouched and unread, to one coordinator for the life of the connection.
    Opaque,
}

impl Depth {
    /// The word used in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Observe => "observe",
            Self::Opaque => "opaque",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_read_as_it_is_printed_and_in_no_other_form() {
        for id in [ConnId(0), ConnId(0x1a4), ConnId(u64::MAX)] {
            assert_eq!(ConnId::read(&id.to_string()), Some(id));
        }
        for text in
            ["", "c", "1a4", "C1a4", "c1A4", "c01a4", "c+1a4", "c-1", "c 1", "cg", "c10000000000000000"]
        {
            assert_eq!(ConnId::read(text), None, "{text}");
        }
    }

    #[test]
    fn each_service_has_a_value_of_its_own() {
        let mut words = PerService::new(Service::as_str);
        assert!(words.iter().all(|(service, word)| *word == service.as_str()));
        assert_eq!(words.iter().map(|(service, _)| service).collect::<Vec<_>>(), Service::ALL);
        *words.get_mut(Service::Beeswax) = "another";
        assert_eq!(Service::ALL.map(|service| *words.get(service)), ["hs2", "another", "hs2-http"]);
        words.values_mut().for_each(|word| *word = &word[..1]);
        assert_eq!(words.map(str::len), PerService::new(|_| 1));
        assert_eq!(words.values().copied().collect::<String>(), "hah");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |address: &str| ClientAddress::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
