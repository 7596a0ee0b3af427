//! Settings and clocks of coordinators.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, SystemTime};

use hs2router::clock;
use hs2router::fake::{Coordinator, Settings};

use super::{Report, doctor_of_ports};

/// What is found about a coordinator with these settings, of which the web port is looked at.
fn web_of(settings: Settings, keys: &str) -> Report {
    let one = Coordinator::start(settings).unwrap();
    doctor_of_ports(&format!("hs2 = {}, web = {}", one.hs2().port(), one.web().port()), keys)
}

#[test]
fn settings_that_fit_are_told() {
    let report = web_of(Settings::default(), "");
    report.finds("settings", "--fe_service_threads is 64, service_threads in the config is 64");
    report.finds("settings", "--disconnected_session_timeout is 900 s");
    report.lacks("web-unreadable");
}

#[test]
fn settings_that_differ_from_the_config_are_found() {
    let threads = |service_threads| Settings { service_threads, ..Settings::default() };
    web_of(threads(32), "").finds("service-threads-fewer", "is 32, service_threads in the config is 64");
    web_of(threads(128), "").finds("service-threads-more", "is 128, service_threads in the config is 64");
    web_of(threads(128), "service_threads = 128").lacks("service-threads-more");
    let disconnected_session_timeout = Duration::from_mins(5);
    let report = web_of(Settings { disconnected_session_timeout, ..Settings::default() }, "");
    report.finds("session-timeout-differs", "is 300 s");
    let trusting = || Settings { trusted_header: Some("X-User".to_owned()), ..Settings::default() };
    web_of(trusting(), "").finds("trusted-header-open", "--trusted_auth_header=X-User");
    web_of(trusting(), "trusted_auth_headers = [\"x-user\"]").lacks("trusted-header-open");
}

#[test]
fn a_coordinator_that_shuts_down_or_does_not_tell_is_found() {
    let one = Coordinator::start(Settings::default()).unwrap();
    one.faults().start_quiescing();
    let ports = format!("hs2 = {}, web = {}", one.hs2().port(), one.web().port());
    doctor_of_ports(&ports, "").finds("not-ready", "shutting down");
    let ports = format!("hs2 = {}, web = 1", one.hs2().port());
    doctor_of_ports(&ports, "").finds("web-unreadable", "connection refused");
}

/// A port for HTTP whose clock differs by so much.
fn clock_ahead(seconds: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _read = client.read(&mut [0; 1024]);
            let date: SystemTime = clock::time_of_day() + Duration::from_secs(seconds);
            let date = httpdate::fmt_http_date(date);
            let head = format!(
                "HTTP/1.1 401 Unauthorized\r\nDate: {date}\r\nWWW-Authenticate: Negotiate\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            let _said = client.write_all(head.as_bytes());
        }
    });
    format!("hs2_http = {port}")
}

#[test]
fn a_clock_that_differs_is_found() {
    doctor_of_ports(&clock_ahead(0), "").finds("clock", "0 s ");
    doctor_of_ports(&clock_ahead(120), "").finds("clock-differs", "s ahead of this machine's");
    doctor_of_ports(&clock_ahead(600), "").finds("clock-skew", "s ahead of this machine's");
}
