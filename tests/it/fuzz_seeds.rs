//! The corpus of every fuzz target goes through the target's own function, so that what was found once stays
//! found without a fuzzer.

use std::fs;
use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz targets, another package, call these")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Runs every seed of a target; the name of the seed is printed before, for the one that fails.
fn run_corpus(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for seed in seeds {
        println!("{}", seed.display());
        target(&fs::read(seed).unwrap());
    }
}

#[test]
fn detection_holds_for_every_seed() {
    run_corpus("detect", targets::detect);
}

#[test]
fn the_scanner_follows_every_seed_in_any_pieces() {
    run_corpus("scan", targets::scan);
}

#[test]
fn handshakes_of_every_seed_end_alike_in_any_pieces() {
    run_corpus("sasl", targets::sasl);
}

#[test]
fn handshakes_by_ticket_of_every_seed_let_in_only_who_has_done_all_that_it_must() {
    run_corpus("gssapi", targets::gssapi);
}

#[test]
fn connections_of_every_seed_that_pass_by_are_heard_alike_in_any_pieces() {
    run_corpus("overheard", targets::overheard);
}

#[test]
fn frames_of_every_seed_are_the_same_in_any_pieces() {
    run_corpus("frame", targets::frame);
}

#[test]
fn links_are_clean_after_every_seed_as_a_plain_reading_says() {
    run_corpus("link", targets::link);
}

#[test]
fn proxy_headers_of_every_seed_keep_their_answer() {
    run_corpus("proxy", targets::proxy);
}

#[test]
fn hellos_of_every_seed_keep_their_answer() {
    run_corpus("hello", targets::hello);
}

#[test]
fn tls_connections_of_every_seed_give_what_was_said_or_an_error() {
    run_corpus("tls", targets::tls);
}

#[test]
fn heads_of_every_seed_are_judged_alike_in_any_pieces() {
    run_corpus("http_head", targets::http_head);
}
