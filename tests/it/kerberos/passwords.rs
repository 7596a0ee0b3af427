//! Clients with a password on the port to which others come with a ticket, as they do on Impala's own.

use std::collections::BTreeMap;

use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::sasl::BAD;
use hs2router::fake::{Coordinator, Password, Settings};

use super::front::{GssapiFront, PASSWORD};
use super::{in_front_of, log_in};
use crate::support::talk::Talk;
use crate::support::tools::{self, Tool};

#[test]
fn a_listener_takes_tickets_and_passwords_and_keeps_their_sessions_apart() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let users: BTreeMap<_, _> = [("hs2router", PASSWORD), ("ann", "nna")]
        .map(|(user, password)| (user.to_owned(), Password::new(password)))
        .into();
    let coordinator = Coordinator::start(Settings { users: Some(users), ..Settings::default() }).unwrap();
    let fronts = [GssapiFront::with_passwords(coordinator.hs2())];
    let router = in_front_of(&fronts, "");
    let (_, status, text) = Talk::log_in(router.listener, "ann", "wrong");
    assert!(status == BAD && text.contains("hs2router (c"), "{status} {text}");
    let mut shows_password = Hs2Client::connect(router.listener, &Login::plain("ann", "nna")).unwrap();
    let mut shows_ticket = log_in(router.listener, "ann").unwrap();
    let opened = [shows_password.open(&[]).unwrap(), shows_ticket.open(&[]).unwrap()];
    let who = "select user(), effective_user()";
    assert_eq!(shows_password.query(&opened[0], who).unwrap(), [["ann", "ann"]]);
    assert_eq!(shows_ticket.query(&opened[1], who).unwrap(), [["hs2router", "ann"]]);
    // The router has seen a ticket of one of them, and the coordinator the password of the other.
    let refused = shows_ticket.execute(&opened[0], "select 1").unwrap_err().to_string();
    assert!(refused.contains("is not known as one of this user's"), "{refused}");
    shows_password.execute(&opened[1], "select 1").unwrap_err();
    shows_password.execute(&opened[0], "select 1").unwrap();
    shows_ticket.execute(&opened[1], "select 1").unwrap();
}
