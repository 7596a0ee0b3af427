//! GSSAPI in front of a simulated coordinator that speaks PLAIN: it takes a ticket as impalad does, by MIT's
//! library and none of the router's code, logs in with the short name of the ticket's principal, and passes on
//! the rest.
//!
//! It is a process of its own, because the library finds the keytab in the environment: this very test program,
//! begun anew.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::{env, thread};

use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext as _, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet};

use crate::support::clients::Target;
use crate::support::kdc;
use crate::support::keeper::Keeper;

/// The password that the coordinator behind a front takes from it.
pub(crate) const PASSWORD: &str = "between front and coordinator";

/// The variable that has the coordinator's address.
const BEHIND: &str = "HS2ROUTER_TEST_BEHIND";

/// The variable with which a front passes on who comes with a password.
const PASSWORDS: &str = "HS2ROUTER_TEST_PASSWORDS";

/// What a front says when it listens.
const LISTENS: &str = "front listens on ";

/// A running front.
pub(crate) struct GssapiFront {
    pub(crate) port: u16,
    // Kills it.
    _keeper: Keeper,
}

impl GssapiFront {
    /// In front of this port, with the key of coordinators alone.
    pub(crate) fn start(coordinator: SocketAddr) -> Self {
        Self::with_keys(coordinator, &kdc::shared().coordinators_keytab())
    }

    /// The same, where clients with a password get on to the coordinator, too.
    pub(crate) fn with_passwords(coordinator: SocketAddr) -> Self {
        Self::begin(coordinator, &kdc::shared().coordinators_keytab(), &[(PASSWORDS, String::new())])
    }

    /// In front of this port, with the keys of this keytab.
    pub(crate) fn with_keys(coordinator: SocketAddr, keytab: &Path) -> Self {
        Self::begin(coordinator, keytab, &[])
    }

    fn begin(coordinator: SocketAddr, keytab: &Path, more: &[(&'static str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let program = env::current_exe().unwrap();
        let arguments = ["kerberos::front::serves_if_it_is_told_to", "--exact", "--ignored", "--nocapture"];
        let mut settings = vec![
            (BEHIND, coordinator.to_string()),
            ("KRB5_CONFIG", kdc::shared().config().display().to_string()),
            ("KRB5_KTNAME", keytab.display().to_string()),
        ];
        settings.extend_from_slice(more);
        let mut keeper = Keeper::start(&folder, &program, &arguments.map(str::to_owned), &settings);
        let output = io::BufReader::new(keeper.output());
        let (found, finds) = mpsc::channel();
        thread::spawn(move || {
            for line in io::BufRead::lines(output).map_while(Result::ok) {
                if let Some((_, port)) = line.split_once(LISTENS) {
                    let _sent = found.send(port.trim().parse().unwrap());
                }
            }
        });
        Self { port: finds.recv().expect("the front listens"), _keeper: keeper }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Where it listens, for a client program, by the name that tickets are for.
    pub(crate) fn target(&self) -> Target {
        Target { host: "localhost".to_owned(), ..Target::of(self.address()) }
    }
}

#[test]
#[ignore = "it is a front of other tests, which begin it as a process of its own"]
fn serves_if_it_is_told_to() {
    let Ok(behind) = env::var(BEHIND) else { return };
    let behind: SocketAddr = behind.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{LISTENS}{}", listener.local_addr().unwrap().port());
    for client in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || serve(client, behind, accept));
    }
}

/// Accepts by `accept`, which returns the user, and passes on the rest. Impala: `TSaslTransport::doSaslNegotiation` and `TSaslServerTransport::handleSaslStartMessage`. A mechanism
/// that it does not have is told with BAD; any other failure is a close without a byte.
pub(super) fn serve(
    mut client: TcpStream,
    behind: SocketAddr,
    accept: impl FnOnce(&mut TcpStream) -> io::Result<String>,
) -> io::Result<()> {
    let (status, mechanism) = receive(&mut client)?;
    if mechanism == b"PLAIN" && env::var_os(PASSWORDS).is_some() {
        let mut coordinator = TcpStream::connect(behind)?;
        send(&mut coordinator, status, &mechanism)?;
        return pass_on(client, coordinator);
    }
    if status != 1 || mechanism != b"GSSAPI" {
        let text = format!("Unsupported mechanism type {}", String::from_utf8_lossy(&mechanism));
        return send(&mut client, 3, text.as_bytes());
    }
    let user = accept(&mut client)?;
    let mut coordinator = TcpStream::connect(behind)?;
    send(&mut coordinator, 1, b"PLAIN")?;
    send(&mut coordinator, 2, format!("\0{user}\0{PASSWORD}").as_bytes())?;
    if receive(&mut coordinator)?.0 != 5 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    send(&mut client, 5, b"")?;
    pass_on(client, coordinator)
}

/// Passes on what both say, until they end.
fn pass_on(mut client: TcpStream, mut coordinator: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, coordinator.try_clone()?);
    thread::spawn(move || {
        let _passed = io::copy(&mut from, &mut to);
        to.shutdown(std::net::Shutdown::Write)
    });
    io::copy(&mut coordinator, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

/// Accepts a ticket for any service of the keytab, and returns the short name of its principal. It offers no
/// layer, as cyrus-sasl does without security properties (`plugins/gssapi.c` `gssapi_server_mech_authneg`).
fn accept(client: &mut TcpStream) -> io::Result<String> {
    let mechanisms = OidSet::singleton(GSS_MECH_KRB5).map_err(io::Error::other)?;
    let credentials = Cred::acquire(None, None, CredUsage::Accept, Some(&mechanisms));
    let mut context = ServerCtx::new(Some(credentials.map_err(io::Error::other)?));
    while !context.is_complete() {
        let (_, token) = receive(client)?;
        let answer = context.step(&token, None).map_err(io::Error::other)?;
        send(client, 2, answer.as_deref().unwrap_or_default())?;
    }
    receive(client)?;
    let offer = context.wrap(false, &[1, 0, 0, 0]).map_err(io::Error::other)?;
    send(client, 2, &offer)?;
    let (_, choice) = receive(client)?;
    let choice = context.unwrap(&choice).map_err(io::Error::other)?;
    let name = context.source_name().and_then(|name| name.display_name()).map_err(io::Error::other)?;
    let name = String::from_utf8_lossy(&name).into_owned();
    // impyla and PyHive name their principal once more; the router does not.
    let (layer, user) = choice.split_at_checked(4).unwrap_or_default();
    if layer.first() != Some(&1) || !(user.is_empty() || user == name.as_bytes()) {
        return Err(io::Error::other("a layer, or another user"));
    }
    Ok(name.split(['/', '@']).next().unwrap_or_default().to_owned())
}

/// A message of the negotiation: a status, a length, and so many bytes.
pub(crate) fn receive(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let mut payload = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize];
    stream.read_exact(&mut payload)?;
    Ok((head[0], payload))
}

pub(crate) fn send(stream: &mut TcpStream, status: u8, payload: &[u8]) -> io::Result<()> {
    let mut message = vec![status];
    message.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    message.extend(payload);
    stream.write_all(&message)
}

/// The variables that say whom to connect to, and for which service to ask a ticket.
const AHEAD: &str = "HS2ROUTER_TEST_AHEAD";
const TARGET: &str = "HS2ROUTER_TEST_TARGET";

/// A program with the tickets of a user: it prints a first token, or it logs in for others.
fn with_tickets(test: &str, user: &str, service: &str, ahead: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]);
    command.envs(kdc::settings_of(user));
    command.env(TARGET, format!("{service}/localhost@{}", kdc::REALM)).env(AHEAD, ahead);
    command
}

fn context() -> ClientCtx {
    let target = env::var(TARGET).unwrap();
    let target = Name::new(target.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).unwrap();
    ClientCtx::new(None, target, CtxFlags::GSS_C_MUTUAL_FLAG, Some(GSS_MECH_KRB5))
}

/// A fresh first token of a user's for a service of `localhost`.
pub(crate) fn token(user: &str, service: &str) -> Vec<u8> {
    let mut command = with_tickets("kerberos::front::prints_a_token_if_it_is_told_to", user, service, "");
    let ran = command.output().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    let hex = text.lines().find_map(|line| line.split_once("token ")).unwrap_or_else(|| panic!("{text}")).1;
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
#[ignore = "other tests begin it as a process of its own"]
fn prints_a_token_if_it_is_told_to() {
    if env::var(TARGET).is_ok() {
        let token = context().step(None, None).unwrap().unwrap();
        let mut hex = String::new();
        token.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        println!("token {hex}");
    }
}

/// Connects clients that speak PLAIN to the router with the tickets of one user.
pub(crate) struct Tunnel {
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Tunnel {
    pub(crate) fn start(router: SocketAddr, user: &str, service: &str) -> Self {
        let test = "kerberos::front::tunnels_if_it_is_told_to";
        let mut command = with_tickets(test, user, service, &router.to_string());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = io::BufReader::new(process.stdout.take().unwrap());
        let port = io::BufRead::lines(output)
            .map_while(Result::ok)
            .find_map(|line| line.split_once(LISTENS).map(|(_, port)| port.trim().parse::<u16>().unwrap()));
        Self { address: ([127, 0, 0, 1], port.expect("it listens")).into(), process }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}

#[test]
#[ignore = "other tests begin it as a process of its own"]
fn tunnels_if_it_is_told_to() {
    let Ok(ahead) = env::var(AHEAD) else { return };
    let ahead: SocketAddr = ahead.parse().unwrap();
    // It ends with the process that began it.
    thread::spawn(|| {
        let _ended = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{LISTENS}{}", listener.local_addr().unwrap().port());
    for client in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || tunnel(client, ahead));
    }
}

/// Tells a client what the router said, and passes on the rest.
fn tunnel(mut client: TcpStream, ahead: SocketAddr) -> io::Result<()> {
    receive(&mut client)?;
    receive(&mut client)?;
    let mut router = TcpStream::connect(ahead)?;
    send(&mut router, 1, b"GSSAPI")?;
    let mut context = context();
    let mut token: Vec<u8> = context.step(None, None).map_err(io::Error::other)?.unwrap().to_vec();
    let (status, text) = loop {
        send(&mut router, 2, &token)?;
        let (status, said) = receive(&mut router)?;
        if status != 2 {
            break (status, said);
        }
        token = if context.is_complete() {
            context
                .unwrap(&said)
                .and_then(|_| context.wrap(false, &[1, 0, 0, 0]))
                .map_err(io::Error::other)?
                .to_vec()
        } else {
            let answer = context.step(Some(&said), None).map_err(io::Error::other)?;
            answer.map(|answer| answer.to_vec()).unwrap_or_default()
        };
    };
    send(&mut client, status, &text)?;
    pass_on(client, router)
}
