//! Reads the reply of a coordinator that did not take all of a request. Spark and Hive answer a request that
//! they find too large as soon as they have read its length, and close the link while the rest is on its way
//! (libthrift: `TBinaryProtocol` `checkStringReadLength`; seen with Spark 3.5). The write then fails, and the
//! reason waits to be read.

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use crate::metrics::Direction;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::outcome::{Body, Trouble};
use crate::serve::call::own_cookie;
use crate::serve::link::Link;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::link::read_reply::read_reply;
use crate::serve::message::reply::Reply;
use crate::serve::message::request::Request;

/// How long the reply may take. It was sent before the connection failed, so that it has mostly arrived.
const WITHIN: Duration = Duration::from_secs(1);
/// The most bytes that the reply may have: an error, perhaps with the coordinator's stack trace.
const LIMIT: usize = 64 << 10;

/// A reply that was read to its end, and its bytes.
pub(crate) struct EarlyAnswer {
    pub reply: Box<Reply>,
    pub bytes: Body,
}

/// Reads the reply that a coordinator sent although the request could not be written to its end, and what the
/// client still sends of the request.
///
/// # Errors
/// [`Trouble::Link`] with `lost`, when no whole reply was there; [`Trouble::Client`], when the client's
/// connection ends.
pub(crate) async fn read<S: Stream>(
    conn: &mut Conn<S>,
    link: &mut Link<S>,
    request: &mut Request,
    lost: Lost,
) -> Result<EarlyAnswer, Trouble> {
    let mut reply = Box::new(Reply::to(request.method(), request.facts()));
    // Not counted: little is held, and only for a moment.
    let mut bytes = BytesMut::new();
    let form = conn.client.form(&link.end);
    let read = read_reply(link, &mut reply, form, |piece| {
        bytes.extend_from_slice(piece);
        if bytes.len() <= LIMIT { Ok(()) } else { Err(LostCause::TooLarge) }
    });
    match timeout(WITHIN, read).await {
        Ok(Ok(_)) => {}
        Ok(Err(cause @ LostCause::Refused(_))) => return Err(Trouble::Link(Lost { cause, ..lost })),
        _ => return Err(Trouble::Link(lost)),
    }
    own_cookie::note(conn, link);
    if let Some(left_out) = conn.shared.admit_line("answered early", lost.cause.kind()) {
        let (coordinator, method) = (&link.coordinator.name, request.method().name);
        tracing::info!(%coordinator, method, cause = %lost.cause, left_out, "answered before it had all of the request");
    }
    conn.shared.metrics.bytes.add(Direction::ToClient, bytes.len() as u64);
    conn.client.skip_rest(request, &conn.shared.settings).await?;
    Ok(EarlyAnswer { reply, bytes: Body::of(bytes, form) })
}
