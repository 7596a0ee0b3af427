//! Keys of Kerberos.

use std::path::PathBuf;

use super::super::principal::{NamesOf, Principal, ProxyUsers, Realms};
use super::super::problem::Problems;
use super::super::section::{Absent, Key, Section, SectionInfo, section};
use super::super::value::{Entry, Value};

section! {
    /// Kerberos of clients (SASL GSSAPI, and `Negotiate` over HTTP), below a `[[listener]]` of service `hs2` or
    /// `hs2-http`. The router judges their tickets itself, and speaks for them to coordinators under its own name;
    /// its cluster needs `[cluster.kerberos]`. Without this table tickets are passed on: GSSAPI is read along, and
    /// over HTTP the coordinators judge each. Needs a build with Kerberos; `docs/KERBEROS.md` tells how to set it
    /// up.
    ListenerKerberosFile at "listener.kerberos", "[listener.kerberos]" {
        /// The keys of the service that clients ask a ticket for. A path that does not begin with `/` counts from
        /// the folder of the config file. All listeners must have the same one. It is read for each ticket, so a
        /// new key needs no restart.
        keytab: PathBuf = required("keytab = \"router.keytab\""),
        /// The principal that tickets must be for.
        principal: Principal = derived("any in the keytab"),
        /// The realms whose principals are accepted. A list replaces the default, so name your own realm, too.
        realms: Realms = derived("that of the cluster's own `principal`"),
        /// The users of certain principals, as `{ "etl@EXAMPLE.COM" = "etl_user" }`. Other principals are the user
        /// before their first `/` or `@`. A principal that is named here may be of any realm.
        names: NamesOf = default({}),
        /// The users who may name another one in their session's configuration (`impala.doas.user`,
        /// `hive.server2.proxy.user`) or by `doAs` in a query over HTTP, and whom:
        /// `{ hue = ["*"], knox = ["ann", "bob"] }`. They stand without a realm.
        proxy_users: ProxyUsers = default({}),
    }
    later {}
}

section! {
    /// Kerberos towards the coordinators, in a `[[cluster]]`, below its other keys: with its own ticket, and in
    /// the name of the users that a listener with `[listener.kerberos]` has accepted. The coordinators must
    /// allow the router to act for them. The router fetches and renews its tickets itself.
    ClusterKerberosFile at "cluster.kerberos", "[cluster.kerberos]" {
        /// The router's own principal. All clusters must have the same one.
        principal: Principal = required("principal = \"hs2router/router.example.com@EXAMPLE.COM\""),
        /// The key of `principal`; as `listener.kerberos.keytab`.
        keytab: PathBuf = required("keytab = \"router.keytab\""),
        /// The principal of each coordinator, in which `_HOST` stands for its `host`, in small letters. Nothing
        /// is looked up by DNS for it. It is the same for both ports: over HTTP, Impala takes any principal of its
        /// keytab, and `HiveServer2` and Spark take the one of their binary port, too.
        coordinator: Principal = required("coordinator = \"impala/_HOST@EXAMPLE.COM\""),
    }
    later {}
}
