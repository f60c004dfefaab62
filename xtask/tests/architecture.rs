//! What ARCHITECTURE.md says about files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A reader follows one published port through this many files at most.
const MOST_FILES: usize = 30;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md")
}

fn source(file: &str) -> io::Result<String> {
    fs::read_to_string(root().join(file))
}

/// The words in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The files on the way of a published port, each with the name in it.
fn way(text: &str) -> Vec<(String, String)> {
    let section = text.split("\n## ").find(|section| section.starts_with("One published port")).expect("the section");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let columns = rows.map(|row| {
        let mut words = quoted(row).map(str::to_owned);
        (words.next().expect("a file"), words.next().expect("a name"))
    });
    columns.collect()
}

fn defines(source: &str, name: &str) -> bool {
    ["fn", "struct", "enum"].iter().any(|kind| {
        let item = format!("{kind} {name}");
        source.split(&item).skip(1).any(|rest| rest.starts_with(|c: char| !c.is_alphanumeric() && c != '_'))
    })
}

fn names(source: &str, name: &str) -> bool {
    source.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

#[test]
fn a_published_port_takes_at_most_thirty_files_each_named_by_an_earlier_one() {
    let way = way(&architecture());
    let files: BTreeSet<&String> = way.iter().map(|(file, _)| file).collect();
    assert!((10..=MOST_FILES).contains(&files.len()), "{} files", files.len());
    let mut earlier: Vec<String> = Vec::new();
    for (file, name) in &way {
        let source = source(file).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(defines(&source, name), "{file} does not define {name}");
        let known = earlier.is_empty() || earlier.iter().any(|source| names(source, name));
        assert!(known, "no file before {file} names {name}");
        earlier.push(source);
    }
}

#[test]
fn the_files_that_it_names_exist() {
    let text = architecture();
    let is_there = |file: &str| {
        let engine = root().join("crates/engine/src").join(file);
        let below_crates = root().join("crates").join(file);
        root().join(file).exists() || below_crates.exists() || engine.exists()
    };
    let files = quoted(&text).filter(|word| word.contains('/') && Path::new(word).extension() == Some("rs".as_ref()));
    let missing: Vec<&str> = files.filter(|file| !is_there(file)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
