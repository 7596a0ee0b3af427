//! Names in tickets that are good: what can be a user's name is one everywhere, and what cannot is refused.

use hs2router::fake::sasl::{BAD, ERROR};
use serde_json::Value as Json;

use super::super::input::refusal;
use super::{NO_LAYER, Scene, is_user, log_in, offered, verdict};
use crate::admin::ask_at;
use crate::support::minted::Mint;

/// A ticket for a client with these parts in its name.
fn named(parts: &[&[u8]]) -> Mint {
    Mint { client: parts.iter().map(|part| part.to_vec()).collect(), ..Mint::of("") }
}

/// What the router says to somebody with such a ticket, after the whole handshake.
fn refused(scene: &Scene, mint: &Mint) -> String {
    let (talk, mut context) = offered(scene.at(), mint);
    let Err((status, text)) = verdict(talk, &context.wrap(&NO_LAYER, 0)) else {
        panic!("{} gets in", String::from_utf8_lossy(&mint.client.join(&b'/')));
    };
    assert_eq!(status, BAD);
    assert!(text.starts_with("hs2router (c") && text.chars().count() < 800, "{text}");
    assert!(!text.contains(char::is_control), "{text:?}");
    text
}

#[test]
fn what_cannot_be_a_users_name_is_refused_as_that() {
    let Some(mut scene) = Scene::new("") else { return };
    for name in [
        &b"a\0b"[..],
        b"ann\0",
        b"a\nb",
        b"a\r\nlevel=error forged",
        b"a\tb",
        b"a\x08b",
        b"a\x1b[2Jb",
        b"a\x7fb",
        b"a b",
        b"a@b",
        b"a/b",
        b"a\\b",
        "a\u{85}b".as_bytes(),
        "a\u{202e}b".as_bytes(),
        b"",
        &[b'a'; 2000],
    ] {
        let text = refused(&scene, &named(&[name]));
        let words = "has characters that no user's name has";
        assert!(text.contains("is not accepted") && text.contains(words), "{name:?}: {text}");
    }
    assert!(refused(&scene, &named(&[b"a\xff"])).contains("the principal is no text"));
    assert!(refused(&scene, &named(&[b"WELLKNOWN", b"ANONYMOUS"])).contains("it is no user's"));
    let of_realm = |realm: &str| Mint { realm: realm.into(), ..Mint::of("ann") };
    assert!(refused(&scene, &of_realm("TEST\0")).contains("has characters that no user's name has"));
    assert!(refused(&scene, &of_realm("OTHER")).contains("its realm is not among"));
    let lines = scene.router.log.lock().clone();
    assert!(lines.iter().all(|line| !line.starts_with("level=error") && !line.contains('\u{1b}')));
    scene.stays_sound();
}

#[test]
fn whatever_can_be_a_users_name_is_the_same_in_the_session_and_in_json() {
    let Some(mut scene) = Scene::new("") else { return };
    for name in ["ann", "a\"b", "a'b", "<b>", "{}", "a,b;c=d", "%00", "$(x)", "müller", "龍", "a*", "-", "."]
    {
        let mut client = log_in(scene.at(), &named(&[name.as_bytes(), b"host"]));
        let session = client.open();
        assert!(is_user(&mut client, &session, name), "{name}");
        let (_, body) = ask_at(scene.router.admin, "GET /api/v1/sessions", "");
        let listed: Json = serde_json::from_str(&body).unwrap();
        let users: Vec<_> = listed["sessions"].as_array().unwrap().iter().map(|one| &one["user"]).collect();
        assert!(users.contains(&&Json::from(format!("{name}/host@TEST"))), "{name}: {users:?}");
    }
    scene.stays_sound();
}

#[test]
fn a_name_that_fills_its_ticket_is_refused_and_is_not_repeated_whole() {
    let Some(mut scene) = Scene::new("") else { return };
    // It stands in the ticket and in the authenticator, so this is the longest that fits into a token.
    let longest = vec![b'a'; 30 << 10];
    let text = refused(&scene, &named(&[&longest]));
    assert!(text.contains("its principal is longer than 1024 bytes"), "{text}");
    let (status, text) = refusal(scene.at(), &named(&[&vec![b'a'; 60 << 10]]).strike().token);
    assert!(status == ERROR && text.contains("exceeds 69632"), "{text}");
    assert!(scene.router.log.lock().iter().all(|line| line.len() < 4000));
    scene.stays_sound();
}
