//! What nobody may read elsewhere of what comes over HTTP: passwords, and whatever comes in their place.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use hs2router::fake::{Coordinator, Password, Settings};

use super::{Raw, call};
use crate::hostile::secrets::shown;
use crate::support::message::{execute, open_session};
use crate::support::router::TestRouter;

const PASSWORD: &str = "canary-of-a-password";
const GUESS: &str = "canary-of-a-guess";
const TOKEN: &str = "canary-of-a-token";

/// What Basic sends in place of a password.
fn encoded(password: &str) -> String {
    BASE64.encode(format!("ann:{password}").as_bytes())
}

fn basic(password: &str) -> String {
    format!("Authorization: Basic {}\r\n", encoded(password))
}

#[test]
fn no_password_is_in_a_log_on_the_admin_port_or_in_an_answer() {
    let users = BTreeMap::from([("ann".to_owned(), Password::new(PASSWORD))]);
    let coordinator = Coordinator::start(Settings { users: Some(users), ..Settings::default() }).unwrap();
    let router = TestRouter::http("impala", &[coordinator.hs2_http()]);
    let mut client = Raw::connect(router.listener(0));
    client.send(&call(&basic(PASSWORD), &open_session()));
    let opened = client.hear();
    let session = opened.message().handle(&[0, 3]);
    client.send(&call(&basic(PASSWORD), &execute(&session, "select 1")));
    assert_eq!(client.hear().message().status(), Some(0));
    let encoded = [PASSWORD, GUESS].map(encoded);
    let canaries = [PASSWORD, GUESS, TOKEN, &encoded[0], &encoded[1]];
    let hold_none = |name: &str, text: &str| {
        assert!(canaries.iter().all(|canary| !text.contains(canary)), "{name}: {text}");
    };
    for fields in [
        basic(GUESS),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: Bearer {TOKEN}\r\n"),
        format!("Authorization: Negotiate {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\n"),
        format!("Cookie: impala.auth={TOKEN}\r\n"),
        format!("{}{}", basic(PASSWORD), basic(GUESS)),
        format!("{}Content-Length: {TOKEN}\r\n", basic(PASSWORD)),
    ] {
        let mut client = Raw::connect(router.listener(0));
        client.send(&call(&fields, &open_session()));
        let answer = client.hear();
        assert_ne!(answer.status, 200, "{fields}: {answer:?}");
        hold_none("an answer", &String::from_utf8_lossy(&answer.body));
        hold_none("its head", &(answer.head + &answer.cookies.concat()));
    }
    let log = router.logs().text();
    assert!(log.contains(" TRACE ") && log.contains("connection ended"), "{log}");
    hold_none("the log", &log);
    for (path, body) in shown(&router) {
        hold_none(path, &body);
    }
}
