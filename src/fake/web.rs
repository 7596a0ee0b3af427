//! The web port: health, `is_quiescing` and metrics, with as little HTTP as they need (Impala:
//! `default-path-handlers.cc`, `impala-http-handler.cc`, `metrics.cc`).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::control::Control;
use super::pool::PoolCounts;
use super::profile::VERSION;
use super::state::State;
use crate::clock;

/// How long a request may take to arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest request that is read, head and body.
const REQUEST_LIMIT: u64 = 1 << 20;

/// A coordinator's figures.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    pub(super) hs2_sessions: usize,
    pub(super) beeswax_sessions: usize,
    pub(super) registered: usize,
    pub(super) executing: usize,
    pub(super) total: u64,
}

/// Answers a request target.
pub(super) struct Response {
    pub(super) status: &'static str,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

/// Serves a port until the coordinator stops, one thread for each connection, one request on each.
///
/// # Errors
/// When no thread can be started.
pub(super) fn listen(
    name: &str,
    listener: TcpListener,
    control: Arc<Control>,
    answer: impl Fn(&str) -> Response + Send + Sync + 'static,
) -> io::Result<JoinHandle<()>> {
    let answer = Arc::new(answer);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        for stream in listener.incoming() {
            if control.is_stopping() {
                return;
            }
            let Ok(stream) = stream else {
                control.pause(Duration::from_millis(10));
                continue;
            };
            let answer = Arc::clone(&answer);
            let serve = move || drop(serve(&stream, answer.as_ref()));
            drop(thread::Builder::new().name("fake-web-request".to_owned()).spawn(serve));
        }
    })
}

fn serve(mut stream: &TcpStream, answer: &impl Fn(&str) -> Response) -> io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    let mut reader = BufReader::new(stream).take(REQUEST_LIMIT);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut body = 0;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body = value.trim().parse().unwrap_or(0);
        }
    }
    // An unread body would turn the close into a reset, which discards the answer.
    io::copy(&mut reader.take(body), &mut io::sink())?;
    stream.write_all(answer(&target).to_http().as_bytes())
}

impl Response {
    /// Head and body.
    pub(super) fn to_http(&self) -> String {
        let Self { status, kind, body } = self;
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

/// The data of the pages at one moment.
pub(super) struct Site<'a> {
    pub(super) state: &'a State,
    /// See [`process_start_time`].
    pub(super) start_time: String,
    pub(super) service_threads: usize,
    pub(super) hs2: PoolCounts,
    pub(super) beeswax: PoolCounts,
    pub(super) hs2_http: PoolCounts,
}

impl Site<'_> {
    /// The page of a target.
    pub(super) fn answer(&self, target: &str) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let json =
            |value: &Value| Response { status: "200 OK", kind: "application/json", body: value.to_string() };
        match path {
            "/healthz" if self.state.faults.is_unhealthy() => {
                text("503 Service Unavailable", "Not Available\n")
            }
            "/healthz" => text("200 OK", "OK\n"),
            "/" => json(&self.root()),
            "/jsonmetrics" => {
                let metrics = self.metrics();
                let one = query.split('&').find_map(|part| part.strip_prefix("metric="));
                match one {
                    Some(name) => json(&json!({ name: metrics.get(name) })),
                    None => json(&metrics),
                }
            }
            "/sessions" => json(&self.state.sessions_page()),
            "/varz" => json(&self.flags()),
            _ => text("404 Not Found", "No such page\n"),
        }
    }

    fn root(&self) -> Value {
        let quiescing = self.state.faults.is_quiescing();
        let status = if quiescing { "shutdown grace period left: 1m30s" } else { "" };
        json!({
            "impala_server_mode": true,
            "is_coordinator": true,
            "is_executor": true,
            "is_quiescing": quiescing,
            "shutdown_status": status,
            "version": VERSION,
            "process_start_time": self.start_time,
        })
    }

    fn metrics(&self) -> Value {
        let counts = self.state.counts();
        let mut metrics = json!({
            "process-start-time": self.start_time,
            "impala-server.ready": true,
            "impala-server.version": VERSION,
            "catalog.ready": true,
            "statestore-subscriber.connected": true,
            "cluster-membership.backends.total": 1,
            "cluster-membership.executor-groups.total-healthy": 1,
            "impala-server.num-open-hiveserver2-sessions": counts.hs2_sessions,
            "impala-server.num-open-beeswax-sessions": counts.beeswax_sessions,
            "impala-server.num-queries-registered": counts.registered,
            "impala-server.backend-num-queries-executing": counts.executing,
            "impala-server.num-fragments-in-flight": counts.executing,
            "impala-server.num-queries": counts.total,
        });
        let ports = [
            ("hiveserver2-frontend", self.hs2),
            ("beeswax-frontend", self.beeswax),
            ("hiveserver2-http-frontend", self.hs2_http),
        ];
        for (name, counts) in ports {
            let numbers = [
                ("connections-in-use", json!(counts.in_use)),
                ("total-connections", json!(counts.total)),
                ("connection-setup-queue-size", json!(counts.queued)),
                ("timedout-cnxn-requests", json!(counts.timed_out)),
            ];
            for (number, value) in numbers {
                if let Some(metrics) = metrics.as_object_mut() {
                    metrics.insert(format!("impala.thrift-server.{name}.{number}"), value);
                }
            }
        }
        if let Some(metrics) = metrics.as_object_mut() {
            self.state.http.counts().write(metrics);
        }
        metrics
    }

    fn flags(&self) -> Value {
        let flag = |name: &str, kind: &str, default: &str, current: String| json!({ "name": name, "type": kind, "default": default, "current": current });
        let timeout = self.state.disconnected_session_timeout.as_secs().to_string();
        let trusted = self.state.trusted_header.clone().unwrap_or_default();
        json!({
            "title": "Command-line Flags",
            "flags": [
                flag("fe_service_threads", "int32", "64", self.service_threads.to_string()),
                flag("disconnected_session_timeout", "int32", "900", timeout),
                flag("trusted_auth_header", "string", "", trusted),
            ],
        })
    }
}

fn text(status: &'static str, body: &str) -> Response {
    Response { status, kind: "text/plain", body: body.to_owned() }
}

/// The present moment in the form of the metric, in microseconds; a new value means a new process (Impala:
/// `common-metrics.cc`).
pub(super) fn process_start_time() -> String {
    timestamp(clock::time_of_day())
}

/// A time in Impala's form, with microseconds, UTC.
pub(super) fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:06}", since.subsec_micros())
}

/// Year, month and day of a day counted from 1970-01-01, by years of 365 or 366 days.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_454), (2026, 1, 1));
        assert_eq!(civil(20_818), (2026, 12, 31));
    }
}
