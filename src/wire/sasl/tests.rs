use proptest::prelude::*;

use super::mechanism::Plain;
use super::*;

const START_PLAIN: &[u8] = b"\x01\0\0\0\x05PLAIN";

/// What `PyHive`, impyla and beeline send (status, payload), with the user in it.
const RESPONSES: [(Status, &[u8], &str); 5] = [
    (Status::Ok, b"root\0root\0x", "root"),
    (Status::Ok, b"\0u1\0p1", "u1"),
    (Status::Complete, b"\0u1\0p1", "u1"),
    (Status::Ok, b"u1\0u1\0p1", "u1"),
    (Status::Complete, b"\0u1\0", "u1"),
];

fn plain(status: Status, payload: &[u8]) -> Vec<u8> {
    [START_PLAIN, encode(status, payload).as_slice()].concat()
}

fn anybody() -> Credentials {
    Credentials::parse(Message { status: Status::Ok, payload: b"\0u\0p" }, Family::Impala).unwrap()
}

/// Pushes chunks until the handshake ends: how many bytes were used, and the end it came to.
fn accept(chunks: &[&[u8]]) -> (usize, Step, Vec<u8>) {
    accept_for(Family::Impala, chunks)
}

fn accept_for(family: Family, chunks: &[&[u8]]) -> (usize, Step, Vec<u8>) {
    let mut acceptor = Acceptor::new(family);
    let mut total = 0;
    for chunk in chunks {
        let Taken { used, step } = acceptor.push(chunk);
        total += used;
        if !matches!(step, Step::NeedMore) {
            return (total, step, acceptor.into_consumed().to_vec());
        }
        assert_eq!(used, chunk.len(), "a client that is asked for more has nothing left over");
    }
    (total, Step::NeedMore, acceptor.into_consumed().to_vec())
}

fn credentials(step: Step) -> Credentials {
    match step {
        Step::Credentials(credentials) => credentials,
        step => panic!("{step:?}"),
    }
}

fn refusal(step: Step) -> SaslError {
    match step {
        Step::Refuse(error) => error,
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_coordinator_is_shown_the_credentials_as_they_came() {
    for (status, payload, user) in RESPONSES {
        let stream = plain(status, payload);
        let (used, step, _) = accept(&[&stream]);
        let credentials = credentials(step);
        assert_eq!(used, stream.len());
        assert_eq!(credentials.user(), user);
        assert_eq!(credentials.opening().as_slice(), stream);
    }
}

#[test]
fn credentials_are_the_same_however_they_are_cut_in_two() {
    for (status, payload, user) in RESPONSES {
        let stream = plain(status, payload);
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            let (used, step, consumed) = accept(&[front, back]);
            assert_eq!(used, stream.len());
            assert_eq!(credentials(step).user(), user);
            assert_eq!(consumed, stream);
        }
    }
}

#[test]
fn every_prefix_of_a_handshake_asks_for_more() {
    let stream = plain(Status::Ok, b"\0u1\0p1");
    for end in 0..stream.len() {
        let (used, step, _) = accept(&[&stream[..end]]);
        assert!(matches!(step, Step::NeedMore), "{end}");
        assert_eq!(used, end);
    }
}

#[test]
fn bytes_behind_the_credentials_are_left_to_the_caller() {
    let stream = plain(Status::Complete, b"\0u1\0p1");
    let (used, step, consumed) = accept(&[&[stream.as_slice(), b"\0\0\0\x40\x80\x01"].concat()]);
    assert!(matches!(step, Step::Credentials(_)));
    assert_eq!(used, stream.len());
    assert_eq!(consumed, stream);
}

#[test]
fn another_mechanism_is_named_and_nothing_of_it_is_lost() {
    for (name, mechanism) in
        [("GSSAPI", MechanismName::Gssapi), ("DIGEST-MD5", MechanismName::Other("DIGEST-MD5".into()))]
    {
        let start = encode(Status::Start, name.as_bytes());
        let stream = [start.as_slice(), b"\x02\0\0\x02\xa8\x60"].concat();
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            let (used, step, consumed) = accept(&[front, back]);
            assert!(matches!(step, Step::OtherMechanism(seen) if seen == mechanism));
            assert_eq!([&consumed, &stream[used..]].concat(), stream);
            assert_eq!(consumed, *start);
        }
    }
}

#[test]
fn an_authorization_id_of_another_user_is_refused() {
    let error = refusal(accept(&[&plain(Status::Ok, b"admin\0u1\0p1")]).1);
    assert_eq!(error, SaslError::OtherAuthzid);
    assert_eq!(error.status(), Status::Bad);
}

#[test]
fn credentials_of_another_shape_are_refused() {
    let cases: [(&[u8], SaslError); 6] = [
        (b"", SaslError::Credentials),
        (b"u1", SaslError::Credentials),
        (b"u1\0p1", SaslError::Credentials),
        (b"\0u1\0p1\0", SaslError::Credentials),
        (b"\0\xff\0p1", SaslError::Credentials),
        (b"\0\0p1", SaslError::NoUser),
    ];
    for (payload, error) in cases {
        assert_eq!(refusal(accept(&[&plain(Status::Ok, payload)]).1), error, "{payload:x?}");
    }
}

#[test]
fn hive_spark_and_kyuubi_are_shown_what_they_take() {
    let taken: [(&[u8], &str); 7] = [
        (b"[PLAIN]\0hive\0x", "hive"),
        (b"admin\0u1\0p1", "u1"),
        (b"u1\0p1", "u1"),
        (b"\0u1\0p1", "u1"),
        (b"u1\0u1\0", "u1"),
        (b"u1\0", "u1"),
        (b"\xff\0u1\0\xff", "u1"),
    ];
    for (payload, user) in taken {
        let stream = plain(Status::Complete, payload);
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        for chunks in [&[stream.as_slice()][..], &single] {
            let credentials = credentials(accept_for(Family::Hive, chunks).1);
            assert_eq!((credentials.user(), credentials.opening().as_slice()), (user, stream.as_slice()));
        }
    }
    let refused: [(&[u8], SaslError); 6] = [
        (b"", SaslError::Credentials),
        (b"u1", SaslError::Credentials),
        (b"\0u1\0p1\0", SaslError::Credentials),
        (b"u1\0\xff\0p1", SaslError::Credentials),
        (b"u1\0\0p1", SaslError::NoUser),
        (b"\0p1", SaslError::NoUser),
    ];
    for (payload, error) in refused {
        let step = accept_for(Family::Hive, &[&plain(Status::Ok, payload)]).1;
        assert_eq!(refusal(step), error, "{payload:x?}");
    }
}

#[test]
fn a_handshake_that_breaks_the_rules_is_refused_as_soon_as_it_shows() {
    let out_of_place = |seen| SaslError::OutOfPlace { seen };
    let cases: [(&[u8], SaslError); 8] = [
        (b"\x00", SaslError::UnknownStatus { byte: 0 }),
        (b"\x16\x03\x01", SaslError::UnknownStatus { byte: 0x16 }),
        (b"\x02\0\0\0\x05PLAIN", out_of_place(Status::Ok)),
        (b"\x01\0\0\0\x00", SaslError::MechanismName),
        (b"\x01\0\0\0\x05plain", SaslError::MechanismName),
        (b"\x01\0\0\0\x15", SaslError::TooLong { len: 21, limit: MECHANISM_LIMIT }),
        (b"\x01\0\0\0\x05PLAIN\x03\0\0\0\x00", out_of_place(Status::Bad)),
        (
            b"\x01\0\0\0\x05PLAIN\x02\xff\xff\xff\xff",
            SaslError::TooLong { len: 0xffff_ffff, limit: RESPONSE_LIMIT },
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(refusal(accept(&[bytes]).1), error, "{bytes:x?}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(refusal(accept(&single).1), error, "{bytes:x?}, byte by byte");
    }
}

#[test]
fn a_response_may_be_as_long_as_the_limit() {
    let payload = [b"\0u1\0".as_slice(), &vec![b'p'; RESPONSE_LIMIT - 4]].concat();
    assert!(matches!(accept(&[&plain(Status::Ok, &payload)]).1, Step::Credentials(_)));
}

#[test]
fn neither_passwords_nor_payloads_are_printed() {
    let step = accept(&[&plain(Status::Ok, b"\0u1\0secret")]).1;
    assert_eq!(format!("{step:?}"), r#"Credentials(Credentials { user: "u1", .. })"#);
    let message = Message { status: Status::Ok, payload: b"\0u1\0secret" };
    assert_eq!(format!("{message:?}"), "Message { status: Ok, payload: 10 bytes }");
    let mut acceptor = Acceptor::new(Family::Impala);
    acceptor.push(&plain(Status::Ok, b"\0u1\0secret")[..18]);
    assert_eq!(format!("{acceptor:?}"), "Acceptor { mechanism: Some(Plain), .. }");
}

#[test]
fn a_message_is_read_when_it_is_whole_and_its_length_before() {
    let bytes = encode(Status::Bad, b"no");
    assert_eq!(bytes.as_slice(), b"\x03\0\0\0\x02no");
    for end in 0..bytes.len() {
        assert_eq!(parse(&bytes[..end], 2), Ok(None));
    }
    assert_eq!(parse(&bytes, 2), Ok(Some(Message { status: Status::Bad, payload: b"no" })));
    assert_eq!(parse(&bytes[..HEADER_LEN], 1), Err(SaslError::TooLong { len: 2, limit: 1 }));
}

#[test]
fn a_coordinators_verdict_is_read_at_any_split() {
    let refused = |status, text: &[u8]| Answer::Refused { status, text: text.to_vec() };
    let cases = [
        (encode(Status::Complete, b""), Answer::Accepted),
        (
            encode(Status::Bad, b"Error validating the login"),
            refused(Status::Bad, b"Error validating the login"),
        ),
        (encode(Status::Error, b"\xff"), refused(Status::Error, b"\xff")),
    ];
    for (bytes, answer) in cases {
        for cut in 0..bytes.len() {
            let credentials = anybody();
            let mut initiator = Initiator::new(Plain::new(&credentials));
            let front = initiator.push(&bytes[..cut]).unwrap();
            assert_eq!((front.used, front.step), (cut, Answer::NeedMore));
            let back = initiator.push(&[&bytes[cut..], b"later"].concat()).unwrap();
            assert_eq!((back.used, back.step), (bytes.len() - cut, answer.clone()));
        }
    }
}

#[test]
fn a_challenge_to_plain_and_what_is_not_sasl_are_errors() {
    let cases: [(&[u8], SaslError); 4] = [
        (b"\x02\0\0\0\0", SaslError::OutOfPlace { seen: Status::Ok }),
        (b"\x01\0\0\0\0", SaslError::OutOfPlace { seen: Status::Start }),
        (b"\x80", SaslError::UnknownStatus { byte: 0x80 }),
        (b"\x03\0\x01\0\x01", SaslError::TooLong { len: 0x1_0001, limit: RESPONSE_LIMIT }),
    ];
    for (bytes, error) in cases {
        assert_eq!(Initiator::new(Plain::new(&anybody())).push(bytes).unwrap_err(), error);
    }
}

/// The end of a handshake in a form that can be compared.
fn outcome(step: &Step) -> String {
    format!("{step:?}")
}

/// Streams that begin well, so that random bytes get past the first one.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let responses = (prop::sample::select(&[2_u8, 5, 3][..]), prop::collection::vec(any::<u8>(), 0..24));
    let responses =
        responses.prop_map(|(status, payload)| plain(Status::try_from(status).unwrap(), &payload));
    let known = (prop::sample::select(&RESPONSES[..]), prop::collection::vec(any::<u8>(), 0..9))
        .prop_map(|((status, payload, _), later)| [plain(status, payload), later].concat());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..40), responses, known]
}

proptest! {
    #[test]
    fn random_cuts_lead_to_the_same_end(stream in streams(), cuts in prop::collection::vec(0_usize..48, 0..8)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        let (used, step, consumed) = accept(&chunks);
        let (whole_used, whole_step, _) = accept(&[&stream]);
        prop_assert_eq!(outcome(&step), outcome(&whole_step));
        if !matches!(step, Step::Refuse(_)) {
            prop_assert_eq!(used, whole_used);
            prop_assert_eq!(&consumed, &stream[..used]);
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..64), limit in 0_usize..64) {
        if let Ok(Some(message)) = parse(&bytes, limit) {
            prop_assert!(message.payload.len() <= limit);
            let encoded = encode(message.status, message.payload);
            prop_assert_eq!(encoded.as_slice(), &bytes[..HEADER_LEN + message.payload.len()]);
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(outcome(&accept(&[&bytes]).1), outcome(&accept(&single).1));
        let credentials = anybody();
        let mut initiator = Initiator::new(Plain::new(&credentials));
        if let Ok(taken) = initiator.push(&bytes) {
            prop_assert!(taken.used <= bytes.len());
        }
    }
}
