use std::time::UNIX_EPOCH;

use super::*;

fn answer(heard: &[u8]) -> Answer {
    Answer { heard: heard.to_vec(), is_closed: true }
}

#[test]
fn each_kind_of_server_is_known_by_its_first_answer() {
    let sasl = Spoken::Sasl { plain: Mechanism::Unknown, gssapi: Mechanism::Unknown };
    for (heard, spoken) in [
        (&b"\x80\x01\x00\x03\0\0\0\x01a\0\0\0\0\0"[..], Spoken::Thrift { is_beeswax: false }),
        (b"\x03\0\0\0\x04text", sasl.clone()),
        // Spark to a Thrift message.
        (b"\x04\0\0\0\x13Invalid status -128", sasl),
        (b"\x15\x03\x03\0\x02\x02\x0a", Spoken::Tls),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Spoken::Other),
        (b"", Spoken::Closes),
    ] {
        assert_eq!(answer(heard).spoken(), spoken, "{heard:?}");
    }
    assert_eq!(Answer { heard: Vec::new(), is_closed: false }.spoken(), Spoken::Silence);
}

#[test]
fn a_mechanism_is_refused_by_bad_alone() {
    assert_eq!(answer(b"\x03\0\0\0\x1dUnsupported mechanism type X!").mechanism(), Mechanism::Refused);
    assert_eq!(answer(b"\x04\0\0\0\x01x").mechanism(), Mechanism::Offered);
    assert_eq!(answer(b"").mechanism(), Mechanism::Offered);
    let silent = Answer { heard: Vec::new(), is_closed: false };
    assert_eq!(silent.mechanism(), Mechanism::Unknown);
}

#[test]
fn what_http_accepts_is_told_without_tokens() {
    let head = b"HTTP/1.1 401 Unauthorized\r\nDate: Thu, 01 Jan 1970 00:01:00 GMT\r\n\
        WWW-Authenticate: Basic realm=\"impala\"\r\nwww-authenticate: Negotiate dG9rZW4=\r\n\r\n";
    let Spoken::Http(http) = answer(head).spoken() else { panic!() };
    assert_eq!(http.status, 401);
    assert_eq!(http.authenticate, ["Basic realm=\"impala\"", "Negotiate"]);
    assert_eq!(http.date, Some(UNIX_EPOCH + Duration::from_mins(1)));
    assert!(heard::is_enough(head) && !heard::is_enough(&head[..30]));
}

#[test]
fn a_reply_is_told_from_an_exception() {
    assert!(answer(b"\x80\x01\x00\x02\0\0\0\x01a\0\0\0\0\0").is_reply());
    assert!(!answer(b"\x80\x01\x00\x03\0\0\0\x01a\0\0\0\0\0").is_reply());
    assert!(!answer(b"").is_reply());
}
