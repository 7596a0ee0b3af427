//! OpenSSL's own client, which shows all of a handshake.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The last line of what `s_client` shows of a session: of TLS 1.2 after the handshake, of TLS 1.3 after each
/// ticket.
const SESSION_SHOWN: &str = "Extended master secret:";

/// Connects with `openssl s_client`, and leaves once the session can be resumed or the other side has closed.
/// Returns all that was shown, errors too.
pub(crate) fn s_client(to: SocketAddr, arguments: &[&str]) -> String {
    // By lines, or it keeps to itself that a ticket came.
    let mut client = Command::new("stdbuf")
        .args(["-oL", "openssl", "s_client", "-connect", &to.to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is there");
    let (said, saying) = channel();
    let output = follow(client.stdout.take().unwrap(), said.clone());
    let errors = follow(client.stderr.take().unwrap(), said);
    let mut text = String::new();
    // Ends with both outputs, too.
    while let Ok(line) = saying.recv_timeout(PATIENCE) {
        text += &line;
        text += "\n";
        if line.contains(SESSION_SHOWN) {
            let _gone = client.stdin.as_mut().unwrap().write_all(b"Q\n");
        }
    }
    // If it still waits for something, the test fails by what is missing.
    let _ended = client.kill();
    client.wait().unwrap();
    for reader in [output, errors] {
        reader.join().unwrap();
    }
    text
}

fn follow(output: impl Read + Send + 'static, said: Sender<String>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let _nobody_listens = said.send(String::from_utf8_lossy(&line).into_owned());
        }
    })
}
