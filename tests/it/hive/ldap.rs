//! Servers that have a directory check passwords: the router shows a client's password to one server, once.

use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target};
use crate::support::hive;
use crate::support::router::TestRouter;
use crate::support::slapd;

/// A way to run one statement.
type Client = fn(&Target, Login) -> Shown;

/// The directory's answer to a wrong password (RFC 4511, appendix A.1: invalidCredentials).
const INVALID_CREDENTIALS: u32 = 49;

/// What a client shows whose password is wrong, and what the directory answered each time that it was asked.
fn attempt(client: Client, target: &Target, user: &'static str) -> (Shown, Vec<u32>) {
    let before = slapd::shared().binds(user).len();
    let shown = client(target, Login::Ldap { user, password: "wrong" });
    (shown, slapd::shared().binds(user).split_off(before))
}

/// The user is the client's own, or the attempts of another test would count.
fn assert_one_attempt(user: &'static str, client: Client) {
    let Some([first, second]) = hive::pair(Login::LDAP) else { return };
    let router = TestRouter::of("hive", &[first.address(), second.address()]);
    let direct = attempt(client, first.target(), user);
    let through = attempt(client, &router.target(), user);
    assert_eq!(through, direct);
    assert_eq!(through.1, [INVALID_CREDENTIALS], "{through:?}");
    assert!(through.0.code.is_some_and(|code| code != 0), "{through:?}");
}

#[test]
fn a_wrong_password_of_beeline_is_tried_once() {
    assert_one_attempt("u2", |target, login| clients::beeline(target, login, &["SELECT 1"]));
}

#[test]
fn a_wrong_password_of_the_newest_jdbc_driver_is_tried_once() {
    assert_one_attempt("u3", |target, login| {
        clients::beeline_with_newest_driver(target, login, &["SELECT 1"])
    });
}

#[test]
fn a_wrong_password_of_pyhive_is_tried_once() {
    assert_one_attempt("u4", |target, login| clients::pyhive(target, login, &["SELECT 1"]));
}

#[test]
fn a_wrong_password_of_impyla_is_tried_once() {
    assert_one_attempt("u5", |target, login| clients::impyla(target, login, Cursors::One, &["SELECT 1"]));
}

#[test]
fn a_wrong_password_of_impala_shell_is_tried_once() {
    assert_one_attempt("u6", |target, login| {
        clients::impala_shell(target, Dialect::StrictHs2(login), "SELECT 1")
    });
}
