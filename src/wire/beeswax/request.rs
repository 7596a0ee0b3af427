//! The requests that the router itself makes over Beeswax.

use bytes::BytesMut;

use crate::wire::facts::{Guid, GuidText};
use crate::wire::thrift::MessageType;
use crate::wire::write::Writer;

/// The whole call that cancels a query (ImpalaService.thrift: `Cancel`; beeswax.thrift: `QueryHandle`), which
/// stays open for its client. Any session may ask (Impala: impala-beeswax-server.cc `Cancel`).
pub fn cancel(query: Guid, seqid: i32) -> BytesMut {
    let id = GuidText(query).to_string();
    Writer::message(MessageType::Call, b"Cancel", seqid, |arguments| {
        arguments.structure(1, |handle| {
            handle.string(1, id.as_bytes());
            // Not read, but required.
            handle.string(2, b"");
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::method::lookup;
    use crate::wire::scan::Scanner;

    #[test]
    fn it_names_the_query_where_the_table_of_methods_looks_for_it() {
        let query = [7; 16];
        let call = cancel(query, 5);
        let mut scanner = Scanner::request(1 << 20);
        let step = scanner.push(&call).unwrap();
        assert!(step.done && step.used == call.len());
        assert_eq!(scanner.method(), lookup(b"Cancel"));
        assert_eq!(scanner.facts().query_id, Some(Some(query)));
    }
}
