//! A client's connection: how it logs in, and the halves that the generated clients read and write.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use thrift::TConfiguration;
use thrift::protocol::{TBinaryInputProtocol, TBinaryOutputProtocol};

use super::http::{self, HttpLogin, Jar, Replies};
use crate::fake::coordinator::Password;
use crate::fake::sasl::{self, Framing, Incoming};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client waits for bytes before it gives up, so that every test ends.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest string of a reply.
const STRING_LIMIT: usize = 1 << 30;

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum Login {
    /// Not at all, with unframed Thrift.
    NoSasl,
    /// SASL PLAIN.
    Plain {
        /// The authentication id; there is no other authorization id.
        user: String,
        /// Its password.
        password: Password,
    },
    /// SASL GSSAPI, with a token that names the user in place of a ticket.
    Kerberos {
        /// The user, and the authorization id.
        user: String,
    },
    /// With every request, over HTTP.
    Http(HttpLogin),
}

impl Login {
    /// SASL PLAIN with this name and password.
    pub fn plain(user: &str, password: &str) -> Self {
        Self::Plain { user: user.to_owned(), password: Password::new(password) }
    }

    /// SASL GSSAPI as this user.
    pub fn kerberos(user: &str) -> Self {
        Self::Kerberos { user: user.to_owned() }
    }

    /// Over HTTP, without a name.
    pub fn http() -> Self {
        Self::Http(HttpLogin::default())
    }

    /// Over HTTP, with this name and password on every request; cookies are kept.
    pub fn basic(user: &str, password: &str) -> Self {
        let basic = Some((user.to_owned(), Password::new(password)));
        Self::Http(HttpLogin { basic, ..HttpLogin::default() })
    }
}

/// Why a call had no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection, the protocol or a declared exception.
    #[error("{0}")]
    Thrift(#[from] thrift::Error),
    /// The server's status is an error: its message and SQL state.
    #[error("{message}")]
    Refused {
        /// `errorMessage`, empty if there is none.
        message: String,
        /// `sqlState`.
        sql_state: Option<String>,
    },
    /// The reply lacks its required result.
    #[error("the reply of {0} lacks its result")]
    Incomplete(&'static str),
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        Self::Thrift(error.into())
    }
}

/// The reading half of a client's connection.
pub struct Input {
    incoming: Incoming<TcpStream>,
    /// Over HTTP.
    replies: Option<Replies>,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.replies {
            Some(replies) => replies.read(&mut self.incoming, buffer),
            None => self.incoming.read(buffer),
        }
    }
}

/// The writing half: flushing sends the request, in one frame or with one head.
pub struct Output {
    stream: TcpStream,
    framing: Framing,
    /// Over HTTP.
    http: Option<(HttpLogin, Jar)>,
    request: Vec<u8>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let request = std::mem::take(&mut self.request);
        let request = match &self.http {
            Some((login, jar)) => http::request(login, jar, &request),
            None => self.framing.wrap(&request),
        };
        self.stream.write_all(&request)
    }
}

/// The protocols of a client's connection.
pub(super) type Protocols = (TBinaryInputProtocol<Input>, TBinaryOutputProtocol<Output>);

/// Connects and logs in.
///
/// # Errors
/// When the server cannot be reached or refuses the login.
pub(super) fn connect(address: SocketAddr, login: &Login) -> Result<(TcpStream, Protocols), CallError> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let mut incoming = Incoming::new(stream.try_clone()?);
    let (mut http, mut replies) = (None, None);
    let framing = match login {
        Login::Http(login) => {
            let jar = Jar::default();
            replies = Some(Replies::new(login.keeps_cookies.then(|| Arc::clone(&jar))));
            http = Some((login.clone(), jar));
            Framing::None
        }
        Login::NoSasl => Framing::None,
        Login::Plain { user, password } => {
            sasl::authenticate(&mut incoming, &mut stream, user, password)?;
            Framing::Frames
        }
        Login::Kerberos { user } => {
            sasl::authenticate_by_ticket(&mut incoming, &mut stream, user)?;
            Framing::Frames
        }
    };
    let limits = TConfiguration::builder().max_string_size(Some(STRING_LIMIT)).build()?;
    let output = Output { stream: stream.try_clone()?, framing, http, request: Vec::new() };
    let protocols = (
        TBinaryInputProtocol::with_config(Input { incoming, replies }, true, limits),
        TBinaryOutputProtocol::new(output, true),
    );
    Ok((stream, protocols))
}
