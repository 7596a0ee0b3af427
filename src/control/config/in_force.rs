//! The config in force, as somebody would write it: with every default, and with whatever follows from other keys.
//! Read again, it means the same.
//!
//! It holds no secret, because the config holds none: only paths of files that do.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use toml::{Table, Value};

use super::checked::{
    AdminConfig, ClusterConfig, ClusterKerberos, ClusterTlsConfig, Config, CoordinatorConfig, HistoryConfig,
    ListenerConfig, ListenerKerberos, LogConfig, NamedCluster, ProbeConfig, RouterConfig,
};
use super::units::{ByteSize, TimeSpan};
use super::words::{VerifyWord, Words};
use crate::cluster::Ports;
use crate::net::per_address::AddressLimits;
use crate::net::tls::certificates::PairFiles;
use crate::net::tls::client::{ClusterTlsSettings, Verify};
use crate::net::tls::server;
use crate::session::delegation::{Claims, Rules};

impl Config {
    /// Everything that holds, by the names of the config file.
    pub fn in_force(&self) -> Table {
        let Self { router, log, admin, listeners, clusters } = self;
        table(
            [
                ("router", self::router(router).into()),
                ("log", self::log(*log).into()),
                ("admin", self::admin(admin).into()),
                ("listener", all(listeners, listener)),
                ("cluster", all(clusters, cluster)),
            ],
            [],
        )
    }
}

/// A table of keys that always have a value, and of others that may be absent.
fn table<const ALWAYS: usize, const PERHAPS: usize>(
    always: [(&str, Value); ALWAYS],
    perhaps: [(&str, Option<Value>); PERHAPS],
) -> Table {
    let perhaps = perhaps.into_iter().filter_map(|(key, value)| Some((key, value?)));
    always.into_iter().chain(perhaps).map(|(key, value)| (key.to_owned(), value)).collect()
}

fn all<T>(items: &[T], write: impl Fn(&T) -> Table) -> Value {
    items.iter().map(|one| Value::Table(write(one))).collect::<Vec<_>>().into()
}

fn span(span: Duration) -> Value {
    text(TimeSpan(span))
}

fn size(bytes: usize) -> Value {
    text(ByteSize(bytes))
}

fn text(value: impl Display) -> Value {
    value.to_string().into()
}

fn texts<T: Display>(values: impl IntoIterator<Item = T>) -> Value {
    values.into_iter().map(|one| Value::String(one.to_string())).collect::<Vec<_>>().into()
}

fn word(value: impl Words) -> Value {
    text(value.word())
}

fn path(path: &Path) -> Value {
    text(path.display())
}

fn number(value: impl TryInto<i64>) -> Value {
    Value::Integer(value.try_into().unwrap_or(i64::MAX))
}

fn router(config: &RouterConfig) -> Table {
    let RouterConfig {
        detect_timeout,
        handshake_timeout,
        connect_timeout,
        open_timeout,
        keepalive,
        stall_timeout,
        client_lost_grace,
        drain_timeout,
        max_connections,
        replay_limit,
        replay_memory,
        session_table_size,
    } = *config;
    table(
        [
            ("detect_timeout", span(detect_timeout)),
            ("handshake_timeout", span(handshake_timeout)),
            ("connect_timeout", span(connect_timeout)),
            ("open_timeout", span(open_timeout)),
            ("keepalive", span(keepalive)),
            ("stall_timeout", span(stall_timeout)),
            ("client_lost_grace", span(client_lost_grace)),
            ("drain_timeout", span(drain_timeout)),
            ("max_connections", number(max_connections)),
            ("replay_limit", size(replay_limit)),
            ("replay_memory", size(replay_memory)),
            ("session_table_size", number(session_table_size)),
        ],
        [],
    )
}

fn log(config: LogConfig) -> Table {
    let LogConfig { format, level } = config;
    table([("format", word(format)), ("level", word(level))], [])
}

fn admin(config: &AdminConfig) -> Table {
    let AdminConfig { address, history } = config;
    table(
        [("address", text(address))],
        [("history", history.as_ref().map(|history| self::history(history).into()))],
    )
}

fn history(config: &HistoryConfig) -> Table {
    let HistoryConfig { file, rotate, keep } = config;
    let rotate = size(usize::try_from(*rotate).unwrap_or(usize::MAX));
    table([("file", path(file)), ("rotate", rotate), ("keep", span(*keep))], [])
}

fn listener(config: &ListenerConfig) -> Table {
    let ListenerConfig {
        address,
        cluster,
        service,
        tls,
        kerberos,
        proxy_protocol_from,
        trusted_proxies,
        address_limits: AddressLimits { connections, per_second },
        server_names,
    } = config;
    let names = |one: &NamedCluster| (one.pattern.to_string(), Value::String(one.cluster.to_string()));
    let sni: Table = server_names.iter().map(names).collect();
    table(
        [
            ("address", text(address)),
            ("cluster", text(cluster)),
            ("service", word(*service)),
            ("proxy_protocol_from", texts(proxy_protocol_from)),
            ("trusted_proxies", texts(trusted_proxies)),
            ("maximum_connections_per_address", number(connections.unwrap_or(0))),
            ("new_connections_per_second", number(per_second.unwrap_or(0))),
        ],
        [
            ("sni", (!sni.is_empty()).then_some(sni.into())),
            ("tls", tls.as_ref().map(|tls| listener_tls(tls).into())),
            ("kerberos", kerberos.as_ref().map(|kerberos| listener_kerberos(kerberos).into())),
        ],
    )
}

fn listener_tls(settings: &server::Settings) -> Table {
    let server::Settings { pairs, clients, minimum_version, required, ticket_key, strict_sni } = settings;
    table(
        [
            ("pairs", all(pairs, pair)),
            ("strict_sni", (*strict_sni).into()),
            ("minimum_version", text(minimum_version.as_str())),
            ("required", (*required).into()),
        ],
        [
            ("client_ca", clients.as_ref().map(|clients| path(&clients.ca))),
            ("client_auth", clients.as_ref().map(|clients| word(clients.auth))),
            ("ticket_key", ticket_key.as_deref().map(path)),
        ],
    )
}

fn pair(files: &PairFiles) -> Table {
    let PairFiles { certificate, key } = files;
    table([("certificate", path(certificate)), ("key", path(key))], [])
}

fn listener_kerberos(config: &ListenerKerberos) -> Table {
    let ListenerKerberos { keytab, principal, rules } = config;
    let Rules { realms, names, proxy_users } = &**rules;
    table(
        [
            ("keytab", path(keytab)),
            ("realms", texts(realms)),
            ("names", by_name(names, |user| user.clone().into())),
            ("proxy_users", by_name(proxy_users, claims)),
        ],
        [("principal", principal.as_ref().map(text))],
    )
}

fn by_name<T>(values: &BTreeMap<String, T>, write: impl Fn(&T) -> Value) -> Value {
    values.iter().map(|(name, value)| (name.clone(), write(value))).collect::<Table>().into()
}

fn claims(claims: &Claims) -> Value {
    match claims {
        Claims::Anybody => vec![Value::from("*")].into(),
        Claims::Of(users) => users.iter().cloned().map(Value::from).collect::<Vec<_>>().into(),
    }
}

fn cluster(config: &ClusterConfig) -> Table {
    let ClusterConfig {
        name,
        flavor,
        sessions_outlive_connections,
        policy,
        stick,
        idle_session_cost,
        disconnected_session_timeout,
        service_threads,
        reserve,
        address_share,
        queue_timeout,
        queue_length,
        share_links,
        probe,
        load_interval,
        panic_threshold,
        slow_start,
        move_idle_sessions,
        move_cooldown,
        rebalance,
        drain_deadline,
        drain_then,
        tls,
        trusted_auth_headers,
        kerberos,
        coordinators,
    } = config;
    table(
        [
            ("name", text(name)),
            ("flavor", word(*flavor)),
            ("sessions_outlive_connections", (*sessions_outlive_connections).into()),
            ("policy", word(*policy)),
            ("stick", word(*stick)),
            ("idle_session_cost", (*idle_session_cost).into()),
            ("disconnected_session_timeout", span(*disconnected_session_timeout)),
            ("service_threads", number(service_threads.unwrap_or(0))),
            ("reserve", number(*reserve)),
            ("address_share", (*address_share).into()),
            ("queue_timeout", span(*queue_timeout)),
            ("queue_length", number(*queue_length)),
            ("share_links", (*share_links).into()),
            ("probe", self::probe(probe).into()),
            ("load", table([("interval", span(*load_interval))], []).into()),
            ("trusted_auth_headers", texts(trusted_auth_headers)),
            ("panic_threshold", (*panic_threshold).into()),
            ("slow_start", span(*slow_start)),
            ("move_idle_sessions", (*move_idle_sessions).into()),
            ("move_cooldown", span(*move_cooldown)),
            ("rebalance", (*rebalance).into()),
            ("drain_deadline", span(*drain_deadline)),
            ("drain_then", word(*drain_then)),
            ("coordinators", all(coordinators, |one| coordinator(one, tls.is_some()))),
        ],
        [
            ("tls", tls.as_ref().map(|tls| cluster_tls(tls).into())),
            ("kerberos", kerberos.as_ref().map(|kerberos| cluster_kerberos(kerberos).into())),
        ],
    )
}

fn probe(config: &ProbeConfig) -> Table {
    let ProbeConfig { interval, timeout, fall, rise } = *config;
    table(
        [
            ("interval", span(interval)),
            ("timeout", span(timeout)),
            ("fall", number(fall)),
            ("rise", number(rise)),
        ],
        [],
    )
}

fn cluster_tls(config: &ClusterTlsConfig) -> Table {
    let ClusterTlsConfig { settings: ClusterTlsSettings { ca, pair, verify }, web } = config;
    let (verify, server_name) = match verify {
        Verify::Full => (VerifyWord::Full, None),
        Verify::NameOfCluster(name) => (VerifyWord::NameOfCluster, Some(name)),
        Verify::Nothing => (VerifyWord::Nothing, None),
    };
    table(
        [("verify", word(verify)), ("web", (*web).into())],
        [
            ("ca", ca.as_deref().map(path)),
            ("server_name", server_name.map(text)),
            ("certificate", pair.as_ref().map(|pair| path(&pair.certificate))),
            ("key", pair.as_ref().map(|pair| path(&pair.key))),
        ],
    )
}

fn cluster_kerberos(config: &ClusterKerberos) -> Table {
    let ClusterKerberos { principal, keytab, coordinator } = config;
    table([("principal", text(principal)), ("keytab", path(keytab)), ("coordinator", text(coordinator))], [])
}

/// `may_have_tls`: whether its cluster has `[cluster.tls]`.
fn coordinator(config: &CoordinatorConfig, may_have_tls: bool) -> Table {
    let CoordinatorConfig { name, host, ports, weight, state, tls, server_name } = config;
    let Ports { hs2, beeswax, hs2_http, web } = *ports;
    table(
        [
            ("name", text(name)),
            ("host", text(host)),
            ("weight", number(*weight)),
            ("state", word(*state)),
            ("hs2", number(hs2.unwrap_or(0))),
            ("beeswax", number(beeswax.unwrap_or(0))),
            ("hs2_http", number(hs2_http.unwrap_or(0))),
            ("web", number(web.unwrap_or(0))),
        ],
        [("tls", may_have_tls.then_some((*tls).into())), ("server_name", server_name.as_ref().map(text))],
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::control::config::SECTIONS;

    fn valid() -> Vec<Config> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/config/valid");
        let files = fs::read_dir(folder).unwrap();
        files.map(|file| Config::load(&file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn what_is_in_force_means_the_same_when_it_is_read_again() {
        for config in valid() {
            let written = toml::to_string(&config.in_force()).unwrap();
            assert_eq!(Config::parse("in force", &written).unwrap(), config, "{written}");
        }
    }

    /// Adds the paths of all keys, as [`SECTIONS`] has them.
    fn keys_of(value: &Value, path: &str, keys: &mut BTreeSet<String>) {
        match value {
            Value::Table(table) => {
                for (key, value) in table {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    keys_of(value, &path, keys);
                    keys.insert(path);
                }
            }
            Value::Array(values) => values.iter().for_each(|one| keys_of(one, path, keys)),
            _ => {}
        }
    }

    #[test]
    fn every_key_of_the_reference_is_there() {
        let mut written = BTreeSet::new();
        for config in valid() {
            keys_of(&config.in_force().into(), "", &mut written);
        }
        let keys =
            SECTIONS.iter().flat_map(|section| section.keys.iter().map(move |key| (section.path, key.name)));
        // They are written as `pairs`.
        let known: BTreeSet<_> = keys.map(|(section, key)| format!("{section}.{key}")).collect();
        let missing: Vec<_> = known.difference(&written).collect();
        assert_eq!(missing, ["listener.tls.certificate", "listener.tls.key"]);
    }
}
