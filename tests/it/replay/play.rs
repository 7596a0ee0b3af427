//! Plays both sides of a captured conversation with a router between them, in the captured order.
//!
//! Demanded of the router: at depth route, each request arrives byte for byte at the coordinator that minted
//! its handle (frame boundaries aside) and each answer byte for byte at its client; at depths observe and
//! opaque, every byte both ways; what it counts is what another decoder found; and when a client leaves, so do its links.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use hs2router::ids::Depth;
use tokio::time::timeout;

use super::client::Client;
use super::coordinators::{Coordinators, DEADLINE, bind};
use super::{Cut, depth, is_routed};
use crate::fixtures::{Answer, Call, Capture, Sender, Transport};
use crate::support::router::{SELDOM, TestRouter, eventually};

/// What a play showed beyond what is demanded of every one.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// Calls that were routed.
    pub(super) calls: usize,
    /// Connections that were passed on.
    pub(super) passed_on: usize,
    /// For each connection that made a session, the coordinator of the first.
    pub(super) homes: Vec<usize>,
    /// The coordinator of each HS2 session, in the order in which they were opened.
    pub(super) minted: Vec<usize>,
    /// Calls that arrived at the owner of a handle which another connection was given.
    pub(super) foreign: usize,
    /// Coordinators that were connected to.
    pub(super) used: BTreeSet<usize>,
}

/// Plays a capture through a router of its own with two coordinators.
pub(super) fn play(capture: &Capture, cut: &mut Cut) -> Played {
    let place = format!("{} ({})", capture.name, cut.name());
    let (sockets, addresses) = bind();
    // A coordinator needs an HS2 port; where clients come for another service, it is not to be used.
    let (unused, hs2) = bind();
    let router = TestRouter::start(&config(capture, addresses, hs2));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("playing {place}");
    let played = runtime.block_on(async {
        let mut stage = Stage::new(capture, router.listener(0), Coordinators::serve(sockets), cut);
        stage.play(capture).await;
        stage.played()
    });
    assert_counted(capture, &router);
    for socket in unused {
        socket.set_nonblocking(true).unwrap();
        assert!(socket.accept().is_err(), "{place}: the wrong port was dialed");
    }
    played
}

/// A router for clients of this kind, with the coordinators' ports where their service is looked for.
fn config(capture: &Capture, addresses: [SocketAddr; 2], unused: [SocketAddr; 2]) -> String {
    let beeswax = capture.connections.iter().flat_map(|one| &one.calls).any(|call| call.method == "query");
    let service = match capture.transport {
        Transport::Http => "hs2-http",
        _ if beeswax => "beeswax",
        _ => "hs2",
    };
    let flavor = if capture.server.contains("Spark") { "spark" } else { "impala" };
    let coordinators = [0, 1].map(|place: usize| {
        let port = |name: &str, otherwise| if name == service { addresses[place].port() } else { otherwise };
        let (hs2, beeswax, http) =
            (port("hs2", unused[place].port()), port("beeswax", 0), port("hs2-http", 0));
        format!(
            "{{ name = \"c{place}\", host = \"127.0.0.1\", hs2 = {hs2}, beeswax = {beeswax}, hs2_http = {http}, web = 0 }}"
        )
    });
    format!(
        "[router]\ndetect_timeout = \"60s\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"{service}\"\n\
         [[cluster]]\nname = \"test\"\nflavor = \"{flavor}\"\n{SELDOM}\nshare_links = false\ncoordinators = [{}]\n",
        coordinators.join(", ")
    )
}

/// The router counts what another decoder found, each call by method and outcome.
fn assert_counted(capture: &Capture, router: &TestRouter) {
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for connection in capture.connections.iter().filter(|one| depth(one.transport) != Depth::Opaque) {
        for call in &connection.calls {
            let series = format!("{{method=\"{}\",outcome=\"{}\"}}", call.method, outcome(call));
            *expected.entry(series).or_default() += 1;
        }
    }
    let counted = || -> BTreeMap<String, u64> {
        let text = router.router().metrics().render().unwrap();
        let lines =
            text.lines().filter_map(|line| line.strip_prefix("hs2router_calls_total")?.split_once(' '));
        lines
            .map(|(series, count)| (series.to_owned(), count.parse().unwrap()))
            .filter(|(_, count)| *count > 0)
            .collect()
    };
    // A call is counted when its answer is out.
    eventually(|| counted() == expected);
    assert_eq!(counted(), expected, "{}: calls", capture.name);
    for counted in [Depth::Route, Depth::Observe, Depth::Opaque] {
        let spoke = |transport| transport != Transport::Silent && depth(transport) == counted;
        let refused = |calls: &[Call]| counted == Depth::Route && calls.is_empty();
        let expected =
            capture.connections.iter().filter(|one| spoke(one.transport) && !refused(&one.calls)).count();
        let (listener, counted) = (router.listener(0), counted.as_str());
        let series = format!("hs2router_connections_total{{listener=\"{listener}\",depth=\"{counted}\"}}");
        router.await_metric(&series, f64::from(u32::try_from(expected).unwrap()));
    }
}

fn outcome(call: &Call) -> &'static str {
    match call.reply {
        Answer::Exception => "exception",
        Answer::None => "refused",
        Answer::Reply if call.thrown.is_some() || call.status.is_some_and(|status| status >= 3) => {
            "error_status"
        }
        Answer::Reply => "reply",
    }
}

/// A play under way.
struct Stage<'a, 'b> {
    router: SocketAddr,
    coordinators: Coordinators,
    clients: Vec<Client<'a>>,
    cut: &'b mut Cut,
    /// The coordinator and the connection that each handle came from.
    owners: HashMap<String, (usize, usize)>,
    played: Played,
}

impl<'a, 'b> Stage<'a, 'b> {
    fn new(capture: &'a Capture, router: SocketAddr, coordinators: Coordinators, cut: &'b mut Cut) -> Self {
        let clients = capture.connections.iter().map(Client::new).collect();
        Self { router, coordinators, clients, cut, owners: HashMap::new(), played: Played::default() }
    }

    async fn play(&mut self, capture: &Capture) {
        let silent = |place: &usize| capture.order.iter().all(|segment| segment.connection != *place);
        for place in (0..capture.connections.len()).filter(silent) {
            self.clients[place].connect(self.router).await;
            self.end(place).await;
        }
        for (at, segment) in capture.order.iter().enumerate() {
            let place = segment.connection;
            self.coordinators.turn = place;
            if self.clients[place].wire.is_none() {
                self.clients[place].connect(self.router).await;
            }
            match segment.sender {
                Sender::Client => self.client_says(place, segment.bytes).await,
                Sender::Server => self.coordinator_says(place, segment.bytes).await,
            }
            if !capture.order[at + 1..].iter().any(|later| later.connection == place) {
                self.end(place).await;
            }
        }
        self.coordinators.assert_empty();
    }

    /// The client sends its next bytes; what they complete arrives at a coordinator.
    async fn client_says(&mut self, place: usize, count: usize) {
        let client = &mut self.clients[place];
        let bytes = client.say(count, self.cut).await;
        let preamble = client.script.preamble();
        if !is_routed(client.script.connection.transport) {
            let (link, arrived) = self.coordinators.message(count, preamble, self.cut).await;
            assert!(arrived == bytes, "{count} bytes arrive as they were sent");
            self.arrived_on(place, link);
            return;
        }
        while let Some(exchange) = self.clients[place].complete() {
            let script = &self.clients[place].script;
            let request = script.request(exchange);
            let (link, arrived) = self.coordinators.message(request.len(), preamble, self.cut).await;
            let call = script.exchanges[exchange].call;
            assert!(arrived == request, "{} arrives as it was sent", call.method);
            self.clients[place].arrived.push(link);
            self.note(place, call, link);
        }
    }

    /// The one link of a connection that is passed on.
    fn arrived_on(&mut self, place: usize, link: usize) {
        let client = &mut self.clients[place];
        if client.arrived.is_empty() {
            client.arrived.push(link);
            self.played.passed_on += 1;
        }
        assert_eq!(client.arrived, [link], "one client connection, one connection to a coordinator");
    }

    /// Checks where a call arrived, and remembers where its answer's handle will come from.
    fn note(&mut self, place: usize, call: &'a Call, link: usize) {
        let coordinator = self.coordinators.links[link].coordinator;
        let played = &mut self.played;
        played.calls += 1;
        if let Some((owner, from)) = named(call).and_then(|handle| self.owners.get(&handle)) {
            assert_eq!(coordinator, *owner, "{} arrives at the owner of its handle", call.method);
            played.foreign += usize::from(*from != place);
        }
        if self.clients[place].arrived.len() == 1 && named(call).is_none() {
            played.homes.push(coordinator);
        }
        if call.minted_session.is_some() {
            played.minted.push(coordinator);
        }
        let succeeded = outcome(call) == "reply";
        for minted in minted(call).into_iter().filter(|_| succeeded) {
            self.owners.insert(minted, (coordinator, place));
        }
    }

    /// The coordinator sends its next bytes; they arrive at the client.
    async fn coordinator_says(&mut self, place: usize, count: usize) {
        let until = self.clients[place].answered + count;
        while self.clients[place].answered < until {
            let client = &mut self.clients[place];
            let (from, script) = (client.answered, &client.script);
            if from < script.welcome.len() {
                // The coordinator says it by itself, to every link.
                client.answered = until.min(script.welcome.len());
                self.client_gets(place).await;
                continue;
            }
            let routed = is_routed(script.connection.transport);
            let exchange = if routed { script.answering(from) } else { 0 };
            let end = if routed { until.min(script.exchanges[exchange].answer.end) } else { until };
            let link = *client.arrived.get(exchange).expect("an answer follows its request");
            client.answered = end;
            let (bytes, whole) =
                (&script.connection.s2c[from..end], !routed || end == script.exchanges[exchange].answer.end);
            let refused = routed && script.exchanges[exchange].call.reply == Answer::None;
            let said = self.coordinators.links[link].say(bytes, self.cut).await;
            // The router closes a link at the first wrong word, while others may still be on their way.
            assert!(said.is_ok() || refused, "the router takes what its coordinator says: {said:?}");
            if refused {
                // What is no answer to an open sends it to the next candidate, which is of the same mind.
                let (request, preamble) = (script.request(exchange), script.preamble());
                let (next, arrived) = self.coordinators.message(request.len(), preamble, self.cut).await;
                assert!(next != link && arrived == request, "the open arrives at the next as it was sent");
                drop(self.coordinators.links[next].say(bytes, self.cut).await);
                self.client_is_refused(place, exchange).await;
            } else if whole {
                // The router holds some answers until they are whole.
                self.client_gets(place).await;
            }
        }
    }

    /// The client gets what its coordinators have said up to now.
    async fn client_gets(&mut self, place: usize) {
        let client = &mut self.clients[place];
        let expected = &client.script.connection.s2c[client.got..client.answered];
        client.got = client.answered;
        let preamble = client.script.preamble();
        while client.heard.len() < expected.len() {
            let next = async {
                tokio::select! {
                    biased;
                    more = client.hear() => assert!(more, "the router ends the connection instead"),
                    () = self.coordinators.next(preamble, self.cut) => {}
                }
            };
            let waited = timeout(DEADLINE, next).await;
            assert!(waited.is_ok(), "of {} bytes, {} come in time", expected.len(), client.heard.len());
        }
        assert!(client.heard == expected, "{} bytes arrive as they were sent", expected.len());
        client.heard.clear();
    }

    /// The coordinator said what is no answer: the client gets one of the router's own, to its call.
    async fn client_is_refused(&mut self, place: usize, exchange: usize) {
        let client = &mut self.clients[place];
        client.got = client.answered;
        let call = client.script.exchanges[exchange].call;
        // The router sends it in one piece.
        assert!(
            timeout(DEADLINE, client.hear()).await.expect("an answer in time"),
            "an answer and not an end"
        );
        let text = String::from_utf8_lossy(&client.heard).into_owned();
        assert!(client.heard.starts_with(b"\x80\x01\x00\x02"), "a reply: {text:?}");
        assert!(text.contains(&call.method) && text.contains("08S01"), "an error of the router: {text:?}");
        client.heard.clear();
    }

    /// Both sides end as they did.
    async fn end(&mut self, place: usize) {
        let client = &mut self.clients[place];
        let connection = client.script.connection;
        assert_eq!((client.sent, client.got), (connection.c2s.len(), connection.s2c.len()), "all was said");
        let (first, _) = connection.closed.split_once(", ").expect("two ends");
        match first {
            "client rst" | "client open" => {
                client.reset().await;
                return self.coordinators.closed(place).await;
            }
            "client fin" => client.finish().await,
            "server fin" => {
                self.finish_links(place).await;
                // Which FIN an idle client does not hear of: its next call gets another link.
                if self.clients[place].outlives_links() {
                    self.clients[place].finish().await;
                }
            }
            other => panic!("{other}: not played yet"),
        }
        if first == "client fin" {
            // The coordinator hears of it first, and ends then.
            self.coordinators.closed(place).await;
            self.finish_links(place).await;
        }
        self.clients[place].assert_ended().await;
        self.coordinators.closed(place).await;
    }

    async fn finish_links(&mut self, place: usize) {
        for link in self.coordinators.links.iter_mut().filter(|link| link.connection == place) {
            link.finish().await;
        }
    }

    fn played(mut self) -> Played {
        self.played.used = self.coordinators.links.iter().map(|link| link.coordinator).collect();
        self.played
    }
}

/// What a call is routed by.
fn named(call: &Call) -> Option<String> {
    let guid = call.operation.as_ref().or(call.session.as_ref()).map(|guid| format!("{:?}", guid.0));
    guid.or_else(|| call.query.clone())
}

/// The handles in a call's answer.
fn minted(call: &Call) -> Vec<String> {
    let guids = [&call.minted_session, &call.minted_operation].into_iter().flatten();
    guids.map(|guid| format!("{:?}", guid.0)).chain(call.minted_query.clone()).collect()
}
