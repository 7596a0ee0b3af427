//! Whom a call is made for, where a connection has spoken for several.

use hs2router::cluster::AdminState;

use super::{ANN, BOB, Raw, Scene, call};
use crate::support::fleet::{Door, Fleet, Plan, USERS};
use crate::support::message::{execute, handle, of_handle, open_session};
use crate::support::router::eventually;

/// `u1:p1`.
const U1: &str = "Authorization: Basic dTE6cDE=\r\n";

/// Who opened sessions, in order of coordinators.
fn openers(scene: &Scene) -> Vec<String> {
    let opens = scene.fleet.calls("OpenSession").into_iter();
    let mut users: Vec<_> = opens.map(|(_, call)| (call.user.unwrap(), call.do_as)).collect();
    users.sort();
    users
        .into_iter()
        .map(|(user, as_whom)| as_whom.map_or_else(|| user.clone(), |who| format!("{user} as {who}")))
        .collect()
}

#[test]
fn a_session_moves_with_nobody_elses_credential() {
    let scene = Scene::new("");
    let (mut client, mut other) = (scene.client(), scene.client());
    // Of each two, one is on the first coordinator.
    let sessions = [(); 2].map(|()| client.call(ANN, &open_session()).handle(&[0, 3]));
    let of_other = [(); 2].map(|()| other.call(U1, &open_session()).status());
    assert_eq!((of_other, scene.fleet.spread()), ([Some(0); 2], vec![2, 2]));
    // Bob has seen ann's handles, perhaps in a log; no session of hers must become his.
    let refused = |client: &mut Raw, session| client.call(BOB, &execute(session, "select 1")).error().1;
    assert!(refused(&mut client, &sessions[0]).contains("does not match"));
    scene.fleet.set_state(0, AdminState::Drain);
    assert!(eventually(|| openers(&scene).iter().filter(|user| *user == "u1").count() == 3), "none moves");
    for session in &sessions {
        let words = refused(&mut client, session);
        assert!(words.contains("does not match"), "{words}");
    }
    assert_eq!(openers(&scene), ["ann", "ann", "u1", "u1", "u1"]);
    for session in &sessions {
        assert_eq!(client.call(ANN, &execute(session, "select 1")).status(), Some(0));
    }
    assert_eq!(openers(&scene), ["ann", "ann", "ann", "u1", "u1", "u1"], "it did not move");
    scene.fleet.set_state(0, AdminState::Active);
    scene.stays_sound();
}

#[test]
fn a_wrong_password_with_an_unknown_handle_is_not_shown_to_one_coordinator_after_the_other() {
    // A few wrong binds lock an account.
    let fleet = Fleet::with(Plan { coordinators: 6, users: &USERS, http: true, ..Plan::default() });
    let refusals = || fleet.coordinators().map(|one| one.http_counts().basic.failure).collect::<Vec<_>>();
    let wrong = "Authorization: Basic YW5uOndyb25n\r\n";
    for (calls, method) in ["GetInfo", "CancelOperation"].into_iter().enumerate() {
        let mut client = Raw::connect(fleet.address(Door::Http));
        client.send(&call(wrong, &of_handle(method, &handle([1; 16], [2; 16]))));
        assert_eq!(client.last().status, 401);
        // One is asked where it is, and one for the answer.
        let refused: u64 = refusals().iter().sum();
        assert!(refused <= 2 * (calls as u64 + 1), "{method}: {:?}", refusals());
    }
    // Whoever is right is found everywhere.
    let mut client = Raw::connect(fleet.address(Door::Http));
    let sessions = [(); 6].map(|()| client.call(ANN, &open_session()).handle(&[0, 3]));
    assert_eq!(fleet.spread(), [1; 6]);
    let another = fleet.another_router();
    for session in &sessions {
        let mut client = Raw::connect(another.listener(3));
        assert_eq!(client.call(ANN, &execute(session, "select 1")).status(), Some(0));
    }
}

#[test]
fn a_session_that_has_moved_is_still_its_own_users_alone() {
    let scene = Scene::new("");
    let mut client = scene.client();
    let session = client.call(ANN, &open_session()).handle(&[0, 3]);
    let home = scene.fleet.spread().iter().position(|sessions| *sessions == 1).unwrap();
    scene.fleet.set_state(home, AdminState::Drain);
    assert!(eventually(|| openers(&scene) == ["ann", "ann"]), "{:?}", openers(&scene));
    for client in [&mut client, &mut scene.client()] {
        let statement = execute(&session, "select 1");
        assert_eq!(client.call(ANN, &statement).status(), Some(0));
        assert_eq!(client.call(BOB, &statement).status(), Some(3));
        assert_eq!(client.call(ANN, &statement).status(), Some(0));
    }
    let ran = scene.fleet.calls("ExecuteStatement");
    let of_ann = ran.iter().filter(|(place, call)| *place != home && call.user.as_deref() == Some("ann"));
    assert_eq!(of_ann.count(), 4, "{ran:?}");
    scene.fleet.set_state(home, AdminState::Active);
    scene.stays_sound();
}
