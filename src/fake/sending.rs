//! How replies leave, with what a fault makes of them.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use super::control::Control;
use super::faults::Fault;

/// The bytes for [`Fault::Garbage`]: neither Thrift nor a frame of a sensible length.
pub(super) const GARBAGE: [u8; 32] = [0xbd; 32];

/// What happens to the connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Call,
    /// What the client still says is read and discarded, then the connection is closed.
    Linger,
    Close,
}

/// The sending side of a connection.
pub(super) struct Outlet {
    pub(super) control: Arc<Control>,
    pub(super) stream: TcpStream,
}

impl Outlet {
    /// Waits as a fault says before a call is executed; `false` if it is not to be executed.
    pub(super) fn lets_in(&self, fault: Option<Fault>) -> bool {
        if let Some(Fault::Delay(time)) = fault {
            self.control.pause(time);
        }
        fault != Some(Fault::DropBefore)
    }

    /// Sends a reply as it goes over the wire.
    ///
    /// # Errors
    /// When writing to the stream fails.
    pub(super) fn send(&mut self, framed: &[u8], fault: Option<Fault>) -> io::Result<Next> {
        match fault {
            Some(Fault::DropAfter) => return Ok(Next::Close),
            Some(Fault::CutReply(bytes)) => {
                // The frame announces the whole reply, but only a part of it is sent.
                self.stream.write_all(framed.get(..bytes).unwrap_or(framed))?;
                return Ok(Next::Close);
            }
            Some(Fault::SlowReply(piece, pause)) => {
                for piece in framed.chunks(piece.max(1)) {
                    self.stream.write_all(piece)?;
                    self.control.pause(pause);
                }
                return Ok(Next::Call);
            }
            Some(Fault::DelayReply(time)) => self.control.pause(time),
            Some(Fault::Delay(_) | Fault::DropBefore | Fault::HalfClose | Fault::Garbage) | None => {}
        }
        self.stream.write_all(framed)?;
        if fault == Some(Fault::HalfClose) {
            self.stream.shutdown(Shutdown::Write)?;
            return Ok(Next::Linger);
        }
        Ok(Next::Call)
    }
}
