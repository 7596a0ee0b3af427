//! SASL PLAIN negotiation and framing, both ends (Impala: `TSaslTransport.cpp`, `TSaslServerTransport.cpp`).

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};

use super::coordinator::Password;

/// The size of a coordinator's write buffer, in bytes; longer replies take several frames (Impala: 128 KiB,
/// `TBufferedTransport`).
const WRITE_BUFFER: usize = 128 << 10;
/// The longest negotiation payload that is read, in bytes. Impala has no limit; this one keeps a test from
/// allocating gigabytes.
const NEGOTIATION_LIMIT: usize = 1 << 20;
/// The longest data frame that is read.
const FRAME_LIMIT: usize = 1 << 30;

const START: u8 = 1;
const OK: u8 = 2;
const BAD: u8 = 3;
const ERROR: u8 = 4;
const COMPLETE: u8 = 5;

/// How messages are sent on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// One after another, nothing between them (NOSASL).
    Unframed,
    /// In frames of a 4-byte length and data, which do not align with messages.
    Sasl,
}

/// The reading side of a connection: message bytes, whatever the framing.
pub(super) struct Incoming<R> {
    reader: BufReader<R>,
    framing: Framing,
    left_in_frame: usize,
}

impl<R: Read> Incoming<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            reader: BufReader::with_capacity(WRITE_BUFFER, stream),
            framing: Framing::Unframed,
            left_in_frame: 0,
        }
    }

    pub(super) fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// How many bytes were read from the stream and not consumed yet.
    pub(super) fn buffered(&self) -> usize {
        self.reader.buffer().len()
    }

    pub(super) fn stream_mut(&mut self) -> &mut R {
        self.reader.get_mut()
    }

    /// Waits for a byte: `false` at the end of the stream.
    ///
    /// # Errors
    /// When reading from the stream fails, for example with a read timeout.
    pub(super) fn wait(&mut self) -> io::Result<bool> {
        Ok(self.left_in_frame > 0 || !self.reader.fill_buf()?.is_empty())
    }

    /// Reads and discards everything until the other side ends.
    pub(super) fn discard(&mut self) {
        while let Ok(bytes) = self.reader.fill_buf() {
            let read = bytes.len();
            if read == 0 {
                return;
            }
            self.reader.consume(read);
        }
    }

    fn read_message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.reader.read_exact(&mut head)?;
        let [status, length @ ..] = head;
        // Impala closes the connection here without an answer: "invalid sasl status".
        if !(START..=COMPLETE).contains(&status) {
            return Err(io::Error::new(ErrorKind::InvalidData, "invalid sasl status"));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > NEGOTIATION_LIMIT {
            return Err(io::Error::new(ErrorKind::InvalidData, "negotiation payload too long"));
        }
        let mut payload = vec![0; length];
        self.reader.read_exact(&mut payload)?;
        Ok((status, payload))
    }
}

impl<R: Read> Read for Incoming<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::Unframed {
            return self.reader.read(buffer);
        }
        if self.left_in_frame == 0 {
            let mut length = [0; 4];
            self.reader.read_exact(&mut length)?;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if length > FRAME_LIMIT {
                return Err(io::Error::new(ErrorKind::InvalidData, "frame too long"));
            }
            // An empty frame reads as the end of the stream, as in impalad.
            self.left_in_frame = length;
        }
        let wanted = buffer.len().min(self.left_in_frame);
        let read = self.reader.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        self.left_in_frame -= read;
        Ok(read)
    }
}

/// Writes one message, in as many frames as a coordinator's write buffer needs.
///
/// # Errors
/// When writing to the stream fails.
pub(super) fn write_message(stream: &mut impl Write, framing: Framing, message: &[u8]) -> io::Result<()> {
    if framing == Framing::Unframed {
        return stream.write_all(message);
    }
    let mut framed = Vec::with_capacity(message.len() + 4 * (message.len() / WRITE_BUFFER + 1));
    for chunk in message.chunks(WRITE_BUFFER) {
        framed.extend_from_slice(&frame_length(chunk.len())?);
        framed.extend_from_slice(chunk);
    }
    stream.write_all(&framed)
}

/// Writes one message in one frame, as every client does.
///
/// # Errors
/// When writing to the stream fails.
pub(super) fn write_whole(stream: &mut impl Write, framing: Framing, message: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(message.len() + 4);
    if framing == Framing::Sasl {
        framed.extend_from_slice(&frame_length(message.len())?);
    }
    framed.extend_from_slice(message);
    stream.write_all(&framed)
}

fn frame_length(length: usize) -> io::Result<[u8; 4]> {
    let length = u32::try_from(length).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    Ok(length.to_be_bytes())
}

fn negotiation(status: u8, payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut message = vec![status];
    message.extend_from_slice(&frame_length(payload.len())?);
    message.extend_from_slice(payload);
    Ok(message)
}

/// The coordinator's half of the negotiation. Returns the user's name, which is the authorization id if there
/// is one.
///
/// # Errors
/// When the stream fails; `PermissionDenied` when the password is wrong. Then the connection has to be
/// closed, because Impala answers nothing to a failed authentication (`TSaslTransport.cpp`
/// `doSaslNegotiation`).
pub(super) fn accept<R: Read>(
    incoming: &mut Incoming<R>,
    stream: &mut impl Write,
    users: &BTreeMap<String, Password>,
) -> io::Result<String> {
    let (status, mechanism) = incoming.read_message()?;
    if status != START {
        stream.write_all(&negotiation(ERROR, b"Expecting START status, received OK")?)?;
        return Err(ErrorKind::InvalidData.into());
    }
    if mechanism != b"PLAIN" {
        let mut text = b"Unsupported mechanism type ".to_vec();
        text.extend_from_slice(&mechanism);
        stream.write_all(&negotiation(BAD, &text)?)?;
        return Err(ErrorKind::Unsupported.into());
    }
    // Python clients send the response as OK, Java clients as COMPLETE.
    let (status, response) = incoming.read_message()?;
    if status != OK && status != COMPLETE {
        return Err(ErrorKind::InvalidData.into());
    }
    let user = check(&response, users).ok_or(ErrorKind::PermissionDenied)?;
    stream.write_all(&negotiation(COMPLETE, b"")?)?;
    incoming.set_framing(Framing::Sasl);
    Ok(user)
}

/// Checks the password of the authentication id. The session's user is the authorization id if it is given
/// (Impala: `authentication.cc` `SaslLdapAuthorizeExternal` accepts every one).
fn check(response: &[u8], users: &BTreeMap<String, Password>) -> Option<String> {
    let mut parts = response.split(|byte| *byte == 0);
    let (authorization, authentication, password) = (parts.next()?, parts.next()?, parts.next()?);
    let authentication = std::str::from_utf8(authentication).ok()?;
    if parts.next().is_some() || !users.get(authentication)?.matches(password) {
        return None;
    }
    let authorization = std::str::from_utf8(authorization).ok()?;
    Some(if authorization.is_empty() { authentication } else { authorization }.to_owned())
}

/// The client's half of the negotiation.
///
/// # Errors
/// When the stream fails; `ConnectionRefused` with the coordinator's words when it answers BAD or ERROR;
/// `UnexpectedEof` when it closes the connection, which is how Impala refuses a password.
pub(super) fn authenticate<R: Read>(
    incoming: &mut Incoming<R>,
    stream: &mut impl Write,
    user: &str,
    password: &Password,
) -> io::Result<()> {
    let mut opening = negotiation(START, b"PLAIN")?;
    let mut response = vec![0];
    response.extend_from_slice(user.as_bytes());
    response.push(0);
    response.extend_from_slice(password.bytes());
    opening.extend_from_slice(&negotiation(OK, &response)?);
    stream.write_all(&opening)?;
    let (status, payload) = incoming.read_message()?;
    if status != COMPLETE {
        let text = String::from_utf8_lossy(&payload).into_owned();
        return Err(io::Error::new(ErrorKind::ConnectionRefused, text));
    }
    incoming.set_framing(Framing::Sasl);
    Ok(())
}
