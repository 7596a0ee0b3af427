//! As much of HTTP as clients and coordinators in memory need.

use httparse::{EMPTY_HEADER, Request, Response, Status};

/// Headers and a body. A body of two pieces comes in chunks if they are long.
pub(super) fn message(front: &[u8], back: &[u8]) -> Vec<u8> {
    if front.len() + back.len() < 64 {
        let length = format!("Host: test\r\nContent-Length: {}\r\n\r\n", front.len() + back.len());
        return [length.as_bytes(), front, back].concat();
    }
    let chunk = |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    let head = b"Host: test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    [head, chunk(front), chunk(back), b"0\r\n\r\n".to_vec()].concat()
}

/// Takes the body of the first message out of what was read, if all of it is there.
pub(super) fn body(raw: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut headers = [EMPTY_HEADER; 32];
    let head = if raw.starts_with(b"HTTP/") {
        Response::new(&mut headers).parse(raw)
    } else {
        Request::new(&mut headers).parse(raw)
    };
    let Ok(Status::Complete(head)) = head else { return None };
    let find = |name| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if let Some(length) = find("content-length") {
        let length: usize = std::str::from_utf8(length.value).unwrap().parse().unwrap();
        let all = raw.get(..head + length)?.len();
        return Some(raw.drain(..all).skip(head).collect());
    }
    let (mut body, mut at) = (Vec::new(), head);
    loop {
        let Ok(Status::Complete((line, size))) = httparse::parse_chunk_size(&raw[at..]) else { return None };
        let (begin, end) = (at + line, at + line + usize::try_from(size).unwrap());
        body.extend_from_slice(raw.get(begin..end + 2)?.get(..end - begin)?);
        at = end + 2;
        if size == 0 {
            raw.drain(..at);
            return Some(body);
        }
    }
}
