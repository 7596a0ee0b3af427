use std::collections::VecDeque;

use socket2::SockRef;
use tokio::time::timeout;

use super::*;

const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENOMEM: i32 = 12;
const ENOBUFS: i32 = 105;
const EPROTO: i32 = 71;
const ECONNABORTED: i32 = 103;
const EPERM: i32 = 1;
const ENETDOWN: i32 = 100;

const DEADLINE: Duration = Duration::from_secs(10);

/// Yields these outcomes, then nothing for ever.
struct Script {
    outcomes: VecDeque<io::Result<u32>>,
}

impl Script {
    fn of(outcomes: impl IntoIterator<Item = Result<u32, i32>>) -> Self {
        let outcomes =
            outcomes.into_iter().map(|outcome| outcome.map_err(io::Error::from_raw_os_error)).collect();
        Self { outcomes }
    }
}

impl Source for Script {
    type Stream = u32;

    async fn accept(&mut self) -> io::Result<(u32, SocketAddr)> {
        match self.outcomes.pop_front() {
            Some(outcome) => outcome.map(|stream| (stream, SocketAddr::from(([127, 0, 0, 1], 40000)))),
            None => std::future::pending().await,
        }
    }
}

fn acceptor(outcomes: impl IntoIterator<Item = Result<u32, i32>>, permits: usize) -> Acceptor<Script> {
    Acceptor::new(Script::of(outcomes), Arc::new(Semaphore::new(permits)), Arc::default())
}

fn count(of: &AtomicU64) -> u64 {
    of.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn connections_that_fail_early_are_counted_and_cost_no_time() {
    let begun = clock::now();
    let mut acceptor = acceptor([Err(ECONNABORTED), Err(EPERM), Err(ENETDOWN), Ok(1)], 1);
    assert_eq!(acceptor.accept().await.unwrap().stream, 1);
    assert_eq!(clock::now(), begun);
    assert_eq!((count(&acceptor.counts.failed), count(&acceptor.counts.exhausted)), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn exhaustion_backs_off_and_never_ends_the_loop() {
    for errno in [EMFILE, ENFILE, ENOMEM, ENOBUFS, EPROTO] {
        let begun = clock::now();
        let errors = std::iter::repeat_n(Err(errno), 12);
        let mut acceptor = acceptor(errors.chain([Ok(1), Err(errno), Ok(2)]), 9);
        let _first = acceptor.accept().await.unwrap();
        let took = clock::now().saturating_duration_since(begun).as_millis();
        // 5 ms doubled seven times, then 1 s four times; a timer may round up by a millisecond.
        let expected = 5 * ((1 << 8) - 1) + 4 * 1000;
        assert!((expected..expected + 20).contains(&took), "errno {errno}: {took} ms");
        assert_eq!(count(&acceptor.counts.exhausted), 12);

        let begun = clock::now();
        let _second = acceptor.accept().await.unwrap();
        let took = clock::now().saturating_duration_since(begun).as_millis();
        assert!((5..8).contains(&took), "a success ends the back-off: {took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_accept_loses_neither_its_pause_nor_a_connection() {
    let begun = clock::now();
    let mut acceptor = acceptor([Err(EMFILE), Err(EMFILE), Err(EMFILE), Ok(1)], 1);
    let mut cancelled = 0;
    let accepted = loop {
        match timeout(Duration::from_millis(1), acceptor.accept()).await {
            Ok(accepted) => break accepted.unwrap(),
            Err(_elapsed) => cancelled += 1,
        }
    };
    assert_eq!(accepted.stream, 1);
    assert!(cancelled > 10, "{cancelled}");
    let took = clock::now().saturating_duration_since(begun).as_millis();
    assert!((35..70).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_nothing_is_accepted_until_a_connection_ends() {
    let mut acceptor = acceptor([Ok(1), Ok(2)], 1);
    let first = acceptor.accept().await.unwrap();
    assert!(timeout(DEADLINE, acceptor.accept()).await.is_err());
    assert_eq!(acceptor.source.outcomes.len(), 1, "the second connection was left in the queue");
    assert_eq!(count(&acceptor.counts.at_limit), 1);
    drop(first);
    assert_eq!(acceptor.accept().await.unwrap().stream, 2);
}

#[tokio::test]
async fn closed_permits_end_accepting() {
    let mut acceptor = acceptor([Ok(1)], 1);
    acceptor.permits.close();
    assert!(acceptor.accept().await.is_none());
}

#[test]
fn the_same_complaint_is_logged_once_a_minute() {
    let (mut gate, now) = (LogGate::default(), clock::now());
    let opened: Vec<bool> =
        [0, 1, 59, 60, 61, 120].map(|second| gate.opens(now + Duration::from_secs(second))).into();
    assert_eq!(opened, [true, false, false, true, false, true]);
}

#[tokio::test]
async fn a_taken_port_is_named_with_a_remedy() {
    let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.local_addr().unwrap();
    let error = bind(address.into()).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!("{address} is already in use: stop the process that listens there or choose another port")
    );
}

#[tokio::test]
async fn an_address_of_another_machine_is_named() {
    // 192.0.2.0/24 is nobody's (RFC 5737).
    let error = bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
    assert!(matches!(error, BindError::NotOurs { .. }), "{error}");
}

#[tokio::test]
async fn real_connections_are_accepted_with_every_option() {
    let settings =
        SocketSettings { keepalive: Duration::from_mins(2), user_timeout: Some(Duration::from_secs(31)) };
    let listener = bind_for_clients("127.0.0.1:0".parse().unwrap(), &settings).unwrap();
    let address = listener.local_addr().unwrap();
    let mut acceptor = Acceptor::new(listener, Arc::new(Semaphore::new(1)), Arc::default());
    let client = TcpStream::connect(address).await.unwrap();
    // In a task, as accept loops run.
    let accepting = tokio::spawn(async move { acceptor.accept().await });
    let accepted = timeout(DEADLINE, accepting).await.unwrap().unwrap().unwrap();
    assert_eq!(accepted.address, client.local_addr().unwrap());
    let socket = SockRef::from(&accepted.stream);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), settings.keepalive);
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    assert_eq!(socket.tcp_user_timeout().unwrap(), settings.user_timeout);
}
