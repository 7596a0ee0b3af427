//! The session that a probe keeps on a port that opens sessions for anybody.

use std::io;
use std::time::Duration;

use bytes::BytesMut;

use crate::ids::Family;
use crate::net::flow::{self, WriteError};
use crate::net::stream::{Seen, Stream};
use crate::net::tls::client::TlsFailure;
use crate::net::tls::io::Failure;
use crate::wire::facts::{Facts, Handle};
use crate::wire::hs2;
use crate::wire::method::Method;
use crate::wire::scan::{ScanError, Scanner};
use crate::wire::thrift::MessageType;
use crate::wire::verdict::{Verdict, succeeded, verdict};
use crate::wire::write::Writer;

/// The largest reply that is accepted, in bytes; Impala's reply to `OpenSession` has about 10 KiB.
const LARGEST_REPLY: u64 = 1 << 20;

/// `HIVE_CLI_SERVICE_PROTOCOL_V6`, the one that Impala speaks.
const PROTOCOL_VERSION: i32 = 5;

/// `CLI_SERVER_NAME`: answered from memory by every server.
const SERVER_NAME: i32 = 13;

/// Why the session that is kept for probes got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer stopped reading.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The answer is not a reply, or is too large for the question.
    #[error("the answer is not a reply: {0}")]
    NoReply(#[from] ScanError),
    /// The reply is for another call.
    #[error("it answered another call")]
    OtherCall,
    /// The reply says that no session was opened.
    #[error("the session was refused")]
    Refused,
}

impl SessionError {
    /// Why the coordinator does not accept the router, if that is the reason.
    pub(super) fn unwelcome(&self) -> Option<TlsFailure> {
        match self {
            Self::Io(error) | Self::Write(WriteError::Failed(error)) => Failure::unwelcome(error),
            _ => None,
        }
    }
}

/// A session, with the connection that it was opened on.
#[derive(Debug)]
pub(super) struct Kept<S> {
    stream: S,
    session: Handle,
    seqid: i32,
    /// Whether nothing came after the last answer, which would be taken for the next answer.
    clean: bool,
}

/// The answer in the kept session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Works,
    ShuttingDown,
    NoSession,
}

impl<S: Stream> Kept<S> {
    pub(super) async fn open(mut stream: S) -> Result<Self, SessionError> {
        let method = hs2::OPEN_SESSION;
        let (reply, clean) = call(&mut stream, method, 0, |request| {
            request.i32(1, PROTOCOL_VERSION);
            request.string(2, b"hs2router");
        })
        .await?;
        let session = reply.handle().filter(|_| succeeded(method, &reply));
        let session = session.ok_or(SessionError::Refused)?;
        Ok(Self { stream, session, seqid: 0, clean })
    }

    /// The session, if another call may be made on its connection.
    pub(super) fn if_fit(mut self) -> Option<Self> {
        (self.clean && self.stream.look() == Seen::Nothing).then_some(self)
    }

    pub(super) async fn get_info(&mut self) -> Result<Answer, SessionError> {
        let method = hs2::GET_INFO;
        self.seqid = self.seqid.wrapping_add(1);
        let session = self.session;
        let (reply, clean) = call(&mut self.stream, method, self.seqid, |request| {
            write_session(request, session);
            request.i32(2, SERVER_NAME);
        })
        .await?;
        self.clean = clean;
        // Only Impala says that it is shutting down, and no other server uses its words.
        Ok(match verdict(method, &reply, Family::Impala) {
            Verdict::Success => Answer::Works,
            Verdict::ShuttingDown => Answer::ShuttingDown,
            _ => Answer::NoSession,
        })
    }

    pub(super) async fn close(mut self) -> Result<(), SessionError> {
        let (session, seqid) = (self.session, self.seqid.wrapping_add(1));
        let method = hs2::CLOSE_SESSION;
        call(&mut self.stream, method, seqid, |request| write_session(request, session)).await.map(drop)
    }
}

fn write_session(request: &mut Writer, session: Handle) {
    request.structure(1, |handle| {
        handle.structure(1, |identifier| {
            identifier.string(1, &session.guid);
            identifier.string(2, &session.secret);
        });
    });
}

/// Makes one unframed call, whose only argument is a struct that `fields` writes. Returns its reply, and
/// whether nothing came after it.
async fn call<S: Stream>(
    stream: &mut S,
    method: &'static Method,
    seqid: i32,
    fields: impl FnOnce(&mut Writer),
) -> Result<(Facts, bool), SessionError> {
    let request = Writer::message(MessageType::Call, method.name.as_bytes(), seqid, |arguments| {
        arguments.structure(1, fields);
    });
    send(stream, &request).await?;
    let mut scanner = Box::new(Scanner::reply(method, LARGEST_REPLY));
    loop {
        let chunk = flow::read(stream).await?;
        if chunk.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let step = scanner.push(&chunk)?;
        if step.done {
            let facts = scanner.facts();
            if facts.name.as_bytes() != method.name.as_bytes() || facts.seqid != seqid {
                return Err(SessionError::OtherCall);
            }
            return Ok((facts.clone(), step.used == chunk.len()));
        }
    }
}

/// The caller's deadline bounds the whole exchange.
pub(super) async fn send<S: Stream>(stream: &mut S, request: &BytesMut) -> Result<(), SessionError> {
    let whole = flow::write_all(stream, request, Duration::from_mins(1)).await;
    whole.map_err(|(error, _)| error.into())
}
