//! All tests, with a sum at the end.

use crate::error::Error;
use crate::machine::SKIPS;
use crate::metadata::Metadata;
use crate::program::{cargo, written};
use crate::setup;
use crate::sum::{Sum, pass_through};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The seed of the cases of property tests.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Installs, names what this machine lacks, runs `cargo test --workspace` with `args`; the last line is the sum.
pub(crate) fn run(args: &[&str]) -> Result<(), Error> {
    let mut run = Run::begin()?;
    run.workspace(args)?;
    run.end()
}

/// A run of tests with a sum at the end.
#[derive(Debug)]
pub(crate) struct Run {
    sum: Sum,
    /// The file to which a test that cannot run here appends a line with its name and the reason before it returns:
    /// libtest has no skipping at run time, and hides what a passing test prints.
    skips: PathBuf,
    /// Programs that failed though none of their tests did.
    broken: Vec<String>,
}

impl Run {
    /// Installs, and names what this machine lacks.
    pub(crate) fn begin() -> Result<Run, Error> {
        setup::run();
        for line in zubi_lab::report() {
            println!("{line}");
        }
        Run::bare()
    }

    /// A run that needs no set-up.
    pub(crate) fn bare() -> Result<Run, Error> {
        let target = Metadata::load()?.target_directory;
        let run = Run { sum: Sum::default(), skips: target.join("skips.txt"), broken: Vec::new() };
        fs::create_dir_all(&target).and_then(|()| fs::write(&run.skips, "")).map_err(run.in_file())?;
        Ok(run)
    }

    /// Records a skip, as a test does.
    pub(crate) fn skip(&self, line: &str) -> Result<(), Error> {
        let file = OpenOptions::new().append(true).open(&self.skips);
        file.and_then(|mut file| writeln!(file, "{line}")).map_err(self.in_file())
    }

    /// Records that a program failed, whatever its tests did.
    pub(crate) fn broken(&mut self, program: String) {
        self.broken.push(program);
    }

    /// Runs `cargo test --workspace` with `args`.
    pub(crate) fn workspace(&mut self, args: &[&str]) -> Result<(), Error> {
        let mut command = cargo();
        // A program that fails must not hide the sums of those after it.
        command.args(["test", "--workspace", "--no-fail-fast"]).args(args);
        // CI judges the change, so its cases are fixed; elsewhere each run tries other cases.
        if std::env::var_os("CI").is_some() && std::env::var_os(SEED).is_none() {
            command.env(SEED, "20261121");
        }
        self.program(&mut command)
    }

    /// Runs a program that prints what libtest prints.
    pub(crate) fn program(&mut self, command: &mut Command) -> Result<(), Error> {
        let words = written(command);
        let in_command = |source| Error::Start { command: words.clone(), source };
        println!("+ {words}");
        let mut child = command.env(SKIPS, &self.skips).stdout(Stdio::piped()).spawn().map_err(in_command)?;
        let sum = match child.stdout.take() {
            Some(stdout) => pass_through(BufReader::new(stdout), io::stdout()).map_err(in_command)?,
            None => Sum::default(),
        };
        let status = child.wait().map_err(in_command)?;
        if !status.success() && sum.failed == 0 {
            self.broken(format!("{words}: {status}"));
        }
        self.add(sum);
        Ok(())
    }

    /// Adds the sum of tests that ran elsewhere.
    pub(crate) fn add(&mut self, sum: Sum) {
        self.sum += sum;
    }

    /// Prints what was skipped, and the sum.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        let skipped = read_skips(&self.skips).map_err(self.in_file())?;
        if !skipped.is_empty() {
            println!("\nskipped:");
            for line in &skipped {
                println!("  {line}");
            }
        }
        self.sum.skipped += skipped.len();
        for program in &self.broken {
            println!("\n{program}: failed, although none of its tests did");
        }
        println!("\n{}", self.sum);
        if self.sum.failed == 0 && self.broken.is_empty() { Ok(()) } else { Err(Error::Tests) }
    }

    fn in_file(&self) -> impl Fn(io::Error) -> Error + use<> {
        let path = self.skips.clone();
        move |source| Error::File { path: path.clone(), source }
    }
}

/// The distinct reasons. A test may start its line with `SKIP `, as on the terminal.
fn read_skips(file: &Path) -> io::Result<BTreeSet<String>> {
    let text = fs::read(file)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(|line| line.trim().trim_start_matches("SKIP ").trim());
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
