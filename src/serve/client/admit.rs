//! The limits on the connections of a client's address. Who is over one is told so, where the protocol has
//! words for it.

use crate::clock;
use crate::metrics::RefusalCause;
use crate::net::per_address::OverLimit;
use crate::net::stream::Stream;
use crate::serve::client::{Connection, tell};
use crate::serve::message::end::End;

/// Counts the connection among those of its client's address, for as long as it lasts.
///
/// # Errors
/// [`End::OverLimit`], when the address has or opens too many; the client was told so if that was possible.
pub(super) async fn admit<S: Stream>(mut connection: Box<Connection<S>>) -> Result<Box<Connection<S>>, End> {
    match connection.entrance.addresses.admit(connection.client.address, clock::now()) {
        Ok(admitted) => {
            connection.client.admitted = admitted;
            Ok(connection)
        }
        Err(over) => {
            Box::pin(refuse(connection, over)).await;
            Err(over.into())
        }
    }
}

/// Counts the refusal and tells the client.
async fn refuse<S: Stream>(connection: Box<Connection<S>>, over: OverLimit) {
    connection.shared.metrics.connections_refused.count(match over {
        OverLimit::Connections(_) => RefusalCause::TooManyConnections,
        OverLimit::PerSecond(_) => RefusalCause::TooManyNewConnections,
    });
    tell::refuse(connection, tell::Refusal { why: &over, http_status: "429 Too Many Requests" }).await;
}
