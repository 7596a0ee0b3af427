//! One call on one connection, with a ticket before it.

use data_encoding::BASE64;
use hs2router::fake::sasl::{COMPLETE, OK, START, negotiation};
use tokio::io::AsyncReadExt as _;

use super::super::http::Answer;
use super::super::tls::Line;

/// Sends a request over HTTP, and returns the body of the answer; none if the connection ends before that is whole, or
/// if it is to come again.
pub(super) async fn by_http(line: &mut Line, token: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let head = format!(
        "POST /cliservice HTTP/1.1\r\nHost: router\r\nAuthorization: Negotiate {}\r\nContent-Length: {}\r\n\r\n",
        BASE64.encode(token),
        message.len()
    );
    line.say(&[head.as_bytes(), message].concat()).await.ok()?;
    let (mut came, mut buffer) = (Vec::new(), vec![0; 16_384]);
    loop {
        let read = line.read(&mut buffer).await.ok()?;
        came.extend_from_slice(&buffer[..read]);
        match Answer::of(&came, read == 0) {
            Some(answer) => return (answer.head.status == 200).then_some(answer.body),
            None if read == 0 => return None,
            None => {}
        }
    }
}

/// Logs in by SASL GSSAPI, makes a call, and returns its reply; none if the connection ends before that is whole.
pub(super) async fn by_sasl(line: &mut Line, token: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    line.say(&[negotiation(START, b"GSSAPI"), negotiation(OK, token)].concat()).await.ok()?;
    // No layer is offered, and none is taken.
    let offer = part(line, 5).await?;
    line.say(&negotiation(COMPLETE, &offer)).await.ok()?;
    part(line, 5).await?;
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    line.say(&[&length, message].concat()).await.ok()?;
    part(line, 4).await
}

/// Reads what comes behind a head of so many bytes, of which the last four say how long it is.
async fn part(line: &mut Line, head: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; head];
    line.read_exact(&mut bytes).await.ok()?;
    let length = u32::from_be_bytes(*bytes.last_chunk()?);
    let mut rest = vec![0; usize::try_from(length).ok()?];
    line.read_exact(&mut rest).await.ok()?;
    Some(rest)
}
