//! TLS that is passed through: the server name in the client's hello may choose the cluster. The hello is
//! read and stays where it is, so that the coordinator gets it byte for byte.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::net::stream::Stream;
use crate::serve::client::Connection;
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
    let name = loop {
        match server_name(&connection.client.pending) {
            ServerName::Host(name) => break name,
            ServerName::None => return Ok(()),
            ServerName::NeedMore => {}
        }
        let more = timeout_at(deadline, connection.client.more()).await;
        if !more.unwrap_or(Ok(false))? {
            return Ok(());
        }
    };
    if let Some(entrance) = connection.entrance.server_names.find(&name).map(Arc::clone) {
        tracing::debug!(server_name = %name, cluster = %entrance.fleet.cluster.name, "chosen by server name");
        connection.entrance = entrance;
    }
    Ok(())
}
