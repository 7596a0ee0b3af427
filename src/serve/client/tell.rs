//! Tells a client that it is refused, in its own protocol, where that has words for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::ids::Transport;
use crate::net::linger::linger;
use crate::net::stream::Stream;
use crate::serve::call::links::Links;
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::client::{Connection, plain};
use crate::serve::message::end::End;
use crate::wire::detect::{Detection, detect};
use crate::wire::method::Role;

/// How long a client that is refused may take to ask what it can be told.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// What a client is told.
pub(super) struct Refusal<'a> {
    /// Why it is refused.
    pub why: &'a (dyn fmt::Display + Sync),
    /// What HTTP calls that: the status code and its phrase.
    pub http_status: &'static str,
}

/// Tells the client why it is refused. Only a few are told at the same time, because those that wait for it
/// hold connections of the router's.
pub(super) async fn refuse<S: Stream>(connection: Box<Connection<S>>, refusal: Refusal<'_>) {
    let shared = Arc::clone(&connection.shared);
    match shared.refusals.try_acquire() {
        Ok(_one_of_them) => {
            // How it ends is of no interest: why is known.
            let _told = timeout(TOLD_WITHIN, tell(connection, refusal)).await;
        }
        Err(_) => connection.client.stream.reset_on_close(),
    }
}

/// A client that speaks anything else sees a reset.
///
/// # Errors
/// [`End`], when the connection ends sooner.
async fn tell<S: Stream>(mut connection: Box<Connection<S>>, refusal: Refusal<'_>) -> Result<(), End> {
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
        Detection::Sasl => return plain::refuse(&mut connection, refusal.why).await,
        Detection::Http => return tell_http(&mut connection, refusal).await,
        _ => {
            connection.client.stream.reset_on_close();
            return Ok(());
        }
    };
    let answer = NoAnswer::refused(connection.conn, refusal.why);
    let links = Links::anonymous(Arc::clone(&connection.entrance.fleet), &connection.listed, transport);
    let mut conn = connection.into_calls(transport, links);
    // impala-shell with Beeswax shows no error of its first call, which asks for the connection's defaults.
    while refuse::refuse_next(&mut conn, &answer).await?.role == Role::Connection {}
    Ok(())
}

async fn tell_http<S: Stream>(connection: &mut Connection<S>, refusal: Refusal<'_>) -> Result<(), End> {
    let Refusal { why, http_status } = refusal;
    let text = format!("hs2router ({}): {why}\n", connection.conn);
    let answer = format!(
        "HTTP/1.1 {http_status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    );
    connection.client.send(answer.as_bytes(), TOLD_WITHIN).await?;
    linger(&mut connection.client.stream).await;
    Ok(())
}
