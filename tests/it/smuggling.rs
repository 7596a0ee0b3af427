//! A message may end elsewhere for its coordinator than for the router: a generated reader goes by its IDL and not by the
//! types that a container says its elements are of. Nobody else may then use the link.

use std::time::Duration;

use hs2router::fake::{Coordinator, Settings};
use hs2router::ids::Service;

use super::support::fleet::{Door, Fleet, Plan};
use super::support::router::eventually;
use super::support::talk::Talk;
use super::support::thrift::{I64, MAP, Message, Value, execute};

const BYTE: u8 = 3;

fn fleet() -> Fleet {
    let settings = Settings { fetch_timeout: Duration::from_mins(1), ..Settings::default() };
    Fleet::with(Plan { coordinators: 1, cluster: "", settings, ..Plan::default() })
}

fn links(fleet: &Fleet) -> u32 {
    let known = fleet.known();
    known.room_of(&known.cluster.coordinators[0], Service::Hs2).map_or(0, |(room, _)| room.links)
}

/// An `ExecuteStatement` whose `confOverlay` is a map of so many pairs of such types, with these bytes in it.
fn overlaid(session: &Value, kind: u8, pairs: i32, bytes: &[u8]) -> Vec<u8> {
    let mut message = execute(session, "select 1").encode();
    message.truncate(message.len() - 2);
    message.extend([MAP, 0, 3, kind, kind]);
    message.extend(pairs.to_be_bytes());
    message.extend(bytes);
    message.extend([0, 0]);
    message
}

/// One message to the router, two to a coordinator that reads strings where numbers are announced: the second waits for rows.
fn two_in_one(session: &Value, operation: &Value, pairs: usize) -> Vec<u8> {
    let strings = vec![0; 2 * pairs * 4];
    // The end of the first message, and the second without its end, which is that of the whole.
    let second = |padding: usize| {
        let rows = [(2, Value::I32(0)), (3, Value::I64(1)), (99, Value::Bytes(vec![b' '; padding]))];
        let request = [(1, operation.clone())].into_iter().chain(rows).collect();
        let mut message = Message::call("FetchResults", vec![(1, Value::Struct(request))]).encode();
        message.truncate(message.len() - 2);
        [&[0, 0], message.as_slice()].concat()
    };
    let missing = 16 * pairs - strings.len() - second(0).len();
    let bytes = [strings, second(missing)].concat();
    overlaid(session, I64, i32::try_from(pairs).unwrap(), &bytes)
}

#[test]
fn the_reply_to_a_smuggled_call_is_nobody_elses() {
    let fleet = fleet();
    let mut attacker = Talk::connect(fleet.address(Door::Hs2));
    let session = attacker.open();
    let operation = attacker.call(&execute(&session, "select sleep(600000)")).handle(&[0, 2]);
    assert_eq!(links(&fleet), 1);
    attacker.send(&two_in_one(&session, &operation, 40));
    attacker.hear().unwrap();
    assert!(eventually(|| fleet.calls("FetchResults").len() == 1), "the coordinator reads two calls");
    assert!(eventually(|| links(&fleet) == 0), "its link may serve somebody else");
    let mut victim = Talk::connect(fleet.address(Door::Hs2));
    let own = victim.open();
    assert_eq!(victim.call(&execute(&own, "select 3")).status(), Some(0));
}

#[test]
fn a_call_that_its_coordinator_finds_unfinished_holds_no_thread_when_its_client_has_left() {
    let fleet = fleet();
    let mut attacker = Talk::connect(fleet.address(Door::Hs2));
    let session = attacker.open();
    attacker.send(&overlaid(&session, BYTE, 1, &[0, 0]));
    attacker.reset();
    assert!(eventually(|| links(&fleet) == 0));
    assert!(eventually(|| fleet.coordinators().map(Coordinator::connections).sum::<usize>() == 0));
}
