//! What is said to a client.

use std::fmt::Write as _;

/// Before the body of a request that asked for it (Impala: `THttpTransport.cpp` `readHeaders`).
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// To OPTIONS, without a length (Impala: `THttpServer.cpp` `parseStatusLine`).
pub(super) const OPTIONS: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Access-Control-Allow-Origin: *\r\n\
    Access-Control-Allow-Methods: POST, OPTIONS\r\n\
    Access-Control-Allow-Headers: Content-Type\r\n\r\n";

/// A reply with these fields (Impala: `THttpServer.cpp` `flush`).
pub(super) fn ok(fields: Vec<String>, payload: &[u8]) -> Vec<u8> {
    let mut head = "HTTP/1.1 200 OK\r\n\
        Server: Thrift/0.16.0\r\n\
        Access-Control-Allow-Origin: *\r\n\
        Content-Type: application/x-thrift\r\n"
        .to_owned();
    // Writing to a string cannot fail.
    let _written = write!(head, "Content-Length: {}\r\nConnection: Keep-Alive\r\n", payload.len());
    [finished(head, fields).as_slice(), payload].concat()
}

/// The refusal of a client: no length and no body, the end is that of the connection (Impala:
/// `THttpServer.cpp` `returnUnauthorized`).
pub(super) fn unauthorized(fields: Vec<String>) -> Vec<u8> {
    finished("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n".to_owned(), fields)
}

fn finished(head: String, fields: Vec<String>) -> Vec<u8> {
    let fields = fields.into_iter().map(|field| field + "\r\n");
    let mut head: String = std::iter::once(head).chain(fields).collect();
    head.push_str("\r\n");
    head.into_bytes()
}
