//! Keeps services from starting while packages are installed: `/usr/sbin/policy-rc.d` denies it, Debian's interface for
//! the local administrator (invoke-rc.d(8), deb-systemd-invoke(1p)).
//!
//! # How it works
//! A *guardian*, this program in its own process group, restores the file when its standard input ends: when this
//! process closes it, and also when this process is killed. It waits for a package manager that is still running.

use crate::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const FILE: &str = "/usr/sbin/policy-rc.d";
const NO: &str = "#!/bin/sh\n# cargo xtask setup: no service is started while packages are installed.\nexit 101\n";
/// The word that turns this program into the guardian.
pub(crate) const GUARDIAN: &str = "policy-guardian";

/// While this value lives, no service starts.
#[derive(Debug)]
pub(crate) struct NoServices {
    guardian: Child,
}

impl NoServices {
    /// Starts the guardian and denies services.
    pub(crate) fn begin() -> Result<NoServices, Error> {
        let guarded = Guarded::new(FILE);
        // A guardian that was killed leaves the file behind.
        guarded.restore()?;
        let own = std::env::current_exe().map_err(|source| Error::Start { command: GUARDIAN.into(), source })?;
        let mut guardian = Command::new(own);
        guardian.arg(GUARDIAN).stdin(Stdio::piped()).process_group(0);
        let guardian = guardian.spawn().map_err(|source| Error::Start { command: GUARDIAN.into(), source })?;
        let begun = NoServices { guardian };
        guarded.put()?;
        Ok(begun)
    }

    /// Runs a package manager to its end; returns whether it succeeded.
    pub(crate) fn run(&mut self, command: &mut Command) -> io::Result<bool> {
        let mut child = command.spawn()?;
        if let Some(pipe) = &mut self.guardian.stdin {
            writeln!(pipe, "{}", child.id())?;
        }
        child.wait().map(|status| status.success())
    }

    /// The file is restored when this returns.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        drop(self.guardian.stdin.take());
        let failed = |source| Error::Start { command: GUARDIAN.into(), source };
        let status = self.guardian.wait().map_err(failed)?;
        if status.success() { Ok(()) } else { Err(Error::Failed { command: GUARDIAN.into(), status }) }
    }
}

/// The guardian's work.
pub(crate) fn guard() -> Result<(), Error> {
    // An unreadable line ends it too.
    for number in io::stdin().lock().lines().map_while(Result::ok) {
        let manager = PathBuf::from("/proc").join(number);
        while manager.exists() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Guarded::new(FILE).restore()
}

/// The file, and where the original waits.
struct Guarded {
    file: PathBuf,
    before: PathBuf,
}

impl Guarded {
    fn new(file: impl AsRef<Path>) -> Self {
        let file = file.as_ref().to_owned();
        let before = file.with_extension("d.before-zubi");
        Guarded { file, before }
    }

    fn put(&self) -> Result<(), Error> {
        if self.file.exists() {
            fs::rename(&self.file, &self.before).map_err(self.failed())?;
        }
        // The file is complete before it gets its name: a package script may run it at any time.
        let new = self.file.with_extension("d.zubi");
        fs::write(&new, NO)
            .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(0o755)))
            .and_then(|()| fs::rename(&new, &self.file))
            .map_err(self.failed())
    }

    /// Leaves a file that another program wrote in between.
    fn restore(&self) -> Result<(), Error> {
        let ours = fs::read_to_string(&self.file).is_ok_and(|text| text == NO);
        if self.before.exists() && (ours || !self.file.exists()) {
            return fs::rename(&self.before, &self.file).map_err(self.failed());
        }
        if ours { fs::remove_file(&self.file).map_err(self.failed()) } else { Ok(()) }
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> Error + '_ {
        |source| Error::File { path: self.file.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in a new folder.
    fn guarded(test: &str) -> Guarded {
        let folder = std::env::temp_dir().join(format!("zubi-policy-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Guarded::new(folder.join("policy-rc.d"))
    }

    /// Runs the file by a shell: executing it directly fails with ETXTBSY while a child that another test's thread
    /// forked still holds it open for writing, before its own exec.
    fn says_no(guarded: &Guarded) -> bool {
        let mode = fs::metadata(&guarded.file).unwrap().permissions().mode();
        mode & 0o111 == 0o111 && Command::new("/bin/sh").arg(&guarded.file).status().unwrap().code() == Some(101)
    }

    #[test]
    fn the_administrator_s_own_policy_comes_back() {
        let guarded = guarded("own");
        fs::write(&guarded.file, "own").unwrap();
        guarded.put().unwrap();
        assert!(says_no(&guarded));
        guarded.restore().unwrap();
        assert_eq!(fs::read_to_string(&guarded.file).unwrap(), "own");
        fs::remove_dir_all(guarded.file.parent().unwrap()).unwrap();
    }

    #[test]
    fn where_there_was_none_there_is_none_afterwards() {
        let guarded = guarded("none");
        guarded.put().unwrap();
        assert!(says_no(&guarded));
        guarded.restore().unwrap();
        guarded.restore().unwrap();
        assert!(fs::read_dir(guarded.file.parent().unwrap()).unwrap().next().is_none());
        fs::remove_dir_all(guarded.file.parent().unwrap()).unwrap();
    }
}
