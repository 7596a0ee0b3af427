//! Clients over HTTP where the router judges tickets itself: each request brings a ticket (`Negotiate`), or the
//! router's own cookie for one. The router speaks for such a client under its own name, as it does for those that
//! come by SASL. Whoever brings something else, such as a password, is judged by the coordinators.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::WWW_AUTHENTICATE;

use crate::clock;
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::{braking, own_cookie};
use crate::serve::fleet::entrance::Delegation;
use crate::serve::fleet::tickets::Refused;
use crate::serve::message::http::answer::{Given, Refusal};
use crate::session::delegation::Caller;
use crate::wire::http::own_cookie::{AcceptedBy, OwnCookie};
use crate::wire::http::reply::Challenge;
use crate::wire::http::request::{CallHead, Scheme, negotiate};

/// For how long a cookie stands for a ticket.
const GOOD_FOR: Duration = Duration::from_hours(1);

/// Goes on for whoever a request's head names.
///
/// # Errors
/// What to answer if that is nobody whom the router lets in.
pub(crate) async fn be_for<S: Stream>(
    conn: &mut Conn<S>,
    head: &Arc<CallHead>,
    delegation: &Delegation,
) -> Result<(), Refusal> {
    match identify(conn, head, delegation).await {
        Ok(Some(caller)) => conn.links.speak_for(caller, delegation.login.clone()),
        Ok(None) => conn.links.be_for(head, None, &conn.shared.credential_key),
        Err(why) => return Err(refuse(conn, &why)),
    }
    conn.note_identity();
    Ok(())
}

/// Returns the client that a request proves; none if the coordinators judge what it brings.
async fn identify<S: Stream>(
    conn: &mut Conn<S>,
    head: &CallHead,
    delegation: &Delegation,
) -> Result<Option<Caller>, Refused> {
    let Delegation { tickets, .. } = delegation;
    if let Some(cookie) = own_cookie::find(conn, head, AcceptedBy::Router) {
        return tickets.caller(&cookie.user).map(Some);
    }
    let Some(authorization) = head.authorization() else { return Err(Refused::NoTicket) };
    if authorization.scheme() != Scheme::Negotiate {
        return if takes_passwords(conn) { Ok(None) } else { Err(Refused::NoTicket) };
    }
    let accepted = tickets.accept(authorization.token(), conn.shared.settings.handshake_timeout).await?;
    let caller = tickets.caller(&accepted.principal)?;
    braking::note_ticket_accepted(conn);
    tracing::debug!(user = caller.user(), "ticket accepted");
    if let Some(value) = negotiate(&accepted.token).filter(|_| !accepted.token.is_empty()) {
        conn.client.give(Given { name: WWW_AUTHENTICATE, value });
    }
    let ticket = authorization.hash(&conn.shared.credential_key);
    let cookie =
        OwnCookie { user: accepted.principal.into(), ticket, until: clock::time_of_day() + GOOD_FOR };
    own_cookie::give(conn, &cookie, AcceptedBy::Router, head.do_as());
    Ok(Some(caller))
}

/// Whether a request with a password can go to a coordinator.
fn takes_passwords<S: Stream>(conn: &Conn<S>) -> bool {
    conn.fleet.cluster.serves(Service::Hs2Http)
}

fn refuse<S: Stream>(conn: &mut Conn<S>, why: &Refused) -> Refusal {
    // Most clients ask first without a ticket.
    if !matches!(why, Refused::NoTicket)
        && let Some(left_out) = conn.shared.admit_line("the ticket was refused", "")
    {
        tracing::warn!(cause = %why, left_out, "the ticket was refused");
    }
    if why.is_verdict() {
        braking::note_ticket_refused(conn);
    }
    let text = format!("hs2router ({}): {why}\n", conn.id);
    if why.is_for_now() {
        return Refusal::no_room(&text);
    }
    let challenge = if takes_passwords(conn) { Challenge::TicketOrPassword } else { Challenge::Ticket };
    Refusal::log_in(&text, challenge)
}
