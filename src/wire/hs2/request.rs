//! The requests that the router itself makes of a `HiveServer2` coordinator.

use bytes::BytesMut;

use crate::wire::facts::Handle;
use crate::wire::thrift::MessageType;
use crate::wire::write::Writer;

/// The whole call that closes a session (TCLIService.thrift: `TCloseSessionReq`, `TSessionHandle`, `THandleIdentifier`).
pub fn close_session(session: &Handle, seqid: i32) -> BytesMut {
    Writer::message(MessageType::Call, b"CloseSession", seqid, |arguments| {
        arguments.structure(1, |request| {
            request.structure(1, |handle| {
                handle.structure(1, |identifier| {
                    identifier.string(1, &session.guid);
                    identifier.string(2, &session.secret);
                });
            });
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::method::lookup;
    use crate::wire::scan::Scanner;

    #[test]
    fn a_close_names_the_session_where_the_table_of_methods_looks_for_it() {
        let session = Handle { guid: [1; 16], secret: [2; 16] };
        let call = close_session(&session, 7);
        let mut scanner = Scanner::request(1 << 20);
        let step = scanner.push(&call).unwrap();
        assert!(step.done && step.used == call.len());
        let facts = scanner.facts();
        assert_eq!((facts.handle(), facts.seqid), (Some(session), 7));
        assert_eq!(scanner.method(), lookup(b"CloseSession"));
    }
}
