//! Compares the settings and the clock of a coordinator with what the router assumes.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use crate::cmd::doctor::facts::{Coordinator, Web};
use crate::cmd::doctor::finding::{Kind, Notes};
use crate::cmd::doctor::kinds;
use crate::control::config::ClusterConfig;
use crate::net::survey::{Spoken, Surveyed};

/// From here on a difference of clocks is worth a word.
const NOTABLE: Duration = Duration::from_mins(1);
/// What Kerberos allows (MIT: `clockskew` in krb5.conf).
const ALLOWED: Duration = Duration::from_mins(5);

/// Judges the pages of a web port.
pub(super) fn of_web(web: &Web, config: &ClusterConfig, notes: &mut Notes) {
    let flags = match &web.flags {
        Ok(flags) => flags,
        Err(error) => return notes.add(&kinds::WEB_UNREADABLE, format!("web {}: {error}", web.address)),
    };
    let mut fits = Vec::new();
    let mut note = |kind: Option<&'static Kind>, seen: String| match kind {
        Some(kind) => notes.add(kind, seen),
        None => fits.push(seen),
    };
    let number = |name: &str| flags.get(name)?.parse::<u64>().ok();
    if let (Some(threads), Some(assumed)) = (number("fe_service_threads"), config.service_threads) {
        let kind = match threads.cmp(&assumed.into()) {
            std::cmp::Ordering::Less => Some(&kinds::THREADS_FEWER),
            std::cmp::Ordering::Greater => Some(&kinds::THREADS_MORE),
            std::cmp::Ordering::Equal => None,
        };
        note(kind, compared("fe_service_threads", threads, "service_threads", assumed));
    }
    if let Some(timeout) = number("disconnected_session_timeout") {
        let assumed = config.disconnected_session_timeout.as_secs();
        let kind = (timeout != assumed).then_some(&kinds::TIMEOUT_DIFFERS);
        let key = "disconnected_session_timeout";
        note(kind, compared(key, format!("{timeout} s"), key, format!("{assumed} s")));
    }
    let header = flags.get("trusted_auth_header").filter(|header| !header.is_empty());
    if let Some(header) = header {
        let is_listed =
            config.trusted_auth_headers.iter().any(|known| known.as_str().eq_ignore_ascii_case(header));
        let kind = (!is_listed).then_some(&kinds::TRUSTED_HEADER);
        note(kind, format!("--trusted_auth_header={header}"));
    }
    if web.is_quiescing {
        note(Some(&kinds::NOT_READY), "is_quiescing: it is shutting down".to_owned());
    } else if web.metrics.as_ref().and_then(|metrics| metrics.catalog_ready) == Some(false) {
        note(Some(&kinds::NOT_READY), "catalog.ready is false".to_owned());
    }
    if !fits.is_empty() {
        notes.add(&kinds::SETTINGS, fits.join("; "));
    }
}

fn compared(flag: &str, seen: impl Display, key: &str, assumed: impl Display) -> String {
    format!("--{flag} is {seen}, {key} in the config is {assumed}")
}

/// Judges the clock of a coordinator, as far as any of its ports tells it.
pub(super) fn of_clocks(coordinator: &Coordinator, notes: &mut Notes) {
    let of_web = coordinator.web.iter().filter_map(|web| Some((web.date?, web.asked_at)));
    let of_ports = coordinator.ports.iter().filter_map(|port| match &port.surveyed {
        Ok(Surveyed { spoken: Spoken::Http(answer), .. }) => Some((answer.date?, port.asked_at)),
        _ => None,
    });
    let Some((theirs, ours)) = of_web.chain(of_ports).next() else { return };
    let (difference, word) = difference(theirs, ours);
    let kind = match difference {
        difference if difference > ALLOWED => &kinds::CLOCK_SKEW,
        difference if difference > NOTABLE => &kinds::CLOCK_DIFFERS,
        _ => &kinds::CLOCK,
    };
    notes.add(kind, format!("its clock is {} s {word} of this machine's", difference.as_secs()));
}

/// How far a clock is from ours, and on which side.
fn difference(theirs: SystemTime, ours: SystemTime) -> (Duration, &'static str) {
    match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "ahead"),
        Err(behind) => (behind.duration(), "behind that"),
    }
}
