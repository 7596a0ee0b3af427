//! The PLAIN negotiation, and frames.

use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::sasl::{BAD, COMPLETE, ERROR, OK, START, frame, negotiation, plain};
use hs2router::idl::t_c_l_i_service::{
    TGetInfoReq, TGetInfoResp, TGetInfoType, TOpenSessionResp, TSessionHandle,
};

use crate::check::checks;
use crate::driver::{ask, succeeded};
use crate::talk::Talk;
use crate::target::{Account, Target};
use crate::wire::{call, connect, credentials, open_session, reply, show, silent};

checks![
    ALL, [Sasl], "Impala: TSaslTransport.cpp; measured: Python sends OK, Java COMPLETE" => both_statuses_of_the_response_are_accepted;
    ALL, [Sasl], "Measured on Spark 3.5" => everything_may_come_in_one_segment;
    ALL, [Sasl], "Measured with PyHive, impala-shell" => an_authorization_id_that_is_the_user_is_accepted;
    IMPALA, [Sasl, Passwords, Direct], "Impala: authentication.cc SaslLdapAuthorizeExternal" => another_authorization_id_becomes_the_user;
    IMPALA, [Sasl, Routed], "docs: with impala, an authorization id other than the user is refused by the router" => another_authorization_id_is_refused_by_the_router;
    SERVICE, [Sasl], "Hive: PlainSaslServer.java, of which Spark has a copy" => another_authorization_id_is_ignored;
    IMPALA, [Sasl, Passwords], "Impala: TSaslTransport.cpp doSaslNegotiation" => a_wrong_password_is_refused;
    IMPALA, [Sasl, Passwords, Direct], "Impala: TSaslTransport.cpp doSaslNegotiation" => a_wrong_password_is_a_bare_close;
    IMPALA, [Sasl, Passwords, Routed], "docs: where the coordinator only closes, the router says why" => a_wrong_password_is_refused_in_the_routers_words;
    SERVICE, [Sasl], "Measured on Spark 3.5" => an_empty_password_is_refused_in_words;
    ALL, [Sasl], "Impala: TSaslServerTransport.cpp; measured on Spark 3.5" => an_unknown_mechanism_is_refused_by_its_name;
    ALL, [Sasl], "Measured on Spark 3.5" => a_mechanism_in_lower_case_is_unknown;
    ALL, [Sasl], "Impala: TSaslServerTransport.cpp; measured on Spark 3.5" => a_negotiation_begins_with_start;
    ALL, [Sasl], "Impala: TSaslTransport.cpp; measured on Spark 3.5" => a_message_may_be_spread_over_two_frames;
    ALL, [Sasl], "Measured on Spark 3.5" => a_message_may_be_spread_over_frames_of_one_byte;
    ALL, [Sasl], "Measured: a refused login leaves the server as it was" => a_good_login_follows_a_bad_one;
];

fn opens(wire: &mut Talk) -> TSessionHandle {
    wire.frames();
    wire.say(&open_session(1));
    let response = reply::<TOpenSessionResp>(wire).result.unwrap();
    succeeded(&response.status);
    response.session_handle.unwrap()
}

fn both_statuses_of_the_response_are_accepted(target: &Target) {
    for status in [OK, COMPLETE] {
        let mut wire = silent(target.hs2);
        wire.send(&negotiation(START, b"PLAIN"));
        wire.send(&negotiation(status, &credentials("", target.account())));
        assert_eq!(wire.sasl_message().unwrap(), (COMPLETE, Vec::new()), "status {status}");
        opens(&mut wire);
    }
}

fn everything_may_come_in_one_segment(target: &Target) {
    let mut wire = silent(target.hs2);
    let message = open_session(1).encode();
    let Account { user, password } = target.account();
    wire.send(&[plain(user, password.as_bytes()), frame(&message)].concat());
    assert_eq!(wire.sasl_message().unwrap(), (COMPLETE, Vec::new()));
    wire.frames();
    succeeded(&reply::<TOpenSessionResp>(&mut wire).result.unwrap().status);
}

fn an_authorization_id_that_is_the_user_is_accepted(target: &Target) {
    let mut wire = silent(target.hs2);
    let account = target.account();
    show(&mut wire, &account.user, account);
    assert_eq!(wire.sasl_message().unwrap(), (COMPLETE, Vec::new()));
    opens(&mut wire);
}

fn another_authorization_id_becomes_the_user(target: &Target) {
    let mut wire = silent(target.hs2);
    show(&mut wire, "mallory", target.account());
    assert_eq!(wire.sasl_message().unwrap(), (COMPLETE, Vec::new()));
    let session = opens(&mut wire);
    // The session is not the authenticated user's own.
    assert!(target.connect().execute(&session, "select 1").is_err());
}

fn another_authorization_id_is_ignored(target: &Target) {
    let mut wire = silent(target.hs2);
    show(&mut wire, "mallory", target.account());
    assert_eq!(wire.sasl_message().unwrap(), (COMPLETE, Vec::new()));
    opens(&mut wire);
}

fn another_authorization_id_is_refused_by_the_router(target: &Target) {
    let mut wire = silent(target.hs2);
    show(&mut wire, "mallory", target.account());
    let (status, text) = wire.sasl_message().unwrap();
    assert!((BAD..=ERROR).contains(&status) && !text.is_empty(), "{status}");
    assert!(wire.rest().is_empty());
}

/// What comes back for credentials that are not right.
fn answers_to_wrong_passwords(target: &Target) -> Vec<Vec<u8>> {
    let user = target.account().user.as_str();
    let wrong = [(user, "wrong"), ("no_such_user", "x"), (user, "")];
    let answer = |(user, password): (&str, &str)| {
        let mut wire = silent(target.hs2);
        show(&mut wire, "", &Account { user: user.to_owned(), password: password.to_owned() });
        wire.rest()
    };
    wrong.into_iter().map(answer).collect()
}

fn a_wrong_password_is_refused(target: &Target) {
    for answer in answers_to_wrong_passwords(target) {
        // Nothing at all, or BAD or ERROR: never COMPLETE.
        assert!(answer.first().is_none_or(|status| (BAD..=ERROR).contains(status)), "{answer:?}");
    }
}

fn a_wrong_password_is_a_bare_close(target: &Target) {
    assert!(answers_to_wrong_passwords(target).iter().all(Vec::is_empty));
}

fn a_wrong_password_is_refused_in_the_routers_words(target: &Target) {
    for answer in answers_to_wrong_passwords(target) {
        assert_eq!(answer.first(), Some(&BAD), "{answer:?}");
        assert!(answer.len() > 5 && usize::from(answer[4]) == answer.len() - 5, "{answer:?}");
    }
}

fn an_empty_password_is_refused_in_words(target: &Target) {
    let mut wire = silent(target.hs2);
    wire.send(&negotiation(START, b"PLAIN"));
    wire.send(&negotiation(OK, b"\0u1\0"));
    let (status, text) = wire.sasl_message().unwrap();
    assert_eq!((status, String::from_utf8(text).unwrap().as_str()), (BAD, "Error validating the login"));
    assert!(wire.rest().is_empty());
}

fn refused_mechanism(target: &Target, name: &str) {
    let mut wire = silent(target.hs2);
    wire.send(&negotiation(START, name.as_bytes()));
    let (status, text) = wire.sasl_message().unwrap();
    let expected = format!("Unsupported mechanism type {name}");
    assert_eq!((status, String::from_utf8(text).unwrap()), (BAD, expected));
    assert!(wire.rest().is_empty());
}

fn an_unknown_mechanism_is_refused_by_its_name(target: &Target) {
    refused_mechanism(target, "CRAM-X");
}

fn a_mechanism_in_lower_case_is_unknown(target: &Target) {
    refused_mechanism(target, "plain");
}

fn a_negotiation_begins_with_start(target: &Target) {
    let mut wire = silent(target.hs2);
    wire.send(&negotiation(OK, b"PLAIN"));
    let (status, text) = wire.sasl_message().unwrap();
    let expected = "Expecting START status, received OK";
    assert_eq!((status, String::from_utf8(text).unwrap().as_str()), (ERROR, expected));
    assert!(wire.rest().is_empty());
}

fn in_frames_of(target: &Target, size: usize) {
    let mut wire = connect(target);
    let session = opens(&mut wire);
    let request = TGetInfoReq::new(session, TGetInfoType::CLI_SERVER_NAME);
    let message = call("GetInfo", 2, &request).encode();
    let pieces: Vec<u8> = message.chunks(size.min(message.len() - 1)).flat_map(|it| wire.wrap(it)).collect();
    wire.send(&pieces);
    succeeded(&reply::<TGetInfoResp>(&mut wire).result.unwrap().status);
}

fn a_message_may_be_spread_over_two_frames(target: &Target) {
    for size in [4, 17, 60, usize::MAX] {
        in_frames_of(target, size);
    }
}

fn a_message_may_be_spread_over_frames_of_one_byte(target: &Target) {
    in_frames_of(target, 1);
}

fn a_good_login_follows_a_bad_one(target: &Target) {
    for _ in 0..3 {
        assert!(Hs2Client::connect(target.hs2, &Login::plain(&target.account().user, "")).is_err());
    }
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    assert_eq!(ask(&mut client, &session, "select 1"), [["1"]]);
}
