//! All tests, with a sum at the end.

use crate::error::Error;
use crate::metadata::Metadata;
use crate::program::{cargo, written};
use crate::setup;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::ops::AddAssign;
use std::path::Path;
use std::process::Stdio;

/// Names the file to which a test that cannot run here appends one line with its name and the reason, before it
/// returns: the harness knows no skipping, and hides what a passing test prints.
const SKIPS: &str = "ZUBI_SKIPS";
/// With which number the cases of property tests are chosen.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Sets up, says what this machine lacks, runs `cargo test --workspace` with `args`, and sums up in the last line.
pub(crate) fn run(args: &[&str]) -> Result<(), Error> {
    setup::run();
    for line in zubi_lab::report() {
        println!("{line}");
    }
    let target = Metadata::load()?.target_directory;
    let skips = target.join("skips.txt");
    let in_file = |source| Error::File { path: skips.clone(), source };
    fs::create_dir_all(&target).and_then(|()| fs::write(&skips, "")).map_err(in_file)?;

    let mut command = cargo();
    // One program that fails must not hide the sums of those after it.
    command.args(["test", "--workspace", "--no-fail-fast"]).args(args).env(SKIPS, &skips).stdout(Stdio::piped());
    let words = written(&command);
    let in_command = |source| Error::Start { command: words.clone(), source };
    // CI asks whether this change is good, not for luck; elsewhere each run looks at other cases.
    if std::env::var_os("CI").is_some() && std::env::var_os(SEED).is_none() {
        command.env(SEED, "20261121");
    }
    println!("+ {words}");
    let mut child = command.spawn().map_err(in_command)?;
    let mut sum = match child.stdout.take() {
        Some(stdout) => pass_through(BufReader::new(stdout), io::stdout()).map_err(in_command)?,
        None => Sum::default(),
    };
    let status = child.wait().map_err(in_command)?;

    let skipped = read_skips(&skips).map_err(in_file)?;
    if !skipped.is_empty() {
        println!("\nskipped:");
        for line in &skipped {
            println!("  {line}");
        }
    }
    sum.skipped += skipped.len();
    if !status.success() && sum.failed == 0 {
        println!("\n{words}: {status}, though no test that ran has failed");
    }
    println!("\n{sum}");
    if status.success() { Ok(()) } else { Err(Error::Tests) }
}

/// What the tests came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Sum {
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
    fn read(line: &str) -> Option<Sum> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| {
            let mut parts = counts.split("; ").filter_map(|part| part.split_once(' '));
            parts.find(|(_, name)| *name == what)?.0.parse().ok()
        };
        Some(Sum { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Shows the lines as they come and sums up the results among them.
fn pass_through(mut from: impl BufRead, mut out: impl Write) -> io::Result<Sum> {
    let mut sum = Sum::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        out.flush()?;
        if let Some(more) = Sum::read(&String::from_utf8_lossy(&line)) {
            sum += more;
        }
        line.clear();
    }
    Ok(sum)
}

/// The reasons, each once. A test may name itself with `SKIP ` before, as it would on the terminal.
fn read_skips(file: &Path) -> io::Result<BTreeSet<String>> {
    let text = fs::read(file)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(|line| line.trim().trim_start_matches("SKIP ").trim());
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_over_all_programs() {
        let output = "running 3 tests\n\
                      test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                      a line of a test: test result: ok. 9 passed\n\
                      test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1s\n";
        let mut shown = Vec::new();
        let sum = pass_through(output.as_bytes(), &mut shown).unwrap();
        assert_eq!(sum.to_string(), "5 passed, 1 failed, 1 skipped");
        assert_eq!(shown, output.as_bytes());
    }
}
