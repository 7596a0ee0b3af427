//! The generated clients, which read and write memory.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use hs2router::fake::sasl::Deframer;
use hs2router::idl::impala_service::{ImpalaHiveServer2ServiceSyncClient, ImpalaServiceSyncClient};
use thrift::TThriftClient as _;
use thrift::protocol::{TBinaryInputProtocol, TBinaryOutputProtocol};

use super::super::coordinator::{BEESWAX_PORT, HS2_PORT};

/// The generated clients.
pub(crate) type Hs2 =
    ImpalaHiveServer2ServiceSyncClient<TBinaryInputProtocol<Input>, TBinaryOutputProtocol<Output>>;
pub(crate) type Beeswax = ImpalaServiceSyncClient<TBinaryInputProtocol<Input>, TBinaryOutputProtocol<Output>>;

/// A generated client.
pub(crate) trait Service {
    /// The router's port for it.
    const PORT: u16;

    /// One that reads and writes memory.
    fn over(input: Input, output: Output) -> Self;

    /// It has made so many calls.
    fn has_called(&mut self, calls: i32);
}

impl Service for Hs2 {
    const PORT: u16 = HS2_PORT;

    fn over(input: Input, output: Output) -> Self {
        Self::new(TBinaryInputProtocol::new(input, true), TBinaryOutputProtocol::new(output, true))
    }

    fn has_called(&mut self, calls: i32) {
        for _ in 0..calls {
            self.increment_sequence_number();
        }
    }
}

impl Service for Beeswax {
    const PORT: u16 = BEESWAX_PORT;

    fn over(input: Input, output: Output) -> Self {
        Self::new(TBinaryInputProtocol::new(input, true), TBinaryOutputProtocol::new(output, true))
    }

    fn has_called(&mut self, calls: i32) {
        for _ in 0..calls {
            self.increment_sequence_number();
        }
    }
}

/// The bytes that came back, and how many of them were read.
#[derive(Clone)]
pub(crate) struct Input(Rc<RefCell<Reply>>);

#[derive(Default)]
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
    pub(super) deframer: Deframer,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Reply { bytes, at, deframer } = &mut *self.0.borrow_mut();
        let mut rest = &bytes[*at..];
        let read = deframer.read(&mut rest, buffer);
        *at = bytes.len() - rest.len();
        read
    }
}

/// What was written.
#[derive(Clone, Default)]
pub(crate) struct Output(Rc<RefCell<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has the client make its call with this for a reply; returns what it wrote, too, and the reply as far as it
/// was read.
pub(super) fn run<S: Service, T>(
    ask: &impl Fn(&mut S) -> thrift::Result<T>,
    number: i32,
    reply: Reply,
) -> (thrift::Result<T>, Vec<u8>, Reply) {
    let (output, input) = (Output::default(), Rc::new(RefCell::new(reply)));
    let mut service = S::over(Input(Rc::clone(&input)), output.clone());
    service.has_called(number);
    let result = ask(&mut service);
    drop(service);
    (result, output.0.take(), Rc::into_inner(input).unwrap().into_inner())
}
