//! Cookies of coordinators, and what else comes in a Set-Cookie.

use proptest::prelude::*;

use super::*;

fn cookie(text: &str) -> Option<SetCookie> {
    parse(text.as_bytes())
}

/// Name, pair, and age in seconds.
fn parsed(text: &str) -> Option<(String, String, Option<u64>)> {
    let cookie = cookie(text)?;
    let pair = String::from_utf8(cookie.pair().as_bytes().to_vec()).unwrap();
    Some((cookie.name().into(), pair, cookie.max_age().map(|age| age.as_secs())))
}

#[test]
fn a_cookie_is_sent_back_as_it_came() {
    for (text, name, pair, age) in [
        (
            "impala.auth=c2ln=&u=alice&t=12&r=9&a=Basic;HttpOnly;Max-Age=86400;Secure",
            "impala.auth",
            "impala.auth=c2ln=&u=alice&t=12&r=9&a=Basic",
            Some(86_400),
        ),
        (
            "hive.server2.auth=\"cu=alice&rn=1&s=a;b=\"; Version=1; max-AGE = 60 ; HttpOnly",
            "hive.server2.auth",
            "hive.server2.auth=\"cu=alice&rn=1&s=a;b=\"",
            Some(60),
        ),
        (" impala.auth = x ; Path=/", "impala.auth", "impala.auth=x", None),
        ("impala.auth=x", "impala.auth", "impala.auth=x", None),
        ("SERVERID=c1; Max-Age=\"5\"", "SERVERID", "SERVERID=c1", Some(5)),
        ("a=b; Max-Age=soon; Max-Age=7", "a", "a=b", Some(7)),
        ("a=b; Max-Age=-1", "a", "a=b", Some(0)),
    ] {
        assert_eq!(parsed(text), Some((name.into(), pair.into(), age)), "{text}");
    }
    assert_eq!(cookie("impala.auth=\"x=y\"; HttpOnly").unwrap().value(), b"\"x=y\"");
}

#[test]
fn what_is_no_cookie_is_none() {
    for text in ["", "impala.auth", "=x", "a b=c", "a\tb=c", "impala.auth=\"unclosed", "\"a\"=b", "J\u{fc}=x"]
    {
        assert_eq!(parsed(text), None, "{text}");
    }
    let longest = format!("a={}", "x".repeat(LONGEST - 2));
    assert!(cookie(&longest).is_some());
    assert!(cookie(&format!("{longest}x")).is_none());
    assert!(parse(b"a=\xff").is_none());
}

#[test]
fn a_cookie_can_be_taken_back() {
    for text in
        ["impala.auth=;HttpOnly;Max-Age=0", "impala.auth=x;Max-Age=0", "impala.auth=", "impala.auth=\"\""]
    {
        assert!(cookie(text).unwrap().is_taken_back(), "{text}");
    }
    assert!(!cookie("impala.auth=x;Max-Age=1").unwrap().is_taken_back());
    assert!(!cookie("impala.auth=x").unwrap().is_taken_back());
}

#[test]
fn cookies_of_logins_are_told_from_others() {
    assert!(cookie("impala.auth=x").unwrap().is_login());
    assert!(cookie("hive.server2.auth=x").unwrap().is_login());
    assert!(!cookie("impala.session.id=x").unwrap().is_login());
    assert!(!cookie("Impala.Auth=x").unwrap().is_login(), "names of cookies have a case");
}

#[test]
fn a_cookies_value_is_not_shown() {
    let cookie = cookie("impala.auth=hidden; Max-Age=5").unwrap();
    let text = format!("{cookie:?} {:?}", cookie.pair());
    assert!(text.contains("impala.auth") && !text.contains("hidden"), "{text}");
}

proptest! {
    #[test]
    fn whatever_comes_the_pair_is_a_part_of_it(bytes in prop::collection::vec(0x20..=0x7e_u8, 0..60)) {
        if let Some(cookie) = parse(&bytes) {
            let spaceless = |bytes: &[u8]| bytes.iter().copied().filter(|b| *b != b' ').collect::<Vec<_>>();
            prop_assert!(spaceless(&bytes).starts_with(&spaceless(cookie.pair().as_bytes())));
        }
    }
}

#[test]
fn the_user_whom_a_ticket_has_proven_stands_in_the_cookie() {
    let user = |text: &str| cookie(text).unwrap().ticket_user().map(str::to_owned);
    for (text, expected) in [
        ("impala.auth=c2ln=&u=ann@TEST&t=12&r=9&a=SPNEGO;HttpOnly;Max-Age=86400", "ann@TEST"),
        ("impala.auth=\"c2ln=&u=ann@TEST&t=12&r=9&a=SPNEGO\";HttpOnly", "ann@TEST"),
        ("impala.auth=c2ln=&u=ann/host@TEST&t=12&r=9;HttpOnly", "ann/host@TEST"),
        ("hive.server2.auth=cu=ann&rn=-5&s=x+4/=;Version=0;Max-Age=86400;Secure; HttpOnly", "ann"),
    ] {
        assert_eq!(user(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "impala.auth=c2ln=&u=ann&t=12&r=9&a=PLAIN",
        "impala.auth=c2ln=&u=ann&t=12&r=9&a=SPNEGO&a=SPNEGO",
        "impala.auth=c2ln=&u=a&u=root&t=12&r=9&a=SPNEGO",
        "impala.auth=c2ln=&u=&t=12&r=9&a=SPNEGO",
        "impala.auth=u=ann&t=12&r=9",
        "impala.auth=cu=ann&rn=5&s=x",
        "impala.auth=",
        "hive.server2.auth=cu=ann&cu=root&rn=5&s=x",
        "hive.server2.auth=cu=&rn=5&s=x",
        "hive.server2.auth=c2ln=&u=ann&t=12&r=9&a=SPNEGO",
        "SERVERID=cu=ann&rn=5&s=x",
    ] {
        assert_eq!(user(text), None, "{text}");
    }
}
