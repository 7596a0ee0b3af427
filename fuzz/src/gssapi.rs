//! Handshakes of GSSAPI in which the router takes part: as the one that judges a client's ticket, and as the one
//! that logs in to a coordinator. What stands for Kerberos takes any token, and any signature.

use std::borrow::Cow;

use hs2router::wire::sasl::gssapi::{TOKEN_LIMIT, unsealed};
use hs2router::wire::sasl::kerberos::acceptor::{GssapiAcceptor, Reply};
use hs2router::wire::sasl::kerberos::initiator::Gssapi;
use hs2router::wire::sasl::kerberos::{Context, KerberosError, Stepped};
use hs2router::wire::sasl::{Answer, HEADER_LEN, Initiator, MECHANISM_LIMIT, SaslError, Status, parse};

use super::Recipe;

/// Whom all tickets are of.
const PRINCIPAL: &str = "u1@LAB";
/// How many tokens of one side Kerberos can need, and one more.
const TOO_MANY: u8 = 5;
/// The longest text of a refusal, in characters.
const LONGEST_TEXT: usize = 1024;

/// Both sides of a handshake end alike however it was cut; whoever is let in has sent just what it must, chosen no
/// layer, and named nobody but itself; and the text of each refusal is one line.
///
/// Of the kind, the low three bits say how many tokens the context needs after the first one, and the next bit
/// says that the router's steps make no tokens.
pub fn gssapi(input: &[u8]) {
    let recipe = Recipe::read(input);
    let double = Double { left: recipe.kind & 7, is_silent: recipe.kind & 8 != 0 };
    let (accepted, logged_in) = (accept(double, &[recipe.stream]), log_in(double, &[recipe.stream]));
    for pieces in recipe.pieces() {
        assert_eq!(accepted, accept(double, &pieces));
        assert_eq!(logged_in, log_in(double, &pieces));
    }
    match &accepted {
        Ended::Accepted { used } => is_rightly_in(double, recipe.stream.get(..*used).unwrap_or_default()),
        Ended::Refused { status, text } => {
            assert!(matches!(status, Status::Bad | Status::Error));
            is_one_line(text);
        }
        Ended::Open { challenges } => assert!(*challenges <= usize::from(TOO_MANY) + 1),
    }
    if let Ok((Answer::GaveUp(why), _)) = &logged_in {
        is_one_line(&why.to_string());
    }
}

fn is_one_line(text: &str) {
    assert!(!text.contains(char::is_control) && text.chars().count() <= LONGEST_TEXT, "{text:?}");
}

/// Stands for Kerberos.
#[derive(Clone, Copy)]
struct Double {
    /// How many tokens it needs after the next one.
    left: u8,
    is_silent: bool,
}

impl Context for Double {
    fn step(&mut self, token: &[u8]) -> Result<Stepped, KerberosError> {
        if token == b"bad" {
            return Err(KerberosError::new(&String::from_utf8_lossy(token)));
        }
        let is_established = self.left == 0;
        self.left = self.left.saturating_sub(1);
        let token = if self.is_silent { Vec::new() } else { b"answer".to_vec() };
        Ok(Stepped { token, is_established })
    }

    fn wrap(&mut self, bytes: &[u8]) -> Result<Vec<u8>, KerberosError> {
        Ok([b"\x05\x04\0\xff\0\0\0\0\0\0\0\0\0\0\0\0", bytes].concat())
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, KerberosError> {
        unsealed(token).map(Cow::into_owned).map_err(|error| KerberosError::new(&error.to_string()))
    }

    fn principal(&mut self) -> Result<String, KerberosError> {
        Ok(PRINCIPAL.to_owned())
    }
}

/// How a client's handshake ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Accepted { used: usize },
    Refused { status: Status, text: String },
    Open { challenges: usize },
}

/// Reads messages as `serve/client/tickets.rs` does.
fn accept(double: Double, pieces: &[&[u8]]) -> Ended {
    let mut acceptor = GssapiAcceptor::new(Box::new(double));
    let (mut came, mut used, mut limit, mut challenges) = (Vec::new(), 0, MECHANISM_LIMIT, 0);
    for piece in pieces {
        came.extend_from_slice(piece);
        loop {
            let message = match parse(came.get(used..).unwrap_or_default(), limit) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => return Ended::Refused { status: error.status(), text: error.to_string() },
            };
            used += HEADER_LEN + message.payload.len();
            if limit == MECHANISM_LIMIT {
                limit = TOKEN_LIMIT;
                continue;
            }
            match acceptor.next(message) {
                Ok(Reply::Challenge(_)) => challenges += 1,
                Ok(Reply::Accepted { principal }) => {
                    assert_eq!(principal, PRINCIPAL);
                    return Ended::Accepted { used };
                }
                Err(error) => return Ended::Refused { status: error.status(), text: error.to_string() },
            }
        }
    }
    Ended::Open { challenges }
}

/// A plain reading of what let a client in: START, its tokens, nothing if it got a token with the last of them, and
/// a choice.
fn is_rightly_in(double: Double, mut rest: &[u8]) {
    let mut messages = Vec::new();
    while let Some(([status, length @ ..], after)) = rest.split_first_chunk::<HEADER_LEN>() {
        let (payload, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        messages.push((*status, payload));
        rest = after;
    }
    let [_start, tokens @ .., (_, choice)] = messages.as_slice() else { panic!("{messages:?}") };
    let needed = usize::from(double.left) + 1;
    let (tokens, empty) = tokens.split_at(needed);
    assert!(needed < usize::from(TOO_MANY) && tokens.iter().all(|(_, token)| !token.is_empty()));
    assert_eq!(empty.len(), usize::from(!double.is_silent));
    assert!(empty.iter().all(|(_, nothing)| nothing.is_empty()));
    assert!(messages.iter().skip(1).all(|(status, _)| matches!(status, 2 | 5)));
    let inside = unsealed(choice).expect("it was read");
    let ([layers, ..], id) = inside.split_first_chunk::<4>().expect("it has its fixed part");
    assert_eq!(layers & 6, 0, "no layer");
    assert!(id.is_empty() || id == PRINCIPAL.as_bytes());
}

/// The router's own login, to which the stream is what the coordinator says.
fn log_in(double: Double, pieces: &[&[u8]]) -> Result<(Answer, usize), SaslError> {
    let begun = Gssapi::begin(Box::new(double)).expect("it begins");
    let (mut initiator, mut used) = (Initiator::new(begun), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let taken = initiator.push(rest)?;
            used += taken.used;
            rest = rest.get(taken.used..).unwrap_or_default();
            match taken.step {
                Answer::NeedMore | Answer::Respond(_) => {}
                ended => return Ok((ended, used)),
            }
        }
    }
    Ok((Answer::NeedMore, used))
}
