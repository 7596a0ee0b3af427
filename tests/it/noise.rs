//! What strangers can cause over and over again, in the log and at coordinators, has a bound for each cause.

use std::io::Read as _;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::sasl::{Framing, frame};

use crate::support::message::{Message, open_session};
use crate::support::ports::closed_port;
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Script};
use crate::support::talk::Talk;

/// A coordinator that understands messages without frames, and hangs up on others.
fn unframed() -> Script {
    Script::calls(|call| if call.framing == Framing::None { Act::Ordinary } else { Act::Close })
}

fn lines(router: &TestRouter, words: &str) -> usize {
    router.logs().shown().lines().filter(|line| line.contains(words)).count()
}

#[test]
fn one_connection_that_no_coordinator_understands_makes_few_dials_and_few_lines() {
    let coordinators = [unframed(), unframed()];
    let router = TestRouter::of("impala", &coordinators.each_ref().map(Script::address));
    let mut client = Talk::connect_framed(router.listener(0));
    let mut pipelining = Talk::over(client.stream.try_clone().unwrap(), Framing::Frames);
    let flood = std::thread::spawn(move || pipelining.send(&frame(&open_session().encode()).repeat(20_000)));
    client.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let begun = clock::now();
    let (mut told, mut some) = (0, [0; 4096]);
    while clock::now() - begun < Duration::from_secs(3) {
        told += client.stream.read(&mut some).unwrap_or(0);
    }
    let dials: usize = coordinators.iter().map(Script::accepted).sum();
    assert!(told > 0, "it is not told what comes of its calls");
    // Ten are free, seven waits double, then it is one call a second, with a dial to each coordinator.
    assert!((10..60).contains(&dials), "{dials} dials");
    assert!(lines(&router, "open lost") <= 30, "{} lines", lines(&router, "open lost"));
    // Others of the same address go on as ever.
    let begun = clock::now();
    for _ in 0..20 {
        Talk::connect(router.listener(0)).open();
    }
    assert!(clock::now() - begun < Duration::from_secs(2), "took {:?}", clock::now() - begun);
    drop(client);
    flood.join().unwrap();
}

#[test]
fn calls_that_nobody_can_be_reached_for_do_not_become_a_flood_of_lines() {
    let router = TestRouter::of("impala", &[closed_port(), closed_port()]);
    let mut client = Talk::connect(router.listener(0));
    client.send(&open_session().encode().repeat(2000));
    client.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let begun = clock::now();
    let (mut told, mut some) = (0, [0; 4096]);
    while clock::now() - begun < Duration::from_secs(1) {
        told += client.stream.read(&mut some).unwrap_or(0);
    }
    assert!(told > 0, "it is not told");
    let refused = lines(&router, "a session was refused");
    assert!((1..40).contains(&refused), "{refused} lines");
}

#[test]
fn a_flood_of_one_cause_hides_no_other_in_the_log() {
    let coordinator = Script::sound();
    let router = TestRouter::of("impala", &[coordinator.address()]);
    for _ in 0..200 {
        let mut client = Talk::connect(router.listener(0));
        client.send(&Message::call(&"x".repeat(200), vec![]).encode());
        client.rest();
    }
    let flood = "a method name of 200 bytes";
    assert!(eventually(|| lines(&router, flood) >= 20), "{}", lines(&router, flood));
    assert!(lines(&router, flood) <= 60, "{}", lines(&router, flood));
    let others: [(&[u8], &str); 3] = [
        (b"POST /cliservice HTTP/1.1\r\n\r\n", "an HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a TLS handshake"),
        (b"\x01\x00\x00\x00\x05PLAIN", "a SASL message"),
    ];
    for (said, words) in others {
        let mut client = Talk::connect(router.listener(0));
        client.open();
        let address = client.address();
        client.send(said);
        client.rest();
        assert!(eventually(|| !router.logs().warnings(address).is_empty()), "{words} is hidden");
        let warnings = router.logs().warnings(address);
        assert!(
            warnings[0].contains("no strict Thrift message") && warnings[0].contains(words),
            "{warnings:?}"
        );
    }
}
