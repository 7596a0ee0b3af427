//! How much is read of what a client sends over HTTP before its turn.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, copy, sink, split};
use tokio::time::sleep;

use super::world::{World, in_memory};
use crate::ids::Transport;
use crate::net::stream::double::pair;
use crate::serve::message::client::Client;
use crate::serve::message::client_end::ClientEnd;
use crate::serve::message::coding::{Follows, Form};
use crate::serve::message::http::client::{HttpPeer, Opened};
use crate::serve::message::parcel::Parcel;
use crate::serve::message::request::Request;
use crate::wire::thrift::MessageType;
use crate::wire::write::Writer;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const SECOND: Duration = Duration::from_secs(1);
/// What a connection holds on its way.
const UNDER_WAY: usize = 4 << 10;
/// What may be read before its turn: 128 KiB with hyper, and one read more.
const BOUND: usize = 160 << 10;
/// Requests that are sent at once: many times as much.
const REQUESTS: usize = 40_000;

/// A call whose body marks its own end, so that whoever reads it may read more.
fn request() -> Vec<u8> {
    let body = Writer::message(MessageType::Call, b"GetLoad", 1, |_| {});
    let head = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
    [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
}

#[tokio::test(start_paused = true)]
async fn of_what_a_client_sends_ahead_of_its_answers_no_more_is_read_than_a_bound() {
    in_memory(async {
        let world = World::of(1, Transport::Unframed);
        let (near, far) = pair(UNDER_WAY);
        let (mut answers, mut requests) = split(near);
        let (request_len, sent) = (request().len(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&sent);
        drop(tokio::spawn(async move { copy(&mut answers, &mut sink()).await }));
        drop(tokio::spawn(async move {
            for bytes in request().repeat(REQUESTS).chunks(1 << 10) {
                requests.write_all(bytes).await.unwrap();
                counted.fetch_add(bytes.len(), Ordering::Relaxed);
            }
        }));
        let peer = HttpPeer { address: ADDRESS, is_trusted_proxy: false, trusted_headers: Arc::default() };
        let mut end = ClientEnd::over_http(Client::new(far, ADDRESS), peer);
        for answered in 0..200 {
            let first = if end.has_pending() { None } else { Some(end.read().await.unwrap()) };
            let mut request = Box::new(Request::new());
            assert!(end.open_again(first.as_deref(), &mut request).unwrap().is_none());
            let Opened::Call(over_http) = end.open(SECOND).await.unwrap() else { panic!("no call") };
            request.over_http = Some(over_http);
            end.fill(&mut request, &world.shared.settings, &world.shared.replay).await.unwrap();
            // The client sends for as long as anything is taken.
            sleep(SECOND).await;
            let ahead = sent.load(Ordering::Relaxed).saturating_sub(answered * request_len);
            assert!(ahead <= BOUND + UNDER_WAY, "{ahead} bytes after {answered} answers");
            end.deliver(Parcel::Lent(b"answer"), Form::Payload, Follows::Nothing, SECOND).await.unwrap();
        }
    })
    .await;
}
