//! `run`: a command that the user names.

use crate::output::{Output, answer_with};
use crate::words::RunWords;
use std::process::ExitCode;
use zubi_engine::{Act, Error, Model, RunSpec, Session};
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
