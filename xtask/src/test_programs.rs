//! The programs that cargo builds from a package's tests, to run elsewhere.

use crate::error::Error;
use crate::program::{cargo, output, written};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Command;

/// A program with requested tests.
#[derive(Debug)]
pub(crate) struct TestProgram {
    pub(crate) path: PathBuf,
    /// The folder to run it in.
    pub(crate) folder: PathBuf,
    /// Its requested tests.
    pub(crate) tests: Vec<String>,
}

/// A line of `cargo --message-format=json` (The Cargo Book, "external tools").
#[derive(Debug, Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    manifest_path: PathBuf,
    target: Target,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl TestProgram {
    /// Builds the integration tests of a package and returns the programs with tests that have one of these words in
    /// their names; harness options may be among the words. A word that matches no test is an error: it would look like
    /// a test that passes.
    pub(crate) fn build(package: &str, words: &[&str]) -> Result<Vec<TestProgram>, Error> {
        let build = ["test", "-q", "-p", package, "--test", "*", "--no-run", "--message-format=json"];
        let text = output(cargo().args(build))?;
        let mut programs = Vec::new();
        for line in String::from_utf8_lossy(&text).lines() {
            // Skips lines of other kinds.
            let Ok(artifact) = serde_json::from_str::<Artifact>(line) else { continue };
            let is_test = artifact.target.kind.iter().any(|kind| kind == "test");
            let Some(path) = artifact.executable.filter(|_| is_test) else { continue };
            let mut list = Command::new(&path);
            list.arg("--list").args(words);
            // A harness without this option has no such tests.
            let listed = list.output().map_err(|source| Error::Start { command: written(&list), source })?;
            let listed = String::from_utf8_lossy(&listed.stdout);
            let tests: Vec<String> =
                listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
            let folder = artifact.manifest_path.parent().map_or_else(PathBuf::new, PathBuf::from);
            if !tests.is_empty() {
                programs.push(TestProgram { path, folder, tests });
            }
        }
        let is_there = |word: &str| programs.iter().flat_map(|program| &program.tests).any(|test| test.contains(word));
        match words.iter().find(|word| !word.starts_with('-') && !is_there(word)) {
            Some(word) => Err(Error::NoTest((*word).to_owned())),
            None => Ok(programs),
        }
    }
}
