//! Dials of real loopback sockets, with a resolver of the tests' own.

use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::net::host::Resolver;
use crate::net::socket::SocketSettings;
use crate::net::stream::Sockets;

const ALLOWED: Duration = Duration::from_secs(3);

fn network(resolver: Resolver) -> Sockets {
    let settings = SocketSettings { keepalive: Duration::from_mins(1), user_timeout: None };
    Sockets { settings, resolver }
}

async fn dial_at(host: &str, port: u16) -> Result<TcpStream, DialError> {
    dial(&network(Resolver::System), &Destination { host: host.into(), port, tls: None }, ALLOWED).await
}

/// Resolves every name to these addresses, turned around a little further each time.
fn turning(addresses: &[&str]) -> Sockets {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let addresses = Mutex::new(addresses);
    network(Resolver::Given(Arc::new(move |_| {
        let mut addresses = addresses.lock().unwrap();
        addresses.rotate_left(1);
        Ok(addresses.clone())
    })))
}

/// A port that is free at all of these addresses, and listened on at those that are wanted.
async fn listen<const N: usize>(addresses: [&str; N]) -> (u16, [TcpListener; N]) {
    loop {
        let first = TcpListener::bind((addresses[0], 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut all = vec![first];
        for address in &addresses[1..] {
            all.extend(TcpListener::bind((*address, port)).await);
        }
        if let Ok(all) = all.try_into() {
            return (port, all);
        }
    }
}

async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

fn addresses(count: u8) -> Vec<IpAddr> {
    (1..=count).map(|last| IpAddr::from([192, 0, 2, last])).collect()
}

fn window() -> Window {
    Window { deadline: clock::now() + ALLOWED, allowed: ALLOWED }
}

#[tokio::test]
async fn a_name_is_dialed_at_whichever_of_its_addresses_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["localhost", "127.0.0.1", "[127.0.0.1]"] {
        let stream = dial_at(host, port).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
    }
}

#[tokio::test]
async fn an_ipv6_literal_is_dialed() {
    // A machine without IPv6 has nothing to dial.
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let port = listener.local_addr().unwrap().port();
    for host in ["::1", "[::1]"] {
        assert!(dial_at(host, port).await.is_ok());
    }
}

#[tokio::test]
async fn a_port_without_a_listener_refuses() {
    let port = closed_port().await;
    let error = dial_at("127.0.0.1", port).await.unwrap_err();
    assert!(matches!(error.failure, DialFailure::Refused), "{error}");
    assert_eq!(error.to_string(), format!("127.0.0.1:{port}: connection refused"));
    assert!(error.failure.is_remote());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    let error = dial_at("no such host", 21050).await.unwrap_err();
    assert!(matches!(error.failure, DialFailure::Resolve(_)), "{error}");
    assert!(error.to_string().starts_with("no such host:21050: the name does not resolve"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn addresses_that_do_not_answer_share_the_time() {
    let begun = clock::now();
    let tried = Mutex::new(Vec::new());
    let failure = try_all(&addresses(3), 21050, window(), |address| {
        tried.lock().unwrap().push((address, clock::now().saturating_duration_since(begun).as_secs()));
        std::future::pending::<io::Result<()>>()
    })
    .await
    .unwrap_err();
    assert!(matches!(failure, DialFailure::TimedOut { allowed: ALLOWED }));
    let at: Vec<u64> = tried.into_inner().unwrap().into_iter().map(|(_, second)| second).collect();
    assert_eq!(at, [0, 1, 2]);
    let took = clock::now().saturating_duration_since(begun);
    assert!(took >= ALLOWED && took < ALLOWED + Duration::from_millis(50), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_refuses_leaves_its_time_to_the_others() {
    let begun = clock::now();
    let (_, silent_then_good) =
        try_all(&addresses(3), 21050, window(), async |address: SocketAddr| match address {
            SocketAddr::V4(v4) if v4.ip().octets()[3] == 1 => Err(io::ErrorKind::ConnectionRefused.into()),
            SocketAddr::V4(v4) if v4.ip().octets()[3] == 2 => std::future::pending().await,
            _ => Ok(address),
        })
        .await
        .unwrap();
    assert_eq!(silent_then_good, addresses(3)[2]);
    assert_eq!(clock::now().saturating_duration_since(begun).as_millis() / 100, 15);
}

#[tokio::test]
async fn our_own_exhaustion_is_not_the_coordinators_failure() {
    let failure = try_all(&addresses(1), 21050, window(), async |_| {
        Err::<(), _>(io::Error::from(io::ErrorKind::AddrNotAvailable))
    })
    .await
    .unwrap_err();
    assert!(!failure.is_remote(), "{failure}");
    let failure = try_all(&[], 21050, window(), async |_| Ok(())).await.unwrap_err();
    assert!(matches!(failure, DialFailure::Resolve(_)));
}

#[tokio::test]
async fn a_name_of_several_hosts_is_one_of_them_for_all_ports_and_all_who_dial() {
    let hosts = ["127.0.0.2", "127.0.0.3"];
    let ((one, _at_one), (other, _at_other)) = (listen(hosts).await, listen(hosts).await);
    let (network, host) = (turning(&hosts), Host::from("coordinator"));
    // At once, as it is when the router starts.
    let at_once = (0..8).map(|nth| {
        let (network, host) = (network.clone(), host.clone());
        let destination = Destination { host, port: if nth % 2 == 0 { one } else { other }, tls: None };
        tokio::spawn(
            async move { dial(&network, &destination, ALLOWED).await.unwrap().peer_addr().unwrap().ip() },
        )
    });
    let mut reached = Vec::new();
    for dialed in at_once.collect::<Vec<_>>() {
        reached.push(dialed.await.unwrap());
    }
    for port in [one, other, one, other] {
        let stream =
            dial(&network, &Destination { host: host.clone(), port, tls: None }, ALLOWED).await.unwrap();
        reached.push(stream.peer_addr().unwrap().ip());
    }
    assert!(reached.iter().all(|address| *address == reached[0]), "{reached:?}");
    let news = host.take_news().unwrap();
    assert_eq!((news.address, news.others.len(), news.is_another), (reached[0], 1, false));
    assert_eq!(host.take_news(), None);
}

#[tokio::test]
async fn a_host_is_looked_for_elsewhere_once_no_port_of_it_connects() {
    let hosts = ["127.0.0.2", "127.0.0.3"];
    let ((one, mut at_one), (other, mut at_other)) = (listen(hosts).await, listen(hosts).await);
    let (network, host) = (turning(&hosts), Host::from("coordinator"));
    let reach = async |port| {
        let dialed = dial(&network, &Destination { host: host.clone(), port, tls: None }, ALLOWED).await;
        dialed.map(|stream| stream.peer_addr().unwrap().ip().to_string()).map_err(|error| error.failure)
    };
    assert_eq!(reach(one).await.unwrap(), "127.0.0.3");
    assert_eq!(reach(other).await.unwrap(), "127.0.0.3");
    host.take_news();
    let [_stays, lost] = &mut at_one;
    *lost = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(matches!(reach(one).await, Err(DialFailure::Refused)));
    assert_eq!(reach(other).await.unwrap(), "127.0.0.3", "it is there, if not as a whole");
    assert_eq!(host.take_news(), None);
    let [_stays, lost] = &mut at_other;
    *lost = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(reach(other).await.unwrap(), "127.0.0.2");
    assert_eq!(reach(one).await.unwrap(), "127.0.0.2");
    let news = host.take_news().unwrap();
    assert_eq!((news.address.to_string().as_str(), news.is_another), ("127.0.0.2", true));
}

#[tokio::test]
async fn a_host_that_is_back_where_it_was_is_the_same() {
    let (port, [listener]) = listen(["127.0.0.2"]).await;
    let (network, host) = (turning(&["127.0.0.2"]), Host::from("coordinator"));
    let destination = Destination { host: host.clone(), port, tls: None };
    assert!(dial(&network, &destination, ALLOWED).await.is_ok());
    drop(listener);
    assert!(dial(&network, &destination, ALLOWED).await.is_err());
    let _listener = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    assert!(dial(&network, &destination, ALLOWED).await.is_ok());
    assert_eq!(host.take_news(), None);
}

#[tokio::test]
async fn a_name_of_both_families_is_one_host_of_which_each_port_is_where_it_answers() {
    // A machine without IPv6 has no such names.
    let Ok(of_ipv6) = TcpListener::bind("[::1]:0").await else { return };
    let of_ipv4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (network, host) = (turning(&["::1", "127.0.0.1"]), Host::from("localhost"));
    for _ in 0..4 {
        for listener in [&of_ipv6, &of_ipv4] {
            let at = listener.local_addr().unwrap();
            let destination = Destination { host: host.clone(), port: at.port(), tls: None };
            assert_eq!(dial(&network, &destination, ALLOWED).await.unwrap().peer_addr().unwrap(), at);
        }
    }
    assert_eq!(host.take_news(), None);
}
