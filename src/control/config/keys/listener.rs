//! Keys of listeners.

use std::path::PathBuf;

use ipnet::IpNet;

use super::super::host::Name;
use super::super::problem::Problems;
use super::super::section::{Absent, Key, Section, SectionInfo, section};
use super::super::sni::NamesFile;
use super::super::usual;
use super::super::value::{Entry, Value};
use super::kerberos::ListenerKerberosFile;
use crate::ids::Service;
use crate::net::listen::ListenAddress;
use crate::net::tls::server::{ClientAuth, Version};

section! {
    /// An address that clients connect to; repeat the table for each. Every listener recognizes each protocol
    /// by its first bytes. Without this table the router listens on all IPv4 addresses, at the usual ports of
    /// its only cluster.
    ListenerFile at "listener", "[[listener]]" {
        /// IP address and port; port 0 takes a free one. `0.0.0.0` stands for all IPv4 addresses and `[::]`
        /// for all IPv6 addresses and no others, whatever the system's default (`net.ipv6.bindv6only`) is.
        /// `*`, as in `"*:21050"`, stands for all of both.
        address: ListenAddress = required("address = \"0.0.0.0:21050\""),
        /// The name of the cluster that this listener serves.
        cluster: Name = derived("the only cluster"),
        /// The coordinators' port for connections whose protocol is not recognized (or not yet); with hs2-http,
        /// such a connection is not relayed but judged as HTTP.
        service: Service = computed(usual::service),
        /// The networks of balancers in front of the router, and single addresses. A connection from there
        /// must begin with a PROXY header of version 1 or 2 (`HAProxy`: `send-proxy`, `send-proxy-v2`) within
        /// `handshake_timeout`, and the address in it counts as the client's for limits, turns and logs. A
        /// health check without a client (LOCAL, UNKNOWN) keeps its own. A connection from elsewhere that
        /// begins with such a header is closed. Coordinators never get one.
        proxy_protocol_from: Vec<IpNet> = default([]),
        /// The networks of proxies whose `X-Forwarded-For` is believed, and single addresses. The addresses in
        /// it then go on to the coordinator, with the proxy's own behind them; from everybody else the
        /// coordinator gets the address of the connection alone.
        trusted_proxies: Vec<IpNet> = default([]),
        /// How many connections a client address, or an IPv6 network of 64 bits, may have on this listener at
        /// the same time; 0 to 1000000, where 0 means no limit. A client over the limit is told so, if it
        /// speaks Thrift, SASL or HTTP in the clear; one that begins with TLS sees a reset, because no
        /// handshake is done for it.
        maximum_connections_per_address: u64 = default(0),
        /// How many connections a client address may open on this listener in a second, and at once after a
        /// pause; 0 to 1000000, where 0 means no limit.
        new_connections_per_second: u64 = default(0),
        /// The clusters that TLS clients reach by the server name that they ask for, as
        /// `{ "a.example.com" = "a", "*.b.example.com" = "b" }`. A `*` stands for one label. TLS is
        /// relayed as it is; clients with another name, or without one, reach `cluster`. Not beside
        /// `[listener.tls]`.
        sni: NamesFile = default({}),
        /// TLS with a certificate of the router. Without it TLS is relayed unread.
        tls: ListenerTlsFile = derived("none"),
        /// Kerberos with a keytab of the router. Without it GSSAPI is passed on, and read along.
        kerberos: ListenerKerberosFile = derived("none"),
    }
    later {}
}

section! {
    /// TLS towards clients, below a `[[listener]]`. Certificates and keys are PEM. A path that does not begin
    /// with `/` counts from the folder of the config file. The files are read every 5 s. New connections use
    /// what has changed once all files are valid together; until then, they use the last good ones.
    ListenerTlsFile at "listener.tls", "[listener.tls]" {
        /// The certificate, followed by the authorities between it and a root.
        certificate: PathBuf = derived("required, unless there are `pairs`"),
        /// The private key of `certificate`: PKCS#8, PKCS#1 or SEC1, without a password.
        key: PathBuf = derived("in the file of `certificate`"),
        /// Several certificates, in place of `certificate` and `key`; at most 100. A client gets the one that
        /// has the name which it asks for (SNI): exactly, or else as a wildcard. Of several with that name it
        /// gets the first whose kind of key (RSA, ECDSA) it knows. If it asks for no name or for one that
        /// none has, it gets the first.
        pairs: Vec<PairFile> = derived("`certificate` with `key`"),
        /// Whether clients are refused that ask for no name, as those do that connect to an IP address, or
        /// for a name that no certificate has.
        strict_sni: bool = default(false),
        /// The authorities that issue the clients' certificates, and no other certificates. Sessions are not
        /// resumed then: each handshake looks at the client's certificate.
        client_ca: PathBuf = derived("none: clients are not asked for a certificate"),
        /// Whether a client without a certificate is refused (`"required"`) or not (`"optional"`). A
        /// certificate that a client does show must be valid.
        client_auth: ClientAuth = default("required"),
        /// The oldest version that clients may speak. 1.0 and 1.1 are not offered, because rustls, the TLS
        /// library of the router, does not have them.
        minimum_version: Version = default("1.2"),
        /// Whether clients that come without TLS are refused. With `false` both kinds come in by one port, as
        /// a migration needs it.
        required: bool = default(true),
        /// Keys for the tickets by which clients resume their sessions. Routers with the same file resume
        /// each other's sessions. The file is one key (`openssl rand -out tickets.key 48`), or has the format
        /// of `HAProxy`'s `tls-ticket-keys`: lines with 48 or 80 bytes in base64, of which the last three
        /// decrypt and the last but one encrypts, so that a new key is appended on all routers before any
        /// uses it. Tickets are good for 12 hours. Replace the key daily: whoever has it can decrypt what
        /// clients with TLS 1.2 have sent in its time. Not beside `client_ca`.
        ticket_key: PathBuf = derived("a random key, replaced every 6 hours"),
    }
    later {}
}

section! {
    /// A certificate with its key, in the list `pairs` of a `[listener.tls]`.
    PairFile at "listener.tls.pairs", "pairs = [{ … }]" {
        /// As `listener.tls.certificate`.
        certificate: PathBuf = required("certificate = \"router.crt\""),
        /// As `listener.tls.key`.
        key: PathBuf = derived("in the file of `certificate`"),
    }
    later {}
}
