mod over_http;

use std::time::Duration;

use super::*;
use crate::clock;
use crate::cluster::Cluster;
use crate::ids::Access;
use crate::session::idle::IdleTimeout;
use crate::session::messages::{
    call, cluster, guessed, handle, query_id, with_handle, with_operation, with_query_id, with_two_handles,
};
use crate::session::table::{NewOperation, NewSession, OpenOperations, OperationKind, Settings};
use crate::wire::facts::{Handle, OperationType};
use crate::wire::method::{all, lookup};

const SESSION: u8 = 1;
const OPERATION: u8 = 2;
const UNKNOWN: u8 = 9;
const OWNER: CoordinatorId = CoordinatorId(1);
const ELSEWHERE: CoordinatorId = CoordinatorId(0);

/// A table in which coordinator 1 has a session and an operation; the cluster is what the counts hold on to.
fn table() -> (Table, Cluster) {
    table_of(Access::ANONYMOUS)
}

/// The same, where the session was opened with this access.
fn table_of(access: Access) -> (Table, Cluster) {
    let cluster = cluster(2);
    let table = Table::new(Settings { capacity: 8, detached_for: Duration::from_mins(1) });
    let Handle { guid, secret } = handle(SESSION);
    let count = cluster.coordinator(OWNER).unwrap().count_session();
    table
        .insert_session(NewSession {
            guid,
            secret: Some(secret),
            coordinator: OWNER,
            count,
            access,
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        })
        .unwrap();
    table.insert_operation(NewOperation {
        kind: OperationKind::Statement,
        now: clock::now(),
        guid: handle(OPERATION).guid,
        secret: None,
        coordinator: OWNER,
        session: guid,
        has_result_set: true,
        running: None,
        open: OpenOperations::default().count(),
        counted: cluster.coordinator(OWNER).unwrap().count_operation(),
    });
    (table, cluster)
}

/// Connections with each kind of past, on each kind of listener.
fn pasts() -> Vec<Past> {
    let coordinators = [None, Some(ELSEWHERE), Some(OWNER)];
    let mut pasts = Vec::new();
    for service in [Service::Hs2, Service::Beeswax, Service::Hs2Http] {
        for last in coordinators {
            pasts.extend(coordinators.map(|beeswax| Past {
                service,
                last,
                beeswax,
                hs2: Service::Hs2,
                has_beeswax: true,
                locates: false,
            }));
        }
    }
    pasts
}

fn new_on(service: Service) -> Past {
    Past { service, last: None, beeswax: None, hs2: Service::Hs2, has_beeswax: true, locates: false }
}

fn been_at(service: Service, coordinator: CoordinatorId) -> Past {
    let beeswax = (service == Service::Beeswax).then_some(coordinator);
    Past { service, last: Some(coordinator), beeswax, hs2: Service::Hs2, has_beeswax: true, locates: false }
}

fn plan(request: &Facts, past: &Past) -> Plan {
    decide(lookup(request.name.as_bytes()), request, past, &table().0)
}

fn owner(coordinator: CoordinatorId, affinity: Affinity) -> Plan {
    Plan::Owner { coordinator, affinity }
}

fn plain(name: &str) -> Facts {
    call(name, |_| {})
}

#[test]
fn every_open_is_a_pick_of_its_own() {
    for past in pasts() {
        assert_eq!(plan(&plain("OpenSession"), &past), Plan::Open, "{past:?}");
    }
}

#[test]
fn a_session_is_followed_from_any_connection() {
    let roles = [Role::Statement, Role::Metadata, Role::CloseSession, Role::UseSession];
    let mut methods = 0;
    for method in all().filter(|method| method.service == Owner::Hs2 && roles.contains(&method.role)) {
        let request = match method.name {
            "ExecutePlannedStatement" => continue, // Its handle stands a level deeper.
            name => with_handle(name, handle(SESSION)),
        };
        for past in pasts() {
            assert_eq!(plan(&request, &past), owner(OWNER, Affinity::Session), "{} {past:?}", method.name);
        }
        methods += 1;
    }
    assert!(methods > 10);
}

#[test]
fn an_operation_is_followed_from_any_connection() {
    let roles = [Role::UseOperation, Role::CancelOperation, Role::Fetch, Role::Poll, Role::CloseOperation];
    let mut methods = 0;
    for method in all().filter(|method| method.service == Owner::Hs2 && roles.contains(&method.role)) {
        for past in pasts() {
            let request = with_handle(method.name, handle(OPERATION));
            assert_eq!(plan(&request, &past), owner(OWNER, Affinity::Operation), "{} {past:?}", method.name);
        }
        methods += 1;
    }
    assert!(methods > 5);
}

#[test]
fn the_owner_judges_a_guessed_secret() {
    let request = with_handle("ExecuteStatement", guessed(handle(SESSION)));
    assert_eq!(plan(&request, &new_on(Service::Hs2)), owner(OWNER, Affinity::Session));
    let request = with_handle("FetchResults", guessed(handle(OPERATION)));
    assert_eq!(plan(&request, &new_on(Service::Hs2)), owner(OWNER, Affinity::Operation));
}

#[test]
fn a_handle_counts_only_as_what_its_method_takes_it_for() {
    let past = been_at(Service::Hs2, ELSEWHERE);
    for request in [with_handle("FetchResults", handle(SESSION)), with_handle("GetInfo", handle(OPERATION))] {
        assert_eq!(plan(&request, &past), owner(ELSEWHERE, Affinity::Last));
    }
}

#[test]
fn a_profile_goes_by_its_operation_then_by_its_session() {
    let past = been_at(Service::Hs2, ELSEWHERE);
    for method in ["GetRuntimeProfile", "GetExecSummary"] {
        let known = with_two_handles(method, handle(OPERATION), handle(UNKNOWN));
        assert_eq!(plan(&known, &past), owner(OWNER, Affinity::Operation));
        let forgotten = with_two_handles(method, handle(UNKNOWN), handle(SESSION));
        assert_eq!(plan(&forgotten, &past), owner(OWNER, Affinity::Session));
        let neither = with_two_handles(method, handle(UNKNOWN), handle(UNKNOWN));
        assert_eq!(plan(&neither, &past), owner(ELSEWHERE, Affinity::Last));
    }
}

#[test]
fn a_beeswax_query_id_is_followed_from_any_connection() {
    let id = query_id(handle(OPERATION));
    let methods = ["Cancel", "close", "get_state", "fetch", "get_results_metadata", "CloseInsert"];
    for method in methods.into_iter().chain(["GetRuntimeProfile", "GetExecSummary"]) {
        for past in pasts() {
            let request = with_query_id(method, &id);
            assert_eq!(plan(&request, &past), owner(OWNER, Affinity::Operation), "{method} {past:?}");
        }
    }
    for method in ["get_log", "clean"] {
        let request = call(method, |arguments| arguments.string(1, id.as_bytes()));
        let past = been_at(Service::Beeswax, ELSEWHERE);
        assert_eq!(plan(&request, &past), owner(OWNER, Affinity::Operation), "{method}");
    }
}

#[test]
fn an_unknown_query_id_goes_to_the_connections_own_coordinator() {
    for id in [query_id(handle(UNKNOWN)), "not an id".to_owned(), String::new()] {
        for method in ["Cancel", "get_state", "GetRuntimeProfile"] {
            let past = been_at(Service::Beeswax, ELSEWHERE);
            assert_eq!(
                plan(&with_query_id(method, &id), &past),
                owner(ELSEWHERE, Affinity::Beeswax),
                "{method}"
            );
        }
    }
}

#[test]
fn a_beeswax_connection_is_opened_by_its_first_call_and_stays_where_it_is() {
    let statement = |past: &Past| {
        let query = |arguments: &mut crate::wire::write::Writer| {
            arguments.structure(1, |query| query.string(1, b"select 1"));
        };
        plan(&call("query", query), past)
    };
    for service in [Service::Hs2, Service::Beeswax] {
        assert_eq!(statement(&new_on(service)), Plan::OpenBeeswax);
        assert_eq!(plan(&plain("PingImpalaService"), &new_on(service)), Plan::OpenBeeswax);
    }
    let past = been_at(Service::Beeswax, ELSEWHERE);
    assert_eq!(statement(&past), owner(ELSEWHERE, Affinity::Beeswax));
    assert_eq!(plan(&plain("PingImpalaService"), &past), owner(ELSEWHERE, Affinity::Beeswax));
}

#[test]
fn having_cancelled_a_query_elsewhere_gives_a_beeswax_connection_no_home() {
    let past = Past {
        service: Service::Beeswax,
        last: Some(OWNER),
        beeswax: None,
        hs2: Service::Hs2,
        has_beeswax: true,
        locates: false,
    };
    assert_eq!(plan(&plain("get_default_configuration"), &past), Plan::OpenBeeswax);
}

#[test]
fn a_call_without_a_known_handle_goes_where_the_connection_was_last() {
    let short = call("ExecuteStatement", |arguments| {
        arguments.structure(1, |request| {
            request.structure(1, |session| {
                session.structure(1, |identifier| {
                    identifier.string(1, b"short");
                    identifier.string(2, b"");
                });
            });
        });
    });
    let past = Past {
        service: Service::Hs2,
        last: Some(ELSEWHERE),
        beeswax: Some(OWNER),
        hs2: Service::Hs2,
        has_beeswax: true,
        locates: false,
    };
    for request in [with_handle("GetInfo", handle(UNKNOWN)), plain("GetInfo"), plain("FetchResults"), short] {
        assert_eq!(
            plan(&request, &past),
            owner(ELSEWHERE, Affinity::Last),
            "{}",
            String::from_utf8_lossy(request.name.as_bytes())
        );
        assert_eq!(
            plan(&request, &new_on(Service::Hs2)),
            Plan::Any,
            "{}",
            String::from_utf8_lossy(request.name.as_bytes())
        );
    }
}

#[test]
fn an_unknown_method_goes_by_a_handle_in_the_usual_place() {
    for past in [new_on(Service::Hs2), been_at(Service::Hs2, ELSEWHERE), been_at(Service::Hs2Http, ELSEWHERE)]
    {
        let session = with_handle("GetNovelty", handle(SESSION));
        assert_eq!(plan(&session, &past), owner(OWNER, Affinity::Session));
        let operation = with_handle("FetchNovelty", handle(OPERATION));
        assert_eq!(plan(&operation, &past), owner(OWNER, Affinity::Operation));
    }
    assert_eq!(plan(&plain("Novelty"), &been_at(Service::Hs2, ELSEWHERE)), owner(ELSEWHERE, Affinity::Last));
    assert_eq!(plan(&plain("Novelty"), &new_on(Service::Hs2)), Plan::Any);
}

#[test]
fn an_unknown_method_is_for_what_its_connection_spoke_last() {
    let novelty = plain("Novelty");
    let service_after = |past: &Past| service(lookup(b"Novelty"), &novelty, past);
    assert_eq!(service_after(&new_on(Service::Beeswax)), Service::Beeswax);
    assert_eq!(service_after(&new_on(Service::Hs2)), Service::Hs2);
    assert_eq!(service_after(&new_on(Service::Hs2Http)), Service::Hs2);
    assert_eq!(plan(&novelty, &been_at(Service::Beeswax, ELSEWHERE)), owner(ELSEWHERE, Affinity::Beeswax));
    assert_eq!(plan(&novelty, &new_on(Service::Beeswax)), Plan::OpenBeeswax);
}

#[test]
fn what_both_services_have_is_told_by_its_arguments() {
    let beeswax = with_query_id("GetRuntimeProfile", &query_id(handle(OPERATION)));
    let hs2 = with_two_handles("GetRuntimeProfile", handle(OPERATION), handle(SESSION));
    for past in pasts() {
        assert_eq!(service(lookup(b"GetRuntimeProfile"), &beeswax, &past), Service::Beeswax);
        assert_eq!(service(lookup(b"GetRuntimeProfile"), &hs2, &past), Service::Hs2);
    }
}

#[test]
fn a_call_is_for_the_session_that_it_names() {
    let of = |request: &Facts| session_of(lookup(request.name.as_bytes()), request);
    let session = Some(handle(SESSION));
    assert_eq!(of(&with_handle("ExecuteStatement", handle(SESSION))), session);
    assert_eq!(of(&with_handle("CloseSession", handle(SESSION))), session);
    assert_eq!(of(&with_two_handles("GetExecSummary", handle(OPERATION), handle(SESSION))), session);
    assert_eq!(of(&with_handle("FetchResults", handle(OPERATION))), None);
    assert_eq!(of(&with_query_id("GetExecSummary", &query_id(handle(OPERATION)))), None);
    assert_eq!(of(&plain("OpenSession")), None);
}

#[test]
fn a_cluster_without_beeswax_ports_answers_beeswax_calls_at_its_hs2_port() {
    let past = Past { has_beeswax: false, ..new_on(Service::Beeswax) };
    let ping = plain("PingImpalaService");
    assert_eq!(service(lookup(b"PingImpalaService"), &ping, &past), Service::Hs2);
    assert_eq!(plan(&ping, &past), Plan::Any);
}

/// Hive and Spark do not know it under another.
#[test]
fn an_operation_is_asked_for_by_the_type_in_the_clients_handle() {
    for name in
        ["FetchResults", "GetOperationStatus", "CancelOperation", "CloseOperation", "GetResultSetMetadata"]
    {
        let asked = |kind| question(lookup(name.as_bytes()), &with_operation(name, handle(UNKNOWN), kind));
        let of = |kind| Some(Question::Operation(handle(UNKNOWN), kind));
        assert_eq!(asked(1), of(OperationType::GET_TYPE_INFO), "{name}");
        for kind in [0, -1, 256] {
            assert_eq!(asked(kind), of(OperationType::EXECUTE_STATEMENT), "{name}, {kind}");
        }
    }
}

#[test]
fn what_the_table_lacks_is_asked_for_where_sessions_outlive_their_connections() {
    let session = Plan::Locate(Question::Session(handle(UNKNOWN)));
    let operation = Plan::Locate(Question::Operation(handle(UNKNOWN), OperationType::EXECUTE_STATEMENT));
    for past in pasts().into_iter().map(|past| Past { locates: true, ..past }) {
        for name in ["ExecuteStatement", "GetTables", "CloseSession", "PingImpalaHS2Service"] {
            assert_eq!(plan(&with_handle(name, handle(UNKNOWN)), &past), session, "{name} {past:?}");
        }
        for name in ["FetchResults", "GetOperationStatus", "CancelOperation", "CloseImpalaOperation"] {
            assert_eq!(plan(&with_handle(name, handle(UNKNOWN)), &past), operation, "{name} {past:?}");
        }
        // An operation that was closed is nowhere; its session is.
        let profile = with_two_handles("GetRuntimeProfile", handle(8), handle(UNKNOWN));
        assert_eq!(plan(&profile, &past), session);
    }
}

#[test]
fn nobody_is_asked_about_what_is_known_or_names_no_handle() {
    let known = [
        with_handle("ExecuteStatement", handle(SESSION)),
        with_handle("FetchResults", handle(OPERATION)),
        with_two_handles("GetExecSummary", handle(UNKNOWN), handle(SESSION)),
    ];
    let query = query_id(handle(UNKNOWN));
    let nameless = [
        plain("OpenSession"),
        plain("GetInfo"),
        plain("FetchResults"),
        with_handle("MethodOfTomorrow", handle(UNKNOWN)),
        with_query_id("get_state", &query),
        with_query_id("GetRuntimeProfile", &query),
    ];
    for past in pasts() {
        for request in known.iter().chain(&nameless) {
            let asking = plan(request, &Past { locates: true, ..past });
            assert_eq!(asking, plan(request, &past), "{:?} {past:?}", request.name);
        }
    }
}
