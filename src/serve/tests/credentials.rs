//! What a client over HTTP counts for: its address, until a coordinator has accepted its credential.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::Request;

use super::world::World;
use crate::cluster::turns::Turn;
use crate::ids::{ClientAddress, ConnId, CoordinatorId, Credential, Identity, Proof, Transport};
use crate::net::stream::double::Double;
use crate::serve::call::links::Links;
use crate::serve::connections::Listed;
use crate::wire::http::request::{Asked, CallHead, Peer, judge};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// The coordinator that answers.
const ONE: CoordinatorId = CoordinatorId(1);

/// The head of a call with this `Authorization`.
fn head(authorization: &str) -> Arc<CallHead> {
    let request = Request::post("/cliservice").header("authorization", authorization);
    let (head, ()) = request.body(()).unwrap().into_parts();
    let peer = Peer { address: ADDRESS, is_trusted_proxy: false, forbidden: &[] };
    let Ok(Asked::Call(head)) = judge(&head, peer) else { panic!("no call") };
    head
}

/// The links of a connection on which the last request had this `Authorization`.
fn links(world: &World, conn: u64, authorization: &str) -> Links<Double> {
    let mut links = Links::over_http(Arc::clone(&world.fleet), &Listed::alone(ConnId(conn)));
    links.be_for(&head(authorization), None, &world.shared.credential_key);
    links
}

fn counts_as(links: &Links<Double>) -> (Option<ClientAddress>, Turn) {
    let holder = links.holder(ADDRESS.into());
    (holder.unproven, Turn::of(holder))
}

fn as_its_address() -> (Option<ClientAddress>, Turn) {
    (Some(ADDRESS.into()), Turn::Address(ADDRESS.into()))
}

#[tokio::test(start_paused = true)]
async fn a_credential_counts_for_its_address_until_a_coordinator_has_answered_and_after_it_was_refused() {
    super::world::in_memory(async {
        let world = World::of(1, Transport::Unframed);
        for invented in 0..100 {
            assert_eq!(counts_as(&links(&world, 1, &format!("Bearer {invented}"))), as_its_address());
        }
        let (mut first, second) = (links(&world, 1, "Bearer ann"), links(&world, 2, "Bearer ann"));
        first.note_answered(ONE);
        let ann = first.identity().clone();
        for links in [&first, &second, &links(&world, 3, "Bearer ann")] {
            assert_eq!(counts_as(links), (None, Turn::Identity(ann.clone())));
        }
        assert_eq!(counts_as(&links(&world, 4, "Bearer bob")), as_its_address(), "another one");
        first.be_for(&head("Bearer bob"), None, &world.shared.credential_key);
        assert_eq!(counts_as(&first), as_its_address(), "another one on the same connection");
        first.be_for(&head("Bearer ann"), None, &world.shared.credential_key);
        first.note_unauthorized(ONE);
        assert_eq!([counts_as(&first), counts_as(&second)], [as_its_address(), as_its_address()]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_user_keeps_no_session_of_another_on_the_same_connection_from_moving() {
    super::world::in_memory(async {
        let world = World::of(1, Transport::Unframed);
        let mut links = links(&world, 1, "Bearer ann");
        links.note_move_refused();
        links.be_for(&head("Bearer ann"), None, &world.shared.credential_key);
        assert!(!links.may_move_sessions(), "it would be refused again");
        links.be_for(&head("Bearer bob"), None, &world.shared.credential_key);
        assert!(links.may_move_sessions());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_router_can_speak_for_a_credential_while_a_connection_with_it_is_open_and_not_after_a_refusal() {
    super::world::in_memory(async {
        let world = World::of(1, Transport::Unframed);
        let (mut first, mut second) = (links(&world, 1, "Bearer ann"), links(&world, 2, "Bearer ann"));
        let ann = first.identity().clone();
        let is_found = |identity: &Identity| world.fleet.keyring.login_of(identity).is_some();
        assert!(!is_found(&ann), "no coordinator has accepted it");
        for links in [&mut first, &mut second] {
            links.note_answered(ONE);
        }
        first.be_for(&head("Bearer ann"), None, &world.shared.credential_key);
        drop(second);
        assert!(is_found(&ann), "with the head of any request");
        first.be_for(&head("Bearer bob"), None, &world.shared.credential_key);
        assert!(!is_found(&ann), "its connection is somebody else's now");
        first.note_answered(ONE);
        assert!(is_found(first.identity()));
        first.note_unauthorized(ONE);
        assert!(!is_found(first.identity()));
        let mut nobody = Links::over_http(Arc::clone(&world.fleet), &Listed::alone(ConnId(3)));
        nobody.note_answered(ONE);
        assert_eq!(counts_as(&nobody), as_its_address());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_a_cookie_or_a_ticket_names_is_judged_anew_with_each_request() {
    super::world::in_memory(async {
        let world = World::of(1, Transport::Unframed);
        let key = &world.shared.credential_key;
        let named = |user: &str| Credential { proof: Proof::Named(user.into()), do_as: None };
        let identity = |user: &str| Identity::Credential(named(user).into());
        let nothing = || {
            let (head, ()) = Request::post("/").body(()).unwrap().into_parts();
            let peer = Peer { address: ADDRESS, is_trusted_proxy: false, forbidden: &[] };
            let Ok(Asked::Call(head)) = judge(&head, peer) else { panic!("no call") };
            head
        };
        let mut links = links(&world, 1, "Negotiate YQ==");
        links.note_answered(ONE);
        assert!(links.shows_ticket() && counts_as(&links) == as_its_address(), "nobody has named its user");
        assert!(world.fleet.keyring.login_of(links.identity()).is_none(), "it is for the client's call");
        links.become_proven(named("ann"));
        links.note_answered(ONE);
        links.note_unauthorized(ONE);
        assert_eq!(counts_as(&links), (None, Turn::Identity(identity("ann"))), "her cookie was over");
        let may_ask = |id| !world.fleet.verdicts.forbid(&named("ann"), CoordinatorId(id));
        assert!((0..3).all(may_ask), "which locks nobody out");
        links.note_answered(ONE);
        let login = world.fleet.keyring.login_of(&identity("ann")).unwrap();
        assert!(login.head().authorization().is_none(), "the ticket is spent");
        links.be_for(&nothing(), Some(named("ann")), key);
        assert!(world.fleet.keyring.login_of(&identity("ann")).is_some(), "the same user, by cookie");
        links.be_for(&nothing(), Some(named("bob")), key);
        assert_eq!(*links.identity(), identity("bob"));
        assert!(world.fleet.keyring.login_of(&identity("ann")).is_none());
        for _ in 0..2 {
            links.be_for(&nothing(), None, key);
            assert_eq!(*links.identity(), Identity::Anonymous, "a request without a cookie is nobody's");
        }
        links.be_for(&head("Negotiate YQ=="), None, key);
        links.become_proven(named("ann"));
        links.be_for(&head("Negotiate YQ=="), None, key);
        assert!(links.shows_ticket(), "the same ticket again");
    })
    .await;
}
