//! Real clients by ticket in front of simulated Impalas, in both setups of `docs/KERBEROS.md`: with the merged keytabs of
//! Impala's manual and a router that has no key, and with a router that has the key that clients ask for, and
//! coordinators that do not.

use std::collections::BTreeMap;

use hs2router::fake::{Coordinator, Password, Settings};

use super::Fleet;
use super::front::{GssapiFront, PASSWORD};
use crate::real_clients::on_impala::comparable;
use crate::support::clients::{Cursors, Shown, Target};
use crate::support::kdc::{self, USERS};
use crate::support::ran::Met;
use crate::support::router::{TestRouter, eventually};
use crate::support::ticket_clients as clients;
use crate::support::tools::{self, Tool};

/// Rows, what a session remembers, for whom it is, many rows over several fetches, and an error.
const STATEMENTS: [&str; 6] = [
    "select 1 as i, 'x' as s",
    "use demo",
    "select current_database(), effective_user()",
    "insert into t select * from rows(5)",
    "select * from rows(3000, 14)",
    "selec",
];

/// A client that runs the statements, as this user.
type Client = fn(&Target, &str) -> Shown;

/// Those that Impala's manual is about, and the others that log in by SASL.
const CLIENTS: [Client; 5] = [
    // It ends with the first error.
    |target, user| clients::impala_shell(target, user, false, &STATEMENTS.join("; ")),
    |target, user| clients::impyla(target, user, Cursors::One, &STATEMENTS),
    |target, user| clients::pyhive(target, user, &STATEMENTS),
    |target, user| clients::beeline(target, user, &STATEMENTS),
    |target, user| clients::beeline_with_newest_driver(target, user, &STATEMENTS),
];

/// Two coordinators behind fronts that have merged keytabs, and a router without a key.
struct Merged {
    router: TestRouter,
    fronts: [GssapiFront; 2],
    _coordinators: [Coordinator; 2],
}

impl Merged {
    fn start() -> Self {
        let users: BTreeMap<_, _> = USERS.map(|user| (user.to_owned(), Password::new(PASSWORD))).into();
        let coordinators = [0, 1].map(|node| {
            let (name, users) = (format!("c{node}"), Some(users.clone()));
            Coordinator::start(Settings { name, users, ..Settings::default() }).unwrap()
        });
        let fronts = [0, 1]
            .map(|node| GssapiFront::with_keys(coordinators[node].hs2(), &kdc::shared().merged_keytab(node)));
        let router = TestRouter::of("impala", &fronts.each_ref().map(GssapiFront::address));
        Self { router, fronts, _coordinators: coordinators }
    }

    /// Where the router listens, by the name that tickets are for.
    fn target(&self) -> Target {
        Target { host: "localhost".to_owned(), ..self.router.target() }
    }

    /// How many connections the router has understood so deep.
    fn connections(&self, depth: &str) -> f64 {
        let listener = self.router.listener(0);
        self.router
            .metric(&format!("hs2router_connections_total{{listener=\"{listener}\",depth=\"{depth}\"}}"))
    }
}

/// What a client shows; it has got its rows, for the user of its ticket, and the error.
fn shown(client: Client, target: &Target) -> Shown {
    let shown = comparable(client(target, USERS[1]));
    let all = shown.output.join("\n");
    assert!(all.contains("demo") && all.contains(USERS[1]) && all.len() > 20_000, "{shown:?}");
    let errors = shown.complaints.join("\n") + &all;
    // Some say no more of it.
    let is_told = ["ParseException", "Query ID failed"].iter().any(|words| errors.contains(words));
    assert!(is_told, "{:?}", shown.complaints);
    shown
}

#[test]
fn clients_get_the_same_by_merged_keytabs_and_by_the_key_of_the_router_alone() {
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Spark, Tool::Hive]) {
        return;
    }
    let Some(ended) = Fleet::of(2, "") else { return };
    let merged = Merged::start();
    for client in CLIENTS {
        let directly = shown(client, &merged.fronts[0].target());
        let before = merged.connections("observe");
        let passed = shown(client, &merged.target());
        assert_eq!(passed, directly);
        assert!(eventually(|| merged.connections("observe") > before), "{:?} was not read", passed.client);
        let through = shown(client, &ended.router.target());
        assert_eq!(through, directly);
        Met { shown: &passed, server: "impala", target: &merged.target() }
            .got_through(&merged.router.metrics());
        Met { shown: &through, server: "impala", target: &ended.router.target() }
            .got_through(&ended.router.metrics());
    }
    let log = merged.router.logs().text();
    assert!(!log.contains("not read any more"), "{log}");
    let homes = clients::impyla(&merged.target(), USERS[0], Cursors::Apart, &["select coordinator()"; 4])
        .output
        .concat();
    assert!(["c0", "c1"].iter().all(|home| homes.matches(home).count() == 2), "not shared out: {homes}");
    let fleet = &merged.router.router().fleets()[0];
    let is_idle = || fleet.cluster.coordinators().iter().all(|one| one.is_empty());
    assert!(eventually(is_idle), "something still counts");
}

#[test]
fn without_a_key_for_what_clients_ask_for_a_coordinator_lets_nobody_in() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    if !tools::present(&[Tool::Python]) {
        return;
    }
    // Its keytab is not a merged one, so that a router without a key is of no help.
    let router = TestRouter::of("impala", &[fleet.fronts[0].address()]);
    let target = Target { host: "localhost".to_owned(), ..router.target() };
    let shown = clients::impala_shell(&target, USERS[0], false, "select 1");
    assert_ne!(shown.code, Some(0), "{shown:?}");
    router.await_metric("hs2router_connections_closed_total{cause=\"credentials_refused\"}", 1.0);
    let through = clients::impala_shell(&fleet.router.target(), USERS[0], false, "select 1");
    assert_eq!(through.code, Some(0), "{through:?}");
}
