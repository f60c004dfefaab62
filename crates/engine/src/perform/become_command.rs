//! Replaces this process by a command.

use crate::error::Error;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use zubi_model::Invalid;

/// A program of this host, its words and its surroundings.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The program and its words.
    pub words: Vec<OsString>,
    /// Variables that it gets beside those of zubi.
    pub env: Vec<(OsString, OsString)>,
    /// The folder it starts in; the caller's when absent.
    pub workdir: Option<PathBuf>,
}

impl Program {
    /// Fails if the program or its folder does not exist. Callers use it before the first effect; that the program is
    /// still there later is not certain.
    pub fn look(&self) -> Result<(), Error> {
        let folder = self.workdir.clone().unwrap_or_default();
        if self.workdir.is_some() && !folder.is_dir() {
            return Err(Invalid::new("working directory", folder.display(), "is no directory of this host").into());
        }
        let Some(program) = self.words.first() else {
            return Err(Invalid::new("command", "", "is empty").into());
        };
        let there = |path: &Path| folder.join(path).exists();
        let path = Path::new(program);
        // As execvp(3): a name with a slash is a path, any other is looked up in PATH.
        let found = if path.components().count() > 1 || path.is_absolute() {
            there(path)
        } else {
            let set = self.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
            match set.or_else(|| std::env::var_os("PATH")) {
                Some(folders) => std::env::split_paths(&folders).any(|folder| there(&folder.join(path))),
                None => return Ok(()),
            }
        };
        if found {
            return Ok(());
        }
        let source = io::Error::from_raw_os_error(libc::ENOENT);
        Err(Error::Program { program: program.to_string_lossy().into_owned(), source })
    }
}

/// Replaces this process by the program. Returns only the error if that fails.
pub(crate) fn become_command(command: &Program) -> Error {
    let mut words = command.words.iter();
    let Some(program) = words.next() else {
        return Invalid::new("command", "", "is empty").into();
    };
    let mut start = Command::new(program);
    start.args(words).envs(command.env.iter().map(|(name, value)| (name, value)));
    if let Some(folder) = &command.workdir {
        start.current_dir(folder);
    }
    Error::Program { program: program.to_string_lossy().into_owned(), source: start.exec() }
}
