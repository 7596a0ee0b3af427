//! Sends a request, and reads the reply of a coordinator that did not take all of it. Spark and Hive answer a
//! request that they find too large as soon as they have read its length, and close the link while the rest
//! is on its way (libthrift: `TBinaryProtocol` `checkStringReadLength`; seen with Spark 3.5). The write then
//! fails, and the reason waits to be read.

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use crate::metrics::Direction;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::outcome::{Body, Trouble};
use crate::serve::link::Link;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::link::read_reply::read_reply;
use crate::serve::message::coding::Form;
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::reply::Reply;
use crate::serve::message::request::Request;
use crate::session::retry::Phase;

/// How long the reply may take. It was sent before the connection failed, so that it has mostly arrived.
const WITHIN: Duration = Duration::from_secs(1);
/// The most bytes that the reply may have: an error, perhaps with the coordinator's stack trace.
const LIMIT: usize = 64 << 10;

/// A reply that was read to its end, and its bytes.
pub(crate) type Words = (Box<Reply>, Body);

/// Sends the rest of a request piece by piece; `sent` is the result of sending the held part. Returns none if
/// all was sent. If only a part could be written, returns the reply that the coordinator sent nevertheless.
///
/// # Errors
/// [`Trouble::Link`], when the link broke and no whole reply was there; [`Trouble::Client`], when the
/// client's connection ended or a later piece of the request is bad input.
pub(crate) async fn send_rest<S: Stream>(
    conn: &mut Conn<S>,
    link: &mut Link<S>,
    request: &mut Request,
    mut sent: Result<(), Trouble>,
) -> Result<Option<Words>, Trouble> {
    let form = conn.client.form(&link.end);
    while sent.is_ok() && !request.is_complete() {
        conn.client.next_piece(request, form, &conn.shared.settings).await?;
        if let Some(mistyped) = request.mistyped() {
            return Err(End::from(mistyped).into());
        }
        sent = send_piece(conn, link, request, Phase::Waiting).await;
    }
    match sent {
        Ok(()) => Ok(None),
        Err(Trouble::Link(lost)) if lost.phase == Phase::Waiting => {
            last_words(conn, link, request, lost).await.map(Some)
        }
        Err(trouble) => Err(trouble),
    }
}

async fn last_words<S: Stream>(
    conn: &mut Conn<S>,
    link: &mut Link<S>,
    request: &mut Request,
    lost: Lost,
) -> Result<Words, Trouble> {
    let mut reply = Reply::boxed(request.method(), request.facts());
    // Not counted: little is held, and only for a moment.
    let mut bytes = BytesMut::new();
    let form = conn.client.form(&link.end);
    let words = read_reply(link, &mut reply, form, |piece, _| {
        bytes.extend_from_slice(piece);
        if bytes.len() <= LIMIT { Ok(()) } else { Err(LostCause::TooLarge) }
    });
    let Ok(Ok(_)) = timeout(WITHIN, words).await else { return Err(Trouble::Link(lost)) };
    if let Some(left_out) = conn.shared.admit_line("answered early", lost.cause.kind()) {
        let (coordinator, method) = (&link.coordinator.name, request.method().name);
        tracing::info!(%coordinator, method, cause = %lost.cause, left_out, "answered before it had all of the request");
    }
    conn.shared.metrics.bytes.add(Direction::ToClient, bytes.len() as u64);
    take_rest(conn, request).await?;
    Ok((reply, Body::of(bytes, form)))
}

/// Reads the rest of a request that goes nowhere.
///
/// # Errors
/// [`End`], when the client's connection ends meanwhile.
pub(crate) async fn take_rest<S: Stream>(conn: &mut Conn<S>, request: &mut Request) -> Result<(), End> {
    while !request.is_complete() {
        conn.client.next_piece(request, Form::Payload, &conn.shared.settings).await?;
    }
    Ok(())
}

/// Sends the held bytes of a request; `before` says whether something of it was written before.
///
/// # Errors
/// [`Trouble::Link`], when the link broke; [`Trouble::Client`], when the request is not held whole and goes
/// to a coordinator that needs it in one frame.
pub(crate) async fn send_piece<S: Stream>(
    conn: &Conn<S>,
    link: &mut Link<S>,
    request: &mut Request,
    before: Phase,
) -> Result<(), Trouble> {
    let form = conn.client.form(&link.end);
    if !request.is_complete() && !link.end.takes_pieces(form) {
        return Err(End::from(BadInput::MessageSplit).into());
    }
    let bytes = link.end.encode(request, form);
    let written = link.write_all(&bytes, conn.shared.settings.stall_timeout).await;
    written.map_err(|(cause, written)| {
        let phase = if written == 0 { before } else { Phase::Waiting };
        Trouble::Link(Lost { phase, client_has_some: false, cause })
    })?;
    conn.shared.metrics.bytes.add(Direction::ToCoordinator, bytes.len() as u64);
    Ok(())
}
