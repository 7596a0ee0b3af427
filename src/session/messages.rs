//! Calls and replies for the tests of this layer: written as bytes and scanned, so that they have the facts
//! that real ones have.

use std::sync::Arc;

use bytes::BytesMut;

use crate::cluster::{
    AdminState, Cluster, CoordinatorSettings, Flavor, HealthSettings, PolicyName, Settings,
};
use crate::ids::CoordinatorName;
use crate::wire::facts::{Facts, GuidText, Handle};
use crate::wire::method::lookup;
use crate::wire::scan::Scanner;
use crate::wire::thrift::MessageType;
use crate::wire::write::Writer;

const LIMIT: u64 = 1 << 20;

/// A cluster of that many coordinators.
pub(super) fn cluster(coordinators: u32) -> Cluster {
    let coordinators = (0..coordinators)
        .map(|place| CoordinatorSettings {
            name: CoordinatorName(format!("c{place}").into()),
            host: "localhost".to_owned(),
            ports: Flavor::Impala.default_ports(),
            tls: None,
            weight: 1,
            state: AdminState::Active,
        })
        .collect();
    let policy = PolicyName::LeastLoaded;
    let name = Arc::from("test");
    let (flavor, health) = (Flavor::Impala, HealthSettings::default());
    let sessions_outlive_connections = true;
    let settings = Settings {
        name,
        flavor,
        sessions_outlive_connections,
        policy,
        idle_session_cost: 0.1,
        health,
        coordinators,
    };
    Cluster::new(settings).unwrap()
}

/// A handle that differs from those of other numbers in both halves.
pub(super) fn handle(number: u8) -> Handle {
    Handle { guid: [number; 16], secret: [!number; 16] }
}

/// The handle of somebody who knows the guid only.
pub(super) fn guessed(handle: Handle) -> Handle {
    let mut guessed = handle;
    guessed.secret[15] ^= 1;
    guessed
}

/// The Beeswax query id that a handle's guid prints.
pub(super) fn query_id(handle: Handle) -> String {
    GuidText(handle.guid).to_string()
}

fn scan(mut scanner: Scanner, bytes: &BytesMut) -> Facts {
    let step = scanner.push(bytes).unwrap();
    assert!(step.done && step.used == bytes.len());
    scanner.facts().clone()
}

/// A call with these arguments.
pub(super) fn call(name: &str, arguments: impl FnOnce(&mut Writer)) -> Facts {
    scan(Scanner::request(LIMIT), &Writer::message(MessageType::Call, name.as_bytes(), 1, arguments))
}

/// The reply to a call, with this result.
pub(super) fn reply(name: &str, result: impl FnOnce(&mut Writer)) -> Facts {
    let bytes = Writer::message(MessageType::Reply, name.as_bytes(), 1, result);
    scan(Scanner::reply(lookup(name.as_bytes()), LIMIT), &bytes)
}

fn write_handle(writer: &mut Writer, id: i16, handle: Handle, rest: impl FnOnce(&mut Writer)) {
    writer.structure(id, |outer| {
        outer.structure(1, |identifier| {
            identifier.string(1, &handle.guid);
            identifier.string(2, &handle.secret);
        });
        rest(outer);
    });
}

/// A call with a handle in the usual place.
pub(super) fn with_handle(name: &str, handle: Handle) -> Facts {
    call(name, |arguments| arguments.structure(1, |request| write_handle(request, 1, handle, |_| {})))
}

/// A call about an operation of this `TOperationType`.
pub(super) fn with_operation(name: &str, handle: Handle, kind: i32) -> Facts {
    call(name, |arguments| {
        arguments.structure(1, |request| write_handle(request, 1, handle, |rest| rest.i32(2, kind)));
    })
}

/// A call for a profile or a summary.
pub(super) fn with_two_handles(name: &str, operation: Handle, session: Handle) -> Facts {
    call(name, |arguments| {
        arguments.structure(1, |request| {
            write_handle(request, 1, operation, |_| {});
            write_handle(request, 2, session, |_| {});
        });
    })
}

/// `ExecuteStatement`, with `runAsync` if given.
pub(super) fn statement(session: Handle, run_async: Option<bool>) -> Facts {
    call("ExecuteStatement", |arguments| {
        arguments.structure(1, |request| {
            write_handle(request, 1, session, |_| {});
            request.string(2, b"select 1");
            if let Some(run_async) = run_async {
                request.bool(4, run_async);
            }
        });
    })
}

/// A Beeswax call with a `QueryHandle`.
pub(super) fn with_query_id(name: &str, id: &str) -> Facts {
    call(name, |arguments| arguments.structure(1, |query| query.string(1, id.as_bytes())))
}

fn status(response: &mut Writer, code: i32, message: &str) {
    response.structure(1, |status| {
        status.i32(1, code);
        if !message.is_empty() {
            status.string(5, message.as_bytes());
        }
    });
}

/// A response of HS2 that has a status, and the fields that `rest` writes.
pub(super) fn succeeded(name: &str, rest: impl FnOnce(&mut Writer)) -> Facts {
    reply(name, |result| {
        result.structure(0, |response| {
            status(response, 0, "");
            rest(response);
        });
    })
}

/// A response of HS2 that failed.
pub(super) fn failed(name: &str, message: &str) -> Facts {
    reply(name, |result| result.structure(0, |response| status(response, 3, message)))
}

/// A reply of Beeswax that threw.
pub(super) fn thrown(name: &str, message: &str) -> Facts {
    reply(name, |result| result.structure(1, |exception| exception.string(1, message.as_bytes())))
}

/// A response that mints an operation.
pub(super) fn minted(name: &str, operation: Handle, has_result_set: Option<bool>) -> Facts {
    succeeded(name, |response| {
        write_handle(response, 2, operation, |rest| {
            rest.i32(2, 0);
            if let Some(has_result_set) = has_result_set {
                rest.bool(3, has_result_set);
            }
        });
    })
}
