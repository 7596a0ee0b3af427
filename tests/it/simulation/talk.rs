//! A client's connection: the generated client, fed from memory. A call's request is what it writes before it
//! wants to read; its result is what it makes of the bytes that came back.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::sasl::{COMPLETE, Deframer, Framing, plain};
use hs2router::idl::beeswax::BeeswaxException;
use hs2router::idl::impala_service::{ImpalaHiveServer2ServiceSyncClient, ImpalaServiceSyncClient};
use hs2router::net::dial::{Destination, dial};
use hs2router::net::stream::Stream as _;
use thrift::protocol::{TBinaryInputProtocol, TBinaryOutputProtocol};
use thrift::{TThriftClient as _, TransportErrorKind};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::coordinator::{BEESWAX_PORT, HS2_PORT};
use super::network::{ROUTER, SimNetwork};
use super::tls::Line;

/// No call may take longer: every trouble of a simulated world is over sooner.
const BOUND: Duration = Duration::from_mins(5);

/// The generated clients.
pub(crate) type Hs2 =
    ImpalaHiveServer2ServiceSyncClient<TBinaryInputProtocol<Input>, TBinaryOutputProtocol<Output>>;
pub(crate) type Beeswax = ImpalaServiceSyncClient<TBinaryInputProtocol<Input>, TBinaryOutputProtocol<Output>>;

/// A generated client.
pub(crate) trait Service {
    /// The router's port for it.
    const PORT: u16;

    /// One that reads and writes memory.
    fn over(input: Input, output: Output) -> Self;

    /// It has made so many calls.
    fn has_called(&mut self, calls: i32);
}

impl Service for Hs2 {
    const PORT: u16 = HS2_PORT;

    fn over(input: Input, output: Output) -> Self {
        Self::new(TBinaryInputProtocol::new(input, true), TBinaryOutputProtocol::new(output, true))
    }

    fn has_called(&mut self, calls: i32) {
        for _ in 0..calls {
            self.increment_sequence_number();
        }
    }
}

impl Service for Beeswax {
    const PORT: u16 = BEESWAX_PORT;

    fn over(input: Input, output: Output) -> Self {
        Self::new(TBinaryInputProtocol::new(input, true), TBinaryOutputProtocol::new(output, true))
    }

    fn has_called(&mut self, calls: i32) {
        for _ in 0..calls {
            self.increment_sequence_number();
        }
    }
}

/// The bytes that came back, and how many of them were read.
#[derive(Clone)]
pub(crate) struct Input(Rc<RefCell<Reply>>);

#[derive(Default)]
struct Reply {
    bytes: Vec<u8>,
    at: usize,
    deframer: Deframer,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Reply { bytes, at, deframer } = &mut *self.0.borrow_mut();
        let mut rest = &bytes[*at..];
        let read = deframer.read(&mut rest, buffer);
        *at = bytes.len() - rest.len();
        read
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
    /// An exception of the protocol, in these words.
    #[error("exception: {0}")]
    Exception(String),
    /// An exception that the method declares, in these words.
    #[error("thrown: {0}")]
    Thrown(String),
    /// Nothing came for too long.
    #[error("nothing came for {BOUND:?}")]
    Hung,
}

/// How a client comes in.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Name and password, where they are wanted.
    pub(crate) login: Option<(&'a str, &'a str)>,
    /// Whether calls are numbered.
    pub(crate) counts: bool,
    /// What it uses for TLS, if it comes with that.
    pub(crate) tls: Option<&'a TlsConnector>,
}

/// A connection to the router.
pub(crate) struct Talk<S> {
    stream: Line,
    network: SimNetwork,
    framing: Framing,
    /// The sequence number before the next call.
    sequence: i32,
    /// Python's clients say 0 for ever; here 1.
    counts: bool,
    /// What has come and was not read.
    came: Vec<u8>,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> Talk<S> {
    /// Connects in the clear, and logs in if there is a name and password.
    pub(crate) async fn begin(
        network: &SimNetwork,
        login: Option<(&str, &str)>,
        counts: bool,
    ) -> Result<Self, NoResult> {
        Self::enter(network, Entry { login, counts, tls: None }).await
    }

    /// Connects, and logs in if there is a name and password.
    pub(crate) async fn enter(network: &SimNetwork, entry: Entry<'_>) -> Result<Self, NoResult> {
        let Entry { login, counts, tls } = entry;
        let destination = Destination { host: ROUTER.into(), port: S::PORT, tls: None };
        let dialed = dial(network, &destination, BOUND).await;
        let stream = dialed.map_err(|error| NoResult::NoConnection(error.to_string()))?;
        let connected = timeout(BOUND, Line::connect(stream, tls)).await.map_err(|_| NoResult::Hung)?;
        let stream = connected.map_err(|error| NoResult::NoConnection(error.to_string()))?;
        let (came, service, network) = (Vec::new(), PhantomData, network.clone());
        let mut talk = Self { stream, network, framing: Framing::None, sequence: 0, counts, came, service };
        if let Some((user, password)) = login {
            let logged_in = talk.log_in(plain(user, password.as_bytes()));
            timeout(BOUND, logged_in).await.map_err(|_| NoResult::Hung)??;
            talk.framing = Framing::Frames;
        }
        Ok(talk)
    }

    async fn log_in(&mut self, said: Vec<u8>) -> Result<(), NoResult> {
        let ended = |error: io::Error| NoResult::Ended { cause: error.to_string(), came: 0 };
        self.stream.say(&said).await.map_err(ended)?;
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).await.map_err(ended)?;
        let [status, length @ ..] = head;
        let mut text = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut text).await.map_err(ended)?;
        if status == COMPLETE {
            Ok(())
        } else {
            Err(NoResult::LoginRefused(String::from_utf8_lossy(&text).into_owned()))
        }
    }

    /// One call.
    pub(crate) async fn call<T>(&mut self, ask: impl Fn(&mut S) -> thrift::Result<T>) -> Result<T, NoResult> {
        self.call_all(&[ask]).await.pop().unwrap_or(Err(NoResult::Hung))
    }

    /// Calls without waiting for the reply of one before the next is sent, and their results in order: as
    /// many as there are up to the first that has none.
    pub(crate) async fn call_all<T>(
        &mut self,
        asks: &[impl Fn(&mut S) -> thrift::Result<T>],
    ) -> Vec<Result<T, NoResult>> {
        let (mut requests, mut numbers) = (Vec::new(), Vec::new());
        for ask in asks {
            self.sequence += i32::from(self.counts);
            numbers.push(self.sequence);
            requests.extend(self.request(ask));
        }
        let begun = clock::now();
        let sent = timeout(BOUND, self.stream.say(&requests)).await;
        let sent = match sent {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_elapsed) => return vec![Err(NoResult::Hung)],
        };
        let mut results = Vec::new();
        for (ask, number) in asks.iter().zip(numbers) {
            let is_last = results.len() + 1 == asks.len();
            let result = timeout(BOUND, self.result(ask, number, is_last)).await;
            let result = result.unwrap_or(Err(NoResult::Hung));
            self.network.note_call(clock::now() - begun);
            let result = match (result, &sent) {
                // A coordinator's last words are read even if it takes no more.
                (Ok(_), Err(cause)) => Err(NoResult::Ended { cause: cause.clone(), came: 1 }),
                (result, _) => result,
            };
            let is_over = matches!(&result, Err(no_result) if no_result.ends_connection());
            results.push(result);
            if is_over {
                break;
            }
        }
        results
    }

    /// What has come, for a client to read.
    fn heard(&self) -> Reply {
        Reply { bytes: self.came.clone(), at: 0, deframer: Deframer::new(self.framing) }
    }

    fn request<T>(&self, ask: impl Fn(&mut S) -> thrift::Result<T>) -> Vec<u8> {
        let (_nothing, request, _) = run(&ask, self.sequence, Reply::default());
        self.framing.wrap(&request)
    }

    /// Sends a request of a call and leaves without its reply.
    pub(crate) async fn ask_and_leave<T>(
        mut self,
        ask: impl Fn(&mut S) -> thrift::Result<T>,
        abruptly: bool,
    ) {
        let request = self.request(ask);
        let _sent = timeout(BOUND, self.stream.say(&request)).await;
        self.leave(abruptly);
    }

    /// Ends the connection.
    pub(crate) fn leave(mut self, abruptly: bool) {
        if abruptly {
            self.stream.socket().reset_on_close();
        } else if self.counts {
            // Python's clients do not.
            self.stream.say_end();
        }
    }

    /// The next reply, to the call of this number.
    async fn result<T>(
        &mut self,
        ask: &impl Fn(&mut S) -> thrift::Result<T>,
        number: i32,
        is_last: bool,
    ) -> Result<T, NoResult> {
        let mut buffer = vec![0; 16_384];
        loop {
            if !self.came.is_empty() {
                let (result, _, reply) = run(ask, number, self.heard());
                if !matches!(&result, Err(thrift::Error::Transport(error)) if error.kind == TransportErrorKind::EndOfFile)
                {
                    if !reply.deframer.at_boundary() || is_last && reply.at < self.came.len() {
                        let (more, all) = (self.came.len() - reply.at, self.came.len());
                        return Err(NoResult::Garbled(format!("{more} bytes after the reply, of {all}")));
                    }
                    self.came.drain(..reply.at);
                    return result.map_err(no_result);
                }
            }
            let ended = |cause: String, came| NoResult::Ended { cause, came };
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(ended("closed".to_owned(), self.came.len())),
                Ok(read) => self.came.extend_from_slice(&buffer[..read]),
                Err(error) => return Err(ended(error.to_string(), self.came.len())),
            }
        }
    }
}

impl NoResult {
    /// Whether the connection is of no use after it.
    pub(crate) fn ends_connection(&self) -> bool {
        !matches!(self, Self::Exception(_) | Self::Thrown(_))
    }
}

fn no_result(error: thrift::Error) -> NoResult {
    match error {
        thrift::Error::Application(error) => exception(&error),
        thrift::Error::User(error) => match error.downcast::<BeeswaxException>() {
            Ok(thrown) => NoResult::Thrown(thrown.message.unwrap_or_default()),
            Err(error) => NoResult::Garbled(error.to_string()),
        },
        error => NoResult::Garbled(error.to_string()),
    }
}

/// Sequence ids and names that do not match are told as such too (`ApplicationErrorKind`), by the client
/// itself.
fn exception(error: &thrift::ApplicationError) -> NoResult {
    match error.kind {
        thrift::ApplicationErrorKind::InternalError
        | thrift::ApplicationErrorKind::UnknownMethod
        | thrift::ApplicationErrorKind::Unknown => NoResult::Exception(error.message.clone()),
        _ => NoResult::Garbled(error.to_string()),
    }
}

/// Has the client make its call with this for a reply; returns what it wrote, too, and the reply as far as it
/// was read.
fn run<S: Service, T>(
    ask: &impl Fn(&mut S) -> thrift::Result<T>,
    number: i32,
    reply: Reply,
) -> (thrift::Result<T>, Vec<u8>, Reply) {
    let (output, input) = (Output::default(), Rc::new(RefCell::new(reply)));
    let mut service = S::over(Input(Rc::clone(&input)), output.clone());
    service.has_called(number);
    let result = ask(&mut service);
    drop(service);
    (result, output.0.take(), Rc::into_inner(input).unwrap().into_inner())
}
