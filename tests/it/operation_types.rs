//! Hive and Spark know an operation by its handle *and* its type (Hive: `OperationHandle` `equals`): what the
//! router itself asks about an operation names the right one.

use std::net::SocketAddr;

use hs2router::fake::client::{Hs2Client, Login, check};
use hs2router::idl::t_c_l_i_service as cli;
use hs2router::idl::t_c_l_i_service::TTCLIServiceSyncClient as _;
use hs2router::idl::t_c_l_i_service::{TOperationHandle, TOperationState, TOperationType, TSessionHandle};

use crate::support::clients;
use crate::support::fleet::refusal;
use crate::support::hive::{Hive, Setup};
use crate::support::message::{Message, Value, execute, handle, of_handle};
use crate::support::router::{SELDOM, TestRouter};
use crate::support::script::{Act, Script};
use crate::support::talk::Talk;
use crate::support::tools::{self, Tool};

const GET_TYPE_INFO: i32 = 1;
const GET_TABLES: i32 = 4;

/// A router in front of servers whose sessions outlive their connections.
fn router(servers: &[SocketAddr]) -> TestRouter {
    let lines = servers.iter().enumerate().map(|(place, server)| {
        let port = server.port();
        format!("{{ name = \"c{}\", host = \"127.0.0.1\", hs2 = {port}, hs2_http = 0, web = 0 }}", place + 1)
    });
    TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [[cluster]]\nname = \"test\"\nflavor = \"hive\"\n{SELDOM}\nsessions_outlive_connections = true\n\
         coordinators = [{}]\n",
        lines.collect::<Vec<_>>().join(", ")
    ))
}

fn connect(address: SocketAddr) -> Hs2Client {
    Hs2Client::connect(address, &Login::NoSasl).unwrap()
}

fn types(client: &mut Hs2Client, session: &TSessionHandle) -> TOperationHandle {
    let answer = client.service().get_type_info(cli::TGetTypeInfoReq::new(session.clone())).unwrap();
    answer.operation_handle.unwrap()
}

#[test]
fn a_real_hives_metadata_operation_is_found_after_a_restart_of_the_router() {
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Hive]) {
        return;
    }
    let setup = Setup::of(clients::Login::NoSasl).set("hive.server2.close.session.on.disconnect", "false");
    let hive = Hive::start(&setup);
    let first = router(&[hive.address()]);
    let mut client = connect(first.listener(0));
    let session = client.open(&[]).unwrap();
    let operation = types(&mut client, &session);
    assert_eq!(operation.operation_type, TOperationType::GET_TYPE_INFO);
    drop((client, first));

    // The server's own word: with another type it is another operation.
    let other = TOperationHandle { operation_type: TOperationType::EXECUTE_STATEMENT, ..operation.clone() };
    let words = refusal(connect(hive.address()).status(&other));
    assert!(words.starts_with("Invalid OperationHandle"), "{words}");

    let router = router(&[hive.address()]);
    let mut client = connect(router.listener(0));
    assert_eq!(client.status(&operation).unwrap().0, TOperationState::FINISHED_STATE);
    assert!((router.metric("hs2router_handle_lookups_total{outcome=\"found\"}") - 1.0).abs() < f64::EPSILON);
    let closed = client.service().close_operation(cli::TCloseOperationReq::new(operation)).unwrap();
    check(&closed.status).unwrap();
    client.close_session(&session).unwrap();
}

/// A server that has everything, and remembers what it was asked.
fn obliging() -> Script {
    Script::calls(|call| match call.message.name.as_str() {
        "GetTypeInfo" => {
            let minted = typed(handle([9; 16], [8; 16]), GET_TYPE_INFO);
            Act::Reply(call.message.done(vec![(2, minted)]))
        }
        _ => Act::Ordinary,
    })
}

/// The handle of an operation of this type.
fn typed(handle: Value, kind: i32) -> Value {
    let Value::Struct(mut fields) = handle else { unreachable!() };
    fields.extend([(2, Value::I32(kind)), (3, Value::Bool(true))]);
    Value::Struct(fields)
}

/// The types of the operations that calls of this method named.
fn asked(script: &Script, method: &str) -> Vec<i32> {
    let kind = |call: &Message| match call.body.at(&[1, 1, 2]) {
        Some(Value::I32(kind)) => *kind,
        other => panic!("no type: {other:?}"),
    };
    script.got().iter().filter(|call| call.name == method).map(kind).collect()
}

#[test]
fn an_operation_is_asked_for_by_the_type_that_its_client_names() {
    let server = obliging();
    for kind in [0, GET_TYPE_INFO, GET_TABLES, 8] {
        let before = asked(&server, "GetOperationStatus").len();
        let router = router(&[server.address()]);
        let operation = typed(handle([7; 16], [8; 16]), kind);
        Talk::connect(router.listener(0)).call(&of_handle("FetchResults", &operation));
        assert_eq!(asked(&server, "GetOperationStatus")[before..], [kind]);
    }
}

#[test]
fn what_came_of_a_question_is_closed_as_what_it_is() {
    let server = obliging();
    let router = router(&[server.address()]);
    let session = handle([7; 16], [8; 16]);
    Talk::connect(router.listener(0)).call(&execute(&session, "select 1"));
    assert_eq!(asked(&server, "CloseOperation"), [GET_TYPE_INFO]);
}
