//! The user in whose name a call is made, from the query.
//!
//! Impala takes the last parameter whose name is `doAs`, decodes its value alone, and ignores one without `=`
//! (Impala: `HttpPathFn`, `ParseParams` in be/src/rpc/authentication.cc). Hive, Spark and Kyuubi decode names
//! too, compare them without case, and take the first value of whichever spelling they meet first (Hive:
//! `ThriftHttpServlet.getDoAsQueryParam`, by `HttpUtils.parseQueryString`). So whatever any of them could take
//! for one counts, and it may be there once.

use super::error::{BadRequest, LONGEST_USER};
use crate::wire::http::form;

/// The name in upper case: letters beyond ASCII that become one of these in upper case are equal to it in
/// Java's `equalsIgnoreCase`.
const DO_AS: &str = "DOAS";

/// The user whom a query names; none if it names nobody.
pub(super) fn find(query: &str) -> Result<Option<Box<str>>, BadRequest> {
    let mut found = None;
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        if !str::from_utf8(&name).is_ok_and(|name| name.to_uppercase() == DO_AS) {
            continue;
        }
        if found.is_some() {
            return Err(BadRequest::TwoDoAs);
        }
        found = Some(user(value)?);
    }
    Ok(found)
}

fn decoded(text: &str) -> Result<Vec<u8>, BadRequest> {
    form::decode(text).ok_or(BadRequest::Escape)
}

fn user(name: Vec<u8>) -> Result<Box<str>, BadRequest> {
    if name.is_empty() {
        return Err(BadRequest::EmptyDoAs);
    }
    if name.len() > LONGEST_USER {
        return Err(BadRequest::LongDoAs);
    }
    let name = String::from_utf8(name).map_err(|_| BadRequest::DoAsCharacters)?;
    if name.chars().any(char::is_control) { Err(BadRequest::DoAsCharacters) } else { Ok(name.into()) }
}
