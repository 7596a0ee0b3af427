//! A client that connects and says nothing: most often impyla, which is silent until its first cursor; but its protocol
//! might be one in which the server speaks first. So after a while a coordinator is dialed and listened to, for a moment.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Connection;
use super::end::End;
use super::opaque::{Dialed, dial_parked};
use crate::net::stream::{Seen, Stream};

/// How long a parked connection to a coordinator may last: two of them block a secured impalad's port (Impala:
/// `accepted_cnxn_setup_thread_pool_size` 2, `sasl_connect_tcp_timeout_ms` 300000).
const PARKED_FOR: Duration = Duration::from_secs(1);

/// Who broke the silence.
pub(super) enum Spoke<S: Stream> {
    /// The client has said something.
    Client,
    /// The coordinator has: the connection is not one that is understood.
    Coordinator(Dialed<S>),
    /// Nobody, until the moment was over; the coordinator was left.
    Nobody,
}

/// Dials a coordinator and waits for the first byte of either side.
///
/// # Errors
/// What ends the connection.
pub(super) async fn listen<S: Stream>(connection: &mut Connection<S>) -> Result<Spoke<S>, End> {
    let entrance = Arc::clone(&connection.entrance);
    let dialed = tokio::select! {
        biased;
        more = connection.client.more() => return client_spoke(more?),
        dialed = dial_parked(&connection.shared, &entrance) => dialed,
    };
    let Some((dialed, _permit)) = dialed else { return Ok(Spoke::Nobody) };
    let heard = timeout(PARKED_FOR, dialed.stream.readable());
    tokio::select! {
        biased;
        more = connection.client.more() => client_spoke(more?),
        heard = heard => match heard {
            // A coordinator that closes has not spoken: the client may still be one that is understood.
            Ok(()) if dialed.stream.look() == Seen::Bytes => Ok(Spoke::Coordinator(dialed)),
            _ => Ok(Spoke::Nobody),
        },
    }
}

fn client_spoke<S: Stream>(more: bool) -> Result<Spoke<S>, End> {
    if more { Ok(Spoke::Client) } else { Err(End::ClientClosed) }
}
