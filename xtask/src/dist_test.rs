//! `cargo xtask dist-test`: what takes too long for every change. A second build from nothing gives the same files, and
//! Debian's package can be installed, upgraded and removed without a trace.

use crate::debian::Debian;
use crate::error::Error;
use crate::metadata::Metadata;
use crate::program::find;
use crate::sum::Sum;
use crate::test::Run;
use crate::{deb, dist, release, setup};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The releases of Debian that the package is tried on.
const SUITES: [&str; 2] = ["bookworm", "trixie"];
const SCRIPT: &str = include_str!("dist_test.sh");

/// Runs all checks; the last line is the sum.
pub(crate) fn run() -> Result<(), Error> {
    let metadata = Metadata::load()?;
    let folder = metadata.target_directory.join("dist-test");
    let mut checks = Checks { run: Run::bare()?, sum: Sum::default() };

    let program = dist::build()?;
    // Once: a commit may come between the two.
    let time = release::time(&metadata.workspace_root)?;
    let made = dist::package(&program, time, &metadata, &metadata.target_directory.join("dist"))?;
    // Cargo would take what is there for built.
    let (again, target) = (folder.join("again"), folder.join("target"));
    if target.exists() {
        fs::remove_dir_all(&target).map_err(|source| Error::File { path: target.clone(), source })?;
    }
    let second = dist::package(&dist::build_in(&metadata, &target)?, time, &metadata, &again)?;
    for (one, other) in made.files().iter().zip(second.files()) {
        let name = one.file_name().unwrap_or_default().to_string_lossy();
        checks.add(&format!("a second build of {name} is the same"), dist::sum(one)? == dist::sum(other)?);
    }
    match find("lintian") {
        Some(lintian) => {
            let mut lintian = Command::new(lintian);
            checks.command("lintian finds no errors", lintian.args(["--fail-on", "error"]).arg(&made.deb))?;
        }
        None => checks.run.skip("lintian finds no errors: needs the package lintian")?,
    }

    let newer = format!("{}+1", deb::version_of(&made.release.version));
    let newer = deb::build(&made.release, &newer, &folder)?;
    for suite in SUITES {
        let check = format!("the package comes, is upgraded and goes without a trace on Debian {suite}");
        if !setup::is_root() {
            checks.run.skip(&format!("{check}: needs root"))?;
            continue;
        }
        match Debian::open(suite) {
            Ok(debian) => {
                let mount = folder.join(suite);
                fs::create_dir_all(&mount).map_err(|source| Error::File { path: mount.clone(), source })?;
                checks.command(&check, &mut on(debian.folder(), &mount, [&made.deb, &newer]))?;
            }
            Err(e) => checks.run.skip(&format!("{check}: {e}"))?,
        }
    }
    checks.run.add(checks.sum);
    checks.run.end()
}

/// The mounts go with the script.
fn on(root: &Path, mount: &Path, packages: [&Path; 2]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "dist-test"]);
    command.arg(root).arg(mount).args(packages);
    command
}

struct Checks {
    run: Run,
    sum: Sum,
}

impl Checks {
    fn add(&mut self, check: &str, holds: bool) {
        println!("{check}: {}", if holds { "ok" } else { "FAILED" });
        self.sum += Sum { passed: usize::from(holds), failed: usize::from(!holds), skipped: 0 };
    }

    fn command(&mut self, check: &str, command: &mut Command) -> Result<(), Error> {
        let status = command.status().map_err(|source| Error::Start { command: check.to_owned(), source })?;
        self.add(check, status.success());
        Ok(())
    }
}
