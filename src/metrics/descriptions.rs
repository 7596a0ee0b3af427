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
    CONNECTIONS_TLS = "counter" "connections_tls_total" ["listener", "tls"]
        "Client connections accepted and detected, by what became of TLS";
    TLS_HANDSHAKES = "counter" "tls_handshakes_total" ["listener", "outcome"] "TLS handshakes with clients";
    CONNECTIONS_OPEN = "gauge" "connections_open" ["listener"] "Client connections open now";
    CONNECTIONS_REFUSED = "counter" "connections_refused_total" ["cause"]
        "Client connections and sessions turned away by the router";
    CONNECTIONS_CLOSED = "counter" "connections_closed_total" ["cause"] "Client connections that ended, each counted under one cause";
    ACCEPT_ERRORS = "counter" "accept_errors_total" ["class"] "Errors of the accept loops";
    CERTIFICATE_RELOADS = "counter" "certificate_reloads_total" ["listener", "outcome"]
        "Changes of a listener's certificates and keys that were found in their files";
    CERTIFICATE_EXPIRES = "gauge" "certificate_expires_timestamp_seconds" ["listener", "name"]
        "When a listener's certificate expires, in seconds since 1970; of several with one first name, the earliest";
    CERTIFICATE_FILES_BAD = "gauge" "certificate_files_bad" ["listener"]
        "1 while what is in a listener's files of certificates and keys cannot be used, and the last good is used on";
    CLIENT_CERTIFICATE_RELOADS = "counter" "cluster_certificate_reloads_total" ["cluster", "outcome"]
        "Changes of the files in [cluster.tls] that were found: of what is trusted, or of the router's certificate";
    CLIENT_CERTIFICATE_EXPIRES = "gauge" "cluster_certificate_expires_timestamp_seconds" ["cluster", "name"]
        "When the certificate that the router shows to coordinators expires, in seconds since 1970";
    CLIENT_CERTIFICATE_FILES_BAD = "gauge" "cluster_certificate_files_bad" ["cluster"]
        "1 while what is in the files in [cluster.tls] cannot be used, and the last good is used on";
    CLUSTER_VERIFIED = "gauge" "cluster_tls_verified" ["cluster"]
        "1 if the certificates of a cluster's coordinators are verified, 0 with verify = none; absent without TLS";
    OWN_TICKET_EXPIRES = "gauge" "kerberos_ticket_expires_timestamp_seconds" ["cluster"]
        "When the router's own ticket for a cluster with [cluster.kerberos] expires, in seconds since 1970; 0 until it has one. It is renewed when half its life is over";
    ACCEPT_WAITS = "counter" "accept_waits_total" []
        "Times that the router stopped accepting because max_connections were open";
    CLUSTER_PAUSED = "gauge" "cluster_paused" ["cluster"]
        "1 while an operator has the new sessions and statements of a cluster wait, else 0";
    SESSIONS = "counter" "sessions_total" ["cluster", "coordinator", "outcome"]
        "Attempts to open a session on a coordinator";
    SESSION_MOVES = "counter" "session_moves_total" ["cluster", "coordinator", "outcome"]
        "Attempts to move a session off a coordinator";
    DRAINED_OPERATIONS = "counter" "drained_operations_total" ["cluster", "coordinator", "outcome"]
        "Operations that a drain had to cancel at its deadline";
    COORDINATOR_DRAINING = "gauge" "coordinator_draining" ["cluster", "coordinator"]
        "1 while an operator drains the coordinator, else 0";
    DRAIN_WAITS_FOR = "gauge" "drain_waits_for" ["cluster", "coordinator", "what"]
        "What the drain of a coordinator still waits for; 0 while it is not drained";
    SESSIONS_OPEN = "gauge" "sessions_open" ["cluster", "coordinator"] "Sessions open now";
    OPERATIONS_RUNNING = "gauge" "operations_running" ["cluster", "coordinator"] "Operations running now";
    LINKS_OPEN = "gauge" "links_open" ["cluster", "coordinator", "port"]
        "Connections to a coordinator's port, including those that are being made";
    LINKS_IDLE = "gauge" "links_idle" ["cluster", "coordinator", "port"]
        "Idle connections to a coordinator's port; any client of the same identity may use them";
    DIALS = "counter" "dials_total" ["cluster", "coordinator", "outcome"] "Attempts to connect to a coordinator";
    PROBES = "counter" "probes_total" ["cluster", "coordinator", "outcome"] "Probes of a coordinator's ports";
    LOAD_POLLS = "counter" "load_polls_total" ["cluster", "coordinator", "outcome"]
        "Polls of a coordinator's web port";
    COORDINATOR_STATE = "gauge" "coordinator_state" ["cluster", "coordinator", "port", "state"]
        "1 for the current state of a port that is in use, 0 for its other states";
    QUEUE_WAITING = "gauge" "queue_waiting" ["cluster"]
        "New sessions and calls that are waiting for room on a coordinator, or until a paused cluster is resumed";
    QUEUE_WAITS = "counter" "queue_waits_total" ["cluster", "outcome"]
        "Waits of new sessions and calls that have ended, for room on a coordinator or for the end of a pause";
    QUEUE_WAIT_SECONDS = "counter" "queue_wait_seconds_total" ["cluster"] "Total seconds that new sessions and calls have waited, for room or for the end of a pause";
    CALLS = "counter" "calls_total" ["method", "outcome"] "Calls that have ended";
    HANDLE_LOOKUPS = "counter" "handle_lookups_total" ["outcome"] "Handles missing from the session table that were looked for on the coordinators";
    BYTES = "counter" "bytes_total" ["direction"] "Bytes relayed between clients and coordinators";
    HISTORY_LOST = "counter" "history_lost_total" ["cause"] "Records of the history that were lost";
    SESSION_TABLE_ENTRIES = "gauge" "session_table_entries" [] "Sessions in the session table";
}
