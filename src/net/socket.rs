//! The options of every socket of the router, towards clients and coordinators.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How long after an unanswered keepalive probe the next one is sent.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// This many unanswered probes end the connection if it has no user timeout.
const KEEPALIVE_RETRIES: u32 = 3;

/// Options besides `TCP_NODELAY`, which is always on because calls are small and wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketSettings {
    /// A connection that was silent for this long is probed, then every 10 s; three unanswered probes end it.
    pub keepalive: Duration,
    /// The connection ends when sent bytes (or keepalive probes) are not acknowledged for this long. The
    /// kernel counts a closed receive window as not acknowledging, so this must be `None` where a peer may
    /// pause for longer.
    pub user_timeout: Option<Duration>,
}

impl SocketSettings {
    /// Sets the options on a connection, or on a listener for all that it will accept.
    ///
    /// # Errors
    /// When the kernel refuses, for example because the socket is no longer connected.
    pub fn apply(&self, socket: &impl AsFd) -> io::Result<()> {
        let socket = SockRef::from(socket);
        socket.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(self.keepalive)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(self.user_timeout)
    }
}

/// Sets or, with `None`, clears `TCP_USER_TIMEOUT` on a connection in use. It is cleared when a connection
/// turns out to be opaque, because its client may stop reading for as long as it likes.
///
/// # Errors
/// When the kernel refuses, for example because the socket is no longer connected.
pub fn set_user_timeout(stream: &TcpStream, timeout: Option<Duration>) -> io::Result<()> {
    SockRef::from(stream).set_tcp_user_timeout(timeout)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn every_option_is_set_and_the_user_timeout_can_be_cleared() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let settings =
            SocketSettings { keepalive: Duration::from_mins(1), user_timeout: Some(Duration::from_secs(30)) };
        settings.apply(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_mins(1));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
        set_user_timeout(&stream, None).unwrap();
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }
}
