//! One side of a conversation, on a blocking socket: a client that says whatever a test wants, or a
//! coordinator's end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use hs2router::fake::client::HttpLogin;
use hs2router::fake::client::http::{self, Jar, Replies};
use hs2router::fake::sasl::{self, BAD, COMPLETE, Deframer, ERROR, Framing, OK, START, negotiation};

use super::message::{self, Message, Value};

/// How long anything may take that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection, and what stands around its messages.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) stream: TcpStream,
    deframer: Deframer,
    /// Over HTTP.
    http: Option<(HttpLogin, Replies)>,
}

impl Talk {
    /// Around a connection whose framing is known.
    pub(crate) fn over(stream: TcpStream, framing: Framing) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, deframer: Deframer::new(framing), http: None }
    }

    /// A client that sends each message in a request over HTTP, and keeps no cookies.
    #[allow(dead_code, reason = "the conformance suite uses it")]
    pub(crate) fn connect_http(to: SocketAddr, login: HttpLogin) -> Self {
        Self { http: Some((login, Replies::new(None))), ..Self::connect(to) }
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
        talk.send(&negotiation(START, b"PLAIN"));
        talk.send(&negotiation(OK, format!("\0{user}\0{password}").as_bytes()));
        let (status, text) = talk.sasl_message().unwrap();
        talk.frames();
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
        self.deframer = Deframer::new(Framing::Frames);
    }

    /// Whether they are.
    pub(crate) fn framing(&self) -> Framing {
        self.deframer.framing()
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
        match &self.http {
            Some((login, _)) => http::request(login, &Jar::default(), message),
            None => self.framing().wrap(message),
        }
    }

    /// Reads the head of the next answer over HTTP, in small letters. What the last answer has behind its
    /// message is skipped.
    #[allow(dead_code, reason = "the conformance suite uses it")]
    pub(crate) fn hear_head(&mut self) -> String {
        let mut head = String::new();
        while !(head.starts_with("http/") && head.ends_with("\r\n\r\n")) {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            head.push(char::from(byte[0]).to_ascii_lowercase());
            if head.ends_with("\r\n") && !head.starts_with("http/") {
                head.clear();
            }
        }
        if let Some((_, replies)) = &mut self.http {
            *replies = Replies::new(None);
        }
        head
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
    pub(crate) fn open(&mut self) -> Value {
        let reply = self.call(&message::open_session());
        assert_eq!(reply.status(), Some(0), "{reply:?}");
        reply.handle(&[0, 3])
    }

    /// Reads a SASL negotiation message: its status and its payload.
    pub(crate) fn sasl_message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        sasl::read_negotiation(&mut self.stream)
    }

    /// A coordinator's side of a SASL handshake up to the response to PLAIN; none, if that is not what the
    /// client wants.
    pub(crate) fn response(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.sasl_message()?.1 != b"PLAIN" {
            self.send(&negotiation(ERROR, b"Unsupported mechanism type"));
            return Ok(None);
        }
        self.sasl_message().map(|(_, response)| Some(response))
    }

    /// The rest of it: lets the client in, or not, and returns which.
    pub(crate) fn judge(&mut self, is_in: bool) -> bool {
        let words: &[u8] = if is_in { b"" } else { b"no such user, or another password" };
        self.send(&negotiation(if is_in { COMPLETE } else { BAD }, words));
        self.frames();
        is_in
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
    /// Payload, whatever it came in.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some((_, replies)) = &mut self.http {
            return replies.read(&mut self.stream, into);
        }
        self.deframer.read(&mut self.stream, into)
    }
}
