//! Every metric with its name, its labels and what it counts; `docs/METRICS.md` is generated from it.

/// What a metric is, for `docs/METRICS.md`.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// As exposed, without the prefix.
    pub name: &'static str,
    /// `counter`, `gauge` or `info`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts, ending without a full stop (the exposition adds it).
    pub help: &'static str,
}

macro_rules! descriptions {
    ($($id:ident = $kind:literal $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $id: Description =
            Description { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)+

        /// Every metric, in the order of the exposition.
        pub const DESCRIPTIONS: &[Description] = &[$($id),+];
    };
}

descriptions! {
    BUILD = "info" "build_info" ["version"] "The version of the router; always 1";
    CONNECTIONS = "counter" "connections_total" ["listener", "depth"]
        "Client connections accepted and detected";
    CONNECTIONS_OPEN = "gauge" "connections_open" ["listener"] "Client connections open now";
    CONNECTIONS_REFUSED = "counter" "connections_refused_total" ["cause"]
        "Client connections and sessions turned away by the router";
    CONNECTIONS_CLOSED = "counter" "connections_closed_total" ["cause"] "Client connections ended, each by one cause";
    ACCEPT_ERRORS = "counter" "accept_errors_total" ["class"] "Errors of the accept loops";
    ACCEPT_WAITS = "counter" "accept_waits_total" []
        "Times that the router stopped accepting because max_connections were open";
    SESSIONS = "counter" "sessions_total" ["cluster", "coordinator", "outcome"]
        "Attempts to open a session on a coordinator";
    SESSION_MOVES = "counter" "session_moves_total" ["cluster", "coordinator", "outcome"]
        "Attempts to move a session off a coordinator";
    DRAINED_OPERATIONS = "counter" "drained_operations_total" ["cluster", "coordinator", "outcome"]
        "Operations that were open at the deadline of a drain and were to be cancelled";
    COORDINATOR_DRAINING = "gauge" "coordinator_draining" ["cluster", "coordinator"]
        "1 for a coordinator that people drain, else 0";
    DRAIN_WAITS_FOR = "gauge" "drain_waits_for" ["cluster", "coordinator", "what"]
        "What is left on a coordinator that people drain; 0 on others";
    SESSIONS_OPEN = "gauge" "sessions_open" ["cluster", "coordinator"] "Sessions open now";
    OPERATIONS_RUNNING = "gauge" "operations_running" ["cluster", "coordinator"] "Operations running now";
    LINKS_OPEN = "gauge" "links_open" ["cluster", "coordinator", "port"]
        "Connections to a coordinator's port, those that are being made among them";
    LINKS_IDLE = "gauge" "links_idle" ["cluster", "coordinator", "port"]
        "Connections to a coordinator's port that wait for a call of any client of their identity";
    DIALS = "counter" "dials_total" ["cluster", "coordinator", "outcome"] "Attempts to connect to a coordinator";
    PROBES = "counter" "probes_total" ["cluster", "coordinator", "outcome"] "Probes of a coordinator's ports";
    LOAD_POLLS = "counter" "load_polls_total" ["cluster", "coordinator", "outcome"]
        "Polls of a coordinator's web port";
    COORDINATOR_STATE = "gauge" "coordinator_state" ["cluster", "coordinator", "port", "state"]
        "1 for what is thought of a port that is in use, 0 for everything else";
    QUEUE_WAITING = "gauge" "queue_waiting" ["cluster"]
        "New sessions and calls that wait for room on a coordinator now";
    QUEUE_WAITS = "counter" "queue_waits_total" ["cluster", "outcome"]
        "Waits of new sessions and calls for room on a coordinator";
    QUEUE_WAIT_SECONDS = "counter" "queue_wait_seconds_total" ["cluster"] "Seconds that they have waited, together";
    CALLS = "counter" "calls_total" ["method", "outcome"] "Calls ended";
    ASKINGS = "counter" "askings_total" ["outcome"] "Handles that the session table lacked, for which coordinators are asked";
    BYTES = "counter" "bytes_total" ["direction"] "Bytes relayed between clients and coordinators";
    SESSION_TABLE_ENTRIES = "gauge" "session_table_entries" [] "Sessions in the session table";
}
