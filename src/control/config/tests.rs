//! What a config means, as opposed to what is wrong with it (`fixtures/config/invalid`).

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::cluster::Ports;
use crate::ids::{CoordinatorName, Service};
use crate::net::tls::certificates::PairFiles;
use crate::net::tls::client::{ClusterTlsSettings, Verify};
use crate::net::tls::server::ClientAuth;

fn config(text: &str) -> Config {
    Config::parse("test", text).unwrap_or_else(|error| panic!("{error}"))
}

fn hosts(texts: &[&str]) -> Vec<HostPort> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn addresses(config: &Config) -> Vec<(String, Service)> {
    config.listeners.iter().map(|l| (l.address.to_string(), l.service)).collect()
}

#[test]
fn every_default_is_a_value_of_its_key() {
    let mut defaults = 0;
    for section in SECTIONS.iter().filter(|section| !section.path.contains('.')) {
        for key in section.keys {
            if let Absent::Default(text) = key.absent {
                defaults += 1;
                let header = section.header;
                // A cluster needs coordinators, a listener an address: their other defaults are tried with
                // them.
                let rest = match section.path {
                    "cluster" => "coordinators = [\"c\"]",
                    "listener" => "address = \"127.0.0.1:21050\"\n[[cluster]]\ncoordinators = [\"c\"]",
                    _ => "[[cluster]]\ncoordinators = [\"c\"]",
                };
                let text = format!("{header}\n{} = {text}\n{rest}\n", key.name);
                let without = text.replace(&format!("{} = ", key.name), "# ");
                assert_eq!(config(&text), config(&without), "{}.{}", section.path, key.name);
            }
        }
    }
    assert!(defaults > 10);
}

#[test]
fn the_smallest_config_listens_on_the_ports_of_the_flavor() {
    let impala = config("[[cluster]]\ncoordinators = [\"a\"]");
    assert_eq!(
        addresses(&impala),
        [
            ("0.0.0.0:21050".to_owned(), Service::Hs2),
            ("0.0.0.0:21000".to_owned(), Service::Beeswax),
            ("0.0.0.0:28000".to_owned(), Service::Hs2Http),
        ]
    );
    assert_eq!(&*impala.clusters[0].name, "impala");
    assert_eq!(impala.router.drain_timeout, Duration::from_mins(10));
    assert_eq!(impala.router.replay_limit, 262_144);
    let hive = config("[[cluster]]\nflavor = \"hive\"\ncoordinators = [\"a\"]");
    assert_eq!(addresses(&hive), [("0.0.0.0:10000".to_owned(), Service::Hs2)]);
}

#[test]
fn a_listener_takes_its_service_from_its_port() {
    let listener = |port: u16, more: &str| {
        let text =
            format!("[[listener]]\naddress = \"[::]:{port}\"\n{more}\n[[cluster]]\ncoordinators = [\"a\"]");
        config(&text).listeners[0].service
    };
    assert_eq!(listener(21050, ""), Service::Hs2);
    assert_eq!(listener(21000, ""), Service::Beeswax);
    assert_eq!(listener(28000, ""), Service::Hs2Http);
    assert_eq!(listener(4711, ""), Service::Hs2);
    assert_eq!(listener(21000, "service = \"hs2\""), Service::Hs2);
}

#[test]
fn sessions_outlive_connections_as_the_flavor_says_unless_written() {
    let outlive = |keys: &str| {
        let config = config(&format!("[[cluster]]\n{keys}\ncoordinators = [\"a\"]"));
        config.clusters[0].sessions_outlive_connections
    };
    assert!(outlive("") && !outlive("flavor = \"hive\"") && !outlive("flavor = \"spark\""));
    assert!(outlive("flavor = \"hive\"\nsessions_outlive_connections = true"));
    assert!(!outlive("sessions_outlive_connections = false"));
}

#[test]
fn a_coordinators_ports_are_the_flavors_unless_written() {
    let text =
        "[[cluster]]\ncoordinators = [\"a\", \"b:5\", { host = \"c\", name = \"d\", beeswax = 0, web = 7 }]";
    let cluster = &config(text).clusters[0];
    let ports = |nth: usize| cluster.coordinators[nth].ports;
    let web = Some(25000);
    assert_eq!(ports(0), Ports { hs2: Some(21050), beeswax: Some(21000), hs2_http: Some(28000), web });
    assert_eq!(ports(1), Ports { hs2: Some(5), beeswax: None, hs2_http: None, web: None });
    assert_eq!(ports(2), Ports { hs2: Some(21050), beeswax: None, hs2_http: Some(28000), web: Some(7) });
    let names: Vec<_> = cluster.coordinators.iter().map(|c| c.name.to_string()).collect();
    assert_eq!(names, ["a", "b:5", "d"]);
}

#[test]
fn without_a_file_both_sides_have_impalas_ports() {
    let config = Config::of_coordinators(&hosts(&["a", "b"]), None, None).unwrap();
    assert_eq!(addresses(&config).len(), 3);
    assert_eq!(config.clusters[0].coordinators[1].name, CoordinatorName("b".into()));
    let listen = Some((Some(IpAddr::from([127, 0, 0, 1])), None));
    let config = Config::of_coordinators(&hosts(&["a:5", "b"]), listen, None).unwrap();
    assert_eq!(addresses(&config)[0], ("127.0.0.1:21050".to_owned(), Service::Hs2));
}

#[test]
fn without_a_file_one_listener_can_be_asked_for() {
    let listen = Some((Some(IpAddr::from([127, 0, 0, 1])), Some(21000)));
    let config = Config::of_coordinators(&hosts(&["a"]), listen, None).unwrap();
    assert_eq!(addresses(&config), [("127.0.0.1:21000".to_owned(), Service::Beeswax)]);
    let error = Config::of_coordinators(&hosts(&["a:5"]), listen, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "command line: --listen: no coordinator of cluster \"impala\" has a port for \"beeswax\"; choose another \
         service, or remove this listener"
    );
}

#[test]
fn without_a_file_a_coordinator_named_twice_is_refused() {
    let error = Config::of_coordinators(&hosts(&["a", "a"]), None, None).unwrap_err();
    assert_eq!(error.iter().count(), 1);
    assert_eq!(error.to_string(), "command line: --coordinator: a is given twice; list it once");
}

#[test]
fn without_a_file_the_admin_port_can_be_moved() {
    let of = |admin: &str| Config::of_coordinators(&hosts(&["a"]), None, Some(admin.parse().unwrap()));
    assert_eq!(of("127.0.0.1:25026").unwrap().admin.address.port(), 25026);
    let error = of("0.0.0.0:25026").unwrap_err().to_string();
    assert!(error.starts_with("command line: --admin: \"0.0.0.0:25026\" is reachable"), "{error}");
}

#[test]
fn more_coordinators_than_a_pick_can_look_at_are_refused() {
    let list = |n: usize| (0..n).map(|i| format!("\"c{i}\"")).collect::<Vec<_>>().join(",");
    let text = |n| format!("[[cluster]]\ncoordinators = [{}]", list(n));
    assert_eq!(config(&text(1000)).clusters[0].coordinators.len(), 1000);
    let error = Config::parse("test", &text(1001)).unwrap_err();
    assert!(error.to_string().contains("a list of 1001 is out of range"), "{error}");
}

#[test]
fn a_number_may_have_underscores() {
    let text = include_str!("../../../fixtures/config/valid/coordinator-tables.toml");
    assert!((config(text).clusters[0].idle_session_cost - 10.5).abs() < f64::EPSILON);
}

#[test]
fn every_beginning_of_a_config_is_understood_or_explained() {
    let text = include_str!("../../../fixtures/config/valid/two-clusters.toml");
    let mut refused = 0;
    for (end, _) in text.char_indices() {
        if let Err(error) = Config::parse("test", &text[..end]) {
            refused += 1;
            let said = error.to_string();
            assert!(said.starts_with("test:") && said.lines().all(|line| line.len() > 10), "{end}: {said}");
        }
    }
    assert!(refused > text.len() / 2);
}

#[test]
fn paths_of_tls_count_from_the_folder_of_the_file() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("router.toml");
    let text = "[[listener]]\naddress = \"[::]:21050\"\n[listener.tls]\n\
        pairs = [{ certificate = \"a.pem\" }, { certificate = \"/b.crt\", key = \"keys/b.key\" }]\n\
        client_ca = \"users.pem\"\n[[cluster]]\ncoordinators = [\"a\"]";
    std::fs::write(&file, text).unwrap();
    let tls = Config::load(&file).unwrap().listeners.remove(0).tls.unwrap();
    let beside = |path: &str| folder.path().join(path);
    assert_eq!(tls.pairs[0].certificate, beside("a.pem"));
    assert_eq!(tls.pairs[0].key, beside("a.pem"));
    assert_eq!(tls.pairs[1].certificate, Path::new("/b.crt"));
    assert_eq!(tls.pairs[1].key, beside("keys/b.key"));
    let clients = tls.clients.unwrap();
    assert_eq!((clients.ca, clients.auth), (beside("users.pem"), ClientAuth::Required));
    assert!(tls.required && !tls.strict_sni);
}

#[test]
fn an_unreadable_file_is_named() {
    let error = Config::load(Path::new("no/such/file.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/such/file.toml");
}

/// A file in which a key of a section has this value, with what else it needs.
fn with_key(section: &SectionInfo, key: &str, value: &str) -> String {
    let rest = "[[cluster]]\ncoordinators = [\"c\"]";
    match section.path {
        "cluster" => format!("{rest}\n{key} = {value}"),
        "cluster.coordinators" => {
            format!("[[cluster]]\ncoordinators = [{{ host = \"c\", {key} = {value} }}]")
        }
        path => match path.strip_prefix("cluster.") {
            Some(table) => format!("{rest}\n{table} = {{ {key} = {value} }}"),
            None => format!("{}\n{key} = {value}\n{rest}", section.header),
        },
    }
}

/// Whether a value is none that the key may have.
fn is_out_of_range(section: &SectionInfo, key: &str, value: &str) -> bool {
    let own = format!("{}.{key}", section.path);
    match Config::parse("test", &with_key(section, key, value)) {
        Err(ConfigError::Problems(problems)) => {
            problems.iter().any(|one| one.key == own && matches!(one.fault, Fault::OutOfRange { .. }))
        }
        _ => false,
    }
}

/// The values just inside and just outside of a range that the reference names, as the file has them.
fn around(least: &str, most: &str) -> Option<([String; 2], [String; 2])> {
    if let (Ok(TimeSpan(least)), Ok(TimeSpan(most))) = (least.parse(), most.parse()) {
        let text = |span: Duration| format!("\"{}ms\"", span.as_millis());
        let one = Duration::from_millis(1);
        return Some(([text(least), text(most)], [text(least.saturating_sub(one)), text(most + one)]));
    }
    if let (Ok(ByteSize(least)), Ok(ByteSize(most))) = (least.parse(), most.parse()) {
        let text = |size: usize| format!("\"{size}B\"");
        return Some(([text(least), text(most)], [text(least - 1), text(most + 1)]));
    }
    let (least, most): (i64, i64) = (least.parse().ok()?, most.parse().ok()?);
    Some(([least, most].map(|n| n.to_string()), [least - 1, most + 1].map(|n| n.to_string())))
}

#[test]
fn the_ranges_in_the_reference_are_those_that_are_checked() {
    let mut ranges = 0;
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| key.name != "coordinators") {
            let meaning = key.meaning.concat();
            let words: Vec<&str> =
                meaning.split([' ', ';', ',', '.']).filter(|word| !word.is_empty()).collect();
            for around in words.windows(3).filter(|w| w[1] == "to").filter_map(|w| around(w[0], w[2])) {
                ranges += 1;
                let (inside, outside) = around;
                let path = format!("{}.{}", section.path, key.name);
                for value in inside {
                    assert!(!is_out_of_range(section, key.name, &value), "{path}: {value}");
                }
                for value in outside {
                    assert!(is_out_of_range(section, key.name, &value), "{path}: {value}");
                }
            }
            if meaning.contains("ore than 0") && !meaning.contains("is more than 0") {
                ranges += 1;
                assert!(is_out_of_range(section, key.name, "\"0s\""), "{}.{}", section.path, key.name);
                assert!(!is_out_of_range(section, key.name, "\"1ms\""), "{}.{}", section.path, key.name);
            }
        }
    }
    assert!(ranges >= 18, "{ranges}");
}

#[test]
fn a_cluster_is_reached_with_tls_if_it_has_the_table_except_for_coordinators_that_are_not() {
    let text = include_str!("../../../fixtures/config/valid/cluster-tls.toml");
    let config = config(text);
    let [one, two, three] = config.clusters.as_slice() else { panic!("three clusters") };
    let tls = one.tls.as_ref().unwrap();
    let settings = ClusterTlsSettings {
        ca: Some("ca.pem".into()),
        pair: Some(PairFiles { certificate: "router.pem".into(), key: "/etc/hs2router/router.key".into() }),
        verify: Verify::Full,
    };
    assert_eq!((&tls.settings, tls.web), (&settings, true));
    let reached = |cluster: &ClusterConfig| -> Vec<(bool, Option<String>)> {
        cluster.coordinators.iter().map(|one| (one.tls, one.server_name.clone())).collect()
    };
    let named = Some("impala-2.example.com".to_owned());
    assert_eq!(reached(one), [(true, None), (true, named), (false, None)]);
    assert_eq!(
        two.tls.as_ref().unwrap().settings.verify,
        Verify::NameOfCluster("impala.example.com".to_owned())
    );
    assert_eq!(reached(two), [(true, None), (true, None)]);
    assert_eq!(three.tls.as_ref().unwrap().settings.verify, Verify::Nothing);
    let clear = self::config("[[cluster]]\ncoordinators = [\"a\"]");
    assert_eq!(clear.clusters[0].tls, None);
    assert_eq!(reached(&clear.clusters[0]), [(false, None)]);
}

#[test]
fn an_empty_table_means_full_verification_against_the_systems_bundle() {
    let config = config("[[cluster]]\ncoordinators = [\"a\"]\n[cluster.tls]");
    let settings = ClusterTlsSettings { ca: None, pair: None, verify: Verify::Full };
    assert_eq!(config.clusters[0].tls, Some(ClusterTlsConfig { settings, web: false }));
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config/valid/cluster-tls.toml");
    let config = Config::load(&file).unwrap();
    let ClusterTlsSettings { ca, pair, .. } = &config.clusters[0].tls.as_ref().unwrap().settings;
    assert_eq!(ca.as_deref(), Some(file.with_file_name("ca.pem").as_path()));
    assert_eq!(pair.as_ref().unwrap().certificate, file.with_file_name("router.pem"));
    assert_eq!(pair.as_ref().unwrap().key, Path::new("/etc/hs2router/router.key"));
}
