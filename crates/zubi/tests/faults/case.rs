//! Cases as text files. A section begins in the first column, its lines are indented below it, `#` begins a comment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use zubi_lab::{Answer, Host, HostKind, Test};

/// A file of `cases`.
#[derive(Debug)]
pub struct Case {
    file: PathBuf,
    sections: BTreeMap<String, Vec<String>>,
}

impl Case {
    /// The cases of a folder. Only these sections and `tests` are allowed.
    pub fn all(folder: &str, sections: &[&str]) -> Vec<Case> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/cases").join(folder);
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("case").path()).collect();
        files.sort();
        files.into_iter().map(|file| Self::read(file, sections)).collect()
    }

    fn read(file: PathBuf, known: &[&str]) -> Case {
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut case = Case { file, sections: BTreeMap::new() };
        let mut section = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix("  ") {
                Some(line) if !section.is_empty() => {
                    case.sections.entry(section.clone()).or_default().push(line.into());
                }
                None if line == "tests" || known.contains(&line) => line.clone_into(&mut section),
                _ => panic!("{}: no section and no line of one: {line}", case.file.display()),
            }
        }
        case
    }

    /// The lines of a section; empty when the section is missing.
    pub fn lines(&self, section: &str) -> &[String] {
        self.sections.get(section).map(Vec::as_slice).unwrap_or_default()
    }

    /// The only line of a section.
    pub fn line(&self, section: &str) -> &str {
        match self.lines(section) {
            [line] => line,
            lines => panic!("{}: {section} has {} lines", self.file.display(), lines.len()),
        }
    }

    /// The only line of a section, a number.
    pub fn number(&self, section: &str) -> usize {
        let line = self.line(section);
        line.parse().unwrap_or_else(|e| panic!("{}: {section}: {line}: {e}", self.file.display()))
    }

    /// The names of the case's tests, each with its trial.
    fn tests(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.lines("tests").iter();
        lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{}: {line}", self.file.display())))
    }

    /// The tests of all these cases; `run` finds its case by [`Case::of`].
    pub fn tests_of(cases: &[Case], module: &str, run: fn(&str)) -> Vec<Test> {
        let names = cases.iter().flat_map(Case::tests).map(|(name, _)| format!("{module}::{name}").leak() as &str);
        names.map(|name| Test { name, run, host: HostKind::Rootless }).collect()
    }

    /// The case with this test, and the test's trial. Ignores modules in front of the name.
    pub fn of<'a>(cases: &'a [Case], test: &str) -> (&'a Case, &'a str) {
        let test = test.rsplit("::").next().unwrap_or(test);
        let mut all = cases.iter().flat_map(|case| case.tests().map(move |(name, tries)| (case, name, tries)));
        all.find(|(_, name, _)| *name == test).map(|(case, _, tries)| (case, tries)).expect("a case with this test")
    }
}

/// Runs words of zubi, or of a shell after `$`.
pub fn line(host: &Host, line: &str) -> Answer {
    match line.strip_prefix("$ ") {
        Some(shell) => host.shell(shell),
        None => host.zubi(line),
    }
}

/// Fails the test unless every line succeeds.
#[track_caller]
pub fn lines(host: &Host, lines: &[String]) {
    succeed(host, lines).unwrap_or_else(|why| panic!("{why}"));
}

/// Runs the lines; the error is that of the first that fails.
pub fn succeed(host: &Host, lines: &[String]) -> Result<(), String> {
    lines.iter().try_for_each(|words| succeeds(host, words))
}

/// Runs one line; the error is its output.
pub fn succeeds(host: &Host, words: &str) -> Result<(), String> {
    let answer = line(host, words);
    if answer.code == 0 { Ok(()) } else { Err(format!("{words}: {}{}", answer.out, answer.err)) }
}
