//! What a reply says about its call: the few outcomes that the router acts on, told by status and by how the error message
//! *begins*; never by text found elsewhere, which may be a statement's own.

use super::facts::Facts;
use super::method::{Method, Owner};

/// What a reply says about its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did what it should.
    Success,
    /// It failed; the client's business.
    Failed,
    /// The coordinator takes no new work (Impala: error 120, `SERVER_SHUTTING_DOWN`); the call was not run.
    ShuttingDown,
    /// There is no such session, or not with that secret.
    NoSuchSession,
    /// There is no such operation, or not with that secret.
    NoSuchOperation,
}

/// `TStatusCode`: SUCCESS 0, `SUCCESS_WITH_INFO` 1, `STILL_EXECUTING` 2; 3 and above are failures.
const LAST_SUCCESS: i32 = 2;

/// What a fully scanned reply says about a call of `method`.
pub fn verdict(method: &Method, reply: &Facts) -> Verdict {
    let failed = reply.is_exception() || reply.thrown || status_failed(method, reply);
    if failed { failure(reply.message()) } else { Verdict::Success }
}

/// A status is required in HS2's responses, but `GetOperationStatus` and `FetchResults` of Impala leave it at 0, and a
/// reply without one (`GetQueryId`, unknown methods) can only fail by an exception.
fn status_failed(method: &Method, reply: &Facts) -> bool {
    method.service != Owner::Beeswax && reply.status.is_some_and(|code| !(0..=LAST_SUCCESS).contains(&code))
}

fn failure(message: &[u8]) -> Verdict {
    if message.starts_with(b"Server is being shut down:") {
        return Verdict::ShuttingDown;
    }
    // Impala; then Hive and Spark, whose CloseSession has words of its own.
    let session: [&[u8]; 3] = [b"Invalid session id:", b"Invalid SessionHandle", b"Session does not exist"];
    if session.iter().any(|text| message.starts_with(text)) {
        return Verdict::NoSuchSession;
    }
    if message.starts_with(b"Invalid OperationHandle") || is_unknown_query(message) {
        return Verdict::NoSuchOperation;
    }
    Verdict::Failed
}

/// "Query <id> failed:\nInvalid or unknown query handle: …", or the sentence alone (Impala: EC 150, `QUERY_ERROR_FORMAT`).
fn is_unknown_query(message: &[u8]) -> bool {
    let unknown = b"Invalid or unknown query handle";
    let Some(rest) = message.strip_prefix(b"Query ") else { return message.starts_with(unknown) };
    let sentence = rest.iter().position(|byte| *byte == b'\n').and_then(|at| rest.get(at + 1..));
    sentence.is_some_and(|sentence| sentence.starts_with(unknown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::method;

    fn failed(message: &str) -> Facts {
        let message = Some(Box::new(message.as_bytes().into()));
        Facts { status: Some(3), message, ..Facts::default() }
    }

    fn of(message: &str) -> Verdict {
        verdict(method::lookup(b"FetchResults"), &failed(message))
    }

    #[test]
    fn errors_are_told_by_how_they_begin() {
        assert_eq!(of("Server is being shut down: shutdown grace period left: 1s"), Verdict::ShuttingDown);
        assert_eq!(of("Invalid session id: 1:2\n"), Verdict::NoSuchSession);
        assert_eq!(of("Invalid SessionHandle: SessionHandle [x]"), Verdict::NoSuchSession);
        assert_eq!(of("Session does not exist!"), Verdict::NoSuchSession);
        assert_eq!(of("Invalid OperationHandle: OperationHandle [x]"), Verdict::NoSuchOperation);
        let id = "0123456789abcdef:0123456700000000";
        let unknown = format!("Query {id} failed:\nInvalid or unknown query handle: {id}.\n\n");
        assert_eq!(of(&unknown), Verdict::NoSuchOperation);
    }

    #[test]
    fn the_same_words_elsewhere_are_somebody_elses() {
        for text in [
            "Syntax error: Server is being shut down:",
            "x Invalid session id: 1:2",
            "Query a failed:\nno\nInvalid or unknown query handle",
            "Query Invalid or unknown query handle",
        ] {
            assert_eq!(of(text), Verdict::Failed, "{text}");
        }
    }

    #[test]
    fn a_status_of_success_is_success_whatever_the_message_says() {
        for code in 0..=2 {
            let reply = Facts { status: Some(code), ..failed("Server is being shut down:") };
            assert_eq!(verdict(method::lookup(b"OpenSession"), &reply), Verdict::Success);
        }
        let negative = Facts { status: Some(-1), ..Facts::default() };
        assert_eq!(verdict(method::lookup(b"OpenSession"), &negative), Verdict::Failed);
    }
}
