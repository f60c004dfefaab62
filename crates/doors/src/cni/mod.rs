//! CNI: one plug-in call.

mod attachment;
mod chain;
mod exec;
mod gc;
mod ipam;
mod tune;
mod wire;

use crate::answer::{Delivery, code, deliver, tell};
use crate::input;
use attachment::{drifted, in_namespace, netns, sandbox, told};
use serde_json::Value;
use std::process::ExitCode;
use zubi_cni::{
    Call, CniError, CniResult, Code, Environment, LARGEST_REQUEST, Plugin, Share, Status, Task, Verb, WireNetwork,
    about, parse, versions,
};
use zubi_engine::{Config, Engine, LostRecords, Session};
use zubi_model::{Addressing, Family};

/// Reads environment and stdin, does what is asked for, and answers: one document on stdout, or nothing.
pub(crate) fn answer(plugin: Plugin) -> ExitCode {
    let env = Environment::read(|name| std::env::var_os(name));
    match call(plugin, &env) {
        Ok(Answer::Added(document, task)) => match deliver(&document.to_string()) {
            Delivery::Done => ExitCode::SUCCESS,
            Delivery::Lost => unadd(&task),
        },
        Ok(Answer::Document(document)) => code(deliver(&document.to_string()), ExitCode::SUCCESS),
        Ok(Answer::Nothing) => ExitCode::SUCCESS,
        Err(error) => code(deliver(&error.to_json().to_string()), ExitCode::FAILURE),
    }
}

/// What a call has to say.
enum Answer {
    Nothing,
    Document(Value),
    /// The result of an ADD, which is undone when it cannot be told.
    Added(Value, Box<Task>),
}

/// The runtime does not get the result of an ADD, so to it the ADD has failed: it may try again, or never come back.
fn unadd(task: &Task) -> ExitCode {
    let undone = in_engine(|session| del(session, task));
    let undone = undone.err().map_or_else(String::new, |e| format!("; taking it away failed: {}", e.msg));
    tell(&format!("ADD: the result could not be written to stdout; what it made was taken away again{undone}"));
    ExitCode::FAILURE
}

fn call(plugin: Plugin, env: &Environment) -> Result<Answer, CniError> {
    if env.command.is_none() {
        // A person called it; waiting for stdin would look like nothing happens.
        tell(&about(plugin));
        return Ok(Answer::Nothing);
    }
    let stdin = input::read(None, LARGEST_REQUEST)
        .map_err(|e| CniError::new(Code::Io, format!("cannot read the request from stdin: {e}")))?;
    let Call { version, verb } = parse(plugin, env, &stdin)?;
    let answered = match verb {
        Verb::Version => return Ok(Answer::Document(versions(plugin, version))),
        Verb::Nothing => {
            tell(&about(plugin));
            return Ok(Answer::Nothing);
        }
        // Nothing of theirs is there to be taken away.
        Verb::Del(task) if is_nothing(&task.share) => Ok(()),
        Verb::Add(task) => {
            let result = in_engine(|session| add(session, &task)).and_then(|result| result.render(version));
            let added = result.map_err(|e| e.answering(version.as_str()))?;
            return Ok(Answer::Added(added, task));
        }
        Verb::Del(task) => in_engine(|session| del(session, &task)),
        Verb::Check(task) => in_engine(|session| check(session, &task)),
        Verb::Gc(gc) => in_engine(|session| gc::collect(session, &gc)),
        Verb::Status(status) => status_of(&status),
    };
    answered.map(|()| Answer::Nothing).map_err(|e| e.answering(version.as_str()))
}

/// Opens the session, and leaves what is slow to its child, whatever became of the call.
fn in_engine<T>(work: impl FnOnce(&mut Session) -> Result<T, CniError>) -> Result<T, CniError> {
    let config = Config::read(&|name| std::env::var(name).ok(), None, None).map_err(told)?;
    let engine = Engine::open(config, LostRecords::Rebuild).map_err(told)?;
    let mut session = engine.session().map_err(told)?;
    let outcome = work(&mut session);
    // What it did not come to do the next command does.
    session.finish().ok();
    outcome
}

/// Whose device goes with its namespace; to take it down in one that stays would be wrong.
fn is_nothing(share: &Share) -> bool {
    matches!(share, Share::Loopback | Share::Fixed(_) | Share::Police(_))
}

fn add(session: &mut Session, task: &Task) -> Result<CniResult, CniError> {
    match &task.share {
        Share::Wire(wire) => wire::add(session, task, wire.as_ref().clone()),
        Share::Loopback => loopback(session, task),
        Share::Reserve(reserve) => ipam::reserve(session, task, reserve),
        Share::Fixed(fixed) => Ok(fixed.result()),
        Share::Publish(publish) => chain::publish(session, task, publish),
        Share::Police(police) => chain::police(session, task, *police),
        Share::Tune(tune) => tune::apply(session, task, tune),
    }
}

fn del(session: &mut Session, task: &Task) -> Result<(), CniError> {
    // What was killed before it came to say whose it is can only be found like this.
    session.finish_others().map_err(told)?;
    match &task.share {
        Share::Wire(wire) => wire::del(session, task, wire),
        Share::Loopback | Share::Fixed(_) | Share::Police(_) => Ok(()),
        Share::Reserve(reserve) => ipam::unreserve(session, task, reserve.data_dir.as_deref()),
        Share::Publish(publish) => chain::unpublish(session, task, publish),
        Share::Tune(tune) => tune::restore(session, task, tune),
    }
}

fn check(session: &mut Session, task: &Task) -> Result<(), CniError> {
    match &task.share {
        Share::Wire(wire) => wire::check(session, task, wire),
        Share::Loopback => {
            if session.is_loopback_up(&sandbox(task)?).map_err(told)? {
                return Ok(());
            }
            Err(CniError::new(drifted(), "the loopback device is down"))
        }
        Share::Reserve(_) => ipam::check(session, task),
        Share::Fixed(_) => Ok(()),
        Share::Publish(publish) => chain::check_ports(session, task, publish),
        Share::Police(police) => chain::check_police(session, task, *police),
        Share::Tune(tune) => tune::check(session, task, tune),
    }
}

fn status_of(status: &Status) -> Result<(), CniError> {
    let unavailable = |e: CniError| match e.code {
        Code::NotAvailableNorReliable => e,
        _ => CniError { code: Code::NotAvailable, ..e },
    };
    in_engine(|session| match &status.share {
        Share::Wire(wire) => {
            if let zubi_cni::Ipam::Exec(kind) = &wire.ipam {
                exec::status(kind, status)?;
            }
            if let WireNetwork::Named(name) = &wire.network {
                session.network(name).map_err(told)?;
            }
            match &wire.wishes.addressing {
                Addressing::Sets(sets) => ipam::status(session, status, sets, wire.data_dir.as_deref()),
                _ => Ok(()),
            }
        }
        Share::Reserve(reserve) => ipam::status(session, status, &reserve.sets, reserve.data_dir.as_deref()),
        Share::Loopback | Share::Fixed(_) | Share::Publish(_) | Share::Police(_) | Share::Tune(_) => Ok(()),
    })
    .map_err(unavailable)
}

fn loopback(session: &mut Session, task: &Task) -> Result<CniResult, CniError> {
    let netns = netns(task)?;
    session.raise_loopback(&sandbox(task)?).map_err(|e| in_namespace(task, e))?;
    if let Some(previous) = &task.previous {
        return Ok(previous.clone());
    }
    Ok(CniResult::of_loopback(&netns.to_string_lossy(), &[Family::V4, Family::V6]))
}
