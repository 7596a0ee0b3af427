//! Real clients through the router get from three coordinators what they get from one of them directly:
//! Impala's own calls, for which no real server is at hand, against simulated ones.

use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target};
use crate::support::fleet::{Door, Fleet, Plan, USERS, target};
use crate::support::ran::Met;
use crate::support::tools::{self, Tool};

/// `PyHive` sends this password wherever it is not told that there is LDAP.
const PYHIVE_USERS: [(&str, &str); 1] = [("u1", "x")];

/// Values of all kinds, what a session remembers, many rows over several fetches, DML, and three kinds of
/// errors.
pub(super) const STATEMENTS: [&str; 10] = [
    "select 1 as i, 'x' as s, 1.5 as d, null as n, true as b",
    "use demo",
    "select current_database(), user()",
    "select * from rows(3000, 14)",
    "insert into t select * from rows(5)",
    "selec",
    "fail('on purpose')",
    "select * from rows(2500, 'string(300), int')",
    "select sleep(200)",
    "show databases",
];

/// The same for impala-shell, which stops at an error.
pub(super) const SHELL: &str = "select 1 as a, 'x' as b, null; use demo; select current_database(), user(); \
                     set mem_limit=3g; insert into t select * from rows(5); select * from rows(3000, 9); \
                     profile; summary; select sleep(300); show databases; select 7; profile";

pub(super) fn users(login: Login) -> &'static [(&'static str, &'static str)] {
    match login {
        Login::NoSasl => &[],
        Login::Plain | Login::Ldap { .. } => &USERS,
    }
}

pub(super) fn fleet(users: &[(&str, &str)]) -> Fleet {
    Fleet::with(Plan { users, ..Plan::default() })
}

/// What a client shows, without the ids that differ from run to run and without the place that it came to.
pub(crate) fn comparable(mut shown: Shown) -> Shown {
    for line in shown.output.iter_mut().chain(&mut shown.complaints) {
        *line = without_ids(line);
    }
    for line in &mut shown.output {
        if let Some(place) = line.find("Coordinator: c") {
            line.truncate(place + "Coordinator: c".len());
        }
    }
    shown
}

/// Query and session ids are two words of 16 hexadecimal digits.
fn without_ids(line: &str) -> String {
    let is_half = |half: &str| half.len() == 16 && half.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_id = |text: &str| text.split_once(':').is_some_and(|(one, two)| is_half(one) && is_half(two));
    let words = line.split_inclusive(|letter: char| !letter.is_ascii_hexdigit() && letter != ':');
    let shown = words.map(|word| {
        let bare = word.trim_end_matches(|letter: char| !letter.is_ascii_hexdigit());
        if is_id(bare) { word.replace(bare, "ID") } else { word.to_owned() }
    });
    shown.collect()
}

/// Runs a client against one coordinator of a fleet, then through the router in front of all; it must show
/// the same.
pub(super) fn through_and_direct(fleet: &Fleet, door: Door, scenario: impl Fn(&Target) -> Shown) -> Shown {
    let direct = match door {
        Door::Hs2 | Door::Side => fleet.coordinator(0).hs2(),
        Door::Beeswax => fleet.coordinator(0).beeswax(),
        Door::Http => fleet.coordinator(0).hs2_http(),
    };
    let expected = comparable(scenario(&target(direct)));
    // Several times, so that every coordinator has its turn.
    for run in 0..3 {
        let shown = comparable(scenario(&fleet.target(door)));
        for (line, wanted) in shown.output.iter().zip(&expected.output) {
            assert!(line == wanted, "run {run}: {}\ndirectly: {}", short(line), short(wanted));
        }
        assert!(shown == expected, "run {run}: {:?} {:?}", shown.code, shown.complaints);
    }
    let (target, metrics) = (&fleet.target(door), fleet.router().metrics());
    Met { shown: &expected, server: "impala", target }.got_through(&metrics);
    expected
}

/// A result may have megabytes.
fn short(line: &str) -> &str {
    line.get(..400).unwrap_or(line)
}

fn assert_rows_and_errors(shown: &Shown, user: &str) {
    let rows = shown.rows();
    assert_eq!(rows.len(), STATEMENTS.len(), "{shown:?}");
    assert!(
        rows[0].starts_with(r#"{"columns": ["i", "s", "d", "n", "b"], "rows": [[1, "x", "1.5", null"#),
        "{}",
        rows[0]
    );
    assert!(rows[2].contains(r#"[["demo", ""#) && rows[2].contains(user), "{}", rows[2]);
    assert_eq!(rows[3].matches("], [").count(), 2999);
    assert!(rows[5].contains("error") && rows[5].contains("ParseException"), "{}", rows[5]);
    // PyHive asks once more after a failed fetch, and shows that answer.
    let fails = ["on purpose", "Invalid or unknown query handle: ID"];
    assert!(fails.iter().any(|text| rows[6].contains(text)), "{}", rows[6]);
    assert!(rows[9].contains("functional"), "{}", rows[9]);
}

#[test]
fn impyla_gets_the_same_through_the_router() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(users(login));
        let run = |target: &Target| clients::impyla(target, login, Cursors::One, &STATEMENTS);
        // Without a login it names the user that it runs as.
        let user = if login == Login::Plain { r#", "u1"]"# } else { r#"["demo", ""# };
        assert_rows_and_errors(&through_and_direct(&fleet, Door::Hs2, run), user);
        fleet.await_idle();
    }
}

#[test]
fn the_cursors_of_an_impyla_connection_are_spread_over_the_coordinators() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(users(login));
        let shown =
            clients::impyla(&fleet.target(Door::Hs2), login, Cursors::Each, &["select coordinator()"; 9]);
        let mut homes: Vec<_> = shown.rows().to_vec();
        homes.sort_unstable();
        let row = |name| format!(r#"{{"columns": ["coordinator()"], "rows": [["{name}"]]}}"#);
        let expected: Vec<_> =
            ["c1", "c2", "c3"].into_iter().flat_map(|name| [row(name), row(name), row(name)]).collect();
        assert_eq!(homes, expected);
        assert_eq!(fleet.spread(), [0, 0, 0], "each cursor closes its session where that is");
    }
}

#[test]
fn pyhive_gets_the_same_through_the_router() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for (login, users) in [(Login::NoSasl, &[][..]), (Login::Plain, &PYHIVE_USERS[..])] {
        let fleet = fleet(users);
        let shown =
            through_and_direct(&fleet, Door::Hs2, |target| clients::pyhive(target, login, &STATEMENTS));
        assert_rows_and_errors(&shown, r#", "u1"]"#);
        fleet.await_idle();
    }
}

#[test]
fn beeline_gets_the_same_through_the_router() {
    if !tools::present(&[Tool::Java, Tool::Spark]) {
        return;
    }
    let statements = [
        "select 1 as i, 'x' as s",
        "use demo",
        "select current_database(), user()",
        "select * from rows(1500, 14)",
        "selec",
    ];
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(users(login));
        let direct = comparable(clients::beeline(&target(fleet.coordinator(0).hs2()), login, &statements));
        let shown = comparable(clients::beeline(&fleet.target(Door::Hs2), login, &statements));
        assert_eq!(shown, direct);
        assert!(shown.output.iter().any(|line| line == "demo\tu1"), "{:?}", &shown.output[..6]);
        assert!(shown.complaints[0].starts_with("Error: Query ID failed:"), "{:?}", shown.complaints);
        fleet.await_idle();
    }
}

#[test]
fn impala_shell_gets_the_same_through_the_router() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for (dialect, door) in [
        (Dialect::Hs2(Login::NoSasl), Door::Hs2),
        (Dialect::Beeswax(Login::NoSasl), Door::Beeswax),
        (Dialect::Hs2(Login::Plain), Door::Hs2),
        (Dialect::Beeswax(Login::Plain), Door::Beeswax),
    ] {
        let (Dialect::Hs2(login) | Dialect::Beeswax(login)) = dialect else { unreachable!() };
        let fleet = fleet(users(login));
        let shown = through_and_direct(&fleet, door, |target| clients::impala_shell(target, dialect, SHELL));
        let text = shown.rows().join("\n");
        let user = if login == Login::Plain { "demo\tu1" } else { "demo\t" };
        for expected in
            ["1\tx\tNULL", user, "Query (id=", "Sql Statement: select 7", "00:UNION", "functional"]
        {
            assert!(text.contains(expected), "{dialect:?}: no {expected:?} in {text}");
        }
        fleet.await_idle();
    }
}

#[test]
fn impala_shell_shows_a_statements_error_and_goes_with_it() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for (dialect, door) in
        [(Dialect::Hs2(Login::NoSasl), Door::Hs2), (Dialect::Beeswax(Login::NoSasl), Door::Beeswax)]
    {
        let fleet = fleet(&[]);
        for statement in ["selec", "fail('on purpose')"] {
            let shown =
                through_and_direct(&fleet, door, |target| clients::impala_shell(target, dialect, statement));
            assert_eq!(shown.code, Some(1), "{shown:?}");
        }
    }
}

#[test]
fn ctrl_c_in_impala_shell_reaches_the_owner_of_the_statement() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for (dialect, door, cancel, begin) in [
        (Dialect::Hs2(Login::NoSasl), Door::Hs2, "CancelOperation", "ExecuteStatement"),
        (Dialect::Hs2(Login::Plain), Door::Hs2, "CancelOperation", "ExecuteStatement"),
        (Dialect::Beeswax(Login::NoSasl), Door::Beeswax, "Cancel", "query"),
        (Dialect::Beeswax(Login::Plain), Door::Beeswax, "Cancel", "query"),
    ] {
        let (Dialect::Hs2(login) | Dialect::Beeswax(login)) = dialect else { unreachable!() };
        let fleet = fleet(users(login));
        let shown = clients::impala_shell_interrupted(
            &fleet.target(door),
            dialect,
            "select sleep(600000)",
            "select 'still here'",
        );
        assert!(shown.lasted < 30.0, "{dialect:?}: the statement was not cancelled: {shown:?}");
        assert!(shown.short.iter().any(|line| line.contains("still here")), "{shown:?}");
        assert_eq!(shown.code, 0);
        let cancels = fleet.calls(cancel);
        assert!(!cancels.is_empty(), "{dialect:?}: nobody was asked to cancel");
        for (place, call) in &cancels {
            let begun = fleet.calls(begin);
            let (home, begun) = begun.iter().find(|(_, begun)| begun.operation == call.operation).unwrap();
            assert_eq!(place, home, "{dialect:?}: the cancel came to the wrong coordinator");
            if door == Door::Beeswax {
                assert_ne!(call.connection, begun.connection, "it comes by a connection of its own");
            }
            // The second connection's own session is elsewhere, or this would show nothing.
            let opened =
                ["OpenSession", "PingImpalaService"].into_iter().flat_map(|method| fleet.calls(method));
            assert!(opened.map(|(at, _)| at).any(|at| at != *home), "{dialect:?}");
        }
    }
}

#[test]
fn a_wrong_password_is_shown_as_one() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let fleet = fleet(&[("u1", "not p1")]);
    let by_impyla = clients::impyla(&fleet.target(Door::Hs2), Login::Plain, Cursors::One, &["select 1"]);
    let by_hs2 = clients::impala_shell(&fleet.target(Door::Hs2), Dialect::Hs2(Login::Plain), "select 1");
    let by_beeswax =
        clients::impala_shell(&fleet.target(Door::Beeswax), Dialect::Beeswax(Login::Plain), "select 1");
    for shown in [by_impyla, by_hs2, by_beeswax] {
        assert_eq!(shown.code, Some(1), "{shown:?}");
        let said =
            shown.complaints.iter().chain(&shown.output).any(|line| line.contains("authentication failed"));
        assert!(said, "{shown:?}");
    }
    assert!(fleet.coordinators().all(|coordinator| coordinator.calls().is_empty()));
    fleet.await_idle();
}
