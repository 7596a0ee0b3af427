//! Every call finds the owner of its handle, on whatever connection it arrives, and is judged there as its
//! own maker's.

use std::collections::{HashMap, HashSet};
use std::thread;

use hs2router::fake::client::{BeeswaxClient, CallError, Hs2Client, texts};
use hs2router::idl::beeswax::{QueryHandle, QueryState, TBeeswaxServiceSyncClient};
use hs2router::idl::impala_service::{
    TGetExecSummaryReq, TGetRuntimeProfileReq, TImpalaHiveServer2ServiceSyncClient, TImpalaServiceSyncClient,
};
use hs2router::idl::t_c_l_i_service::{
    TFetchOrientation, TFetchResultsReq, TGetInfoReq, TGetInfoType, TGetLogReq, TGetQueryIdReq,
    TGetResultSetMetadataReq, TGetSchemasReq, TOperationHandle, TOperationState, TSessionHandle, TStatusCode,
    TTCLIServiceSyncClient,
};
use thrift::protocol::{TFieldIdentifier, TMessageIdentifier, TMessageType, TStructIdentifier, TType};
use thrift::{ApplicationErrorKind, TThriftClient};

use crate::support::fleet::{Door, Fleet, id, query_id, refusal};
use crate::support::router::eventually;

/// Makes every kind of call that carries a session handle; all must reach the session.
fn use_session(client: &mut Hs2Client, session: &TSessionHandle, owner: &str) {
    client.ping(session).unwrap();
    assert_eq!(client.query(session, "select coordinator()").unwrap(), [[owner]]);
    let info = TGetInfoReq::new(session.clone(), TGetInfoType::CLI_SERVER_NAME);
    assert_eq!(client.service().get_info(info).unwrap().status.status_code, TStatusCode::SUCCESS_STATUS);
    let schemas = TGetSchemasReq::new(session.clone(), None, "d%".to_owned());
    let operation = client.service().get_schemas(schemas).unwrap().operation_handle.unwrap();
    assert!(!texts(&client.fetch(&operation, 100).unwrap().0.unwrap()).is_empty());
    client.close(&operation).unwrap();
}

fn sessions_follow_their_handle(fleet: &Fleet) {
    let mut opener = fleet.hs2();
    let sessions = fleet.session_on_each(&mut opener);
    let (mut other, mut side) = (fleet.hs2(), fleet.hs2_by(Door::Side));
    // Also from a client that comes by the other service's listener: the bytes tell.
    let mut wrong_door = Hs2Client::connect(fleet.address(Door::Beeswax), fleet.login()).unwrap();
    for _ in 0..3 {
        for (session, coordinator) in sessions.iter().zip(fleet.coordinators()) {
            for client in [&mut opener, &mut other, &mut side, &mut wrong_door] {
                use_session(client, session, coordinator.name());
            }
        }
    }
    // What one connection sets, another sees: it is the same session, not merely the same coordinator.
    opener.query(&sessions[1], "use demo").unwrap();
    assert_eq!(side.query(&sessions[1], "select current_database()").unwrap(), [["demo"]]);
    for session in &sessions {
        other.close_session(session).unwrap();
    }
    drop(wrong_door);
    // With a password its credentials were checked on a Beeswax port, where a connection is a session.
    assert!(eventually(|| fleet.spread() == [0, 0, 0]), "still open: {:?}", fleet.spread());
}

#[test]
fn a_session_is_reached_from_any_connection_and_listener_of_its_cluster() {
    sessions_follow_their_handle(&Fleet::of(3));
}

#[test]
fn a_session_is_reached_from_any_authenticated_connection_of_its_user() {
    sessions_follow_their_handle(&Fleet::secured(3));
}

fn operations_follow_their_handle(fleet: &Fleet) {
    let mut opener = fleet.hs2();
    for session in fleet.session_on_each(&mut opener) {
        let operation = opener.execute(&session, "select * from rows(10)").unwrap();
        // A connection that never did anything else, for each call.
        assert_eq!(fleet.hs2().status(&operation).unwrap().0, TOperationState::FINISHED_STATE);
        let metadata = TGetResultSetMetadataReq::new(operation.clone());
        let metadata = fleet.hs2().service().get_result_set_metadata(metadata).unwrap();
        assert_eq!(metadata.schema.unwrap().columns.len(), 2);
        let log = fleet.hs2_by(Door::Side).service().get_log(TGetLogReq::new(operation.clone())).unwrap();
        assert_eq!(log.status.status_code, TStatusCode::SUCCESS_STATUS);
        let asked = TGetQueryIdReq::new(operation.clone());
        let told = fleet.hs2().service().get_query_id(asked).unwrap().query_id;
        assert_eq!(told, query_id(&operation).to_string());
        let (first, more) = fleet.hs2().fetch(&operation, 6).unwrap();
        assert_eq!((texts(&first.unwrap()).len(), more), (6, true));
        let (second, more) = fleet.hs2_by(Door::Side).fetch(&operation, 6).unwrap();
        assert_eq!((texts(&second.unwrap()).len(), more), (4, false), "no row twice, none lost");
        fleet.hs2().close(&operation).unwrap();
        let text = refusal(opener.fetch(&operation, 1));
        assert!(text.contains("Invalid or unknown query handle"), "{text}");
    }
}

#[test]
fn an_operation_is_reached_from_any_connection() {
    operations_follow_their_handle(&Fleet::of(3));
}

#[test]
fn an_operation_is_reached_from_any_authenticated_connection_of_its_user() {
    operations_follow_their_handle(&Fleet::secured(3));
}

#[test]
fn a_cancel_from_another_connection_ends_a_waiting_fetch() {
    let fleet = Fleet::of(3);
    let mut opener = fleet.hs2();
    for (place, session) in fleet.session_on_each(&mut opener).into_iter().enumerate() {
        let operation = opener.execute(&session, "select sleep(60000)").unwrap();
        let mut waiting = fleet.hs2();
        let fetched = thread::spawn({
            let operation = operation.clone();
            move || loop {
                let request =
                    TFetchResultsReq::new(operation.clone(), TFetchOrientation::FETCH_NEXT, 10, None);
                let status = waiting.service().fetch_results(request).unwrap().status;
                if status.status_code != TStatusCode::STILL_EXECUTING_STATUS {
                    return status.error_message.unwrap_or_default();
                }
            }
        });
        assert!(eventually(|| fleet.calls("FetchResults").iter().any(|(at, _)| *at == place)));
        fleet.hs2().cancel(&operation).unwrap();
        let text = fetched.join().unwrap();
        assert!(text.contains("Cancelled"), "{text}");
    }
}

/// Asks for both, and for the coordinator that answered.
fn profile(client: &mut Hs2Client, operation: &TOperationHandle, session: &TSessionHandle) -> String {
    let ask = TGetExecSummaryReq::new(operation.clone(), session.clone(), None);
    let summary = client.service().get_exec_summary(ask).unwrap();
    assert_eq!(summary.summary.is_some(), summary.status.status_code == TStatusCode::SUCCESS_STATUS);
    let ask = TGetRuntimeProfileReq::new(operation.clone(), session.clone(), None, None);
    let profile = client.service().get_runtime_profile(ask).unwrap();
    profile.profile.or(profile.status.error_message).unwrap()
}

fn profiles_follow_the_operation(fleet: &Fleet) {
    let mut opener = fleet.hs2();
    for (session, coordinator) in fleet.session_on_each(&mut opener).iter().zip(fleet.coordinators()) {
        let operation = opener.execute(session, "select 1234").unwrap();
        let says =
            [format!("Query (id={})", query_id(&operation)), format!("Coordinator: {}", coordinator.name())];
        let text = profile(&mut fleet.hs2(), &operation, session);
        assert!(says.iter().all(|word| text.contains(word)), "{text}");
        opener.close(&operation).unwrap();
        for client in [&mut opener, &mut fleet.hs2(), &mut fleet.hs2_by(Door::Side)] {
            let text = profile(client, &operation, session);
            assert!(says.iter().all(|word| text.contains(word)), "{text}");
        }
        // The session's secret counts, and its coordinator judges it.
        let mut forged = session.clone();
        forged.session_id.secret = vec![0; 16];
        let text = profile(&mut fleet.hs2(), &operation, &forged);
        assert!(text.starts_with("Invalid session id: "), "{text}");
    }
}

#[test]
fn profile_and_summary_are_found_after_the_operation_is_closed() {
    profiles_follow_the_operation(&Fleet::of(3));
    profiles_follow_the_operation(&Fleet::secured(3));
}

/// A Beeswax client on each coordinator, in the order of the config.
fn beeswax_on_each(fleet: &Fleet) -> Vec<(BeeswaxClient, String)> {
    let mut clients: Vec<_> = (0..3)
        .map(|_| {
            let mut client = fleet.beeswax();
            let name = client.query("select coordinator()").unwrap().concat();
            (client, name)
        })
        .collect();
    clients.sort_by(|one, other| one.1.cmp(&other.1));
    let names: Vec<_> = clients.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["c1", "c2", "c3"], "each connection is a session of its own");
    clients
}

/// The message of an exception.
fn said(error: &thrift::Error) -> String {
    match error {
        thrift::Error::Application(error) => error.message.clone(),
        other => panic!("{other:?}"),
    }
}

fn assert_gone(result: thrift::Result<QueryState>) {
    let text = said(&result.expect_err("the query is closed"));
    assert!(text.contains("Invalid or unknown query handle"), "{text}");
}

#[test]
fn a_query_of_another_beeswax_connection_is_reached_by_its_id() {
    // With users: a connection without one that never ran a statement is nobody, who has no profiles.
    let fleet = Fleet::secured(3);
    let mut owners = beeswax_on_each(&fleet);
    for (owner, name) in &mut owners {
        let handle = owner.execute("select * from rows(10)", "").unwrap();
        let mut other = fleet.beeswax();
        let service = other.service();
        assert_eq!(service.get_state(handle.clone()).unwrap(), QueryState::FINISHED);
        let schema = service.get_results_metadata(handle.clone()).unwrap().schema.unwrap();
        assert_eq!(schema.field_schemas.unwrap().len(), 2);
        assert_eq!(service.get_log(handle.log_context.clone().unwrap()).unwrap(), "");
        let first = service.fetch(handle.clone(), false, 6).unwrap();
        assert_eq!((first.data.unwrap().len(), first.has_more), (6, Some(true)));
        assert!(
            service.get_runtime_profile(handle.clone()).unwrap().contains(&*format!("Coordinator: {name}"))
        );
        service.get_exec_summary(handle.clone()).unwrap();
        service.close(handle.clone()).unwrap();
        assert!(
            service.get_runtime_profile(handle.clone()).unwrap().contains(&*format!("Coordinator: {name}"))
        );
        assert_gone(owner.service().get_state(handle));

        let handle = owner.execute("insert into t select * from rows(3)", "").unwrap();
        let result = other.service().close_insert(handle).unwrap();
        assert_eq!(result.rows_modified.values().sum::<i64>(), 3);
    }
}

#[test]
fn a_beeswax_query_is_cancelled_from_another_connection() {
    let fleet = Fleet::of(3);
    let mut owners = beeswax_on_each(&fleet);
    for (owner, _) in &mut owners {
        let handle = owner.execute("select sleep(60000)", "").unwrap();
        assert_eq!(owner.service().get_state(handle.clone()).unwrap(), QueryState::RUNNING);
        fleet.beeswax().service().cancel(handle.clone()).unwrap();
        assert_eq!(owner.service().get_state(handle.clone()).unwrap(), QueryState::EXCEPTION);
        fleet.beeswax().service().close(handle.clone()).unwrap();
        assert_gone(owner.service().get_state(handle));
    }
    let cancels = fleet.calls("Cancel");
    assert_eq!(cancels.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_beeswax_connection_stays_where_its_session_is() {
    let fleet = Fleet::of(3);
    let mut owners = beeswax_on_each(&fleet);
    let handles: Vec<_> =
        owners.iter_mut().map(|(owner, _)| owner.execute("select 1", "").unwrap()).collect();
    for (place, (owner, name)) in owners.iter_mut().enumerate() {
        // A look at somebody else's query, wherever that is, does not move the connection.
        let elsewhere: &QueryHandle = &handles[(place + 1) % 3];
        drop(owner.service().get_state(elsewhere.clone()));
        assert_eq!(owner.query("select coordinator()").unwrap(), [name.as_str()]);
        owner.service().ping_impala_service().unwrap();
        // An id that nobody knows gets the own coordinator's words.
        let unknown = QueryHandle::new("1:2".to_owned(), "1:2".to_owned());
        let text = said(&owner.service().get_state(unknown).expect_err("there is none"));
        assert!(
            text.contains("Invalid or unknown query handle: 0000000000000001:0000000000000002"),
            "{text}"
        );
    }
}

/// Calls a method that no server knows, with a session handle in the usual place.
fn call_unknown(client: &mut Hs2Client, session: &TSessionHandle) -> thrift::Result<()> {
    let service = client.service();
    service.increment_sequence_number();
    let head = TMessageIdentifier::new("MethodOfTomorrow", TMessageType::Call, service.sequence_number());
    let output = service.o_prot_mut();
    output.write_message_begin(&head)?;
    output.write_struct_begin(&TStructIdentifier::new("args"))?;
    output.write_field_begin(&TFieldIdentifier::new("req", TType::Struct, 1))?;
    output.write_struct_begin(&TStructIdentifier::new("request"))?;
    output.write_field_begin(&TFieldIdentifier::new("sessionHandle", TType::Struct, 1))?;
    output.write_struct_begin(&TStructIdentifier::new("TSessionHandle"))?;
    output.write_field_begin(&TFieldIdentifier::new("sessionId", TType::Struct, 1))?;
    output.write_struct_begin(&TStructIdentifier::new("THandleIdentifier"))?;
    for (number, part) in (1..).zip([&session.session_id.guid, &session.session_id.secret]) {
        output.write_field_begin(&TFieldIdentifier::new("part", TType::String, number))?;
        output.write_bytes(part)?;
    }
    for _ in 0..4 {
        output.write_field_stop()?;
    }
    output.flush()?;
    let input = service.i_prot_mut();
    let head = input.read_message_begin()?;
    assert_eq!(head.message_type, TMessageType::Exception);
    Err(thrift::Error::Application(thrift::Error::read_application_error_from_in_protocol(input)?))
}

#[test]
fn an_unknown_method_with_a_handle_in_the_usual_place_is_routed_by_it() {
    for fleet in [Fleet::of(3), Fleet::secured(3)] {
        let mut opener = fleet.hs2();
        let sessions = fleet.session_on_each(&mut opener);
        for session in sessions.iter().chain(&sessions) {
            match call_unknown(&mut opener, session) {
                Err(thrift::Error::Application(error)) => {
                    assert_eq!(error.kind, ApplicationErrorKind::UnknownMethod);
                    assert_eq!(error.message, "Invalid method name: 'MethodOfTomorrow'");
                }
                other => panic!("{other:?}"),
            }
        }
        let places: Vec<_> = fleet.calls("MethodOfTomorrow").iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [0, 0, 1, 1, 2, 2]);
        opener.ping(&sessions[0]).unwrap();
    }
}

#[test]
fn a_handle_that_nobody_minted_gets_a_coordinators_own_words() {
    for fleet in [Fleet::of(3), Fleet::secured(3)] {
        let mut client = fleet.hs2();
        let session = client.open(&[]).unwrap();
        let operation = client.execute(&session, "select 1").unwrap();
        let with_guid = |guid: Vec<u8>| {
            let (mut session, mut operation) = (session.clone(), operation.clone());
            session.session_id.guid.clone_from(&guid);
            operation.operation_id.guid = guid;
            (session, operation)
        };
        let (unknown, never_run) = with_guid(vec![7; 16]);
        let text = id(&unknown.session_id);
        // From the connection that has a session, from one that has none, twice from each.
        let mut fresh = fleet.hs2();
        for client in [&mut client, &mut fresh] {
            for _ in 0..2 {
                assert_eq!(refusal(client.ping(&unknown)), format!("Invalid session id: {text}\n"));
                let expected = format!("Query {text} failed:\nInvalid or unknown query handle: {text}.\n\n");
                assert_eq!(refusal(client.fetch(&never_run, 1)), expected);
                for length in [0, 15, 17] {
                    let (malformed, _) = with_guid(vec![7; length]);
                    let expected = format!(
                        "Malformed THandleIdentifier (guid size: {length}, expected 16, secret size: 16, expected 16)\n"
                    );
                    assert_eq!(refusal(client.ping(&malformed)), expected);
                }
            }
        }
        client.ping(&session).unwrap();
    }
}

#[test]
fn a_malformed_handle_goes_where_its_connection_was_last() {
    let fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let mut malformed = sessions[0].clone();
    malformed.session_id.guid.clear();
    for place in [1, 0, 2, 1] {
        client.query(&sessions[place], "select 1").unwrap();
        let before = fleet.calls("PingImpalaHS2Service").len();
        assert!(refusal(client.ping(&malformed)).starts_with("Malformed THandleIdentifier"));
        let pings = fleet.coordinator(place).calls();
        assert_eq!(pings.last().unwrap().method, "PingImpalaHS2Service");
        assert_eq!(fleet.calls("PingImpalaHS2Service").len(), before + 1);
    }
}

#[test]
fn nobody_reaches_a_session_of_another_user_by_knowing_its_handle() {
    let fleet = Fleet::secured(3);
    let mut ann = fleet.hs2_as("ann", "nna");
    let sessions = fleet.session_on_each(&mut ann);
    let mut bob = fleet.hs2_as("bob", "bbo");
    let expected = "The user authorized on the connection 'bob' does not match the session username 'ann'\n";
    for session in &sessions {
        let operation = ann.execute(session, "select 1").unwrap();
        assert_eq!(refusal(bob.ping(session)), expected);
        assert_eq!(refusal(bob.execute(session, "select 1")), expected);
        assert_eq!(refusal(bob.fetch(&operation, 1)), expected);
        assert_eq!(refusal(bob.cancel(&operation)), expected);
        assert_eq!(refusal(bob.close_session(session)), expected);
        ann.fetch(&operation, 1).unwrap();
    }
    assert_eq!(fleet.known().table.sessions(), 3, "a refused close closes nothing");
}

#[test]
fn a_call_travels_under_the_identity_of_its_own_connection() {
    let fleet = Fleet::secured(3);
    let people = [("ann", "nna"), ("bob", "bbo"), ("u1", "p1")];
    // All at once, so that the links of the three lie side by side.
    thread::scope(|scope| {
        for (user, password) in people {
            let fleet = &fleet;
            scope.spawn(move || {
                for _ in 0..5 {
                    let mut client = fleet.hs2_as(user, password);
                    let sessions: Vec<_> = (0..6).map(|_| client.open(&[]).unwrap()).collect();
                    for session in &sessions {
                        assert_eq!(client.query(session, "select user()").unwrap(), [[user]]);
                    }
                    for session in &sessions {
                        client.close_session(session).unwrap();
                    }
                }
            });
        }
    });
    for (place, coordinator) in fleet.coordinators().enumerate() {
        let mut users: HashMap<u64, HashSet<Option<String>>> = HashMap::new();
        for call in coordinator.calls() {
            users.entry(call.connection).or_default().insert(call.user);
        }
        assert!(users.len() >= people.len(), "coordinator {place} was used by all: {users:?}");
        assert!(users.values().all(|users| users.len() == 1 && !users.contains(&None)), "{users:?}");
    }
}

#[test]
fn a_guessed_secret_changes_nothing_for_the_sessions_owner() {
    let fleet = Fleet::of(3);
    let (mut owner, mut stranger) = (fleet.hs2(), fleet.hs2());
    let sessions = fleet.session_on_each(&mut owner);
    let operations: Vec<_> =
        sessions.iter().map(|session| owner.execute(session, "select * from rows(3)").unwrap()).collect();
    let before = fleet.loads();
    for (session, operation) in sessions.iter().zip(&operations) {
        let (mut guessed, mut peeked) = (session.clone(), operation.clone());
        guessed.session_id.secret[15] ^= 1;
        peeked.operation_id.secret[15] ^= 1;
        let expected = format!("Invalid session id: {}\n", id(&session.session_id));
        assert_eq!(refusal(stranger.ping(&guessed)), expected);
        assert_eq!(refusal(stranger.close_session(&guessed)), expected);
        assert!(refusal(stranger.fetch(&peeked, 1)).contains("not found"));
        assert!(refusal(stranger.close(&peeked)).contains("not found"));
    }
    assert_eq!(fleet.loads(), before, "what the coordinators still have still counts");
    // A connection that was nowhere yet: only the table can tell it where the sessions are.
    let mut fresh = fleet.hs2();
    for (session, operation) in sessions.iter().zip(&operations) {
        fresh.ping(session).unwrap();
        assert_eq!(texts(&fresh.fetch(operation, 10).unwrap().0.unwrap()).len(), 3);
    }
}

#[test]
fn a_wrong_password_is_refused_by_one_coordinator_and_no_other_is_asked() {
    let fleet = Fleet::secured(3);
    for _ in 0..3 {
        let login = hs2router::fake::client::Login::plain("ann", "wrong");
        let refused = Hs2Client::connect(fleet.address(Door::Hs2), &login);
        let Err(CallError::Thrift(error)) = refused else { panic!("it came in") };
        assert!(format!("{error:?}").contains("authentication failed"), "{error:?}");
    }
    let dials: f64 = fleet
        .coordinators()
        .map(|coordinator| {
            let labels = format!("cluster=\"test\",coordinator=\"{}\"", coordinator.name());
            fleet
                .router()
                .metric(&format!("hs2router_dials_total{{{labels},outcome=\"credentials_refused\"}}"))
        })
        .sum();
    assert!((dials - 3.0).abs() < f64::EPSILON, "{dials} refusals for three attempts");
    fleet.await_idle();
}
