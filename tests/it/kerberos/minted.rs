//! The router against an implementation of Kerberos that has nothing in common with its own library: clients that
//! mint their tickets themselves, and so come with what no KDC gives out, and a coordinator's side of a handshake.

mod coordinator;
mod harmed;
mod names;
mod over_http;
mod refused;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::UNIX_EPOCH;

use hs2router::clock;
use hs2router::fake::sasl::{COMPLETE, OK, START, negotiation};
use hs2router::fake::{Coordinator, Password, Settings};

use super::front::{PASSWORD, receive, send, serve};
use super::{KerberosRouter, REALM};
use crate::support::elsewhere::connect_from_a_new_address;
use crate::support::kdc;
use crate::support::message::{Message, Value, execute};
use crate::support::minted::{Accepted, Context, Mint, Service, accept};
use crate::support::talk::Talk;
use crate::support::tools::{self, Tool};

/// What both sides say who want no layer.
const NO_LAYER: [u8; 4] = [1, 0, 0, 0];

/// A simulated Impala behind a front of that other implementation, a router, and a client that has been there from
/// the beginning.
struct Scene {
    router: KerberosRouter,
    coordinator: Coordinator,
    bystander: Talk,
    session: Value,
}

impl Scene {
    /// With more keys for `[listener.kerberos]`. `None`: the tools are missing, the reason was printed.
    fn new(listener: &str) -> Option<Self> {
        Self::behind(listener, Offer::default())
    }

    /// The same, where the coordinator offers this.
    fn behind(listener: &str, offer: Offer) -> Option<Self> {
        if !tools::present(&[Tool::Kdc]) {
            return None;
        }
        let (router, coordinator) = router_and_coordinator(listener, offer);
        let mut bystander = log_in(router.listener, &Mint::of("bystander"));
        let session = bystander.open();
        Some(Self { router, coordinator, bystander, session })
    }

    fn at(&self) -> SocketAddr {
        self.router.listener
    }

    /// Who was there is none the worse for what happened to another, and the next one gets in.
    #[track_caller]
    fn stays_sound(&mut self) {
        assert_eq!(self.bystander.call(&execute(&self.session, "select 1")).status(), Some(0));
        let mut next = log_in(self.at(), &Mint::of("next"));
        let session = next.open();
        assert!(is_user(&mut next, &session, "next"));
    }
}

fn router_and_coordinator(listener: &str, offer: Offer) -> (KerberosRouter, Coordinator) {
    let users = BTreeMap::from([("hs2router".to_owned(), Password::new(PASSWORD))]);
    let coordinator = Coordinator::start(Settings { users: Some(users), ..Settings::default() }).unwrap();
    let port = front(coordinator.hs2(), offer);
    (KerberosRouter::start("impala", &format!("hive/_HOST@{REALM}"), &[port], listener), coordinator)
}

/// What a coordinator offers, and how.
#[derive(Clone, Copy)]
struct Offer {
    layers: [u8; 4],
    /// By how much its token is turned to the right.
    right: u16,
    harm: Harm,
}

/// What happens to a coordinator's tokens on their way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    None,
    /// The last bit of the one that proves it is another one.
    OfProof,
    /// The same of its offer.
    OfOffer,
}

impl Harm {
    fn on_its_way(self, this: Self, mut token: Vec<u8>) -> Vec<u8> {
        if self == this {
            *token.last_mut().unwrap() ^= 1;
        }
        token
    }
}

impl Default for Offer {
    fn default() -> Self {
        Self { layers: NO_LAYER, right: 0, harm: Harm::None }
    }
}

/// The port of a front of a coordinator, in this process.
fn front(coordinator: SocketAddr, offer: Offer) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(client, coordinator, |client| accept_router(client, offer)));
        }
    });
    port
}

/// Accepts the router's ticket; the user is the first part of its name.
fn accept_router(router: &mut TcpStream, offer: Offer) -> io::Result<String> {
    let service = Service::of(&kdc::shared().keytab(), "hive/localhost");
    let now = clock::time_of_day().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (_, token) = receive(router)?;
    let Accepted { client, token, mut context } = accept(&service, &token, now).map_err(io::Error::other)?;
    let Offer { layers, right, harm } = offer;
    send(router, OK, &harm.on_its_way(Harm::OfProof, token))?;
    assert_eq!(receive(router)?, (OK, Vec::new()));
    send(router, OK, &harm.on_its_way(Harm::OfOffer, context.wrap(&layers, right)))?;
    let (_, choice) = receive(router)?;
    assert_eq!(context.unwrap(&choice), NO_LAYER, "the router is nobody but itself");
    Ok(client[0].clone())
}

/// A client that was offered no layer, by a router that has proven itself if it was to.
fn offered(router: SocketAddr, mint: &Mint) -> (Talk, Context) {
    let initiator = mint.strike();
    let mut talk = connect_from_a_new_address(router);
    talk.send(&[negotiation(START, b"GSSAPI"), negotiation(OK, &initiator.token)].concat());
    let (mut context, offer) = if mint.is_mutual {
        let context = initiator.proven(&granted(&mut talk));
        talk.send(&negotiation(OK, b""));
        (context, granted(&mut talk))
    } else {
        (initiator.unproven(), granted(&mut talk))
    };
    assert_eq!(context.unwrap(&offer), NO_LAYER);
    (talk, context)
}

/// The next token of a router that goes on.
#[track_caller]
fn granted(talk: &mut Talk) -> Vec<u8> {
    let (status, token) = talk.sasl_message().unwrap();
    assert_eq!(status, OK, "{}", String::from_utf8_lossy(&token));
    token
}

/// What the router says to the last token of a client, and that it ends the connection if that is no.
fn verdict(mut talk: Talk, choice: &[u8]) -> Result<Talk, (u8, String)> {
    talk.send(&negotiation(OK, choice));
    let (status, text) = talk.sasl_message().unwrap();
    if status == COMPLETE {
        talk.frames();
        return Ok(talk);
    }
    assert!(talk.ends_orderly());
    Err((status, String::from_utf8(text).unwrap()))
}

/// A client that has logged in.
fn log_in(router: SocketAddr, mint: &Mint) -> Talk {
    let (talk, mut context) = offered(router, mint);
    verdict(talk, &context.wrap(&NO_LAYER, 0)).unwrap()
}

/// Whether the coordinator runs this session's statements as this user's.
fn is_user(talk: &mut Talk, session: &Value, user: &str) -> bool {
    let operation = talk.call(&execute(session, "select effective_user()")).handle(&[0, 2]);
    let fetch = Value::Struct(vec![(1, operation), (2, Value::I32(0)), (3, Value::I64(10))]);
    let rows = talk.call(&Message::call("FetchResults", vec![(1, fetch)])).encode();
    let user = [&u32::try_from(user.len()).unwrap().to_be_bytes()[..], user.as_bytes()].concat();
    rows.windows(user.len()).any(|bytes| bytes == user)
}

/// How far clients turn their tokens: not at all, as Windows does (12 is the checksum, 28 checksum and header), and
/// by more bytes than there are.
const TURNS: [u16; 6] = [0, 1, 12, 16, 28, 0xffff];

#[test]
fn a_client_gets_in_and_runs_a_statement_however_its_tokens_are_turned() {
    let Some(mut scene) = Scene::new("") else { return };
    for right in TURNS {
        let (talk, mut context) = offered(scene.at(), &Mint::of("ann"));
        let mut ann = verdict(talk, &context.wrap(&NO_LAYER, right)).unwrap();
        let session = ann.open();
        assert!(is_user(&mut ann, &session, "ann"), "turned by {right}");
    }
    scene.stays_sound();
}

#[test]
fn a_choice_may_name_the_principal_and_come_encrypted() {
    let Some(mut scene) = Scene::new("") else { return };
    for choice in [&b"\x01\0\0\0"[..], b"\0\0\0\0", b"\x01\xff\xff\xff", b"\x01\0\0\0ann@TEST"] {
        for right in [0, 28] {
            let (talk, mut context) = offered(scene.at(), &Mint::of("ann"));
            verdict(talk, &context.wrap(choice, right)).unwrap();
            let (talk, mut context) = offered(scene.at(), &Mint::of("ann"));
            verdict(talk, &context.seal(choice, right)).unwrap();
        }
    }
    scene.stays_sound();
}

#[test]
fn a_client_that_asks_for_no_proof_gets_the_offer_at_once() {
    let Some(mut scene) = Scene::new("") else { return };
    let mint = Mint { is_mutual: false, ..Mint::of("ann") };
    let mut ann = log_in(scene.at(), &mint);
    let session = ann.open();
    assert!(is_user(&mut ann, &session, "ann"));
    scene.stays_sound();
}

#[test]
fn a_ticket_of_48_kib_gets_in_over_sasl() {
    let Some(mut scene) = Scene::new("") else { return };
    // 65,535 bytes are the most that Windows makes (MaxTokenSize); some of them are not the groups.
    for groups in [48 << 10, 65_535 - 800] {
        let mint = Mint { groups, ..Mint::of("ann") };
        let mut ann = log_in(scene.at(), &mint);
        let session = ann.open();
        assert!(is_user(&mut ann, &session, "ann"));
    }
    scene.stays_sound();
}
