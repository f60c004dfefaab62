//! `cargo xtask debian SUITE [PACKAGE..] -- COMMAND..`: a command among the programs of another Debian release.

use crate::archive::OLD_IS_FINE;
use crate::error::Error;
use crate::metadata::Metadata;
use crate::program::run as run_command;
use crate::{cache, setup};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use zubi_lab::{Mirror, OtherRoot};

/// The releases that debootstrap makes; newer ones are installed on top.
const STABLE: [&str; 2] = ["bookworm", "trixie"];
const BASE: &str = "trixie";
/// Package scripts ask this program whether they may start a service.
const POLICY: &str = "usr/sbin/policy-rc.d";
/// The list of installed extra packages.
const INSTALLED: &str = "etc/zubi-installed";

/// Runs the command and returns its exit code.
pub(crate) fn run(words: &[&str]) -> Result<u8, Error> {
    let usage = || Error::Usage(format!("debian {}", words.join(" ")));
    let dashes = words.iter().position(|word| *word == "--").ok_or_else(usage)?;
    let (before, command) = (&words[..dashes], &words[dashes + 1..]);
    let ([suite, packages @ ..], [program, args @ ..]) = (before, command) else { return Err(usage()) };
    let other = Debian::open(suite)?;
    other.install(packages)?;
    // The command may be a path in this tree.
    let folder = std::env::current_dir().unwrap_or_default();
    other.enter()?;
    // The other root may have no such folder.
    let folder = if folder.is_dir() { folder } else { PathBuf::from("/") };
    let mut command = Command::new(program);
    command.args(args).current_dir(folder);
    let written = crate::program::written(&command);
    let status = command.status().map_err(|source| Error::Start { command: written, source })?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// The files of a release, in the cache.
#[derive(Debug)]
pub(crate) struct Debian {
    suite: String,
    folder: PathBuf,
}

impl Debian {
    /// Takes the release from the cache, or makes it.
    pub(crate) fn open(suite: &str) -> Result<Debian, Error> {
        if !setup::is_root() {
            return Err(Error::NeedsRoot);
        }
        let folder = cache::folder("debian")?.join(suite);
        let other = Debian { suite: suite.to_owned(), folder };
        cache::fill(&other.folder, |new| {
            setup::install(&[("debootstrap", "debootstrap")])?;
            let mirror = Mirror::of_this_machine().map_err(Error::Mirror)?;
            let base = if STABLE.contains(&suite) { suite } else { BASE };
            let mut debootstrap = Command::new("debootstrap");
            run_command(debootstrap.args(["--variant=minbase", base]).arg(new).arg(mirror.uri()))?;
            let in_file = |path: &Path| {
                let path = path.to_owned();
                move |source| Error::File { path, source }
            };
            if base != suite {
                let list = new.join(format!("etc/apt/sources.list.d/{suite}.list"));
                fs::write(&list, format!("deb {} {suite} main\n", mirror.uri())).map_err(in_file(&list))?;
            }
            let policy = new.join(POLICY);
            fs::write(&policy, "#!/bin/sh\nexit 101\n").map_err(in_file(&policy))?;
            fs::set_permissions(&policy, fs::Permissions::from_mode(0o755)).map_err(in_file(&policy))?;
            let installed = new.join(INSTALLED);
            fs::write(&installed, "").map_err(in_file(&installed))?;
            run_command(inside(new).args(["apt-get", OLD_IS_FINE, "update", "-q"]))
        })?;
        Ok(other)
    }

    /// Its root.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Installs the packages that are not there yet.
    pub(crate) fn install(&self, packages: &[&str]) -> Result<(), Error> {
        let path = self.folder.join(INSTALLED);
        let in_file = |source| Error::File { path: path.clone(), source };
        let mut there = fs::read_to_string(&path).map_err(in_file)?;
        let missing: Vec<&str> =
            packages.iter().copied().filter(|package| there.lines().all(|line| line != *package)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut apt = inside(&self.folder);
        apt.args(["apt-get", OLD_IS_FINE, "install", "-y", "-q", "--no-install-recommends"]);
        if !STABLE.contains(&self.suite.as_str()) {
            apt.args(["-t", &self.suite]);
        }
        run_command(apt.args(&missing).env("DEBIAN_FRONTEND", "noninteractive"))?;
        there.extend(missing.iter().flat_map(|package| [package, "\n"]));
        fs::write(&path, there).map_err(in_file)
    }

    /// Moves this process there, with this tree, cargo's target folder and the cache.
    pub(crate) fn enter(&self) -> Result<(), Error> {
        let metadata = Metadata::load()?;
        let root = OtherRoot::new(&self.folder).share(metadata.workspace_root).share(metadata.target_directory);
        root.enter().map_err(|why| Error::OtherRoot { suite: self.suite.clone(), why })
    }
}

/// A command with this folder as root, and with mounts of its own.
fn inside(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--mount-proc"]);
    command.arg(format!("--root={}", folder.display()));
    command
}
