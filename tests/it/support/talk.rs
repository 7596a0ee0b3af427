//! One side of a conversation, on a blocking socket: a client that says whatever a test wants, or a coordinator's end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::thrift::{self, Message, frame};

/// How long anything may take that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What stands around messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing.
    None,
    /// Frames, be it after a SASL handshake or for `TFramedTransport`.
    Frames,
}

/// SASL's statuses (THRIFT's `TSaslTransport.h`).
pub(crate) const START: u8 = 1;
pub(crate) const OK: u8 = 2;
pub(crate) const BAD: u8 = 3;
pub(crate) const ERROR: u8 = 4;
pub(crate) const COMPLETE: u8 = 5;

/// A connection and what was read of its current frame.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) stream: TcpStream,
    framing: Framing,
    /// Rest of the current frame.
    left: usize,
}

impl Talk {
    /// Around a connection whose framing is known.
    pub(crate) fn over(stream: TcpStream, framing: Framing) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, framing, left: 0 }
    }

    /// A client without SASL.
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).unwrap(), Framing::None)
    }

    /// A `TFramedTransport` client.
    pub(crate) fn connect_framed(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).unwrap(), Framing::Frames)
    }

    /// A SASL PLAIN client; the answer to its credentials as status and text.
    pub(crate) fn log_in(to: SocketAddr, user: &str, password: &str) -> (Self, u8, String) {
        let mut talk = Self::connect(to);
        talk.send(&sasl(START, b"PLAIN"));
        talk.send(&sasl(OK, format!("\0{user}\0{password}").as_bytes()));
        let (status, text) = talk.sasl_message().unwrap();
        talk.framing = Framing::Frames;
        (talk, status, String::from_utf8(text).unwrap())
    }

    /// A SASL PLAIN client that was let in.
    pub(crate) fn connect_sasl(to: SocketAddr) -> Self {
        let (talk, status, text) = Self::log_in(to, "u1", "p1");
        assert_eq!(status, COMPLETE, "{text}");
        talk
    }

    /// From now on messages are framed.
    pub(crate) fn frames(&mut self) {
        self.framing = Framing::Frames;
    }

    /// Whether they are.
    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// Its own address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Writes bytes as they are; an error is for whoever reads next to notice.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _noticed = self.stream.write_all(bytes);
    }

    /// Writes a message.
    pub(crate) fn say(&mut self, message: &Message) {
        let bytes = self.wrap(&message.encode());
        self.send(&bytes);
    }

    /// Bytes of a message as they go over the wire.
    pub(crate) fn wrap(&self, message: &[u8]) -> Vec<u8> {
        if self.framing == Framing::None { message.to_vec() } else { frame(message) }
    }

    /// Reads a message.
    pub(crate) fn hear(&mut self) -> io::Result<Message> {
        Message::read(self)
    }

    /// Writes a call and reads its reply.
    pub(crate) fn call(&mut self, message: &Message) -> Message {
        self.say(message);
        let reply = self.hear().unwrap_or_else(|error| panic!("no reply to {}: {error}", message.name));
        assert_eq!((&reply.name, reply.seqid), (&message.name, message.seqid));
        reply
    }

    /// Opens a session; its handle.
    pub(crate) fn open(&mut self) -> thrift::Value {
        let reply = self.call(&thrift::open_session());
        assert_eq!(reply.status(), Some(0), "{reply:?}");
        reply.handle(&[0, 3])
    }

    /// Reads a SASL negotiation message: its status and its payload.
    pub(crate) fn sasl_message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header)?;
        let [status, length @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut payload)?;
        Ok((status, payload))
    }

    /// What comes until the other side closes, be it by a reset; panics if it does not.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        match self.stream.read_to_end(&mut all) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("the connection stays open"),
            Ok(_) | Err(_) => all,
        }
    }

    /// Whether the connection ends, and by a FIN.
    pub(crate) fn ends_orderly(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    /// Sends a FIN and goes on reading.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl Read for Talk {
    /// Payload, whatever frames it came in.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::None {
            return self.stream.read(into);
        }
        if self.left == 0 {
            let mut header = [0; 4];
            self.stream.read_exact(&mut header)?;
            self.left = u32::from_be_bytes(header) as usize;
            assert_ne!(self.left, 0, "a frame of zero length");
        }
        let wanted = into.len().min(self.left);
        let got = self.stream.read(&mut into[..wanted])?;
        self.left -= got;
        Ok(got)
    }
}

/// A SASL negotiation message.
pub(crate) fn sasl(status: u8, payload: &[u8]) -> Vec<u8> {
    [&[status], thrift::length(payload.len()).as_slice(), payload].concat()
}
