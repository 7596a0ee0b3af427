//! Reads a whole reply from a link: into memory, or only to its end, so that the link can serve other calls.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::link::lost::LostCause;
use crate::serve::message::coding::Form;
use crate::serve::message::reply::Reply;

/// The most remaining bytes of a reply that are worth reading. If there are more, the link is closed.
const READ_OUT_LIMIT: usize = 1 << 20;

/// Reads a reply to its end, and passes each piece of it, in this form, to `take`. Returns true if nothing
/// came after the reply. Cancel-safe: what was read is recorded in `reply` and was passed to `take`.
///
/// # Errors
/// When the link breaks, when what comes is not a reply to the request, or when `take` returns an error.
pub(crate) async fn read_reply<S: Stream>(
    link: &mut Link<S>,
    reply: &mut Reply,
    form: Form,
    mut take: impl FnMut(&[u8]) -> Result<(), LostCause>,
) -> Result<bool, LostCause> {
    loop {
        let mut chunk = link.read().await?;
        let taken = link.end.take(reply, &mut chunk, form)?;
        take(&chunk)?;
        if taken.done {
            return Ok(taken.clean);
        }
    }
}

/// Reads the rest of a reply whose client has left or takes it too slowly, and puts the link back if it is
/// clean. The rest must arrive in the time `within`, which is how long the client has to come back. Until
/// then the link counts as in use, as it does for its coordinator.
pub(crate) async fn read_out<S: Stream>(
    mut link: Box<Link<S>>,
    mut reply: Box<Reply>,
    within: Duration,
    cut: CancellationToken,
) {
    let mut left = READ_OUT_LIMIT;
    let rest = read_reply(&mut link, &mut reply, Form::Payload, |piece| {
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
