//! Connections that other balancers pass on: the PROXY header at their beginning says whose they are. It
//! stands before everything else, TLS included. Only addresses in `proxy_protocol_from` may send one, and
//! they must: whoever else could would come from any address that it likes.

use bytes::Buf;
use tokio::time::timeout;
use tracing::Span;

use crate::net::stream::Stream;
use crate::serve::client::Connection;
use crate::serve::message::client::{Client, Unused};
use crate::serve::message::end::{End, NoHeader};
use crate::wire::detect::Speech;
use crate::wire::proxy::{Header, ProxyError, Source, parse};

/// Reads the PROXY header, if the connection comes from an address that has to send one. From then on the
/// client's address is the one in the header, unless the balancer connected on its own behalf.
///
/// # Errors
/// [`End::NoProxyHeader`], when there is none within `handshake_timeout`; other [`End`]s, when the connection
/// ends before its first byte. A health check that connects and closes is one of these, and nothing to warn
/// of.
pub(super) async fn identify<S: Stream>(connection: &mut Connection<S>) -> Result<(), End> {
    if !connection.entrance.expects_header(connection.peer.ip()) {
        return Ok(());
    }
    let (draining, settings) = (connection.shared.draining.clone(), &connection.shared.settings);
    let taken = tokio::select! {
        biased;
        taken = timeout(settings.handshake_timeout, take_header(&mut connection.client)) => taken,
        () = draining.cancelled() => return Err(End::RouterShutdown),
    };
    let address = match taken.map_err(|_| NoHeader::TimedOut)?? {
        Source::Sender => connection.peer,
        Source::Client(address) => address,
    };
    Span::current().record("client", tracing::field::display(address));
    tracing::debug!("came through a balancer");
    connection.listed.note(|known| known.client = Some(address));
    connection.client.come_from(address.ip());
    Ok(())
}

/// Returns the end of a connection that has a PROXY header where none may be.
pub(super) fn unexpected<S: Stream>(connection: &Connection<S>) -> End {
    let from = connection.peer.ip();
    if connection.entrance.expects_header(from) {
        NoHeader::Second.into()
    } else {
        End::UnexpectedProxyHeader { from }
    }
}

/// Takes the header off the connection. Its TLVs are dropped as they come.
async fn take_header<S: Stream>(client: &mut Client<S>) -> Result<Source, End> {
    let Header { len, source } = loop {
        let parsed = parse(&client.pending).map_err(|error| match error {
            ProxyError::NotAHeader => NoHeader::Other { first: Speech::guess(&client.pending) },
            malformed => NoHeader::Malformed(malformed),
        });
        if let Some(header) = parsed? {
            break header;
        }
        let has_begun = !client.pending.is_empty();
        if !client.more().await? {
            return Err(if has_begun { NoHeader::Broke.into() } else { End::ClientClosed });
        }
    };
    let mut left = len;
    loop {
        let taken = left.min(client.pending.len());
        client.pending.advance(taken);
        left -= taken;
        if client.pending.is_empty() {
            // A silent client holds no buffer.
            client.pending = Unused::default();
        }
        if left == 0 {
            return Ok(source);
        }
        if !client.more().await? {
            return Err(NoHeader::Broke.into());
        }
    }
}
