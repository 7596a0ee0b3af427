//! TLS in front, behind, on both sides or on neither, for each coordinator as the config says: clients notice
//! nothing of it.

use std::sync::Arc;

use hs2router::fake::ReceivedCall;
use hs2router::fake::client::{CallError, Hs2Client};
use hs2router::ids::Service;
use rustls::ServerConfig;

use super::{Doors, await_line, listener};
use crate::support::certificates::{Authority, HERE, Pair};
use crate::support::fleet::{Door, Fleet, Plan, USERS, query_id, refusal, refusal_and_state};
use crate::support::relay::Agreed;
use crate::support::router::eventually;

/// The users of a fleet without SASL, and of one with SASL PLAIN.
const USERS_OF_BOTH: [&[(&str, &str)]; 2] = [&[], &USERS];

/// Everything that a client does, over two connections: also a cancel from the one that did not begin the
/// operation.
fn use_all(fleet: &Fleet, doors: &Doors) {
    let (mut one, mut other) = (doors.hs2(fleet), doors.hs2(fleet));
    let session = one.open(&[]).unwrap();
    let rows = one.query(&session, "select * from rows(3000, 14)").unwrap();
    assert_eq!(rows.len(), 3000);
    let rows = other.query(&session, "select * from rows(20, 'string(300000), int')").unwrap();
    assert!(rows.len() == 20 && rows.iter().all(|row| row[0].len() == 300_000));
    let sleeps = one.execute(&session, "select sleep(600000)").unwrap();
    other.cancel(&sleeps).unwrap();
    assert!(one.fetch(&sleeps, 1).is_err());
    let is_it = |(_, call): &&(usize, ReceivedCall)| call.operation == Some(query_id(&sleeps));
    let cancels = fleet.calls("CancelOperation");
    let (place, _) = cancels.iter().find(is_it).expect("it was cancelled");
    assert_eq!(*place, fleet.owner(&session));
    other.close_session(&session).unwrap();
    assert!(refusal(one.execute(&session, "select 1")).contains("Invalid"), "it is closed");
    let mut beeswax = doors.beeswax(fleet);
    assert_eq!(beeswax.query("select * from rows(2500, 3)").unwrap().len(), 2500);
    drop((one, other, beeswax));
    fleet.await_idle();
}

/// The TLS of three coordinators with the same certificate.
fn three(pair: &Pair) -> Vec<Option<Arc<ServerConfig>>> {
    vec![Some(Arc::new(pair.server_config())); 3]
}

/// All coordinators were reached with TLS, and none of their handshakes failed.
fn assert_encrypted(fleet: &Fleet) {
    for place in 0..3 {
        let handshakes = fleet.front(place).hs2.handshakes();
        assert!(!handshakes.is_empty() && handshakes.iter().all(Result::is_ok), "{handshakes:?}");
    }
}

#[test]
fn with_tls_in_front_the_coordinators_stay_in_the_clear() {
    let authority = Authority::new();
    for users in USERS_OF_BOTH {
        let fleet = super::fleet_behind_tls(&authority, users);
        let doors = Doors::with_tls(&fleet, &authority);
        for _ in 0..3 {
            use_all(&fleet, &doors);
        }
        assert_eq!(doors.relays[0].handshakes().len(), 6);
    }
}

#[test]
fn with_tls_behind_the_clients_stay_in_the_clear() {
    let authority = Authority::new();
    let pair = authority.issue("coordinators", &HERE);
    let cluster = format!("tls = {{ ca = \"{}\" }}", authority.ca().display());
    for users in USERS_OF_BOTH {
        let fleet = Fleet::with(Plan { users, cluster: &cluster, tls: &three(&pair), ..Plan::default() });
        for _ in 0..3 {
            use_all(&fleet, &Doors::open(&fleet));
        }
        assert_encrypted(&fleet);
    }
}

#[test]
fn with_tls_on_both_sides_nothing_is_in_the_clear() {
    let authority = Authority::new();
    let pair = authority.issue("everywhere", &HERE);
    let cluster = format!("tls = {{ ca = \"{}\" }}", authority.ca().display());
    for users in USERS_OF_BOTH {
        let fleet = Fleet::with(Plan {
            users,
            listener: &listener(&pair),
            cluster: &cluster,
            tls: &three(&pair),
            ..Plan::default()
        });
        for _ in 0..3 {
            use_all(&fleet, &Doors::with_tls(&fleet, &authority));
        }
        assert_encrypted(&fleet);
    }
}

#[test]
fn coordinators_that_have_no_tls_yet_serve_beside_those_that_have() {
    let authority = Authority::new();
    let pair = authority.issue("coordinators", &HERE);
    let cluster = format!("tls = {{ ca = \"{}\" }}", authority.ca().display());
    let mut tls = three(&pair);
    tls[1] = None;
    for users in USERS_OF_BOTH {
        let keys = ["", "tls = false", ""];
        let fleet = Fleet::with(Plan { users, cluster: &cluster, keys: &keys, tls: &tls, ..Plan::default() });
        let doors = Doors::open(&fleet);
        let mut client = doors.hs2(&fleet);
        for session in fleet.session_on_each(&mut client) {
            assert_eq!(client.query(&session, "select * from rows(30)").unwrap().len(), 30);
            client.close_session(&session).unwrap();
        }
        drop(client);
        use_all(&fleet, &doors);
    }
}

#[test]
fn each_coordinator_is_verified_by_the_name_that_is_its_own() {
    let authority = Authority::new();
    let names = ["impala-1.test", "impala-2.test", "impala-3.test"];
    let tls = names.map(|name| Some(Arc::new(authority.issue(name, &[name]).server_config())));
    let keys = names.map(|name| format!("server_name = \"{name}\""));
    let keys = keys.each_ref().map(String::as_str);
    let cluster = format!("tls = {{ ca = \"{}\", verify = \"full\" }}", authority.ca().display());
    let fleet = Fleet::with(Plan { cluster: &cluster, keys: &keys, tls: &tls, ..Plan::default() });
    fleet.session_on_each(&mut fleet.hs2());
    for (place, name) in names.into_iter().enumerate() {
        let handshakes = fleet.front(place).hs2.handshakes();
        let asked =
            |one: &Result<_, _>| matches!(one, Ok(Agreed { server_name: Some(asked), .. }) if asked == name);
        assert!(handshakes.iter().all(asked), "{handshakes:?}");
    }
}

#[test]
fn one_name_may_stand_for_all_coordinators() {
    let authority = Authority::new();
    let pair = authority.issue("balancer", &["impala.test"]);
    let ca = authority.ca();
    let cluster = format!(
        "tls = {{ ca = \"{}\", verify = \"name-of-cluster\", server_name = \"impala.test\" }}",
        ca.display()
    );
    let fleet = Fleet::with(Plan { cluster: &cluster, tls: &three(&pair), ..Plan::default() });
    use_all(&fleet, &Doors::open(&fleet));
    assert_encrypted(&fleet);
}

#[test]
fn where_nothing_is_verified_any_certificate_will_do() {
    let stranger = Authority::new();
    let pair = stranger.issue_expired("nobody", &["elsewhere.test"]);
    let fleet =
        Fleet::with(Plan { cluster: "tls = { verify = \"none\" }", tls: &three(&pair), ..Plan::default() });
    use_all(&fleet, &Doors::open(&fleet));
    assert_encrypted(&fleet);
}

#[test]
fn the_router_shows_a_certificate_to_coordinators_that_demand_one() {
    let authority = Authority::new();
    let (pair, own) = (authority.issue("coordinators", &HERE), authority.issue("client", &["the router"]));
    let tls = vec![Some(Arc::new(authority.server_that_demands(&pair))); 3];
    let cluster = format!("tls = {{ ca = \"{}\", {} }}", authority.ca().display(), own.keys());
    let fleet = Fleet::with(Plan { cluster: &cluster, tls: &tls, ..Plan::default() });
    use_all(&fleet, &Doors::open(&fleet));
    assert!(fleet.front(0).hs2.handshakes().iter().flatten().all(|agreed| agreed.has_certificate));
}

#[test]
fn a_coordinator_with_a_wrong_certificate_gets_nothing_and_the_reason_is_told() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = Some(Arc::new(authority.issue("good", &HERE).server_config()));
    let cluster = format!("tls = {{ ca = \"{}\" }}", authority.ca().display());
    for (bad, reason) in [
        (authority.issue("other", &["elsewhere.test"]), "elsewhere.test"),
        (authority.issue_expired("old", &HERE), "expired"),
        (stranger.issue("unknown", &HERE), "cannot be traced to an issuer"),
    ] {
        let tls = [good.clone(), Some(Arc::new(bad.server_config())), good.clone()];
        let fleet = Fleet::with(Plan { users: &USERS, cluster: &cluster, tls: &tls, ..Plan::default() });
        for _ in 0..12 {
            use_session(&mut fleet.hs2()).unwrap();
        }
        assert!(fleet.coordinator(1).calls().is_empty());
        await_line(fleet.router(), &["dial failed", "coordinator=c2", reason]);
        let tried = fleet.front(1).hs2.handshakes();
        assert!(tried.iter().all(Result::is_err) && tried.len() < 12, "no storm: {}", tried.len());
    }
}

fn use_session(client: &mut Hs2Client) -> Result<(), CallError> {
    let session = client.open(&[])?;
    client.query(&session, "select 1")?;
    client.close_session(&session)
}

#[test]
fn links_to_a_coordinator_resume_the_session_of_those_before() {
    let authority = Authority::new();
    let pair = authority.issue("coordinators", &HERE);
    let cluster = format!("share_links = false\ntls = {{ ca = \"{}\" }}", authority.ca().display());
    let fleet =
        Fleet::with(Plan { coordinators: 1, cluster: &cluster, tls: &three(&pair), ..Plan::default() });
    for _ in 0..4 {
        use_session(&mut fleet.hs2_by(Door::Hs2)).unwrap();
    }
    let handshakes = fleet.front(0).hs2.handshakes();
    assert!(handshakes.iter().skip(1).flatten().any(|agreed| agreed.is_resumed), "{handshakes:?}");
}

/// The coordinator was restarted with a certificate that has expired: no dial gets through any more.
#[test]
fn an_idle_session_leaves_a_coordinator_that_nobody_reaches_with_tls_any_more() {
    let authority = Authority::new();
    let good = Some(Arc::new(authority.issue("good", &HERE).server_config()));
    let cluster = format!(
        "share_links = false\nmove_cooldown = \"0s\"\ntls = {{ ca = \"{}\" }}",
        authority.ca().display()
    );
    let tls = [good.clone(), good];
    let fleet = Fleet::with(Plan { coordinators: 2, cluster: &cluster, tls: &tls, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[("mem_limit", "1g")]).unwrap();
    let place = fleet.owner(&session);
    let others: Vec<_> = (0..3).map(|_| client.open(&[]).unwrap()).collect();
    let busy = others.iter().find(|other| fleet.owner(other) == place).unwrap();
    let operation = client.execute(busy, "select * from rows(30)").unwrap();
    let there = fleet.coordinator(1 - place).open_sessions().len();
    let old = authority.issue_expired("old", &HERE);
    fleet.front(place).hs2.restart(old.server_config());
    // A call on a link that is about to break would be lost with it.
    let links = || {
        let coordinator = Arc::clone(&fleet.known().cluster.coordinators()[place]);
        fleet.known().room_of(&coordinator, Service::Hs2).map_or(0, |(room, _)| room.links)
    };
    assert!(eventually(|| links() == 0), "{} links", links());
    let options = client.query(&session, "set all").unwrap();
    assert!(options.iter().any(|row| row[..2] == ["MEM_LIMIT", "1g"]), "its options went along");
    assert_eq!(fleet.coordinator(1 - place).open_sessions().len(), there + 1, "it is open there again");
    // A session with an open operation stays: its coordinator lives, and may be reached again.
    let (told, state) = refusal_and_state(client.fetch(&operation, 10));
    assert!(state.starts_with("08") && told.contains("expired on 2020-02-01"), "{state} {told}");
    assert_eq!(fleet.owner(busy), place);
}
