//! The table: each method, each fault, over each kind of connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use hs2router::wire::method::{self, Owner, Role};

use super::expected::{Fault, Kind, Outcome, Seen, expected, has_status, kind, thrown_in};
use crate::support::message::{
    EXCEPTION, Message, REPLY, Value, execute, of_handle, of_query, open_session, query,
};
use crate::support::router::{SELDOM, TestRouter, eventually};
use crate::support::script::{Act, Call, SHUTTING_DOWN, Script};
use crate::support::talk::Talk;

/// How clients come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Hs2,
    Sasl,
    Beeswax,
}

/// The sequence id of the call that things go wrong with.
const SEQID: i32 = 77;
/// Cases that are tried at once.
const AT_ONCE: usize = 12;

/// A coordinator that does this about the call once it is armed, once.
struct Faulty {
    script: Script,
    armed: Arc<Mutex<Option<Fault>>>,
}

impl Faulty {
    fn new() -> Self {
        let armed: Arc<Mutex<Option<Fault>>> = Arc::default();
        let due = Arc::clone(&armed);
        let script = Script::calls(move |call| {
            let fault = if call.message.seqid == SEQID { due.lock().unwrap().take() } else { None };
            match fault {
                Some(Fault::ShuttingDown) => Act::Reply(shutting_down(call)),
                fault => fault.map_or(Act::Ordinary, tell),
            }
        });
        Self { script, armed }
    }

    /// From now on this goes wrong; returns what has to be kept for as long as it does.
    fn arm(&mut self, fault: Fault) -> impl Sized + use<> {
        let mut filling = Vec::new();
        match fault {
            Fault::ConnectRefused => self.script.leave(),
            Fault::ConnectHangs => filling = self.script.hang(),
            Fault::NoThread => self.script.pause(),
            Fault::MidRequest => self.script.break_next_request(),
            Fault::LostBefore
            | Fault::BeforeReply
            | Fault::WithinHead
            | Fault::MidReply
            | Fault::ShuttingDown => *self.armed.lock().unwrap() = Some(fault),
        }
        if matches!(fault, Fault::ConnectHangs | Fault::NoThread | Fault::LostBefore) {
            self.script.cut();
            assert!(eventually(|| self.script.open() == 0));
        }
        filling
    }

    /// How often the call came, each time as the client sent it.
    fn got(&self, call: &Message) -> usize {
        let got: Vec<_> = self.script.got().into_iter().filter(|got| got.seqid == SEQID).collect();
        assert!(got.iter().all(|got| got.encode() == call.encode()), "{got:?} is not {call:?}");
        got.len()
    }
}

/// What a coordinator does about a call where it answers too little.
pub(super) fn tell(fault: Fault) -> Act {
    match fault {
        Fault::BeforeReply => Act::Close,
        Fault::WithinHead => Act::Part(|_| 10),
        Fault::MidReply => Act::Part(|all| all - 1),
        _ => Act::Ordinary,
    }
}

fn is_beeswax(name: &str) -> bool {
    thrown_in(name).is_some() && method::lookup(name.as_bytes()).service == Owner::Beeswax
}

/// That it is shutting down, as this method would say it.
pub(super) fn shutting_down(call: &Call) -> Message {
    let thrown =
        call.message.body.at(&[1]).is_some_and(|first| matches!(first.at(&[1]), Some(Value::Bytes(_))));
    let name = call.message.name.as_str();
    match thrown_in(name).filter(|_| thrown || is_beeswax(name)) {
        Some(field) => {
            call.message.reply(vec![(field, Value::Struct(vec![(1, Value::text(SHUTTING_DOWN))]))])
        }
        None => call.message.failed(SHUTTING_DOWN),
    }
}

/// A router whose sessions stay where they are: what becomes of calls, and not what becomes of sessions, is
/// shown here.
pub(super) fn router(way: Way, coordinators: [&Script; 2], keys: &str) -> TestRouter {
    let service = if way == Way::Beeswax { "beeswax" } else { "hs2" };
    let one = |(place, script): (usize, &Script)| {
        let port = script.address().port();
        // A port that is not used is not asked for anything.
        let ports = if way == Way::Beeswax {
            format!("hs2 = {}, beeswax = {port}", place + 1)
        } else {
            format!("hs2 = {port}, beeswax = 0")
        };
        format!("{{ name = \"c{port}\", host = \"127.0.0.1\", {ports}, hs2_http = 0, web = 0 }}")
    };
    TestRouter::start(&format!(
        "[router]\n{keys}\n[[listener]]\n\
         address = \"127.0.0.1:0\"\nservice = \"{service}\"\n[[cluster]]\nname = \"test\"\n{SELDOM}\nmove_idle_sessions = false\n\
         coordinators = [{}]\n",
        coordinators.into_iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    ))
}

pub(super) fn connect(way: Way, router: &TestRouter) -> Talk {
    match way {
        Way::Hs2 | Way::Beeswax => Talk::connect(router.listener(0)),
        Way::Sasl => Talk::connect_sasl(router.listener(0)),
    }
}

/// The call, with handles that the client got before, and the session of HS2 that it belongs to.
fn call_of(name: &str, way: Way, client: &mut Talk) -> (Message, Option<Value>) {
    let role = method::lookup(name.as_bytes()).role;
    let mut its = None;
    let call = if way == Way::Beeswax {
        let id = client.call(&query("select 1")).text(&[0, 1]);
        match name {
            "query" | "explain" => Message { name: name.into(), ..query("insert into t values (1)") },
            "executeAndWait" => Message::call(
                name,
                vec![(1, Value::Struct(vec![(1, Value::text("select 1"))])), (2, Value::text("c"))],
            ),
            "get_log" | "clean" => Message::call(name, vec![(1, Value::text(&id))]),
            _ if role == Role::Connection => Message::call(name, vec![]),
            _ => of_query(name, &id),
        }
    } else {
        let session = client.open();
        its = Some(session.clone());
        let operation = client.call(&execute(&session, "select 1")).handle(&[0, 2]);
        match role {
            Role::OpenSession => open_session(),
            Role::Connection => Message::call(name, vec![]),
            Role::Profile => {
                Message::call(name, vec![(1, Value::Struct(vec![(1, operation), (2, session)]))])
            }
            Role::Statement if name == "ExecutePlannedStatement" => {
                let Value::Struct(arguments) = execute(&session, "insert into t values (1)").body else {
                    unreachable!()
                };
                Message::call(name, vec![(1, Value::Struct(arguments))])
            }
            Role::Statement => execute(&session, "insert into t values (1)"),
            Role::CloseSession | Role::UseSession | Role::Metadata | Role::Unknown => {
                of_handle(name, &session)
            }
            Role::UseOperation | Role::CancelOperation | Role::Fetch | Role::Poll | Role::CloseOperation => {
                of_handle(name, &operation)
            }
        }
    };
    (call.seqid(SEQID), its)
}

/// Leaves the first coordinator without a session and the other with some, so that the next open goes to the
/// first. The client has a link to both.
fn empty_first(client: &mut Talk, first: &Script) {
    for session in [client.open(), client.open(), client.open(), client.open()] {
        if first.minted(&session) {
            assert_eq!(client.call(&of_handle("CloseSession", &session)).status(), Some(0));
        }
    }
}

/// What a client saw whose call this is the answer to.
fn seen(reply: std::io::Result<Message>, call: &Message, way: Way, faulty: &Script) -> Seen {
    let Ok(reply) = reply else { return Seen::Closed };
    assert_eq!((&reply.name, reply.seqid), (&call.name, call.seqid));
    let text = format!("{:?}", reply.body);
    let words = |path: &[i16]| reply.text(path);
    let (declared, sql_state, said) = if way == Way::Beeswax {
        let field = thrown_in(&call.name);
        (
            field.is_some(),
            field.map_or(String::new(), |field| words(&[field, 5])),
            field.map_or(String::new(), |field| words(&[field, 1])),
        )
    } else {
        (has_status(&call.name), words(&[0, 1, 3]), words(&[0, 1, 5]))
    };
    let exception = reply.kind == EXCEPTION && reply.body.at(&[2]) == Some(&Value::I32(6));
    if said == SHUTTING_DOWN || words(&[0, 1, 5]) == SHUTTING_DOWN {
        return Seen::PassedOn;
    }
    for state in ["08001", "08004", "08S01"] {
        if sql_state == state {
            assert!(declared && reply.kind == REPLY, "{reply:?}");
            assert!(said.starts_with("hs2router ("), "{said}");
            let names_it = state == "08S01" && kind(&call.name) != Kind::Opens;
            let lost = format!("coordinator c{} was lost during the call", faulty.address().port());
            assert!(!names_it || said.contains(&lost), "{said}");
            return Seen::Told(state);
        }
    }
    if exception {
        let words = words(&[1]);
        assert!(!declared && words.starts_with("hs2router ("), "{reply:?}");
        // It has no SQLSTATE: its words say the same.
        let states = [
            ("cannot be reached", "08001"),
            ("does not take the login", "08004"),
            ("was lost during the call", "08S01"),
        ];
        let told = states.iter().find(|(text, _)| words.contains(text));
        return Seen::Told(told.unwrap_or_else(|| panic!("{words}")).1);
    }
    assert!(!text.contains("hs2router ("), "{reply:?}");
    Seen::Answer
}

/// The metrics say why the faulty coordinator did not take the session.
fn notes_open(router: &TestRouter, faulty: &Faulty, fault: Fault) {
    let (metric, outcome) = match fault {
        Fault::ConnectRefused => ("dials", "refused"),
        Fault::BeforeReply | Fault::WithinHead => ("sessions", "lost"),
        Fault::ShuttingDown => ("sessions", "shutting_down"),
        _ => return,
    };
    let labels = format!("cluster=\"test\",coordinator=\"c{}\"", faulty.script.address().port());
    let series = format!("hs2router_{metric}_total{{{labels},outcome=\"{outcome}\"}}");
    assert!(router.metric(&series) >= 1.0, "{series}");
}

/// The connection goes on, whatever its client was told, and so does this session.
fn goes_on(client: &mut Talk, way: Way, session: Option<Value>) {
    if let Some(session) = session {
        assert_eq!(client.call(&execute(&session, "select 1")).status(), Some(0));
    }
    client.call(&if way == Way::Beeswax { query("select 1") } else { open_session() });
}

fn outcome(name: &str, way: Way, fault: Fault) -> Outcome {
    let mut coordinators = [Faulty::new(), Faulty::new()];
    // Short only where they are to be over.
    let keys = match fault {
        Fault::ConnectHangs => "connect_timeout = \"300ms\"",
        Fault::NoThread => "handshake_timeout = \"1s\"",
        _ => "",
    };
    let router = router(way, coordinators.each_ref().map(|faulty| &faulty.script), keys);
    let mut client = connect(way, &router);
    let opens = kind(name) == Kind::Opens;
    let (call, session) = if opens {
        empty_first(&mut client, &coordinators[0].script);
        (open_session().seqid(SEQID), None)
    } else {
        call_of(name, way, &mut client)
    };
    // Whoever has the client's session.
    let is_first =
        opens || ["ExecuteStatement", "query"].iter().any(|name| coordinators[0].script.count(name) > 0);
    let place = usize::from(!is_first);
    let closed_before = coordinators[place].script.count("CloseSession");
    let _kept = coordinators[place].arm(fault);
    let came = coordinators[place].script.came();
    client.say(&call);
    if fault == Fault::NoThread && !opens && way != Way::Sasl {
        let faulty = &coordinators[place].script;
        assert!(eventually(|| faulty.came() > came), "it was not dialed");
        faulty.resume();
    }
    let seen = seen(client.hear(), &call, way, &coordinators[place].script);
    let [one, two] = &coordinators;
    let (faulty, other) = if is_first { (one, two) } else { (two, one) };
    if fault == Fault::NoThread && opens && way != Way::Sasl {
        faulty.script.resume();
        assert!(
            eventually(|| faulty.script.count("CloseSession") > closed_before),
            "what came late was not closed"
        );
    }
    let counted = |outcome| {
        let method = method::lookup(name.as_bytes()).name;
        router.await_metric(
            &format!("hs2router_calls_total{{method=\"{method}\",outcome=\"{outcome}\"}}"),
            1.0,
        );
    };
    if opens {
        notes_open(&router, faulty, fault);
    } else if seen == Seen::Told("08S01") {
        counted("lost");
    }
    if seen == Seen::Closed {
        counted("unanswered");
    } else {
        goes_on(&mut client, way, session.filter(|_| seen == Seen::Told("08S01")));
    }
    Outcome { faulty: faulty.got(&call), other: other.got(&call), seen }
}

/// Tries a fault with every method that can come this way.
#[track_caller]
fn try_every_method(way: Way, fault: Fault) {
    let of_way = |service: Owner| match service {
        Owner::Hs2 => way != Way::Beeswax,
        Owner::Beeswax => way == Way::Beeswax,
        Owner::Either | Owner::Unknown => true,
    };
    let mut names: Vec<&str> =
        method::all().filter(|method| of_way(method.service)).map(|method| method.name).collect();
    assert!(names.len() > 15, "{names:?}");
    if way != Way::Beeswax {
        names.push("Frobnicate");
    }
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let right = expected(kind(name), fault, way == Way::Sasl);
                    let found = outcome(name, way, fault);
                    if found != right {
                        wrong.lock().unwrap().push(format!("{name}: {found:?}\n  instead of {right:?}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{way:?} × {fault:?}:\n{}", wrong.join("\n"));
}

macro_rules! faults {
    ($($name:ident: $fault:ident,)+) => {
        mod hs2 { $(#[test] fn $name() { super::try_every_method(super::Way::Hs2, super::Fault::$fault) })+ }
        mod sasl { $(#[test] fn $name() { super::try_every_method(super::Way::Sasl, super::Fault::$fault) })+ }
        mod beeswax { $(#[test] fn $name() { super::try_every_method(super::Way::Beeswax, super::Fault::$fault) })+ }
    };
}

faults! {
    a_coordinator_that_refuses_connections: ConnectRefused,
    a_coordinator_that_answers_no_connection: ConnectHangs,
    a_link_that_is_lost_before_the_request: LostBefore,
    a_link_that_is_lost_in_the_middle_of_the_request: MidRequest,
    a_link_that_is_lost_before_the_reply: BeforeReply,
    a_link_that_is_lost_within_the_head_of_the_reply: WithinHead,
    a_link_that_is_lost_in_the_middle_of_the_reply: MidReply,
    a_coordinator_that_shuts_down: ShuttingDown,
    a_coordinator_without_a_free_thread: NoThread,
}
