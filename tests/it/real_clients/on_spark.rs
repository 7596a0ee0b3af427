//! Real clients get the same from every server that they reach: rows, errors and what their sessions
//! remember.

use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target};
use crate::support::ran::Met;
use crate::support::router::TestRouter;
use crate::support::spark::{self, WHO_ARE_YOU};

/// Statements that need their session (a variable, a temporary view), many rows, all kinds of values, and an
/// error.
pub(crate) const STATEMENTS: [&str; 6] = [
    "SELECT 1 AS i, 'x' AS s, CAST(1.5 AS DECIMAL(3, 1)) AS d, CAST(NULL AS STRING) AS n, TIMESTAMP '2020-01-01 00:00:00' AS t",
    "CREATE TEMPORARY VIEW mine AS SELECT 42 AS answer",
    "SELECT answer FROM mine",
    "SELECT COUNT(*) AS n, MAX(id) AS m FROM range(1500)",
    "SELECT nothing",
    "SELECT id, CAST(id AS STRING) AS s FROM range(1500) ORDER BY id",
];

/// Runs a scenario against every way to reach a server of this kind, and returns what it showed if they all
/// agree. `None`: the tools are missing.
fn everywhere(login: Login, scenario: impl Fn(&Target) -> Shown) -> Option<Shown> {
    let [first, second] = spark::pair(login)?;
    let router = TestRouter::of("spark", &[first.address(), second.address()]);
    let shown =
        [first.target().clone(), second.target().clone(), router.target()].map(|target| scenario(&target));
    assert!(shown.windows(2).all(|two| two[0] == two[1]), "{shown:#?}");
    let target = &router.target();
    Met { shown: &shown[0], server: "spark", target }.got_through(&router.metrics());
    shown.into_iter().next()
}

/// What both DB-API clients make of [`STATEMENTS`].
pub(crate) fn assert_rows_and_error(shown: &Shown) {
    let rows = shown.rows();
    assert_eq!(rows.len(), STATEMENTS.len(), "{shown:?}");
    assert!(rows[0].starts_with(
        r#"{"columns": ["i", "s", "d", "n", "t"], "rows": [[1, "x", "1.5", null, "2020-01-01 00:00:00"#
    ));
    assert_eq!(rows[2], r#"{"columns": ["answer"], "rows": [[42]]}"#);
    assert_eq!(rows[3], r#"{"columns": ["n", "m"], "rows": [[1500, 1499]]}"#);
    assert!(
        rows[4].starts_with(r#"{"error": "OperationalError""#) && rows[4].contains("UNRESOLVED_COLUMN"),
        "{}",
        rows[4]
    );
    assert!(rows[5].ends_with(r#"[1499, "1499"]]}"#), "{}", rows[5]);
}

#[test]
fn the_two_servers_of_a_kind_are_two() {
    for login in [Login::NoSasl, Login::Plain] {
        let Some(pair) = spark::pair(login) else { return };
        let homes = pair.each_ref().map(|server| clients::pyhive(server.target(), login, &[WHO_ARE_YOU]));
        assert_ne!(homes[0].rows(), homes[1].rows());
    }
}

#[test]
fn impyla_gets_rows_and_errors_without_sasl() {
    let run = |target: &Target| clients::impyla(target, Login::NoSasl, Cursors::One, &STATEMENTS);
    let Some(shown) = everywhere(Login::NoSasl, run) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn impyla_gets_rows_and_errors_with_plain() {
    let run = |target: &Target| clients::impyla(target, Login::Plain, Cursors::One, &STATEMENTS);
    let Some(shown) = everywhere(Login::Plain, run) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn impyla_has_a_session_for_each_cursor_on_one_connection() {
    let statements = [
        "CREATE TEMPORARY VIEW of_the_first AS SELECT 1 AS a",
        "SELECT a FROM of_the_first",
        "SELECT 'third' AS c",
    ];
    for login in [Login::NoSasl, Login::Plain] {
        let run = |target: &Target| clients::impyla(target, login, Cursors::Each, &statements);
        let Some(shown) = everywhere(login, run) else { return };
        let rows = shown.rows();
        assert!(
            rows[1].contains("TABLE_OR_VIEW_NOT_FOUND"),
            "the second session must not see the first one's: {rows:?}"
        );
        assert_eq!(rows[2], r#"{"columns": ["c"], "rows": [["third"]]}"#);
    }
}

#[test]
fn the_cursors_of_one_impyla_connection_are_shared_out_between_two_servers() {
    for login in [Login::NoSasl, Login::Plain] {
        let Some([first, second]) = spark::pair(login) else { return };
        let router = TestRouter::of("spark", &[first.address(), second.address()]);
        let shown = clients::impyla(&router.target(), login, Cursors::Each, &[WHO_ARE_YOU; 4]);
        let mut homes = shown.rows().to_vec();
        homes.sort();
        assert!(homes[0] == homes[1] && homes[1] != homes[2] && homes[2] == homes[3], "{homes:?}");
    }
}

#[test]
fn pyhive_gets_rows_and_errors_without_sasl() {
    let run = |target: &Target| clients::pyhive(target, Login::NoSasl, &STATEMENTS);
    let Some(shown) = everywhere(Login::NoSasl, run) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn pyhive_gets_rows_and_errors_with_plain() {
    let run = |target: &Target| clients::pyhive(target, Login::Plain, &STATEMENTS);
    let Some(shown) = everywhere(Login::Plain, run) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn beeline_gets_rows_and_errors() {
    for login in [Login::NoSasl, Login::Plain] {
        let Some(shown) = everywhere(login, |target| clients::beeline(target, login, &STATEMENTS)) else {
            return;
        };
        assert_eq!(shown.output[0], "i\ts\td\tn\tt");
        assert_eq!(shown.output[1], "1\tx\t1.5\tNULL\t2020-01-01 00:00:00.0");
        let rest = ["Result", "answer", "42", "n\tm", "1500\t1499"].map(str::to_owned);
        assert!(shown.output[2..].starts_with(&rest), "{:?}", &shown.output[..12]);
        assert_eq!(shown.output.last().unwrap(), "1499\t1499");
        assert_eq!(shown.code, Some(1), "a statement failed");
        assert!(shown.complaints[0].contains("UNRESOLVED_COLUMN"), "{:?}", shown.complaints);
    }
}

#[test]
fn impala_shell_in_strict_mode_reads_from_spark() {
    // One column of strings: Spark describes any result so until the statement has ended, and the shell asks
    // before.
    let statements = "SELECT 'a' UNION ALL SELECT 'b'; SHOW DATABASES; SELECT CONCAT('c', 'd')";
    let run = |target: &Target| clients::impala_shell(target, Dialect::StrictHs2(Login::Plain), statements);
    let Some(shown) = everywhere(Login::Plain, run) else { return };
    assert_eq!(shown.rows(), ["a", "b", "default", "cd"]);
}

#[test]
fn impala_shell_misses_impalas_own_calls_on_spark() {
    for login in [Login::NoSasl, Login::Plain] {
        let run = |target: &Target| clients::impala_shell(target, Dialect::Hs2(login), "SELECT 'a'");
        let Some(shown) = everywhere(login, run) else { return };
        assert_eq!(shown.code, Some(1));
        assert!(shown.complaints[0].ends_with("Invalid method name: 'CloseImpalaOperation'"), "{shown:?}");
        let run = |target: &Target| clients::impala_shell(target, Dialect::Beeswax(login), "SELECT 'a'");
        let Some(shown) = everywhere(login, run) else { return };
        assert_eq!(shown.code, Some(1), "Spark knows no Beeswax: {shown:?}");
    }
}

#[test]
fn ctrl_c_in_impala_shell_cancels_from_a_second_connection() {
    let Some(pair) = spark::pair(Login::Plain) else { return };
    let sleep = "SELECT java_method('java.lang.Thread', 'sleep', bigint(60000))";
    let shown = clients::impala_shell_interrupted(
        pair[0].target(),
        Dialect::StrictHs2(Login::Plain),
        sleep,
        "SELECT 'still here'",
    );
    assert!(shown.lasted < 30.0, "the statement was not cancelled: {shown:?}");
    assert!(shown.after.iter().any(|line| line.contains("Cancelling Query")), "{shown:?}");
    assert!(shown.after.iter().any(|line| line.contains("Opened TCP connection")), "{shown:?}");
    assert!(shown.short.iter().any(|line| line.contains("still here")), "{shown:?}");
    assert_eq!(shown.code, 0);
}
