//! The config files that ship with the project: the good ones are understood, the bad ones are explained.

use std::fs;
use std::path::{Path, PathBuf};

use hs2router::control::config::{Config, ConfigError};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder with this extension, in order; fails when there is none.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    assert!(!files.is_empty(), "no .{extension} in {}", folder.display());
    files
}

fn parse(file: &Path) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(file).unwrap();
    Config::parse(file.file_name().unwrap().to_str().unwrap(), &text)
}

#[test]
fn every_valid_file_is_understood() {
    for file in files(&root().join("fixtures/config/valid"), "toml") {
        if let Err(error) = parse(&file) {
            panic!("{error}");
        }
    }
}

#[test]
fn every_invalid_file_is_refused_with_all_its_problems() {
    for file in files(&root().join("fixtures/config/invalid"), "toml") {
        let error = parse(&file).expect_err(&file.display().to_string());
        let said = format!("{error}\n");
        let expected = file.with_extension("err");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(said, expected, "{} (UPDATE_DOCS=1 rewrites it)", file.display());
    }
}

/// The fenced TOML blocks of a Markdown text, each with the line it begins on.
fn toml_blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut inside: Option<(usize, String)> = None;
    for (line_number, line) in (1..).zip(text.lines()) {
        match (&mut inside, line.trim()) {
            (None, "```toml") => inside = Some((line_number + 1, String::new())),
            (Some(_), "```") => blocks.extend(inside.take()),
            (Some((_, block)), _) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn every_config_in_the_documents_is_understood() {
    let mut documents = files(&root().join("docs"), "md");
    documents.extend(files(&root(), "md"));
    let mut blocks = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for (line, block) in toml_blocks(&text) {
            blocks += 1;
            let origin = format!("{} (block at line {line})", document.display());
            if let Err(error) = Config::parse(&origin, &block) {
                panic!("{error}");
            }
        }
    }
    assert!(blocks > 0, "the documents show no config at all");
}
