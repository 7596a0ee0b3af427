//! Connections whose every byte the check decides.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hs2router::fake::client::HttpLogin;
use hs2router::fake::sasl::{COMPLETE, OK, START, negotiation};
use hs2router::idl::t_c_l_i_service::{TOpenSessionReq, TProtocolVersion};
use thrift::ApplicationError;
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TInputProtocol, TMessageType, TSerializable, TType,
};

use crate::message::{Message, STRUCT, Value};
use crate::talk::Talk;
use crate::target::{Account, Target};

/// A check must end.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// One reply.
pub(crate) struct Reply<T> {
    pub(crate) method: String,
    pub(crate) sequence: i32,
    pub(crate) result: Result<T, ApplicationError>,
}

/// A connection on which nothing was said.
pub(crate) fn silent(address: SocketAddr) -> Talk {
    let talk = Talk::connect(address);
    talk.stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    talk
}

/// A connection to the HS2 port, ready for messages.
pub(crate) fn connect(target: &Target) -> Talk {
    match target.http() {
        Some(login) => connect_http(target, login),
        None => connect_to(target.hs2, target),
    }
}

/// The same over HTTP, with this in each request.
pub(crate) fn connect_http(target: &Target, login: HttpLogin) -> Talk {
    let talk = Talk::connect_http(target.hs2, login);
    talk.stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    talk
}

/// The same to any port of the target.
pub(crate) fn connect_to(address: SocketAddr, target: &Target) -> Talk {
    let mut talk = silent(address);
    if let Some(account) = &target.account {
        show(&mut talk, "", account);
        assert_eq!(talk.sasl_message().unwrap(), (COMPLETE, Vec::new()));
        talk.frames();
    }
    talk
}

/// Begins a negotiation with these credentials.
pub(crate) fn show(talk: &mut Talk, authorization: &str, account: &Account) {
    talk.send(&negotiation(START, b"PLAIN"));
    talk.send(&negotiation(OK, &credentials(authorization, account)));
}

/// PLAIN's response: authorization id, authentication id, password.
pub(crate) fn credentials(authorization: &str, account: &Account) -> Vec<u8> {
    format!("{authorization}\0{}\0{}", account.user, account.password).into_bytes()
}

/// Whether there is more to read: not if the server closed.
pub(crate) fn goes_on(talk: &Talk) -> bool {
    match talk.stream.peek(&mut [0]) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
        bytes => bytes.is_ok_and(|bytes| bytes > 0),
    }
}

/// The next reply, which must be whole.
pub(crate) fn reply<T: TSerializable>(talk: &mut Talk) -> Reply<T> {
    let mut input = TBinaryInputProtocol::new(talk, true);
    let head = input.read_message_begin().unwrap();
    let result = if head.message_type == TMessageType::Exception {
        Err(thrift::Error::read_application_error_from_in_protocol(&mut input).unwrap())
    } else {
        assert_eq!(head.message_type, TMessageType::Reply);
        Ok(read_result(&mut input).unwrap())
    };
    Reply { method: head.name, sequence: head.sequence_number, result }
}

/// The success of a result struct.
fn read_result<T: TSerializable>(input: &mut dyn TInputProtocol) -> thrift::Result<T> {
    input.read_struct_begin()?;
    let field = input.read_field_begin()?;
    assert_eq!((field.id, field.field_type), (Some(0), TType::Struct));
    let value = T::read_from_in_protocol(input)?;
    input.read_field_end()?;
    assert_eq!(input.read_field_begin()?.field_type, TType::Stop);
    input.read_struct_end()?;
    Ok(value)
}

/// A generated struct as a value.
pub(crate) fn value(of: &impl TSerializable) -> Value {
    let mut bytes = Vec::new();
    of.write_to_out_protocol(&mut TBinaryOutputProtocol::new(&mut bytes, true)).unwrap();
    Value::Raw(STRUCT, bytes)
}

/// The call of a method whose only argument is the request.
pub(crate) fn call(method: &str, sequence: i32, request: &impl TSerializable) -> Message {
    Message::call(method, vec![(1, value(request))]).seqid(sequence)
}

/// The call of a method without arguments.
pub(crate) fn bare_call(method: &str, sequence: i32) -> Message {
    Message::call(method, Vec::new()).seqid(sequence)
}

/// An `OpenSession` at protocol V6.
pub(crate) fn open_session(sequence: i32) -> Message {
    let version = TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6;
    call("OpenSession", sequence, &TOpenSessionReq::new(version, None, None, None))
}
