//! The operators' page: what it is made of, and what a browser makes of it.

mod browser;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};

use crate::admin::ask_at;
use crate::support::fleet::Fleet;
use crate::support::tools::{Tool, browser_packages, present};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/control/page")
}

/// The names of the files in a folder.
fn files(folder: &PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn every_file_of_the_page_is_served() {
    let fleet = Fleet::of(1);
    let admin = fleet.router().router().admin();
    let served = |path: &str| ask_at(admin, &format!("GET {path}"), "");
    let own = files(&folder()).into_iter().map(|name| folder().join(name));
    let vendor = folder().join("vendor");
    let vendored = files(&vendor).into_iter().map(|name| vendor.join(name));
    let mut checked = 0;
    for file in own.chain(vendored) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let path = match name {
            "index.html" => "/".to_owned(),
            // They tell people and tests where the files are from.
            "README.md" | "SHA256SUMS" => continue,
            name => format!("/page/{name}"),
        };
        assert_eq!(served(&path), (200, fs::read_to_string(&file).unwrap()), "{path}");
        checked += 1;
    }
    assert!(checked > 10);
    assert_eq!(served("/page/nothing.js").0, 404);
}

#[test]
fn every_answer_keeps_foreign_text_and_foreign_pages_out() {
    let fleet = Fleet::of(1);
    let admin = fleet.router().router().admin();
    for path in ["/", "/page/page.js", "/api/v1/coordinators", "/metrics", "/nowhere"] {
        let mut stream = TcpStream::connect(admin).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let head = answer.split("\r\n\r\n").next().unwrap();
        for line in
            ["x-content-type-options: nosniff", "referrer-policy: no-referrer", "cache-control: no-store"]
        {
            assert!(head.lines().any(|one| one == line), "{path}: {line}\n{head}");
        }
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.split("; ").any(|one| one == part), "{path}: {part}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    }
}

/// The recorded SHA-256 of each file of others, by name.
fn recorded() -> BTreeMap<String, String> {
    let sums = fs::read_to_string(folder().join("vendor/SHA256SUMS")).unwrap();
    let pair = |line: &str| line.split_once("  ").map(|(sum, name)| (name.to_owned(), sum.to_owned()));
    sums.lines().map(|line| pair(line).unwrap()).collect()
}

#[test]
fn the_files_of_others_are_those_that_were_recorded() {
    let vendor = folder().join("vendor");
    let mut names: Vec<String> =
        files(&vendor).into_iter().filter(|name| !matches!(&**name, "README.md" | "SHA256SUMS")).collect();
    names.sort();
    assert_eq!(names, recorded().into_keys().collect::<Vec<_>>());
    for (name, sum) in recorded() {
        let digest = digest(&SHA256, &fs::read(vendor.join(&name)).unwrap());
        assert_eq!(data_encoding::HEXLOWER.encode(digest.as_ref()), sum, "{name}");
    }
}

#[test]
fn the_files_of_others_are_those_of_their_packages() {
    if !present(&[Tool::Browser]) {
        return;
    }
    let about = fs::read_to_string(folder().join("vendor/README.md")).unwrap();
    let rows: Vec<_> = about.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    assert_eq!(rows.len(), recorded().len());
    for row in rows {
        // preact.mjs` | preact 11.2.0 (MIT) | `dist/preact.mjs` |
        let [name, package, file] = row.split(" | ").collect::<Vec<_>>().try_into().unwrap();
        let (name, file) = (name.trim_end_matches('`'), file.trim_matches(['`', '|', ' ']));
        let mut package = package.split(' ');
        let installed = browser_packages().join("node_modules").join(package.next().unwrap());
        let about = fs::read_to_string(installed.join("package.json")).unwrap();
        let about: serde_json::Value = serde_json::from_str(&about).unwrap();
        assert_eq!(about["version"], package.next().unwrap(), "{name}");
        let own = fs::read(folder().join("vendor").join(name)).unwrap();
        assert!(own == fs::read(installed.join(file)).unwrap(), "{name} is not {file} of its package");
    }
}
