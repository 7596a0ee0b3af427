//! Whatever comes over HTTP that no sound client sends costs the connection it came on and nothing else: it is
//! answered with a status and a text, and no byte of it becomes a call.

mod bodies;
mod coordinators;
mod draining;
mod heads;
mod identity;
mod leaving;
mod methods;
mod pipelining;
mod secrets;
mod smuggled;
mod stalling;
mod tickets;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, ReceivedCall};
use hs2router::ids::Service;

use crate::support::fleet::{Door, Fleet, Plan, USERS};
use crate::support::message::{Message, Value, open_session};
use crate::support::talk::PATIENCE;

/// `ann:nna`, as [`USERS`] has it.
const ANN: &str = "Authorization: Basic YW5uOm5uYQ==\r\n";
/// `bob:bbo`.
const BOB: &str = "Authorization: Basic Ym9iOmJibw==\r\n";

/// A request of ann's with these fields and this body. No field is added that says how long the body is.
fn request(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /cliservice HTTP/1.1\r\nHost: x\r\n{ANN}{fields}\r\n");
    [head.as_bytes(), body].concat()
}

/// A call with these fields, as a sound client sends it.
fn call(fields: &str, message: &Message) -> Vec<u8> {
    let body = message.encode();
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}

/// A call with these fields in chunks of so many bytes.
fn chunked_call(fields: &str, message: &Message, size: usize) -> Vec<u8> {
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
    [head.as_bytes(), &chunks(&message.encode(), size), b"0\r\n\r\n"].concat()
}

/// These bytes in chunks of so many, without the last one.
fn chunks(bytes: &[u8], size: usize) -> Vec<u8> {
    let chunk = |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    bytes.chunks(size).flat_map(chunk).collect()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// With its names and values in small letters.
    pub(crate) head: String,
    /// Each Set-Cookie, as it came.
    pub(crate) cookies: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a field; none if it is not there.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn message(&self) -> Message {
        assert_eq!(self.status, 200, "{self:?}");
        Message::read(&mut self.body.as_slice()).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// A client that sends bytes as they are.
pub(crate) struct Raw {
    stream: TcpStream,
    came: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, came: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// As much of these bytes as the other side takes before it hangs up.
    fn pour(&mut self, bytes: &[u8]) {
        let _taken = self.stream.write_all(bytes);
    }

    fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// More of what comes; false at the end.
    fn more(&mut self) -> bool {
        let mut piece = [0; 16 << 10];
        let read = self.stream.read(&mut piece).unwrap();
        self.came.extend_from_slice(&piece[..read]);
        read > 0
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        while self.came.len() < len {
            assert!(self.more(), "it ends after {:?}", String::from_utf8_lossy(&self.came));
        }
        self.came.drain(..len).collect()
    }

    /// So many bytes, or those before the connection's end if there are fewer.
    fn take_what_comes(&mut self, len: usize) -> Vec<u8> {
        let missing = len.saturating_sub(self.came.len());
        let read = std::io::Read::by_ref(&mut self.stream).take(missing as u64).read_to_end(&mut self.came);
        let waits =
            read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!waits, "neither {missing} bytes nor an end came within {PATIENCE:?}");
        self.came.drain(..len.min(self.came.len())).collect()
    }

    /// Up to and with this end.
    fn line(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.came.windows(end.len()).position(|piece| piece == end) {
                return self.take(at + end.len());
            }
            let came = self.came.len();
            self.take(came + 1).into_iter().rev().for_each(|byte| self.came.insert(0, byte));
        }
    }

    /// An answer's head, whose body does not come, as with HEAD.
    fn head(&mut self) -> Answer {
        let said = String::from_utf8(self.line(b"\r\n\r\n")).unwrap();
        let head = said.to_ascii_lowercase();
        let status = head.get(9..12).unwrap_or_default().parse();
        let status = status.unwrap_or_else(|_| panic!("no status in {head}"));
        let fields = said.lines().filter_map(|line| line.split_once(": "));
        let cookies = fields.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let cookies = cookies.map(|(_, value)| value.to_owned()).collect();
        Answer { status, head, cookies, body: Vec::new() }
    }

    /// A whole answer.
    pub(crate) fn hear(&mut self) -> Answer {
        let answer = self.head();
        self.body_of(answer)
    }

    /// An answer whose head has come, with its body.
    fn body_of(&mut self, mut answer: Answer) -> Answer {
        if let Some(length) = answer.field("content-length") {
            answer.body = self.take(length.parse().unwrap());
        } else if answer.field("transfer-encoding") == Some("chunked") {
            loop {
                let line = String::from_utf8(self.line(b"\r\n")).unwrap();
                let size = usize::from_str_radix(line.trim(), 16).unwrap();
                answer.body.extend(self.take(size));
                assert_eq!(self.take(2), b"\r\n");
                if size == 0 {
                    break;
                }
            }
        } else {
            answer.body = self.rest();
        }
        answer
    }

    fn call(&mut self, fields: &str, message: &Message) -> Message {
        self.send(&call(fields, message));
        self.hear().message()
    }

    /// What comes until the end of the connection, which must be in order.
    fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.came)
    }

    /// The answer that ends the connection, and says so.
    pub(crate) fn last(&mut self) -> Answer {
        let answer = self.hear();
        assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
        let rest = self.rest();
        assert!(rest.is_empty(), "{} bytes after {answer:?}", rest.len());
        answer
    }
}

/// A router in front of coordinators that are as careless as Impala.
struct Scene {
    fleet: Fleet,
}

impl Scene {
    /// With these keys of `[router]`.
    fn new(router: &str) -> Self {
        Self {
            fleet: Fleet::with(Plan {
                coordinators: 2,
                users: &USERS,
                router,
                http: true,
                ..Plan::default()
            }),
        }
    }

    fn client(&self) -> Raw {
        Raw::connect(self.fleet.address(Door::Http))
    }

    /// What a client is told that sends these bytes; its connection ends with that.
    fn told(&self, bytes: &[u8]) -> Answer {
        let mut client = self.client();
        client.pour(bytes);
        client.last()
    }

    /// A session of ann's.
    fn session(&self) -> Value {
        self.client().call(ANN, &open_session()).handle(&[0, 3])
    }

    /// The calls that coordinators got over HTTP.
    fn calls(&self) -> Vec<ReceivedCall> {
        let calls = self.fleet.coordinators().flat_map(Coordinator::calls);
        calls.filter(|call| call.service == Service::Hs2Http).collect()
    }

    /// Whether nothing but whole calls with their heads has reached coordinators, and others are served.
    fn stays_sound(&self) {
        let counts: Vec<_> = self.fleet.coordinators().map(Coordinator::http_counts).collect();
        assert!(counts.iter().all(|one| (one.leftovers, one.pipelined) == (0, 0)), "{counts:?}");
        let login = Login::basic("bob", "bbo");
        let mut bob = Hs2Client::connect(self.fleet.address(Door::Http), &login).unwrap();
        let session = bob.open(&[]).unwrap();
        assert_eq!(bob.query(&session, "select user()").unwrap(), [["bob"]]);
    }
}
