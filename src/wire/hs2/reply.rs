//! The error replies that the router itself gives to `HiveServer2` calls, when no coordinator can.
//!
//! Every client that was tried shows a reply in the method's own form, with status ERROR, to the user as
//! text; a closed connection shows as "read 0 bytes" or as nothing at all. The reply has to be complete: a
//! generated reader throws when a required field is missing, and beeline dereferences the configuration of an
//! `OpenSession` reply without a check.

use std::time::Duration;

use bytes::BytesMut;

use crate::wire::thrift::MessageType;
use crate::wire::write::{ExceptionKind, Writer, application_exception};

/// What a client gets in place of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The class of the failure, for programs.
    pub sql_state: SqlState,
    /// The text for people; it names router, connection, coordinator and cause, and nothing secret.
    pub message: &'a str,
}

/// The SQLSTATEs that the router itself uses: connection exceptions of ISO 9075; 08S01, which JDBC drivers
/// use for a broken link; and Impala's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SqlState {
    /// 08001: no connection to a coordinator could be made.
    CouldNotConnect,
    /// 08004: the coordinators (full, drained) or the router's rules refuse.
    Refused,
    /// 08S01: the link broke during the call, and whether the call had an effect is not known; or the session
    /// of the call had ended with its link before.
    Lost,
    /// HY000: an error that a coordinator would have reported in Impala's own words (impala-server.h
    /// `SQLSTATE_GENERAL_ERROR`), or an error in the request.
    General,
}

impl SqlState {
    /// The five characters on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CouldNotConnect => "08001",
            Self::Refused => "08004",
            Self::Lost => "08S01",
            Self::General => "HY000",
        }
    }
}

/// The whole reply to the call `name` with this sequence id: status ERROR and the refusal in the method's own
/// response, or a `TApplicationException` of kind "internal error" where that response has no status or needs
/// a value that only a coordinator has, and for methods that are not known.
pub fn error(name: &[u8], seqid: i32, refusal: &Refusal<'_>) -> BytesMut {
    let Some(rest) = Rest::of(name) else {
        return application_exception(name, seqid, ExceptionKind::InternalError, refusal.message);
    };
    Writer::message(MessageType::Reply, name, seqid, |result| {
        result.structure(0, |response| {
            response.structure(1, |status| {
                status.i32(1, ERROR_STATUS);
                status.string(3, refusal.sql_state.as_str().as_bytes());
                status.string(5, refusal.message.as_bytes());
            });
            rest.write(response);
        });
    })
}

/// The whole reply to a close or cancel that succeeded: status SUCCESS and nothing else. Only for methods
/// whose response needs nothing else.
pub fn success(name: &[u8], seqid: i32) -> BytesMut {
    Writer::message(MessageType::Reply, name, seqid, |result| {
        result.structure(0, |response| response.structure(1, |status| status.i32(1, SUCCESS_STATUS)));
    })
}

/// How long a session may be idle, from the configuration in the reply that opened it
/// (`IDLE_SESSION_TIMEOUT`, in seconds; 0 means for ever). The bytes are searched and not scanned: routing
/// uses nothing inside the map, and a client that puts the same bytes elsewhere in its session's
/// configuration changes nothing but the life of its own session.
pub fn idle_session_timeout(reply: &[u8]) -> Option<Duration> {
    const KEY: &[u8] = b"\0\0\0\x14IDLE_SESSION_TIMEOUT";
    let at = reply.windows(KEY.len()).position(|window| window == KEY)?;
    let (length, value) = reply.get(at + KEY.len()..)?.split_first_chunk::<4>()?;
    let value = value.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let seconds = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds)).filter(|timeout| !timeout.is_zero())
}

/// `TStatusCode` in TCLIService.thrift.
const SUCCESS_STATUS: i32 = 0;

/// `TStatusCode` in TCLIService.thrift: the only failure that Impala's clients ever get from a coordinator.
const ERROR_STATUS: i32 = 3;

/// `TProtocolVersion` V6 in TCLIService.thrift, which Impala answers to every client and which impala-shell
/// requires.
const PROTOCOL_V6: i32 = 5;

/// The fields that a response must have besides its status.
#[derive(Clone, Copy)]
enum Rest {
    Nothing,
    /// `serverProtocolVersion` is required; `configuration` is not, but see above.
    VersionAndConfiguration,
    /// `infoValue` is required, a union: an empty one, as Impala sends, trips Java's union reader over its
    /// stop byte.
    InfoValue,
    /// `log` is required.
    Log,
}

impl Rest {
    /// For the methods of TCLIService.thrift and ImpalaService.thrift; `None` if an error does not fit their
    /// response.
    ///
    /// Left out on purpose: `GetQueryId` (no status); `UploadData`, `DownloadData` (handle required);
    /// `InitQueryContext`, `GetBackendConfig`, `GetExecutorMembership` (large structs required).
    fn of(method: &[u8]) -> Option<Self> {
        match method {
            b"OpenSession" => Some(Self::VersionAndConfiguration),
            b"GetInfo" => Some(Self::InfoValue),
            b"GetLog" => Some(Self::Log),
            b"CloseSession"
            | b"ExecuteStatement"
            | b"ExecutePlannedStatement"
            | b"GetTypeInfo"
            | b"GetCatalogs"
            | b"GetSchemas"
            | b"GetTables"
            | b"GetTableTypes"
            | b"GetColumns"
            | b"GetFunctions"
            | b"GetPrimaryKeys"
            | b"GetCrossReference"
            | b"GetOperationStatus"
            | b"CancelOperation"
            | b"CloseOperation"
            | b"CloseImpalaOperation"
            | b"GetResultSetMetadata"
            | b"FetchResults"
            | b"GetDelegationToken"
            | b"CancelDelegationToken"
            | b"RenewDelegationToken"
            | b"SetClientInfo"
            | b"GetExecSummary"
            | b"GetRuntimeProfile"
            | b"PingImpalaHS2Service" => Some(Self::Nothing),
            _ => None,
        }
    }

    fn write(self, response: &mut Writer) {
        match self {
            Self::Nothing => {}
            Self::VersionAndConfiguration => {
                response.i32(2, PROTOCOL_V6);
                response.string_map(4, &[]);
            }
            Self::InfoValue => response.structure(2, |value| value.string(1, b"")),
            Self::Log => response.string(2, b""),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use thrift::protocol::TMessageType;

    use super::*;
    use crate::wire::tree::{Value, read, structure, text};

    const REFUSAL: Refusal<'_> = Refusal { sql_state: SqlState::Lost, message: "gone" };

    fn status() -> Value {
        structure([(1, Value::I32(3)), (3, text("08S01")), (5, text("gone"))])
    }

    #[test]
    fn a_refused_fetch_has_these_bytes() {
        let expected = b"\x80\x01\0\x02\0\0\0\x0cFetchResults\0\0\0\x09\
            \x0c\0\0\x0c\0\x01\x08\0\x01\0\0\0\x03\x0b\0\x03\0\0\0\x0508S01\x0b\0\x05\0\0\0\x04gone\0\0\0";
        assert_eq!(error(b"FetchResults", 9, &REFUSAL).as_ref(), expected);
    }

    #[test]
    fn each_method_is_answered_in_its_own_form_with_every_required_field() {
        let plain = || structure([(1, status())]);
        let cases = [
            ("OpenSession", structure([(1, status()), (2, Value::I32(5)), (4, Value::Map(BTreeMap::new()))])),
            ("GetInfo", structure([(1, status()), (2, structure([(1, text(""))]))])),
            ("GetLog", structure([(1, status()), (2, text(""))])),
            ("ExecuteStatement", plain()),
            ("GetTables", plain()),
            ("GetOperationStatus", plain()),
            ("CloseSession", plain()),
            ("CloseImpalaOperation", plain()),
            ("GetRuntimeProfile", plain()),
            ("GetExecSummary", plain()),
            ("PingImpalaHS2Service", plain()),
            ("GetDelegationToken", plain()),
        ];
        for (name, response) in cases {
            let message = read(&error(name.as_bytes(), -5, &REFUSAL));
            assert_eq!((message.kind, message.seqid), (TMessageType::Reply, -5), "{name}");
            assert_eq!(message.name, name);
            assert_eq!(message.fields, structure([(0, response)]), "{name}");
        }
    }

    #[test]
    fn a_method_that_an_error_does_not_fit_gets_an_application_exception() {
        for name in ["GetQueryId", "UploadData", "InitQueryContext", "Frobnicate", ""] {
            let message = read(&error(name.as_bytes(), 4, &REFUSAL));
            assert_eq!((message.kind, message.seqid), (TMessageType::Exception, 4), "{name}");
            assert_eq!(message.name, name);
            assert_eq!(message.fields, structure([(1, text("gone")), (2, Value::I32(6))]), "{name}");
        }
    }

    #[test]
    fn each_cause_has_its_sqlstate() {
        let causes = [SqlState::CouldNotConnect, SqlState::Refused, SqlState::Lost];
        for (sql_state, expected) in causes.into_iter().zip(["08001", "08004", "08S01"]) {
            let message = read(&error(b"CloseSession", 0, &Refusal { sql_state, message: "" }));
            let status = structure([(1, Value::I32(3)), (3, text(expected)), (5, text(""))]);
            assert_eq!(message.fields, structure([(0, structure([(1, status)]))]));
        }
    }

    #[test]
    fn a_success_is_a_status_of_zero_and_nothing_else() {
        let message = read(&success(b"CloseOperation", 9));
        assert_eq!((message.kind, message.seqid), (TMessageType::Reply, 9));
        assert_eq!(message.name, "CloseOperation");
        assert_eq!(message.fields, structure([(0, structure([(1, structure([(1, Value::I32(0))]))]))]));
    }

    #[test]
    fn an_idle_timeout_is_found_in_the_configuration_of_an_open() {
        let reply = |value: &str| {
            Writer::message(MessageType::Reply, b"OpenSession", 1, |result| {
                let entries = [("BATCH_SIZE", "0"), ("IDLE_SESSION_TIMEOUT", value), ("MEM_LIMIT", "1g")];
                result.structure(0, |response| response.string_map(4, &entries));
            })
        };
        assert_eq!(idle_session_timeout(&reply("90")), Some(Duration::from_secs(90)));
        for none in ["0", "", "-1", "90s"] {
            assert_eq!(idle_session_timeout(&reply(none)), None, "{none:?}");
        }
        let whole = reply("90");
        for cut in 0..whole.len() {
            let found = idle_session_timeout(&whole[..cut]);
            assert!(found.is_none() || found == Some(Duration::from_secs(90)), "{found:?} of {cut} bytes");
        }
    }
}
