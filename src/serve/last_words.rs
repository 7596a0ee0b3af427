//! What a coordinator still said that did not take all of a request. Spark and Hive answer one that they find too large as
//! soon as they have read its length, and close while the rest of it is on its way (libthrift: `TBinaryProtocol`
//! `checkStringReadLength`; seen with Spark 3.5): the write then fails, and the reason waits to be read.

use std::time::Duration;

use tokio::time::timeout;

use super::calls::Calls;
use super::end::End;
use super::exchange::{Lost, Trouble};
use super::incoming::HeldBack;
use super::link::Link;
use super::reply::Reply;
use super::request::Request;
use crate::metrics::Direction;
use crate::net::stream::Stream;
use crate::session::retry::Phase;

/// How long the reply may take. It was sent before the connection failed, so that it is mostly there.
const WITHIN: Duration = Duration::from_secs(1);
/// Bytes that it may have: an error, perhaps with the coordinator's stack trace.
const LIMIT: usize = 64 << 10;

/// A reply that was read to its end, and its bytes.
pub(super) type Words = (Box<Reply>, Box<HeldBack>);

impl<S: Stream> Calls<S> {
    /// Sends the rest of a request, piece by piece, if what was held of it was `sent`. If a part of it was written and no more
    /// could be, the coordinator's reply, if it sent a whole one; none if all was sent.
    ///
    /// # Errors
    /// The request was not sent, and nothing was said about it.
    pub(super) async fn send_rest(
        &mut self,
        link: &mut Link<S>,
        request: &mut Request,
        mut sent: Result<(), Trouble>,
    ) -> Result<Option<Words>, Trouble> {
        while sent.is_ok() && !request.complete {
            self.inbox.next_piece(&mut self.client, request, &self.shared.settings).await?;
            if let Some(mistyped) = request.mistyped() {
                return Err(End::from(mistyped).into());
            }
            sent = self.send_piece(link, request, Phase::Waiting).await;
        }
        match sent {
            Ok(()) => Ok(None),
            Err(Trouble::Link(lost)) if lost.phase == Phase::Waiting => {
                self.last_words(link, request, lost).await.map(Some)
            }
            Err(trouble) => Err(trouble),
        }
    }

    async fn last_words(
        &mut self,
        link: &mut Link<S>,
        request: &mut Request,
        lost: Lost,
    ) -> Result<Words, Trouble> {
        let mut reply = Reply::boxed(request.method(), request.facts(), self.framing);
        let Ok(Some(bytes)) = timeout(WITHIN, read_whole(link, &mut reply)).await else {
            return Err(Trouble::Link(lost));
        };
        if let Some(left_out) = self.shared.admit_line("answered early", lost.cause.kind()) {
            let (coordinator, method) = (&link.coordinator.name, request.method().name);
            tracing::info!(%coordinator, method, cause = %lost.cause, left_out, "answered before it had all of the request");
        }
        self.shared.metrics.bytes.add(Direction::ToClient, bytes.bytes.len() as u64);
        self.take_rest(request).await?;
        Ok((reply, bytes))
    }

    /// Reads what the client still sends of a request that goes nowhere.
    ///
    /// # Errors
    /// What ends the client's connection.
    pub(super) async fn take_rest(&mut self, request: &mut Request) -> Result<(), End> {
        while !request.complete {
            self.inbox.next_piece(&mut self.client, request, &self.shared.settings).await?;
        }
        Ok(())
    }
}

/// The bytes of a reply, if it comes to its end.
async fn read_whole<S: Stream>(link: &mut Link<S>, reply: &mut Reply) -> Option<Box<HeldBack>> {
    let mut held = Box::new(HeldBack::default());
    while !reply.is_done() {
        let chunk = link.read().await.ok()?;
        let taken = reply.take(&chunk).ok()?;
        held.bytes.extend_from_slice(chunk.get(..taken.used)?);
        if held.bytes.len() > LIMIT {
            return None;
        }
    }
    Some(held)
}
