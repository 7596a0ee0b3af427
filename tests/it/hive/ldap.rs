//! Servers that have a directory check passwords: the router shows a client's password to one server, once.

use super::calls::at_last;
use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target};
use crate::support::hive;
use crate::support::router::TestRouter;
use crate::support::slapd;

/// A way to run one statement.
type Client = fn(&Target, Login) -> Shown;

/// The directory's answers to a wrong password and to a right one (RFC 4511, appendix A.1).
const INVALID_CREDENTIALS: u32 = 49;
const SUCCESS: u32 = 0;

/// A user of the directory that only one test uses, and its password.
#[derive(Clone, Copy)]
struct User {
    name: &'static str,
    password: &'static str,
}

/// What a client shows whose password is wrong, and what the directory answered each time that it was asked
/// until the user logged in directly afterwards.
fn attempt(client: Client, target: &Target, user: User) -> (Shown, Vec<u32>) {
    let Some([server, _]) = hive::pair(Login::LDAP) else { panic!("it was there") };
    let User { name, password } = user;
    let before = slapd::shared().binds(name).len();
    let shown = client(target, Login::Ldap { user: name, password: "wrong" });
    clients::pyhive(server.target(), Login::Ldap { user: name, password }, &["SELECT 1"]).rows();
    let answers = || slapd::shared().binds(name).split_off(before);
    assert!(at_last(|| answers().contains(&SUCCESS)), "the login is not in the log: {:?}", answers());
    let mut answers = answers();
    assert_eq!(answers.pop(), Some(SUCCESS), "something came after the login: {answers:?}");
    (shown, answers)
}

/// The user is the client's own, or the attempts of another test would count.
fn assert_one_attempt(user: User, client: Client) {
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
    assert_one_attempt(User { name: "u2", password: "p2" }, |target, login| {
        clients::beeline(target, login, &["SELECT 1"])
    });
}

#[test]
fn a_wrong_password_of_the_newest_jdbc_driver_is_tried_once() {
    assert_one_attempt(User { name: "u3", password: "p3" }, |target, login| {
        clients::beeline_with_newest_driver(target, login, &["SELECT 1"])
    });
}

#[test]
fn a_wrong_password_of_pyhive_is_tried_once() {
    assert_one_attempt(User { name: "u4", password: "p4" }, |target, login| {
        clients::pyhive(target, login, &["SELECT 1"])
    });
}

#[test]
fn a_wrong_password_of_impyla_is_tried_once() {
    assert_one_attempt(User { name: "u5", password: "p5" }, |target, login| {
        clients::impyla(target, login, Cursors::One, &["SELECT 1"])
    });
}

#[test]
fn a_wrong_password_of_impala_shell_is_tried_once() {
    assert_one_attempt(User { name: "u6", password: "p6" }, |target, login| {
        clients::impala_shell(target, Dialect::StrictHs2(login), "SELECT 1")
    });
}
