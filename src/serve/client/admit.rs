//! The limits on the connections of a client's address. Who is over one is told so, where the protocol has
//! words for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::clock;
use crate::ids::Transport;
use crate::metrics::RefusalCause;
use crate::net::per_address::OverLimit;
use crate::net::stream::Stream;
use crate::serve::call::links::Links;
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::client::{Connection, plain};
use crate::serve::message::end::End;
use crate::wire::detect::{Detection, detect};

/// How long a client that is refused may take to ask what it can be told.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

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

/// Counts the refusal and tells the client. Only a few are told at the same time, because those that wait for
/// it hold connections of the router's.
async fn refuse<S: Stream>(connection: Box<Connection<S>>, over: OverLimit) {
    let shared = Arc::clone(&connection.shared);
    shared.metrics.connections_refused.count(match over {
        OverLimit::Connections(_) => RefusalCause::TooManyConnections,
        OverLimit::PerSecond(_) => RefusalCause::TooManyNewConnections,
    });
    match shared.refusals.try_acquire() {
        Ok(_one_of_them) => {
            // How it ends is of no interest: why is known.
            let _told = timeout(TOLD_WITHIN, tell(connection, over)).await;
        }
        Err(_) => connection.client.stream.reset_on_close(),
    }
}

/// Tells the client why it is refused, in its own protocol. One that speaks anything else sees a reset.
///
/// # Errors
/// [`End`], when the connection ends sooner.
async fn tell<S: Stream>(mut connection: Box<Connection<S>>, over: OverLimit) -> Result<(), End> {
    let detection = loop {
        match detect(&connection.client.pending) {
            Detection::NeedMore => {}
            detection => break detection,
        }
        if !connection.client.more().await? {
            return Ok(());
        }
    };
    let transport = match detection {
        Detection::Thrift => Transport::Unframed,
        Detection::Framed => Transport::Framed,
        Detection::Sasl => return plain::refuse(&mut connection, over).await,
        _ => {
            connection.client.stream.reset_on_close();
            return Ok(());
        }
    };
    let answer = NoAnswer::refused(connection.conn, over);
    let links = Links::anonymous(Arc::clone(&connection.entrance.fleet), connection.conn, transport);
    refuse::refuse_next(&mut connection.into_calls(transport, links), &answer).await
}
