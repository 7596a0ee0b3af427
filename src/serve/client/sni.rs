//! TLS that is passed through: the server name in the client's hello may choose the cluster. The hello is
//! read and stays where it is, so that the coordinator gets it byte for byte.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::net::stream::Stream;
use crate::serve::client::Connection;
use crate::serve::message::client::Client;
use crate::serve::message::end::End;
use crate::wire::hello::{ServerName, server_name};

/// Has the connection go to the cluster that its client's server name stands for, if it stands for one. A
/// hello that is not whole within `detect_timeout` goes where it would have gone.
///
/// # Errors
/// [`End::ClientGone`], when the connection breaks.
pub(super) async fn choose_cluster<S: Stream>(connection: &mut Connection<S>) -> Result<(), End> {
    if connection.entrance.server_names.is_empty() {
        return Ok(());
    }
    let deadline = Instant::from_std(clock::now() + connection.shared.settings.detect_timeout);
    let asked = timeout_at(deadline, asked_name(&mut connection.client)).await;
    let Some(name) = asked.unwrap_or(Ok(None))? else { return Ok(()) };
    if let Some(entrance) = connection.entrance.server_names.find(&name).map(Arc::clone) {
        tracing::debug!(server_name = %name, cluster = %entrance.fleet.cluster.name, "chosen by server name");
        connection.listed.note(|known| known.cluster = Arc::clone(&entrance.fleet.cluster.name));
        connection.entrance = entrance;
    }
    Ok(())
}

/// Reads until the client's hello is whole, and finds the server name in it. Everything stays in `pending`.
/// Cancel-safe.
///
/// # Errors
/// [`End::ClientGone`], when the connection breaks.
pub(super) async fn asked_name<S: Stream>(client: &mut Client<S>) -> Result<Option<Box<str>>, End> {
    loop {
        match server_name(&client.pending) {
            ServerName::Host(name) => return Ok(Some(name)),
            ServerName::None => return Ok(None),
            ServerName::NeedMore => {}
        }
        if !client.more().await? {
            return Ok(None);
        }
    }
}
