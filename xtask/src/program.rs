//! Runs other programs and judges them by their exit status.

use crate::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The cargo that runs this task, so that a run uses one toolchain.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Prints the command and runs it; fails when the command does.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    println!("+ {}", written(command));
    run_quietly(command)
}

/// Runs a command without its standard output; fails when the command does.
pub(crate) fn run_silently(command: &mut Command) -> Result<(), Error> {
    run_quietly(command.stdout(Stdio::null()))
}

fn run_quietly(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(|source| Error::Start { command: written(command), source })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { command: written(command), status }) }
}

/// The command's standard output; its errors go to the terminal.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Error> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start { command: written(command), source })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::Failed { command: written(command), status: output.status })
    }
}

/// Where the shell would find a program. sbin folders are searched for users too.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Fails with the package's name when the program is missing.
pub(crate) fn need(program: &str, package: &str) -> Result<(), Error> {
    let missing = || Error::Missing { program: program.to_owned(), package: package.to_owned() };
    find(program).map(drop).ok_or_else(missing)
}

/// The command as a person would type it.
pub(crate) fn written(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = program.file_name().into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
