//! The credentials of a PLAIN client, and the user whom they name. Each family of coordinators accepts other
//! forms of them.

use std::fmt;

use zeroize::Zeroizing;

use super::message::{MechanismName, Message, SaslError, Status, encode};
use crate::ids::Family;

/// What a client proves its identity with, kept as it came so that coordinators get the same bytes. Zeroed
/// when dropped; `Debug` shows the user alone.
pub struct Credentials {
    status: Status,
    payload: Zeroizing<Vec<u8>>,
    user: Box<str>,
}

impl Credentials {
    /// Reads a PLAIN response as coordinators of this family do. An empty password is accepted, since it is
    /// the coordinator's part to refuse it. `response.status` is kept for [`Credentials::opening`].
    ///
    /// # Errors
    ///
    /// When the response has another form than such coordinators accept (with a NUL inside the password, for
    /// example), when the user name is empty or not UTF-8, and for impalad when the authorization id differs
    /// from the user name.
    pub fn parse(response: Message<'_>, family: Family) -> Result<Self, SaslError> {
        let user = match family {
            Family::Impala => impala_user(response.payload),
            Family::Hive => hive_user(response.payload),
        }?;
        let user = std::str::from_utf8(user).map_err(|_| SaslError::Credentials)?;
        if user.is_empty() {
            return Err(SaslError::NoUser);
        }
        let payload = Zeroizing::new(response.payload.to_vec());
        Ok(Self { status: response.status, payload, user: user.into() })
    }

    /// The name that the client claims (its authentication id).
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The bytes that open a handshake with a coordinator: START PLAIN and the response, with the client's
    /// own status and payload. Sent in one write: impalad has two threads for all handshakes of a port, and
    /// one that waits for a response is lost to the others (Impala: `TAcceptQueueServer`,
    /// `accepted_cnxn_setup_thread_pool_size`).
    pub fn opening(&self) -> Zeroizing<Vec<u8>> {
        let start = encode(Status::Start, MechanismName::Plain.as_str().as_bytes());
        let response = encode(self.status, &self.payload);
        Zeroizing::new([start.as_slice(), response.as_slice()].concat())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// `[authzid] NUL authcid NUL password` (RFC 4616 §2), as Cyrus SASL reads it for impalad (cyrus-sasl:
/// `plugins/plain.c` `plain_server_mech_step`, which refuses more and less).
fn impala_user(response: &[u8]) -> Result<&[u8], SaslError> {
    let mut fields = response.split(|&byte| byte == 0);
    let (Some(acts_as), Some(user), Some(_password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(SaslError::Credentials);
    };
    match acts_as {
        _ if user.is_empty() => Err(SaslError::NoUser),
        other if !other.is_empty() && other != user => Err(SaslError::OtherAuthzid),
        _ => Ok(user),
    }
}

/// `[authzid NUL] authcid NUL password`: two fields or three, counted from the end. The user is the
/// authentication id; the authorization id is passed to a callback that agrees to every one (Hive:
/// `PlainSaslServer.java` `evaluateResponse`, `PlainSaslHelper.java` `PlainServerCallbackHandler`; Spark has
/// copies of both, Kyuubi the same in Scala).
fn hive_user(response: &[u8]) -> Result<&[u8], SaslError> {
    let mut fields = response.rsplit(|&byte| byte == 0);
    let (Some(_password), Some(user), _acts_as, None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(SaslError::Credentials);
    };
    Ok(user)
}
