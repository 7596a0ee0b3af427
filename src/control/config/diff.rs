//! Compares two configs: what a running router can adopt, and which keys need a restart.

use std::sync::Arc;

use super::checked::{
    AdminConfig, ClusterConfig, Config, CoordinatorConfig, LogConfig, ProbeConfig, RouterConfig,
};
use crate::cluster::AdminState;
use crate::ids::CoordinatorName;

/// A coordinator's state in the config has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewState {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its name there.
    pub coordinator: CoordinatorName,
    /// The new state.
    pub state: AdminState,
}

/// Names the fields in which two values differ. The pattern lists every field, so that a new field breaks the
/// build until it is compared.
macro_rules! differing {
    ($path:expr, $keys:ident, $type:ident: $old:expr, $new:expr; $($field:ident),+; but $($other:ident),*) => {{
        let ($type { $($field: _,)+ $($other: _,)* }, new) = ($old, $new);
        $(if differ(&$old.$field, &new.$field) {
            $keys.push(format!("{}.{}", $path, stringify!($field)));
        })+
    }};
}

/// Numbers that were written the same are the same.
fn differ<T: PartialEq>(old: &T, new: &T) -> bool {
    old != new
}

impl Config {
    /// The coordinators whose state differs from `old`, among those that are in both configs under the same
    /// name.
    pub fn new_states(&self, old: &Self) -> Vec<NewState> {
        let mut states = Vec::new();
        for (old, new) in pairs(&old.clusters, &self.clusters) {
            for coordinator in &new.coordinators {
                let former = old.coordinators.iter().find(|former| former.name == coordinator.name);
                if former.is_some_and(|former| former.state != coordinator.state) {
                    let (name, state) = (coordinator.name.clone(), coordinator.state);
                    states.push(NewState { cluster: Arc::clone(&new.name), coordinator: name, state });
                }
            }
        }
        states
    }

    /// The keys whose values differ from `old` and that need a restart, in the order of the reference.
    pub fn needs_restart(&self, old: &Self) -> Vec<String> {
        let mut keys = Vec::new();
        differing!("router", keys, RouterConfig: &old.router, &self.router;
            detect_timeout, handshake_timeout, connect_timeout, open_timeout, keepalive, stall_timeout,
            client_lost_grace, drain_timeout, max_connections, replay_limit, replay_memory, session_table_size; but);
        differing!("log", keys, LogConfig: &old.log, &self.log; format, level; but);
        differing!("admin", keys, AdminConfig: &old.admin, &self.admin; address, history; but);
        if old.listeners != self.listeners {
            keys.push("listener".to_owned());
        }
        let names =
            |config: &Self| config.clusters.iter().map(|cluster| cluster.name.clone()).collect::<Vec<_>>();
        if names(old) != names(self) {
            keys.push("cluster".to_owned());
        }
        for (old, new) in pairs(&old.clusters, &self.clusters) {
            cluster(old, new, &mut keys);
        }
        keys
    }
}

/// The clusters that are in both configs.
fn pairs<'a>(
    old: &'a [ClusterConfig],
    new: &'a [ClusterConfig],
) -> impl Iterator<Item = (&'a ClusterConfig, &'a ClusterConfig)> {
    new.iter().filter_map(|new| Some((old.iter().find(|old| old.name == new.name)?, new)))
}

fn cluster(old: &ClusterConfig, new: &ClusterConfig, keys: &mut Vec<String>) {
    let mut found = Vec::new();
    differing!("cluster", found, ClusterConfig: old, new;
        flavor, sessions_outlive_connections, policy, stick, idle_session_cost, disconnected_session_timeout, service_threads,
        reserve, address_share, queue_timeout,
        queue_length, share_links, panic_threshold, slow_start, move_idle_sessions, move_cooldown, rebalance,
        drain_deadline, drain_then, tls, kerberos, trusted_auth_headers; but name, probe, load_interval, coordinators);
    differing!("cluster.probe", found, ProbeConfig: &old.probe, &new.probe; interval, timeout, fall, rise; but);
    if old.load_interval != new.load_interval {
        found.push("cluster.load.interval".to_owned());
    }
    let but_state = |config: &ClusterConfig| {
        let active = |one: &CoordinatorConfig| CoordinatorConfig { state: AdminState::Active, ..one.clone() };
        config.coordinators.iter().map(active).collect::<Vec<_>>()
    };
    if but_state(old) != but_state(new) {
        found.push("cluster.coordinators".to_owned());
    }
    // The cluster is named only if there are several.
    keys.extend(found.into_iter().map(|key| format!("{key} of {:?}", new.name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[router]\nmax_connections = 7\n\
        [[listener]]\naddress = \"127.0.0.1:1\"\ncluster = \"one\"\n\
        [[cluster]]\nname = \"one\"\nprobe = { interval = \"2s\" }\nreserve = 2\n\
        coordinators = [\"a\", { host = \"b\", weight = 2, state = \"drain\" }]\n\
        [[cluster]]\nname = \"two\"\ncoordinators = [\"a\"]\n";

    fn config(text: &str) -> Config {
        Config::parse("test", text).unwrap()
    }

    /// What changes when one piece of the file is replaced: states, and keys that need a restart.
    fn changes(from: &str, to: &str) -> (Vec<String>, Vec<String>) {
        assert!(FILE.contains(from), "{from}");
        let (old, new) = (config(FILE), config(&FILE.replace(from, to)));
        let shown = |one: NewState| format!("{}/{} {}", one.cluster, one.coordinator, one.state);
        (new.new_states(&old).into_iter().map(shown).collect(), new.needs_restart(&old))
    }

    #[test]
    fn the_same_config_changes_nothing() {
        assert_eq!(changes("7", "7"), (vec![], vec![]));
        // What is written out is what held before.
        assert_eq!(changes("reserve = 2", "reserve = 2\nrebalance = true"), (vec![], vec![]));
    }

    #[test]
    fn only_states_change_without_a_restart() {
        let (states, restart) = changes(", state = \"drain\"", "");
        assert_eq!((states, restart), (vec!["one/b active".to_owned()], vec![]));
        let (states, restart) = changes("[\"a\", ", "[{ host = \"a\", state = \"drain\" }, ");
        assert_eq!((states, restart), (vec!["one/a drain".to_owned()], vec![]));
    }

    #[test]
    fn all_else_is_named_by_its_key() {
        for (from, to, keys) in [
            ("max_connections = 7", "max_connections = 8", vec!["router.max_connections"]),
            // Connections that are open go on judging tickets as when they began.
            (
                "[[cluster]]\nname = \"one\"\n",
                "[listener.kerberos]\nkeytab = \"k\"\n[[cluster]]\nname = \"one\"\n\
                 kerberos = { principal = \"r/a@R\", keytab = \"k\", coordinator = \"impala/_HOST@R\" }\n",
                vec!["listener", "cluster.kerberos of \"one\""],
            ),
            ("[router]", "[log]\nlevel = \"debug\"\n[router]", vec!["log.level"]),
            ("[router]", "[admin]\naddress = \"127.0.0.1:5\"\n[router]", vec!["admin.address"]),
            ("[router]", "[admin]\nhistory = { file = \"h\" }\n[router]", vec!["admin.history"]),
            ("127.0.0.1:1", "127.0.0.1:2", vec!["listener"]),
            ("name = \"two\"", "name = \"three\"", vec!["cluster"]),
            ("reserve = 2", "reserve = 1", vec!["cluster.reserve of \"one\""]),
            ("reserve = 2", "drain_then = \"cancel\"", vec!["cluster.drain_then of \"one\""]),
            ("reserve = 2", "load = { interval = \"2s\" }", vec!["cluster.load.interval of \"one\""]),
            ("interval = \"2s\"", "interval = \"3s\"", vec!["cluster.probe.interval of \"one\""]),
            ("reserve = 2", "tls = {}", vec!["cluster.tls of \"one\"", "cluster.coordinators of \"one\""]),
            ("weight = 2", "weight = 3", vec!["cluster.coordinators of \"one\""]),
            ("[\"a\", ", "[\"c\", ", vec!["cluster.coordinators of \"one\""]),
            ("= 7", "= 8\nreplay_limit = \"64KiB\"", vec!["router.max_connections", "router.replay_limit"]),
        ] {
            let (states, restart) = changes(from, to);
            assert_eq!((states, restart), (vec![], keys.into_iter().map(str::to_owned).collect()), "{to}");
        }
    }

    #[test]
    fn a_state_that_comes_with_other_changes_is_still_one() {
        let (states, restart) = changes("weight = 2, state = \"drain\"", "weight = 3");
        assert_eq!(states, ["one/b active"]);
        assert_eq!(restart, ["cluster.coordinators of \"one\""]);
    }
}
