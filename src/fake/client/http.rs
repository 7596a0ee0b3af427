//! The client's half of HTTP: requests with a length, replies with a length or in chunks, and cookies.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use data_encoding::BASE64;
use parking_lot::Mutex;

use crate::fake::coordinator::Password;

/// The longest line of a reply that is read, in bytes.
const LINE_LIMIT: usize = 64 << 10;
/// The longest piece of a reply that is read.
const PIECE_LIMIT: u64 = 1 << 30;

/// How a client over HTTP says who it is.
#[derive(Clone, Debug)]
pub struct HttpLogin {
    /// Path and query.
    pub target: String,
    /// Name and password, which go with every request.
    pub basic: Option<(String, Password)>,
    /// More fields, each with its name and without its line end.
    pub fields: Vec<String>,
    /// Whether cookies are kept and sent.
    pub keeps_cookies: bool,
}

impl Default for HttpLogin {
    fn default() -> Self {
        Self { target: "/cliservice".to_owned(), basic: None, fields: Vec::new(), keeps_cookies: true }
    }
}

/// The cookies of a client, by name.
pub type Jar = Arc<Mutex<Vec<(String, String)>>>;

/// A request around this body.
pub fn request(login: &HttpLogin, jar: &Jar, body: &[u8]) -> Vec<u8> {
    let mut lines = vec![
        format!("POST {} HTTP/1.1", login.target),
        "Host: test".to_owned(),
        "Content-Type: application/x-thrift".to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    if let Some((user, password)) = &login.basic {
        let token = BASE64.encode(&[user.as_bytes(), b":", password.bytes()].concat());
        lines.push(format!("Authorization: Basic {token}"));
    }
    let cookies = jar.lock().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    if !cookies.is_empty() {
        lines.push(format!("Cookie: {}", cookies.join("; ")));
    }
    lines.extend(login.fields.iter().cloned());
    let head = lines.join("\r\n") + "\r\n\r\n";
    [head.as_bytes(), body].concat()
}

/// Reads the bodies of replies as one stream.
#[derive(Debug)]
pub struct Replies {
    jar: Option<Jar>,
    next: Next,
}

/// What comes next of a reply.
#[derive(Clone, Copy, Debug)]
enum Next {
    Head,
    Content(u64),
    Size,
    Chunk(u64),
}

impl Replies {
    /// Before the first reply; cookies that come are put into the jar.
    pub fn new(jar: Option<Jar>) -> Self {
        Self { jar, next: Next::Head }
    }

    /// Reads payload.
    ///
    /// # Errors
    /// The stream's; `PermissionDenied` for a 401 and `Other` for another status than 200, both with the
    /// head and what of the body comes in one read.
    pub fn read(&mut self, stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.next {
                Next::Head => self.next = self.head(stream)?,
                Next::Size => {
                    let size = size(&line(stream)?, 16)?;
                    self.next = Next::Chunk(size);
                    if size == 0 {
                        line(stream)?;
                        self.next = Next::Head;
                    }
                }
                Next::Content(0) => self.next = Next::Head,
                Next::Chunk(0) => {
                    line(stream)?;
                    self.next = Next::Size;
                }
                Next::Content(left) | Next::Chunk(left) => {
                    let read = stream.take(left).read(buffer)?;
                    let left = left - u64::try_from(read).unwrap_or(left);
                    let in_chunks = matches!(self.next, Next::Chunk(_));
                    self.next = if in_chunks { Next::Chunk(left) } else { Next::Content(left) };
                    return Ok(read);
                }
            }
        }
    }

    fn head(&self, stream: &mut impl Read) -> io::Result<Next> {
        let status = line(stream)?;
        let (mut next, mut head) = (Next::Content(0), vec![status.clone()]);
        loop {
            let field = line(stream)?;
            let Some((name, value)) = field.split_once(':') else { break };
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", value) => next = Next::Content(size(value, 10)?),
                ("transfer-encoding", _) => next = Next::Size,
                ("set-cookie", value) => self.keep(value),
                _ => {}
            }
            head.push(field);
        }
        match status.split(' ').nth(1) {
            Some("200") => Ok(next),
            Some("100") => Ok(Next::Head),
            code => {
                let mut body = [0; 1024];
                let read = if matches!(next, Next::Content(0)) { 0 } else { stream.read(&mut body)? };
                let text = String::from_utf8_lossy(body.get(..read).unwrap_or_default()).into_owned();
                let kind = if code == Some("401") { ErrorKind::PermissionDenied } else { ErrorKind::Other };
                Err(io::Error::new(kind, format!("{}\n\n{text}", head.join("\n"))))
            }
        }
    }

    fn keep(&self, cookie: &str) {
        let (Some(jar), Some((name, rest))) = (&self.jar, cookie.split_once('=')) else { return };
        let (value, attributes) = rest.split_once(';').unwrap_or((rest, ""));
        let mut jar = jar.lock();
        jar.retain(|(kept, _)| kept != name);
        if !attributes.split(';').any(|attribute| attribute.trim() == "Max-Age=0") {
            jar.push((name.to_owned(), value.to_owned()));
        }
    }
}

fn line(stream: &mut impl Read) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < LINE_LIMIT {
        stream.read_exact(&mut byte)?;
        if byte == *b"\n" {
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            return String::from_utf8(line.to_vec()).map_err(|_| ErrorKind::InvalidData.into());
        }
        line.extend_from_slice(&byte);
    }
    Err(io::Error::new(ErrorKind::InvalidData, "the line of a reply is too long"))
}

fn size(text: &str, radix: u32) -> io::Result<u64> {
    let size = u64::from_str_radix(text.trim(), radix).ok().filter(|size| *size <= PIECE_LIMIT);
    size.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("no length of a reply: {text:?}")))
}
