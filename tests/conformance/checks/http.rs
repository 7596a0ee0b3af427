//! What holds over HTTP: who asks is said with each request, and connections mean nothing.

use hs2router::fake::client::{HttpLogin, Login};
use hs2router::idl::t_c_l_i_service::{
    TExecuteStatementReq, TExecuteStatementResp, TGetInfoReq, TGetInfoResp, TGetInfoType, TOpenSessionResp,
    TSessionHandle,
};

use crate::check::checks;
use crate::driver::{all_rows, ask, eventually, hang_up, run, succeeded};
use crate::message::Message;
use crate::talk::Talk;
use crate::target::{Target, Transport};
use crate::wire::{call, connect, connect_http, goes_on, open_session, reply};

checks![
    ALL, [Http], "Impala: impala-server.cc ConnectionEnd (hs2-http); Hive: ThriftHttpCLIService has no deleteContext" => a_session_over_http_outlives_its_connection;
    ALL, [Http], "Measured with impyla and PyHive, which do so" => each_call_may_come_on_a_connection_of_its_own;
    ALL, [Http, Login], "Impala: THttpServer.cpp headersDone; Hive: ThriftHttpServlet doPost" => each_request_says_whose_it_is;
    ALL, [Http, Login], "Impala: THttpServer.cpp headersDone; Hive: ThriftHttpServlet doPost" => two_users_on_one_connection_are_two_users;
    IMPALA, [Http, Passwords], "Impala: authentication.cc BasicAuth, THttpServer.cpp returnUnauthorized" => a_wrong_password_is_answered_with_401_and_the_end;
    ALL, [Http], "Impala: THttpTransport.cpp readChunked; Jetty: HttpParser" => a_message_may_come_in_chunks;
    ALL, [Http], "Impala: THttpTransport.cpp readHeaders; Jetty: HttpChannel continue100" => a_client_that_waits_with_its_body_is_told_to_go_on;
    IMPALA, [Http], "Impala: THttpServer.cpp parseStatusLine (the path is not looked at)" => any_path_will_do;
];

fn name_of_server(session: &TSessionHandle) -> Message {
    call("GetInfo", 3, &TGetInfoReq::new(session.clone(), TGetInfoType::CLI_SERVER_NAME))
}

fn opened(wire: &mut Talk) -> TSessionHandle {
    wire.say(&open_session(1));
    let response = reply::<TOpenSessionResp>(wire).result.unwrap();
    succeeded(&response.status);
    response.session_handle.unwrap()
}

fn told(wire: &mut Talk) {
    succeeded(&reply::<TGetInfoResp>(wire).result.unwrap().status);
}

fn a_session_over_http_outlives_its_connection(target: &Target) {
    let mut first = target.connect();
    let session = first.open(&[]).unwrap();
    let operation = run(&mut first, &session, &target.dialect.rows(3));
    hang_up(first.stream());
    let mut second = target.connect();
    assert_eq!(all_rows(&mut second, &operation).len(), 3);
    assert_eq!(ask(&mut second, &session, "select 1"), [["1"]]);
    second.close_session(&session).unwrap();
}

fn each_call_may_come_on_a_connection_of_its_own(target: &Target) {
    let session = target.connect().open(&[]).unwrap();
    let operation = run(&mut target.connect(), &session, &target.dialect.rows(50));
    let mut rows = 0;
    eventually("all rows come", || {
        let (set, _) = crate::driver::fetch(&mut target.connect(), &operation, 20);
        let next = hs2router::fake::client::texts(&set).len();
        rows += next;
        next == 0
    });
    assert_eq!(rows, 50);
    succeeded(&crate::driver::close(&mut target.connect(), &operation));
    target.connect().close_session(&session).unwrap();
}

/// What each request has of this user, or of nobody.
fn login(target: &Target, login: Option<Login>) -> HttpLogin {
    match login {
        Some(Login::Http(login)) => HttpLogin { keeps_cookies: false, ..login },
        _ => HttpLogin { basic: None, ..target.http().unwrap() },
    }
}

fn each_request_says_whose_it_is(target: &Target) {
    let mut wire = connect(target);
    let session = opened(&mut wire);
    // The same connection, and a request without a name.
    let nobody = connect_http(target, login(target, None));
    wire.send(&nobody.wrap(&name_of_server(&session).encode()));
    let head = wire.hear_head();
    assert!(head.starts_with("http/1.1 401 "), "{head}");
    let mut again = connect(target);
    again.say(&name_of_server(&session));
    told(&mut again);
}

fn two_users_on_one_connection_are_two_users(target: &Target) {
    let mut wire = connect(target);
    let second = login(target, Some(target.second().login(Transport::Http)));
    let second = connect_http(target, second);
    let user = |wire: &mut Talk, wrap: &dyn Fn(&Message) -> Vec<u8>, account: &str| {
        wire.send(&wrap(&open_session(1)));
        let response = reply::<TOpenSessionResp>(wire).result.unwrap();
        succeeded(&response.status);
        let session = response.session_handle.unwrap();
        let statement = target.dialect.user().to_owned();
        let request = TExecuteStatementReq::new(session, statement, None, false, None);
        wire.send(&wrap(&call("ExecuteStatement", 2, &request)));
        let begun = reply::<TExecuteStatementResp>(wire).result.unwrap();
        succeeded(&begun.status);
        let login = if account == target.account().user { target.connect() } else { target.connect_second() };
        let (mut client, operation) = (login, begun.operation_handle.unwrap());
        assert_eq!(all_rows(&mut client, &operation), [[account.to_owned()]]);
    };
    let first = connect(target);
    for _ in 0..2 {
        user(&mut wire, &|message| first.wrap(&message.encode()), &target.account().user);
        user(&mut wire, &|message| second.wrap(&message.encode()), &target.second().user);
    }
}

fn a_wrong_password_is_answered_with_401_and_the_end(target: &Target) {
    let user = target.account().user.as_str();
    let wrong = |user, password| Some(Login::basic(user, password));
    for who in [None, wrong(user, "wrong"), wrong("no_such_user", "x"), wrong(user, "")] {
        let mut wire = connect_http(target, login(target, who));
        wire.say(&open_session(1));
        let head = wire.hear_head();
        assert!(head.starts_with("http/1.1 401 ") && head.contains("www-authenticate: basic"), "{head}");
        drop(wire.rest());
    }
    opened(&mut connect(target));
}

/// The head of a request with this field about its body, and the body.
fn request_with(wire: &Talk, field: &str, message: &Message) -> (Vec<u8>, Vec<u8>) {
    let body = message.encode();
    let request = wire.wrap(&body);
    let head = String::from_utf8(request[..request.len() - body.len()].to_vec()).unwrap();
    let length = format!("Content-Length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    (head.replace(&length, field).into_bytes(), body)
}

fn a_message_may_come_in_chunks(target: &Target) {
    let mut wire = connect(target);
    let session = opened(&mut wire);
    for size in [1, 7, 1000] {
        let message = name_of_server(&session);
        let (mut request, body) = request_with(&wire, "Transfer-Encoding: chunked", &message);
        for chunk in body.chunks(size) {
            request.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            request.extend([chunk, b"\r\n"].concat());
        }
        request.extend(b"0\r\n\r\n");
        wire.send(&request);
        told(&mut wire);
    }
}

fn a_client_that_waits_with_its_body_is_told_to_go_on(target: &Target) {
    let mut wire = connect(target);
    let session = opened(&mut wire);
    let message = name_of_server(&session);
    let fields = format!("Expect: 100-continue\r\nContent-Length: {}", message.encode().len());
    let (head, body) = request_with(&wire, &fields, &message);
    wire.send(&head);
    assert!(goes_on(&wire));
    assert!(wire.hear_head().starts_with("http/1.1 100 "));
    wire.send(&body);
    told(&mut wire);
}

fn any_path_will_do(target: &Target) {
    for path in ["/", "/cliservice", "/a/b?c=d"] {
        let login = HttpLogin { target: path.to_owned(), ..target.http().unwrap() };
        opened(&mut connect_http(target, login));
    }
}
