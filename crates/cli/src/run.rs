//! `run`: a command that the user names.

use crate::output::{Output, answer_with};
use crate::sandbox::refuse_reserved;
use crate::words::{ProgramWords, RunWords, WishWords};
use std::ffi::OsString;
use std::process::ExitCode;
use zubi_engine::{Act, Error, Model, Program, RunSpec, Session};
use zubi_model::Invalid;

/// Docker's values for a network, some of which are no names of networks.
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

/// The program of `run` and `exec`.
pub(crate) fn program(words: &ProgramWords, command: &[OsString]) -> Result<Program, Error> {
    let mut env = Vec::new();
    for variable in &words.env {
        match variable.split_once('=') {
            Some(("", _)) => return Err(Invalid::new("variable", variable, "has no name").into()),
            Some((name, value)) => env.push((name.into(), value.into())),
            // Docker takes it from the caller's environment, and here the command has that anyway.
            None => {}
        }
    }
    Ok(Program { words: command.to_vec(), env, workdir: words.workdir.clone() })
}

/// `-v /data:/data` of Docker is `--verbose` here, and the folder then stands where the program does.
fn advised(error: Error, words: &RunWords, output: &Output) -> Error {
    let folders = words.command.first().is_some_and(|word| word.to_string_lossy().contains(':'));
    if !output.is_verbose() || !folders {
        return error;
    }
    let advice = "-v is --verbose: there are no volumes, the program sees the files of this host".to_owned();
    Error::Advised { cause: Box::new(error), advice }
}

/// Refuses addresses with another length than the first network's, which has them.
fn check_lengths(session: &Session, model: &Model, words: &WishWords) -> Result<(), Error> {
    let Model::Networks(networks) = model else { return Ok(()) };
    match networks.first() {
        Some(network) => words.check_lengths(session, network),
        None => Ok(()),
    }
}

/// `zubi run`.
pub(crate) fn run(mut session: Session, words: &RunWords, output: &Output) -> Result<ExitCode, Error> {
    let spec = RunSpec {
        model: model(&words.network)?,
        name: words.name.clone(),
        wishes: words.wishes.wishes(),
        command: program(&words.program, &words.command)?,
    };
    if let Some(name) = &spec.name {
        refuse_reserved(name)?;
    }
    spec.command.look().map_err(|e| advised(e, words, output))?;
    check_lengths(&session, &spec.model, &words.wishes)?;
    if !matches!(spec.model, Model::Networks(_))
        && let Some(port) = spec.wishes.ports.first()
    {
        return Err(Invalid::new("published port", port, "cannot be: the command gets no endpoint of its own").into());
    }
    if let (Model::Host | Model::Share(_), Some(name)) = (&spec.model, &spec.name) {
        let why = "cannot be given: the command shares a network and gets no sandbox of its own";
        return Err(Invalid::new("sandbox name", name, why).into());
    }
    if output.act() == Act::Show {
        let plan = session.plan_run(&spec)?;
        output.changed(&mut session, &plan, &[], &serde_json::Value::Null)?;
        return Ok(ExitCode::SUCCESS);
    }
    match (&spec.model, words.detach) {
        (Model::Host, false) => return Err(Session::become_command(&spec.command)),
        (Model::Host, true) => return say_pid(Session::become_command_in_background(&spec.command)?),
        (Model::Share(sandbox), false) => {
            let never = session.exec(sandbox, &spec.command)?;
            match never {}
        }
        (Model::Share(sandbox), true) => return say_pid(session.exec_in_background(sandbox, &spec.command)?),
        (Model::Networks(_) | Model::None, _) => {}
    }
    let started = session.start_run(&spec);
    output.notes(&session.take_notes());
    let report = match started {
        Ok(report) => report,
        Err(e) => {
            // The undo may have left slow work. The next command does what the child does not finish.
            session.finish().ok();
            return Err(e);
        }
    };
    if words.detach {
        let name = session.supervise_in_background(report.value, &spec)?;
        answer_with(&format!("{name}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let ended = session.supervise(report.value, &spec, |started| {
        if let Err(e) = started {
            output.error(e);
        }
    })?;
    output.notes(&ended.notes);
    Ok(ExitCode::from(u8::try_from(ended.code).unwrap_or(255)))
}

/// The answer for a command that shares another network: there is nothing to clean up, so no process waits for it.
fn say_pid(pid: u32) -> Result<ExitCode, Error> {
    answer_with(&format!("pid:{pid}\n"))?;
    Ok(ExitCode::SUCCESS)
}
