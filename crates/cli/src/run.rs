//! `run` and `lab`: commands of the user's.

use crate::output::{Output, answer_with};
use crate::words::RunWords;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use zubi_engine::{Act, Class, Error, Model, RunSpec, Session};
use zubi_kernel::sys;
use zubi_model::Invalid;

/// Docker's words for networks: some are not names of networks.
fn model(words: &[String]) -> Result<Model, Error> {
    let special = |w: &String| w == "none" || w == "host" || w.starts_with("container:");
    if words.len() > 1
        && let Some(word) = words.iter().find(|w| special(w))
    {
        return Err(Invalid::new("network", word, "cannot be combined with other networks").into());
    }
    Ok(match words {
        [one] if one == "none" => Model::None,
        [one] if one == "host" => Model::Host,
        [one] => match one.strip_prefix("container:") {
            Some(sandbox) => Model::Share(sandbox.parse()?),
            None => Model::Networks(vec![one.parse()?]),
        },
        many => Model::Networks(many.iter().map(|w| w.parse()).collect::<Result<_, _>>()?),
    })
}

fn system(operation: &'static str, object: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |e| Error::Kernel {
        object: "going into the background".into(),
        source: zubi_kernel::Error::system(operation, object, e),
    }
}

/// `zubi run`.
pub(crate) fn run(mut session: Session, words: &RunWords, output: &Output) -> Result<ExitCode, Error> {
    let spec = RunSpec {
        model: model(&words.network)?,
        name: words.name.clone(),
        wishes: words.wishes.wishes(),
        command: words.command.clone(),
    };
    if !matches!(spec.model, Model::Networks(_))
        && let Some(port) = spec.wishes.ports.first()
    {
        return Err(Invalid::new("published port", port, "cannot be: the command gets no endpoint of its own").into());
    }
    if output.act() == Act::Show {
        let plan = session.plan_run(&spec)?;
        output.changed(&mut session, &plan, &[], &serde_json::Value::Null)?;
        return Ok(ExitCode::SUCCESS);
    }
    match &spec.model {
        Model::Host => return join(words.detach, || Err(Session::become_command(&spec.command))),
        Model::Share(sandbox) => {
            let sandbox = sandbox.clone();
            return join(words.detach, || session.exec(&sandbox, &spec.command));
        }
        Model::Networks(_) | Model::None => {}
    }
    let started = session.start_run(&spec);
    output.notes(&session.take_notes());
    let report = match started {
        Ok(report) => report,
        Err(e) => {
            // What was undone may have left something slow. What that does not come to do the next command does.
            session.finish().ok();
            return Err(e);
        }
    };
    if words.detach {
        return detach(session, report.value, &spec);
    }
    let ended = session.supervise(report.value, &spec, |started| {
        if let Err(e) = started {
            output.error(e);
        }
    })?;
    output.notes(&ended.notes);
    Ok(ExitCode::from(u8::try_from(ended.code).unwrap_or(255)))
}

/// A command in a network that is not its own: nothing to clean up, so nobody waits.
fn join(
    detached: bool,
    mut become_it: impl FnMut() -> Result<std::convert::Infallible, Error>,
) -> Result<ExitCode, Error> {
    if detached {
        if let sys::Fork::Parent(pid) = sys::fork().map_err(system("fork", "process"))? {
            answer_with(&format!("pid:{pid}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        leave_terminal()?;
    }
    let never = become_it()?;
    match never {}
}

/// The supervisor goes on in the background; the caller hears whether the command runs.
fn detach(session: Session, started: zubi_engine::Started, spec: &RunSpec) -> Result<ExitCode, Error> {
    let name = started.name.clone();
    let (heard, tell) = sys::pipe().map_err(system("make", "pipe"))?;
    match sys::fork().map_err(system("fork", "process"))? {
        sys::Fork::Parent(_) => {
            drop(tell);
            // The child holds the sandbox's lock now; dropping it here would release it for both.
            std::mem::forget(started);
            std::mem::forget(session);
            let mut word = String::new();
            File::from(heard).read_to_string(&mut word).map_err(system("read", "pipe"))?;
            match word.split_once(' ') {
                Some(("ok", _)) => {
                    answer_with(&format!("{name}\n"))?;
                    Ok(ExitCode::SUCCESS)
                }
                Some((code, words)) => {
                    Err(Error::Relayed { words: words.to_owned(), code: code.parse().unwrap_or(Class::Kernel as u8) })
                }
                None => {
                    let words = format!("sandbox {name}: its supervisor was killed");
                    Err(Error::Relayed { words, code: Class::Kernel as u8 })
                }
            }
        }
        sys::Fork::Child => {
            drop(heard);
            let mut pipe = Some(File::from(tell));
            // The first word counts, and the pipe is closed behind it. A caller that has gone away needs none.
            let mut tell = |word: String| pipe.take().map(|mut pipe| pipe.write_all(word.as_bytes()).ok());
            let failed = |e: &Error| format!("{} {e}", e.exit_code());
            if let Err(e) = leave_terminal() {
                tell(failed(&e));
                // The guardian cleans up.
                sys::exit_now(1);
            }
            let supervised = session.supervise(started, spec, |ready| {
                tell(ready.map_or_else(failed, |pid| format!("ok {pid}")));
            });
            if let Err(e) = &supervised {
                tell(failed(e));
            }
            sys::exit_now(supervised.map_or(1, |_| 0))
        }
    }
}

fn leave_terminal() -> Result<(), Error> {
    zubi_kernel::process::leave_caller()
        .map_err(|source| Error::Kernel { object: "going into the background".into(), source })
}

/// `zubi lab`.
pub(crate) fn lab(command: &[OsString]) -> Result<ExitCode, Error> {
    zubi_kernel::lab::become_fresh_host().map_err(|source| Error::Kernel { object: "lab".into(), source })?;
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let (program, rest) = match command.split_first() {
        Some((program, rest)) => (program.clone(), rest),
        None => (shell, &[][..]),
    };
    let source = Command::new(&program)
        .args(rest)
        .env("ZUBI_STATE_DIR", "/run/zubi-state")
        .env("ZUBI_RUN_DIR", "/run/zubi")
        .env("ZUBI_LAB", "1")
        .exec();
    Err(Error::Program { program: program.to_string_lossy().into_owned(), source })
}
