//! The router's own cookie, for clients that prove their user by tickets of Kerberos (`Negotiate`). A ticket is
//! good for one request to one coordinator. That coordinator's cookie names the user, and is kept for the user;
//! the client gets a cookie of the router's in its place, and sends no ticket while it holds that. Where a call
//! goes to a coordinator of which the router holds no cookie, the client is asked for another ticket.

use hyper::header::SET_COOKIE;

use crate::clock;
use crate::ids::{Credential, Proof};
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::link::Link;
use crate::serve::message::http::answer::Given;
use crate::wire::http::own_cookie::{AcceptedBy, OwnCookie, Place, set_cookie};
use crate::wire::http::request::CallHead;

/// Returns the user whom the router's own cookie in a request names; none if there is no good one, or if the
/// request brings a ticket that may prove another user.
pub(crate) fn named<S: Stream>(conn: &mut Conn<S>, head: &CallHead) -> Option<Credential> {
    let cookie = find(conn, head, AcceptedBy::Coordinator)?;
    // It must not be shown to another coordinator, either.
    head.spend_ticket();
    let proof = Proof::Named(cookie.user.into());
    Some(Credential { proof, do_as: head.do_as().map(Into::into) })
}

/// Returns the router's own cookie in a request, if there is a good one.
///
/// JDBC sends its cookie along with the fresh ticket that it was asked for, so a ticket goes first. But some
/// clients repeat their first ticket in each request (`PyHive`, hive-driver): where it is the one that has
/// earned the cookie, it is spent, and the cookie stands for it. They get the cookie again, because `PyHive` sends
/// back only what came with the answer before (Thrift: `THttpClient.py` `flush`).
pub(crate) fn find<S: Stream>(
    conn: &mut Conn<S>,
    head: &CallHead,
    accepted_by: AcceptedBy,
) -> Option<OwnCookie> {
    let field = head.cookies()?;
    let family = conn.fleet.cluster.flavor.family();
    let (key, place) = (&conn.shared.cookie_key, place(conn, accepted_by, head.do_as()));
    let cookie = OwnCookie::find(field, family, key, place, clock::time_of_day())?;
    if let Some(ticket) = head.ticket(&conn.shared.credential_key) {
        if ticket != cookie.ticket {
            return None;
        }
        give(conn, &cookie, accepted_by, head.do_as());
    }
    Some(cookie)
}

/// Notes the user whom a coordinator names in its answer to a ticket: the call is that user's from now on, and
/// the client gets a cookie with its answer.
pub(crate) fn note<S: Stream>(conn: &mut Conn<S>, link: &mut Link<S>) {
    let Some(proven) = link.end.take_proven() else { return };
    let until = clock::time_of_day() + proven.good_for;
    let cookie = OwnCookie { user: (&*proven.user).into(), ticket: proven.ticket, until };
    give(conn, &cookie, AcceptedBy::Coordinator, proven.credential.do_as.as_deref());
    conn.links.become_proven(proven.credential);
}

/// Gives the client a cookie with the answer to its request, in which `do_as` was named.
pub(crate) fn give<S: Stream>(
    conn: &mut Conn<S>,
    cookie: &OwnCookie,
    accepted_by: AcceptedBy,
    do_as: Option<&str>,
) {
    let good_for = cookie.until.duration_since(clock::time_of_day()).unwrap_or_default();
    let (family, is_secure) = (conn.fleet.cluster.flavor.family(), conn.client.is_encrypted());
    let value = cookie.sign(&conn.shared.cookie_key, place(conn, accepted_by, do_as));
    if let Some(value) = value.and_then(|value| set_cookie(family, &value, good_for, is_secure)) {
        conn.client.give(Given { name: SET_COOKIE, value });
    }
}

fn place<'a, S: Stream>(conn: &'a Conn<S>, accepted_by: AcceptedBy, do_as: Option<&'a str>) -> Place<'a> {
    Place { accepted_by, listener: &conn.listener, cluster: &conn.fleet.cluster.name, do_as }
}
