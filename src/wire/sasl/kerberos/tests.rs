use super::acceptor::{AcceptedAtOnce, GssapiAcceptor, Reply, accept_at_once};
use super::initiator::Gssapi;
use super::*;
use crate::wire::sasl::gssapi::ChoiceError;
use crate::wire::sasl::mechanism::{Mechanism, Reaction};
use crate::wire::sasl::message::{Message, SaslError, Status, encode};

/// Stands for Kerberos: established after so many tokens of the peer, and a wrapped text is the text in
/// brackets.
struct Double {
    steps: usize,
    /// What it answers to each step.
    answer: &'static [u8],
}

impl Context for Double {
    fn step(&mut self, token: &[u8]) -> Result<Stepped, KerberosError> {
        if token == b"bad" {
            return Err(KerberosError::new("Request is a replay"));
        }
        let is_established = self.steps == 0;
        self.steps = self.steps.saturating_sub(1);
        Ok(Stepped { token: self.answer.to_vec(), is_established })
    }

    fn wrap(&mut self, bytes: &[u8]) -> Result<Vec<u8>, KerberosError> {
        Ok([b"[", bytes, b"]"].concat())
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, KerberosError> {
        let inner = token.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
        inner.map(<[u8]>::to_vec).ok_or_else(|| KerberosError::new("A token had an invalid MIC"))
    }

    fn principal(&mut self) -> Result<String, KerberosError> {
        Ok("ann@EXAMPLE.COM".to_owned())
    }
}

fn acceptor(steps: usize, answer: &'static [u8]) -> GssapiAcceptor {
    GssapiAcceptor::new(Box::new(Double { steps, answer }))
}

fn ok(payload: &[u8]) -> Message<'_> {
    Message { status: Status::Ok, payload }
}

/// The end of a handshake in which the client chose this.
fn chosen(status: Status, choice: &[u8]) -> Result<Reply, GssapiError> {
    let mut acceptor = acceptor(0, b"");
    assert_eq!(acceptor.next(ok(b"ticket")), Ok(Reply::Challenge(b"[\x01\0\0\0]".to_vec())));
    acceptor.next(Message { status, payload: &[b"[", choice, b"]"].concat() })
}

fn accepted() -> Reply {
    Reply::Accepted { principal: "ann@EXAMPLE.COM".to_owned() }
}

#[test]
fn a_client_is_offered_no_layer_after_it_has_our_token_and_then_accepted() {
    let mut acceptor = acceptor(1, b"answer");
    let answer = Ok(Reply::Challenge(b"answer".to_vec()));
    assert_eq!((acceptor.next(ok(b"ticket")), acceptor.next(ok(b"more"))), (answer.clone(), answer));
    assert_eq!(acceptor.next(ok(b"")), Ok(Reply::Challenge(b"[\x01\0\0\0]".to_vec())));
    assert_eq!(acceptor.next(ok(b"[\x01\0\0\0]")), Ok(accepted()));
}

#[test]
fn the_last_message_may_be_ok_or_complete_and_name_nobody_or_the_principal() {
    for status in [Status::Ok, Status::Complete] {
        for choice in [&b"\x01\0\0\0"[..], b"\0\0\0\0", b"\x01\xff\xff\xff", b"\x01\0\0\0ann@EXAMPLE.COM"] {
            assert_eq!(chosen(status, choice), Ok(accepted()), "{choice:?}");
        }
    }
}

#[test]
fn a_client_that_wants_a_layer_or_to_be_another_is_refused_with_bad() {
    let long = [b"\x01\0\0\0".as_slice(), &vec![b'a'; 60 << 10]].concat();
    let cases: [(&[u8], LayerError); 9] = [
        (b"\x02\0\0\0", LayerError::ClientDemandsLayer),
        (b"\x04\x01\0\0", LayerError::ClientDemandsLayer),
        (b"\x07\0\0\0", LayerError::ClientDemandsLayer),
        (b"\x01\0\0", ChoiceError::TooShort { len: 3 }.into()),
        (b"", ChoiceError::TooShort { len: 0 }.into()),
        (b"\x01\0\0\0ann", LayerError::OtherAuthzid),
        (b"\x01\0\0\0ann@EXAMPLE.COM\0", ChoiceError::AuthorizationId.into()),
        (b"\x01\0\0\0bob@EXAMPLE.COM", LayerError::OtherAuthzid),
        (&long, ChoiceError::AuthorizationId.into()),
    ];
    for (choice, error) in cases {
        let refused = chosen(Status::Ok, choice).unwrap_err();
        assert_eq!((refused.status(), refused), (Status::Bad, GssapiError::Layer(error)), "{choice:?}");
    }
}

#[test]
fn what_kerberos_refuses_is_told_with_a_remedy() {
    let refused = acceptor(0, b"").next(ok(b"bad")).unwrap_err();
    assert_eq!(refused.status(), Status::Bad);
    assert_eq!(
        refused.to_string(),
        "Kerberos: Request is a replay; make a new token for each connection, and send none twice"
    );
    let mut forged = acceptor(0, b"");
    forged.next(ok(b"ticket")).unwrap();
    let forged = forged.next(ok(b"[\x01\0\0\0")).unwrap_err();
    let words = "not signed as it must be (A token had an invalid MIC): it was changed on its way";
    assert!(forged.status() == Status::Bad && forged.to_string().contains(words), "{forged}");
}

#[test]
fn the_reasons_are_recognized_in_the_words_of_mit_kerberos() {
    for (text, cause) in [
        ("Clock skew too great", Cause::ClockSkew),
        ("Request is a replay", Cause::Replay),
        ("Ticket not yet valid", Cause::ClockSkew),
        ("Ticket expired", Cause::Expired),
        (
            "Request ticket server impala/b@R kvno 3 not found in keytab; keytab is likely out of date",
            Cause::NoKey,
        ),
        (
            "Request ticket server impala/b@R kvno 2 enctype aes256-cts found in keytab but cannot decrypt ticket",
            Cause::NoKey,
        ),
        ("No credentials were supplied (No key table entry found for impala/b@R)", Cause::NoKey),
        (
            "Unspecified GSS failure. (Server impala/c@R not found in Kerberos database)",
            Cause::UnknownService,
        ),
        ("Decrypt integrity check failed", Cause::NoKey),
        ("Can't find client principal hs2router/a@R in cache collection", Cause::NoOwnKey),
        ("Bad encryption type", Cause::Cipher),
        ("KDC has no support for encryption type", Cause::Cipher),
        ("Invalid token was supplied (Success)", Cause::NoTicket),
        ("Unspecified GSS failure. (Cannot contact any KDC for realm 'R')", Cause::Other),
    ] {
        assert_eq!(Cause::of(text), cause, "{text}");
    }
}

#[test]
fn words_of_kerberos_are_one_line_and_say_what_they_have_to() {
    assert_eq!(KerberosError::new("no\nticket\0 ").to_string(), "no ticket");
    let unspecified = |reason: &str| {
        format!("Unspecified GSS failure.  Minor code may provide more information ({reason})")
    };
    assert_eq!(&*KerberosError::new(&unspecified("Clock skew (too great)")).text, "Clock skew (too great)");
    for (said, text) in [
        (unspecified("Success"), "the token is malformed"),
        (unspecified("Unknown error"), "the token is malformed"),
        ("Invalid token was supplied (Success)".to_owned(), "Invalid token was supplied"),
        (
            "An unsupported mechanism was requested (Unknown error)".to_owned(),
            "An unsupported mechanism was requested",
        ),
    ] {
        let told = KerberosError::new(&said);
        assert_eq!((told.cause, &*told.text), (Cause::NoTicket, text));
    }
}

#[test]
fn a_name_of_60_kib_leaves_room_for_what_is_wrong_with_it() {
    let name = "a".repeat(60 << 10);
    let error = KerberosError::new(&format!("Request ticket server {name}@R kvno 2 not found in keytab"));
    assert_eq!(error.cause, Cause::NoKey);
    assert!(error.text.starts_with("Request ticket server aaa") && error.text.contains("aaa…aaa"));
    assert!(error.text.ends_with("aaa@R kvno 2 not found in keytab"));
    assert_eq!(error.text.chars().count(), 451);
}

#[test]
fn messages_without_a_place_end_a_clients_handshake() {
    assert_eq!(acceptor(0, b"").next(ok(b"")), Err(GssapiError::NoToken));
    let started = Message { status: Status::Start, payload: b"PLAIN" };
    let out_of_place = GssapiError::Sasl(SaslError::OutOfPlace { seen: Status::Start });
    assert_eq!(acceptor(0, b"").next(started), Err(out_of_place));
    let mut waiting = acceptor(0, b"answer");
    waiting.next(ok(b"ticket")).unwrap();
    assert_eq!(waiting.next(ok(b"more")), Err(GssapiError::Unexpected { len: 4 }));
    let mut choosing = acceptor(0, b"");
    choosing.next(ok(b"ticket")).unwrap();
    assert_eq!(choosing.next(ok(b"")), Err(GssapiError::NoToken));
}

#[test]
fn a_handshake_without_end_is_ended() {
    let mut client = acceptor(100, b"");
    let replies: Vec<_> = (0..5).map(|_| client.next(ok(b"ticket"))).collect();
    assert_eq!(replies[3], Ok(Reply::Challenge(Vec::new())));
    assert_eq!(replies[4], Err(GssapiError::TooManyRounds { rounds: 4 }));
    for refused in
        [GssapiError::NoToken, GssapiError::Unexpected { len: 4 }, GssapiError::TooManyRounds { rounds: 4 }]
    {
        assert_eq!(refused.status(), Status::Bad);
    }
    let mut router = initiator(100);
    let answers: Vec<_> = (0..5).map(|_| router.next(ok(b"token")).unwrap()).collect();
    assert_eq!(answers[3], respond(b"token"));
    assert_eq!(answers[4], Reaction::GaveUp(GssapiError::TooManyRounds { rounds: 4 }));
}

#[test]
fn over_http_one_token_has_to_do() {
    let at_once = |steps, token| accept_at_once(Box::new(Double { steps, answer: b"answer" }), token);
    let accepted = AcceptedAtOnce { principal: "ann@EXAMPLE.COM".to_owned(), token: b"answer".to_vec() };
    assert_eq!(at_once(0, b"ticket"), Ok(accepted));
    assert_eq!(at_once(1, b"ticket"), Err(GssapiError::NotAtOnce));
    assert_eq!(at_once(0, b""), Err(GssapiError::NoToken));
    assert!(matches!(at_once(0, b"bad"), Err(GssapiError::Kerberos(error)) if error.cause == Cause::Replay));
}

/// The router's side, established after so many tokens of the coordinator.
fn initiator(steps: usize) -> Gssapi {
    Gssapi::begin(Box::new(Double { steps, answer: b"token" })).unwrap()
}

fn respond(payload: &[u8]) -> Reaction {
    Reaction::Respond(encode(Status::Ok, payload))
}

#[test]
fn the_router_shows_its_ticket_and_chooses_no_layer() {
    let mut router = initiator(1);
    let opening = [&encode(Status::Start, b"GSSAPI")[..], &encode(Status::Ok, b"token")].concat();
    assert_eq!(*router.opening(), opening);
    assert_eq!(router.next(ok(b"answer")), Ok(respond(b"token")));
    // Java's servers offer a size of buffers with it.
    assert_eq!(router.next(ok(b"[\x01\x01\0\0]")), Ok(respond(b"[\x01\0\0\0]")));
    assert_eq!(router.next(Message { status: Status::Complete, payload: b"" }), Ok(Reaction::Accepted));
}

#[test]
fn a_coordinator_that_demands_a_layer_refuses_or_speaks_out_of_turn_gets_no_session() {
    let mut router = initiator(0);
    let demands = Reaction::GaveUp(GssapiError::Layer(LayerError::CoordinatorDemandsLayer));
    assert_eq!(router.next(ok(b"[\x04\x01\0\0]")), Ok(demands));
    let refusal = Message { status: Status::Bad, payload: b"no" };
    let refused = Reaction::Refused { status: Status::Bad, text: b"no".to_vec() };
    assert_eq!(initiator(0).next(refusal), Ok(refused));
    let early = Message { status: Status::Complete, payload: b"" };
    assert_eq!(initiator(0).next(early), Err(SaslError::OutOfPlace { seen: Status::Complete }));
    assert_eq!(initiator(1).next(ok(b"")), Ok(Reaction::GaveUp(GssapiError::NoToken)));
}
