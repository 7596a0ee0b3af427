//! The TLS state of one connection: rustls without its buffers, so that an idle connection holds none.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};

use super::client::TlsFailure;
use super::failure::Failure;

/// The most bytes of plaintext in a record (RFC 8446 5.1).
pub(super) const RECORD_PLAINTEXT: usize = 16 << 10;
/// What a record has besides its plaintext, if the peer pads nothing: a header of 5 bytes, a nonce of 8 (TLS
/// 1.2), the type of 1 (TLS 1.3), and what authenticates it, 16.
pub(super) const RECORD_EXTRA: usize = 5 + 8 + 1 + 16;
/// The most bytes that [`Session::encrypt`] may need for one record: its header, what the cipher adds, and
/// messages that were queued before it, such as the answer to a key update.
pub(super) const RECORD_ROOM: usize = RECORD_PLAINTEXT + 1024;

/// Where decrypted bytes go: to the reader, and to `rest` what the reader has no room for.
pub(super) struct Sink<'a, 'b> {
    pub(super) reader: Option<&'a mut tokio::io::ReadBuf<'b>>,
    pub(super) rest: &'a mut Vec<u8>,
}

impl Sink<'_, '_> {
    fn take(&mut self, plaintext: &[u8]) {
        let fits = match &mut self.reader {
            Some(reader) if self.rest.is_empty() => {
                let fits = reader.remaining().min(plaintext.len());
                reader.put_slice(plaintext.get(..fits).unwrap_or_default());
                fits
            }
            _ => 0,
        };
        self.rest.extend_from_slice(plaintext.get(fits..).unwrap_or_default());
    }
}

/// What a [step](Session::step) came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Something was decrypted; another step may find more.
    Some,
    /// Something is to be sent. Another step has to follow, even if no bytes are left: it may find an end.
    Again,
    /// The bytes contain nothing more that is whole.
    NeedsMore,
    /// The peer has said that it will send no more.
    PeerClosed,
}

/// The TLS state of one side of a connection.
pub(super) enum Session {
    Server(Box<UnbufferedServerConnection>),
    Client {
        connection: Box<UnbufferedClientConnection>,
        /// Whether there is a certificate to show to a server that asks for one.
        has_certificate: bool,
    },
}

impl Session {
    /// Begins the handshake of a connection that a client opened.
    pub(super) fn accept(config: Arc<ServerConfig>) -> Result<Self, Error> {
        UnbufferedServerConnection::new(config).map(Box::new).map(Self::Server)
    }

    /// Begins the handshake with a server.
    pub(super) fn connect(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        let has_certificate = config.client_auth_cert_resolver.has_certs();
        let connection = Box::new(UnbufferedClientConnection::new(config, name)?);
        Ok(Self::Client { connection, has_certificate })
    }

    /// What an error after the handshake means.
    pub(super) fn failure(&self, error: Error) -> Failure {
        match (self, &error) {
            (Self::Client { has_certificate, .. }, Error::AlertReceived(alert)) => {
                let failure = TlsFailure::of_late_alert(*alert, *has_certificate);
                failure.map_or(Failure::Protocol(error), Failure::Unwelcome)
            }
            _ => Failure::Protocol(error),
        }
    }

    /// The most bytes that are kept of one message of the handshake protocol after the handshake. A client
    /// has none to say but `KeyUpdate`, which has five, however it is cut into records; a server sends
    /// tickets.
    pub(super) fn longest_message(&self) -> usize {
        match self {
            Self::Server(_) => 1 << 10,
            Self::Client { .. } => 80 << 10,
        }
    }

    /// What was negotiated.
    pub(super) fn common(&self) -> &CommonState {
        match self {
            Self::Server(server) => server,
            Self::Client { connection: client, .. } => client,
        }
    }

    /// Looks at the bytes that were received, up to the first thing that can be done with them. Returns how
    /// many of them are used up, which the caller must drop before the next call. What is to be sent is
    /// appended to `outgoing`.
    ///
    /// # Errors
    /// When the peer breaks the protocol, refuses the connection or is refused. What is to be sent to it may
    /// have been appended even then.
    pub(super) fn step(
        &mut self,
        received: &mut [u8],
        sink: &mut Sink<'_, '_>,
        outgoing: &mut Vec<u8>,
    ) -> (usize, Result<Progress, Error>) {
        let (used, progress) = match self {
            Self::Server(server) => follow(server.process_tls_records(received), sink, outgoing),
            Self::Client { connection: client, .. } => {
                follow(client.process_tls_records(received), sink, outgoing)
            }
        };
        if progress.is_err() {
            self.alert(outgoing);
        }
        (used, progress)
    }

    /// Appends the alert that goes with an error.
    fn alert(&mut self, outgoing: &mut Vec<u8>) {
        let mut nowhere = Vec::new();
        let mut sink = Sink { reader: None, rest: &mut nowhere };
        // Only the first step is taken, which finds the alert before it looks at bytes.
        match self {
            Self::Server(server) if server.wants_write() => {
                let (_, _) = follow(server.process_tls_records(&mut []), &mut sink, outgoing);
            }
            Self::Client { connection: client, .. } if client.wants_write() => {
                let (_, _) = follow(client.process_tls_records(&mut []), &mut sink, outgoing);
            }
            _ => {}
        }
    }

    /// Encrypts at most a record's plaintext to the front of `room`, which has at least [`RECORD_ROOM`]
    /// bytes; returns how many bytes of it were used. `received` are the bytes of a handshake message that
    /// is not whole yet; it is empty if there is none.
    ///
    /// # Errors
    /// [`Failure::KeysUsedUp`], when the keys must encrypt no more; another [`Failure`], when the connection
    /// is not fit to send: it has failed or was closed.
    pub(super) fn encrypt(
        &mut self,
        plaintext: &[u8],
        room: &mut [u8],
        received: &mut [u8],
    ) -> Result<usize, Failure> {
        let mut encrypted = Ok(0);
        self.write(received, |traffic| encrypted = traffic.encrypt(plaintext, room))?;
        encrypted.map_err(|error| match error {
            EncryptError::EncryptExhausted => Failure::KeysUsedUp,
            EncryptError::InsufficientSize(_) => Error::General(error.to_string()).into(),
        })
    }

    /// Puts a `close_notify` to the front of `room`; returns its length.
    ///
    /// # Errors
    /// When the connection is not fit to send: it has failed or was closed.
    pub(super) fn close(&mut self, room: &mut [u8], received: &mut [u8]) -> Result<usize, Error> {
        let mut closed = Ok(0);
        self.write(received, |traffic| closed = traffic.queue_close_notify(room))?;
        closed.map_err(|error| Error::General(error.to_string()))
    }

    fn write(&mut self, received: &mut [u8], mut write: impl FnMut(&mut dyn Write)) -> Result<(), Error> {
        loop {
            let written = match self {
                Self::Server(server) => write_now(server.process_tls_records(received), &mut write),
                Self::Client { connection: client, .. } => {
                    write_now(client.process_tls_records(received), &mut write)
                }
            };
            if written? {
                return Ok(());
            }
        }
    }
}

/// What a connection of either side can write.
trait Write {
    fn encrypt(&mut self, plaintext: &[u8], room: &mut [u8]) -> Result<usize, EncryptError>;

    fn queue_close_notify(&mut self, room: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<Data> Write for WriteTraffic<'_, Data> {
    fn encrypt(&mut self, plaintext: &[u8], room: &mut [u8]) -> Result<usize, EncryptError> {
        self.encrypt(plaintext, room)
    }

    fn queue_close_notify(&mut self, room: &mut [u8]) -> Result<usize, EncryptError> {
        self.queue_close_notify(room)
    }
}

fn follow<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    sink: &mut Sink<'_, '_>,
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Progress, Error>) {
    let UnbufferedStatus { mut discard, state, .. } = status;
    let progress = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(AppDataRecord { discard: more, payload, .. })) => {
                    sink.take(payload);
                    discard += more;
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Progress::Some),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, outgoing).map(|()| Progress::Again),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Progress::Again)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(Progress::NeedsMore),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Progress::PeerClosed),
        // Early data is never offered or accepted; later versions may add states.
        Ok(_) => Err(Error::General("an unexpected state of the TLS library".to_owned())),
        Err(error) => Err(error),
    };
    (discard, progress)
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, outgoing: &mut Vec<u8>) -> Result<(), Error> {
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size, .. })) =
        data.encode(&mut [])
    else {
        return Ok(());
    };
    let start = outgoing.len();
    outgoing.resize(start + required_size, 0);
    let encoded = data.encode(outgoing.get_mut(start..).unwrap_or_default());
    encoded.map(|_| ()).map_err(|error| Error::General(error.to_string()))
}

/// Has something written, if the connection is ready for that; false if it has to be asked again.
fn write_now<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    write: &mut impl FnMut(&mut dyn Write),
) -> Result<bool, Error> {
    match status.state? {
        ConnectionState::WriteTraffic(mut traffic) => {
            write(&mut traffic);
            Ok(true)
        }
        // The library says so once, instead of what it would say otherwise; asked again, it lets write. (That
        // the peer sends no more, the next read finds by itself.)
        ConnectionState::PeerClosed => Ok(false),
        // What an earlier step encoded is no longer the library's.
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(false)
        }
        _ => Err(Error::General("the TLS connection is closed".to_owned())),
    }
}
