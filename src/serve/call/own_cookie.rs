//! The router's own cookie, for clients that prove their user by tickets of Kerberos (`Negotiate`). A ticket is
//! good for one request to one coordinator. That coordinator's cookie names the user, and is kept for the user;
//! the client gets a cookie of the router's in its place, and sends no ticket while it holds that. Where a call
//! goes to a coordinator of which the router holds no cookie, the client is asked for another ticket.

use crate::clock;
use crate::ids::{Credential, Proof};
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::link::Link;
use crate::wire::http::own_cookie::{OwnCookie, Place};
use crate::wire::http::request::CallHead;

/// Returns the user whom the router's own cookie in a request names; none if there is no good one, or if the
/// request brings a ticket that may prove another user.
///
/// JDBC sends its cookie along with the fresh ticket that it was asked for, so a ticket goes first. But some
/// clients repeat their first ticket in each request (`PyHive`, hive-driver): where it is the one that has
/// earned the cookie, it is spent, and the cookie stands for it.
pub(crate) fn named<S: Stream>(conn: &Conn<S>, head: &CallHead) -> Option<Credential> {
    let field = head.cookies()?;
    let family = conn.fleet.cluster.flavor.family();
    let (key, place) = (&conn.shared.cookie_key, place(conn, head.do_as()));
    let cookie = OwnCookie::find(field, family, key, place, clock::time_of_day())?;
    let ticket = head.ticket(&conn.shared.credential_key);
    if ticket.is_some_and(|ticket| ticket != cookie.ticket) {
        return None;
    }
    // It must not be shown to another coordinator, either.
    head.spend_ticket();
    let proof = Proof::Named(cookie.user.into());
    Some(Credential { proof, do_as: head.do_as().map(Into::into) })
}

/// Notes the user whom a coordinator names in its answer to a ticket: the call is that user's from now on, and
/// the client gets a cookie with its answer.
pub(crate) fn note<S: Stream>(conn: &mut Conn<S>, link: &mut Link<S>) {
    let Some(proven) = link.end.take_proven() else { return };
    let cookie = OwnCookie {
        user: (&*proven.user).into(),
        ticket: proven.ticket,
        until: clock::time_of_day() + proven.good_for,
    };
    let place = place(conn, proven.credential.do_as.as_deref());
    if let Some(value) = cookie.sign(&conn.shared.cookie_key, place) {
        conn.client.give_cookie(conn.fleet.cluster.flavor.family(), &value, proven.good_for);
    }
    conn.links.become_proven(proven.credential);
}

fn place<'a, S: Stream>(conn: &'a Conn<S>, do_as: Option<&'a str>) -> Place<'a> {
    Place { listener: &conn.listener, cluster: &conn.fleet.cluster.name, do_as }
}
