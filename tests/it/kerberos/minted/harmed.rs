//! Tokens that were changed on their way, at every place: none lets in anybody but the client whose ticket it is.

use hs2router::fake::sasl::{BAD, OK, START, negotiation};

use super::{NO_LAYER, Scene, offered, verdict};
use crate::support::elsewhere::connect_from_a_new_address;
use crate::support::minted::Mint;

/// Every so many bytes one bit of a first token is changed.
const STEP: usize = 5;

/// What the router says to a first token.
fn said(scene: &Scene, token: &[u8]) -> (u8, String) {
    let mut talk = connect_from_a_new_address(scene.at());
    talk.send(&[negotiation(START, b"GSSAPI"), negotiation(OK, token)].concat());
    let (status, text) = talk.sasl_message().unwrap();
    (status, String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_first_token_with_a_changed_bit_is_refused_wherever_it_matters() {
    let Some(mut scene) = Scene::new("") else { return };
    let length = Mint::of("ann").strike().token.len();
    let mut let_in = Vec::new();
    for at in (0..length).step_by(STEP) {
        let mut token = Mint::of("ann").strike().token;
        token[at] ^= 1 << (at / STEP % 8);
        let (status, text) = said(&scene, &token);
        if status == OK {
            let_in.push(at);
            continue;
        }
        assert_eq!(status, BAD, "{at}: {text}");
        assert!(text.starts_with("hs2router (c") && text.contains("Kerberos: "), "{at}: {text}");
        assert!(text.contains("; "), "{at}: it says what to do: {text}");
        assert!(text.chars().count() < 800 && !text.contains(char::is_control), "{at}: {text}");
    }
    // Nothing signs what stands around the two encrypted parts, such as the type of a name.
    assert!(let_in.len() < 10 && let_in.iter().all(|at| *at < 120), "{let_in:?}");
    scene.stays_sound();
}

#[test]
fn a_first_token_that_is_cut_off_is_refused_wherever_it_ends() {
    let Some(mut scene) = Scene::new("") else { return };
    let token = Mint::of("ann").strike().token;
    for end in (1..token.len()).step_by(2 * STEP) {
        let (status, text) = said(&scene, &token[..end]);
        assert!(
            status == BAD && text.contains("the client must send a ticket of Kerberos 5"),
            "{end}: {text}"
        );
    }
    scene.stays_sound();
}

#[test]
fn a_choice_with_a_changed_bit_is_refused() {
    let Some(mut scene) = Scene::new("") else { return };
    let mut at = 0;
    loop {
        let (talk, mut context) = offered(scene.at(), &Mint::of("ann"));
        let mut choice = context.wrap(&NO_LAYER, 0);
        let Some(byte) = choice.get_mut(at / 8) else { break };
        *byte ^= 1 << (at % 8);
        // A token that is turned by as many bytes as it has, or by a multiple, is the same one.
        let is_same = matches!(at / 8, 6 | 7) && choice[7] % 16 == 0;
        match verdict(talk, &choice) {
            Ok(_) => assert!(is_same, "bit {at}"),
            Err((status, text)) => {
                assert!(status == BAD && text.starts_with("hs2router (c"), "bit {at}: {text}");
                assert!(text.contains("is not signed as it must be"), "bit {at}: {text}");
            }
        }
        at += 3;
    }
    scene.stays_sound();
}

#[test]
fn a_choice_that_is_no_whole_token_is_refused() {
    let Some(mut scene) = Scene::new("") else { return };
    let (_, mut context) = offered(scene.at(), &Mint::of("ann"));
    let whole = context.wrap(&NO_LAYER, 0);
    let other_length = |length: u16| {
        let mut token = whole.clone();
        token[4..6].copy_from_slice(&length.to_be_bytes());
        token
    };
    for choice in [
        Vec::new(),
        vec![5],
        NO_LAYER.to_vec(),
        whole[..15].to_vec(),
        whole[..16].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        [&whole[..], b"x"].concat(),
        [&whole[..], &vec![0; 60 << 10]].concat(),
        other_length(0),
        other_length(11),
        other_length(13),
        other_length(17),
        other_length(0xffff),
        vec![0; 32],
        b"\x60\x06\x06\x04\x2a\x86\x48\x86".to_vec(),
    ] {
        let (talk, _) = offered(scene.at(), &Mint::of("ann"));
        let (status, text) = verdict(talk, &choice).unwrap_err();
        assert_eq!(status, BAD, "{text}");
        assert!(text.starts_with("hs2router (c") && text.len() < 300, "{text}");
        let words = if choice.is_empty() { "has no token" } else { "is not signed as it must be" };
        assert!(text.contains(words), "{text}");
    }
    scene.stays_sound();
}
