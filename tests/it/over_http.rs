//! HTTP through the router, on coordinators with Impala's carelessness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failure to set the test up is a failed test"
)]

use hs2router::fake::Coordinator;
use hs2router::fake::client::{Hs2Client, Login};

use super::support::fleet::{Door, Fleet, Plan, USERS};

fn client(fleet: &Fleet, login: &Login) -> Hs2Client {
    Hs2Client::connect(fleet.address(Door::Http), login).unwrap()
}

#[test]
fn sessions_over_http_work_and_nothing_is_left_to_luck_at_the_coordinators() {
    let fleet = Fleet::with(Plan { http: true, users: &USERS, ..Plan::default() });
    for (user, password) in USERS {
        let mut client = client(&fleet, &Login::basic(user, password));
        let session = client.open(&[]).unwrap();
        assert_eq!(client.query(&session, "select user()").unwrap(), [[user]]);
        assert_eq!(client.query(&session, "select * from rows(5000, 3)").unwrap().len(), 5000);
        client.close_session(&session).unwrap();
    }
    let counts: Vec<_> = fleet.coordinators().map(Coordinator::http_counts).collect();
    assert!(counts.iter().all(|one| (one.leftovers, one.pipelined) == (0, 0)), "{counts:?}");
    assert!(counts.iter().map(|one| one.basic.success).sum::<u64>() > 0, "{counts:?}");
}

#[test]
fn a_wrong_password_over_http_is_refused_by_the_coordinator() {
    let fleet = Fleet::with(Plan { http: true, users: &USERS, ..Plan::default() });
    let refused = client(&fleet, &Login::basic("ann", "wrong")).open(&[]).unwrap_err();
    assert!(format!("{refused:?}").contains("401"), "{refused:?}");
    let mut nobody = client(&fleet, &Login::http());
    assert!(format!("{:?}", nobody.open(&[]).unwrap_err()).contains("401"));
}
