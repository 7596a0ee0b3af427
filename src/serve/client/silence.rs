//! Clients that connect and say nothing. Most often that is impyla, which is silent until its first cursor;
//! but the client's protocol might be one in which the server speaks first. So after a while, a coordinator
//! is dialed and listened to for a moment.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::net::stream::{Seen, Stream};
use crate::serve::client::Connection;
use crate::serve::client::passage::{Dialed, dial_parked};
use crate::serve::message::end::End;

/// How long such a connection to a coordinator may last: two of them block a secured impalad's port (Impala:
/// `accepted_cnxn_setup_thread_pool_size` 2, `sasl_connect_tcp_timeout_ms` 300000).
const PARKED_FOR: Duration = Duration::from_secs(1);

/// Waits for the first byte of either side; returns the coordinator if that spoke first. A coordinator is
/// dialed when the client has been silent for `allowed`, and is hung up on after a moment; then the router
/// waits for the client.
///
/// # Errors
/// [`End`], when the client closes the connection or it breaks.
pub(super) async fn first_byte<S: Stream>(
    connection: &mut Connection<S>,
    allowed: Duration,
) -> Result<Option<Dialed<S>>, End> {
    if let Ok(more) = timeout(allowed, connection.client.more()).await {
        return client_spoke(more?);
    }
    let dialed = listen(connection).await?;
    if dialed.is_some() || !connection.client.pending.is_empty() {
        return Ok(dialed);
    }
    client_spoke(connection.client.more().await?)
}

/// Waits for the first byte of the client, where no server would speak before it.
///
/// # Errors
/// The same as [`first_byte`].
pub(super) async fn client_alone<S: Stream>(
    connection: &mut Connection<S>,
) -> Result<Option<Dialed<S>>, End> {
    client_spoke(connection.client.more().await?)
}

/// Dials a coordinator, which may take long because only one such dial at a time is made to each, and waits
/// for the first byte of either side; returns the coordinator if that spoke first.
async fn listen<S: Stream>(connection: &mut Connection<S>) -> Result<Option<Dialed<S>>, End> {
    let (entrance, address) = (Arc::clone(&connection.entrance), connection.client.address);
    let dialed = tokio::select! {
        biased;
        more = connection.client.more() => return client_spoke(more?),
        dialed = dial_parked(&connection.shared, &entrance, address) => dialed,
    };
    let Some((mut dialed, _permit)) = dialed else { return Ok(None) };
    let heard = tokio::select! {
        biased;
        more = connection.client.more() => return client_spoke(more?),
        // A ticket of TLS is nothing that was said.
        heard = timeout(PARKED_FOR, poll_fn(|cx| dialed.stream.poll_seen(cx))) => heard,
    };
    // A coordinator that closes has not spoken: the client may still be one that the router understands.
    Ok((heard == Ok(Seen::Bytes)).then_some(dialed))
}

fn client_spoke<S: Stream>(more: bool) -> Result<Option<Dialed<S>>, End> {
    if more { Ok(None) } else { Err(End::ClientClosed) }
}
