//! A service's side of a handshake: it opens the ticket with its key, and proves that it could.

use kerbcore::KerberosKey;
use kerbcore::acceptor::{NoopReplayCache, build_ap_rep, parse_ap_req, verify_ap_req_full};
use kerbcore::gss::{TOK_ID_AP_REP, TOK_ID_AP_REQ, initial_context_token, parse_initial_context_token};
use kerbcore::types::EncryptionKey;

use super::{CIPHER, Context, Service, Side, fresh_key};

/// The number of the acceptor's first token.
const FIRST_NUMBER: u32 = 77;
/// By how much clocks may differ, in seconds.
const SKEW: u64 = 300;

/// A client that has proven itself.
pub(crate) struct Accepted {
    /// The parts of its name.
    pub(crate) client: Vec<String>,
    /// What proves the service to it.
    pub(crate) token: Vec<u8>,
    pub(crate) context: Context,
}

/// Judges a first token, now, in seconds since 1970.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn accept(service: &Service, token: &[u8], now: u64) -> Result<Accepted, String> {
    let (kind, request) = parse_initial_context_token(token).map_err(|error| format!("{error:?}"))?;
    assert_eq!(kind, TOK_ID_AP_REQ);
    let request = parse_ap_req(&request).map_err(|error| error.to_string())?;
    let judged = verify_ap_req_full(&request, &service.key, SKEW, now, &mut NoopReplayCache);
    let (proven, ticket) = judged.map_err(|error| error.to_string())?;
    let session = KerberosKey::from_i32(ticket.key.keytype, ticket.key.keyvalue).unwrap();
    let key = fresh_key();
    let chosen = EncryptionKey { keytype: CIPHER.to_i32(), keyvalue: key.key().to_vec() };
    let reply = build_ap_rep(&session, &proven.authenticator, Some(&chosen), Some(FIRST_NUMBER));
    let expected = proven.sequence_number.expect("it numbers its tokens").into();
    let context =
        Context { side: Side::Acceptor, key, is_acceptors_key: true, next: FIRST_NUMBER.into(), expected };
    let token = initial_context_token(TOK_ID_AP_REP, &reply);
    Ok(Accepted { client: proven.client_principal.name_string, token, context })
}
