//! What a reply says about its call: the few outcomes that the router acts on. They are told by the status
//! and by how the error message *begins*. Known words count only in replies to methods that can be answered
//! so, and never elsewhere in a text, which may quote a statement.

use super::facts::Facts;
use super::method::{Method, Owner, Role};
use crate::ids::Family;

/// What a reply says about its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call succeeded.
    Success,
    /// The call failed, which is for the client to handle.
    Failed,
    /// The coordinator takes no new work (Impala: error 120, `SERVER_SHUTTING_DOWN`); the call was not run.
    ShuttingDown,
    /// The coordinator allows no more sessions for this user or address; none was opened.
    Full,
    /// There is no session with this id and secret.
    NoSuchSession,
    /// There is no operation with this id and secret.
    NoSuchOperation,
}

/// `TStatusCode`: SUCCESS 0, `SUCCESS_WITH_INFO` 1, `STILL_EXECUTING` 2; 3 and above are failures.
const LAST_SUCCESS: i32 = 2;

/// What a fully scanned reply from a coordinator of this family says about a call of `method`.
pub fn verdict(method: &Method, reply: &Facts, family: Family) -> Verdict {
    if succeeded(method, reply) {
        return Verdict::Success;
    }
    match family {
        Family::Impala => impala_failure(method, reply),
        Family::Hive => hive_failure(method, reply),
    }
}

/// Whether a reply says that its call succeeded.
///
/// A status is required in HS2's responses, but `GetOperationStatus` and `FetchResults` of Impala leave it at
/// 0, and a reply without one (`GetQueryId`, unknown methods) can only fail by an exception.
pub fn succeeded(method: &Method, reply: &Facts) -> bool {
    let refused = method.service != Owner::Beeswax
        && reply.status.is_some_and(|code| !(0..=LAST_SUCCESS).contains(&code));
    !(reply.is_exception() || reply.thrown || refused)
}

/// Impala's words, of all versions. Each counts only for methods that can be answered so.
fn impala_failure(method: &Method, reply: &Facts) -> Verdict {
    let Some(message) = impala_words(method, reply) else { return Verdict::Failed };
    // Since 3.1 (impala-server.cc `CheckNotShuttingDown`, error 120).
    if method.is_new_work && message.starts_with(b"Server is being shut down:") {
        return Verdict::ShuttingDown;
    }
    let session: [&[u8]; 2] = [
        // impala-server.cc `GetSessionState` and `CloseSessionInternal`, 2.x to 4.x; the id follows.
        b"Invalid session id:",
        // The same in 1.x (`CloseSessionInternal`); nothing follows.
        b"Invalid session ID",
    ];
    if method.names_session() && session.iter().any(|words| message.starts_with(words)) {
        return Verdict::NoSuchSession;
    }
    let operation: [&[u8]; 2] = [
        // All calls, 4.x (error 150, `INVALID_QUERY_HANDLE`); the id follows. Before that only
        // impala-server.cc `CancelInternal` and `UnregisterQuery`, where nothing follows.
        b"Invalid or unknown query handle",
        // impala-hs2-server.cc and impala-beeswax-server.cc, 1.x, where nothing follows, and 2.x and 3.x,
        // where the id does.
        b"Invalid query handle",
    ];
    let message = without_query(message);
    if method.names_operation() && operation.iter().any(|words| is_said(message, words)) {
        return Verdict::NoSuchOperation;
    }
    Verdict::Failed
}

/// Impala's message about a failure. HS2's calls have it in their status, and an exception in place of a
/// reply says nothing. Beeswax throws it; where the IDL does not declare that exception, the message is what
/// the exception prints (Thrift: `what` of a generated exception and `TApplicationException` in a generated
/// processor, C++; Impala's `get_state`, `get_results_metadata` and `get_log`).
fn impala_words<'a>(method: &Method, reply: &'a Facts) -> Option<&'a [u8]> {
    if !reply.is_exception() {
        return Some(reply.message());
    }
    let thrown = b"TException - service has thrown: BeeswaxException(message=";
    reply.message().strip_prefix(thrown).filter(|_| method.service == Owner::Beeswax)
}

/// The message without "Query <id> failed:\n" before it (impala-server.cc `QUERY_ERROR_FORMAT`, 4.x).
fn without_query(message: &[u8]) -> &[u8] {
    let Some(rest) = message.strip_prefix(b"Query ") else { return message };
    let line = rest.iter().position(|byte| *byte == b'\n');
    line.and_then(|at| rest.get(at + 1..)).unwrap_or_default()
}

/// Whether a message begins with these words, and the last of them ends there.
fn is_said(message: &[u8], words: &[u8]) -> bool {
    message.strip_prefix(words).is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
}

/// `HiveServer2`'s words, which Spark and Kyuubi have kept. They all come in a status; an exception in place
/// of a reply says nothing.
fn hive_failure(method: &Method, reply: &Facts) -> Verdict {
    if reply.is_exception() {
        return Verdict::Failed;
    }
    let message = reply.message();
    // Hive and Spark: SessionManager.java `getSession`, "Invalid SessionHandle: SessionHandle […]". Kyuubi:
    // SessionManager.scala `getSession` and `closeSession`, "Invalid SessionHandle […]".
    let unknown = method.names_session() && is_said(message, b"Invalid SessionHandle");
    // Hive and Spark: SessionManager.java `closeSession`; "!" follows, in newer ones a colon and the handle.
    let closed = method.role == Role::CloseSession && is_said(message, b"Session does not exist");
    // Hive and Spark: OperationManager.java `getOperation`; a colon and the handle follow. Kyuubi:
    // OperationManager.scala `getOperation` and `removeOperation`.
    let operation = method.names_operation() && is_said(message, b"Invalid OperationHandle");
    // Hive and Spark: OperationManager.java `removeOperation`, `closeOperation`, where another close was
    // faster; "!" follows, in newer ones a colon and the handle.
    let removed = method.role == Role::CloseOperation && is_said(message, b"Operation does not exist");
    if unknown || closed {
        Verdict::NoSuchSession
    } else if operation || removed {
        Verdict::NoSuchOperation
    } else {
        hive_refusal(method, message)
    }
}

/// How `HiveServer2` refuses new work.
fn hive_refusal(method: &Method, message: &[u8]) -> Verdict {
    let (opens, runs) =
        (method.role == Role::OpenSession, matches!(method.role, Role::Statement | Role::Metadata));
    // SessionManager.java `createSession`, since 3.0 of the passive one of a pair, since 4.0 also of one that
    // stops gracefully; how it goes on differs from version to version.
    let inactive = opens && is_said(message, b"Cannot open sessions on an inactive HS2 instance");
    // OperationManager.java `addOperation`, since 4.0; its state follows. `GetInfo` is answered as ever.
    let decommissioned =
        runs && is_said(message, b"Unable to run new queries as HiveServer2 is decommissioned or inactive");
    if inactive || decommissioned {
        return Verdict::ShuttingDown;
    }
    // SessionManager.java `anyViolations`, since 3.0; Kyuubi: SessionLimiter.scala `increment`. Names and the
    // limit follow.
    let limits: [&[u8]; 3] = [
        b"Connection limit per user reached",
        b"Connection limit per ipaddress reached",
        b"Connection limit per user:ipaddress reached",
    ];
    if opens && limits.iter().any(|words| is_said(message, words)) {
        return Verdict::Full;
    }
    Verdict::Failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::method::{self, lookup};
    use crate::wire::thrift::MessageType;

    const ID: &str = "0123456789abcdef:0123456700000000";

    fn failed(message: &str) -> Facts {
        let message = Some(Box::new(message.as_bytes().into()));
        Facts { status: Some(3), thrown: true, message, ..Facts::default() }
    }

    fn exception(message: &str) -> Facts {
        let message_type = Some(MessageType::Exception);
        Facts { status: None, thrown: false, message_type, ..failed(message) }
    }

    fn impala(method: &str, message: &str) -> Verdict {
        verdict(lookup(method.as_bytes()), &failed(message), Family::Impala)
    }

    fn hive(method: &str, message: &str) -> Verdict {
        verdict(lookup(method.as_bytes()), &failed(message), Family::Hive)
    }

    #[test]
    fn impalas_words_of_all_versions_are_known() {
        let words = "Server is being shut down: shutdown grace period left: 1s";
        assert_eq!(impala("ExecuteStatement", words), Verdict::ShuttingDown);
        for words in ["Invalid session id: 1:2\n", "Invalid session id: 1:2", "Invalid session ID"] {
            assert_eq!(impala("GetInfo", words), Verdict::NoSuchSession, "{words}");
        }
        for words in [
            "Invalid query handle".to_owned(),
            format!("Invalid query handle: {ID}"),
            "Invalid or unknown query handle\n".to_owned(),
            format!("Invalid or unknown query handle: {ID}.\n"),
            format!("Query {ID} failed:\nInvalid or unknown query handle: {ID}.\n\n"),
        ] {
            for method in ["GetOperationStatus", "FetchResults", "CloseOperation", "close", "fetch", "Cancel"]
            {
                assert_eq!(impala(method, &words), Verdict::NoSuchOperation, "{method}: {words}");
            }
        }
    }

    #[test]
    fn what_beeswax_throws_without_having_declared_it_is_understood() {
        for said in [
            format!("Query {ID} failed:\nInvalid or unknown query handle: {ID}.\n\n"),
            format!("Invalid query handle: {ID}"),
        ] {
            let thrown = exception(&format!(
                "TException - service has thrown: BeeswaxException(message={said}, log_con"
            ));
            assert_eq!(verdict(lookup(b"get_state"), &thrown, Family::Impala), Verdict::NoSuchOperation);
            assert_eq!(verdict(lookup(b"GetOperationStatus"), &thrown, Family::Impala), Verdict::Failed);
            let bare = exception(&said);
            assert_eq!(verdict(lookup(b"get_state"), &bare, Family::Impala), Verdict::Failed);
        }
    }

    #[test]
    fn the_words_of_hive_spark_and_kyuubi_are_known() {
        for words in ["Invalid SessionHandle: SessionHandle [x]", "Invalid SessionHandle [x]"] {
            assert_eq!(hive("ExecuteStatement", words), Verdict::NoSuchSession, "{words}");
        }
        for words in ["Session does not exist!", "Session does not exist: SessionHandle [x]"] {
            assert_eq!(hive("CloseSession", words), Verdict::NoSuchSession, "{words}");
            assert_eq!(hive("ExecuteStatement", words), Verdict::Failed, "{words}");
        }
        for words in ["Invalid OperationHandle: OperationHandle [x]", "Invalid OperationHandle [x]"] {
            assert_eq!(hive("FetchResults", words), Verdict::NoSuchOperation, "{words}");
        }
        for words in ["Operation does not exist!", "Operation does not exist: OperationHandle [x]"] {
            assert_eq!(hive("CloseOperation", words), Verdict::NoSuchOperation, "{words}");
            assert_eq!(hive("FetchResults", words), Verdict::Failed, "{words}");
        }
    }

    #[test]
    fn how_hive_refuses_new_work_is_known() {
        for rest in ["; use service discovery to connect", ", or the HS2 server leader is not ready; please"]
        {
            let words = format!("Cannot open sessions on an inactive HS2 instance{rest}");
            assert_eq!(hive("OpenSession", &words), Verdict::ShuttingDown, "{words}");
            for method in ["ExecuteStatement", "GetTables", "CloseSession", "FetchResults"] {
                assert_eq!(hive(method, &words), Verdict::Failed, "{method}");
            }
        }
        let words =
            "Unable to run new queries as HiveServer2 is decommissioned or inactive, state: DECOMMISSIONING";
        for method in ["ExecuteStatement", "GetTables", "GetTypeInfo"] {
            assert_eq!(hive(method, words), Verdict::ShuttingDown, "{method}");
        }
        for method in ["OpenSession", "GetInfo", "FetchResults", "CloseSession", "Unheard"] {
            assert_eq!(hive(method, words), Verdict::Failed, "{method}");
        }
        for words in [
            "Connection limit per user reached (user: u1 limit: 1)",
            "Connection limit per ipaddress reached (ipaddress: 127.0.0.1 limit: 1)",
            "Connection limit per user:ipaddress reached (user:ipaddress: u1:127.0.0.1 limit: 1)",
        ] {
            assert_eq!(hive("OpenSession", words), Verdict::Full, "{words}");
            assert_eq!(hive("ExecuteStatement", words), Verdict::Failed, "{words}");
            assert_eq!(impala("OpenSession", words), Verdict::Failed, "{words}");
        }
    }

    #[test]
    fn words_mean_nothing_from_servers_that_do_not_use_them() {
        for method in method::all().map(|method| method.name) {
            for words in
                ["Invalid session id: 1:2", "Invalid or unknown query handle", "Server is being shut down:"]
            {
                assert_eq!(hive(method, words), Verdict::Failed, "{method}: {words}");
            }
            for words in ["Invalid SessionHandle: x", "Session does not exist!", "Invalid OperationHandle: x"]
            {
                assert_eq!(impala(method, words), Verdict::Failed, "{method}: {words}");
            }
        }
    }

    #[test]
    fn words_mean_nothing_in_replies_to_calls_that_cannot_be_answered_so() {
        let session = "Invalid session id: 1:2";
        for method in ["FetchResults", "GetOperationStatus", "CloseOperation", "OpenSession", "Unheard"] {
            assert_eq!(impala(method, session), Verdict::Failed, "{method}");
        }
        let operation = format!("Query {ID} failed:\nInvalid or unknown query handle: {ID}.\n");
        for method in ["ExecuteStatement", "GetTables", "CloseSession", "GetInfo", "OpenSession", "Unheard"] {
            assert_eq!(impala(method, &operation), Verdict::Failed, "{method}");
            assert_eq!(hive(method, "Invalid OperationHandle: x"), Verdict::Failed, "{method}");
        }
        for method in
            ["FetchResults", "GetOperationStatus", "CloseSession", "PingImpalaHS2Service", "Unheard"]
        {
            assert_eq!(impala(method, "Server is being shut down: 1s"), Verdict::Failed, "{method}");
        }
    }

    #[test]
    fn the_same_words_elsewhere_are_somebody_elses() {
        for text in [
            "Syntax error: Server is being shut down:",
            "x Invalid session id: 1:2",
            "Query a failed:\nno\nInvalid or unknown query handle",
            "Query Invalid or unknown query handle",
            "Invalid query handler of table t",
            "Invalid query handle1",
        ] {
            for method in ["FetchResults", "ExecuteStatement"] {
                assert_eq!(impala(method, text), Verdict::Failed, "{text}");
            }
        }
        assert_eq!(hive("FetchResults", "Invalid OperationHandles"), Verdict::Failed);
        assert_eq!(hive("ExecuteStatement", "x Invalid SessionHandle: x"), Verdict::Failed);
    }

    #[test]
    fn a_status_of_success_is_success_whatever_the_message_says() {
        for code in 0..=2 {
            let reply = Facts { status: Some(code), thrown: false, ..failed("Server is being shut down:") };
            assert_eq!(verdict(lookup(b"OpenSession"), &reply, Family::Impala), Verdict::Success);
        }
        let negative = Facts { status: Some(-1), ..Facts::default() };
        assert_eq!(verdict(lookup(b"OpenSession"), &negative, Family::Impala), Verdict::Failed);
    }
}
