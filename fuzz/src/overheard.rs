//! Connections that only pass by.

use hs2router::wire::dialogue::{Dialogue, LostTrack};
use hs2router::wire::facts::Facts;
use hs2router::wire::sasl::SaslError;
use hs2router::wire::sasl::gssapi::{Choice, Handshake, Peer, Stage, unsealed};

use super::Recipe;

/// A handshake of GSSAPI, and calls and replies behind it, are heard alike however both sides were cut, and
/// nothing that is in a token is longer than the token.
///
/// The stream is both sides': how many bytes of it are the client's (two bytes), those, and the coordinator's.
pub fn overheard(input: &[u8]) {
    let recipe = Recipe::read(input);
    let (length, both) = recipe.stream.split_first_chunk::<2>().unwrap_or((&[0; 2], &[]));
    let client = both.get(..usize::from(u16::from_be_bytes(*length))).unwrap_or(both);
    let coordinator = both.get(client.len()..).unwrap_or_default();
    if let Ok(inside) = unsealed(client) {
        assert!(inside.len() <= client.len());
    }
    let whole = hear(&[client], &[coordinator]);
    let side = |stream| Recipe::of(stream, &recipe.cuts);
    for (client, coordinator) in side(client).pieces().iter().zip(side(coordinator).pieces()) {
        assert!(whole == hear(client, &coordinator), "heard otherwise in pieces");
    }
}

/// All that was heard.
#[derive(PartialEq, Eq)]
struct Heard {
    handshake: Result<(Stage, Option<Choice>), SaslError>,
    calls: Vec<Facts>,
    replies: Vec<(Facts, Facts)>,
    lost: Option<LostTrack>,
}

fn hear(client: &[&[u8]], coordinator: &[&[u8]]) -> Heard {
    let mut heard =
        Heard { handshake: Ok((Stage::Complete, None)), calls: vec![], replies: vec![], lost: None };
    let mut handshake = Handshake::default();
    let mut rests = Vec::new();
    for (peer, pieces) in [(Peer::Client, client), (Peer::Coordinator, coordinator)] {
        let mut rest = Vec::new();
        for piece in pieces {
            match handshake.push(peer, piece) {
                Ok(used) => rest.push(piece.get(used..).unwrap_or_default()),
                Err(error) => return Heard { handshake: Err(error), ..heard },
            }
        }
        rests.push(rest);
    }
    heard.handshake = Ok((handshake.stage(), handshake.choice().cloned()));
    let mut dialogue = Dialogue::default();
    let [client, coordinator] = rests.as_slice() else { return heard };
    let Heard { calls, replies, .. } = &mut heard;
    let asked = client
        .iter()
        .try_for_each(|piece| dialogue.hear_client(piece, |_, request| calls.push(request.clone())));
    let answered = asked.and_then(|()| {
        coordinator.iter().try_for_each(|piece| {
            dialogue.hear_coordinator(piece, |asked, reply| replies.push((asked.request, reply.clone())))
        })
    });
    heard.lost = answered.err();
    heard
}
