//! The router's side of a login to a coordinator: each mechanism a state machine, to which the coordinator's
//! messages go and from which the router's come. Who moves them knows neither names nor passwords.

use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::kerberos::GssapiError;
use super::message::{Message, SaslError, Status};

/// One login.
pub trait Mechanism: Send {
    /// The bytes that it begins with: START with the mechanism's name, and the first response if there is
    /// one.
    fn opening(&self) -> Zeroizing<Vec<u8>>;

    /// Takes in the coordinator's next message.
    ///
    /// # Errors
    /// [`SaslError::OutOfPlace`], when the message has no place at this point.
    fn next(&mut self, message: Message<'_>) -> Result<Reaction, SaslError>;
}

/// What a message of the coordinator's leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// These bytes are to be sent, and the next message awaited.
    Respond(Zeroizing<Vec<u8>>),
    /// The coordinator has accepted the login: frames follow.
    Accepted,
    /// It has refused it.
    Refused {
        /// BAD or ERROR.
        status: Status,
        /// The coordinator's words: usually UTF-8, passed on as they are.
        text: Vec<u8>,
    },
    /// The router cannot go on with what the coordinator sent.
    GaveUp(GssapiError),
}

/// PLAIN: all is shown at once, and the first message is the verdict.
#[derive(Debug)]
pub struct Plain<'a> {
    credentials: &'a Credentials,
}

impl<'a> Plain<'a> {
    /// Shows these.
    pub fn new(credentials: &'a Credentials) -> Self {
        Self { credentials }
    }
}

impl Mechanism for Plain<'_> {
    fn opening(&self) -> Zeroizing<Vec<u8>> {
        self.credentials.opening()
    }

    fn next(&mut self, message: Message<'_>) -> Result<Reaction, SaslError> {
        match message.status {
            Status::Complete => Ok(Reaction::Accepted),
            status @ (Status::Bad | Status::Error) => {
                Ok(Reaction::Refused { status, text: message.payload.to_vec() })
            }
            seen @ (Status::Start | Status::Ok) => Err(SaslError::OutOfPlace { seen }),
        }
    }
}
