//! A client's connection: the generated client, fed from memory. A call's request is what it writes before it wants to read;
//! its result is what it makes of the bytes that came back.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use hs2router::idl::impala_service::ImpalaHiveServer2ServiceSyncClient;
use hs2router::net::stream::Network as _;
use thrift::protocol::{TBinaryInputProtocol, TBinaryOutputProtocol};
use thrift::{TThriftClient as _, TransportErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::network::{ROUTER, SimNetwork, SimStream};

/// The port that the router listens on.
pub(crate) const LISTENER_PORT: u16 = 21050;
/// No call may take longer: every trouble of a simulated world is over much sooner.
const BOUND: Duration = Duration::from_mins(20);

/// The generated client.
pub(crate) type Service =
    ImpalaHiveServer2ServiceSyncClient<TBinaryInputProtocol<Input>, TBinaryOutputProtocol<Output>>;

/// The bytes that came back, and how many of them were read.
pub(crate) struct Input {
    bytes: Rc<Vec<u8>>,
    at: Rc<Cell<usize>>,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at.get();
        let mut rest = &self.bytes[at..];
        let read = Read::read(&mut rest, buffer)?;
        self.at.set(at + read);
        Ok(read)
    }
}

/// What was written.
#[derive(Clone, Default)]
pub(crate) struct Output(Rc<RefCell<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoResult {
    /// The dial failed.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// The login was refused, in these words.
    #[error("login refused: {0}")]
    LoginRefused(String),
    /// The connection ended.
    #[error("the connection ended ({cause}) after {came} bytes of the reply")]
    Ended {
        /// How.
        cause: String,
        /// Bytes of the reply that had come.
        came: usize,
    },
    /// What came is no reply to the call.
    #[error("no reply to the call: {0}")]
    Garbled(String),
    /// An exception of the protocol.
    #[error("exception: {0}")]
    Exception(String),
    /// Nothing came for too long.
    #[error("nothing came for {BOUND:?}")]
    Hung,
}

/// A connection to the router.
pub(crate) struct Talk {
    stream: SimStream,
    /// Whether bytes come in SASL frames.
    framed: bool,
    /// The sequence number before the next call.
    sequence: i32,
    /// Python's clients say 0 for ever; here 1.
    counts: bool,
}

impl Talk {
    /// Connects, and logs in if there is a name and password.
    pub(crate) async fn begin(
        network: &SimNetwork,
        login: Option<(&str, &str)>,
        counts: bool,
    ) -> Result<Self, NoResult> {
        let dialed = network.dial(ROUTER, LISTENER_PORT, BOUND).await;
        let stream = dialed.map_err(|error| NoResult::NoConnection(error.to_string()))?;
        let mut talk = Self { stream, framed: false, sequence: 0, counts };
        if let Some((user, password)) = login {
            let opening = negotiation(1, b"PLAIN");
            let response = negotiation(2, format!("\0{user}\0{password}").as_bytes());
            let logged_in = talk.log_in([opening, response].concat());
            timeout(BOUND, logged_in).await.map_err(|_| NoResult::Hung)??;
            talk.framed = true;
        }
        Ok(talk)
    }

    async fn log_in(&mut self, said: Vec<u8>) -> Result<(), NoResult> {
        let ended = |error: io::Error| NoResult::Ended { cause: error.to_string(), came: 0 };
        self.stream.write_all(&said).await.map_err(ended)?;
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).await.map_err(ended)?;
        let [status, length @ ..] = head;
        let mut text = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut text).await.map_err(ended)?;
        if status == 5 {
            Ok(())
        } else {
            Err(NoResult::LoginRefused(String::from_utf8_lossy(&text).into_owned()))
        }
    }

    /// One call.
    pub(crate) async fn call<T>(
        &mut self,
        ask: impl Fn(&mut Service) -> thrift::Result<T>,
    ) -> Result<T, NoResult> {
        if self.counts {
            self.sequence += 1;
        }
        let (_nothing, request, _) = run(&ask, self.sequence, Vec::new());
        let request =
            if self.framed { [length(request.len()).as_slice(), &request].concat() } else { request };
        timeout(BOUND, self.exchange(&ask, &request)).await.unwrap_or(Err(NoResult::Hung))
    }

    /// Sends a request of a call and leaves without its reply.
    pub(crate) async fn ask_and_leave<T>(
        mut self,
        ask: impl Fn(&mut Service) -> thrift::Result<T>,
        abruptly: bool,
    ) {
        let (_nothing, request, _) = run(&ask, self.sequence, Vec::new());
        let request =
            if self.framed { [length(request.len()).as_slice(), &request].concat() } else { request };
        let _sent = timeout(BOUND, self.stream.write_all(&request)).await;
        self.leave(abruptly);
    }

    /// Ends the connection.
    pub(crate) fn leave(self, abruptly: bool) {
        if abruptly {
            hs2router::net::stream::Stream::reset_on_close(&self.stream);
        }
    }

    async fn exchange<T>(
        &mut self,
        ask: &impl Fn(&mut Service) -> thrift::Result<T>,
        request: &[u8],
    ) -> Result<T, NoResult> {
        let ended = |cause: String, came| NoResult::Ended { cause, came };
        let sent = self.stream.write_all(request).await;
        let (mut came, mut buffer) = (Vec::new(), vec![0; 16_384]);
        loop {
            // A coordinator's last words are read even if it takes no more.
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(ended("closed".to_owned(), came.len())),
                Ok(read) => came.extend_from_slice(&buffer[..read]),
                Err(error) => return Err(ended(error.to_string(), came.len())),
            }
            let (bytes, rest) = if self.framed { unframed(&came) } else { (came.clone(), 0) };
            let whole = bytes.len();
            let (result, _, used) = run(ask, self.sequence, bytes);
            match result {
                Err(thrift::Error::Transport(error)) if error.kind == TransportErrorKind::EndOfFile => {}
                _ if used < whole || rest > 0 => {
                    return Err(NoResult::Garbled(format!("{} bytes after the reply", whole - used + rest)));
                }
                Ok(result) => {
                    return match sent {
                        Ok(()) => Ok(result),
                        Err(error) => Err(ended(error.to_string(), came.len())),
                    };
                }
                Err(thrift::Error::Application(error)) => return Err(exception(&error)),
                Err(error) => return Err(NoResult::Garbled(error.to_string())),
            }
        }
    }
}

/// Sequence ids and names that do not match are told as such too (`ApplicationErrorKind`), by the client itself.
fn exception(error: &thrift::ApplicationError) -> NoResult {
    match error.kind {
        thrift::ApplicationErrorKind::InternalError | thrift::ApplicationErrorKind::UnknownMethod => {
            NoResult::Exception(error.message.clone())
        }
        _ => NoResult::Garbled(error.to_string()),
    }
}

/// Has the client make its call with these bytes for a reply; returns what it wrote, too, and how much it read.
fn run<T>(
    ask: &impl Fn(&mut Service) -> thrift::Result<T>,
    sequence: i32,
    reply: Vec<u8>,
) -> (thrift::Result<T>, Vec<u8>, usize) {
    let (output, at) = (Output::default(), Rc::new(Cell::new(0)));
    let input = Input { bytes: Rc::new(reply), at: Rc::clone(&at) };
    let mut service = Service::new(
        TBinaryInputProtocol::new(input, true),
        TBinaryOutputProtocol::new(output.clone(), true),
    );
    for _ in 0..sequence {
        service.increment_sequence_number();
    }
    let result = ask(&mut service);
    drop(service);
    (result, output.0.take(), at.get())
}

/// What whole frames hold, and how many bytes are left.
fn unframed(mut bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut inside = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap();
        let Some((frame, rest)) = rest.split_at_checked(length) else { break };
        inside.extend_from_slice(frame);
        bytes = rest;
    }
    (inside, bytes.len())
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap().to_be_bytes()
}

fn negotiation(status: u8, payload: &[u8]) -> Vec<u8> {
    [[status].as_slice(), &length(payload.len()), payload].concat()
}
