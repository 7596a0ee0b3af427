//! What a coordinator does over HTTP, with Impala's carelessness and with Hive's and Spark's habits.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use hs2router::fake::client::HttpLogin;
use hs2router::fake::{Fault, Manner, Tally};
use hs2router::ids::Service;

use super::*;

fn http(coordinator: &Coordinator, login: &Login) -> Hs2Client {
    Hs2Client::connect(coordinator.hs2_http(), login).unwrap()
}

/// A coordinator of this manner that knows ann and bob.
fn of(manner: Manner) -> Coordinator {
    let users = [("ann", "nna"), ("bob", "bbo")];
    let users = users.map(|(user, password)| (user.to_owned(), Password::new(password)));
    Coordinator::start(Settings { users: Some(users.into()), manner, ..Settings::default() }).unwrap()
}

fn basic(user: &str, password: &str, change: impl FnOnce(&mut HttpLogin)) -> Login {
    let Login::Http(mut login) = Login::basic(user, password) else { panic!("it is HTTP") };
    change(&mut login);
    Login::Http(login)
}

/// What is answered to these bytes before the coordinator closes, or when it has read all of them.
fn say(coordinator: &Coordinator, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(coordinator.hs2_http()).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A call of a method that there is not, which is answered like any other.
fn ping() -> Vec<u8> {
    let mut message = vec![0x80, 1, 0, 1, 0, 0, 0, 4];
    message.extend_from_slice(b"ping\0\0\0\x07\0");
    message
}

fn post(fields: &str, body: &[u8]) -> Vec<u8> {
    [format!("POST /cliservice HTTP/1.1\r\n{fields}\r\n").as_bytes(), body].concat()
}

/// How many replies came.
fn replies(answer: &str) -> usize {
    answer.matches("HTTP/1.1 200 OK").count()
}

#[test]
fn a_session_over_http_is_the_one_of_the_binary_port() {
    let coordinator = open();
    let mut by_http = http(&coordinator, &Login::http());
    let session = by_http.open(&[]).unwrap();
    assert_eq!(by_http.query(&session, "select 1 as a, coordinator()").unwrap(), [["1", "c1"]]);
    assert_eq!(by_http.query(&session, "select * from rows(20000, 14)").unwrap().len(), 20_000);
    drop(by_http);
    let mut binary = hs2(&coordinator);
    assert_eq!(binary.query(&session, "select coordinator()").unwrap(), [["c1"]]);
    http(&coordinator, &Login::http()).close_session(&session).unwrap();
    assert!(coordinator.open_sessions().is_empty());
    let calls = coordinator.calls();
    assert_eq!((calls[0].service, calls[0].method.as_str()), (Service::Hs2Http, "OpenSession"));
    assert_eq!(calls[0].head.as_ref().unwrap().target, "/cliservice");
    assert_eq!(calls.last().unwrap().connection, 3, "each has a number of its own");
}

#[test]
fn a_body_comes_with_a_length_or_in_chunks_and_after_a_word_if_its_client_waits() {
    let coordinator = open();
    let ping = ping();
    let length = format!("Content-Length: {}\r\n", ping.len());
    assert_eq!(replies(&say(&coordinator, &post(&length, &ping))), 1);
    let (front, back) = ping.split_at(9);
    let chunk = |piece: &[u8]| [format!("{:x};x\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    let chunks = [chunk(front), chunk(back), b"0\r\nFooter: x\r\n\r\n".to_vec()].concat();
    assert_eq!(replies(&say(&coordinator, &post("Transfer-Encoding: chunked\r\n", &chunks))), 1);
    let answer = say(&coordinator, &post(&format!("{length}Expect: 100-continue\r\n"), &ping));
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
    // Of two lengths the last counts.
    let two = format!("Transfer-Encoding: chunked\r\n{length}");
    assert_eq!(replies(&say(&coordinator, &post(&two, &ping))), 1);
    assert_eq!(coordinator.http_counts().leftovers, 0);
}

#[test]
fn other_methods_and_empty_bodies_are_closed_without_a_byte() {
    let coordinator = open();
    for request in ["GET / HTTP/1.1\r\n\r\n", "PUT / HTTP/1.1\r\n\r\n", "\u{16}\u{3}\r\n\r\n"] {
        assert_eq!(say(&coordinator, request.as_bytes()), "", "{request:?}");
    }
    assert_eq!(say(&coordinator, &post("Content-Length: 0\r\n", b"")), "");
    let answer = say(&coordinator, b"OPTIONS * HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("Content-Length"), "{answer}");
}

#[test]
fn what_follows_a_message_in_a_body_becomes_a_call_that_nobody_authenticated() {
    let coordinator = of(Manner::Impala);
    let two = [ping(), ping()].concat();
    let allowed = format!("Authorization: Basic YW5uOm5uYQ==\r\nContent-Length: {}\r\n", two.len());
    let mut stream = TcpStream::connect(coordinator.hs2_http()).unwrap();
    stream.write_all(&post(&allowed, &two)).unwrap();
    stream.read_exact(&mut [0; 15]).unwrap();
    assert_eq!((coordinator.calls().len(), coordinator.http_counts().leftovers), (1, 1));
    // It is executed when the next byte comes, whatever that is.
    stream.write_all(b"P").unwrap();
    eventually("the second is executed", || coordinator.calls().len() == 2);
    let calls = coordinator.calls();
    assert_eq!((&calls[1].method, calls[1].user.as_deref()), (&calls[0].method, Some("ann")));
    assert_eq!(coordinator.http_counts().requests, 1);
}

#[test]
fn a_request_that_comes_before_the_last_reply_waits_until_more_comes() {
    let coordinator = open();
    let request = post(&format!("Content-Length: {}\r\n", ping().len()), &ping());
    let mut stream = TcpStream::connect(coordinator.hs2_http()).unwrap();
    stream.write_all(&[request.clone(), request.clone()].concat()).unwrap();
    stream.read_exact(&mut [0; 15]).unwrap();
    assert_eq!((coordinator.calls().len(), coordinator.http_counts().pipelined), (1, 1));
    stream.write_all(b"P").unwrap();
    eventually("it was noticed", || coordinator.calls().len() == 2);
}

#[test]
fn whoever_is_not_known_gets_a_401_that_ends_with_the_connection() {
    let coordinator = of(Manner::Impala);
    let answer = say(&coordinator, &post("Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"));
    let (status, fields) = answer.split_once("\r\n").unwrap();
    assert_eq!((status, fields.ends_with("\r\n\r\n")), ("HTTP/1.1 401 Unauthorized", true));
    assert!(fields.contains("WWW-Authenticate: Basic\r\n") && fields.contains("Connection: close\r\n"));
    assert!(!fields.contains("Content-Length"), "{fields}");
    let refused = http(&coordinator, &Login::basic("ann", "wrong")).open(&[]).unwrap_err();
    assert!(format!("{refused:?}").contains("401"), "{refused}");
    assert!(coordinator.calls().is_empty());
    let counts = coordinator.http_counts();
    assert_eq!(counts.basic, Tally { success: 0, failure: 1 }, "without a password there is none to fail");
}

#[test]
fn a_cookie_stands_for_the_password_where_it_was_issued() {
    let (here, there) = (of(Manner::Impala), of(Manner::Impala));
    let mut client = http(&here, &Login::basic("ann", "nna"));
    let session = client.open(&[]).unwrap();
    assert_eq!(client.query(&session, "select user()").unwrap(), [["ann"]]);
    let counts = here.http_counts();
    assert_eq!((counts.basic.success, counts.basic.failure, counts.cookie.failure), (1, 0, 0));
    assert!(counts.cookie.success > 0);
    let length = format!("Content-Length: {}\r\n", ping().len());
    let allowed = format!("{length}Authorization: Basic YW5uOm5uYQ==\r\n");
    let answer = say(&here, &post(&allowed, &ping()));
    let cookie = answer.split("Set-Cookie: ").nth(1).unwrap().split(';').next().unwrap();
    assert!(cookie.starts_with("impala.auth="), "{cookie}");
    let with = |coordinator: &Coordinator, fields: &str| {
        say(coordinator, &post(&format!("{fields}Cookie: {cookie}\r\n"), &ping()))
    };
    let answer = with(&here, &length);
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("Set-Cookie"), "{answer}");
    let answer = with(&there, &length);
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("impala.auth=;HttpOnly;Max-Age=0"));
    let answer = with(&there, &allowed);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.matches("Set-Cookie").count() == 2, "{answer}");
    here.restart();
    assert!(with(&here, &length).starts_with("HTTP/1.1 401"));
}

#[test]
fn what_a_request_says_stays_with_its_connection() {
    let users = Some([("ann".to_owned(), Password::new("nna"))].into());
    let trusted_header = Some("X-Trusted".to_owned());
    let coordinator = Coordinator::start(Settings { users, trusted_header, ..Settings::default() }).unwrap();
    let mut stream = TcpStream::connect(coordinator.hs2_http()).unwrap();
    let length = format!("Content-Length: {}\r\n", ping().len());
    let mut ask = |target: &str, fields: &str| {
        let head = format!("POST {target} HTTP/1.1\r\n{length}{fields}\r\n");
        stream.write_all(&[head.as_bytes(), &ping()].concat()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        let mut byte = [0];
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap().split('\r').next().unwrap();
        stream.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
    };
    ask("/?doAs=eve", "Authorization: Basic YW5uOm5uYQ==\r\nX-Request-Id: 7\r\n");
    // Neither the path says doAs, nor is the header there, nor is this a password.
    ask("/", "Authorization: Basic YW5uOm5uYQ==\r\nX-Trusted: yes\r\n");
    ask("/", "Authorization: Basic Ym9iOng=\r\n");
    let calls = coordinator.calls();
    assert!(calls.iter().all(|call| call.do_as.as_deref() == Some("eve")), "{calls:?}");
    assert_eq!(calls.last().unwrap().user.as_deref(), Some("bob"));
    assert_eq!(calls[0].head.as_ref().unwrap().values("x-request-id"), ["7"]);
    assert_eq!(calls[0].head.as_ref().unwrap().values("authorization"), ["Basic"]);
    assert!(calls[1].head.as_ref().unwrap().values("x-request-id").is_empty());
    assert_eq!(coordinator.http_counts().trusted_header, 2);
}

#[test]
fn the_user_to_act_for_is_named_once() {
    let coordinator = of(Manner::Impala);
    let login = basic("ann", "nna", |login| login.target = "/?doAs=eve".to_owned());
    let mut client = http(&coordinator, &login);
    let session = client.open(&[]).unwrap();
    assert_eq!(client.query(&session, "select user(), effective_user()").unwrap(), [["ann", "eve"]]);
    let refused = refusal(client.open(&[("impala.doas.user", "eve")]));
    assert!(refused.contains("twice"), "{refused}");
    // Without a name nobody asks.
    let open = open();
    let login = HttpLogin { target: "/?doAs=eve".to_owned(), ..HttpLogin::default() };
    let mut client = http(&open, &Login::Http(login));
    let session = client.open(&[("impala.doas.user", "bob")]).unwrap();
    assert_eq!(client.query(&session, "select effective_user()").unwrap(), [["bob"]]);
}

#[test]
fn hive_and_spark_answer_in_chunks_and_give_cookies_of_their_own() {
    for manner in [Manner::Hive { outlives: false }, Manner::Spark] {
        let coordinator = of(manner);
        let length = format!("Content-Length: {}\r\n", ping().len());
        let answer =
            say(&coordinator, &post(&format!("{length}Authorization: Basic YW5uOm5uYQ==\r\n"), &ping()));
        assert!(answer.contains("\r\nTransfer-Encoding: chunked\r\n"), "{answer}");
        assert!(answer.contains("\r\nSET-COOKIE: hive.server2.auth=cu=ann&rn="), "{answer}");
        assert_eq!(answer.contains(";Secure"), manner == Manner::Spark);
        let mut client = http(&coordinator, &Login::basic("ann", "nna"));
        let session = client.open(&[]).unwrap();
        let operation = client.execute(&session, "select * from rows(3000)").unwrap();
        assert!(client.fetch(&operation, 3000).unwrap().0.is_some());
        drop(client);
        // The session outlives its connection, and the connection its refused client.
        let mut client = http(&coordinator, &Login::basic("ann", "nna"));
        client.execute(&session, "select 1").unwrap();
        let request = post(&length, &ping());
        let answer = say(&coordinator, &[request.clone(), request].concat());
        assert_eq!(answer.matches("HTTP/1.1 401").count(), 2, "{answer}");
        assert!(answer.contains("Authentication Error: ") && !answer.contains("WWW-Authenticate"));
    }
}

#[test]
fn only_spark_takes_another_servers_cookie_for_an_attack() {
    for (manner, status) in [(Manner::Hive { outlives: false }, "200"), (Manner::Spark, "500")] {
        let fields = format!(
            "Content-Length: {}\r\nAuthorization: Basic YW5uOm5uYQ==\r\nCookie: hive.server2.auth=cu=ann&s=x\r\n",
            ping().len()
        );
        let answer = say(&of(manner), &post(&fields, &ping()));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{manner:?}: {answer}");
    }
}

#[test]
fn faults_are_met_over_http_too() {
    let coordinator = open();
    for fault in [Fault::DropBefore, Fault::DropAfter, Fault::CutReply(30), Fault::Garbage] {
        coordinator.faults().once("OpenSession", fault);
        let mut client = http(&coordinator, &Login::http());
        assert!(client.open(&[]).is_err(), "{fault:?}");
    }
    assert_eq!(coordinator.open_sessions().len(), 3, "only the first was not executed");
    coordinator.faults().once("OpenSession", Fault::SlowReply(7, Duration::ZERO));
    http(&coordinator, &Login::http()).open(&[]).unwrap();
}
