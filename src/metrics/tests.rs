//! What is counted against what is exposed.

use super::*;
use crate::ids::Service;

#[test]
fn every_metric_is_exposed_under_its_documented_name_and_labels() {
    let metrics = Metrics::new();
    let listener = metrics.listener("0.0.0.0:21050");
    listener.connections.count(Depth::Route);
    let certificates = metrics.certificates(Owner::Listener("0.0.0.0:21050".into()));
    certificates.reloads.count(ReloadOutcome::Failed);
    certificates.show_expiry([("a".to_owned(), 7)].into_iter());
    let certificates = metrics.certificates(Owner::Cluster("impala".into()));
    certificates.reloads.count(ReloadOutcome::Changed);
    certificates.show_expiry([("b".to_owned(), 8)].into_iter());
    metrics.show_verified("impala", false);
    metrics.own_ticket_expires("impala").set(9);
    metrics.cluster_paused("impala").set(1);
    let coordinator = metrics.coordinator("impala", &CoordinatorName("c1".into()));
    coordinator.dials.count(DialOutcome::Refused);
    coordinator.states.set(Service::Hs2, PortState::Suspect);
    coordinator.links.set(Service::Hs2, 2, 1);
    coordinator.drain.set(true, |_| 1);
    metrics.queue("impala").waits.count(WaitOutcome::Served);
    metrics.calls(&["OpenSession"]).count(Some(0), CallOutcome::Reply);
    let text = metrics.render().unwrap();
    for Description { name, kind, labels, help } in DESCRIPTIONS {
        let family = name.trim_end_matches("_total").trim_end_matches("_info");
        assert!(text.contains(&format!("# TYPE {PREFIX}_{family} {kind}\n")), "{name}: {text}");
        assert!(text.contains(&format!("# HELP {PREFIX}_{family} {help}.\n")), "{name}: {text}");
        let start = match labels.first() {
            Some(label) => format!("\n{PREFIX}_{name}{{{label}=\""),
            None => format!("\n{PREFIX}_{name} "),
        };
        let line = text.split_once(&start).unwrap_or_else(|| panic!("{start:?} is not in {text}")).1;
        let line = line.lines().next().unwrap();
        for label in labels.iter().skip(1) {
            assert!(line.contains(&format!(",{label}=\"")), "{name} lacks {label}: {line}");
        }
    }
    assert_eq!(text.matches("# TYPE ").count(), DESCRIPTIONS.len());
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_is_counted_is_what_is_exposed() {
    let metrics = Metrics::new();
    metrics.connections_closed.count(CloseCause::BadSasl);
    metrics.bytes.add(Direction::ToClient, 65_536);
    let calls = metrics.calls(&["OpenSession", "FetchResults"]);
    calls.count(Some(1), CallOutcome::Lost);
    calls.count(Some(2), CallOutcome::Reply);
    calls.count(None, CallOutcome::Reply);
    let text = metrics.render().unwrap();
    for line in [
        "hs2router_connections_closed_total{cause=\"bad_sasl\"} 1\n",
        "hs2router_bytes_total{direction=\"to_client\"} 65536\n",
        "hs2router_calls_total{method=\"FetchResults\",outcome=\"lost\"} 1\n",
        "hs2router_calls_total{method=\"unknown\",outcome=\"reply\"} 2\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn two_handles_of_one_coordinator_count_together() {
    let metrics = Metrics::new();
    let name = CoordinatorName("c1".into());
    metrics.coordinator("impala", &name).sessions.count(SessionOutcome::Opened);
    let again = metrics.coordinator("impala", &name);
    again.sessions.count(SessionOutcome::Opened);
    assert_eq!(again.sessions.counted(SessionOutcome::Opened), 2);
    let namesake = metrics.coordinator("etl", &name);
    assert_eq!(namesake.sessions.counted(SessionOutcome::Opened), 0);
}

#[test]
fn a_port_has_one_state() {
    let metrics = Metrics::new();
    let coordinator = metrics.coordinator("impala", &CoordinatorName("c1".into()));
    coordinator.states.set(Service::Hs2, PortState::Ejected);
    coordinator.states.set(Service::Hs2, PortState::Healthy);
    let text = metrics.render().unwrap();
    let series = |state| {
        format!("coordinator_state{{cluster=\"impala\",coordinator=\"c1\",port=\"hs2\",state=\"{state}\"}}")
    };
    assert!(text.contains(&format!("{} 1\n", series("healthy"))), "{text}");
    assert!(text.contains(&format!("{} 0\n", series("ejected"))), "{text}");
    assert!(!text.contains("beeswax"), "{text}");
}

#[test]
fn a_certificate_is_shown_while_it_is_used_and_the_first_to_expire_of_a_name() {
    let metrics = Metrics::new();
    let certificates = metrics.certificates(Owner::Listener("a:1".into()));
    let show = |shown: &[(&str, i64)]| {
        certificates.show_expiry(shown.iter().map(|(name, expires)| ((*name).to_owned(), *expires)));
        metrics.render().unwrap()
    };
    let line = |name, expires| {
        format!("certificate_expires_timestamp_seconds{{listener=\"a:1\",name=\"{name}\"}} {expires}\n")
    };
    let text = show(&[("x", 9), ("y", 5), ("x", 7)]);
    assert!(text.contains(&line("x", 7)) && text.contains(&line("y", 5)), "{text}");
    let text = show(&[("x", 11)]);
    assert!(text.contains(&line("x", 11)) && !text.contains("name=\"y\""), "{text}");
}

#[test]
fn a_gauge_falls_when_what_it_counts_is_dropped() {
    let listener = Metrics::new().listener("a");
    let one = Held::one_of(&listener.open);
    let other = Held::one_of(&listener.open);
    assert_eq!(listener.open.get(), 2);
    drop(one);
    drop(other);
    assert_eq!(listener.open.get(), 0);
}

#[test]
fn every_label_value_has_its_own_counter() {
    fn check<L: Label>() {
        let words: std::collections::HashSet<_> = L::ALL.iter().map(|(label, _)| label.word()).collect();
        assert_eq!(words.len(), L::ALL.len());
        for (place, (label, _)) in L::ALL.iter().enumerate() {
            assert_eq!(label.index(), place, "{}", label.word());
        }
    }
    check::<RefusalCause>();
    check::<AcceptError>();
    check::<ReloadOutcome>();
    check::<CloseCause>();
    check::<SessionOutcome>();
    check::<MoveOutcome>();
    check::<DrainedOutcome>();
    check::<CallOutcome>();
    check::<LocateOutcome>();
    check::<DialOutcome>();
    check::<WaitOutcome>();
    check::<ProbeOutcome>();
    check::<PollOutcome>();
    check::<PortState>();
    check::<Direction>();
    check::<Depth>();
    check::<HandshakeOutcome>();
    check::<Encryption>();
}
