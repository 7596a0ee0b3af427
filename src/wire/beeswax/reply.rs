//! The error replies that the router itself gives to Beeswax calls, when no coordinator can.
//!
//! Beeswax has no status: a method returns its value or throws an exception that it declares. If it declares
//! `BeeswaxException`, the router throws one; all other methods get a `TApplicationException`, as they do for
//! Impala's own errors (Impala: beeswax.thrift, ImpalaService.thrift; impala-beeswax-server.cc).

use bytes::BytesMut;

use crate::wire::hs2::reply::Refusal;
use crate::wire::thrift::MessageType;
use crate::wire::write::{ExceptionKind, Writer, application_exception};

/// The whole reply to the call `name` with this sequence id: a `BeeswaxException` where the method declares
/// one, else a `TApplicationException` of kind "internal error".
pub fn error(name: &[u8], seqid: i32, refusal: &Refusal<'_>) -> BytesMut {
    let Some(field) = exception_field(name) else {
        return application_exception(name, seqid, ExceptionKind::InternalError, refusal.message);
    };
    Writer::message(MessageType::Reply, name, seqid, |result| {
        result.structure(field, |exception| {
            exception.string(1, refusal.message.as_bytes());
            // Log context and handle are not optional, so Impala writes them even when there is neither.
            exception.string(2, b"");
            exception.structure(3, |handle| {
                handle.string(1, b"");
                handle.string(2, b"");
            });
            exception.i32(4, 0);
            exception.string(5, refusal.sql_state.as_str().as_bytes());
        });
    })
}

/// The whole reply to a `close` (no value) or a `Cancel` (Impala's `TStatus {1: status_code, 2: error_msgs}`)
/// that succeeded.
pub fn success(name: &[u8], seqid: i32) -> BytesMut {
    Writer::message(MessageType::Reply, name, seqid, |result| {
        if name == b"Cancel" {
            result.structure(0, |status| {
                status.i32(1, 0);
                status.string_list(2, &[]);
            });
        }
    })
}

/// The field of a method's result in which it declares `BeeswaxException`.
fn exception_field(method: &[u8]) -> Option<i16> {
    match method {
        b"query" | b"executeAndWait" | b"explain" | b"Cancel" | b"GetRuntimeProfile" => Some(1),
        // Their field 1 is QueryNotFoundException.
        b"fetch" | b"close" | b"CloseInsert" | b"GetExecSummary" => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use thrift::protocol::TMessageType;

    use super::*;
    use crate::wire::hs2::reply::SqlState;
    use crate::wire::tree::{Value, read, structure, text};

    const REFUSAL: Refusal<'_> = Refusal { sql_state: SqlState::Refused, message: "full" };

    #[test]
    fn a_refused_query_has_these_bytes() {
        let expected = b"\x80\x01\0\x02\0\0\0\x05query\0\0\0\0\x0c\0\x01\
            \x0b\0\x01\0\0\0\x04full\x0b\0\x02\0\0\0\0\x0c\0\x03\x0b\0\x01\0\0\0\0\x0b\0\x02\0\0\0\0\0\
            \x08\0\x04\0\0\0\0\x0b\0\x05\0\0\0\x0508004\0\0";
        assert_eq!(error(b"query", 0, &REFUSAL).as_ref(), expected);
    }

    #[test]
    fn a_method_throws_its_exception_in_the_field_that_declares_it() {
        let handle = structure([(1, text("")), (2, text(""))]);
        let exception = structure([
            (1, text("full")),
            (2, text("")),
            (3, handle),
            (4, Value::I32(0)),
            (5, text("08004")),
        ]);
        let cases = [
            ("query", 1),
            ("executeAndWait", 1),
            ("explain", 1),
            ("fetch", 2),
            ("close", 2),
            ("Cancel", 1),
            ("CloseInsert", 2),
            ("GetRuntimeProfile", 1),
            ("GetExecSummary", 2),
        ];
        for (name, field) in cases {
            let message = read(&error(name.as_bytes(), 12, &REFUSAL));
            assert_eq!((message.kind, message.seqid), (TMessageType::Reply, 12), "{name}");
            assert_eq!(message.name, name);
            assert_eq!(message.fields, structure([(field, exception.clone())]), "{name}");
        }
    }

    #[test]
    fn a_method_that_declares_no_such_exception_gets_an_application_exception() {
        for name in
            ["get_state", "get_log", "get_default_configuration", "PingImpalaService", "clean", "nonsense"]
        {
            let message = read(&error(name.as_bytes(), 3, &REFUSAL));
            assert_eq!((message.kind, message.seqid), (TMessageType::Exception, 3), "{name}");
            assert_eq!(message.fields, structure([(1, text("full")), (2, Value::I32(6))]), "{name}");
        }
    }

    #[test]
    fn a_success_is_what_the_method_returns_when_it_worked() {
        let close = read(&success(b"close", 9));
        assert_eq!((close.kind, close.fields), (TMessageType::Reply, structure([])));
        let cancel = success(b"Cancel", 9);
        let expected =
            b"\x80\x01\0\x02\0\0\0\x06Cancel\0\0\0\x09\x0c\0\0\x08\0\x01\0\0\0\0\x0f\0\x02\x0b\0\0\0\0\0\0";
        assert_eq!(cancel.as_ref(), expected);
    }
}
