//! The admin port of a router that runs, as its operators' commands ask it.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::cli::AdminArgs;

/// How long an answer may take. The router itself gives a request up after ten seconds.
const ALLOWED: Duration = Duration::from_secs(15);

/// The largest answer, in bytes: a list of 5,000 sessions has about 2 MB.
const LARGEST: usize = 64 << 20;

/// Why the router did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing listens there.
    #[error("no router answers on {address}: {error}; --admin says where its [admin] address is")]
    Unreachable {
        /// Where it was looked for.
        address: SocketAddr,
        /// What the connection failed with.
        error: io::Error,
    },
    /// It took the connection, and did not answer.
    #[error("the router on {address} did not answer within {ALLOWED:?}")]
    TimedOut {
        /// The admin port.
        address: SocketAddr,
    },
    /// What answers is no router, or it ended meanwhile.
    #[error("no answer of a router comes from {address}: {what}")]
    NotARouter {
        /// Where it was looked for.
        address: SocketAddr,
        /// What came instead.
        what: String,
    },
    /// It refused.
    #[error("the router says: {text}")]
    Refused {
        /// Its own words.
        text: String,
    },
}

/// An admin port.
pub(super) struct Port {
    address: SocketAddr,
    runtime: Runtime,
}

impl Port {
    /// The port that the arguments name.
    pub(super) fn of(args: &AdminArgs) -> io::Result<Self> {
        Ok(Self { address: args.admin, runtime: Builder::new_current_thread().enable_all().build()? })
    }

    /// What is at this path.
    pub(super) fn get(&self, target: &str) -> Result<Value, NoAnswer> {
        self.ask(Method::GET, target)
    }

    /// Has the router do something; returns what it shows of it then.
    pub(super) fn post(&self, target: &str) -> Result<Value, NoAnswer> {
        self.ask(Method::POST, target)
    }

    /// As [`Self::post`], of what is there again when this is asked for twice.
    pub(super) fn put(&self, target: &str) -> Result<Value, NoAnswer> {
        self.ask(Method::PUT, target)
    }

    /// As [`Self::put`], of what is then gone.
    pub(super) fn delete(&self, target: &str) -> Result<Value, NoAnswer> {
        self.ask(Method::DELETE, target)
    }

    fn ask(&self, method: Method, target: &str) -> Result<Value, NoAnswer> {
        let address = self.address;
        let asked = async { timeout(ALLOWED, self.exchange(method, target)).await };
        let (status, body) = self.runtime.block_on(asked).unwrap_or(Err(NoAnswer::TimedOut { address }))?;
        if status != StatusCode::OK {
            return Err(NoAnswer::Refused { text: String::from_utf8_lossy(&body).trim_end().to_owned() });
        }
        serde_json::from_slice(&body).map_err(|error| self.not_a_router(error))
    }

    async fn exchange(&self, method: Method, target: &str) -> Result<(StatusCode, Bytes), NoAnswer> {
        let address = self.address;
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| NoAnswer::Unreachable { address, error })?;
        let not_http = |error| self.not_a_router(error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, address.to_string())
            .header("X-Hs2router", "1")
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.not_a_router(error))?;
        // It ends when the body is there, or has failed.
        let _driven = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(not_http)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        Ok((status, body.map_err(|error| self.not_a_router(error))?.to_bytes()))
    }

    fn not_a_router(&self, what: impl Display) -> NoAnswer {
        NoAnswer::NotARouter { address: self.address, what: what.to_string() }
    }
}

/// A text as a part of a path or of a query.
pub(super) fn encoded(text: &str) -> impl Display + use<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Asks a port whose only answer is this.
    fn asked(answer: &'static [u8]) -> Result<Value, NoAnswer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let len = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8_lossy(&request[..len]).into_owned()
        });
        let answer = Port::of(&AdminArgs { admin }).unwrap().post("/x");
        let request = answering.join().unwrap();
        assert!(
            request.starts_with("POST /x HTTP/1.1\r\n") && request.contains("x-hs2router: 1\r\n"),
            "{request}"
        );
        answer
    }

    #[test]
    fn what_the_router_says_is_passed_on() {
        let answer = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!(answer["a"], 1);
        let refused = asked(b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nnothing\n").unwrap_err();
        assert_eq!(refused.to_string(), "the router says: nothing");
    }

    #[test]
    fn what_is_no_router_is_told_from_a_router_that_is_not_there() {
        for answer in [&b"SSH-2.0-x\r\n"[..], b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p/>"] {
            let error = asked(answer).unwrap_err();
            assert!(matches!(error, NoAnswer::NotARouter { .. }), "{error}");
        }
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Port::of(&AdminArgs { admin: nobody }).unwrap().get("/").unwrap_err();
        assert!(matches!(error, NoAnswer::Unreachable { .. }), "{error}");
    }

    #[test]
    fn a_name_goes_into_a_path_whatever_it_is() {
        assert_eq!(encoded("a b/c?").to_string(), "a%20b%2Fc%3F");
    }
}
