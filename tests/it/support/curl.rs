//! HS2 over HTTP by hand: `curl` posts each message, on a connection of its own and with the password each time.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use super::clients::{Login, Target, Tls, with_deadline};
use super::message::{Message, Value, execute, of_handle, open_session};

/// How many rows are asked for.
const ROWS: i64 = 100;
/// What `TOperationState` is called when a statement has ended well.
const FINISHED: i32 = 2;
/// The states before that: `INITIALIZED_STATE`, `RUNNING_STATE`, `PENDING_STATE`.
const NOT_YET: [i32; 3] = [0, 1, 7];

/// A user of curl.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curl<'a> {
    pub(crate) target: &'a Target,
    pub(crate) login: Login,
}

impl Curl<'_> {
    /// Posts a message; returns the reply, or the status of another answer and its text.
    ///
    /// # Errors
    ///
    /// With what curl or the server says when there is no reply.
    pub(crate) fn call(self, message: &Message) -> Result<Message, String> {
        let Target { host, port, tls, .. } = self.target;
        let scheme = if *tls == Tls::Off { "http" } else { "https" };
        let mut command = with_deadline(Path::new("curl"));
        command.args(["--silent", "--show-error", "--fail-with-body", "--data-binary", "@-"]);
        command.args(["--header", "Content-Type: application/x-thrift"]);
        command.arg("--user").arg(format!("{}:{}", self.login.user(), self.login.password()));
        match tls {
            Tls::Off => {}
            Tls::Unverified => drop(command.arg("--insecure")),
            Tls::Verified(ca) => drop(command.arg("--cacert").arg(ca)),
        }
        command.arg(format!("{scheme}://{host}:{port}/cliservice"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut curl = command.spawn().expect("timeout is part of coreutils");
        curl.stdin.take().unwrap().write_all(&message.encode()).unwrap();
        let ended = curl.wait_with_output().unwrap();
        if !ended.status.success() {
            let says = [ended.stderr, ended.stdout].concat();
            return Err(String::from_utf8_lossy(&says).into_owned());
        }
        Message::read(&mut ended.stdout.as_slice()).map_err(|error| error.to_string())
    }

    /// Opens a session.
    ///
    /// # Panics
    ///
    /// When that fails, here and below.
    pub(crate) fn open(self) -> Value {
        self.done(&open_session()).handle(&[0, 3])
    }

    /// Closes it.
    pub(crate) fn close(self, session: &Value) {
        self.done(&of_handle("CloseSession", session));
    }

    /// Runs a statement in a session; returns the texts of its first column.
    pub(crate) fn query(self, session: &Value, statement: &str) -> Vec<String> {
        let operation = self.done(&execute(session, statement)).handle(&[0, 2]);
        loop {
            let reply = self.done(&of_handle("GetOperationStatus", &operation));
            match reply.body.at(&[0, 2]) {
                Some(Value::I32(FINISHED)) => break,
                Some(Value::I32(state)) if NOT_YET.contains(state) => {}
                state => panic!("the statement ended in state {state:?}: {reply:?}"),
            }
        }
        let request = vec![(1, operation.clone()), (2, Value::I32(0)), (3, Value::I64(ROWS))];
        let fetch = Message::call("FetchResults", vec![(1, Value::Struct(request))]);
        let fetched = self.done(&fetch);
        self.done(&of_handle("CloseOperation", &operation));
        let Some(Value::List(columns)) = fetched.body.at(&[0, 3, 3]) else {
            panic!("no columns: {fetched:?}")
        };
        let Some(Value::List(texts)) = columns[0].at(&[7, 1]) else { panic!("no texts: {fetched:?}") };
        let text = |value: &Value| match value {
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("no text: {other:?}"),
        };
        texts.iter().map(text).collect()
    }

    fn done(self, message: &Message) -> Message {
        let reply = self.call(message).unwrap_or_else(|error| panic!("{}: {error}", message.name));
        // SUCCESS_STATUS, SUCCESS_WITH_INFO_STATUS.
        assert!(matches!(reply.status(), Some(0 | 1)), "{reply:?}");
        reply
    }
}
