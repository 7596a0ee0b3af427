use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::net::stream::double::Lan;

const ALLOWED: Duration = Duration::from_secs(1);
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What was asked on each connection.
type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

/// A port that record what is said in the first piece, and answers as `answer` says; `None` keeps silent.
fn port(answer: Option<&'static [u8]>) -> (Probe<Lan>, Heard) {
    let (lan, heard) = (Lan::default(), Heard::default());
    let record = Arc::clone(&heard);
    lan.plug_in(HOST, move |mut stream| {
        let record = Arc::clone(&record);
        drop(tokio::spawn(async move {
            let mut chunk = vec![0; 1024];
            let read = stream.read(&mut chunk).await.unwrap();
            record.lock().push(chunk[..read].to_vec());
            match answer {
                Some(answer) => stream.write_all(answer).await.unwrap(),
                None => while stream.read(&mut chunk).await.is_ok_and(|read| read > 0) {},
            }
        }));
    });
    let destination = Destination { host: HOST.to_string().as_str().into(), port: 28000, tls: None };
    (Probe::new(destination, ProbeSettings { network: lan, allowed: ALLOWED }), heard)
}

#[tokio::test(start_paused = true)]
async fn a_port_for_http_is_asked_for_its_options_and_any_answer_of_it_will_do() {
    for answer in
        [&b"HTTP/1.1 200 OK\r\n"[..], b"HTTP/1.1 401 Unauthorized\r\n", b"HTTP/1.1 405 Not Allowed\r\n"]
    {
        let (mut probe, heard) = port(Some(answer));
        assert_eq!(probe.ask(Speaks::Http).await.unwrap(), Passed::Answered);
        assert_eq!(probe.silent(), None);
        let question = b"OPTIONS / HTTP/1.1\r\nHost: 192.0.2.1:28000\r\nConnection: close\r\n\r\n";
        assert_eq!(*heard.lock(), [question]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_port_for_http_is_asked_nothing_else_and_one_for_thrift_both_of_its_questions() {
    for (speaks, questions) in [(Speaks::Http, 1), (Speaks::Thrift, 2), (Speaks::Sasl, 2)] {
        let (mut probe, heard) = port(None);
        let asked = probe.ask(speaks).await;
        assert!(matches!(asked, Err(ProbeError::Silent { speaks: of, .. }) if of == speaks), "{asked:?}");
        assert_eq!(probe.silent(), Some(speaks), "it is asked again");
        let mut heard = std::mem::take(&mut *heard.lock());
        heard.dedup();
        assert_eq!(heard.len(), questions, "{speaks:?}");
    }
}
