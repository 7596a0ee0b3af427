//! Cookies are good where they were signed, and nowhere else.

use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_hours(1);
const PLACE: Place<'static> =
    Place { accepted_by: AcceptedBy::Coordinator, listener: "0.0.0.0:28000", cluster: "impala", do_as: None };

fn key(chance: u8) -> CookieKey {
    CookieKey::new(&[chance; 32])
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(500_000)
}

fn cookie(user: &str) -> OwnCookie {
    OwnCookie { user: user.into(), ticket: [1, u64::MAX], until: now() + HOUR }
}

fn value() -> String {
    cookie("ann@TEST").sign(&key(1), PLACE).unwrap()
}

fn verify(value: &str) -> Option<OwnCookie> {
    OwnCookie::verify(value.as_bytes(), &key(1), PLACE, now())
}

#[test]
fn a_cookie_says_what_was_signed_until_its_time_is_over() {
    assert_eq!(verify(&value()), Some(cookie("ann@TEST")));
    let at = |now| OwnCookie::verify(value().as_bytes(), &key(1), PLACE, now);
    assert!(at(now() + HOUR - Duration::from_secs(1)).is_some());
    assert_eq!(at(now() + HOUR), None);
}

#[test]
fn a_cookie_is_good_only_where_it_was_issued() {
    let places = [
        Place { listener: "0.0.0.0:28001", ..PLACE },
        Place { cluster: "hive", ..PLACE },
        Place { do_as: Some(""), ..PLACE },
        Place { do_as: Some("bob"), ..PLACE },
        Place { listener: "0.0.0.0:28000i", cluster: "mpala", ..PLACE },
        Place { accepted_by: AcceptedBy::Router, ..PLACE },
    ];
    for place in places {
        assert_eq!(OwnCookie::verify(value().as_bytes(), &key(1), place, now()), None, "{place:?}");
    }
    assert_eq!(OwnCookie::verify(value().as_bytes(), &key(2), PLACE, now()), None, "another process");
    let for_bob = Place { do_as: Some("bob"), ..PLACE };
    let as_bob = cookie("ann").sign(&key(1), for_bob).unwrap();
    assert_eq!(verify(&as_bob), None);
    assert!(OwnCookie::verify(as_bob.as_bytes(), &key(1), for_bob, now()).is_some());
}

#[test]
fn no_prefix_of_a_cookie_and_no_changed_one_is_good() {
    let value = value();
    for end in 0..value.len() {
        assert_eq!(verify(&value[..end]), None, "{end} bytes");
        for byte in [b'A', b'B', b'.', b'='] {
            let mut changed = value.clone().into_bytes();
            let same = std::mem::replace(&mut changed[end], byte) == byte;
            let good = OwnCookie::verify(&changed, &key(1), PLACE, now()).is_some();
            assert_eq!(good, same, "byte {end} is {byte}");
        }
    }
    assert_eq!(verify(&format!("{value}A")), None);
    assert_eq!(verify(&"A".repeat(100_000)), None);
}

#[test]
fn users_have_a_cookie_whatever_they_are_called_unless_the_name_is_too_long() {
    for user in ["ann", "hive/host.example.com@EXAMPLE.COM", "a&b=c;\"d\"", "ä", &"x".repeat(LONGEST_USER)] {
        let value = cookie(user).sign(&key(1), PLACE).unwrap();
        assert!(value.len() <= LONGEST);
        assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{value}");
        assert_eq!(verify(&value).map(|cookie| cookie.user), Some(user.into()));
    }
    for user in ["", &"x".repeat(LONGEST_USER + 1)] {
        assert_eq!(cookie(user).sign(&key(1), PLACE), None);
    }
}

#[test]
fn the_first_good_cookie_of_a_request_counts() {
    let find = |field: &str| OwnCookie::find(field.as_bytes(), Family::Impala, &key(1), PLACE, now());
    let good = value();
    for field in [
        format!("impala.auth={good}"),
        format!("a=b;impala.auth={good}"),
        format!("impala.auth=x&u=bob; impala.auth={good} ; impala.auth={}", &good[1..]),
        format!("impala.auth={good};HttpOnly;Max-Age=3600"),
    ] {
        assert_eq!(find(&field), Some(cookie("ann@TEST")), "{field}");
    }
    for field in [
        String::new(),
        format!("hive.server2.auth={good}"),
        format!("ximpala.auth={good}"),
        format!("impala.auth=\"{good}\""),
        format!("{}impala.auth={good}", "impala.auth=x;".repeat(MOST)),
    ] {
        assert_eq!(find(&field), None, "{field}");
    }
}

#[test]
fn a_client_is_told_to_keep_the_cookie_from_scripts_and_from_the_clear_where_it_came_by_tls() {
    let field = |secure| set_cookie(Family::Hive, "v", HOUR, secure).unwrap();
    assert_eq!(field(false), "hive.server2.auth=v;HttpOnly;Max-Age=3600");
    assert_eq!(field(true), "hive.server2.auth=v;HttpOnly;Max-Age=3600;Secure");
    assert!(field(true).is_sensitive());
}

proptest! {
    #[test]
    fn what_was_signed_is_read_and_what_was_not_is_refused(user in ".{1,60}", other in prop::collection::vec(any::<u8>(), 0..400)) {
        let cookie = cookie(&user);
        let value = cookie.sign(&key(1), PLACE).unwrap();
        prop_assert_eq!(verify(&value), Some(cookie));
        prop_assert_eq!(OwnCookie::verify(&other, &key(1), PLACE, now()), None);
        let found = OwnCookie::find(&other, Family::Impala, &key(1), PLACE, now());
        prop_assert_eq!(found, None);
    }
}
