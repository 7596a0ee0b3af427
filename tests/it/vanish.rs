//! Who vanishes costs the others nothing: a client leaves no links and no load, a coordinator leaves typed
//! errors.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use hs2router::cluster::Load;
use hs2router::fake::client::{CallError, Hs2Client, Login};
use hs2router::fake::sasl::plain;
use hs2router::fake::{Coordinator, Fault, Settings};
use hs2router::idl::beeswax::{BeeswaxException, TBeeswaxServiceSyncClient};
use hs2router::idl::t_c_l_i_service::TOperationState;

use crate::support::fleet::{Door, Fleet, Plan, refusal, refusal_and_state};
use crate::support::message::open_session;
use crate::support::ports::Hanging;
use crate::support::router::{TestRouter, eventually};
use crate::support::talk::Talk;

/// A fleet whose coordinators keep sessions without connections for a moment only.
fn forgetful() -> Fleet {
    let settings = Settings {
        disconnected_session_timeout: Duration::from_millis(300),
        fetch_timeout: Duration::from_secs(1),
        ..Settings::default()
    };
    Fleet::with(Plan { settings, cluster: "share_links = false", ..Plan::default() })
}

/// No coordinator has a connection any more; `sessions` are still known to the router, and forgotten in their
/// time.
fn assert_left_nothing(fleet: &Fleet, sessions: usize) {
    let connections = || fleet.coordinators().map(Coordinator::connections).sum::<usize>();
    assert!(eventually(|| connections() == 0), "{} links are left", connections());
    assert_eq!(fleet.known().table.sessions(), sessions, "the coordinators still have them");
    assert!(eventually(|| fleet.spread() == [0, 0, 0]), "they saw the connections end: {:?}", fleet.spread());
    assert_eq!(fleet.forget_detached(), sessions);
    assert_eq!(fleet.known().table.operations(), 0);
    fleet.await_idle();
}

#[test]
fn a_client_that_closes_without_a_word_leaves_nothing() {
    let fleet = forgetful();
    let mut client = fleet.hs2();
    for session in fleet.session_on_each(&mut client) {
        client.execute(&session, "select sleep(60000)").unwrap();
    }
    drop(client);
    assert_left_nothing(&fleet, 3);
}

/// Ends a connection by RST instead of FIN.
fn reset(client: Hs2Client) {
    socket2::SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
}

#[test]
fn a_client_that_resets_its_connection_leaves_nothing() {
    let fleet = forgetful();
    let mut client = fleet.hs2();
    fleet.session_on_each(&mut client);
    reset(client);
    assert_left_nothing(&fleet, 3);
}

#[test]
fn a_client_that_resets_its_connection_during_a_call_leaves_nothing() {
    let fleet = forgetful();
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select sleep(60000)").unwrap();
    fleet.reset_during_fetch(client, operation);
    assert_left_nothing(&fleet, 1);
}

#[test]
fn a_client_that_resets_its_connection_while_a_link_is_dialed_is_noticed_at_once() {
    let login = plain("u1", b"p1");
    for request in [open_session().encode(), login] {
        let hanging = Hanging::new();
        let router = TestRouter::with("impala", &[hanging.address()], "connect_timeout = \"1h\"");
        let coordinator = &router.router().fleets()[0].cluster.coordinators()[0];
        let mut client = Talk::connect(router.listener(0));
        client.send(&request);
        assert!(eventually(|| coordinator.load().opens_in_progress == 1), "it was not dialed");
        client.reset();
        router.await_metric("hs2router_connections_closed_total{cause=\"client_reset\"}", 1.0);
        assert_eq!(coordinator.load(), Load::default());
    }
}

#[test]
fn a_client_that_is_killed_leaves_nothing() {
    let fleet = forgetful();
    // OpenSession, as PyHive sends it.
    let bytes = "\\x80\\x01\\x00\\x01\\x00\\x00\\x00\\x0bOpenSession\\x00\\x00\\x00\\x00\\x0c\\x00\\x01\
                 \\x08\\x00\\x01\\x00\\x00\\x00\\x05\\x00\\x00";
    let port = fleet.address(Door::Hs2).port();
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{bytes}' >&3; head -c 19 <&3 >/dev/null; echo open; read -r _"
    );
    let mut process = Command::new("bash")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "open\n");
    assert_eq!(fleet.known().table.sessions(), 1);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_left_nothing(&fleet, 1);
}

#[test]
fn a_beeswax_session_ends_with_its_client() {
    let fleet = Fleet::of(3);
    let mut client = fleet.beeswax();
    client.execute("select sleep(60000)", "").unwrap();
    assert_eq!(fleet.spread().iter().sum::<usize>(), 1);
    drop(client);
    fleet.await_idle();
    assert!(eventually(|| fleet.spread() == [0, 0, 0]));
    assert_eq!((fleet.known().table.sessions(), fleet.known().table.operations()), (0, 0));
}

#[test]
fn a_session_outlives_its_connection_and_is_used_from_the_next() {
    let fleet = Fleet::with(Plan { cluster: "share_links = false", ..Plan::default() });
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let operation = client.execute(&sessions[2], "select * from rows(3)").unwrap();
    drop(client);
    let connections = || fleet.coordinators().map(Coordinator::connections).sum::<usize>();
    assert!(eventually(|| connections() == 0));
    assert_eq!(fleet.spread(), [1, 1, 1]);
    // As impyla does: it reconnects by itself and goes on with its old handles.
    let mut client = fleet.hs2();
    for (session, coordinator) in sessions.iter().zip(fleet.coordinators()) {
        assert_eq!(client.query(session, "select coordinator()").unwrap(), [[coordinator.name()]]);
    }
    assert!(client.fetch(&operation, 10).unwrap().0.is_some());
    assert_eq!(fleet.forget_detached(), 0, "they are attached again");
}

#[test]
fn a_lost_coordinator_is_named_at_once_for_its_operations_and_all_sessions_go_on() {
    for mut fleet in [Fleet::of(3), Fleet::secured(3)] {
        let mut client = fleet.hs2();
        let sessions = fleet.session_on_each(&mut client);
        let operation = client.execute(&sessions[1], "select sleep(60000)").unwrap();
        fleet.lose(1);
        for _ in 0..2 {
            // The session goes on elsewhere, the operation cannot.
            client.ping(&sessions[1]).unwrap();
            assert_ne!(client.query(&sessions[1], "select coordinator()").unwrap(), [["c2"]]);
            for result in [
                client.fetch(&operation, 1).map(drop),
                client.status(&operation).map(drop),
                client.close(&operation).map(drop),
            ] {
                let (text, state) = refusal_and_state(result);
                assert!(text.contains("hs2router") && text.contains("coordinator c2"), "{text}");
                assert!(["08001", "08S01"].contains(&state.as_str()), "{state}: {text}");
            }
            for place in [0, 2] {
                let name = fleet.coordinator(place).name();
                assert_eq!(client.query(&sessions[place], "select coordinator()").unwrap(), [[name]]);
            }
        }
        // New sessions go where somebody is.
        for _ in 0..4 {
            let session = client.open(&[]).unwrap();
            client.ping(&session).unwrap();
        }
    }
}

#[test]
fn a_coordinator_that_dies_during_a_call_is_told_of_at_once() {
    let mut fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let operation = client.execute(&sessions[0], "select sleep(60000)").unwrap();
    let waiting = thread::spawn(move || {
        let refused = refusal_and_state(client.fetch(&operation, 1));
        (client, refused)
    });
    assert!(eventually(|| !fleet.calls("FetchResults").is_empty()));
    fleet.lose(0);
    let (mut client, (text, state)) = waiting.join().unwrap();
    assert!(text.contains("coordinator c1") && text.contains("lost during the call"), "{text}");
    assert_eq!(state, "08S01");
    assert_eq!(client.query(&sessions[1], "select coordinator()").unwrap(), [["c2"]]);
}

#[test]
fn a_statement_whose_reply_is_lost_is_not_sent_again() {
    for fault in [Fault::DropBefore, Fault::DropAfter, Fault::Garbage] {
        let fleet = Fleet::of(3);
        let mut client = fleet.hs2();
        let sessions = fleet.session_on_each(&mut client);
        fleet.coordinator(2).faults().once("ExecuteStatement", fault);
        let (text, state) = refusal_and_state(client.execute(&sessions[2], "insert into t values (1)"));
        assert_eq!(state, "08S01", "{text}");
        assert_eq!(fleet.calls("ExecuteStatement").len(), 1, "{fault:?}: it was sent again");
        // The session is still there, and so is the connection.
        assert_eq!(client.query(&sessions[2], "select coordinator()").unwrap(), [["c3"]]);
    }
}

#[test]
fn a_poll_whose_link_breaks_is_asked_again_unnoticed() {
    let fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select sleep(60000)").unwrap();
    let owner = fleet.coordinator(fleet.owner(&session));
    for fault in [Fault::DropBefore, Fault::DropAfter] {
        owner.faults().once("GetOperationStatus", fault);
        assert_eq!(client.status(&operation).unwrap().0, TOperationState::RUNNING_STATE);
    }
    owner.cut_connections();
    assert_eq!(client.status(&operation).unwrap().0, TOperationState::RUNNING_STATE);
    owner.faults().once("CancelOperation", Fault::DropAfter);
    client.cancel(&operation).unwrap();
}

#[test]
fn a_statement_on_a_link_that_was_cut_before_is_sent_on_a_new_one() {
    let fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    for coordinator in fleet.coordinators() {
        coordinator.cut_connections();
    }
    for (session, coordinator) in sessions.iter().zip(fleet.coordinators()) {
        assert_eq!(client.query(session, "select coordinator()").unwrap(), [[coordinator.name()]]);
    }
}

#[test]
fn an_open_that_is_lost_goes_to_the_next_coordinator() {
    for fault in [Fault::DropBefore, Fault::DropAfter] {
        let fleet = Fleet::of(3);
        for place in [0, 1] {
            fleet.coordinator(place).faults().always("OpenSession", fault);
        }
        let mut client = fleet.hs2();
        for _ in 0..3 {
            let session = client.open(&[]).unwrap();
            assert_eq!(client.query(&session, "select coordinator()").unwrap(), [["c3"]]);
        }
    }
}

#[test]
fn nobody_left_is_said_and_not_shown_by_a_close() {
    let mut fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    fleet.lose(0);
    fleet.lose(1);
    for _ in 0..2 {
        let (text, state) = refusal_and_state(client.open(&[]));
        assert!(text.contains("none of the 2 coordinators of cluster test took the session"), "{text}");
        assert_eq!(state, "08001");
    }
    let mut beeswax = fleet.beeswax();
    let thrown = beeswax.execute("select 1", "");
    let Err(CallError::Thrift(thrift::Error::User(error))) = thrown else { panic!("{thrown:?}") };
    let text = error.downcast::<BeeswaxException>().unwrap().message.unwrap();
    assert!(text.contains("none of the 2 coordinators of cluster test took the session"), "{text}");
}

#[test]
fn sessions_outlive_the_router() {
    let fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let (cut, coordinators) = fleet.drain();
    assert_eq!(cut, 0, "nothing was under way");
    let closed = client.ping(&sessions[0]);
    assert!(matches!(closed, Err(CallError::Thrift(thrift::Error::Transport(_)))), "{closed:?}");
    for (session, coordinator) in sessions.iter().zip(&coordinators) {
        let mut direct = Hs2Client::connect(coordinator.hs2(), &Login::NoSasl).unwrap();
        direct.ping(session).unwrap();
    }
}

#[test]
fn a_restarted_coordinator_says_itself_that_the_session_is_gone() {
    let fleet = Fleet::with(Plan { cluster: "move_idle_sessions = false", ..Plan::default() });
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    client.execute(&sessions[1], "select sleep(60000)").unwrap();
    fleet.coordinator(1).restart();
    let text = refusal(client.ping(&sessions[1]));
    assert!(text.starts_with("Invalid session id: "), "{text}");
    assert_eq!(fleet.loads()[1], Load::default(), "what is gone does not count");
    assert_eq!(fleet.known().table.sessions(), 2);
    client.ping(&sessions[0]).unwrap();
    assert_eq!(fleet.owner(&client.open(&[]).unwrap()), 1, "it has the least load now");
}

#[test]
fn a_beeswax_client_whose_coordinator_dies_goes_on_with_another() {
    let mut fleet = Fleet::of(2);
    let mut client = fleet.beeswax();
    let home = client.query("select coordinator()").unwrap().concat();
    let handle = client.execute("select sleep(60000)", "").unwrap();
    let place = fleet.coordinators().position(|coordinator| coordinator.name() == home).unwrap();
    fleet.lose(place);
    let lost = client.service().fetch(handle, false, 1);
    let Err(thrift::Error::User(error)) = lost else { panic!("{lost:?}") };
    let text = error.downcast::<BeeswaxException>().unwrap().message.unwrap();
    assert!(text.contains(&home), "{text}");
    // Its session is gone with the coordinator: the next call begins another.
    let other = fleet.coordinators().next().unwrap().name().to_owned();
    assert_eq!(client.query("select coordinator()").unwrap(), [other]);
}
