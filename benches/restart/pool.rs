//! Pooled clients, as a JDBC pool has them: a session is kept, a statement runs in it now and then, and after
//! an error the session is given up and another one opened.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hs2router::clock;
use hs2router::fake::client::{CallError, Hs2Client, Login, check};
use hs2router::idl::t_c_l_i_service::{TCloseOperationReq, TSessionHandle, TTCLIServiceSyncClient as _};
use parking_lot::Mutex;

/// Between two statements of a client, and before it opens a session once more.
const PAUSE: Duration = Duration::from_millis(300);
/// Whose turn it is to ask where it is, and whose to run a statement for a while.
const WHERE: &str = "select coordinator()";
const SHORT: &str = "select sleep(40)";

/// How a client sees that something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// "Server is being shut down": a coordinator that goes takes nothing new.
    ShuttingDown,
    /// A status with an SQL state of class 08: a connection that failed, said in the protocol.
    Typed,
    /// A handle that the coordinator does not know.
    Unknown,
    /// The connection ended, or could not be made.
    Lost,
    /// Any other status, or a wrong answer.
    Other,
}

/// One error that a client saw.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// When the statement, or the open, began.
    pub(crate) begun: Instant,
    pub(crate) seen: Instant,
    /// Where the session was when it last told; empty for an open.
    pub(crate) home: String,
    pub(crate) message: String,
}

impl Failure {
    fn new(error: &anyhow::Error, begun: Instant, home: &str) -> Self {
        let kind = match error.downcast_ref::<CallError>() {
            Some(CallError::Refused { message, sql_state }) => {
                let state = sql_state.as_deref().unwrap_or_default();
                match message {
                    message if message.starts_with("Server is being shut down:") => Kind::ShuttingDown,
                    _ if state.starts_with("08") => Kind::Typed,
                    message
                        if message.starts_with("Invalid session id")
                            || message.contains("unknown query handle") =>
                    {
                        Kind::Unknown
                    }
                    _ => Kind::Other,
                }
            }
            Some(CallError::Thrift(_)) => Kind::Lost,
            _ => Kind::Other,
        };
        Self { kind, begun, seen: clock::now(), home: home.to_owned(), message: format!("{error:#}") }
    }
}

/// What clients did since the last look.
#[derive(Debug, Default)]
pub(crate) struct Log {
    statements: AtomicU64,
    failures: Mutex<Vec<Failure>>,
}

impl Log {
    /// Statements that succeeded and errors since the last call.
    pub(crate) fn take(&self) -> (u64, Vec<Failure>) {
        (self.statements.swap(0, Ordering::Relaxed), std::mem::take(&mut *self.failures.lock()))
    }
}

/// A client of a pool.
pub(crate) struct Pooled {
    at: SocketAddr,
    session: Option<(Hs2Client, TSessionHandle)>,
    /// The coordinator that it last told of.
    home: String,
}

impl Pooled {
    pub(crate) fn new(at: SocketAddr) -> Self {
        Self { at, session: None, home: String::new() }
    }

    /// Opens a session if there is none; an error is logged.
    pub(crate) fn open(&mut self, log: &Log) {
        let begun = clock::now();
        let opened = || -> anyhow::Result<_> {
            let mut client = Hs2Client::connect(self.at, &Login::NoSasl)?;
            let session = client.open(&[("mem_limit", "1g")])?;
            Ok((client, session))
        };
        if self.session.is_none() {
            match opened() {
                Ok(session) => self.session = Some(session),
                Err(error) => log.failures.lock().push(Failure::new(&error, begun, "")),
            }
        }
    }

    /// Runs a statement in its session, which an error ends.
    pub(crate) fn run(&mut self, statement: &str, log: &Log) {
        let Some((client, session)) = &mut self.session else { return };
        let begun = clock::now();
        match statement_of(client, session, statement) {
            Ok(answer) => {
                log.statements.fetch_add(1, Ordering::Relaxed);
                if statement == WHERE {
                    self.home = answer;
                }
            }
            Err(error) => {
                log.failures.lock().push(Failure::new(&error, begun, &self.home));
                (self.session, self.home) = (None, String::new());
            }
        }
    }

    /// Asks its session where it is.
    pub(crate) fn ask(&mut self, log: &Log) {
        self.run(WHERE, log);
    }

    /// Runs statements until it is told that all is over; `home` says where it is.
    pub(crate) fn live(mut self, log: &Log, home: &Mutex<String>, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            self.open(log);
            self.ask(log);
            home.lock().clone_from(&self.home);
            thread::sleep(PAUSE);
            self.run(SHORT, log);
            thread::sleep(PAUSE);
        }
        if let Some((mut client, session)) = self.session.take() {
            // Nothing is proved by it any more.
            drop(client.close_session(&session));
        }
    }
}

/// `ExecuteStatement`, `FetchResults` until there are no more, `CloseOperation`: the first value of the first
/// row.
fn statement_of(client: &mut Hs2Client, session: &TSessionHandle, statement: &str) -> anyhow::Result<String> {
    let operation = client.execute(session, statement)?;
    let mut first = None;
    loop {
        let (rows, more) = client.fetch(&operation, 1024)?;
        let rows = rows.iter().flat_map(hs2router::fake::client::texts);
        first = first.or_else(|| rows.into_iter().flatten().next());
        if !more {
            break;
        }
    }
    let closed = client.service().close_operation(TCloseOperationReq::new(operation));
    check(&closed.map_err(CallError::from)?.status)?;
    first.context("no row")
}
