//! The same tickets over HTTP, where a login is one token (RFC 4559).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use data_encoding::BASE64;

use super::super::negotiate::{in_spnego, negotiate, post};
use super::Scene;
use crate::support::message::{execute, open_session};
use crate::support::minted::Mint;

/// What proves the router, as it stands in the answer to a request with this token.
fn proof(at: SocketAddr, token: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).unwrap();
    let body = open_session().encode();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n",
        negotiate(token),
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let field = answer.lines().find_map(|line| line.split_once(": Negotiate ")).expect("it proves itself");
    BASE64.decode(field.1.as_bytes()).unwrap()
}

#[test]
fn the_router_proves_itself_to_a_client_over_http() {
    let Some(mut scene) = Scene::new("") else { return };
    let initiator = Mint::of("ann").strike();
    let token = proof(scene.at(), &initiator.token);
    initiator.proven(&token);
    scene.stays_sound();
}

#[test]
fn a_ticket_of_48_kib_gets_in_over_http() {
    let Some(mut scene) = Scene::new("") else { return };
    for groups in [5 << 10, 48 << 10, 65_535 - 800] {
        let token = Mint { groups, ..Mint::of("ann") }.strike().token;
        let answer = post(scene.at(), "/cliservice", &negotiate(&token), &open_session());
        let session = answer.message().handle(&[0, 3]);
        let token = Mint { groups, ..Mint::of("ann") }.strike().token;
        let answer = post(scene.at(), "/", &negotiate(&in_spnego(&token)), &execute(&session, "select 1"));
        assert_eq!(answer.message().status(), Some(0));
    }
    scene.stays_sound();
}

#[test]
fn a_ticket_that_is_longer_than_any_of_windows_is_answered_431() {
    let Some(mut scene) = Scene::new("") else { return };
    let token = Mint { groups: 80 << 10, ..Mint::of("ann") }.strike().token;
    let answer = post(scene.at(), "/", &negotiate(&token), &open_session());
    assert_eq!(answer.status, 431);
    assert!(answer.text().contains("Authorization is longer than 94208 bytes"), "{}", answer.text());
    scene.stays_sound();
}

#[test]
fn what_is_wrong_with_a_ticket_or_a_name_is_told_over_http_too() {
    let Some(mut scene) = Scene::new("") else { return };
    let good = Mint::of("ann");
    let ten_minutes_ago = good.clock - Duration::from_mins(10);
    let expired = Mint { begins: ten_minutes_ago, ends: ten_minutes_ago, ..good.clone() };
    let unknown = Mint { cipher: 99, ..good.clone() };
    let control = Mint { client: vec![b"a\nb".to_vec()], ..good.clone() };
    let used = good.strike().token;
    assert_eq!(post(scene.at(), "/", &negotiate(&used), &open_session()).status, 200);
    for (token, words) in [
        (used, "Request is a replay"),
        (expired.strike().token, "Ticket expired; get a new ticket (kinit)"),
        (unknown.strike().token, "(klist -kte)"),
        (control.strike().token, "has characters that no user's name has"),
    ] {
        let answer = post(scene.at(), "/", &negotiate(&token), &open_session());
        let text = answer.text();
        assert!(text.starts_with("hs2router (c") && text.contains(words), "{words}: {text}");
        assert!(answer.status == 401 && answer.cookies.is_empty(), "{answer:?}");
    }
    scene.stays_sound();
}
