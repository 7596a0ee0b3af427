//! A statement reaches a coordinator that runs it at most once, whatever goes wrong.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::expected::Fault;
use super::table::{Way, connect, router, shutting_down, tell};
use crate::support::message::{Message, Value, execute, of_handle, of_query, open_session, query};
use crate::support::router::TestRouter;
use crate::support::script::{Act, SHUTTING_DOWN, Script};
use crate::support::talk::Talk;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The client sends a statement, in a new session if it has none.
    Statement,
    /// The client asks about the last statement.
    Ask,
    /// The client opens another session.
    Open,
    /// The client comes back on another connection.
    Reconnect,
    /// The links to a coordinator end.
    Cut(bool),
    /// The next request to a coordinator is lost in its middle.
    Break(bool),
}

/// What goes wrong with the calls that a coordinator gets, one after the other.
type Faults = VecDeque<Option<Fault>>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Statement),
        2 => Just(Step::Ask),
        1 => Just(Step::Open),
        1 => Just(Step::Reconnect),
        2 => any::<bool>().prop_map(Step::Cut),
        2 => any::<bool>().prop_map(Step::Break),
    ];
    prop::collection::vec(step, 1..24)
}

fn faults() -> impl Strategy<Value = Faults> {
    let fault = prop_oneof![
        5 => Just(None),
        2 => Just(Some(Fault::BeforeReply)),
        1 => Just(Some(Fault::WithinHead)),
        1 => Just(Some(Fault::MidReply)),
        2 => Just(Some(Fault::ShuttingDown)),
    ];
    prop::collection::vec_deque(fault, 0..40)
}

/// What was run, by all coordinators.
type Ran = Arc<Mutex<HashMap<String, usize>>>;

fn coordinator(faults: Faults, ran: &Ran) -> Script {
    let (faults, ran) = (Mutex::new(faults), Arc::clone(ran));
    Script::calls(move |call| {
        let fault = faults.lock().unwrap().pop_front().flatten();
        if let Some(text) = statement_of(&call.message).filter(|_| fault != Some(Fault::ShuttingDown)) {
            *ran.lock().unwrap().entry(text).or_default() += 1;
        }
        fault.map_or(Act::Ordinary, |fault| match fault {
            Fault::ShuttingDown => Act::Reply(shutting_down(call)),
            fault => tell(fault),
        })
    })
}

/// The text of a statement, if the call is one.
fn statement_of(call: &Message) -> Option<String> {
    match call.name.as_str() {
        "ExecuteStatement" => Some(call.text(&[1, 2])),
        "query" => Some(call.text(&[1, 1])),
        _ => None,
    }
}

/// A client that goes on whatever it is told.
struct Client<'a> {
    way: Way,
    router: &'a TestRouter,
    talk: Talk,
    session: Option<Value>,
    operation: Option<Value>,
    calls: i32,
}

impl Client<'_> {
    /// The answer to a call; none if the connection ended, in whose place there is then another.
    fn call(&mut self, call: Message) -> Option<Message> {
        self.calls += 1;
        let call = call.seqid(self.calls);
        self.talk.say(&call);
        let Ok(reply) = self.talk.hear() else {
            self.talk = connect(self.way, self.router);
            return None;
        };
        assert_eq!((&reply.name, reply.seqid), (&call.name, call.seqid), "answered out of order");
        Some(reply)
    }

    /// Sends a statement; whether it was told that it runs, that it cannot have been sent, or neither.
    fn statement(&mut self, text: &str) -> (bool, bool) {
        if self.way == Way::Beeswax {
            let Some(reply) = self.call(query(text)) else { return (false, false) };
            self.operation = reply.body.at(&[0, 1]).cloned();
            return (self.operation.is_some(), reply.text(&[1, 5]) == "08001");
        }
        if self.session.is_none() {
            self.open();
        }
        let Some(session) = self.session.clone() else { return (false, true) };
        let Some(reply) = self.call(execute(&session, text)) else { return (false, false) };
        self.operation = reply.body.at(&[0, 2]).cloned();
        (reply.status() == Some(0), reply.error().0 == "08001" || reply.error().1 == SHUTTING_DOWN)
    }

    fn open(&mut self) {
        let reply = self.call(open_session());
        self.session = reply.and_then(|reply| reply.body.at(&[0, 3]).cloned());
    }

    fn ask(&mut self) {
        let Some(operation) = self.operation.clone() else { return };
        if let Value::Bytes(id) = &operation {
            self.call(of_query("get_state", &String::from_utf8_lossy(id)));
        } else {
            self.call(of_handle("GetOperationStatus", &operation));
        }
    }
}

fn play(way: Way, steps: &[Step], faults: [Faults; 2]) {
    let ran = Ran::default();
    let scripts = faults.map(|faults| coordinator(faults, &ran));
    let router = router(way, scripts.each_ref(), "");
    let talk = connect(way, &router);
    let mut client = Client { way, router: &router, talk, session: None, operation: None, calls: 0 };
    let mut told = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        match step {
            Step::Statement => {
                let text = format!("insert into t values ({place})");
                let (runs, was_not_sent) = client.statement(&text);
                told.push((text, runs, was_not_sent));
            }
            Step::Ask => client.ask(),
            Step::Open if way != Way::Beeswax => client.open(),
            Step::Open => {}
            Step::Reconnect => client.talk = connect(way, &router),
            Step::Cut(first) => scripts[usize::from(!first)].cut(),
            Step::Break(first) => scripts[usize::from(!first)].break_next_request(),
        }
    }
    let ran = ran.lock().unwrap();
    for (text, runs, was_not_sent) in told {
        let times = ran.get(&text).copied().unwrap_or_default();
        assert!(times <= 1, "{text} was run {times} times");
        assert!(!runs || times == 1, "{text} did not run, and the client was told that it does");
        assert!(!was_not_sent || times == 0, "{text} ran, and the client was told that it was not sent");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_statement_runs_at_most_once_whatever_goes_wrong(
        way in prop_oneof![Just(Way::Hs2), Just(Way::Sasl), Just(Way::Beeswax)],
        steps in steps(),
        one in faults(),
        other in faults(),
    ) {
        play(way, &steps, [one, other]);
    }
}

#[test]
fn a_statement_too_large_to_be_held_that_is_lost_in_its_middle_is_told_and_not_sent_again() {
    for way in [Way::Hs2, Way::Sasl] {
        let scripts = [Script::sound(), Script::sound()];
        let router = router(way, scripts.each_ref(), "replay_limit = \"64KiB\"");
        let mut client = connect(way, &router);
        let session = client.open();
        scripts.iter().for_each(Script::break_next_request);
        let text = "x".repeat(16 << 20);
        let (sql_state, words) = client.call(&execute(&session, &text)).error();
        assert_eq!(sql_state, "08S01", "{words}");
        assert_eq!(scripts.iter().map(|script| script.count("ExecuteStatement")).sum::<usize>(), 0);
        assert_eq!(
            client.call(&execute(&session, "select 1")).status(),
            Some(0),
            "the connection stays usable"
        );
    }
}

#[test]
fn a_statement_too_large_to_be_held_whose_link_was_closed_before_is_sent_once() {
    for way in [Way::Hs2, Way::Sasl] {
        let scripts = [Script::sound(), Script::sound()];
        let router = router(way, scripts.each_ref(), "replay_limit = \"64KiB\"");
        let mut client = connect(way, &router);
        let session = client.open();
        scripts.iter().for_each(Script::cut);
        let text = "x".repeat(1 << 20);
        assert_eq!(client.call(&execute(&session, &text)).status(), Some(0));
        assert_eq!(scripts.iter().map(|script| script.count("ExecuteStatement")).sum::<usize>(), 1);
    }
}
