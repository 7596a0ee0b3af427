//! Servers that have a directory check passwords: the router shows a client's password to one server, once.

use hs2router::fake::Password;
use hs2router::fake::client::{Hs2Client, HttpLogin, Login as FakeLogin};

use super::calls::at_last;
use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target};
use crate::support::fleet::is_valid;
use crate::support::hive::{self, Hive};
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
    let Some(pair) = hive::pair(Login::LDAP) else { return };
    let router = TestRouter::of("hive", &pair.each_ref().map(Hive::address));
    let attempts = assert_same_attempts(user, client, [pair[0].target().clone(), router.target()]);
    assert_eq!(attempts, [INVALID_CREDENTIALS]);
    let router = TestRouter::http("hive", &pair.each_ref().map(Hive::address_over_http));
    let targets = [pair[0].target_over_http(), router.target().over_http()];
    let attempts = assert_same_attempts(user, client, targets);
    assert!(attempts.iter().all(|attempt| *attempt == INVALID_CREDENTIALS), "{attempts:?}");
    assert!(!attempts.is_empty(), "the directory was not asked");
}

/// A client shows the same directly and through the router, and the directory is asked as often. Some clients try
/// again over HTTP.
fn assert_same_attempts(user: User, client: Client, [direct, through]: [Target; 2]) -> Vec<u32> {
    let [direct, through] = [direct, through].map(|target| attempt(client, &target, user));
    assert_eq!(through, direct);
    assert!(through.0.code.is_some_and(|code| code != 0), "{through:?}");
    through.1
}

#[test]
fn a_thousand_calls_cost_two_hives_one_bind_each() {
    const CALLS: usize = 1000;
    let Some(pair) = hive::pair(Login::LDAP) else { return };
    let router = TestRouter::http("hive", &pair.each_ref().map(Hive::address_over_http));
    let before = slapd::shared().binds("u7").len();
    let basic = Some(("u7".to_owned(), Password::new("p7")));
    let login = HttpLogin { basic, keeps_cookies: false, ..HttpLogin::default() };
    let connect = || Hs2Client::connect(router.listener(0), &FakeLogin::Http(login.clone())).unwrap();
    let session = connect().open(&[]).unwrap();
    for _ in 1..CALLS {
        is_valid(&mut connect(), &session).unwrap();
    }
    let others: Vec<_> = (0..4).map(|_| connect().open(&[]).unwrap()).collect();
    others.iter().chain([&session]).for_each(|session| connect().close_session(session).unwrap());
    assert_eq!(slapd::shared().binds("u7").split_off(before), [SUCCESS; 2], "one for each server");
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
