//! HTTP through the router, on coordinators with Impala's carelessness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failure to set the test up is a failed test"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use hs2router::cluster::AdminState;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Settings};

use super::support::fleet::{Door, Fleet, Plan, USERS, is_valid};
use super::support::router::{TestRouter, eventually};
use super::support::script::Script;

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

fn fleet() -> Fleet {
    Fleet::with(Plan { http: true, users: &USERS, ..Plan::default() })
}

fn user(fleet: &Fleet) -> Hs2Client {
    client(fleet, &Login::basic(USERS[0].0, USERS[0].1))
}

/// How often coordinators had a password to check, and how often a cookie.
fn logins(fleet: &Fleet) -> [u64; 2] {
    let counts: Vec<_> = fleet.coordinators().map(Coordinator::http_counts).collect();
    [counts.iter().map(|one| one.basic.success).sum(), counts.iter().map(|one| one.cookie.success).sum()]
}

#[test]
fn a_session_is_found_from_the_other_kind_of_port_by_its_own_user() {
    let fleet = fleet();
    let (mut http, mut binary) = (user(&fleet), fleet.hs2());
    let (over_http, over_binary) = (http.open(&[]).unwrap(), binary.open(&[]).unwrap());
    let running = http.execute(&over_http, "select sleep(600000)").unwrap();
    binary.cancel(&running).unwrap();
    assert_eq!(fleet.calls("CancelOperation").len(), 1);
    is_valid(&mut http, &over_binary).unwrap();
    is_valid(&mut binary, &over_http).unwrap();
    let mut stranger = client(&fleet, &Login::basic(USERS[1].0, USERS[1].1));
    assert!(is_valid(&mut stranger, &over_http).is_err(), "the coordinator keeps users apart");
}

#[test]
fn a_password_is_checked_once_by_each_coordinator_and_not_with_each_call() {
    const CALLS: u64 = 1000;
    let fleet = fleet();
    let session = user(&fleet).open(&[]).unwrap();
    for call in 0..CALLS {
        // Half of the clients connect for each call.
        let mut client = user(&fleet);
        client.ping(&session).unwrap();
        if call % 2 == 0 {
            client.ping(&session).unwrap();
        }
    }
    let [passwords, cookies] = logins(&fleet);
    assert!(passwords <= fleet.coordinators().count() as u64, "{passwords} passwords, {cookies} cookies");
    assert!(cookies >= CALLS, "{passwords} passwords, {cookies} cookies");
}

#[test]
fn nobody_gets_in_by_the_cookie_that_another_ones_password_has_earned() {
    let fleet = fleet();
    let mut ann = user(&fleet);
    let session = ann.open(&[]).unwrap();
    ann.ping(&session).unwrap();
    let mut guesser = client(&fleet, &Login::basic(USERS[0].0, "guessed"));
    let refused = guesser.ping(&session).unwrap_err();
    assert!(format!("{refused:?}").contains("401"), "{refused:?}");
    ann.ping(&session).unwrap();
}

#[test]
fn an_idle_session_leaves_a_drained_coordinator_and_its_client_notices_nothing() {
    let fleet = fleet();
    let mut ann = user(&fleet);
    let session = ann.open(&[]).unwrap();
    ann.query(&session, "use demo").unwrap();
    let home = fleet.owner(&session);
    fleet.set_state(home, AdminState::Drain);
    let place = || fleet.loads()[home].open_sessions == 0;
    assert!(eventually(place), "{:?}", fleet.loads());
    assert_eq!(ann.query(&session, "select current_database()").unwrap(), [["demo"]]);
    let now = ann.query(&session, "select coordinator()").unwrap().concat().concat();
    assert_ne!(now, format!("c{}", home + 1));
}

#[test]
fn a_session_that_a_restarted_router_does_not_know_is_located() {
    let mut fleet = fleet();
    let session = user(&fleet).open(&[]).unwrap();
    fleet.restart_router();
    assert_eq!(user(&fleet).query(&session, "select 7 as a").unwrap(), [["7"]]);
}

#[test]
fn a_wrong_password_is_shown_to_one_coordinator_when_a_handle_is_unknown() {
    let mut fleet = fleet();
    let session = user(&fleet).open(&[]).unwrap();
    fleet.restart_router();
    let mut guesser = client(&fleet, &Login::basic(USERS[0].0, "guessed"));
    let refused = format!("{:?}", guesser.ping(&session).unwrap_err());
    assert!(refused.contains("401") && refused.contains("www-authenticate: Basic"), "{refused}");
    let failures = |one: &Coordinator| one.http_counts().basic.failure;
    let all: u64 = fleet.coordinators().map(failures).sum();
    assert_eq!(all, 1, "the answer to the question is the call's");
}

#[test]
fn a_full_fleet_is_told_in_a_way_that_has_clients_come_again() {
    let settings =
        Settings { service_threads: 1, fetch_timeout: Duration::from_mins(1), ..Settings::default() };
    let cluster =
        "service_threads = 1\nreserve = 0\nshare_links = false\nqueue_timeout = \"200ms\"\naddress_share = 1";
    let fleet = Fleet::with(Plan { coordinators: 1, http: true, cluster, settings, ..Plan::default() });
    let mut first = client(&fleet, &Login::http());
    first.open(&[]).unwrap();
    let refused = format!("{:?}", client(&fleet, &Login::http()).open(&[]).unwrap_err());
    let expected = ["503", "retry-after: 1", "all service threads are in use"];
    assert!(expected.iter().all(|word| refused.to_lowercase().contains(word)), "{refused}");
}

#[test]
fn the_name_of_a_request_and_where_it_came_from_reach_the_coordinator() {
    let plan = Plan { http: true, listener: "trusted_proxies = [\"127.0.0.0/8\"]", ..Plan::default() };
    for (plan, from) in
        [(Plan { http: true, ..Plan::default() }, "127.0.0.1"), (plan, "192.0.2.7, 127.0.0.1")]
    {
        let fleet = Fleet::with(plan);
        let mut login = Login::http();
        if let Login::Http(login) = &mut login {
            login.fields =
                ["X-Request-Id: r-17", "X-Forwarded-For: 192.0.2.7", "Accept-Encoding: gzip", "X-Else: 1"]
                    .map(str::to_owned)
                    .to_vec();
        }
        client(&fleet, &login).open(&[]).unwrap();
        let (_, call) = fleet.calls("OpenSession").pop().unwrap();
        let head = call.head.unwrap();
        assert_eq!(head.values("x-request-id"), ["r-17"]);
        assert_eq!(head.values("x-forwarded-for"), [from]);
        for dropped in ["accept-encoding", "x-else"] {
            assert!(head.values(dropped).is_empty(), "{dropped}");
        }
        assert!(fleet.router().logs().text().contains("request=\"r-17\""), "its lines name it");
    }
}

#[test]
fn a_router_that_drains_says_so_with_the_answer_and_not_by_a_silent_close() {
    let fleet = fleet();
    let mut ann = user(&fleet);
    let session = ann.open(&[]).unwrap();
    let running = ann.execute(&session, "select sleep(300)").unwrap();
    let stream = ann.stream().try_clone().unwrap();
    let waiting = std::thread::spawn(move || ann.fetch(&running, 10));
    assert!(eventually(|| !fleet.calls("FetchResults").is_empty()));
    let (cut, _coordinators) = fleet.drain();
    assert_eq!(cut, 0, "it ends by itself");
    drop(waiting.join().unwrap().unwrap());
    let mut rest = Vec::new();
    (&stream).read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"", "and nothing comes after the answer");
}

#[test]
fn a_header_by_which_coordinators_trust_whoever_sends_it_never_passes_from_a_client() {
    let settings =
        Settings { trusted_header: Some("X-Impala-Trusted-Proxy".to_owned()), ..Settings::default() };
    let cluster = "trusted_auth_headers = [\"x-impala-trusted-proxy\", \"X-Hive-Trusted\"]";
    let fleet = Fleet::with(Plan { http: true, users: &USERS, cluster, settings, ..Plan::default() });
    let login = |password: &str| {
        let mut login = Login::basic(USERS[0].0, password);
        if let Login::Http(login) = &mut login {
            let fields = ["X-IMPALA-TRUSTED-PROXY: yes", "X-Hive-Trusted: 1", "X-Impala-Query-Id: 7"];
            login.fields = fields.map(str::to_owned).to_vec();
        }
        login
    };
    let refused = client(&fleet, &login("guessed")).open(&[]).unwrap_err();
    assert!(format!("{refused:?}").contains("401"), "{refused:?}");
    client(&fleet, &login(USERS[0].1)).open(&[]).unwrap();
    let (_, call) = fleet.calls("OpenSession").pop().unwrap();
    let head = call.head.unwrap();
    assert_eq!(head.values("x-impala-query-id"), ["7"], "others pass");
    for trusted in ["x-impala-trusted-proxy", "x-hive-trusted"] {
        assert!(head.values(trusted).is_empty(), "{trusted}");
    }
    assert!(fleet.coordinators().all(|one| one.http_counts().trusted_header == 0));
}

#[test]
fn the_log_says_once_that_http_is_relayed_unread_where_coordinators_have_no_port_for_it() {
    let script = Script::raw(|mut stream, _| {
        let mut asked = BufReader::new(&stream).lines().map_while(Result::ok);
        if asked.any(|line| line.is_empty()) {
            let _said = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    let router = TestRouter::of("hive", &[script.address()]);
    for _ in 0..2 {
        let mut client = TcpStream::connect(router.listener(0)).unwrap();
        client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }
    let shown = router.logs().shown();
    let lines: Vec<_> = shown.lines().filter(|line| line.contains("HTTP is relayed unread")).collect();
    assert!(lines.len() == 1 && lines[0].contains("hs2_http") && lines[0].contains("client="), "{shown}");
}
