//! Own calls, which the router makes itself: to close a session whose clients are gone for good, to keep a
//! session whose clients are only idle, and to cancel an operation when a drain has waited long enough.

use std::time::Duration;

use bytes::BytesMut;

use crate::ids::Family;
use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::link::lost::LostCause;
use crate::serve::link::read_reply::read_reply;
use crate::serve::message::coding::Form;
use crate::serve::message::reply::Reply;
use crate::session::table::Named;
use crate::wire::beeswax;
use crate::wire::facts::Handle;
use crate::wire::hs2::request;
use crate::wire::scan::Scanner;
use crate::wire::verdict::{Verdict, verdict};

/// An own call about a session or an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnCall {
    /// Closes the session and cancels its operations.
    Close(Handle),
    /// Touches the session, so that its coordinator considers it used.
    Touch(Handle),
    /// Cancels the operation, which stays open.
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

/// The answer to an own call.
pub(crate) struct Answer<S: Stream> {
    /// The reply, read to its end.
    pub reply: Reply,
    /// The link, if it can serve another call.
    pub link: Option<Box<Link<S>>>,
}

impl<S: Stream> Answer<S> {
    /// The coordinator's verdict on the call.
    pub(crate) fn verdict(&self, family: Family) -> Verdict {
        verdict(self.reply.method(), self.reply.facts(), family)
    }

    /// Returns the link, which must be a shared one, to its port.
    pub(crate) fn put_back(self) {
        if let Some(link) = self.link {
            link.put_back();
        }
    }
}

/// Sends an own call's `message` on a link and reads the whole reply. The coordinator may stop reading the
/// message for at most `stall`.
///
/// # Errors
/// When the link is lost before the reply is complete, or when what comes is not a reply to the message.
pub(crate) async fn ask<S: Stream>(
    mut link: Box<Link<S>>,
    message: &[u8],
    stall: Duration,
) -> Result<Answer<S>, LostCause> {
    let mut reply = reply_to(message);
    link.send_message(message, stall).await.map_err(|(cause, _)| cause)?;
    let is_clean = read_reply(&mut link, &mut reply, Form::Payload, |_| Ok(())).await?;
    Ok(Answer { reply, link: is_clean.then_some(link) })
}

/// The reply to a request of the router's own, of which nothing has come yet.
pub(crate) fn reply_to(message: &[u8]) -> Reply {
    let mut scanner = Scanner::request(message.len() as u64);
    // The router writes only valid requests. If this were none, no reply would match it.
    let _step = scanner.push(message);
    Reply::to(scanner.method(), scanner.facts())
}
