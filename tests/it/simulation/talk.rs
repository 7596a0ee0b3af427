//! A client's connection: the generated client, fed from memory. A call's request is what it writes before it
//! wants to read; its result is what it makes of the bytes that came back.

mod service;

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::sasl::{COMPLETE, Deframer, Framing, plain};
use hs2router::idl::beeswax::BeeswaxException;
use hs2router::net::dial::{Destination, dial};
use hs2router::net::stream::Stream as _;
use thrift::TransportErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub(crate) use self::service::{Beeswax, Hs2, Service};
use self::service::{Reply, run};
use super::coordinator::HTTP_PORT;
use super::http::{self, Answer, Keeping};
use super::network::{ROUTER, SimNetwork};
use super::tls::Line;

/// No call may take longer: every trouble of a simulated world is over sooner.
const BOUND: Duration = Duration::from_mins(5);

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
    /// An answer over HTTP that holds no reply.
    #[error("status {status}: {text}")]
    Status {
        status: u16,
        /// Its body.
        text: String,
    },
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
    /// How it uses its connections, if it comes over HTTP.
    pub(crate) http: Option<Keeping>,
}

/// What a client over HTTP needs to come again.
struct OverHttp {
    keeping: Keeping,
    login: Option<(String, String)>,
    tls: Option<TlsConnector>,
    /// Whether its connection is of no more use.
    is_over: bool,
}

/// A connection to the router.
pub(crate) struct Talk<S> {
    stream: Line,
    network: SimNetwork,
    framing: Framing,
    http: Option<OverHttp>,
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
        Self::enter(network, Entry { login, counts, tls: None, http: None }).await
    }

    /// Connects, and logs in if there is a name and password.
    pub(crate) async fn enter(network: &SimNetwork, entry: Entry<'_>) -> Result<Self, NoResult> {
        let Entry { login, counts, tls, http } = entry;
        let stream = connect(network, if http.is_some() { HTTP_PORT } else { S::PORT }, tls).await?;
        let http = http.map(|keeping| {
            let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
            OverHttp { keeping, login, tls: tls.cloned(), is_over: false }
        });
        let (came, service, network) = (Vec::new(), PhantomData, network.clone());
        let framing = Framing::None;
        let mut talk = Self { stream, network, framing, http, sequence: 0, counts, came, service };
        if let Some((user, password)) = login.filter(|_| talk.http.is_none()) {
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
        // HTTP/1.0 takes one call a connection.
        let asks = if self.is_old() { &asks[..asks.len().min(1)] } else { asks };
        let (mut requests, mut numbers) = (Vec::new(), Vec::new());
        for ask in asks {
            self.sequence += i32::from(self.counts);
            numbers.push(self.sequence);
            requests.extend(self.request(ask));
        }
        if let Err(no_connection) = self.come_again().await {
            return vec![Err(no_connection)];
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
            let is_over = matches!(&result, Err(no_result) if no_result.ends_connection())
                || self.http.as_ref().is_some_and(|http| http.is_over);
            results.push(result);
            if is_over {
                break;
            }
        }
        if !self.is_kept() {
            self.stream.say_end();
            let _shut = self.stream.shutdown().await;
            self.end();
        }
        results
    }

    /// Whether one connection serves for all calls.
    pub(crate) fn is_kept(&self) -> bool {
        self.http.as_ref().is_none_or(|http| http.keeping == Keeping::Kept)
    }

    fn is_old(&self) -> bool {
        self.http.as_ref().is_some_and(|http| http.keeping == Keeping::Old)
    }

    /// The connection is of no more use over HTTP.
    fn end(&mut self) {
        if let Some(http) = &mut self.http {
            http.is_over = true;
        }
    }

    /// Connects again, if the last connection over HTTP has ended.
    async fn come_again(&mut self) -> Result<(), NoResult> {
        let Some(http) = self.http.as_mut().filter(|http| http.is_over) else { return Ok(()) };
        self.stream = connect(&self.network, HTTP_PORT, http.tls.as_ref()).await?;
        http.is_over = false;
        self.came.clear();
        Ok(())
    }

    fn request<T>(&self, ask: impl Fn(&mut S) -> thrift::Result<T>) -> Vec<u8> {
        let (_nothing, request, _) = run(&ask, self.sequence, Reply::default());
        let Some(http) = &self.http else { return self.framing.wrap(&request) };
        let login = http.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        http::request(login, http.keeping, &request)
    }

    /// Sends a request of a call and leaves without its reply.
    pub(crate) async fn ask_and_leave<T>(
        mut self,
        ask: impl Fn(&mut S) -> thrift::Result<T>,
        abruptly: bool,
    ) {
        if self.come_again().await.is_err() {
            return;
        }
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
        let (mut buffer, mut has_ended) = (vec![0; 16_384], false);
        loop {
            let taken = match &self.http {
                _ if self.came.is_empty() => None,
                None => self.take(ask, number, is_last),
                Some(_) => self.take_answer(ask, number, has_ended),
            };
            if let Some(result) = taken {
                return result;
            }
            let ended = |cause: String, came| NoResult::Ended { cause, came };
            match self.stream.read(&mut buffer).await {
                Ok(0) if has_ended || self.http.is_none() || self.came.is_empty() => {
                    return Err(ended("closed".to_owned(), self.came.len()));
                }
                Ok(0) => has_ended = true,
                Ok(read) => self.came.extend_from_slice(&buffer[..read]),
                Err(error) => return Err(ended(error.to_string(), self.came.len())),
            }
        }
    }

    /// Takes the next reply, if all of it has come.
    fn take<T>(
        &mut self,
        ask: &impl Fn(&mut S) -> thrift::Result<T>,
        number: i32,
        is_last: bool,
    ) -> Option<Result<T, NoResult>> {
        let heard = Reply { bytes: self.came.clone(), at: 0, deframer: Deframer::new(self.framing) };
        let (result, _, reply) = run(ask, number, heard);
        if is_cut(&result) {
            return None;
        }
        if !reply.deframer.at_boundary() || is_last && reply.at < self.came.len() {
            let (more, all) = (self.came.len() - reply.at, self.came.len());
            return Some(Err(NoResult::Garbled(format!("{more} bytes after the reply, of {all}"))));
        }
        self.came.drain(..reply.at);
        Some(result.map_err(no_result))
    }

    /// Takes the next answer over HTTP, if all of it has come. Whatever has an orderly end must be whole.
    fn take_answer<T>(
        &mut self,
        ask: &impl Fn(&mut S) -> thrift::Result<T>,
        number: i32,
        has_ended: bool,
    ) -> Option<Result<T, NoResult>> {
        let Answer { head, body, used } = Answer::of(&self.came, has_ended)?;
        self.came.drain(..used);
        if head.is_last {
            self.end();
        }
        if head.status != 200 {
            let (status, text) = (head.status, String::from_utf8_lossy(&body).into_owned());
            return Some(Err(NoResult::Status { status, text }));
        }
        let all = body.len();
        let (result, _, reply) = run(ask, number, Reply { bytes: body, ..Reply::default() });
        if is_cut(&result) || reply.at < all {
            let at = reply.at;
            return Some(Err(NoResult::Garbled(format!(
                "{at} bytes of the reply in a body of {all}: {head:?}"
            ))));
        }
        Some(result.map_err(no_result))
    }
}

/// Whether more of the reply is to come.
fn is_cut<T>(result: &thrift::Result<T>) -> bool {
    matches!(result, Err(thrift::Error::Transport(error)) if error.kind == TransportErrorKind::EndOfFile)
}

/// Connects to a port of the router.
async fn connect(network: &SimNetwork, port: u16, tls: Option<&TlsConnector>) -> Result<Line, NoResult> {
    let destination = Destination { host: ROUTER.into(), port, tls: None };
    let dialed = dial(network, &destination, BOUND).await;
    let stream = dialed.map_err(|error| NoResult::NoConnection(error.to_string()))?;
    let connected = timeout(BOUND, Line::connect(stream, tls)).await.map_err(|_| NoResult::Hung)?;
    connected.map_err(|error| NoResult::NoConnection(error.to_string()))
}

impl NoResult {
    /// Whether the connection is of no use after it.
    pub(crate) fn ends_connection(&self) -> bool {
        !matches!(self, Self::Exception(_) | Self::Thrown(_) | Self::Status { .. })
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
