//! The simulated coordinator keeps Impala's promises: one test for each, by its own client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failure to set the test up is a failed test"
)]

mod behaviour;
mod clients;
mod http;
mod misbehaviour;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hs2router::clock;
use hs2router::fake::client::{BeeswaxClient, CallError, Hs2Client, Login};
use hs2router::fake::{Coordinator, Password, Settings};

/// A coordinator without authentication.
fn open() -> Coordinator {
    Coordinator::start(Settings { name: "c1".to_owned(), ..Settings::default() }).unwrap()
}

/// A coordinator with SASL PLAIN: ann and bob, whose passwords are their names backwards.
fn secured() -> Coordinator {
    let users = [("ann", "nna"), ("bob", "bob")];
    let users: BTreeMap<_, _> =
        users.iter().map(|(user, password)| ((*user).to_owned(), Password::new(password))).collect();
    Coordinator::start(Settings { users: Some(users), ..Settings::default() }).unwrap()
}

fn hs2(coordinator: &Coordinator) -> Hs2Client {
    Hs2Client::connect(coordinator.hs2(), &Login::NoSasl).unwrap()
}

fn hs2_as(coordinator: &Coordinator, user: &str, password: &str) -> Hs2Client {
    Hs2Client::connect(coordinator.hs2(), &Login::plain(user, password)).unwrap()
}

fn beeswax(coordinator: &Coordinator) -> BeeswaxClient {
    BeeswaxClient::connect(coordinator.beeswax(), &Login::NoSasl).unwrap()
}

/// The message of a refused call.
fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
    match result {
        Err(CallError::Refused { message, .. }) => message,
        other => panic!("not refused: {other:?}"),
    }
}

/// Looks again until it is so, for what another thread does in its own time.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline: Instant = clock::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(clock::now() < deadline, "not within 10 s: {what}");
        std::thread::yield_now();
    }
}
