//! What can go wrong in a handshake of GSSAPI, in words that a person can act on.

use thiserror::Error;

use super::layer::LayerError;
use crate::wire::sasl::message::{SaslError, Status};

/// Why a handshake of GSSAPI cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GssapiError {
    /// A message is malformed or out of place.
    #[error(transparent)]
    Sasl(#[from] SaslError),
    /// Kerberos refuses a token, or has none.
    #[error("Kerberos: {0}")]
    Kerberos(#[from] KerberosError),
    /// The token with the offer of layers, or with the choice of one, is not the peer's.
    #[error(
        "the last token of the handshake is not signed as it must be ({}): it was changed on its way, or is another \
         connection's; let nothing between the two sides change what they say",
        .0.text
    )]
    NotSigned(KerberosError),
    /// The two sides do not agree on a security layer, or on the user.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A message has no token where one belongs.
    #[error("a message of the GSSAPI handshake has no token")]
    NoToken,
    /// A message has a token where none belongs.
    #[error("a message of the GSSAPI handshake has {len} bytes where it must be empty")]
    Unexpected {
        /// Bytes.
        len: usize,
    },
    /// The context is not established after as many tokens as Kerberos can need.
    #[error("the GSSAPI handshake was not over after {rounds} tokens")]
    TooManyRounds {
        /// Tokens from the peer.
        rounds: u32,
    },
    /// The context is not established after the only token that a request over HTTP has.
    #[error(
        "the login needs more than one token, and a request over HTTP has one; the client must send a ticket of Kerberos 5 at once"
    )]
    NotAtOnce,
}

impl GssapiError {
    /// The status for the answer to the client: BAD for what it showed or asked for, which is all that the
    /// mechanism itself refuses; ERROR where its messages are none of a handshake. Java's servers draw the same
    /// line (Thrift: `TSaslTransport.java` `open`, which answers a `SaslException` with BAD).
    pub fn status(&self) -> Status {
        match self {
            Self::Sasl(error) => error.status(),
            Self::Kerberos(_)
            | Self::NotSigned(_)
            | Self::Layer(_)
            | Self::NoToken
            | Self::Unexpected { .. }
            | Self::TooManyRounds { .. }
            | Self::NotAtOnce => Status::Bad,
        }
    }
}

/// Why Kerberos does not go on: its own words, and what can be done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text}{}", .cause.remedy())]
pub struct KerberosError {
    /// What is known of the reason.
    pub cause: Cause,
    /// What Kerberos says, in one line. It names principals and key versions where those are the reason.
    pub text: Box<str>,
}

/// What is known of the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The clocks of the two sides, or of the KDC, differ by more than is allowed, which is five minutes by
    /// default: the client's time is another one, or its ticket is not good yet.
    ClockSkew,
    /// The same token was used before.
    Replay,
    /// The ticket is over.
    Expired,
    /// The keytab lacks the key of the service that the ticket is for, or has another version of it.
    NoKey,
    /// The keytab of the router's own principal cannot be read, or lacks its key.
    NoOwnKey,
    /// One of the sides does not have, or not allow, a cipher of the other.
    Cipher,
    /// The Kerberos database lacks the service.
    UnknownService,
    /// The token is not one of Kerberos, or was damaged.
    NoTicket,
    /// Nothing that has a remedy of its own.
    Other,
}

impl Cause {
    /// What to do about it, as the end of a sentence.
    fn remedy(self) -> &'static str {
        match self {
            Self::ClockSkew => "; set the clocks of client, router and KDC by NTP",
            Self::Replay => "; make a new token for each connection, and send none twice",
            Self::Expired => "; get a new ticket (kinit)",
            Self::NoKey => {
                "; compare the name that the client asks for (klist) with those in the router's keytab (klist -kte), \
                 and export the keytab anew if the key has changed; then have clients run kinit again"
            }
            Self::NoOwnKey => {
                "; see that the router's user can read the keytab in [cluster.kerberos], and that the keytab has a key of \
                 this principal (klist -kt)"
            }
            Self::Cipher => {
                "; have both sides and the KDC use AES (permitted_enctypes in krb5.conf), and get a new ticket (kinit)"
            }
            Self::UnknownService => "; add the service to the KDC, or correct the name in the config",
            Self::NoTicket => "; the client must send a ticket of Kerberos 5",
            Self::Other => "",
        }
    }

    /// Recognizes the reason by what MIT Kerberos says (krb5: `lib/krb5/error_tables/krb5_err.et` and
    /// `lib/krb5/krb/rd_req_dec.c`, `lib/gssapi/krb5/acquire_cred.c`, 1.20).
    pub fn of(text: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if says(&["Clock skew too great", "Ticket not yet valid"]) {
            Self::ClockSkew
        } else if says(&["Request is a replay"]) {
            Self::Replay
        } else if says(&["Ticket expired", "Credentials have expired"]) {
            Self::Expired
        } else if says(&["not found in Kerberos database"]) {
            Self::UnknownService
        } else if says(&["Can't find client principal"]) {
            Self::NoOwnKey
        } else if says(&[
            "keytab",
            "key table",
            "Key version",
            "Cannot find key",
            "Wrong principal",
            "Decrypt integrity check failed",
        ]) {
            Self::NoKey
        } else if says(&["ncryption type"]) {
            Self::Cipher
        } else if says(&[
            "Invalid token was supplied",
            "A token was invalid",
            "mechanism was requested",
            MALFORMED,
        ]) {
            Self::NoTicket
        } else {
            Self::Other
        }
    }
}

impl KerberosError {
    /// An error with these words of Kerberos.
    pub fn new(text: &str) -> Self {
        let text = detail(text);
        Self { cause: Cause::of(text), text: one_line(text).into() }
    }
}

/// How many characters are kept of the beginning of a peer's words.
const KEPT_FIRST: usize = 300;
/// How many are kept of their end.
const KEPT_LAST: usize = 150;

/// Words that a peer may have chosen, as they go to logs and other peers: one line without control characters, of
/// 451 characters at most. What is too long loses its middle: Kerberos names there whom the peer asks for, and says
/// at the end what is wrong with that.
pub fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    let text = text.trim();
    let left_out = text.chars().count().saturating_sub(KEPT_FIRST + KEPT_LAST);
    if left_out == 0 {
        return text.to_owned();
    }
    let (begins, ends) = (text.chars().take(KEPT_FIRST), text.chars().skip(KEPT_FIRST + left_out));
    begins.chain(['…']).chain(ends).collect()
}

/// What is said of a token that MIT Kerberos gives no reason for.
const MALFORMED: &str = "the token is malformed";

/// The part of what MIT Kerberos says that tells something: it has the same words before each reason of its own,
/// and words that mislead where it has no reason.
fn detail(text: &str) -> &str {
    let no_reason = [" (Success)", " (Unknown error)"].iter().find_map(|end| text.strip_suffix(end));
    let reason = text.strip_prefix("Unspecified GSS failure.  Minor code may provide more information (");
    match (no_reason, reason.and_then(|reason| reason.strip_suffix(')'))) {
        (Some(_), Some(_)) => MALFORMED,
        (Some(text), None) => text,
        (None, reason) => reason.unwrap_or(text),
    }
}
