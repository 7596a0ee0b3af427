//! What is left of a password in the router's memory: nothing, once nobody needs it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;

use hs2router::fake::client::{Hs2Client, HttpLogin, Login};
use hs2router::fake::{Coordinator, Password, Settings};

use crate::support::program::Program;
use crate::support::router::eventually;

const PASSWORD: &str = "canary-of-a-password-in-memory";
const GUESS: &str = "canary-of-a-wrong-guess-in-memory";

fn coordinator() -> Coordinator {
    let users = BTreeMap::from([("ann".to_owned(), Password::new(PASSWORD))]);
    Coordinator::start(Settings { users: Some(users), ..Settings::default() }).unwrap()
}

/// Uses a session, with calls of several sizes, and closes it.
fn work(client: &mut Hs2Client) {
    let session = client.open(&[]).unwrap();
    for statement in ["select 1".to_owned(), format!("select '{}'", "x".repeat(20_000))] {
        client.query(&session, &statement).unwrap();
    }
    client.close_session(&session).unwrap();
}

/// While a client is there its password is in memory, for links that it may need; and then it is not.
fn assert_forgotten(program: &Program, secret: &str, mut client: Hs2Client) {
    work(&mut client);
    assert!(program.copies_of(secret.as_bytes()) > 0, "this test looks in the wrong place");
    drop(client);
    assert!(eventually(|| program.metric("hs2router_connections_open") < 0.5), "it left");
    assert!(
        eventually(|| program.copies_of(secret.as_bytes()) == 0),
        "{} copies are left",
        program.copies_of(secret.as_bytes())
    );
}

#[test]
fn a_password_of_sasl_is_not_in_memory_once_its_client_has_left() {
    let coordinator = coordinator();
    let program = Program::start(coordinator.hs2(), "");
    let connect = |password: &str| Hs2Client::connect(program.listener, &Login::plain("ann", password));
    assert!(connect(GUESS).is_err());
    assert_forgotten(&program, PASSWORD, connect(PASSWORD).unwrap());
    assert_eq!(program.copies_of(GUESS.as_bytes()), 0, "copies of a refused password are left");
}

#[test]
fn a_password_in_a_head_that_never_becomes_whole_is_not_in_memory_once_its_client_has_left() {
    let coordinator = coordinator();
    let program = Program::over_http(coordinator.hs2_http());
    let mut stream = TcpStream::connect(program.listener).unwrap();
    write!(stream, "POST /cliservice HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {BASIC}\r\n").unwrap();
    assert!(eventually(|| program.copies_of(BASIC.as_bytes()) > 0), "this test looks in the wrong place");
    drop(stream);
    assert!(eventually(|| program.copies_of(BASIC.as_bytes()) == 0), "copies are left");
}

/// What Basic sends in place of the password.
const BASIC: &str = "YW5uOmNhbmFyeS1vZi1hLXBhc3N3b3JkLWluLW1lbW9yeQ==";

#[test]
fn a_password_of_basic_is_not_in_memory_once_its_client_has_left() {
    let coordinator = coordinator();
    let program = Program::over_http(coordinator.hs2_http());
    let basic = Some(("ann".to_owned(), Password::new(PASSWORD)));
    let login = Login::Http(HttpLogin { basic, ..HttpLogin::default() });
    assert_forgotten(&program, BASIC, Hs2Client::connect(program.listener, &login).unwrap());
    assert_eq!(program.copies_of(PASSWORD.as_bytes()), 0);
}
