//! Users of another realm, whose KDC shares a key with that of the router's: they get tickets for its services.

use super::negotiate::{post, ticket};
use super::{Fleet, log_in};
use crate::support::kdc::TRUSTED_REALM;
use crate::support::message::open_session;
use crate::support::router::eventually;

/// As whom the coordinator knows the sessions of ann of the other realm.
fn effective_user(fleet: &Fleet) -> String {
    let mut client = log_in(fleet.router.listener, &foreign()).unwrap();
    let session = client.open(&[]).unwrap();
    client.query(&session, "select effective_user()").unwrap()[0][0].clone()
}

fn foreign() -> String {
    format!("ann@{TRUSTED_REALM}")
}

#[test]
fn a_user_of_a_trusted_realm_is_nobody_until_realms_or_names_let_it_in() {
    let Some(mut fleet) = Fleet::of(1, "") else { return };
    let words = "\"ann@OTHER.ORG\" is not accepted: its realm is not among";
    let refused = post(fleet.router.listener, "/", &ticket(&foreign()), &open_session());
    assert!(refused.status == 401 && refused.text().contains(words), "{refused:?}");
    assert!(log_in(fleet.router.listener, &foreign()).is_err());
    assert!(eventually(|| fleet.router.has_logged(words)));
    fleet.listener = "names = { \"ann@OTHER.ORG\" = \"guest\" }".to_owned();
    fleet.restart_router();
    assert_eq!(effective_user(&fleet), "guest");
    fleet.listener = "realms = [\"TEST\", \"OTHER.ORG\"]".to_owned();
    fleet.restart_router();
    assert_eq!(effective_user(&fleet), "ann");
    // The coordinators have one ann then, and the router two.
    let mut ann = log_in(fleet.router.listener, "ann").unwrap();
    let session = ann.open(&[]).unwrap();
    let mut other = log_in(fleet.router.listener, &foreign()).unwrap();
    let refused = other.execute(&session, "select 1").unwrap_err().to_string();
    assert!(refused.contains("is not known as one of this user's"), "{refused}");
    ann.execute(&session, "select 1").unwrap();
}
