//! The head of a request, read as Impala reads it (Impala: `THttpServer.cpp` `parseStatusLine`,
//! `parseHeader`), which means with less care than any other server.

/// The end of a line; a bare line feed is none (Impala: `THttpTransport.cpp` `readLine`).
const CRLF: &[u8] = b"\r\n";

/// What a body's length is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// This many bytes; none if nothing was said.
    Bytes(usize),
    /// As many chunks as come.
    Chunks,
}

/// The methods that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Post,
    Options,
    /// Any other, and what is no request line at all.
    Unsupported,
}

/// What was kept of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) verb: Verb,
    /// The path with its query.
    pub(super) target: String,
    /// Names and values in order of arrival, values without the spaces around them.
    pub(super) fields: Vec<(String, String)>,
}

impl Head {
    /// Takes a whole head out of what has come; `None` while its end is missing.
    pub(super) fn take(wire: &mut Vec<u8>) -> Option<Self> {
        let (mut lines, mut at) = (Vec::new(), 0);
        loop {
            let rest = wire.get(at..)?;
            let line = rest.get(..rest.windows(2).position(|two| two == CRLF)?)?;
            at += line.len() + CRLF.len();
            match (line, lines.is_empty()) {
                // Empty lines before a request are skipped (Impala: `THttpTransport.cpp` `readHeaders`).
                ([], true) => {}
                ([], false) => break,
                _ => lines.push(String::from_utf8_lossy(line).into_owned()),
            }
        }
        wire.drain(..at);
        Some(Self::read(&lines))
    }

    fn read(lines: &[String]) -> Self {
        let (first, fields) = lines.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
        // The version is not looked at, but something has to follow the path.
        let (method, rest) = first.split_once(' ').unwrap_or_default();
        let (target, verb) = match (method, rest.trim_start_matches(' ').split_once(' ')) {
            ("POST", Some((target, _))) => (target, Verb::Post),
            ("OPTIONS", Some((target, _))) => (target, Verb::Options),
            _ => ("", Verb::Unsupported),
        };
        // A line without a colon is not a field, and not an error.
        let fields = fields.iter().filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        Self { verb, target: target.to_owned(), fields }
    }

    /// The values of a field, in order of arrival.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        let of_name = move |(of, _): &&(String, String)| of.eq_ignore_ascii_case(name);
        self.fields.iter().filter(of_name).map(|(_, value)| value.as_str())
    }

    /// The value of a field; if it is repeated, the last (Impala: `THttpServer.cpp` `parseHeader`).
    pub(super) fn last<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next_back()
    }

    /// How long the body is. Of several fields that say so the last wins (Impala: `THttpServer.cpp`
    /// `parseHeader`: `Content-Length` clears what `Transfer-Encoding` set).
    pub(super) fn extent(&self) -> Extent {
        let mut extent = Extent::Bytes(0);
        for (name, value) in &self.fields {
            if name.eq_ignore_ascii_case("transfer-encoding") {
                if value.to_ascii_lowercase().contains("chunked") {
                    extent = Extent::Chunks;
                }
            } else if name.eq_ignore_ascii_case("content-length") {
                extent = Extent::Bytes(leading_number(value));
            }
        }
        extent
    }

    /// The decoded value of a key in the query, the last if it is repeated (Impala: `authentication.cc`
    /// `HttpPathFn`).
    pub(super) fn query(&self, key: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == key).map(|(_, value)| decoded(value)).next_back()
    }

    /// Whether the client waits for a word before it sends the body.
    pub(super) fn expects_continue(&self) -> bool {
        self.values("expect").any(|value| value.to_ascii_lowercase().contains("100-continue"))
    }
}

/// The number that a text begins with, as `atoi` reads it; 0 if there is none. A negative one is so large
/// that nobody could send as much, as it is once Impala has made it unsigned.
fn leading_number(text: &str) -> usize {
    let digits = text.trim_start_matches('+');
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    match (digits.starts_with('-'), digits.get(..end)) {
        (true, _) => usize::MAX,
        (false, Some("") | None) => 0,
        (false, Some(number)) => number.parse().unwrap_or(usize::MAX),
    }
}

/// A text of a URL without its escapes; what is no escape stays.
fn decoded(text: &str) -> String {
    let (mut plain, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        let (byte, used) = match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => (byte, 3),
            None if first == b'+' => (b' ', 1),
            None => (first, 1),
        };
        plain.push(byte);
        rest = rest.get(used..).unwrap_or_default();
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head::take(&mut text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn of_the_fields_that_frame_a_body_the_last_wins() {
        let of = |fields: &str| head(&format!("POST / HTTP/1.1\r\n{fields}\r\n")).extent();
        assert_eq!(of("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), Extent::Bytes(3));
        assert_eq!(of("Content-Length: 3\r\nTRANSFER-ENCODING: gzip, Chunked\r\n"), Extent::Chunks);
        assert_eq!(of("Content-Length: 3\r\nContent-Length: 4x\r\n"), Extent::Bytes(4));
        assert_eq!(of("Content-Length: many\r\n"), Extent::Bytes(0));
        assert_eq!(of("Content-Length: -1\r\n"), Extent::Bytes(usize::MAX));
        assert_eq!(of(""), Extent::Bytes(0));
    }

    #[test]
    fn a_head_is_taken_once_all_of_it_has_come_and_no_more_than_it() {
        let whole = b"\r\nPOST /x?y HTTP/1.0\r\nCookie: a\r\nno field\r\ncookie:  b \r\n\r\n";
        for end in 0..whole.len() {
            let mut wire = whole[..end].to_vec();
            assert_eq!(Head::take(&mut wire), None, "of {end} bytes");
            assert_eq!(wire.len(), end, "they stay");
        }
        let mut wire = [whole.as_slice(), b"body"].concat();
        let head = Head::take(&mut wire).unwrap();
        assert_eq!((head.verb, head.target.as_str(), wire.as_slice()), (Verb::Post, "/x?y", &b"body"[..]));
        assert_eq!(head.last("COOKIE"), Some("b"));
    }

    #[test]
    fn the_query_is_read_without_its_escapes() {
        let query = |target: &str| head(&format!("POST {target} HTTP/1.1\r\n\r\n")).query("doAs");
        assert_eq!(query("/cliservice?doAs=a%20b%2Bc+d").as_deref(), Some("a b+c d"));
        assert_eq!(query("/?x=1&doAs=ann&doAs=b%").as_deref(), Some("b%"));
        assert_eq!(query("/?doas=ann"), None);
        assert_eq!(query("/doAs=ann"), None);
    }

    #[test]
    fn only_two_methods_are_known() {
        let verb = |line: &str| head(&format!("{line}\r\n\r\n")).verb;
        assert_eq!(verb("POST / HTTP/9"), Verb::Post);
        assert_eq!(verb("OPTIONS * HTTP/1.1"), Verb::Options);
        for line in ["GET / HTTP/1.1", "post / HTTP/1.1", "POST /", "POST", "\u{1}"] {
            assert_eq!(verb(line), Verb::Unsupported, "{line}");
        }
    }
}
