//! Frames and the SASL negotiation, both ends (Impala: `TSaslTransport.cpp`,
//! `TSaslServerTransport.cpp`). All simulated peers speak through this, be it here, in tests or in benches;
//! it shares nothing with what the router reads frames by.

pub mod gssapi;

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};

use super::coordinator::{Checker, Logins, Password};

/// The size of a coordinator's write buffer, in bytes; longer replies take several frames (Impala: 128 KiB,
/// `TBufferedTransport`).
const WRITE_BUFFER: usize = 128 << 10;
/// The longest negotiation payload that is read, in bytes. Impala has no limit; this one keeps a test from
/// allocating gigabytes.
const NEGOTIATION_LIMIT: usize = 1 << 20;
/// The longest data frame that a simulated coordinator reads.
const FRAME_LIMIT: usize = 1 << 30;

/// The status of a negotiation's first message, whose payload is the mechanism's name.
pub const START: u8 = 1;
/// The status of a message after which others come.
pub const OK: u8 = 2;
/// The status of a refusal.
pub const BAD: u8 = 3;
/// The status of a message that says what was wrong with another.
pub const ERROR: u8 = 4;
/// The status of a message after which no others come.
pub const COMPLETE: u8 = 5;

/// How messages lie on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// One after another, nothing between them (NOSASL).
    #[default]
    None,
    /// In frames of a 4-byte length and data, which do not align with messages: after a SASL handshake, or
    /// those of `TFramedTransport`.
    Frames,
}

impl Framing {
    /// The bytes of a message as they go over the wire: in one frame, if there are frames.
    pub fn wrap(self, message: &[u8]) -> Vec<u8> {
        if self == Self::None { message.to_vec() } else { frame(message) }
    }
}

/// The four bytes of a length below 4 GiB.
pub fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

/// A frame around these bytes.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    [length(payload.len()).as_slice(), payload].concat()
}

/// A message of the negotiation.
pub fn negotiation(status: u8, payload: &[u8]) -> Vec<u8> {
    [&[status], length(payload.len()).as_slice(), payload].concat()
}

/// All that a client says in a PLAIN negotiation. There is no other authorization id.
pub fn plain(user: &str, password: &[u8]) -> Vec<u8> {
    let response = [b"\0", user.as_bytes(), b"\0", password].concat();
    [negotiation(START, b"PLAIN"), negotiation(OK, &response)].concat()
}

/// Reads a message of the negotiation: its status and its payload.
///
/// # Errors
/// The stream's; `InvalidData` for what is no message, or too long.
pub fn read_negotiation(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [status, length @ ..] = head;
    // Impala closes here without a word: "invalid sasl status".
    if !(START..=COMPLETE).contains(&status) {
        return Err(io::Error::new(ErrorKind::InvalidData, "invalid sasl status"));
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > NEGOTIATION_LIMIT {
        return Err(io::Error::new(ErrorKind::InvalidData, "negotiation payload too long"));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok((status, payload))
}

/// Takes the headers of frames, if there are any, out of a stream of bytes.
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    framing: Framing,
    /// The longest frame that is read, if there is a bound.
    longest: Option<usize>,
    /// What has come of a header, and how many bytes that was.
    header: u32,
    came: u8,
    left_in_frame: usize,
}

impl Deframer {
    /// At the beginning of a frame.
    pub fn new(framing: Framing) -> Self {
        Self { framing, ..Self::default() }
    }

    /// Whether it expects frames.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether no frame has begun.
    pub fn at_boundary(&self) -> bool {
        self.came == 0 && self.left_in_frame == 0
    }

    /// Hands on the payload in these bytes, piece by piece: an empty one for a frame without data.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        if self.framing == Framing::None {
            return take(bytes);
        }
        while let Some((&first, after)) = bytes.split_first() {
            if self.left_in_frame == 0 {
                (self.header, self.came, bytes) = (self.header << 8 | u32::from(first), self.came + 1, after);
                if self.came == 4 {
                    self.left_in_frame = usize::try_from(self.header).unwrap_or(usize::MAX);
                    (self.header, self.came) = (0, 0);
                    if self.left_in_frame == 0 {
                        take(&[]);
                    }
                }
                continue;
            }
            let (now, rest) = bytes.split_at(self.left_in_frame.min(bytes.len()));
            take(now);
            self.left_in_frame -= now.len();
            bytes = rest;
        }
    }

    /// Reads payload. A frame without data reads as the end of the stream, as it does at impalad.
    ///
    /// # Errors
    /// The stream's; `UnexpectedEof` where it ends and there are frames; `InvalidData` for a frame that is
    /// too long.
    pub fn read(&mut self, stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::None {
            return stream.read(buffer);
        }
        if self.left_in_frame == 0 {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if self.longest.is_some_and(|longest| length > longest) {
                return Err(io::Error::new(ErrorKind::InvalidData, "frame too long"));
            }
            self.left_in_frame = length;
        }
        let wanted = buffer.len().min(self.left_in_frame);
        let read = stream.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        self.left_in_frame -= read;
        Ok(read)
    }
}

/// The reading side of a connection: message bytes, whatever the framing.
pub(super) struct Incoming<R> {
    reader: BufReader<R>,
    deframer: Deframer,
}

impl<R: Read> Incoming<R> {
    pub(super) fn new(stream: R) -> Self {
        let reader = BufReader::with_capacity(WRITE_BUFFER, stream);
        Self { reader, deframer: Deframer::default() }
    }

    pub(super) fn set_framing(&mut self, framing: Framing) {
        self.deframer = Deframer { framing, longest: Some(FRAME_LIMIT), ..Deframer::default() };
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
        Ok(!self.deframer.at_boundary() || !self.reader.fill_buf()?.is_empty())
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
}

impl<R: Read> Read for Incoming<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.deframer.read(&mut self.reader, buffer)
    }
}

/// Writes one message, in as many frames as a coordinator's write buffer needs.
///
/// # Errors
/// When writing to the stream fails.
pub(super) fn write_message(stream: &mut impl Write, framing: Framing, message: &[u8]) -> io::Result<()> {
    if framing == Framing::None {
        return stream.write_all(message);
    }
    let frames: Vec<_> = message.chunks(WRITE_BUFFER).map(frame).collect();
    stream.write_all(&frames.concat())
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
    logins: &Logins,
) -> io::Result<String> {
    let (status, mechanism) = read_negotiation(&mut incoming.reader)?;
    if status != START {
        stream.write_all(&negotiation(ERROR, b"Expecting START status, received OK"))?;
        return Err(ErrorKind::InvalidData.into());
    }
    let user = match (mechanism.as_slice(), &logins.passwords) {
        (b"PLAIN", Some(checker)) => by_password(incoming, stream, checker)?,
        (b"GSSAPI", _) if logins.tickets => gssapi::accept(&mut incoming.reader, stream)?,
        _ => return refuse(stream, &mechanism),
    };
    incoming.set_framing(Framing::Frames);
    Ok(user)
}

fn refuse(stream: &mut impl Write, mechanism: &[u8]) -> io::Result<String> {
    let text = [b"Unsupported mechanism type ", mechanism].concat();
    stream.write_all(&negotiation(BAD, &text))?;
    Err(ErrorKind::Unsupported.into())
}

fn by_password<R: Read>(
    incoming: &mut Incoming<R>,
    stream: &mut impl Write,
    checker: &Checker,
) -> io::Result<String> {
    // Python clients send the response as OK, Java clients as COMPLETE.
    let (status, response) = read_negotiation(&mut incoming.reader)?;
    if status != OK && status != COMPLETE {
        return Err(ErrorKind::InvalidData.into());
    }
    let user = check(&response, checker).ok_or(ErrorKind::PermissionDenied)?;
    stream.write_all(&negotiation(COMPLETE, b""))?;
    Ok(user)
}

/// Checks the password of the authentication id. The session's user is the authorization id if it is given
/// (Impala: `authentication.cc` `SaslLdapAuthorizeExternal` accepts every one).
fn check(response: &[u8], checker: &Checker) -> Option<String> {
    let mut parts = response.split(|byte| *byte == 0);
    let (authorization, authentication, password) = (parts.next()?, parts.next()?, parts.next()?);
    let authentication = std::str::from_utf8(authentication).ok()?;
    if parts.next().is_some() || !checker.accepts(authentication, password) {
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
    stream.write_all(&plain(user, password.bytes()))?;
    let (status, payload) = read_negotiation(&mut incoming.reader)?;
    if status != COMPLETE {
        let text = String::from_utf8_lossy(&payload).into_owned();
        return Err(io::Error::new(ErrorKind::ConnectionRefused, text));
    }
    incoming.set_framing(Framing::Frames);
    Ok(())
}

/// The client's half of the GSSAPI negotiation, as [`authenticate`].
///
/// # Errors
/// As [`authenticate`].
pub(super) fn authenticate_by_ticket<R: Read>(
    incoming: &mut Incoming<R>,
    stream: &mut impl Write,
    user: &str,
) -> io::Result<()> {
    gssapi::authenticate(&mut incoming.reader, stream, user)?;
    incoming.set_framing(Framing::Frames);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_the_same_however_frames_and_pieces_are_cut() {
        let frames = [frame(b"one"), frame(b""), frame(b" and "), frame(b"two")].concat();
        for size in 1..frames.len() {
            let (mut deframer, mut payload) = (Deframer::new(Framing::Frames), Vec::new());
            for piece in frames.chunks(size) {
                deframer.push(piece, |bytes| payload.extend_from_slice(bytes));
            }
            assert_eq!(payload, b"one and two", "in pieces of {size}");
            assert!(deframer.at_boundary());
        }
    }
}
