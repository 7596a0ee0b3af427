//! Tickets that no KDC gives out, or that are used as they must not be: each is refused with a text that says what
//! to do, and costs one connection.

use std::time::Duration;

use hs2router::fake::sasl::{BAD, ERROR, OK, START, negotiation};

use super::super::input::refusal;
use super::{NO_LAYER, Scene, log_in, offered, verdict};
use crate::support::kdc;
use crate::support::minted::{Mint, Service, fresh_key};
use crate::support::router::eventually;
use crate::support::talk::Talk;

const MINUTE: Duration = Duration::from_mins(1);

/// Ten minutes, where five are allowed.
const TOO_MUCH: Duration = Duration::from_mins(10);

#[test]
fn a_ticket_out_of_its_time_or_under_another_key_is_refused_with_what_to_do() {
    let Some(mut scene) = Scene::new("") else { return };
    let good = Mint::of("ann");
    let of = |change: fn(&mut Mint)| {
        let mut mint = good.clone();
        change(&mut mint);
        mint
    };
    let by_ntp = "Clock skew too great; set the clocks of client, router and KDC by NTP";
    let compare =
        "compare the name that the client asks for (klist) with those in the router's keytab (klist -kte)";
    for (mint, words) in [
        (
            of(|mint| (mint.begins, mint.ends) = (mint.begins - 60 * MINUTE, mint.clock - TOO_MUCH)),
            &["Ticket expired; get a new ticket (kinit)"][..],
        ),
        (
            of(|mint| mint.begins = mint.clock + TOO_MUCH),
            &["Ticket not yet valid; set the clocks of client, router and KDC by NTP"],
        ),
        (of(|mint| mint.clock -= TOO_MUCH), &[by_ntp]),
        (of(|mint| mint.clock += TOO_MUCH), &[by_ntp]),
        (of(|mint| mint.cipher = 99), &["enctype", compare]),
        (of(|mint| mint.cipher = 23), &["enctype", compare]),
        (of(|mint| mint.service.key = fresh_key()), &["impala/localhost@TEST kvno 1", compare]),
        (
            of(|mint| (mint.service.version, mint.service.key) = (7, fresh_key())),
            &["impala/localhost@TEST kvno 7 not found in keytab", compare],
        ),
        (
            of(|mint| (mint.service.name[1], mint.service.key) = ("elsewhere".into(), fresh_key())),
            &["impala/elsewhere@TEST", compare],
        ),
    ] {
        let (status, text) = refusal(scene.at(), &mint.strike().token);
        assert_eq!(status, BAD);
        assert!(text.starts_with("hs2router (c"), "{text}");
        assert!(words.iter().all(|words| text.contains(words)), "{words:?}: {text}");
        let id = text.split(['(', ')']).nth(1).unwrap();
        assert!(eventually(|| scene.router.has_logged(id)));
    }
    scene.stays_sound();
}

#[test]
fn a_listener_with_a_principal_takes_tickets_for_no_other_service_of_the_keytab() {
    let hive = || Mint { service: Service::of(&kdc::shared().keytab(), "hive/localhost"), ..Mint::of("ann") };
    let mut in_disguise = hive();
    in_disguise.service.name[0] = "impala".into();
    let mut misnumbered = Mint::of("ann");
    misnumbered.service.version += 1;
    let Some(mut any) = Scene::new("") else { return };
    let mut one = Scene::new("principal = \"impala/localhost@TEST\"").unwrap();
    for (mint, words) in [
        (hive(), "hive/localhost@TEST"),
        (in_disguise, "Cannot decrypt ticket for impala/localhost@TEST"),
        (misnumbered, "Cannot find key for impala/localhost@TEST kvno 2 in keytab"),
    ] {
        // Without a principal, any key that opens it will do.
        log_in(any.at(), &mint);
        let (status, text) = refusal(one.at(), &mint.strike().token);
        assert!(status == BAD && text.contains("with those in the router's keytab (klist -kte)"), "{text}");
        assert!(text.contains(words), "{text}");
    }
    any.stays_sound();
    one.stays_sound();
}

#[test]
fn a_token_that_was_used_is_of_no_use_to_another() {
    let Some(mut scene) = Scene::new("") else { return };
    for mint in [Mint::of("ann"), Mint { is_mutual: false, ..Mint::of("ann") }] {
        let first = mint.strike();
        let mut talk = Talk::connect(scene.at());
        talk.send(&[negotiation(START, b"GSSAPI"), negotiation(OK, &first.token)].concat());
        assert_eq!(talk.sasl_message().unwrap().0, OK);
        let (status, text) = refusal(scene.at(), &first.token);
        assert_eq!(status, BAD);
        assert!(text.contains("Request is a replay; make a new token for each connection"), "{text}");
    }
    // The same ticket with a new authenticator is a client that connects again.
    scene.stays_sound();
}

#[test]
fn a_token_that_is_longer_than_any_of_windows_is_refused_by_its_length() {
    let Some(mut scene) = Scene::new("") else { return };
    let mint = Mint { groups: 80 << 10, ..Mint::of("ann") };
    let (status, text) = refusal(scene.at(), &mint.strike().token);
    assert!(status == ERROR && text.contains("exceeds 69632"), "{text}");
    scene.stays_sound();
}

#[test]
fn a_choice_of_a_layer_or_of_another_user_is_refused_with_what_to_do() {
    let Some(mut scene) = Scene::new("") else { return };
    let layer = "the client demands a security layer of SASL (auth-int or auth-conf)";
    let other = "the SASL authorization id differs from the principal of the ticket; leave it out";
    for (choice, words) in [
        (&b"\x02\0\0\0"[..], layer),
        (b"\x04\0\0\0", layer),
        (b"\x06\0\xff\xff", layer),
        (b"\x07\0\0\0ann@TEST", layer),
        (b"\x01\0\0\0ann", other),
        (b"\x01\0\0\0bob@TEST", other),
        (b"\x01\0\0\0ann@TEST\0", "the authorization id is no name"),
        (b"\x01\0\0\0\xff\xfe", "the authorization id is no name"),
        (b"\x01\0\0", "the choice of a layer has 3 bytes, and not at least 4"),
        (b"", "the choice of a layer has 0 bytes, and not at least 4"),
    ] {
        for right in [0, 28] {
            let (talk, mut context) = offered(scene.at(), &Mint::of("ann"));
            let (status, text) = verdict(talk, &context.wrap(choice, right)).unwrap_err();
            assert!(status == BAD && text.starts_with("hs2router (c"), "{text}");
            assert!(text.contains(words), "{choice:?}: {text}");
        }
    }
    scene.stays_sound();
}

#[test]
fn a_choice_for_another_connection_or_out_of_turn_is_refused() {
    let Some(mut scene) = Scene::new("") else { return };
    let (first, mut context) = offered(scene.at(), &Mint::of("ann"));
    let (second, _) = offered(scene.at(), &Mint::of("ann"));
    let token = context.wrap(&NO_LAYER, 0);
    let (status, text) = verdict(second, &token).unwrap_err();
    assert!(status == BAD && text.contains("or is another connection's"), "{text}");
    let later = context.wrap(&NO_LAYER, 0);
    let (status, text) = verdict(first, &later).unwrap_err();
    assert!(status == BAD && text.contains("or is another connection's"), "{text}");
    scene.stays_sound();
}
