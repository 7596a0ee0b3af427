//! Calls of the router's own: to close a session when its clients are gone for good, to keep it while they are only idle, to
//! cancel an operation when a drain has waited for long enough.

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use crate::ids::Family;
use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::link::lost::LostCause;
use crate::serve::link::read_reply::read_reply;
use crate::serve::message::reply::Reply;
use crate::session::table::Named;
use crate::wire::beeswax;
use crate::wire::facts::Handle;
use crate::wire::hs2::request;
use crate::wire::scan::Scanner;
use crate::wire::verdict::{Verdict, verdict};

/// How long the answer may take: none of the calls does much work. A link whose answer takes longer is closed.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Bytes of a request of ours, at most.
const REQUEST_LIMIT: u64 = 1 << 10;

/// What the router calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnCall {
    /// The session is closed, and its operations are cancelled.
    Close(Handle),
    /// The session is used, as far as its coordinator can tell.
    Touch(Handle),
    /// The operation is cancelled, and stays open.
    Cancel(Named),
}

impl OwnCall {
    /// The request.
    pub(crate) fn message(self) -> BytesMut {
        match self {
            Self::Close(session) => request::close_session(&session, 0),
            Self::Touch(session) => request::ping(&session, 0),
            Self::Cancel(Named::Operation(operation)) => request::cancel_operation(&operation, 0),
            Self::Cancel(Named::Query(query)) => beeswax::request::cancel(query, 0),
        }
    }
}

/// The answer to a request of the router's own.
pub(crate) struct Answer<S: Stream> {
    /// All of it was read.
    pub reply: Reply,
    /// The link, if it is fit for another call.
    pub link: Option<Box<Link<S>>>,
}

impl<S: Stream> Answer<S> {
    /// What the coordinator says of what it was asked for.
    pub(crate) fn verdict(&self, family: Family) -> Verdict {
        verdict(self.reply.method(), self.reply.facts(), family)
    }

    /// Puts the link back, which is shared.
    pub(crate) fn put_back(self) {
        if let Some(link) = self.link {
            link.put_back();
        }
    }
}

/// Makes a call about a session or an operation on a link of its identity; none if it is not answered in time.
pub(crate) async fn call<S: Stream>(link: Box<Link<S>>, call: OwnCall) -> Option<Answer<S>> {
    timeout(ANSWER_TIME, ask(link, &call.message(), ANSWER_TIME)).await.ok()?.ok()
}

/// Sends a message of the router's own on a link, and reads the whole reply. `stall` is for how long the coordinator may stop
/// taking it.
///
/// # Errors
/// The link was lost before the reply had come, or what came is no reply to it.
pub(crate) async fn ask<S: Stream>(
    mut link: Box<Link<S>>,
    message: &[u8],
    stall: Duration,
) -> Result<Answer<S>, LostCause> {
    let mut scanner = Scanner::request(REQUEST_LIMIT);
    // What the router writes is a request; were it none, no reply would be one to it.
    let _step = scanner.push(message);
    let mut reply = Reply::to(scanner.method(), scanner.facts());
    let bytes = link.end.encode_message(message);
    link.write_all(&bytes, stall).await.map_err(|(cause, _)| cause)?;
    let is_clean = read_reply(&mut link, &mut reply, |_, _| Ok(())).await?;
    Ok(Answer { reply, link: is_clean.then_some(link) })
}
