use proptest::prelude::*;

use super::*;
use crate::wire::frame::header;
use crate::wire::thrift::MessageType;
use crate::wire::write::{ExceptionKind, Writer, application_exception};

fn framed(payload: &[u8]) -> Vec<u8> {
    [header(payload.len()).unwrap().as_slice(), payload].concat()
}

fn call(name: &str, seqid: i32) -> Vec<u8> {
    let call = Writer::message(MessageType::Call, name.as_bytes(), seqid, |arguments| {
        arguments.structure(1, |request| {
            request.structure(1, |session| {
                session.structure(1, |id| {
                    id.string(1, &[7; 16]);
                    id.string(2, &[8; 16]);
                });
            });
            request.string(2, b"select 1");
        });
    });
    call.to_vec()
}

fn reply(name: &str, seqid: i32) -> Vec<u8> {
    let reply = Writer::message(MessageType::Reply, name.as_bytes(), seqid, |result| {
        result.structure(0, |reply| reply.structure(1, |status| status.i32(1, 0)));
    });
    reply.to_vec()
}

/// What was heard, in order: the calls by their names, the replies by the numbers that were kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    calls: Vec<String>,
    replies: Vec<(i32, Option<i32>)>,
}

/// Pushes both streams in pieces, the coordinator's after the client's.
fn hear(client: &[&[u8]], coordinator: &[&[u8]]) -> Result<(Heard, bool), LostTrack> {
    let (mut dialogue, mut heard) = (Dialogue::default(), Heard::default());
    for piece in client {
        dialogue.hear_client(piece, |method, request| {
            assert_eq!(request.name.as_bytes() == method.name.as_bytes(), method.name != "unknown");
            heard.calls.push(String::from_utf8_lossy(request.name.as_bytes()).into_owned());
            request.seqid
        })?;
    }
    for piece in coordinator {
        dialogue.hear_coordinator(piece, |asked, reply| {
            assert_eq!((asked.kept, &asked.request.name), (reply.seqid, &reply.name));
            heard.replies.push((asked.kept, reply.status));
        })?;
    }
    Ok((heard, dialogue.is_idle()))
}

const NAMES: [&str; 3] = ["ExecuteStatement", "GetOperationStatus", "NobodyKnowsThis"];

fn calls() -> Vec<Vec<u8>> {
    NAMES.iter().zip(1..).map(|(name, seqid)| call(name, seqid)).collect()
}

fn replies() -> Vec<Vec<u8>> {
    NAMES.iter().zip(1..).map(|(name, seqid)| reply(name, seqid)).collect()
}

fn expected() -> Heard {
    let calls = NAMES.iter().map(|name| (*name).to_owned()).collect();
    Heard { calls, replies: (1..=3).map(|seqid| (seqid, Some(0))).collect() }
}

#[test]
fn calls_meet_their_replies_however_the_streams_are_cut_in_two() {
    let client: Vec<u8> = calls().iter().flat_map(|call| framed(call)).collect();
    let coordinator: Vec<u8> = replies().iter().flat_map(|reply| framed(reply)).collect();
    for cut in 0..=client.len().max(coordinator.len()) {
        let (asks, more) = client.split_at(cut.min(client.len()));
        let (says, rest) = coordinator.split_at(cut.min(coordinator.len()));
        assert_eq!(hear(&[asks, more], &[says, rest]), Ok((expected(), true)), "cut at {cut}");
    }
}

#[test]
fn messages_need_not_end_where_frames_do() {
    let one = (framed(&calls().concat()), framed(&replies().concat()));
    assert_eq!(hear(&[&one.0], &[&one.1]), Ok((expected(), true)));
    for size in [1, 3, 40] {
        let client: Vec<u8> = calls().concat().chunks(size).flat_map(framed).collect();
        let coordinator: Vec<u8> = replies().concat().chunks(size).flat_map(framed).collect();
        assert_eq!(hear(&[&client], &[&coordinator]), Ok((expected(), true)), "frames of {size}");
    }
}

#[test]
fn every_prefix_is_waited_for_and_is_not_idle() {
    let (client, coordinator) = (framed(&call("GetInfo", 1)), framed(&reply("GetInfo", 1)));
    for end in 1..client.len() {
        let (heard, idle) = hear(&[&client[..end]], &[]).unwrap();
        assert!(!idle && heard == Heard::default(), "{end}");
    }
    for end in 0..coordinator.len() {
        let (heard, idle) = hear(&[&client], &[&coordinator[..end]]).unwrap();
        assert!(!idle && heard.replies.is_empty(), "{end}");
    }
    assert!(hear(&[], &[]).unwrap().1);
}

#[test]
fn an_exception_is_a_reply() {
    let client = framed(&call("NobodyKnowsThis", 5));
    let thrown = application_exception(b"NobodyKnowsThis", 5, ExceptionKind::UnknownMethod, "no");
    let (heard, idle) = hear(&[&client], &[&framed(&thrown)]).unwrap();
    assert!(idle && heard.replies == [(5, None)], "{heard:?}");
}

#[test]
fn what_is_no_dialogue_is_lost_track_of() {
    let (asks, says) = (framed(&call("GetInfo", 1)), framed(&reply("GetInfo", 1)));
    let mistyped = Writer::message(MessageType::Call, b"OpenSession", 1, |arguments| {
        arguments.structure(1, |request| request.string(4, b"placeholder"));
    });
    // A map from bytes to bytes, where one from strings to strings belongs.
    let text = b"\x0b\0\x04\0\0\0\x0bplaceholder";
    let at = mistyped.windows(text.len()).position(|window| window == text).unwrap();
    let map = b"\x0d\0\x04\x03\x03\0\0\0\x01\0\0";
    let mistyped = [&mistyped[..at], map, &mistyped[at + text.len()..]].concat();
    let cases: [(&[u8], &[u8], LostTrack); 6] = [
        (b"\0\0\0\0", b"", FrameError::ZeroLength.into()),
        (b"\xff\xff\xff\xff", b"", FrameError::Negative { len: -1 }.into()),
        (&framed(b"\x05\x04\x02\xff"), b"", ScanError::NotStrict { word: 0x0504_02ff }.into()),
        (
            &framed(&mistyped),
            b"",
            LostTrack::Mistyped { method: "OpenSession", field: Strings::Configuration },
        ),
        (b"", &says, LostTrack::Unasked),
        (&asks, &framed(&reply("GetInfo", 2)), LostTrack::OtherCall { seqid: 2 }),
    ];
    for (client, coordinator, error) in cases {
        assert_eq!(hear(&[client], &[coordinator]), Err(error));
    }
    assert_eq!(
        hear(&[&asks], &[&framed(&reply("GetTables", 1))]),
        Err(LostTrack::OtherCall { seqid: 1 }),
        "another name"
    );
    let many = asks.repeat(UNANSWERED_LIMIT);
    assert!(hear(&[&many], &[]).is_ok());
    assert_eq!(hear(&[&many, &asks], &[]), Err(LostTrack::TooMany));
}

proptest! {
    #[test]
    fn random_cuts_change_nothing(sizes in prop::collection::vec(1_usize..60, 1..30), frame in 1_usize..200) {
        let client: Vec<u8> = calls().concat().chunks(frame).flat_map(framed).collect();
        let coordinator: Vec<u8> = replies().concat().chunks(frame).flat_map(framed).collect();
        let cut = |stream: &[u8]| {
            let (mut rest, mut pieces) = (stream.to_vec(), Vec::new());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let after = rest.split_off((*size).min(rest.len()));
                pieces.push(std::mem::replace(&mut rest, after));
            }
            pieces
        };
        let (client, coordinator) = (cut(&client), cut(&coordinator));
        let client: Vec<&[u8]> = client.iter().map(Vec::as_slice).collect();
        let coordinator: Vec<&[u8]> = coordinator.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(hear(&client, &coordinator), Ok((expected(), true)));
    }

    #[test]
    fn arbitrary_bytes_end_alike_however_they_are_cut(
        begin in 0_usize..400,
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let client: Vec<u8> = calls().iter().flat_map(|call| framed(call)).collect();
        let stream = [&client[..begin.min(client.len())], &noise].concat();
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(hear(&[&stream], &[]), hear(&single, &[]));
    }
}
