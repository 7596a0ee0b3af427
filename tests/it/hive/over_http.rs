//! Real `HiveServer2`s over HTTP: sessions are shared out, and calls come home on whatever connection, also with
//! clients that connect for each call.

use crate::real_clients::over_http::{SESSIONS, assert_shared_out};
use crate::support::clients::{self, Cursors, Login, Shown, Target};
use crate::support::curl::Curl;
use crate::support::hive::{self, Hive, WHO_ARE_YOU};
use crate::support::jdbc;
use crate::support::ran::Met;
use crate::support::router::TestRouter;
use crate::support::tools::{self, Tool};

/// A router in front of the two servers that take this login.
fn router(login: Login) -> Option<(TestRouter, &'static [Hive; 2])> {
    let pair = hive::pair(login)?;
    Some((TestRouter::http("hive", &pair.each_ref().map(Hive::address_over_http)), pair))
}

#[test]
fn twenty_sessions_of_impyla_are_shared_out_between_two_hives() {
    let Some((router, _)) = router(Login::Plain) else { return };
    let target = router.target().over_http();
    let shown = clients::impyla(&target, Login::Plain, Cursors::Each, &[WHO_ARE_YOU; SESSIONS]);
    assert_shared_out(shown.rows().to_vec());
    Met { shown: &shown, server: "hive", target: &target }.got_through(&router.metrics());
}

#[test]
fn twenty_sessions_of_the_newest_jdbc_driver_are_shared_out_between_two_hives() {
    let Some((router, _)) = router(Login::Plain) else { return };
    let target = router.target().over_http();
    assert_shared_out(jdbc::on_each(&target, Login::Plain, SESSIONS, WHO_ARE_YOU));
}

#[test]
fn each_of_twenty_sessions_of_pyhive_gets_its_rows_from_one_of_two_hives() {
    let Some((router, _)) = router(Login::Plain) else { return };
    let target = router.target().over_http();
    for _ in 0..SESSIONS {
        let shown =
            clients::pyhive(&target, Login::Plain, &["SET hivevar:mine=7", "SELECT ${hivevar:mine} AS a"]);
        assert_eq!(shown.rows()[1], r#"{"columns": ["a"], "rows": [[7]]}"#);
        Met { shown: &shown, server: "hive", target: &target }.got_through(&router.metrics());
    }
}

#[test]
fn twenty_sessions_by_hand_are_shared_out_between_two_hives() {
    if !tools::present(&[Tool::Curl]) {
        return;
    }
    let Some((router, _)) = router(Login::LDAP) else { return };
    let target = router.target().over_http();
    let curl = Curl { target: &target, login: Login::LDAP };
    let sessions: Vec<_> = (0..SESSIONS).map(|_| curl.open()).collect();
    let homes = sessions.iter().map(|session| curl.query(session, WHO_ARE_YOU).concat());
    assert_shared_out(homes.collect());
    for session in &sessions {
        curl.close(session);
    }
}

/// What a client shows that says who it is over HTTP, by any of the servers' ways.
type Client = fn(&Target, Login) -> Shown;

#[test]
fn clients_get_rows_from_hive_over_http_with_any_password_too() {
    let scenarios: [Client; 4] = [
        |target, login| clients::impyla(target, login, Cursors::One, &["SELECT 1 AS a", "SELECT nothing"]),
        |target, login| clients::pyhive(target, login, &["SELECT 1 AS a", "SELECT nothing"]),
        |target, login| clients::beeline(target, login, &["SELECT 1 AS a", "SELECT nothing"]),
        |target, login| clients::beeline_with_newest_driver(target, login, &["SELECT 1 AS a"]),
    ];
    let Some((router, [first, _])) = router(Login::Plain) else { return };
    for scenario in scenarios {
        let target = &router.target().over_http();
        let [direct, through] =
            [&first.target_over_http(), target].map(|target| scenario(target, Login::Plain));
        assert_eq!(through, direct);
        assert!(!through.output.is_empty(), "{through:?}");
        Met { shown: &through, server: "hive", target }.got_through(&router.metrics());
    }
}
