//! Replaces this process by a command.

use crate::error::Error;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Replaces this process by the command. Returns only the error if that fails.
pub(crate) fn become_command(command: &[OsString]) -> Error {
    let mut words = command.iter();
    let Some(program) = words.next() else {
        return zubi_model::Invalid::new("command", "", "is empty").into();
    };
    let source = Command::new(program).args(words).exec();
    Error::Program { program: program.to_string_lossy().into_owned(), source }
}
