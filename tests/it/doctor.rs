//! `hs2router doctor`: each finding is provoked, by the program as a shell runs it.

#[cfg(feature = "kerberos")]
mod kerberos;
mod ports;
mod servers;
mod settings;
mod troubleshooting;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hs2router::cmd::doctor::{KINDS, Level};
use serde_json::Value;

/// What the doctor said.
struct Report {
    exit_code: i32,
    json: Value,
}

/// The findings about what this command line names.
fn doctor(arguments: &[&str]) -> Report {
    doctor_with(arguments, &[])
}

/// The same, with more in its environment.
fn doctor_with(arguments: &[&str], environment: &[(&str, String)]) -> Report {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hs2router"));
    command.args(["doctor", "--json"]).args(arguments).envs(environment.iter().cloned());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let json = serde_json::from_slice(&stdout);
    let json = json.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&stderr)));
    Report { exit_code: status.code().unwrap(), json }
}

/// The findings about a config, whose files are kept as long as the program runs.
fn doctor_of(config: &str) -> Report {
    let folder = tempfile::tempdir().unwrap();
    doctor(&[in_file(folder.path(), config).to_str().unwrap()])
}

fn in_file(folder: &Path, config: &str) -> PathBuf {
    let file = folder.join("router.toml");
    fs::write(&file, config).unwrap();
    file
}

/// A cluster with these keys and coordinators, and nothing else but the usual listeners.
fn cluster(keys: &str, coordinators: &[String]) -> String {
    format!("[[cluster]]\n{keys}\ncoordinators = [{}]\n", coordinators.join(", "))
}

/// A coordinator on 127.0.0.1 with these ports and no others.
fn coordinator(ports: &str) -> String {
    let others = ["hs2", "beeswax", "hs2_http", "web"]
        .into_iter()
        .filter(|port| !ports.split(", ").any(|one| one.split(" = ").next() == Some(port)));
    let none: Vec<String> = others.map(|port| format!(", {port} = 0")).collect();
    format!("{{ name = \"c\", host = \"127.0.0.1\", {ports}{} }}", none.concat())
}

/// What is found about a coordinator with these ports, in a cluster with these keys.
fn doctor_of_ports(ports: &str, keys: &str) -> Report {
    doctor_of(&cluster(keys, &[coordinator(ports)]))
}

impl Report {
    /// What was seen, of each finding of this name.
    fn seen(&self, name: &str) -> Vec<&str> {
        let all = self.json["findings"].as_array().unwrap();
        let named = all.iter().filter(|one| one["finding"] == name);
        named.map(|one| one["seen"].as_str().unwrap()).collect()
    }

    /// Checks that a finding of this name has these words; and that the exit code fits.
    #[track_caller]
    fn finds(&self, name: &str, words: &str) {
        assert!(self.seen(name).iter().any(|seen| seen.contains(words)), "{name}, {words}: {}", self.json);
        let fails = KINDS.iter().any(|kind| kind.name == name && kind.level == Level::Failure);
        assert!(!fails || self.exit_code == 1, "{}", self.json);
        assert_eq!(self.exit_code, i32::from(self.json["failures"] != 0), "{}", self.json);
    }

    /// Checks that there is none of this name.
    #[track_caller]
    fn lacks(&self, name: &str) {
        assert!(KINDS.iter().any(|kind| kind.name == name), "{name}");
        assert_eq!(self.seen(name), [] as [&str; 0], "{}", self.json);
    }
}

/// The text of these files and folders of tests.
fn tests() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = fs::read_dir(root.join("tests/it/doctor")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let own = ["tests/it/doctor.rs", "src/cmd/doctor/judge/tests.rs", "src/cmd/doctor/gather/tests.rs"];
    files.chain(own.map(|file| root.join(file))).map(|file| fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn each_kind_of_finding_is_provoked_by_a_test() {
    let tests = tests();
    for kind in KINDS {
        // To see that something is not found provokes nothing.
        let named = tests.matches(&format!("\"{}\"", kind.name)).count();
        let lacked = tests.matches(&format!("lacks(\"{}\")", kind.name)).count();
        assert!(named > lacked, "no test provokes {}", kind.name);
    }
}

#[test]
fn each_kind_of_finding_has_a_name_of_its_own_and_a_remedy_if_there_is_a_fault() {
    for (place, kind) in KINDS.iter().enumerate() {
        assert!(!KINDS[..place].iter().any(|other| other.name == kind.name), "{}", kind.name);
        assert_eq!(kind.remedy.is_empty(), kind.level == Level::Ok, "{}", kind.name);
        assert!(!kind.means.ends_with('.') && !kind.remedy.ends_with('.'), "{}", kind.name);
    }
}

#[test]
fn what_is_not_in_the_config_is_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let file = in_file(folder.path(), &cluster("", &[coordinator("hs2 = 1")]));
    for (option, words) in
        [("--coordinator=other", "no coordinator other"), ("--listener=10.0.0.1:5", "no listener 10.0.0.1:5")]
    {
        let ran = Command::new(env!("CARGO_BIN_EXE_hs2router")).arg("doctor").arg(&file).arg(option).output();
        let ran = ran.unwrap();
        assert!(String::from_utf8_lossy(&ran.stderr).contains(words), "{ran:?}");
        assert!(ran.status.code() == Some(1) && ran.stdout.is_empty(), "{ran:?}");
    }
}

#[test]
fn people_read_what_was_seen_what_it_means_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = in_file(folder.path(), &cluster("", &[coordinator("hs2 = 1")]));
    let ran = Command::new(env!("CARGO_BIN_EXE_hs2router")).arg("doctor").arg(&file).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let lines = "coordinator c\n  ok       names: 127.0.0.1: 127.0.0.1";
    assert!(said.contains(lines), "{said}");
    let lines = "  failure  port-unreachable: hs2 127.0.0.1:1: connection refused\n           It means: no connection";
    assert!(
        said.contains(lines) && said.contains("\n           What to do: start the coordinator"),
        "{said}"
    );
    assert!(said.ends_with("\n1 failure, 0 warnings\n"), "{said}");
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "1 failure found\n");
}

#[cfg(not(feature = "kerberos"))]
#[test]
fn a_build_without_kerberos_says_so_and_still_looks_into_keytabs() {
    let config = "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[listener.kerberos]\n\
        keytab = \"missing\"\n[[cluster]]\ncoordinators = [{ host = \"127.0.0.1\", hs2 = 1, beeswax = 0, \
        hs2_http = 0, web = 0 }]\n[cluster.kerberos]\nprincipal = \"r/h@R\"\nkeytab = \"missing\"\n\
        coordinator = \"impala/_HOST@R\"\n";
    let report = doctor_of(config);
    report.finds("kerberos-not-built-in", "--features kerberos");
    report.finds("keytab-unreadable", "missing: No such file");
}
