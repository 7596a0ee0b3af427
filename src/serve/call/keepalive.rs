//! Touches sessions whose links are shared. A link of its own tells a coordinator that a session's client is
//! there; a shared link does not. So the router touches the sessions of idle clients for as long as the
//! sessions' own idle timeouts allow. (Upkeep closes what vanished clients left and what has expired.)

use crate::clock;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::net::stream::Stream;
use crate::serve::call::conn::{Conn, look_interval};
use crate::serve::call::links;
use crate::serve::link::Link;
use crate::serve::link::own_call::OwnCall;
use crate::serve::message::link_end::Look;
use crate::serve::settings::DRAIN_LOOK_INTERVAL;
use crate::session::table::{Cause, Pinned, SessionEnd, Target};
use crate::wire::facts::Guid;
use crate::wire::hs2;
use crate::wire::verdict::Verdict;

/// Touches the sessions of an idle connection, and sets the timer for the next look.
pub(crate) async fn look_after_sessions<S: Stream>(conn: &mut Conn<S>) {
    touch_sessions(conn).await;
    // While the router drains, it looks often: operations of this connection may end on any connection.
    let interval = if conn.leaving { DRAIN_LOOK_INTERVAL } else { look_interval(&conn.fleet) };
    conn.look_in(interval);
}

/// Touches the connection's sessions before their coordinators close them for want of links, for as long as
/// their clients have been idle for less than the sessions' own idle timeouts.
pub(crate) async fn touch_sessions<S: Stream>(conn: &mut Conn<S>) {
    let Some(upkeep) = conn.fleet.room.upkeep else { return };
    let (now, after) = (clock::now(), upkeep.touch_after());
    if now.saturating_duration_since(conn.touched) < after {
        return;
    }
    conn.touched = now;
    for guid in conn.attached.sessions() {
        // Half the time, because a session that was used soon after the last look would otherwise go
        // untouched for twice as long.
        if let Some(session) = conn.fleet.table.to_touch(&guid, now, after / 2) {
            touch(conn, &guid, session).await;
        }
    }
}

/// Returns a link on which a session can be touched; `None` if there is none, or no room for one.
async fn link<S: Stream>(conn: &mut Conn<S>, session: &Target) -> Option<Box<Link<S>>> {
    let own = conn.links.access();
    // A client that came by another port has used the session as itself. Over HTTP, one connection may have
    // spoken for others before.
    let is_own = session.access == *own || session.access.hs2() != own.hs2();
    if !is_own && !conn.client.asks_each_time() {
        return None;
    }
    if conn.fleet.forbids(&session.access, session.coordinator) {
        return None;
    }
    let coordinator = conn.fleet.cluster.coordinator(session.coordinator)?;
    if is_own {
        let port = conn.fleet.port(&coordinator, conn.hs2())?;
        let grant = port.claim(conn.holder(), Purpose::Work, Kind::Any)?;
        return links::link_of(conn, grant, hs2::PING).await.ok();
    }
    let port = conn.fleet.port(&coordinator, session.access.hs2())?;
    let login = conn.fleet.keyring.login_of(&session.access.identity).filter(|login| !login.shows_password());
    let kind = if login.is_some() { Kind::Any } else { Kind::Idle };
    let grant = port.claim(Holder::ourselves(&session.access), Purpose::Work, kind)?;
    match grant.live(Look::Closely) {
        Ok(link) => Some(link),
        Err(slot) => conn.fleet.dial(slot, &login?, &conn.shared).await.ok(),
    }
}

async fn touch<S: Stream>(conn: &mut Conn<S>, guid: &Guid, session: Target) {
    let Some(link) = link(conn, &session).await else { return };
    // The session may have moved while the link was dialed, because its coordinator is lost.
    if conn.fleet.table.has_left(guid, session.coordinator) {
        return link.put_back();
    }
    let family = conn.fleet.cluster.flavor.family();
    let answer = conn.fleet.own_call(link, OwnCall::Touch(session.handle)).await;
    let verdict = answer.as_ref().map(|answer| answer.verdict(family));
    if let Some(answer) = answer {
        answer.put_back();
    }
    if verdict == Some(Verdict::Success)
        && let Some(activity) = conn.fleet.table.activity(guid)
    {
        activity.note_answered(clock::now());
        if let Some(coordinator) = conn.fleet.cluster.coordinator(session.coordinator)
            && !activity.is_counted()
        {
            conn.fleet.table.count_again(guid, &coordinator);
        }
    }
    // A session that can move may have been lost with its coordinator: its next call finds that out and opens
    // it again.
    let may_come_back = conn.fleet.table.may_leave(guid, Cause::Lost) != Err(Pinned::Immovable);
    if verdict == Some(Verdict::NoSuchSession) && !may_come_back {
        conn.fleet.table.remove_session(guid, SessionEnd::Gone);
    }
}
