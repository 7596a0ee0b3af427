//! Calls of clients that come with HTTP.

use super::*;
use crate::ids::{Identity, Transport};

/// Connections over HTTP with each kind of past.
fn over_http() -> Vec<Past> {
    pasts().into_iter().map(|past| Past { hs2: Service::Hs2Http, ..past }).collect()
}

#[test]
fn every_call_over_http_goes_to_the_port_for_http_even_one_of_beeswax() {
    for method in all() {
        let requests = [
            plain(method.name),
            with_handle(method.name, handle(SESSION)),
            with_query_id(method.name, &query_id(handle(OPERATION))),
        ];
        for past in over_http() {
            let services = requests.each_ref().map(|request| service(method, request, &past));
            assert_eq!(services, [Service::Hs2Http; 3], "{} {past:?}", method.name);
        }
    }
}

#[test]
fn a_beeswax_call_over_http_goes_where_the_connection_was_last_and_opens_no_session() {
    for past in over_http() {
        assert_eq!(plan(&plain("OpenSession"), &past), Plan::Open, "{past:?}");
        let expected = past.last.map_or(Plan::Any, |last| owner(last, Affinity::Last));
        assert_eq!(plan(&plain("query"), &past), expected, "{past:?}");
    }
}

#[test]
fn a_session_that_was_opened_in_binary_is_found_over_http_and_the_other_way_round() {
    let http = Access { identity: Identity::Anonymous, transport: Transport::Http };
    for (access, pasts) in [(Access::ANONYMOUS, over_http()), (http, pasts())] {
        let (table, _cluster) = table_of(access);
        for past in pasts {
            let past = Past { locates: true, ..past };
            let ask = |request: &Facts| decide(lookup(request.name.as_bytes()), request, &past, &table);
            let (open, fetch) = ("ExecuteStatement", "FetchResults");
            let session = ask(&with_handle(open, handle(SESSION)));
            assert_eq!(session, owner(OWNER, Affinity::Session), "{past:?}");
            let operation = ask(&with_handle(fetch, handle(OPERATION)));
            assert_eq!(operation, owner(OWNER, Affinity::Operation), "{past:?}");
        }
    }
}
