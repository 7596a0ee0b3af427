//! `docs/RETRIES.md`: what becomes of each method's call, from the tables that decide it.

use std::fmt::Write as _;

use hs2router::session::retry::{Phase, Remedy, remedy, sql_state};
use hs2router::wire::beeswax;
use hs2router::wire::hs2::{self, reply::Refusal, reply::SqlState};
use hs2router::wire::method::{self, Method, Owner, Retry};

use super::GENERATED;

const INTRO: &str = "# What becomes of a call when a coordinator fails

The router sends a call again only where that can change nothing, and says so otherwise. A statement reaches a
coordinator that runs it at most once, always: no setting changes that.

How often a call may be sent is a matter of its method. There are four kinds:

| kind | methods | why |
| --- | --- | --- |
";

const PHASES_INTRO: &str = "
## What the router does

What it does depends on how far the call has come when something goes wrong. *Again* is on a new link to the same
coordinator, once: if that goes wrong too, the client is told. *Next* is the next coordinator, in the order of load, until
there is none left. *Told* is an error with this SQLSTATE, on a connection that stays usable.

";

const NOTES: &str = "
- A coordinator that cannot be reached refuses the connection, or does not answer within `connect_timeout`. While the
  client waits for that, nothing is lost: the call was not sent.
- A login is not accepted if the coordinator refuses it, closes the connection instead of an answer, or does not answer
  within `handshake_timeout`, or when nothing on its port is answered any more. No other coordinator is shown the
  credentials then: a few wrong logins lock an account.
- Before a call that opens or runs something, the link is looked at for a close that has just come.
- Slow is not hung. When an open or a login has waited for 5 s, the coordinator is asked on a connection of its own for
  something that every server answers at once, and as long as it does, it is waited for. If as many questions in a row as
  `probe.fall` says are not answered within `probe.timeout`, it is ejected: opens that wait there go to the next coordinator
  at once, and logins fail at once. With flavor impala, where two handshakes that wait for LDAP keep all others waiting,
  silence does not count while the web port answers, or while two logins are under way if the web port never answered.
- An open has a deadline for its reply, `open_timeout`, in which all coordinators together have to answer it. A call of a
  method that the router does not know has five minutes, because its coordinator may be waiting for more of it. All other
  replies are waited for while both sides live, for hours if need be: a coordinator whose service threads are all
  taken accepts connections and leaves them unanswered until one is free.
- For a client that has finished sending (FIN) nothing more is begun: it gets the reply that is on its way, but its call goes
  nowhere again and nowhere else, and waits for no room and no login.
- An open that is given up after `open_timeout`, because nothing on the port is answered any more, or because its client has
  vanished, may still come to something. The
  link is kept for ten minutes, 256 of them at most, and a session that comes is closed: `hs2router_sessions_total` counts
  it as `late`. A session whose reply is lost with its link is left to the coordinator's own timers.
- An open is passed on once its whole reply is there; that of any other call as it comes. If the link is lost when the
  client already has the first bytes of a reply, its connection is closed: nothing else can be said in the middle of a
  message.
- *No such session* or *no such operation* in answer to the second try of a call that ends something means that the first
  one had its effect. The client gets a success.
- The first call of a Beeswax connection opens its session. Until there is a link for it, it goes to the next coordinator,
  whatever its kind.
- A request of more than `replay_limit` bytes is not held. It goes again, or to the next coordinator, only while nothing of
  it was written.
- What a coordinator says itself, be it an error, is passed on as it came, also if it says it before it has all of the
  request, and takes no more.
- On flavor impala a session without an open operation moves (`move_idle_sessions`): where this table says *told* because
  the coordinator cannot be reached, or *passed on* because it shuts down, the session is opened on another coordinator and
  the call is made there, once.

## What the client is told

| SQLSTATE | when |
| --- | --- |
| `08001` | The call was not sent: the coordinator that it belongs to, or every coordinator that could open its session, cannot be reached. |
| `08004` | The call was not sent: the coordinator is full or does not accept the login, or none takes a new session (full, drained). |
| `08S01` | The coordinator was lost during the call. Whether the call had an effect is not known. Or, where sessions end with their connections, the session of the call has ended with the link to its coordinator, and the call was not sent: open a new session. To close such a session succeeds. |

The message names the router, the number of the connection there, the coordinator and the cause. It comes in the method's
own form: HS2 as status ERROR; Beeswax as a `BeeswaxException`, where the method declares it; else as a
`TApplicationException` of kind INTERNAL_ERROR, which has no SQLSTATE. A client that logs in when there is no coordinator
gets the message as SASL status ERROR.

| method | service | kind | told by |
| --- | --- | --- | --- |
";

/// The methods of a kind, as text.
fn names(retry: Retry) -> String {
    let of_kind = method::all().filter(|method| method.retry == retry);
    let mut names: Vec<String> = of_kind.map(|method| format!("`{}`", method.name)).collect();
    if method::UNKNOWN.retry == retry {
        names.push("every method that is in no table".to_owned());
    }
    assert!(!names.is_empty(), "no method is of the kind {retry:?}");
    names.join(", ")
}

/// What becomes of a call of this kind in this phase; nothing where it cannot come to it.
fn fate(retry: Retry, phase: Phase) -> String {
    match remedy(retry, phase, 0) {
        Remedy::Redial => "again".to_owned(),
        Remedy::NextCandidate => "next".to_owned(),
        Remedy::PassOn => "passed on".to_owned(),
        Remedy::Refuse => format!("told: `{}`", sql_state(phase).as_str()),
    }
}

/// The form in which a method's client is told, found in what it would be told.
fn form(name: &str, write: fn(&[u8], i32, &Refusal<'_>) -> bytes::BytesMut) -> &'static str {
    const REPLY: u8 = 2;
    let reply = write(name.as_bytes(), 1, &Refusal { sql_state: SqlState::Lost, message: "" });
    // The version word's last byte is the kind; behind the name and the sequence id stands the first field's
    // id.
    let id = 4 + 4 + name.len() + 4 + 1;
    match (reply[3], [reply[id], reply[id + 1]]) {
        (REPLY, [0, 0]) => "status",
        (REPLY, _) => "`BeeswaxException`",
        _ => "`TApplicationException`",
    }
}

fn told_by(method: &Method) -> String {
    let (of_hs2, of_beeswax) =
        (form(method.name, hs2::reply::error), form(method.name, beeswax::reply::error));
    match method.service {
        Owner::Hs2 | Owner::Unknown => of_hs2.to_owned(),
        Owner::Beeswax => of_beeswax.to_owned(),
        Owner::Either => format!("{of_hs2}, {of_beeswax}"),
    }
}

fn service(method: &Method) -> &'static str {
    match method.service {
        Owner::Hs2 => "HS2",
        Owner::Beeswax => "Beeswax",
        Owner::Either => "HS2, Beeswax",
        Owner::Unknown => "any",
    }
}

fn kind(method: &Method) -> &'static str {
    Retry::ALL.iter().find(|(retry, ..)| *retry == method.retry).unwrap().1
}

pub(super) fn reference() -> String {
    let mut out = format!("{GENERATED}{INTRO}");
    for (retry, word, why) in Retry::ALL {
        writeln!(out, "| *{word}* | {} | {why} |", names(*retry)).unwrap();
    }
    out.push_str(PHASES_INTRO);
    let words: Vec<_> = Retry::ALL.iter().map(|(_, word, _)| format!("*{word}*")).collect();
    writeln!(out, "| what goes wrong | {} |\n| --- {}|", words.join(" | "), "| --- ".repeat(words.len()))
        .unwrap();
    for (phase, what) in Phase::ALL {
        let fates: Vec<_> = Retry::ALL.iter().map(|(retry, ..)| fate(*retry, *phase)).collect();
        writeln!(out, "| {what} | {} |", fates.join(" | ")).unwrap();
    }
    out.push_str(NOTES);
    for method in method::all().chain([&method::UNKNOWN]) {
        let name =
            if *method == method::UNKNOWN { "others".to_owned() } else { format!("`{}`", method.name) };
        writeln!(out, "| {name} | {} | {} | {} |", service(method), kind(method), told_by(method)).unwrap();
    }
    out
}
