//! Messages as such: names, sequence ids, order, pieces.

use hs2router::idl::t_c_l_i_service::{
    TCloseSessionReq, TCloseSessionResp, TExecuteStatementReq, TExecuteStatementResp, TGetInfoReq,
    TGetInfoResp, TGetInfoType, TGetInfoValue, TOpenSessionResp, TSessionHandle,
};
use thrift::ApplicationErrorKind;

use crate::check::{Flavor, checks};
use crate::driver::{ask, refused, succeeded};
use crate::message::{CALL, Message};
use crate::talk::Talk;
use crate::target::Target;
use crate::wire::{bare_call, call, connect, goes_on, open_session, reply};

checks![
    ALL, [], "Thrift: TDispatchProcessor.h; measured on Spark 3.5" => an_unknown_method_is_an_exception_with_its_name_and_sequence_id;
    ALL, [], "Thrift: TDispatchProcessor.h; impyla feels its way by it" => a_connection_goes_on_after_an_unknown_method;
    ALL, [], "Measured on Spark 3.5" => every_sequence_id_is_echoed;
    ALL, [Pipelines], "Measured with Node's hive-driver on Spark 3.5; Impala: TAcceptQueueServer.cpp (one thread a connection)" => pipelined_calls_are_answered_in_order;
    ALL, [], "Measured on Spark 3.5" => a_message_may_come_byte_by_byte;
    ALL, [], "Thrift: TBinaryProtocol skip" => an_unknown_method_with_arguments_is_skipped;
    IMPALA, [], "Impala: TAcceptQueueServer.cpp Task::run" => unreadable_arguments_bring_no_result;
    SERVICE, [], "Measured on Spark 3.5" => unreadable_arguments_are_an_internal_error;
    IMPALA, [NoSasl], "Impala: TBinaryProtocolFactory (strict_read = false)" => a_header_without_a_version_is_understood;
    ALL, [], "Thrift: a client may end when it likes" => half_a_message_and_the_end_harm_nobody_else;
];

fn opened(wire: &mut Talk) -> TSessionHandle {
    wire.say(&open_session(1));
    let response = reply::<TOpenSessionResp>(wire).result.unwrap();
    succeeded(&response.status);
    response.session_handle.unwrap()
}

fn get_info(session: &TSessionHandle, sequence: i32) -> Message {
    call("GetInfo", sequence, &TGetInfoReq::new(session.clone(), TGetInfoType::CLI_SERVER_NAME))
}

fn an_unknown_method_is_an_exception_with_its_name_and_sequence_id(target: &Target) {
    let mut wire = connect(target);
    opened(&mut wire);
    for sequence in [5, 0, -3] {
        wire.say(&bare_call("NoSuchMethod", sequence));
        let reply = reply::<TGetInfoResp>(&mut wire);
        assert_eq!((reply.method.as_str(), reply.sequence), ("NoSuchMethod", sequence));
        let error = reply.result.unwrap_err();
        assert_eq!(error.kind, ApplicationErrorKind::UnknownMethod);
        assert_eq!(error.message, "Invalid method name: 'NoSuchMethod'");
    }
}

fn a_connection_goes_on_after_an_unknown_method(target: &Target) {
    let mut wire = connect(target);
    // Before there is any session, too.
    wire.say(&bare_call("NoSuchMethod", 1));
    assert!(reply::<TGetInfoResp>(&mut wire).result.is_err());
    let session = opened(&mut wire);
    wire.say(&bare_call("NoSuchMethod", 2));
    assert!(reply::<TGetInfoResp>(&mut wire).result.is_err());
    wire.say(&get_info(&session, 3));
    succeeded(&reply::<TGetInfoResp>(&mut wire).result.unwrap().status);
}

fn every_sequence_id_is_echoed(target: &Target) {
    let mut wire = connect(target);
    let session = opened(&mut wire);
    for sequence in [0, 1, -1, i32::MAX, i32::MIN, 0, 0] {
        wire.say(&get_info(&session, sequence));
        let reply = reply::<TGetInfoResp>(&mut wire);
        assert_eq!((reply.method.as_str(), reply.sequence), ("GetInfo", sequence));
    }
}

fn pipelined_calls_are_answered_in_order(target: &Target) {
    let mut wire = connect(target);
    let (one, two) = (opened(&mut wire), opened(&mut wire));
    let statement = |session: &TSessionHandle, sql: &str| {
        TExecuteStatementReq::new(session.clone(), sql.to_owned(), None, true, None)
    };
    let calls = [
        get_info(&one, 0),
        call("ExecuteStatement", 0, &statement(&two, &target.dialect.rows(10))),
        get_info(&two, 0),
        call("CloseSession", 0, &TCloseSessionReq::new(one.clone())),
        call("ExecuteStatement", 0, &statement(&one, "select 1")),
        bare_call("NoSuchMethod", 0),
        get_info(&two, 0),
    ];
    let bytes: Vec<u8> = calls.iter().flat_map(|message| wire.wrap(&message.encode())).collect();
    wire.send(&bytes);
    succeeded(&reply::<TGetInfoResp>(&mut wire).result.unwrap().status);
    succeeded(&reply::<TExecuteStatementResp>(&mut wire).result.unwrap().status);
    succeeded(&reply::<TGetInfoResp>(&mut wire).result.unwrap().status);
    succeeded(&reply::<TCloseSessionResp>(&mut wire).result.unwrap().status);
    refused(&reply::<TExecuteStatementResp>(&mut wire).result.unwrap().status);
    assert_eq!(reply::<TGetInfoResp>(&mut wire).method, "NoSuchMethod");
    succeeded(&reply::<TGetInfoResp>(&mut wire).result.unwrap().status);
}

fn a_message_may_come_byte_by_byte(target: &Target) {
    let mut wire = connect(target);
    let session = opened(&mut wire);
    let message = wire.wrap(&get_info(&session, 9).encode());
    for byte in message {
        wire.send(&[byte]);
    }
    let TGetInfoValue::StringValue(name) = reply::<TGetInfoResp>(&mut wire).result.unwrap().info_value else {
        panic!("no name")
    };
    let expected = match target.flavor {
        Flavor::Impala => "Impala",
        Flavor::Spark => "Spark SQL",
        Flavor::Hive => "Hive",
    };
    assert_eq!(name, expected);
}

fn an_unknown_method_with_arguments_is_skipped(target: &Target) {
    let mut wire = connect(target);
    let session = opened(&mut wire);
    let request = TGetInfoReq::new(session.clone(), TGetInfoType::CLI_DBMS_VER);
    wire.say(&call("GetInfoOfTheFuture", 4, &request));
    let told = reply::<TGetInfoResp>(&mut wire);
    assert_eq!((told.method.as_str(), told.sequence), ("GetInfoOfTheFuture", 4));
    assert_eq!(told.result.unwrap_err().kind, ApplicationErrorKind::UnknownMethod);
    wire.say(&get_info(&session, 5));
    assert_eq!(reply::<TGetInfoResp>(&mut wire).sequence, 5);
}

fn unreadable_arguments_bring_no_result(target: &Target) {
    let mut wire = connect(target);
    wire.say(&bare_call("OpenSession", 1));
    // The coordinator closes without a word; a router may say so on a connection that stays.
    if goes_on(&wire) {
        let reply = reply::<TOpenSessionResp>(&mut wire);
        assert_eq!((reply.method.as_str(), reply.sequence), ("OpenSession", 1));
        if let Ok(response) = reply.result {
            refused(&response.status);
        }
    }
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    ask(&mut client, &session, "select 1");
}

fn unreadable_arguments_are_an_internal_error(target: &Target) {
    let mut wire = connect(target);
    wire.say(&bare_call("OpenSession", 1));
    let reply = reply::<TOpenSessionResp>(&mut wire);
    assert_eq!((reply.method.as_str(), reply.sequence), ("OpenSession", 1));
    assert_eq!(reply.result.unwrap_err().kind, ApplicationErrorKind::InternalError);
    opened(&mut wire);
}

fn a_header_without_a_version_is_understood(target: &Target) {
    let mut wire = connect(target);
    let strict = open_session(12).encode();
    let name = 4..8 + "OpenSession".len();
    let old = [&strict[name.clone()], &[CALL], &strict[name.end..]].concat();
    wire.send(&wire.wrap(&old));
    let reply = reply::<TOpenSessionResp>(&mut wire);
    assert_eq!((reply.method.as_str(), reply.sequence), ("OpenSession", 12));
    succeeded(&reply.result.unwrap().status);
}

fn half_a_message_and_the_end_harm_nobody_else(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    for _ in 0..3 {
        let mut wire = connect(target);
        let message = wire.wrap(&get_info(&session, 1).encode());
        wire.send(&message[..message.len() / 2]);
    }
    ask(&mut client, &session, "select 1");
}
