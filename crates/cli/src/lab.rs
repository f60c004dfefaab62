//! `zubi lab`: a shell or a command on a fresh host.
//!
//! # How it works
//! The prompt has to be set after the user's own settings, which mostly set one too. So each kind of shell starts with a
//! file below the lab's /run; that file reads the user's settings, then sets the prompt.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use zubi_engine::{Error, Stream};

/// Where the shells' settings are, inside the lab.
const FOLDER: &str = "/run/zubi-lab";

/// For bash, as `--rcfile`. A prompt program sets the prompt again by PROMPT_COMMAND.
const BASH: &str = "[ ! -r ~/.bashrc ] || . ~/.bashrc\nunset PROMPT_COMMAND\nPS1='lab# '\n";

/// For other POSIX shells, as ENV (POSIX, Shell Command Language, 2.5.3).
const POSIX: &str = "[ ! -r \"${ZUBI_LAB_ENV:-}\" ] || . \"$ZUBI_LAB_ENV\"\nPS1='lab# '\n";

/// For zsh, in ZDOTDIR: it looks there for .zshenv, then for .zshrc.
const ZSHENV: &str = "[[ ! -r ${ZUBI_LAB_ZDOTDIR:-$HOME}/.zshenv ]] || . ${ZUBI_LAB_ZDOTDIR:-$HOME}/.zshenv
ZDOTDIR=/run/zubi-lab
";
const ZSHRC: &str = "ZDOTDIR=${ZUBI_LAB_ZDOTDIR:-$HOME}
[[ ! -r $ZDOTDIR/.zshrc ]] || . $ZDOTDIR/.zshrc
precmd_functions=()
unfunction precmd 2>/dev/null
PROMPT='lab# '
RPROMPT=
";

/// Runs a command in a lab, or a shell.
pub(crate) fn lab(outside: bool, command: &[OsString]) -> Result<ExitCode, Error> {
    zubi_engine::become_fresh_host()?;
    let mut program = match command.split_first() {
        Some((program, rest)) => {
            let mut words = Command::new(program);
            words.args(rest);
            words
        }
        None => shell(&std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into()))?,
    };
    if command.is_empty() {
        Stream::Err
            .tell("zubi: a lab: its network is private and goes with this shell; the files are the machine's own\n");
    }
    if outside {
        let outside = zubi_engine::make_outside()?;
        if command.is_empty() {
            Stream::Err.tell(&format!("zubi: outside: {outside}\n"));
        }
    }
    if let Some(path) = path_to_this_zubi() {
        program.env("PATH", path);
    }
    let source =
        program.env("ZUBI_STATE_DIR", "/run/zubi-state").env("ZUBI_RUN_DIR", "/run/zubi").env("ZUBI_LAB", "1").exec();
    Err(Error::Program { program: program.get_program().to_string_lossy().into_owned(), source })
}

/// A PATH that leads to this very program by the name `zubi`: a newcomer's is where it was built.
fn path_to_this_zubi() -> Option<OsString> {
    let folder = Path::new(FOLDER).join("bin");
    fs::create_dir_all(&folder).ok()?;
    let link = folder.join("zubi");
    if !link.exists() {
        symlink(std::env::current_exe().ok()?, &link).ok()?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).ok()
}

/// A shell whose prompt says that it is in a lab.
fn shell(program: &OsStr) -> Result<Command, Error> {
    let folder = Path::new(FOLDER);
    let write = |name: &str, text: &str| {
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join(name), text));
        written.map_err(|e| Error::writing("lab", folder, e))
    };
    let mut shell = Command::new(program);
    match Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default() {
        "bash" => {
            write("bashrc", BASH)?;
            shell.arg("--rcfile").arg(folder.join("bashrc"));
        }
        "zsh" => {
            write(".zshenv", ZSHENV)?;
            write(".zshrc", ZSHRC)?;
            if let Some(own) = std::env::var_os("ZDOTDIR") {
                shell.env("ZUBI_LAB_ZDOTDIR", own);
            }
            shell.env("ZDOTDIR", folder);
        }
        "fish" => {
            shell.args(["-C", "function fish_prompt; echo -n 'lab# '; end"]);
        }
        _ => {
            write("shrc", POSIX)?;
            if let Some(own) = std::env::var_os("ENV") {
                shell.env("ZUBI_LAB_ENV", own);
            }
            // Some shells take the prompt from the environment and read no file.
            shell.env("ENV", folder.join("shrc")).env("PS1", "lab# ");
        }
    }
    Ok(shell)
}
