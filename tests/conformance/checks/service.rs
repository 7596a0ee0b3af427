//! Seldom made calls of Hive's service code, which Spark has, too, and what ends with a connection.

use std::sync::Mutex;

use hs2router::fake::client::Hs2Client;
use hs2router::idl::t_c_l_i_service::{
    TCancelDelegationTokenReq, TCloseOperationReq, TCloseSessionReq, TCloseSessionResp, TGetCatalogsReq,
    TGetColumnsReq, TGetCrossReferenceReq, TGetDelegationTokenReq, TGetInfoResp, TGetPrimaryKeysReq,
    TGetQueryIdReq, TGetTypeInfoReq, TOpenSessionResp, TOperationHandle, TOperationType,
    TRenewDelegationTokenReq, TSessionHandle, TStatus, TTCLIServiceSyncClient,
};

use crate::check::{Flavor, checks};
use crate::driver::{
    all_rows, application_error, ask, close, eventually, forged, hang_up, refused, run, status, succeeded,
    unheard_of,
};
use crate::message::{Message, Value};
use crate::talk::Talk;
use crate::target::Target;
use crate::wire::{call, connect, goes_on, open_session, reply, value};

checks![
    SERVICE, [Binary, Direct], "Hive: ThriftCLIService OpenSession, ThriftBinaryCLIService deleteContext; measured on Hive 4.0.1 and Spark 3.5" => only_the_session_opened_last_ends_with_its_connection;
    SERVICE, [Binary, Direct], "Hive: ThriftCLIService CloseSession (setSessionHandle(null)); measured on Hive 4.0.1 and Spark 3.5" => no_session_ends_with_a_connection_that_closed_one;
    SERVICE, [], "Hive: OperationHandle equals; measured on Hive 4.0.1 and Spark 3.5" => an_operation_is_not_known_under_another_type;
    IMPALA, [], "Impala: impala-hs2-server.cc (TOperationHandle.operationType is not read)" => an_operation_is_known_under_another_type;
    SERVICE, [], "Hive: OperationManager removeOperation, closeOperation; measured on Hive 4.0.1 and Spark 3.5" => one_of_many_closes_finds_the_operation_and_the_others_say_so_in_known_words;
    SERVICE, [], "Hive: SessionManager closeSession; measured on Hive 4.0.1 and Spark 3.5" => a_session_that_is_not_there_is_told_in_known_words;
    SERVICE, [], "Hive: ThriftCLIService unsecureTokenErrorStatus; measured on Hive 4.0.1 and Spark 3.5" => delegation_tokens_are_refused_before_anybody_looks_at_the_session;
    SERVICE, [], "Hive: ThriftCLIService SetClientInfo; measured on Hive 4.0.1 and Spark 3.5" => client_info_is_taken_from_any_session_but_for_hives_application_name;
    SERVICE, [], "Hive: CLIService getQueryId; measured on Hive 4.0.1 and Spark 3.5" => a_query_id_is_a_text_of_its_own_and_unknown_operations_have_none;
    SERVICE, [], "Hive: GetPrimaryKeysOperation, GetCrossReferenceOperation; measured on Hive 4.0.1 and Spark 3.5" => keys_come_with_the_type_of_functions;
    SERVICE, [], "Hive: OperationManager newDownloadDataOperation; measured on Hive 4.0.1 and Spark 3.5" => data_is_neither_uploaded_nor_downloaded;
    HIVE, [Binary, Started], "Hive: ThriftCLIService catches exceptions, and no errors; measured on 4.0.1" => an_error_of_java_ends_the_connection_and_its_session;
];

fn session(target: &Target) -> (Hs2Client, TSessionHandle) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    (client, session)
}

/// An operation of a `GetTypeInfo`.
fn types(client: &mut Hs2Client, session: &TSessionHandle) -> Result<TOperationHandle, TStatus> {
    let response = client.service().get_type_info(TGetTypeInfoReq::new(session.clone())).unwrap();
    response.operation_handle.ok_or(response.status)
}

fn is_open(client: &mut Hs2Client, session: &TSessionHandle) -> bool {
    let operation = types(client, session);
    operation.as_ref().is_ok_and(|operation| close(client, operation).error_message.is_none())
}

fn only_the_session_opened_last_ends_with_its_connection(target: &Target) {
    let mut first = target.connect();
    let sessions: Vec<_> = (0..3).map(|_| first.open(&[]).unwrap()).collect();
    hang_up(first.stream());
    let mut other = target.connect();
    eventually("the last session ends", || !is_open(&mut other, &sessions[2]));
    for session in &sessions[..2] {
        assert!(is_open(&mut other, session));
        other.close_session(session).unwrap();
    }
}

fn no_session_ends_with_a_connection_that_closed_one(target: &Target) {
    let mut first = target.connect();
    let sessions: Vec<_> = (0..3).map(|_| first.open(&[]).unwrap()).collect();
    first.close_session(&sessions[0]).unwrap();
    // The server ends its side when it is done with the connection's context.
    hang_up(first.stream());
    let mut other = target.connect();
    for session in &sessions[1..] {
        assert!(is_open(&mut other, session));
        other.close_session(session).unwrap();
    }
}

fn under_another_type(target: &Target) -> (Hs2Client, TOperationHandle, TOperationHandle) {
    let (mut client, session) = session(target);
    let real = types(&mut client, &session).unwrap();
    assert_eq!(real.operation_type, TOperationType::GET_TYPE_INFO);
    let other = TOperationHandle { operation_type: TOperationType::EXECUTE_STATEMENT, ..real.clone() };
    (client, real, other)
}

/// So that the router asks for an operation by the type in the client's handle.
fn an_operation_is_not_known_under_another_type(target: &Target) {
    let (mut client, real, other) = under_another_type(target);
    for refusal in [status(&mut client, &other).status, close(&mut client, &other)] {
        let words = refused(&refusal).message;
        assert!(words.starts_with("Invalid OperationHandle: "), "{words}");
    }
    succeeded(&status(&mut client, &real).status);
    succeeded(&close(&mut client, &real));
}

fn an_operation_is_known_under_another_type(target: &Target) {
    let (mut client, _, other) = under_another_type(target);
    succeeded(&status(&mut client, &other).status);
    succeeded(&close(&mut client, &other));
}

fn one_of_many_closes_finds_the_operation_and_the_others_say_so_in_known_words(target: &Target) {
    let (mut client, session) = session(target);
    let mut clients: Vec<_> = (0..6).map(|_| target.connect()).collect();
    for _ in 0..20 {
        let operation = types(&mut client, &session).unwrap();
        let closed: Vec<TStatus> = std::thread::scope(|scope| {
            let close_one = |client: &mut Hs2Client| {
                client.service().close_operation(TCloseOperationReq::new(operation.clone())).unwrap().status
            };
            let closing: Vec<_> =
                clients.iter_mut().map(|client| scope.spawn(move || close_one(client))).collect();
            closing.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let (done, late): (Vec<_>, Vec<_>) = closed.iter().partition(|status| status.error_message.is_none());
        assert_eq!(done.len(), 1);
        for status in late {
            let words = refused(status).message;
            let known = ["Invalid OperationHandle: ", "Operation does not exist"];
            assert!(known.iter().any(|known| words.starts_with(known)), "{words}");
        }
    }
}

fn a_session_that_is_not_there_is_told_in_known_words(target: &Target) {
    let (mut client, session) = session(target);
    client.close_session(&session).unwrap();
    let words = refused(&types(&mut client, &session).unwrap_err()).message;
    assert!(words.starts_with("Invalid SessionHandle: SessionHandle ["), "{words}");
    let again = client.service().close_session(TCloseSessionReq::new(session)).unwrap().status;
    let words = refused(&again).message;
    if target.flavor == Flavor::Hive {
        assert!(words.starts_with("Session does not exist: SessionHandle ["), "{words}");
    } else {
        assert_eq!(words, "Session does not exist!");
    }
}

/// So that they do not tell who has a session.
fn delegation_tokens_are_refused_before_anybody_looks_at_the_session(target: &Target) {
    let (mut client, real) = session(target);
    let expected = match target.flavor {
        Flavor::Hive => "Delegation token only supported over remote client with kerberos authentication",
        _ => "Delegation token is not supported",
    };
    let token = || "token".to_owned();
    for session in [real.clone(), TSessionHandle::new(unheard_of())] {
        let get = TGetDelegationTokenReq::new(session.clone(), "owner".to_owned(), "renewer".to_owned());
        let cancel = TCancelDelegationTokenReq::new(session.clone(), token());
        let renew = TRenewDelegationTokenReq::new(session, token());
        for status in [
            client.service().get_delegation_token(get).unwrap().status,
            client.service().cancel_delegation_token(cancel).unwrap().status,
            client.service().renew_delegation_token(renew).unwrap().status,
        ] {
            let refused = refused(&status);
            assert_eq!((refused.message.as_str(), refused.sql_state), (expected, None));
        }
    }
    assert_eq!(ask(&mut client, &real, "select 1"), [["1"]]);
}

fn client_info_is_taken_from_any_session_but_for_hives_application_name(target: &Target) {
    let mut wire = connect(target);
    let real = opened(&mut wire);
    let mut set = |session: &TSessionHandle, key| {
        let configuration = Value::Map(vec![(Value::text(key), Value::text("hs2router"))]);
        let request = Value::Struct(vec![(1, value(session)), (2, configuration)]);
        wire.say(&Message::call("SetClientInfo", vec![(1, request)]));
        // A status is all that is in it, as in that one.
        reply::<TCloseSessionResp>(&mut wire).result.unwrap().status
    };
    let forged = TSessionHandle::new(forged(&real.session_id));
    for session in [&real, &forged] {
        succeeded(&set(session, "ClientUser"));
    }
    succeeded(&set(&real, "ApplicationName"));
    let answer = set(&forged, "ApplicationName");
    if target.flavor == Flavor::Hive {
        assert!(refused(&answer).message.starts_with("Invalid SessionHandle: SessionHandle ["));
    } else {
        succeeded(&answer);
    }
}

fn opened(wire: &mut Talk) -> TSessionHandle {
    wire.say(&open_session(1));
    reply::<TOpenSessionResp>(wire).result.unwrap().session_handle.unwrap()
}

fn a_query_id_is_a_text_of_its_own_and_unknown_operations_have_none(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    let id = client.service().get_query_id(TGetQueryIdReq::new(operation.clone())).unwrap().query_id;
    if target.flavor == Flavor::Hive {
        let user_and_time_and_uuid = id.split('_').count();
        assert!(user_and_time_and_uuid >= 3, "{id}");
    }
    let unknown = TOperationHandle { operation_id: unheard_of(), ..operation.clone() };
    let error = application_error(client.service().get_query_id(TGetQueryIdReq::new(unknown)));
    assert_eq!(error.kind, thrift::ApplicationErrorKind::InternalError);
    assert_eq!(error.message, "Internal error processing GetQueryId");
    assert_eq!(all_rows(&mut client, &operation), [["1"]], "the connection goes on");
}

fn keys_come_with_the_type_of_functions(target: &Target) {
    let (mut client, session) = session(target);
    let name = |text: &str| Some(text.to_owned());
    let primary = TGetPrimaryKeysReq::new(session.clone(), None, name("default"), name("no_such_table"));
    let primary = client.service().get_primary_keys(primary).unwrap();
    let (one, other) = (name("no_such_table"), name("another"));
    let cross = TGetCrossReferenceReq::new(session, None, name("default"), one, None, name("default"), other);
    let cross = client.service().get_cross_reference(cross).unwrap();
    for (status, operation) in
        [(primary.status, primary.operation_handle), (cross.status, cross.operation_handle)]
    {
        succeeded(&status);
        let operation = operation.unwrap();
        assert_eq!(operation.operation_type, TOperationType::GET_FUNCTIONS);
        assert!(all_rows(&mut client, &operation).is_empty());
        succeeded(&close(&mut client, &operation));
    }
}

fn data_is_neither_uploaded_nor_downloaded(target: &Target) {
    for method in ["UploadData", "DownloadData"] {
        let mut wire = connect(target);
        let session = opened(&mut wire);
        let message = if method == "DownloadData" {
            call(method, 2, &TGetCatalogsReq::new(session))
        } else {
            // As `TUploadDataReq {1: sessionHandle, 2: tableName, 3: path, 4: values}`.
            let text = |text: &str| Some(text.to_owned());
            call(method, 2, &TGetColumnsReq::new(session, text("t"), text("/p"), text("x"), None))
        };
        wire.say(&message);
        // Hive closes without a word, or says 500 over HTTP; the router tells that the call was lost with its
        // link.
        if target.flavor == Flavor::Hive && target.http().is_some() {
            assert!(wire.hear_head().starts_with("http/1.1 500 "));
        } else if target.flavor == Flavor::Spark || target.is_routed() {
            let error = reply::<TGetInfoResp>(&mut wire).result.unwrap_err();
            let expected = match target.flavor {
                Flavor::Spark => thrift::ApplicationErrorKind::UnknownMethod,
                _ => thrift::ApplicationErrorKind::InternalError,
            };
            assert_eq!(error.kind, expected);
        } else {
            assert!(!goes_on(&wire), "{method} is answered");
        }
    }
}

/// A function that throws what is no exception when its rows are fetched.
fn broken(name: &str) -> String {
    const SOURCE: &str = "compile `import org.apache.hadoop.hive.ql.udf.UDFType
import org.apache.hadoop.hive.ql.udf.generic.GenericUDF
import org.apache.hadoop.hive.serde2.objectinspector.ObjectInspector
import org.apache.hadoop.hive.serde2.objectinspector.primitive.PrimitiveObjectInspectorFactory
@UDFType(deterministic = false)
public class @ extends GenericUDF {
  public ObjectInspector initialize(ObjectInspector[] arguments) {
    return PrimitiveObjectInspectorFactory.javaStringObjectInspector
  }
  public Object evaluate(GenericUDF.DeferredObject[] arguments) { throw new NoClassDefFoundError('x') }
  public String getDisplayString(String[] children) { return 'broken' }
}` AS GROOVY NAMED @.groovy";
    SOURCE.replace("class @", &format!("class {name}")).replace("@.groovy", &format!("{name}.groovy"))
}

fn an_error_of_java_ends_the_connection_and_its_session(target: &Target) {
    // Servers are shared, and one server cannot compile for two at once.
    static COMPILING: Mutex<()> = Mutex::new(());
    let (mut client, session) = session(target);
    let compiling = COMPILING.lock();
    let name = format!("Broken{}", rand::random::<u32>());
    let function = format!("create temporary function broken as '{name}'");
    for statement in ["set hive.fetch.task.caching=false", &broken(&name), &function] {
        run(&mut client, &session, statement);
    }
    drop(compiling);
    let operation = run(&mut client, &session, "select broken()");
    match client.fetch(&operation, 10) {
        Err(hs2router::fake::client::CallError::Refused { sql_state, .. }) => {
            assert_eq!(sql_state.as_deref(), Some("08S01"), "the router tells that the link was lost");
        }
        Err(_) => {}
        Ok(_) => panic!("rows came"),
    }
    let mut other = target.connect();
    eventually("the session ends", || !is_open(&mut other, &session));
}
