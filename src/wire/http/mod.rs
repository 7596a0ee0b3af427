//! HTTP/1.1 as far as calls of HS2 need it: heads of requests, judged before a parser sees them, what of them
//! goes on to a coordinator, and what of a coordinator's answer goes back.

pub mod answer;
pub mod cookie;
pub mod form;
pub mod head;
pub mod own_cookie;
pub mod reply;
pub mod request;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

/// A field's value that is zeroed once nobody needs it any more, this one's copies included; `Debug` does not
/// show it. None if the bytes may not stand in a field.
fn secret(bytes: Vec<u8>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Zeroizing::new(bytes))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_its_bytes_in_one_place_where_they_are_zeroed() {
        let bytes = b"Basic YWxpY2U6c2VjcmV0".to_vec();
        let place = bytes.as_ptr();
        let value = secret(bytes).unwrap();
        assert_eq!(value.clone().as_bytes().as_ptr(), place);
        assert!(!format!("{value:?}").contains("Basic"));
        assert!(secret(b"a\r\nb".to_vec()).is_none());
    }
}
