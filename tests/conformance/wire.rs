//! A connection whose every byte the check decides.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hs2router::idl::t_c_l_i_service::{TOpenSessionReq, TProtocolVersion};
use thrift::ApplicationError;
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TFieldIdentifier, TInputProtocol, TMessageIdentifier,
    TMessageType, TOutputProtocol, TSerializable, TStructIdentifier, TType,
};

use crate::target::{Account, Target};

/// A check must end.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// A connection of bytes, and of messages once it is logged in.
pub(crate) struct Wire {
    stream: TcpStream,
    input: TBinaryInputProtocol<Unframed>,
    in_frames: bool,
}

/// One reply.
pub(crate) struct Reply<T> {
    pub(crate) method: String,
    pub(crate) sequence: i32,
    pub(crate) result: Result<T, ApplicationError>,
}

/// The bytes of messages, out of their frames if there are any.
struct Unframed {
    stream: BufReader<TcpStream>,
    in_frames: bool,
    left: usize,
}

impl Read for Unframed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.in_frames {
            return self.stream.read(buffer);
        }
        while self.left == 0 {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            self.left = u32::from_be_bytes(length) as usize;
            assert!(self.left > 0, "a frame without data");
        }
        let limit = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..limit])?;
        self.left -= read;
        Ok(read)
    }
}

impl Wire {
    /// A connection on which nothing was said.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let input = TBinaryInputProtocol::new(Unframed { stream: reader, in_frames: false, left: 0 }, true);
        Self { stream, input, in_frames: false }
    }

    /// A connection to the HS2 port, ready for messages.
    pub(crate) fn connect(target: &Target) -> Self {
        Self::connect_to(target.hs2, target)
    }

    /// The same to any port of the target.
    pub(crate) fn connect_to(address: SocketAddr, target: &Target) -> Self {
        let mut wire = Self::silent(address);
        if let Some(account) = &target.account {
            wire.say(&negotiation(1, b"PLAIN"));
            wire.say(&negotiation(2, &credentials("", account)));
            assert_eq!(wire.answer(), (5, Vec::new()));
            wire.use_frames();
        }
        wire
    }

    /// From here on there are frames.
    pub(crate) fn use_frames(&mut self) {
        self.in_frames = true;
        self.input.transport.in_frames = true;
    }

    /// Sends bytes as they are.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// A message as it is sent: in one frame, where there are frames.
    pub(crate) fn framed(&self, message: &[u8]) -> Vec<u8> {
        let mut framed = Vec::new();
        if self.in_frames {
            framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        }
        framed.extend_from_slice(message);
        framed
    }

    /// Sends a message in one frame.
    pub(crate) fn send(&mut self, message: &[u8]) {
        let framed = self.framed(message);
        self.say(&framed);
    }

    /// An answer of the negotiation: status and payload.
    pub(crate) fn answer(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.raw().read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize];
        self.raw().read_exact(&mut payload).unwrap();
        (head[0], payload)
    }

    /// Everything until the server closes; a reset counts as a close.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.raw().read_to_end(&mut rest) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => rest,
        }
    }

    /// Whether there is more to read: not if the server closed.
    pub(crate) fn goes_on(&mut self) -> bool {
        match self.raw().fill_buf() {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            bytes => bytes.is_ok_and(|bytes| !bytes.is_empty()),
        }
    }

    /// The next reply, which must be whole.
    pub(crate) fn reply<T: TSerializable>(&mut self) -> Reply<T> {
        let head = self.input.read_message_begin().unwrap();
        let result = if head.message_type == TMessageType::Exception {
            Err(thrift::Error::read_application_error_from_in_protocol(&mut self.input).unwrap())
        } else {
            assert_eq!(head.message_type, TMessageType::Reply);
            Ok(read_result(&mut self.input).unwrap())
        };
        Reply { method: head.name, sequence: head.sequence_number, result }
    }

    fn raw(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.input.transport.stream
    }
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

/// A message of the negotiation.
pub(crate) fn negotiation(status: u8, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![status];
    message.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    message.extend_from_slice(payload);
    message
}

/// PLAIN's response: authorization id, authentication id, password.
pub(crate) fn credentials(authorization: &str, account: &Account) -> Vec<u8> {
    format!("{authorization}\0{}\0{}", account.user, account.password).into_bytes()
}

/// Whether a header has the version in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    Strict,
    /// As it was before there were versions: the name comes first.
    Old,
}

/// The call of a method whose only argument is the request.
pub(crate) fn call(method: &str, sequence: i32, request: &impl TSerializable) -> Vec<u8> {
    message(Header::Strict, method, sequence, |output| {
        output.write_field_begin(&TFieldIdentifier::new("req", TType::Struct, 1))?;
        request.write_to_out_protocol(output)?;
        output.write_field_end()
    })
}

/// The call of a method without arguments.
pub(crate) fn bare_call(method: &str, sequence: i32) -> Vec<u8> {
    message(Header::Strict, method, sequence, |_| Ok(()))
}

/// An `OpenSession` at protocol V6.
pub(crate) fn open_session(header: Header, sequence: i32) -> Vec<u8> {
    let version = TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6;
    let request = TOpenSessionReq::new(version, None, None, None);
    message(header, "OpenSession", sequence, |output| {
        output.write_field_begin(&TFieldIdentifier::new("req", TType::Struct, 1))?;
        request.write_to_out_protocol(output)?;
        output.write_field_end()
    })
}

fn message(
    header: Header,
    method: &str,
    sequence: i32,
    arguments: impl FnOnce(&mut dyn TOutputProtocol) -> thrift::Result<()>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut output = TBinaryOutputProtocol::new(&mut bytes, header == Header::Strict);
    output.write_message_begin(&TMessageIdentifier::new(method, TMessageType::Call, sequence)).unwrap();
    output.write_struct_begin(&TStructIdentifier::new("args")).unwrap();
    arguments(&mut output).unwrap();
    output.write_field_stop().unwrap();
    output.write_struct_end().unwrap();
    output.write_message_end().unwrap();
    bytes
}
