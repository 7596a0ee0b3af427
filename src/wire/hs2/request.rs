//! The requests that the router itself sends to a `HiveServer2` coordinator.

use bytes::BytesMut;

use crate::wire::facts::{Handle, OperationType};
use crate::wire::hs2::method;
use crate::wire::method::row::Method;
use crate::wire::thrift::MessageType;
use crate::wire::write::Writer;

/// The whole call that closes a session (TCLIService.thrift: `TCloseSessionReq`, `TSessionHandle`,
/// `THandleIdentifier`).
pub fn close_session(session: &Handle, seqid: i32) -> BytesMut {
    call(method::CLOSE_SESSION, session, seqid, |_| {})
}

/// The whole call that asks whether a coordinator has a session (ImpalaService.thrift:
/// `TPingImpalaHS2ServiceReq`). It succeeds if the session exists, has this secret, has not expired and
/// belongs to the caller. It is answered during a shutdown as well.
pub fn ping(session: &Handle, seqid: i32) -> BytesMut {
    call(method::PING, session, seqid, |_| {})
}

/// The whole call that asks whether a coordinator has a session where there is no [`ping`]
/// (TCLIService.thrift: `TGetTypeInfoReq`). Every server looks up the session and answers at once from what
/// it knows (Hive: `GetTypeInfoOperation`, Spark: `SparkGetTypeInfoOperation`). The call leaves an operation,
/// which has to be closed: [`close_operation`].
///
/// No other call is better. Spark answers `GetInfo` for any handle (`SparkSQLCLIService` `getInfo`), and
/// where `GetInfo` fails, the reply lacks a required value, so that the connection is closed (measured on
/// Spark 3.5 and Hive 4.0.1). The calls about delegation tokens fail before they look at the handle, unless
/// clients log in with Kerberos. `SetClientInfo` succeeds for any handle on Spark, and on Hive unless it sets
/// the session's `ApplicationName` (Hive: `ThriftCLIService`; both measured).
pub fn type_info(session: &Handle, seqid: i32) -> BytesMut {
    call(method::GET_TYPE_INFO, session, seqid, |_| {})
}

/// The whole call that closes an operation of this type (TCLIService.thrift: `TCloseOperationReq`).
pub fn close_operation(operation: &Handle, kind: OperationType, seqid: i32) -> BytesMut {
    call(method::CLOSE_OPERATION, operation, seqid, |handle| finish(handle, kind))
}

/// The whole call that asks whether a coordinator has an operation of this type (TCLIService.thrift:
/// `TGetOperationStatusReq`).
pub fn operation_status(operation: &Handle, kind: OperationType, seqid: i32) -> BytesMut {
    call(method::GET_OPERATION_STATUS, operation, seqid, |handle| finish(handle, kind))
}

/// The whole call that cancels a statement (TCLIService.thrift: `TCancelOperationReq`). Its operation stays
/// open, and a client that fetches from it is told that it was cancelled. The call is answered during a
/// shutdown as well.
pub fn cancel_operation(operation: &Handle, seqid: i32) -> BytesMut {
    call(method::CANCEL_OPERATION, operation, seqid, |handle| {
        finish(handle, OperationType::EXECUTE_STATEMENT);
    })
}

/// The rest of a `TOperationHandle`; `hasResultSet` is required, but no server looks at it.
fn finish(handle: &mut Writer, kind: OperationType) {
    handle.i32(2, kind.number());
    handle.bool(3, true);
}

/// A request whose first field is a handle; `rest` writes what the handle has besides its identifier.
fn call(method: &Method, named: &Handle, seqid: i32, rest: impl FnOnce(&mut Writer)) -> BytesMut {
    Writer::message(MessageType::Call, method.name.as_bytes(), seqid, |arguments| {
        arguments.structure(1, |request| {
            request.structure(1, |handle| {
                handle.structure(1, |identifier| {
                    identifier.string(1, &named.guid);
                    identifier.string(2, &named.secret);
                });
                rest(handle);
            });
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::method::lookup;
    use crate::wire::scan::Scanner;

    const HANDLE: Handle = Handle { guid: [1; 16], secret: [2; 16] };

    #[test]
    fn each_names_the_handle_where_the_table_of_methods_looks_for_it() {
        for (name, call) in [
            ("CloseSession", close_session(&HANDLE, 7)),
            ("PingImpalaHS2Service", ping(&HANDLE, 7)),
            ("GetTypeInfo", type_info(&HANDLE, 7)),
            ("CloseOperation", close_operation(&HANDLE, OperationType::GET_TYPE_INFO, 7)),
            ("GetOperationStatus", operation_status(&HANDLE, OperationType::GET_TYPE_INFO, 7)),
            ("CancelOperation", cancel_operation(&HANDLE, 7)),
        ] {
            let mut scanner = Scanner::request(1 << 20);
            let step = scanner.push(&call).unwrap();
            assert!(step.done && step.used == call.len());
            let facts = scanner.facts();
            assert_eq!((facts.handle(), facts.seqid), (Some(HANDLE), 7));
            assert_eq!(scanner.method(), lookup(name.as_bytes()));
        }
    }

    #[test]
    fn nothing_is_in_them_but_the_handle() {
        // As many bytes as impala-shell sends.
        assert_eq!((ping(&HANDLE, 0).len(), close_session(&HANDLE, 0).len()), (91, 83));
    }
}
