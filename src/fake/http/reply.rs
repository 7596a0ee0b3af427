//! What is said to a client.

use std::fmt::Write as _;

use crate::fake::manner::Manner;

/// Before the body of a request that asked for it (Impala: `THttpTransport.cpp` `readHeaders`).
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// To OPTIONS, without a length (Impala: `THttpServer.cpp` `parseStatusLine`).
pub(super) const OPTIONS: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Access-Control-Allow-Origin: *\r\n\
    Access-Control-Allow-Methods: POST, OPTIONS\r\n\
    Access-Control-Allow-Headers: Content-Type\r\n\r\n";

/// From Hive and Spark to a client whom they do not know: no word of what they accept, and the connection
/// stays open (`ThriftHttpServlet` `doPost`).
pub(super) const UNKNOWN_CLIENT: &[u8] = b"HTTP/1.1 401 Unauthorized\r\n\
    Content-Type: application/x-thrift\r\n\
    Content-Length: 70\r\n\r\n\
    Authentication Error: Authorization header received is not acceptable\n";

/// The same where tickets are asked for.
pub(super) const NO_TICKET: &[u8] = b"HTTP/1.1 401 Unauthorized\r\n\
    WWW-Authenticate: Negotiate\r\n\
    Content-Length: 69\r\n\r\n\
    Authentication Error: java.lang.reflect.UndeclaredThrowableException\n";

/// From Spark to a cookie that it did not sign: the beginning of Jetty's page (`CookieSigner`
/// `verifyAndExtract`).
pub(super) const INVALID_SIGN: &[u8] = b"HTTP/1.1 500 Server Error\r\n\
    Content-Type: text/html;charset=iso-8859-1\r\n\
    Content-Length: 76\r\n\r\n\
    <h2>HTTP ERROR 500 java.lang.IllegalArgumentException: Invalid sign</h2>\r\n\r\n";

/// From Hive and Spark to a body that is no message.
pub(super) const NO_MESSAGE: &[u8] = b"HTTP/1.1 500 Server Error\r\n\
    Content-Type: text/html;charset=iso-8859-1\r\n\
    Content-Length: 25\r\n\r\n\
    <h2>HTTP ERROR 500</h2>\r\n";

/// From Hive and Spark to other methods than they have.
pub(super) const NO_METHOD: &[u8] =
    b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// From Jetty to a head that is too long.
pub(super) const LONG_HEAD: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How long chunks of replies are, in bytes. Jetty's are longer; these let short replies have several.
const CHUNK: usize = 1 << 10;

/// A reply with these fields. Impala's has a length (`THttpServer.cpp` `flush`), those of Hive and Spark come
/// in chunks.
pub(super) fn ok(manner: Manner, fields: Vec<String>, payload: &[u8]) -> Vec<u8> {
    if manner != Manner::Impala {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-thrift\r\nTransfer-Encoding: chunked\r\n";
        let mut reply = finished(head.to_owned(), fields);
        for chunk in payload.chunks(CHUNK) {
            reply.extend([format!("{:X}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        reply.extend_from_slice(b"0\r\n\r\n");
        return reply;
    }
    let mut head = "HTTP/1.1 200 OK\r\n\
        Server: Thrift/0.16.0\r\n\
        Access-Control-Allow-Origin: *\r\n\
        Content-Type: application/x-thrift\r\n"
        .to_owned();
    // Writing to a string cannot fail.
    let _written = write!(head, "Content-Length: {}\r\nConnection: Keep-Alive\r\n", payload.len());
    [finished(head, fields).as_slice(), payload].concat()
}

/// Impala's refusal of a client: no length and no body, the end is that of the connection
/// (`THttpServer.cpp` `returnUnauthorized`).
pub(super) fn unauthorized(fields: Vec<String>) -> Vec<u8> {
    finished("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n".to_owned(), fields)
}

fn finished(head: String, fields: Vec<String>) -> Vec<u8> {
    let fields = fields.into_iter().map(|field| field + "\r\n");
    let mut head: String = std::iter::once(head).chain(fields).collect();
    head.push_str("\r\n");
    head.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_without_a_call_are_as_long_as_they_say() {
        for reply in [UNKNOWN_CLIENT, NO_TICKET, INVALID_SIGN, NO_MESSAGE, NO_METHOD, LONG_HEAD] {
            let text = std::str::from_utf8(reply).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{text}: {}", body.len());
        }
    }
}
