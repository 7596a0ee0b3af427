//! Tickets of Kerberos, as far as a router sees of them: each is good for one request to one server. Nothing
//! here decrypts a real one.

use std::collections::HashSet;

use data_encoding::BASE64;

/// Whom a real ticket is for: what is in it stays unread.
const UNREAD: &str = "somebody@TEST";
/// The first byte of a token of GSSAPI (RFC 2743, section 3.1), with which each real ticket comes.
const GSSAPI: u8 = 0x60;

/// The `Authorization` of a client that shows a ticket of this user; each number makes another ticket.
pub fn ticket(user: &str, number: u64) -> String {
    format!("Negotiate {}", BASE64.encode(format!("{user}/{number}").as_bytes()))
}

/// The tickets that a server has seen, and does not take again (MIT: the replay cache; Java has one, too).
#[derive(Debug, Default)]
pub(super) struct Tickets(HashSet<Vec<u8>>);

impl Tickets {
    /// The user of a ticket that comes for the first time.
    pub(super) fn user(&mut self, authorization: &str) -> Option<String> {
        let token = token(authorization)?;
        let user = match token.first()? {
            &GSSAPI => UNREAD.to_owned(),
            _ => std::str::from_utf8(&token).ok()?.rsplit_once('/')?.0.to_owned(),
        };
        self.0.insert(token).then_some(user)
    }
}

/// What an authorization says after its scheme; JDBC puts a colon between them (Impala: `authentication.cc`
/// `NegotiateAuth`; Hive: `HttpAuthHelper`).
fn token(authorization: &str) -> Option<Vec<u8>> {
    let said = authorization.strip_prefix("Negotiate ")?.trim_start_matches([':', ' ']);
    BASE64.decode(said.trim().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once() {
        let mut tickets = Tickets::default();
        assert_eq!(tickets.user(&ticket("ann@TEST", 1)).as_deref(), Some("ann@TEST"));
        assert_eq!(tickets.user(&ticket("ann@TEST", 1)), None);
        assert_eq!(tickets.user(&ticket("ann@TEST", 2).replace(' ', " : ")).as_deref(), Some("ann@TEST"));
        assert_eq!(tickets.user("Negotiate YIIC").as_deref(), Some(UNREAD));
        assert_eq!(tickets.user("Basic YW5uLzE="), None);
    }
}
