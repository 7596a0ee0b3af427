//! Reading a reply out whose client has left, or takes it too slowly: the link may then serve others, and until then it
//! counts as what it is to its coordinator, a connection with a call under way.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::net::stream::Stream;
use crate::serve::link::Link;
use crate::serve::message::reply::Reply;

/// A reply of which more than so many bytes are left is not worth reading: its link is closed.
const READ_OUT_LIMIT: usize = 1 << 20;

/// Reads the rest of a reply, if it comes within the time that its client has to come back, and puts the link back if it is
/// clean then.
pub(in crate::serve) async fn read_out<S: Stream>(
    link: Box<Link<S>>,
    reply: Box<Reply>,
    within: Duration,
    cut: CancellationToken,
) {
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        link = timeout(within, rest(link, reply)) => if let Ok(Some(link)) = link {
            link.put_back();
        },
    }
}

/// The link, if the reply came to its end and nothing came after it.
async fn rest<S: Stream>(mut link: Box<Link<S>>, mut reply: Box<Reply>) -> Option<Box<Link<S>>> {
    let mut left = READ_OUT_LIMIT;
    loop {
        let chunk = link.read().await.ok()?;
        left = left.checked_sub(chunk.len())?;
        let taken = reply.take(&chunk).ok()?;
        if taken.done {
            return taken.clean.then_some(link);
        }
    }
}
