//! Clusters of flavor hive whose sessions outlive the connections that opened them.

use std::net::SocketAddr;

use hs2router::fake::client::{CallError, Hs2Client, Login};
use hs2router::fake::{Coordinator, Manner, Settings};
use hs2router::idl::t_c_l_i_service::{
    TGetTypeInfoReq, TOperationState, TSessionHandle, TTCLIServiceSyncClient,
};

use crate::support::fleet::{id, refusal};
use crate::support::router::{SELDOM, TestRouter};

/// Coordinators that behave like `HiveServer2` where the connection's end does not end a session.
fn coordinators() -> Vec<Coordinator> {
    let manner = Manner::Hive { outlives: true };
    (0..3).map(|_| Coordinator::start(Settings { manner, ..Settings::default() }).unwrap()).collect()
}

/// A router of flavor hive in front of them, with more keys for the cluster.
fn router(coordinators: &[Coordinator], keys: &str) -> TestRouter {
    let ports = coordinators.iter().map(|one: &Coordinator| one.hs2().port());
    let lines = ports.enumerate().map(|(place, port)| {
        format!("{{ name = \"c{}\", host = \"127.0.0.1\", hs2 = {port}, hs2_http = 0, web = 0 }}", place + 1)
    });
    TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [[cluster]]\nname = \"test\"\nflavor = \"hive\"\n{SELDOM}\n{keys}\ncoordinators = [{}]\n",
        lines.collect::<Vec<_>>().join(", ")
    ))
}

const OUTLIVE: &str = "sessions_outlive_connections = true";

fn connect(address: SocketAddr) -> Hs2Client {
    Hs2Client::connect(address, &Login::NoSasl).unwrap()
}

/// A session on each coordinator, whose connections are closed; in the order of the coordinators.
fn session_on_each(coordinators: &[Coordinator], router: &TestRouter) -> Vec<TSessionHandle> {
    let mut clients: Vec<_> = coordinators.iter().map(|_| connect(router.listener(0))).collect();
    let mut sessions: Vec<_> = clients.iter_mut().map(|client| client.open(&[]).unwrap()).collect();
    sessions.sort_by_key(|session| {
        let has = |one: &Coordinator| one.open_sessions().contains(&id(&session.session_id));
        coordinators.iter().position(has)
    });
    assert!(coordinators.iter().all(|one| one.open_sessions().len() == 1), "one on each");
    sessions
}

fn works(client: &mut Hs2Client, session: &TSessionHandle) -> Result<(), CallError> {
    let operation = client.execute(session, "select 1")?;
    client.fetch(&operation, 10).map(drop)
}

#[test]
fn a_session_is_used_by_ten_connections_after_the_one_that_opened_it() {
    let coordinators = coordinators();
    let router = router(&coordinators, OUTLIVE);
    let sessions = session_on_each(&coordinators, &router);
    for session in &sessions {
        for connection in 0..10 {
            let done = works(&mut connect(router.listener(0)), session);
            assert!(done.is_ok(), "connection {connection}: {done:?}");
        }
    }
    let known = &router.router().fleets()[0].table;
    assert_eq!(known.sessions(), 3, "they are not closed, nor forgotten, because nobody is connected");
    assert!(coordinators.iter().all(|one| one.open_sessions().len() == 1));
}

#[test]
fn sessions_and_operations_are_found_after_a_restart_of_the_router() {
    let coordinators = coordinators();
    let first = router(&coordinators, OUTLIVE);
    let sessions = session_on_each(&coordinators, &first);
    let run = |session| connect(first.listener(0)).execute(session, "select * from rows(5)").unwrap();
    let operations: Vec<_> = sessions.iter().map(run).collect();
    drop(first);
    let router = router(&coordinators, OUTLIVE);
    for (session, operation) in sessions.iter().zip(&operations) {
        let status = connect(router.listener(0)).status(operation).unwrap();
        assert_eq!(status.0, TOperationState::FINISHED_STATE);
        works(&mut connect(router.listener(0)), session).unwrap();
        connect(router.listener(0)).close_session(session).unwrap();
    }
    assert!(coordinators.iter().all(|one| one.open_sessions().is_empty()));
    let calls = |method: &str| {
        coordinators.iter().flat_map(Coordinator::calls).filter(|call| call.method == method).count()
    };
    assert_eq!(calls("PingImpalaHS2Service"), 0);
    assert_eq!((calls("GetTypeInfo"), calls("CloseOperation")), (9, 3));
}

#[test]
fn a_session_that_was_asked_for_has_no_operation_more_than_before() {
    let coordinators = coordinators();
    let first = router(&coordinators, OUTLIVE);
    let session = session_on_each(&coordinators, &first).remove(0);
    drop(first);
    let router = router(&coordinators, OUTLIVE);
    connect(router.listener(0)).execute(&session, "select 1").unwrap();
    let asked = |one: &Coordinator| one.calls().iter().any(|call| call.method == "GetTypeInfo");
    assert!(asked(&coordinators[0]));
    assert_eq!(coordinators[0].open_operations(), 1, "the statement's");
}

/// The type in its handle is part of an operation's name there.
#[test]
fn an_operation_that_is_no_statements_is_found_after_a_restart_of_the_router() {
    let coordinators = coordinators();
    let first = router(&coordinators, OUTLIVE);
    let sessions = session_on_each(&coordinators, &first);
    let types = |session: &TSessionHandle| {
        let request = TGetTypeInfoReq::new(session.clone());
        connect(first.listener(0)).service().get_type_info(request).unwrap().operation_handle.unwrap()
    };
    let operations: Vec<_> = sessions.iter().map(types).collect();
    drop(first);
    let router = router(&coordinators, OUTLIVE);
    for operation in &operations {
        let (rows, _) = connect(router.listener(0)).fetch(operation, 10).unwrap();
        assert!(rows.is_some());
    }
}

#[test]
fn a_handle_that_nobody_has_is_told_in_a_coordinators_words() {
    let coordinators = coordinators();
    let router = router(&coordinators, OUTLIVE);
    let mut session = session_on_each(&coordinators, &router).remove(0);
    session.session_id.guid.fill(9);
    let uuid = "09090909-0909-0909-0909-090909090909";
    for _ in 0..3 {
        let text = refusal(connect(router.listener(0)).execute(&session, "select 1"));
        assert_eq!(text, format!("Invalid SessionHandle: SessionHandle [{uuid}]"));
    }
    let asked = coordinators.iter().flat_map(Coordinator::calls).filter(|call| call.method == "GetTypeInfo");
    assert_eq!(asked.count(), 3, "each was asked once; then it is remembered");
}
