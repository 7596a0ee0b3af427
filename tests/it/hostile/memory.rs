//! A thousand bad clients at once, and what they cost the process.

use hs2router::fake::sasl::{OK, START, negotiation};
use hs2router::net::limits::raise_file_limit;

use super::{NEGATIVE, TWO_GIB, with_field};
use crate::support::message::{LIST, Message, STRING, STRUCT, Value, execute, of_handle};
use crate::support::program::Program;
use crate::support::router::eventually;
use crate::support::script::Script;
use crate::support::talk::Talk;

/// How many try at once.
const CLIENTS: usize = 1000;
/// What they may cost together.
const ALLOWED: u64 = 128 << 20;

/// What a bad client says, and whether its connection then lasts.
struct Bad {
    said: Vec<u8>,
    lasts: bool,
}

/// Bad clients of each kind.
fn kinds(session: &Value) -> Vec<Bad> {
    let ends = |said: Vec<u8>| Bad { said, lasts: false };
    let lasts = |said: Vec<u8>| Bad { said, lasts: true };
    let large = execute(session, &"x".repeat(250_000)).encode();
    let late =
        Message::call("CloseSession", vec![(1, Value::Struct(vec![(9, Value::text(&"x".repeat(250_000)))]))]);
    let late = late.encode();
    let fetch = of_handle("FetchResults", session).encode();
    vec![
        ends(with_field(STRING, &TWO_GIB)),
        ends(with_field(LIST, &[&[STRUCT], NEGATIVE.as_slice()].concat())),
        ends(with_field(STRUCT, &[STRUCT, 0, 1].repeat(10_000))),
        ends(Message::call(&"x".repeat(1 << 20), vec![]).encode()),
        ends([negotiation(START, b"PLAIN"), [&[OK], TWO_GIB.as_slice()].concat()].concat()),
        // Half a request, with and without its handle; half a greeting; half a handshake.
        lasts(large[..large.len() - 1].to_vec()),
        lasts(late[..late.len() - 10].to_vec()),
        lasts(with_field(STRING, &(1_i32 << 29).to_be_bytes())[..].to_vec()),
        lasts(b"\x80\x01".to_vec()),
        lasts([negotiation(START, b"PLAIN"), negotiation(OK, &[b'x'; 16_000])[..15_000].to_vec()].concat()),
        // Those that never read, and say more than is asked for.
        lasts([fetch.as_slice(), &fetch.repeat(1000)].concat()),
        // Not understood, and never read either.
        lasts(b"\x7fsomething else".to_vec()),
    ]
}

#[test]
fn a_thousand_bad_clients_cost_less_than_128_mebibytes() {
    raise_file_limit().unwrap();
    let coordinator = Script::endless();
    let program = Program::start(coordinator.address(), "");
    let mut bystander = Talk::connect(program.listener);
    let session = bystander.open();
    let before = program.status("VmRSS");
    let kinds = kinds(&session);
    let clients: Vec<(Talk, bool)> = (0..CLIENTS)
        .map(|place| {
            let mut client = Talk::connect(program.listener);
            let Bad { said, lasts } = &kinds[place % kinds.len()];
            client.stream.set_write_timeout(Some(crate::support::talk::PATIENCE)).unwrap();
            client.send(said);
            (client, *lasts)
        })
        .collect();
    let ended = clients.iter().filter(|(_, lasts)| !lasts).count();
    let ended = f64::from(u32::try_from(ended).unwrap());
    let counted = || program.metric("hs2router_connections_closed_total");
    assert!(eventually(|| counted() >= ended), "{} of {ended} have ended", counted());
    assert_eq!(bystander.call(&execute(&session, "select 1")).status(), Some(0));
    // As long as more is taken of them or given to them, they may come to cost more.
    assert!(program.comes_to_rest(), "bytes are still moving");
    // The most that it ever had since it began.
    let cost = program.status("VmHWM").saturating_sub(before);
    assert!(program.metric("hs2router_connections_open") > 500.0);
    assert!(cost < ALLOWED, "{} MiB", cost >> 20);
    drop(clients);
    assert!(eventually(|| program.metric("hs2router_connections_open{") <= 1.0));
    assert_eq!(
        Talk::connect(program.listener).call(&crate::support::message::open_session()).status(),
        Some(0)
    );
}
