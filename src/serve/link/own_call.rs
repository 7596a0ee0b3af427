//! Calls of the router's own: to close a session when its clients are gone for good, to keep it while they are only idle, to
//! cancel an operation when a drain has waited for long enough.

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use crate::ids::{Family, Identity};
use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::message::framing::{Framing, framed};
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
pub(in crate::serve) enum OwnCall {
    /// The session is closed, and its operations are cancelled.
    Close(Handle),
    /// The session is used, as far as its coordinator can tell.
    Touch(Handle),
    /// The operation is cancelled, and stays open.
    Cancel(Named),
}

impl OwnCall {
    fn request(self) -> BytesMut {
        match self {
            Self::Close(session) => request::close_session(&session, 0),
            Self::Touch(session) => request::ping(&session, 0),
            Self::Cancel(Named::Operation(operation)) => request::cancel_operation(&operation, 0),
            Self::Cancel(Named::Query(query)) => beeswax::request::cancel(query, 0),
        }
    }
}

/// What stands around the messages on the links of an identity; none for what is not read.
pub(in crate::serve) fn framing(identity: &Identity) -> Option<Framing> {
    match identity {
        Identity::Anonymous { framed: false } => Some(Framing::None),
        Identity::Anonymous { framed: true } => Some(Framing::Framed),
        Identity::Plain(_) => Some(Framing::Sasl),
        Identity::Unread => None,
    }
}

/// Makes a call about a session on a shared link of its identity, which is put back if it is clean then. What the coordinator
/// says of it; `None` if it gave no answer.
pub(in crate::serve) async fn call<S: Stream>(
    link: Box<Link<S>>,
    call: OwnCall,
    framing: Framing,
    family: Family,
) -> Option<Verdict> {
    let (link, verdict) = call_on(link, call, framing, family).await?;
    if let Some(link) = link {
        link.put_back();
    }
    Some(verdict)
}

/// As [`call`]; the link comes back if it is fit for another call.
pub(in crate::serve) async fn call_on<S: Stream>(
    link: Box<Link<S>>,
    call: OwnCall,
    framing: Framing,
    family: Family,
) -> Option<(Option<Box<Link<S>>>, Verdict)> {
    timeout(ANSWER_TIME, exchange(link, call.request(), framing, family)).await.ok().flatten()
}

async fn exchange<S: Stream>(
    mut link: Box<Link<S>>,
    message: BytesMut,
    framing: Framing,
    family: Family,
) -> Option<(Option<Box<Link<S>>>, Verdict)> {
    let mut scanner = Scanner::request(REQUEST_LIMIT);
    scanner.push(&message).ok()?;
    let method = scanner.method();
    let mut reply = Reply::to(method, scanner.facts(), framing);
    link.write_all(&framed(message, framing), ANSWER_TIME).await.ok()?;
    loop {
        let chunk = link.read().await.ok()?;
        let taken = reply.take(&chunk).ok()?;
        if taken.done {
            return Some((taken.clean.then_some(link), verdict(method, reply.facts(), family)));
        }
    }
}
