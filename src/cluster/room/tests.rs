use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::clock;
use crate::ids::{Credential, Identity, Proof, Transport};

fn user(number: u8) -> Access {
    Access { identity: Identity::Plain(format!("u{number}").into()), transport: Transport::Sasl }
}

fn by(access: &Access) -> Holder<'_> {
    Holder::ourselves(access)
}

fn room(threads: u32, reserve: u32) -> Room<u32> {
    Room::new(Limits { threads: Some(threads), reserve, address_share: AddressShare::new(0.75) })
}

/// Claims for work; panics if there is no room.
fn claim(room: &mut Room<u32>, access: &Access) -> Claim<u32> {
    room.claim(by(access), Purpose::Work, Kind::Any, |_| true).unwrap()
}

const NONE: [u32; 0] = [];
const NOTHING_CLOSED: Claim<u32> = Claim::Dial { closed: Vec::new() };

#[test]
fn a_link_that_is_near_is_taken_before_one_used_later() {
    let mut room = room(4, 1);
    for _ in 0..3 {
        claim(&mut room, &user(1));
    }
    for link in [1, 2, 3] {
        room.put(by(&user(1)), Purpose::Work, link);
    }
    let mut near = |near: &dyn Fn(&u32) -> bool| room.claim(by(&user(1)), Purpose::Work, Kind::Any, near);
    assert_eq!(near(&|link| *link < 3), Some(Claim::Link(2)));
    assert_eq!(near(&|link| *link < 3), Some(Claim::Link(1)));
    assert_eq!(near(&|link| *link < 3), Some(Claim::Link(3)), "one that is far serves too");
}

#[test]
fn a_dial_is_counted_before_it_is_made() {
    let mut room = room(2, 0);
    assert_eq!(claim(&mut room, &user(1)), NOTHING_CLOSED);
    assert_eq!(claim(&mut room, &user(2)), NOTHING_CLOSED);
    assert!(!room.has_room(by(&user(1)), Purpose::Work, Kind::Any));
    assert_eq!(room.claim(by(&user(1)), Purpose::Work, Kind::Any, |_| true), None);
    room.end(Purpose::Work, None);
    assert_eq!(claim(&mut room, &user(3)), NOTHING_CLOSED);
}

#[test]
fn a_link_serves_its_own_identity_and_gives_way_to_another() {
    let mut room = room(2, 0);
    for (identity, link) in [(1, 11), (2, 22)] {
        claim(&mut room, &user(identity));
        room.put(by(&user(identity)), Purpose::Work, link);
    }
    assert_eq!(claim(&mut room, &user(2)), Claim::Link(22));
    room.put(by(&user(2)), Purpose::Work, 22);
    assert_eq!(claim(&mut room, &user(3)), Claim::Dial { closed: vec![11] }, "used longest ago");
    assert_eq!(room.view().links, 2);
    assert_eq!(claim(&mut room, &user(2)), Claim::Link(22));
}

#[test]
fn credentials_are_shown_on_a_new_link_though_there_is_an_idle_one() {
    let mut room = room(2, 0);
    claim(&mut room, &user(1));
    room.put(by(&user(1)), Purpose::Work, 1);
    assert_eq!(room.claim(by(&user(1)), Purpose::Work, Kind::New, |_| true), Some(NOTHING_CLOSED));
    assert_eq!(
        room.claim(by(&user(1)), Purpose::Work, Kind::New, |_| true),
        Some(Claim::Dial { closed: vec![1] })
    );
    assert_eq!(room.claim(by(&user(1)), Purpose::Work, Kind::New, |_| true), None);
}

#[test]
fn however_much_works_a_cancel_has_room() {
    let mut room = room(4, 1);
    for _ in 0..3 {
        claim(&mut room, &user(1));
    }
    assert_eq!(room.claim(by(&user(1)), Purpose::Work, Kind::Any, |_| true), None);
    assert_eq!(room.claim(by(&user(1)), Purpose::Relief, Kind::Any, |_| true), Some(NOTHING_CLOSED));
    assert_eq!(
        room.claim(by(&user(1)), Purpose::Relief, Kind::Any, |_| true),
        None,
        "there are four threads"
    );
    room.put(by(&user(1)), Purpose::Relief, 4);
    assert_eq!(
        room.claim(by(&user(1)), Purpose::Work, Kind::Any, |_| true),
        None,
        "the link is there, but kept for cancels"
    );
    assert_eq!(
        room.claim(by(&user(2)), Purpose::Relief, Kind::Any, |_| true),
        Some(Claim::Dial { closed: vec![4] })
    );
    assert!(!room.turn_to_work(None));
    room.end(Purpose::Work, None);
    assert!(room.turn_to_work(None));
}

const NOBODY: Access = Access::ANONYMOUS;

fn from(last: u8) -> ClientAddress {
    std::net::IpAddr::from([192, 0, 2, last]).into()
}

/// How many places a client gets one after the other, and keeps.
fn fills(room: &mut Room<u32>, holder: Holder<'_>, purpose: Purpose) -> u32 {
    (0..1_000).find(|_| room.claim(holder, purpose, Kind::Any, |_| true).is_none()).unwrap()
}

#[test]
fn an_address_that_has_proven_nothing_leaves_places_to_others() {
    let mut room = room(64, 2);
    assert_eq!(fills(&mut room, Holder::of(&NOBODY, from(1)), Purpose::Work), 46);
    assert!(!room.has_room(Holder::of(&Access::UNREAD, from(1)), Purpose::Work, Kind::New), "of one address");
    assert_eq!(fills(&mut room, Holder::of(&NOBODY, from(2)), Purpose::Work), 12);
    assert_eq!(
        fills(&mut room, Holder::of(&user(1), from(1)), Purpose::Work),
        4,
        "who is somebody has no share"
    );
    assert_eq!(fills(&mut room, Holder::of(&NOBODY, from(1)), Purpose::Relief), 2, "nor has a cancel");
}

#[test]
fn invented_credentials_share_what_their_address_gets_and_one_that_was_accepted_has_no_share() {
    let mut room = room(64, 0);
    let over_http = |number| {
        let credential = Credential { proof: Proof::Lasting([number, 0]), do_as: None };
        Access { identity: Identity::Credential(credential.into()), transport: Transport::Http }
    };
    let invented = (0..100).filter(|number| {
        let access = over_http(*number);
        room.claim(Holder::of(&access, from(1)), Purpose::Work, Kind::Any, |_| true).is_some()
    });
    assert_eq!(invented.count(), 48, "three quarters");
    assert_eq!(fills(&mut room, Holder::accepted(&over_http(7)), Purpose::Work), 16);
}

#[test]
fn who_proves_to_be_somebody_uses_no_place_of_its_address_any_more() {
    let mut room = room(4, 0);
    let claims_to_be = |name| Holder { unproven: Some(from(1)), ..by(name) };
    let names = [1, 2, 3, 4].map(user);
    assert_eq!(fills(&mut room, claims_to_be(&names[0]), Purpose::Work), 3);
    room.prove(Purpose::Work, from(1));
    assert_eq!(
        fills(&mut room, claims_to_be(&names[1]), Purpose::Work),
        0,
        "two of the three that others leave"
    );
    room.prove(Purpose::Work, from(1));
    assert_eq!(fills(&mut room, claims_to_be(&names[2]), Purpose::Work), 0, "it would be two of two");
    room.prove(Purpose::Work, from(1));
    assert_eq!(fills(&mut room, claims_to_be(&names[3]), Purpose::Work), 1);
    room.end(Purpose::Work, None);
    assert_eq!(room.view().links, 3);
}

#[test]
fn an_idle_link_that_is_shared_is_nobodys_place() {
    let mut room = room(4, 0);
    for link in 0..10 {
        let holder = Holder::of(&NOBODY, from(1));
        assert!(room.claim(holder, Purpose::Work, Kind::Any, |_| true).is_some());
        room.put(holder, Purpose::Work, link);
    }
    assert_eq!(fills(&mut room, Holder::of(&NOBODY, from(1)), Purpose::Work), 3);
}

#[test]
fn what_others_hold_is_not_ours_to_fill() {
    let mut room = room(4, 0);
    for _ in 0..3 {
        claim(&mut room, &user(1));
        room.note_answered();
    }
    for link in [1, 2] {
        room.put(by(&user(1)), Purpose::Work, link);
    }
    let own = room.own();
    assert_eq!(own, OwnLinks { held: 3, unanswered: 0 });
    let closed = room.note_polled(PortFigures { in_use: 5, queued: 0 }, own);
    assert_eq!(closed, [1], "two of four are others'");
    assert_eq!(claim(&mut room, &user(1)), Claim::Link(2));
    assert!(!room.has_room(by(&user(1)), Purpose::Relief, Kind::Any));
    room.forget_others();
    assert!(room.has_room(by(&user(1)), Purpose::Work, Kind::Any));
}

#[test]
fn a_queue_of_others_in_two_polls_running_is_full_and_our_own_dials_are_none() {
    let mut room = room(4, 0);
    claim(&mut room, &user(1));
    for _ in 0..3 {
        room.note_polled(PortFigures { in_use: 0, queued: 1 }, room.own());
        assert!(room.has_room(by(&user(2)), Purpose::Work, Kind::Any), "that is our own dial");
    }
    room.note_answered();
    let others = PortFigures { in_use: 1, queued: 1 };
    room.note_polled(others, room.own());
    assert!(room.has_room(by(&user(2)), Purpose::Work, Kind::Any), "once may be chance");
    room.note_polled(others, room.own());
    assert!(!room.has_room(by(&user(2)), Purpose::Work, Kind::Any));
    room.put(by(&user(1)), Purpose::Work, 1);
    assert!(
        !room.has_room(by(&user(2)), Purpose::Work, Kind::Any),
        "a link that gave way would make room for them"
    );
    assert!(room.has_room(by(&user(1)), Purpose::Work, Kind::Any), "a link that is there serves on");
    room.note_polled(PortFigures { in_use: 1, queued: 0 }, room.own());
    assert!(room.has_room(by(&user(2)), Purpose::Work, Kind::Any));
}

#[test]
fn links_are_retired_when_their_identity_has_had_no_session_for_20_s() {
    let mut room = room(4, 0);
    let start = clock::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    claim(&mut room, &user(1));
    let session = room.begin_session(&user(1));
    room.put(by(&user(1)), Purpose::Work, 1);
    assert_eq!(room.retire(at(100), |_| false), NONE);
    drop(session);
    assert_eq!(room.retire(at(110), |_| false), NONE);
    assert_eq!(room.retire(at(129), |_| false), NONE);
    assert_eq!(claim(&mut room, &user(1)), Claim::Link(1), "a call renews its time");
    room.put(by(&user(1)), Purpose::Work, 1);
    assert_eq!(room.retire(at(131), |_| false), NONE);
    assert_eq!(room.retire(at(151), |_| false), [1]);
    assert_eq!(room.view().links, 0);
    assert!(room.kept.is_empty(), "nothing is remembered of who has nothing");
}

#[test]
fn links_that_no_call_has_used_for_20_s_are_retired_but_for_one_where_there_is_a_session() {
    let mut room = room(8, 0);
    let start = clock::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let _session = room.begin_session(&user(1));
    for _ in 0..3 {
        claim(&mut room, &user(1));
    }
    for link in [1, 2, 3] {
        room.put(by(&user(1)), Purpose::Work, link);
    }
    for second in 0..=19 {
        assert_eq!(room.retire(at(second), |_| false), NONE, "after {second} s");
        assert_eq!(claim(&mut room, &user(1)), Claim::Link(3));
        room.put(by(&user(1)), Purpose::Work, 3);
    }
    assert_eq!(room.retire(at(20), |_| false), [1, 2]);
    assert_eq!(room.retire(at(500), |_| false), NONE, "the last one tells that there is a client");
    assert_eq!(room.retire(at(600), |_| false), NONE);
    assert_eq!((room.view().links, room.view().idle), (1, 1));
    assert!(room.looks.len() < 25, "{} looks are remembered", room.looks.len());
}

#[test]
fn links_are_retired_by_age_whoever_needs_them() {
    let mut room = room(4, 0);
    for link in 0..3 {
        assert_eq!(room.claim(by(&user(1)), Purpose::Work, Kind::New, |_| true), Some(NOTHING_CLOSED));
        room.put(by(&user(1)), Purpose::Work, link);
    }
    let _session = room.begin_session(&user(1));
    assert_eq!(room.retire(clock::now(), |link| *link == 1), [1]);
    assert_eq!((room.view().links, room.view().idle), (2, 2));
}

#[test]
fn no_limit_is_no_limit() {
    let mut room =
        Room::<u32>::new(Limits { threads: None, reserve: 2, address_share: AddressShare::new(0.75) });
    room.note_polled(PortFigures { in_use: 1_000_000, queued: 0 }, OwnLinks::default());
    for _ in 0..1000 {
        assert_eq!(claim(&mut room, &user(1)), NOTHING_CLOSED);
    }
    assert_eq!(room.view().limit, None);
}

proptest! {
    #[test]
    fn there_are_never_more_links_than_threads_nor_any_lost(
        threads in 1u32..8,
        reserve in 0u32..4,
        steps in vec((0u8..4, 0u8..4, any::<bool>(), any::<bool>()), 1..200),
    ) {
        let mut room = room(threads, reserve);
        let mut in_use: Vec<(Access, Purpose, u32)> = Vec::new();
        let (mut idle, mut made) = (Vec::new(), 0);
        for (step, who, relief, new) in steps {
            let purpose = if relief { Purpose::Relief } else { Purpose::Work };
            let kind = if new { Kind::New } else { Kind::Any };
            if step < 2 {
                let expected = room.has_room(by(&user(who)), purpose, kind);
                let claimed = room.claim(by(&user(who)), purpose, kind, |_| true);
                prop_assert_eq!(claimed.is_some(), expected);
                match claimed {
                    Some(Claim::Link(link)) => {
                        let place = idle.iter().position(|one: &(Access, u32)| one.1 == link).unwrap();
                        prop_assert_eq!(idle.remove(place).0, user(who), "another's link");
                        in_use.push((user(who), purpose, link));
                    }
                    Some(Claim::Dial { closed }) => {
                        idle.retain(|one| !closed.contains(&one.1));
                        made += 1;
                        in_use.push((user(who), purpose, made));
                    }
                    None => {}
                }
            } else if !in_use.is_empty() {
                let (identity, purpose, link) = in_use.remove(usize::from(who) % in_use.len());
                if step == 2 {
                    room.put(by(&identity), purpose, link);
                    idle.push((identity, link));
                } else {
                    room.end(purpose, None);
                }
            }
            let view = room.view();
            prop_assert_eq!(view.links as usize, in_use.len() + idle.len());
            prop_assert_eq!(view.idle as usize, idle.len());
            prop_assert!(view.links <= threads);
            let working = in_use.iter().filter(|one| one.1 == Purpose::Work).count();
            prop_assert!(working <= threads.saturating_sub(reserve) as usize);
        }
    }
}
