//! The raw head of a request, judged before any parser sees it. The router writes the head to a coordinator
//! anew, so what is refused here is what two readers could understand in two ways: where the head ends, and
//! where the body ends (RFC 9112, sections 2.2, 5.1 and 6.3).

use http::StatusCode;

/// The longest line, in bytes, without its end. The line with the login has [`LOGIN_LIMIT`].
pub const LINE_LIMIT: usize = 8 << 10;

/// How the line begins that may be longer, in any case of its letters: tickets of Kerberos stand there.
const LOGIN: &[u8] = b"authorization:";

/// The longest such line, in bytes, without its end. The largest ticket that is taken in SASL
/// ([`TOKEN_LIMIT`](crate::wire::sasl::gssapi::TOKEN_LIMIT)) has less in BASE64. Windows makes none above 65,535
/// bytes (`MaxTokenSize`; by default 48,000).
pub const LOGIN_LIMIT: usize = 92 << 10;

/// The longest head, in bytes, with the empty line that ends it.
pub const HEAD_LIMIT: usize = 100 << 10;

/// How many fields a head may have.
pub const FIELD_LIMIT: u8 = 100;

/// The longest body that a head may declare, in bytes. A statement with all its literals has some megabytes.
pub const BODY_LIMIT: u64 = 1 << 30;

/// A decimal number that has more digits may not fit.
const MOST_DIGITS: usize = 19;

const LINE_END: usize = 2;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    /// A line has more than [`LINE_LIMIT`] bytes.
    #[error("a line of the head is longer than {LINE_LIMIT} bytes")]
    LongLine,
    /// The line with a login has more than [`LOGIN_LIMIT`] bytes.
    #[error("Authorization is longer than {LOGIN_LIMIT} bytes, which no ticket of Kerberos needs")]
    LongLogin,
    /// The head has more than [`HEAD_LIMIT`] bytes.
    #[error("the head is longer than {HEAD_LIMIT} bytes")]
    LongHead,
    /// There are more than [`FIELD_LIMIT`] fields.
    #[error("the head has more than {FIELD_LIMIT} fields")]
    ManyFields,
    /// A NUL or another control character, which some readers take for the end of a line or of a value.
    #[error("the head contains the control character {0:#04x}")]
    Control(u8),
    /// CR without LF, which old readers take for the end of a line.
    #[error("a line of the head contains CR without LF")]
    BareCr,
    /// LF without CR. Impala's `THttpTransport::readLine` knows CR LF alone, and would read on.
    #[error("a line of the head ends with LF without CR")]
    BareLf,
    /// A field that goes on in the next line (obs-fold), which has been obsolete since RFC 7230.
    #[error("a field of the head continues in another line")]
    Folded,
    /// A line without a colon.
    #[error("a line of the head is no field, because it has no colon")]
    NoColon,
    /// Nothing before the colon, or a space, or what else may not be in a name.
    #[error("a field of the head has a malformed name")]
    FieldName,
    /// Two fields that say where the body ends, whether they agree or not.
    #[error("more than one field says how long the body is (Content-Length, Transfer-Encoding)")]
    TwoLengths,
    /// A Content-Length that is not a plain number.
    #[error("Content-Length is not a decimal number of at most {MOST_DIGITS} digits")]
    Length,
    /// A Content-Length above [`BODY_LIMIT`].
    #[error("the body is longer than {BODY_LIMIT} bytes")]
    LongBody,
    /// A Transfer-Encoding other than `chunked`.
    #[error("the body has a Transfer-Encoding other than chunked")]
    Coding,
    /// A Transfer-Encoding in HTTP/1.0, which has none.
    #[error("HTTP/1.0 has no Transfer-Encoding; send Content-Length")]
    CodingInOld,
    /// The first line is not `METHOD target HTTP/1.1`.
    #[error("the request line is malformed")]
    RequestLine,
    /// More than one empty line before the request line.
    #[error("more than one empty line before the request line")]
    EmptyLines,
    /// HTTP/0.9, or a version that the router does not know.
    #[error("this HTTP version is not spoken here; use HTTP/1.1")]
    Version,
    /// The preface of HTTP/2.
    #[error("HTTP/2 is not spoken here; use HTTP/1.1")]
    Http2,
}

impl BadHead {
    /// The status that the client is answered with; the connection ends with it, because nobody knows where
    /// the next request would begin.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::LongLine | Self::LongLogin | Self::LongHead | Self::ManyFields => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::LongBody => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
            Self::Version | Self::Http2 => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// A word that stays the same for every refusal of this kind: what limits of log lines go by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LongLine => "long line",
            Self::LongLogin => "long login",
            Self::LongHead => "long head",
            Self::ManyFields => "many fields",
            Self::Control(_) => "control character",
            Self::BareCr => "bare CR",
            Self::BareLf => "bare LF",
            Self::Folded => "folded field",
            Self::NoColon => "no colon",
            Self::FieldName => "field name",
            Self::TwoLengths => "two lengths",
            Self::Length => "length",
            Self::LongBody => "long body",
            Self::Coding => "transfer coding",
            Self::CodingInOld => "transfer coding in HTTP/1.0",
            Self::RequestLine => "request line",
            Self::EmptyLines => "empty lines",
            Self::Version => "version",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// How a head says where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes, at most [`BODY_LIMIT`]; 0 if the head says nothing.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// What the next line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The request line, or one empty line before it: old clients end a body with CR LF that its length does
    /// not count, and RFC 9112, section 2.2 asks to skip at least one. More than one is junk.
    First,
    RequestLine,
    Fields {
        is_old: bool,
    },
}

/// A head of which more and more comes. Small and without buffers: it remembers how far it has looked.
#[derive(Clone, Copy, Debug)]
pub struct HeadScan {
    expects: Expects,
    /// Where the line begins that has not ended yet.
    line: usize,
    /// Before here that line neither ends nor has a control character.
    looked: usize,
    fields: u8,
    framing: Option<Framing>,
}

impl Default for HeadScan {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadScan {
    /// A head of which nothing has come.
    pub fn new() -> Self {
        Self { expects: Expects::First, line: 0, looked: 0, fields: 0, framing: None }
    }

    /// Looks at what is new in `bytes`, which are all that have come so far, from the head's first one on.
    /// Gives the head's length in bytes, with its empty line, at most [`HEAD_LIMIT`]; none if more must come.
    ///
    /// However the bytes are split, the outcome is the same, and asking again changes nothing.
    ///
    /// # Errors
    /// When the head is refused, as soon as the line has ended that gives the reason, or has become too long.
    pub fn look(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadHead> {
        while let Some(line) = self.next_line(bytes)? {
            let next = self.line + line.len() + LINE_END;
            match self.expects {
                Expects::First if line.is_empty() => self.expects = Expects::RequestLine,
                Expects::RequestLine if line.is_empty() => return Err(BadHead::EmptyLines),
                Expects::First | Expects::RequestLine => {
                    self.expects = Expects::Fields { is_old: request_line(line)? };
                }
                Expects::Fields { .. } if line.is_empty() => return Ok(Some(next)),
                Expects::Fields { is_old } => {
                    if self.fields == FIELD_LIMIT {
                        return Err(BadHead::ManyFields);
                    }
                    if let Some(framing) = field(line)? {
                        self.note_framing(framing, is_old)?;
                    }
                    self.fields += 1;
                }
            }
            self.line = next;
            self.looked = next;
        }
        Ok(None)
    }

    /// Whether the empty line that may stand before a request is all that has come. It may then be forgotten:
    /// `bytes` begin behind it from now on.
    pub fn forget_empty_line(&mut self, bytes: &[u8]) -> bool {
        let is_all = self.expects == Expects::RequestLine && self.line == bytes.len() && self.line > 0;
        if is_all {
            (self.line, self.looked) = (0, 0);
        }
        is_all
    }

    /// Where the body ends, once the head has.
    pub fn framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::Length(0))
    }

    /// The line that begins where the last one has ended; none until it has ended itself.
    fn next_line<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, BadHead> {
        let control = first_control(bytes.get(self.looked..).unwrap_or_default());
        let end = control.map_or(bytes.len(), |at| self.looked + at);
        if end > self.line + LINE_LIMIT || end > HEAD_LIMIT {
            self.check_length(bytes, end)?;
        }
        self.looked = self.looked.max(end);
        match (bytes.get(end), bytes.get(end + 1)) {
            (None, _) | (Some(b'\r'), None) => Ok(None),
            (Some(b'\r'), Some(b'\n')) if end + LINE_END > HEAD_LIMIT => Err(BadHead::LongHead),
            (Some(b'\r'), Some(b'\n')) => Ok(bytes.get(self.line..end)),
            (Some(b'\r'), _) => Err(BadHead::BareCr),
            (Some(b'\n'), _) => Err(BadHead::BareLf),
            (Some(control), _) => Err(BadHead::Control(*control)),
        }
    }

    /// Judges a line that is longer than most may be, or that goes on up to here where heads end.
    fn check_length(&self, bytes: &[u8], end: usize) -> Result<(), BadHead> {
        let begin = bytes.get(self.line..self.line + LOGIN.len());
        let is_login = matches!(self.expects, Expects::Fields { .. })
            && begin.is_some_and(|begin| begin.eq_ignore_ascii_case(LOGIN));
        let (limit, too_long) =
            if is_login { (LOGIN_LIMIT, BadHead::LongLogin) } else { (LINE_LIMIT, BadHead::LongLine) };
        let longest = self.line + limit;
        if end <= longest.min(HEAD_LIMIT) {
            return Ok(());
        }
        Err(if longest <= HEAD_LIMIT { too_long } else { BadHead::LongHead })
    }

    fn note_framing(&mut self, framing: Framing, is_old: bool) -> Result<(), BadHead> {
        if self.framing.is_some() {
            return Err(BadHead::TwoLengths);
        }
        if is_old && framing == Framing::Chunked {
            return Err(BadHead::CodingInOld);
        }
        self.framing = Some(framing);
        Ok(())
    }
}

/// Where the first character is that may not stand in a line. A tab may, in a field's value.
fn first_control(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + first_control_or_tab(bytes.get(from..)?)?;
        if bytes.get(at) != Some(&b'\t') {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Eight bytes at once: a head is looked at for each call.
fn first_control_or_tab(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    // The highest bit of each byte that is less than `bound`, and perhaps of bytes above such a one.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = below(word, 0x20) | below(word ^ (ONES * 0x7f), 1);
        if found != 0 {
            return Some(8 * index + found.trailing_zeros() as usize / 8);
        }
    }
    let is_found = |byte: &u8| byte.is_ascii_control();
    rest.iter().position(is_found).map(|at| 8 * words.len() + at)
}

/// The characters of methods and of names of fields (RFC 9110, section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while let [byte, after @ ..] = rest {
        #[expect(clippy::indexing_slicing, reason = "computed by the compiler, and a byte is below 256")]
        {
            table[*byte as usize] = true;
        }
        rest = after;
    }
    table
};

fn is_token(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).is_some_and(|is_token| *is_token)
}

/// Judges `METHOD SP target SP version`; whether the version is 1.0.
fn request_line(line: &[u8]) -> Result<bool, BadHead> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), None) = (method, target, words.next()) else {
        return Err(BadHead::RequestLine);
    };
    let is_method = !method.is_empty() && method.iter().all(|byte| is_token(*byte));
    // A line has no control characters but tabs. A fragment is for the client alone; readers differ in whether
    // they cut it off.
    let is_visible = target.is_ascii() && !target.contains(&b'\t') && !target.contains(&b'#');
    if !is_method || target.is_empty() || !is_visible {
        return Err(BadHead::RequestLine);
    }
    match version {
        Some(b"HTTP/1.1") => Ok(false),
        Some(b"HTTP/1.0") => Ok(true),
        Some(b"HTTP/2.0") if method == b"PRI" && target == b"*" => Err(BadHead::Http2),
        Some(other) if !is_version(other) => Err(BadHead::RequestLine),
        // A line of HTTP/0.9 names none.
        _ => Err(BadHead::Version),
    }
}

fn is_version(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"HTTP/");
    matches!(digits, Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Judges a field; what it says about the body's end, if it is one of those that do.
fn field(line: &[u8]) -> Result<Option<Framing>, BadHead> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(BadHead::Folded);
    }
    let colon = line.iter().position(|byte| !is_token(*byte));
    let Some((name, [b':', value @ ..])) = colon.and_then(|colon| line.split_at_checked(colon)) else {
        return Err(if line.contains(&b':') { BadHead::FieldName } else { BadHead::NoColon });
    };
    if name.is_empty() {
        Err(BadHead::FieldName)
    } else if name.eq_ignore_ascii_case(b"content-length") {
        match length(value).ok_or(BadHead::Length)? {
            length if length > BODY_LIMIT => Err(BadHead::LongBody),
            length => Ok(Some(Framing::Length(length))),
        }
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
        let is_chunked = without_spaces(value).eq_ignore_ascii_case(b"chunked");
        if is_chunked { Ok(Some(Framing::Chunked)) } else { Err(BadHead::Coding) }
    } else {
        Ok(None)
    }
}

/// The length that a Content-Length says, in bytes; none if it is not a plain number.
pub(super) fn length(value: &[u8]) -> Option<u64> {
    let digits = without_spaces(value);
    let is_number = (1..=MOST_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

/// Without the spaces around it. Tabs, which the standard allows there too, stay and make it malformed: no
/// client sends them, and readers differ about them.
fn without_spaces(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests;
