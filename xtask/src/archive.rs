//! Debian's archive for another suite than this machine's, by apt with separate lists, from the mirror that this
//! machine uses. The machine's own lists and sources stay untouched.

use crate::error::Error;
use crate::program::{output, run as run_command};
use crate::{cache, program};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A frozen mirror has a good signature that is older than apt accepts.
pub(crate) const OLD_IS_FINE: &str = "-oAcquire::Check-Valid-Until=false";

/// The packages of a suite.
#[derive(Debug)]
pub(crate) struct Archive {
    suite: &'static str,
    folder: PathBuf,
}

impl Archive {
    /// Takes the lists from the cache, or fetches them.
    pub(crate) fn open(suite: &'static str) -> Result<Archive, Error> {
        program::need("apt-get", "apt")?;
        let archive = Archive { suite, folder: cache::folder("archives")?.join(suite) };
        let line = zubi_lab::Mirror::of_this_machine().map_err(Error::Mirror)?.line("deb", suite);
        if fs::read_to_string(archive.list()).is_ok_and(|known| known == line) {
            return Ok(archive);
        }
        let in_file = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { path, source }
        };
        for folder in ["lists/partial", "cache/archives/partial"] {
            let folder = archive.folder.join(folder);
            fs::create_dir_all(&folder).map_err(in_file(&folder))?;
        }
        // The file gets its final name only when the lists are complete.
        let new = archive.folder.join("new.list");
        fs::write(&new, line).map_err(in_file(&new))?;
        run_command(archive.apt("apt-get", &new).args(["update", "-q"]))?;
        fs::rename(&new, archive.list()).map_err(in_file(&new))?;
        Ok(archive)
    }

    /// The direct dependencies of a package.
    pub(crate) fn dependencies(&self, package: &str) -> Result<Vec<String>, Error> {
        let text = output(self.apt("apt-cache", &self.list()).args(["depends", package]))?;
        let text = String::from_utf8_lossy(&text);
        let depends = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(depends.map(str::to_owned).collect())
    }

    /// Fetches packages and unpacks them into a folder.
    pub(crate) fn unpack(&self, packages: &[String], into: &Path) -> Result<(), Error> {
        let folder = self.folder.join("packages");
        let in_file = |source| Error::File { path: folder.clone(), source };
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(in_file)?;
        }
        fs::create_dir_all(&folder).map_err(in_file)?;
        let mut download = self.apt("apt-get", &self.list());
        run_command(download.args(["download", "-q"]).args(packages).current_dir(&folder))?;
        for entry in fs::read_dir(&folder).map_err(in_file)? {
            let file = entry.map_err(in_file)?.path();
            run_command(Command::new("dpkg-deb").arg("-x").arg(file).arg(into))?;
        }
        fs::remove_dir_all(&folder).map_err(in_file)
    }

    fn list(&self) -> PathBuf {
        self.folder.join(format!("{}.list", self.suite))
    }

    fn apt(&self, program: &str, list: &Path) -> Command {
        let mut command = Command::new(program);
        let mut dir = |name: &str, path: &Path| {
            command.arg(format!("-oDir::{name}={}", path.display()));
        };
        dir("Etc::sourcelist", list);
        dir("Etc::sourceparts", Path::new("/dev/null"));
        dir("State::lists", &self.folder.join("lists"));
        dir("Cache", &self.folder.join("cache"));
        // apt's own user may have no access to these folders.
        command.args(["-oAPT::Sandbox::User=root", OLD_IS_FINE]);
        command
    }
}
