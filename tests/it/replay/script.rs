//! What each side of a captured connection has to say, cut at the messages where another decoder found them.

use std::ops::Range;

use crate::fixtures::{Answer, Call, Connection, Transport};

/// Bytes before the payload of a frame.
const FRAME_HEADER: usize = 4;

/// A captured connection as it is to be played.
pub(super) struct Script<'a> {
    /// All that is known of it.
    pub(super) connection: &'a Connection,
    /// The client's SASL PLAIN negotiation, which the router repeats on every link; empty without SASL.
    pub(super) greeting: &'a [u8],
    /// The server's answer to it.
    pub(super) welcome: &'a [u8],
    /// The calls in order; empty where nothing is routed by.
    pub(super) exchanges: Vec<Exchange<'a>>,
}

/// A call and where it lies.
pub(super) struct Exchange<'a> {
    /// What is known of it.
    pub(super) call: &'a Call,
    /// The request's message in `c2s`.
    pub(super) request: Range<usize>,
    /// The answer in `s2c`, with the headers of its frames; for a call without a reply, all that the server
    /// still says.
    pub(super) answer: Range<usize>,
}

impl<'a> Script<'a> {
    /// # Panics
    ///
    /// If a message of a routed connection does not lie in one piece: then a fixture was added that needs
    /// more of this.
    pub(super) fn new(connection: &'a Connection) -> Self {
        let (c2s, s2c) = (connection.c2s.as_slice(), connection.s2c.as_slice());
        let header = if connection.transport == Transport::SaslPlain { FRAME_HEADER } else { 0 };
        let mut script = Self { connection, greeting: &[], welcome: &[], exchanges: Vec::new() };
        if !super::is_routed(connection.transport) {
            return script;
        }
        let mut answered = 0;
        if connection.transport == Transport::SaslPlain {
            let first = connection.calls.first();
            let end = |at: Option<Range<usize>>, whole: usize| at.map_or(whole, |at| at.start - header);
            let request = first.map(|call| call.request_at.expect("in one piece").range());
            let answer = first.map(|call| call.answer_at.expect("in one piece").range());
            script.greeting = &c2s[..end(request, c2s.len())];
            script.welcome = &s2c[..end(answer, s2c.len())];
            answered = script.welcome.len();
        }
        for call in &connection.calls {
            let end = match call.reply {
                Answer::None => s2c.len(),
                Answer::Reply | Answer::Exception => {
                    let at = call.answer_at.expect("in one piece").range();
                    assert_eq!(at.start, answered + header, "{}: answers follow each other", call.method);
                    at.end
                }
            };
            let request = call.request_at.expect("in one piece").range();
            script.exchanges.push(Exchange { call, request, answer: answered..end });
            answered = end;
        }
        script
    }

    /// The exchange whose answer has the byte at this place of `s2c`.
    pub(super) fn answering(&self, place: usize) -> usize {
        let found = self.exchanges.iter().position(|exchange| exchange.answer.contains(&place));
        found.unwrap_or_else(|| panic!("{}: byte {place} answers nothing", self.connection.name))
    }

    /// The message of a request.
    pub(super) fn request(&self, exchange: usize) -> &'a [u8] {
        &self.connection.c2s[self.exchanges[exchange].request.clone()]
    }
}
