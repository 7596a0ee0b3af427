//! One proven user tries to get at another's sessions, through one router and after its restart. (Every method
//! is tried in `src/serve/tests/delegated.rs`.)

use hs2router::fake::client::CallError;
use hs2router::idl::t_c_l_i_service::{TOperationHandle, TSessionHandle};

use super::{Fleet, TicketClient, log_in};
use crate::support::router::eventually;

/// What ann has open.
struct Open {
    _client: TicketClient,
    session: TSessionHandle,
    operation: TOperationHandle,
}

fn opened_by_ann(fleet: &Fleet) -> Open {
    let mut client = log_in(fleet.router.listener, "ann").unwrap();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select sleep(600000)").unwrap();
    Open { _client: client, session, operation }
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T, CallError>) {
    let text = result.unwrap_err().to_string();
    assert!(text.contains("is not known as one of this user's"), "{text}");
}

#[test]
fn a_stolen_handle_with_its_secret_is_of_no_use_to_another_user() {
    let Some(fleet) = Fleet::of(2, "") else { return };
    let open = opened_by_ann(&fleet);
    let mut bob = log_in(fleet.router.listener, "bob").unwrap();
    let own = bob.open(&[]).unwrap();
    let statements = fleet.received("ExecuteStatement");
    assert_refused(bob.execute(&open.session, "select 1"));
    assert_refused(bob.status(&open.operation));
    assert_refused(bob.fetch(&open.operation, 1));
    assert_eq!(fleet.received("ExecuteStatement"), statements);
    assert_eq!(fleet.received("GetOperationStatus") + fleet.received("FetchResults"), 0);
    // His own session is none the worse for it, nor is hers.
    bob.execute(&own, "select 1").unwrap();
    let mut ann = log_in(fleet.router.listener, "ann").unwrap();
    ann.status(&open.operation).unwrap();
}

#[test]
fn users_share_the_routers_links_to_a_coordinator() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    for user in ["ann", "bob", "ann", "bob"] {
        let mut client = log_in(fleet.router.listener, user).unwrap();
        let session = client.open(&[]).unwrap();
        client.execute(&session, "select 1").unwrap();
    }
    assert_eq!(fleet.coordinators[0].connections(), 1, "one login of the router's for all");
}

#[test]
fn whoever_is_no_proxy_user_names_nobody_else_and_nobody_twice() {
    let Some(fleet) = Fleet::of(1, "proxy_users = { bob = [\"ann\"] }") else { return };
    let mut ann = log_in(fleet.router.listener, "ann").unwrap();
    let as_bob = ann.open(&[("Impala.DoAs.User", "bob")]).unwrap_err().to_string();
    assert!(as_bob.contains("user \"ann\" must not act for user \"bob\""), "{as_bob}");
    let mut bob = log_in(fleet.router.listener, "bob").unwrap();
    let twice = [("impala.doas.user", "ann"), ("IMPALA.DOAS.USER", "root")];
    assert!(bob.open(&twice).unwrap_err().to_string().contains("more than once"));
    assert!(bob.open(&[("impala.doas.user", "root")]).unwrap_err().to_string().contains("must not act"));
    let session = bob.open(&[("impala.doas.user", "ann")]).unwrap();
    bob.execute(&session, "select 1").unwrap();
    // It is hers in name only.
    assert_refused(ann.execute(&session, "select 1"));
}

#[test]
fn a_router_that_does_not_know_a_handle_gives_it_to_nobody() {
    let Some(mut fleet) = Fleet::of(2, "") else { return };
    let open = opened_by_ann(&fleet);
    fleet.restart_router();
    for user in ["ann", "bob"] {
        let mut client = log_in(fleet.router.listener, user).unwrap();
        assert_refused(client.execute(&open.session, "select 1"));
        assert_refused(client.fetch(&open.operation, 1));
    }
    assert_eq!(fleet.received("PingImpalaHS2Service"), 0, "nobody was asked");
    assert!(eventually(|| fleet.sessions().iter().sum::<usize>() == 1), "nor was it closed");
}
