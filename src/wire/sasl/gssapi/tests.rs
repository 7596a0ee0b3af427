use proptest::prelude::*;

use super::*;
use crate::wire::sasl::message::{SaslError, Status, encode};

/// The wrap tokens of captured handshakes: what beeline chose, what impyla chose, and what Spark offered.
const BEELINE_CHOSE: &[u8] = b"\x05\x04\0\xff\0\x0c\0\0\0\0\0\0\x17\xff\x86\x6f\x01\0\0\0\x7f\x7b\x0e\xfc\x57\x28\x23\x38\xe4\xda\xa8\xaa";
const IMPYLA_CHOSE: &[u8] = b"\x05\x04\0\xff\0\x0c\0\0\0\0\0\0\x0b\x81\xfc\x5b\x01\x01\0\0\x75\x31\x40\x4c\x41\x42\x35\xa1\xb1\xe2\x1f\x2e\x18\x6f\xfe\xd6\x70\xc7";
const SPARK_OFFERED: &[u8] = b"\x05\x04\x01\xff\0\x0c\0\0\0\0\0\0\x29\x5a\x5a\xb7\x01\x01\0\0\x4a\x4f\x46\xe8\x0c\x53\x8b\x18\xc3\x7e\x12\xb8";
const SPARK_OFFERED_CONF: &[u8] = b"\x05\x04\x01\xff\0\x0c\0\0\0\0\0\0\x0c\xcc\x9f\xc5\x04\x01\0\0\x10\x5a\x5d\x85\x08\xb7\x6f\xab\xab\x13\x88\xa1";

const NO_LAYER: Layers = Layers(1);

/// A token of RFC 4121 with a checksum of 12 bytes.
fn wrapped(data: &[u8], right: u16) -> Vec<u8> {
    let mut rest = [data, b"checksum-012".as_slice()].concat();
    let turn = usize::from(right) % rest.len();
    rest.rotate_right(turn);
    let mut token = b"\x05\x04\0\xff\0\x0c".to_vec();
    token.extend_from_slice(&right.to_be_bytes());
    token.extend_from_slice(&[0; 8]);
    token.extend_from_slice(&rest);
    token
}

/// A token of RFC 1964 with this algorithm for its checksum.
fn wrapped_of_old(data: &[u8], algorithm: u8, checksum: usize) -> Vec<u8> {
    let padding = 8 - data.len() % 8;
    let mut inside = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02\x01".to_vec();
    inside.extend_from_slice(&[algorithm, 0, 0xff, 0xff, 0xff, 0xff]);
    inside.extend_from_slice(&vec![7; 8 + checksum + 8]);
    inside.extend_from_slice(data);
    inside.extend(std::iter::repeat_n(u8::try_from(padding).unwrap(), padding));
    let mut token = vec![0x60];
    match u8::try_from(inside.len()).unwrap() {
        short @ 0..0x80 => token.push(short),
        long => token.extend_from_slice(&[0x81, long]),
    }
    token.extend_from_slice(&inside);
    token
}

/// Who says what in a handshake.
type Talk = Vec<(Peer, Vec<u8>)>;

fn says(from: Peer, status: Status, payload: &[u8]) -> (Peer, Vec<u8>) {
    (from, encode(status, payload).to_vec())
}

/// A handshake with mutual authentication, in which the client ends with this token.
fn talk(ticket: usize, end: Status, choice: &[u8]) -> Talk {
    use Peer::{Client, Coordinator};
    vec![
        says(Client, Status::Start, b"GSSAPI"),
        says(Client, Status::Ok, &vec![0x60; ticket]),
        says(Coordinator, Status::Ok, &[0x60; 108]),
        says(Client, Status::Ok, b""),
        says(Coordinator, Status::Ok, SPARK_OFFERED),
        says(Client, end, choice),
        says(Coordinator, Status::Complete, b""),
    ]
}

/// The same handshake, in which the bytes of each message come in pieces.
fn watch(talk: &[(Peer, Vec<u8>)], pieces: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> Handshake {
    let mut handshake = Handshake::default();
    for (from, message) in talk {
        for piece in pieces(message) {
            assert_eq!(handshake.push(*from, &piece), Ok(piece.len()));
        }
    }
    handshake
}

#[test]
fn the_choices_of_real_clients_are_read() {
    for (token, id) in [(BEELINE_CHOSE, None), (IMPYLA_CHOSE, Some("u1@LAB"))] {
        let choice = Choice::read(&unsealed(token).unwrap()).unwrap();
        assert_eq!(choice.authorization_id.as_deref(), id);
        assert!(choice.layers.are_none());
    }
    assert_eq!(*unsealed(SPARK_OFFERED).unwrap(), [1, 1, 0, 0]);
    assert_eq!(*unsealed(SPARK_OFFERED_CONF).unwrap(), [4, 1, 0, 0]);
}

#[test]
fn a_turned_token_holds_what_it_held_before() {
    for data in [b"\x01\0\0\0".as_slice(), b"\x01\0\0\0alice@EXAMPLE.COM"] {
        // 12 and 28 are what Windows turns by; 0xffff is more than there is.
        for right in [0, 1, 12, 16, 28, 0xffff] {
            assert_eq!(*unsealed(&wrapped(data, right)).unwrap(), *data, "turned by {right}");
        }
    }
}

#[test]
fn tokens_of_rfc_1964_are_read_whatever_their_checksum() {
    for data in [b"\x01\0\0\0".as_slice(), b"\x01\0\0\0alice@E", &[b'x'; 200]] {
        for (algorithm, checksum) in [(0, 8), (4, 20), (0x11, 8)] {
            let data = data.get(..if checksum == 20 { data.len().min(60) } else { data.len().min(180) });
            let token = wrapped_of_old(data.unwrap(), algorithm, checksum);
            assert_eq!(*unsealed(&token).unwrap(), *data.unwrap());
        }
    }
    let mut sealed = wrapped_of_old(b"\x01\0\0\0", 0, 8);
    sealed[17] = 0;
    assert_eq!(unsealed(&sealed), Err(TokenError::Sealed));
}

#[test]
fn no_part_of_a_token_is_taken_for_a_whole_one() {
    for token in [wrapped(b"\x01\0\0\0", 0), wrapped_of_old(b"\x01\0\0\0", 0, 8)] {
        for end in 0..token.len() {
            let part = unsealed(&token[..end]).map(|data| Choice::read(&data));
            assert!(!matches!(part, Ok(Ok(choice)) if choice.authorization_id.is_some()), "{end}");
        }
    }
    for (token, error) in [
        (b"\x60\x03\x06\x01\x02".to_vec(), TokenError::Malformed),
        (wrapped_of_old(b"", 0, 8)[..20].to_vec(), TokenError::NotWrapped),
        (b"\x05\x04\0\xff\0\x0c\0\0\0\0\0\0\0\0\0\0short".to_vec(), TokenError::Malformed),
        (b"\x05\x04\0\x00\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), TokenError::Malformed),
        (b"\x05\x04\x02\xff\0\0\0\0\0\0\0\0\0\0\0\0secret".to_vec(), TokenError::Sealed),
        (b"\x05\x05".to_vec(), TokenError::NotWrapped),
        (Vec::new(), TokenError::NotWrapped),
    ] {
        assert_eq!(unsealed(&token), Err(error), "{token:?}");
    }
    assert!(unsealed(b"\x05\x04\0\xff\0\0\0\x07\0\0\0\0\0\0\0\0").unwrap().is_empty(), "turned, but empty");
}

#[test]
fn a_choice_is_refused_that_no_name_comes_of() {
    assert_eq!(Choice::read(&[1, 0, 0]), Err(ChoiceError::TooShort { len: 3 }));
    for id in [b"a\0b".as_slice(), b"\xff", &[b'a'; AUTHORIZATION_ID_LIMIT + 1]] {
        assert_eq!(Choice::read(&[[1, 0, 0, 0].as_slice(), id].concat()), Err(ChoiceError::AuthorizationId));
    }
    for (bits, none, word) in
        [(0, true, "auth"), (1, true, "auth"), (2, false, "auth-int"), (7, false, "auth-conf")]
    {
        let layers = Choice::read(&[bits, 0, 0, 0]).unwrap().layers;
        assert_eq!((layers.are_none(), layers.as_str()), (none, word));
    }
}

#[test]
fn a_handshake_is_followed_however_its_messages_are_cut() {
    for (end, choice, id) in
        [(Status::Ok, IMPYLA_CHOSE, Some("u1@LAB")), (Status::Complete, BEELINE_CHOSE, None)]
    {
        let talk = talk(680, end, choice);
        let longest = talk.iter().map(|(_, message)| message.len()).max().unwrap();
        for cut in 0..=longest {
            let pieces = |message: &[u8]| {
                let (front, back) = message.split_at(cut.min(message.len()));
                vec![front.to_vec(), back.to_vec()]
            };
            let handshake = watch(&talk, pieces);
            assert_eq!(handshake.stage(), Stage::Complete);
            let expected = Choice { layers: NO_LAYER, authorization_id: id.map(Into::into) };
            assert_eq!(handshake.choice(), Some(&expected));
        }
    }
}

#[test]
fn each_message_says_whose_turn_it_is() {
    let turns = [Peer::Client, Peer::Coordinator, Peer::Client, Peer::Coordinator, Peer::Client];
    let mut handshake = Handshake::default();
    let talk = talk(64 << 10, Status::Ok, IMPYLA_CHOSE);
    for (at, (from, message)) in talk.iter().enumerate() {
        handshake.push(*from, message).unwrap();
        let expected = match at {
            5 => Stage::UnderWay(Peer::Coordinator),
            6 => Stage::Complete,
            at => Stage::UnderWay(turns[at]),
        };
        assert_eq!(handshake.stage(), expected, "after {at}");
        assert_eq!(handshake.has_first_token(), at >= 1);
    }
}

#[test]
fn frames_behind_a_handshake_are_left_to_the_caller() {
    let mut handshake = Handshake::default();
    let talk = talk(680, Status::Ok, IMPYLA_CHOSE);
    for (from, message) in &talk[..5] {
        handshake.push(*from, message).unwrap();
    }
    let frame = b"\0\0\0\x10\x80\x01\0\x01";
    // A client that does not wait for the verdict.
    let last = &talk[5].1;
    assert_eq!(handshake.push(Peer::Client, &[last.as_slice(), frame].concat()), Ok(last.len()));
    assert_eq!(handshake.push(Peer::Client, frame), Ok(0));
    let complete = &talk[6].1;
    assert_eq!(handshake.push(Peer::Coordinator, &[complete.as_slice(), frame].concat()), Ok(complete.len()));
    assert_eq!(handshake.push(Peer::Client, frame), Ok(0));
}

#[test]
fn a_choice_that_cannot_be_read_is_none_and_the_verdict_still_counts() {
    let sealed = b"\x05\x04\x02\xff\0\0\0\0\0\0\0\0\0\0\0\0secret";
    for choice in [sealed.as_slice(), b"\x05\x04", b"something else", &[5; KEPT_MORE]] {
        let handshake = watch(&talk(680, Status::Ok, choice), |message| vec![message.to_vec()]);
        assert_eq!((handshake.stage(), handshake.choice()), (Stage::Complete, None));
    }
}

/// More than is kept of a message.
const KEPT_MORE: usize = 4096;

#[test]
fn a_refusal_of_either_side_ends_it() {
    for (at, from) in [(2, Peer::Coordinator), (4, Peer::Coordinator), (5, Peer::Client)] {
        for status in [Status::Bad, Status::Error] {
            let mut handshake = Handshake::default();
            for (from, message) in &talk(680, Status::Ok, IMPYLA_CHOSE)[..at] {
                handshake.push(*from, message).unwrap();
            }
            handshake.push(from, &encode(status, b"no")).unwrap();
            assert_eq!(handshake.stage(), Stage::Refused(from));
            assert_eq!(handshake.push(Peer::Client, b"\x02"), Ok(0));
        }
    }
}

#[test]
fn what_is_no_handshake_of_gssapi_is_an_error() {
    let start = encode(Status::Start, b"GSSAPI").to_vec();
    let token = encode(Status::Ok, &[0x60; 680]).to_vec();
    let long = [start.as_slice(), b"\x02\xff\xff\xff\xff"].concat();
    let out_of_place = |seen| SaslError::OutOfPlace { seen };
    let too_long = SaslError::TooLong { len: u32::MAX as usize, limit: TOKEN_LIMIT };
    let many = [start.clone(), encode(Status::Ok, b"").repeat(8)].concat();
    let cases: [(Peer, &[u8], SaslError); 7] = [
        (Peer::Client, &encode(Status::Start, b"PLAIN"), SaslError::OtherMechanism),
        (Peer::Client, &token, out_of_place(Status::Ok)),
        (Peer::Client, &start.repeat(2), out_of_place(Status::Start)),
        (Peer::Client, &long, too_long),
        (Peer::Client, &many, SaslError::TooManyMessages { limit: 8 }),
        (Peer::Client, b"\x80", SaslError::UnknownStatus { byte: 0x80 }),
        (Peer::Coordinator, &encode(Status::Complete, b""), out_of_place(Status::Complete)),
    ];
    for (from, bytes, error) in cases {
        assert_eq!(Handshake::default().push(from, bytes), Err(error));
    }
}

#[test]
fn a_first_frame_tells_whether_a_layer_protects_it() {
    for (first, expected) in
        [(b"\x05\x04\x02\xff", true), (b"\x05\x04\0\xff", true), (b"\x60\x82\x01\0", true)]
    {
        assert_eq!(is_wrapped(*first), expected);
    }
    assert!(!is_wrapped([0x80, 1, 0, 1]) && !is_wrapped([0x05, 0x05, 0, 0]));
}

proptest! {
    #[test]
    fn random_cuts_change_nothing(
        ticket in 0_usize..2_000,
        id in "[a-z@/.A-Z]{0,40}",
        right in any::<u16>(),
        cuts in prop::collection::vec(1_usize..300, 1..20),
    ) {
        let choice = [[1, 0, 0, 0].as_slice(), id.as_bytes()].concat();
        let talk = talk(ticket, Status::Ok, &wrapped(&choice, right));
        let handshake = watch(&talk, |message| {
            let mut rest = message;
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece.to_vec());
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            pieces
        });
        prop_assert_eq!(handshake.stage(), Stage::Complete);
        let expected = (!id.is_empty()).then(|| id.as_str().into());
        prop_assert_eq!(handshake.choice(), Some(&Choice { layers: NO_LAYER, authorization_id: expected }));
    }

    #[test]
    fn arbitrary_tokens_are_read_or_refused(token in prop::collection::vec(any::<u8>(), 0..200)) {
        for begin in [[].as_slice(), b"\x05\x04", b"\x60\x30\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02\x01"] {
            let token = [begin, token.as_slice()].concat();
            if let Ok(inside) = unsealed(&token) {
                prop_assert!(inside.len() <= token.len());
            }
        }
    }

    #[test]
    fn arbitrary_bytes_end_alike_however_they_are_cut(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let stream = [b"\x01\0\0\0\x06GSSAPI".as_slice(), &bytes].concat();
        let mut whole = Handshake::default();
        let all = whole.push(Peer::Client, &stream);
        let mut single = Handshake::default();
        let mut used = 0;
        let one = stream.iter().try_for_each(|byte| single.push(Peer::Client, &[*byte]).map(|one| used += one));
        prop_assert_eq!(all, one.map(|()| used));
        prop_assert_eq!(whole.stage(), single.stage());
        prop_assert_eq!(whole.choice(), single.choice());
    }
}
