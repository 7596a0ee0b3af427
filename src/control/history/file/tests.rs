use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

const START: SystemTime = SystemTime::UNIX_EPOCH;
const HOUR: Duration = Duration::from_hours(1);

/// The noon of a day.
fn noon(day: u32) -> SystemTime {
    START + DAY * day + 12 * HOUR
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn config(folder: &TempDir) -> HistoryConfig {
    HistoryConfig { file: folder.path().join("history.jsonl"), rotate: 100, keep: 2 * DAY }
}

/// The names and texts of all files, the oldest first and the current one last.
fn files(folder: &TempDir) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    files.sort_by_key(|(name, _)| (name == "history.jsonl", name.clone()));
    files
}

fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn lines_are_added_to_what_is_there_and_only_the_routers_user_reads_them() {
    let folder = folder();
    for line in ["one\n", "two\n"] {
        let mut file = HistoryFile::open(config(&folder), clock_now()).unwrap();
        file.add(line.as_bytes(), clock_now()).unwrap();
    }
    assert_eq!(files(&folder), named(&[("history.jsonl", "one\ntwo\n")]));
    let mode = fs::metadata(config(&folder).file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Files that are made have times of the real clock.
fn clock_now() -> SystemTime {
    crate::clock::time_of_day()
}

#[test]
fn a_file_that_is_large_enough_is_put_aside() {
    let (folder, line) = (folder(), format!("{}\n", "x".repeat(59)));
    let mut file = HistoryFile::open(config(&folder), noon(1)).unwrap();
    for _ in 0..3 {
        file.add(line.as_bytes(), noon(1)).unwrap();
    }
    let aside = ["history.jsonl.19700102T120000.000Z", "history.jsonl.19700102T120000.001Z"];
    assert_eq!(files(&folder), named(&[(aside[0], &line), (aside[1], &line), ("history.jsonl", &line)]));
}

#[test]
fn each_day_begins_a_file_and_files_are_removed_after_their_time() {
    let folder = folder();
    for (other, text) in [("history.jsonl.old", "a"), ("history.jsonl.19700102T120000.000", "b")] {
        fs::write(folder.path().join(other), text).unwrap();
    }
    let mut file = HistoryFile::open(config(&folder), noon(1)).unwrap();
    for day in 1..=4 {
        file.add(format!("{day}\n").as_bytes(), noon(day)).unwrap();
    }
    let kept = [
        ("history.jsonl.19700102T120000.000", "b"),
        ("history.jsonl.19700103T120000.000Z", "2\n"),
        ("history.jsonl.19700104T120000.000Z", "3\n"),
        ("history.jsonl.old", "a"),
        ("history.jsonl", "4\n"),
    ];
    assert_eq!(files(&folder), named(&kept), "what others have put there stays");
    file.tidy(noon(9));
    assert_eq!(files(&folder).len(), 3, "also while nothing ends");
}

#[test]
fn a_file_of_another_day_is_put_aside_at_the_first_line_after_a_start() {
    let folder = folder();
    fs::write(config(&folder).file, "old\n").unwrap();
    File::options().write(true).open(config(&folder).file).unwrap().set_modified(noon(3)).unwrap();
    let mut file = HistoryFile::open(config(&folder), noon(4)).unwrap();
    file.add(b"new\n", noon(4)).unwrap();
    let aside = ("history.jsonl.19700104T120000.000Z", "old\n");
    assert_eq!(files(&folder), named(&[aside, ("history.jsonl", "new\n")]));
}

#[test]
fn a_new_file_is_begun_when_somebody_has_taken_it_away() {
    let folder = folder();
    let mut file = HistoryFile::open(config(&folder), clock_now()).unwrap();
    file.add(b"one\n", clock_now()).unwrap();
    fs::rename(config(&folder).file, folder.path().join("elsewhere")).unwrap();
    file.add(b"two\n", clock_now()).unwrap();
    assert_eq!(files(&folder), named(&[("elsewhere", "one\n"), ("history.jsonl", "two\n")]));
    fs::remove_file(config(&folder).file).unwrap();
    file.add(b"three\n", clock_now()).unwrap();
    assert_eq!(files(&folder), named(&[("elsewhere", "one\n"), ("history.jsonl", "three\n")]));
}

#[test]
fn a_line_that_a_killed_process_began_stays_a_line_of_its_own() {
    let folder = folder();
    fs::write(config(&folder).file, "whole\nhal").unwrap();
    let mut file = HistoryFile::open(config(&folder), clock_now()).unwrap();
    file.add(b"next\n", clock_now()).unwrap();
    assert_eq!(files(&folder), named(&[("history.jsonl", "whole\nhal\nnext\n")]));
}

#[test]
fn what_cannot_be_a_file_is_refused_from_the_start_and_says_what_to_do() {
    let folder = folder();
    let refused = |file: PathBuf| {
        let error = HistoryFile::open(HistoryConfig { file, ..config(&folder) }, noon(1)).unwrap_err();
        assert!(!error.may_pass());
        error.to_string()
    };
    let text = refused(folder.path().join("nowhere/history.jsonl"));
    assert!(text.contains("there is no folder") && text.contains("create it"), "{text}");
    assert!(refused(folder.path().to_owned()).contains("is not a regular file"));
    assert!(refused("/dev/null".into()).contains("is not a regular file"), "nor a device");
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(refused(folder.path().join("file/history.jsonl")).contains("there is no folder"));
}

#[test]
fn a_disk_that_is_full_keeps_nobody_from_starting() {
    let of = |kind: ErrorKind| HistoryError::NotOpened { file: "h".into(), source: kind.into() };
    assert!(of(ErrorKind::StorageFull).may_pass() && of(ErrorKind::QuotaExceeded).may_pass());
    assert!(!of(ErrorKind::PermissionDenied).may_pass());
}

#[test]
fn a_folder_that_went_away_costs_lines_until_it_is_back() {
    let folder = folder();
    let (file, gone) = (folder.path().join("in/history.jsonl"), folder.path().join("out"));
    fs::create_dir(folder.path().join("in")).unwrap();
    let mut history =
        HistoryFile::open(HistoryConfig { file: file.clone(), ..config(&folder) }, clock_now()).unwrap();
    fs::rename(folder.path().join("in"), &gone).unwrap();
    let not_added = history.add(b"lost\n", clock_now()).unwrap_err();
    assert_eq!((not_added.written, not_added.why.kind()), (0, ErrorKind::NotFound));
    fs::rename(&gone, folder.path().join("in")).unwrap();
    history.add(b"back\n", clock_now()).unwrap();
    assert_eq!(fs::read_to_string(file).unwrap(), "back\n");
}
