//! Reading a whole reply off a link: into memory, or only to its end, so that the link may serve others.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::link::lost::LostCause;
use crate::serve::message::coding::Form;
use crate::serve::message::link_end::Taken;
use crate::serve::message::reply::Reply;

/// A reply of which more than so many bytes are left is not worth reading: its link is closed.
const READ_OUT_LIMIT: usize = 1 << 20;

/// Reads a reply to its end, and gives `take` each piece of its payload, and what came with it. Whether nothing came behind it. Cancel-safe: what was
/// taken in is in the reply, and `take` has it.
///
/// # Errors
/// The link broke, what came is no reply to the request, or `take` wants no more.
pub(crate) async fn read_reply<S: Stream>(
    link: &mut Link<S>,
    reply: &mut Reply,
    mut take: impl FnMut(&[u8], Taken) -> Result<(), LostCause>,
) -> Result<bool, LostCause> {
    loop {
        let mut chunk = link.read().await?;
        let taken = link.end.take(reply, &mut chunk, Form::Payload)?;
        take(&chunk, taken)?;
        if taken.done {
            return Ok(taken.clean);
        }
    }
}

/// Reads the rest of a reply whose client has left, or takes it too slowly, and puts the link back if it is clean then. The
/// reply has as long to come as its client has to come back. Until then the link counts as what it is to its coordinator: a
/// connection with a call under way.
pub(crate) async fn read_out<S: Stream>(
    mut link: Box<Link<S>>,
    mut reply: Box<Reply>,
    within: Duration,
    cut: CancellationToken,
) {
    let mut left = READ_OUT_LIMIT;
    let rest = read_reply(&mut link, &mut reply, |piece, _| {
        left = left.checked_sub(piece.len()).ok_or(LostCause::TooLarge)?;
        Ok(())
    });
    let read = tokio::select! {
        biased;
        () = cut.cancelled() => return,
        read = timeout(within, rest) => read,
    };
    if let Ok(Ok(true)) = read {
        link.put_back();
    }
}
