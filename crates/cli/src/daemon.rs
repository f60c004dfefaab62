//! `zubi daemon`, `zubi status` and `zubi events`.

use crate::output::{Output, answer_with};
use serde_json::json;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use zubi_engine::{Config, Error};
use zubi_model::{DAEMON_SOCKET, DaemonQuestion, DaemonStatus, Happening, PartState};

/// The daemon's program. It is one of its own, so that the short commands carry no async runtime.
const PROGRAM: &str = "zubi-daemon";
/// Where packages put programs that users do not call.
const LIBEXEC: &str = "/usr/libexec/zubi";
/// A daemon answers at once; one that is stopped never does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Replaces this process by the daemon. Returns only on failure.
pub(crate) fn become_daemon(words: &[OsString], state_dir: Option<PathBuf>, run_dir: Option<PathBuf>) -> Error {
    let program = program();
    let mut command = Command::new(&program);
    command.args(words);
    for (word, folder) in [("--state-dir", state_dir), ("--run-dir", run_dir)] {
        if let Some(folder) = folder {
            command.arg(word).arg(folder);
        }
    }
    let source = command.exec();
    if source.kind() == ErrorKind::NotFound {
        let what = format!("program {PROGRAM} beside zubi, in {LIBEXEC} or in PATH");
        return Error::NoFile { what, next: "it is built and installed together with zubi" };
    }
    Error::Program { program: program.display().to_string(), source }
}

/// The daemon's program: beside this one, among the packages' own, or by `PATH`.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(PROGRAM)));
    let candidates = beside.into_iter().chain([Path::new(LIBEXEC).join(PROGRAM)]);
    candidates.into_iter().find(|candidate| candidate.is_file()).unwrap_or_else(|| PROGRAM.into())
}

/// What the daemon does, part by part.
pub(crate) fn status(config: &Config, output: &Output) -> Result<(), Error> {
    let mut answer = ask(config, DaemonQuestion::Status)?;
    answer.get_ref().set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    let mut line = String::new();
    answer.read_line(&mut line).map_err(broken)?;
    let status: DaemonStatus = serde_json::from_str(&line).map_err(|e| broken(e.into()))?;
    let own = env!("CARGO_PKG_VERSION");
    if status.version != own {
        output.notes(&[format!("the daemon is zubi {}, this is {own}: start it again", status.version)]);
    }
    let rows: Vec<Vec<String>> = status
        .parts
        .iter()
        .map(|part| {
            vec![
                part.part.clone(),
                match part.state {
                    PartState::Ok => "ok",
                    PartState::Off => "off",
                    PartState::Failing => "failing",
                }
                .to_owned(),
                part.detail.clone(),
            ]
        })
        .collect();
    output.table(&["PART", "STATE", "DETAIL"], &rows, &status)
}

/// Prints what happens until it is interrupted.
pub(crate) fn events(config: &Config, json: bool) -> Result<(), Error> {
    for line in ask(config, DaemonQuestion::Events)?.lines() {
        let line = line.map_err(broken)?;
        let text = match serde_json::from_str::<Happening>(&line) {
            Ok(happening) if !json => {
                let Happening { at, part, object, what } = happening;
                format!("{}.{:03} {part} {object}: {what}", at / 1000, at % 1000)
            }
            _ => line,
        };
        answer_with(&format!("{}\n", zubi_model::visible(&text)))?;
    }
    Ok(())
}

/// Asks the daemon of the run folder.
fn ask(config: &Config, question: DaemonQuestion) -> Result<BufReader<UnixStream>, Error> {
    let path = config.dirs.run.join(DAEMON_SOCKET);
    let socket = UnixStream::connect(&path).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::NoFile {
            what: format!("a daemon at {}", path.display()),
            next: "zubi daemon runs one; systemctl enable --now zubi keeps one",
        },
        _ => broken(e),
    })?;
    (&socket).write_all(format!("{}\n", json!(question)).as_bytes()).map_err(broken)?;
    Ok(BufReader::new(socket))
}

fn broken(source: std::io::Error) -> Error {
    Error::Daemon { source }
}
