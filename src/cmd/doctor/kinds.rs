//! Everything that the doctor can find. `docs/TROUBLESHOOTING.md` explains each, and a test provokes each.

use super::finding::{Kind, Level};

/// Defines kinds, and the table of all of them.
macro_rules! kinds {
    ($($constant:ident = $name:literal, $level:ident, $means:literal, $remedy:literal;)*) => {
        $(pub(super) static $constant: Kind =
            Kind { name: $name, level: Level::$level, means: $means, remedy: $remedy };)*
        /// All kinds of findings.
        pub static ALL: &[&Kind] = &[$(&$constant),*];
    };
}

kinds! {
    // Names.
    NAMES = "names", Ok, "the name stands for this address", "";
    NAME_UNRESOLVED = "name-unresolved", Failure,
        "nobody on this machine can connect to the host by this name",
        "correct the name in the config, or make it known to DNS or /etc/hosts where the router runs";
    NAME_OF_SEVERAL = "name-of-several", Warning,
        "the router uses the first of the addresses that it reaches, and never the others while it does",
        "list each host as a coordinator, by its own name or address";
    REVERSE_NAME = "reverse-name-differs", Warning,
        "MIT's library may ask the KDC for the service by the reverse name of the address (rdns, \
         dns_canonicalize_hostname), and fail with \"Server not found in Kerberos database\"",
        "make forward and reverse name agree, or have clients set rdns = false and dns_canonicalize_hostname = false in \
         krb5.conf";
    HOST_IS_ADDRESS = "host-is-address", Failure,
        "_HOST in the coordinator's principal stands for its host as the config has it, and principals have names",
        "write the coordinator's host as its principal has it";

    // Ports.
    SPEAKS = "speaks", Ok, "this is what the port speaks with strangers", "";
    UNREACHABLE = "port-unreachable", Failure,
        "no connection comes about: nothing listens there, or something between drops or refuses it",
        "start the coordinator, correct host and port, or open the firewall";
    SILENT = "port-silent", Failure,
        "the port takes connections and answers nothing: all its service threads are in use, or the process is stopped",
        "look at connections-in-use on the coordinator's web page; raise fe_service_threads, or restart the coordinator";
    CLOSES = "port-closes", Failure,
        "the port closes each connection without a word, which clients show as \"TSocket read 0 bytes\": it may expect \
         TLS or a client certificate, or it may be a balancer without a server behind it",
        "look into the log of what listens there; if it has TLS, set [cluster.tls]";
    NOT_UNDERSTOOD = "port-not-understood", Failure,
        "what answers is neither Thrift, SASL, HTTP nor TLS, so it is no coordinator",
        "correct the port";
    WRONG_PROTOCOL = "wrong-protocol", Failure,
        "the port speaks something else than the config says, so calls to it fail",
        "give the port under the key that it belongs to: hs2, beeswax or hs2_http";
    NO_LOGIN = "no-login", Warning,
        "anybody who reaches the port opens sessions under any name; clients need auth=noSasl (JDBC) or \
         auth_mechanism=\"NOSASL\" (impyla)",
        "turn on LDAP or Kerberos on the coordinator, or keep strangers away from the port";
    ONLY_TICKETS = "only-tickets", Warning,
        "the coordinator accepts Kerberos and no passwords: clients that come with a password are told \
         \"Unsupported mechanism type PLAIN\"",
        "have clients use Kerberos, or turn on LDAP on the coordinator";
    GSSAPI_REFUSED = "gssapi-refused", Failure,
        "the router has [cluster.kerberos], but the coordinator accepts no tickets on this port",
        "turn on Kerberos on the coordinator (impalad: --principal and --keytab_file), or remove [cluster.kerberos]";

    // TLS.
    CERTIFICATE = "certificate", Ok, "these are the names, the time and the issuer of the certificate", "";
    TLS_EXPECTED = "tls-expected", Failure,
        "the port speaks TLS, and the router would speak with it in the clear",
        "add [cluster.tls] to the cluster, or remove tls = false from the coordinator";
    TLS_MISSING = "tls-missing", Failure,
        "the router would begin with TLS, which the port does not speak",
        "set tls = false for the coordinator (web = false for its web port), or turn on TLS there";
    TLS_REFUSED = "tls-refused", Failure,
        "one side does not accept what the other has for TLS",
        "do what the text says";
    UNTRUSTED = "certificate-untrusted", Failure,
        "the router does not trust the coordinator's certificate, so it sends it nothing",
        "do what the text says";
    UNVERIFIED = "certificate-unverified", Warning,
        "verify = \"none\": passwords go to whoever answers at the coordinator's address",
        "set ca, and verify = \"full\", in [cluster.tls]";
    EXPIRED = "certificate-expired", Failure,
        "clients that verify it refuse the connection",
        "renew it; a router reads the new file by itself";
    EXPIRES_SOON = "certificate-expires-soon", Warning,
        "it is good for less than 30 days",
        "renew it";
    NOT_YET_VALID = "certificate-not-yet-valid", Failure,
        "clients that verify it refuse the connection until then",
        "compare the clocks, or wait";
    WITHOUT_NAMES = "certificate-without-names", Warning,
        "clients look for the host's name among the alternative names, and not in CN",
        "issue it with subjectAltName";
    CHAIN_BROKEN = "certificate-chain-broken", Warning,
        "a certificate in the chain was not issued by the next one, so clients may not find the way to an authority \
         that they trust",
        "put the server's certificate first, then each issuer in turn";
    CERTIFICATE_UNREADABLE = "certificate-unreadable", Failure,
        "the router cannot start with this file",
        "do what the text says";

    // The coordinator's settings.
    SETTINGS = "settings", Ok, "these settings of the coordinator fit the config", "";
    WEB_UNREADABLE = "web-unreadable", Warning,
        "the router reads the coordinator's load and whether it shuts down from its web port, and cannot",
        "correct web, or set it to 0; where the web port asks for a login, the router judges load by its own counts";
    THREADS_FEWER = "service-threads-fewer", Failure,
        "the router makes more connections than the coordinator has service threads, and those beyond are never \
         answered",
        "set service_threads of the cluster to this number, or raise --fe_service_threads";
    THREADS_MORE = "service-threads-more", Warning,
        "the router leaves service threads of the coordinator unused",
        "set service_threads of the cluster to this number";
    TIMEOUT_DIFFERS = "session-timeout-differs", Warning,
        "the router forgets sessions without connections earlier or later than the coordinator does",
        "set disconnected_session_timeout of the cluster to the coordinator's";
    TRUSTED_HEADER = "trusted-header-open", Failure,
        "the coordinator believes this header, and the router passes it on from any client: anybody can be anybody",
        "add the header to trusted_auth_headers of the cluster";
    NOT_READY = "not-ready", Warning,
        "the coordinator gets no new sessions now: its catalog is not ready, or it is shutting down",
        "wait, or look into its log";

    // Clocks.
    CLOCK = "clock", Ok, "the clocks of this machine and of the coordinator agree", "";
    CLOCK_DIFFERS = "clock-differs", Warning,
        "Kerberos allows five minutes between two clocks, and certificates and cookies are judged by the clock",
        "set both clocks by NTP";
    CLOCK_SKEW = "clock-skew", Failure,
        "Kerberos refuses tickets of a machine whose clock differs by more than five minutes: \"Clock skew too great\"",
        "set the clocks of this machine, the coordinator and the KDC by NTP";

    // Kerberos.
    NO_KERBEROS = "kerberos-not-built-in", Failure,
        "this build of hs2router has no Kerberos, so a router with this config does not start",
        "build it with `cargo build --release --features kerberos`";
    KEYTAB = "keytab", Ok, "these keys are in the keytab", "";
    KEYTAB_UNREADABLE = "keytab-unreadable", Failure,
        "the router cannot read its keys",
        "correct the path, let the router's user read the file, or export it anew (kadmin: ktadd)";
    KEYTAB_OPEN = "keytab-open", Warning,
        "others on this machine can read the keys, and with them be the router",
        "chmod 400 the file, and give it to the router's user";
    KEYTAB_LACKS = "keytab-lacks-principal", Failure,
        "the config names a principal that has no key in the keytab",
        "add its key (kadmin: ktadd -k FILE PRINCIPAL), or correct the principal";
    KEYTAB_WEAK = "keytab-weak-cipher", Warning,
        "the principal has keys of ciphers alone that are out of use: newer clients and KDCs refuse RC4 and DES",
        "give it keys of AES (kadmin: cpw -randkey -e aes256-cts:normal PRINCIPAL, then ktadd)";
    PRINCIPAL_UNRESOLVED = "principal-unresolved", Warning,
        "clients ask for a ticket by the name that they connect to, and nobody connects by the name in the principal",
        "use the name that clients know the router by, in the principal and in DNS";
    OWN_TICKET = "own-ticket", Ok, "the KDC gives the router a ticket", "";
    NO_OWN_TICKET = "no-own-ticket", Failure,
        "the router gets no ticket of its own, so it can log in to no coordinator",
        "compare principal and keytab in [cluster.kerberos] with the KDC (kinit -k -t FILE PRINCIPAL), and see that \
         krb5.conf names a KDC that answers";
    SERVICE_KEY = "service-key", Ok, "the keytab has the key by which the KDC makes tickets for the listener", "";
    SERVICE_UNKNOWN = "service-unknown", Failure,
        "the KDC gives no ticket for this service; if it does not know it, clients are told \"Server not found in \
         Kerberos database\"",
        "add the principal to the KDC (kadmin: addprinc -randkey), or correct the name in the config";
    KEY_STALE = "service-key-stale", Failure,
        "the KDC makes tickets for the listener with a key that the keytab does not have, so clients are refused",
        "export the key anew (kadmin: ktadd), and have clients get new tickets (kinit)";
    TICKET_REFUSED = "ticket-refused", Failure,
        "the coordinator does not accept the router's ticket",
        "compare the coordinator's keytab (klist -kte) with `coordinator` in [cluster.kerberos]; its log says more";
    DELEGATED = "delegation", Ok, "the coordinator opens sessions for users whom the router names", "";
    NOT_DELEGATED = "delegation-refused", Failure,
        "the coordinator does not let the router act for this user",
        "impalad: --authorized_proxy_user_config='hs2router=*'; Hive and Spark: hadoop.proxyuser.… in core-site.xml; if \
         only some users are allowed, try one of them: --user NAME";
    DELEGATION_UNKNOWN = "delegation-unknown", Warning,
        "the coordinator did not say whether it lets the router act for this user",
        "look into its log, and try again";
}
