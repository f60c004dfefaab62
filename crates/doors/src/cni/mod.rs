//! CNI: one plug-in call.

mod attachment;
mod chain;
mod dhcp;
mod exec;
mod gc;
mod host_device;
mod ipam;
mod tune;
mod wire;

pub(crate) use dhcp::answer_as_dhcp;

use crate::answer::{Delivery, code, deliver, tell};
use crate::input;
use attachment::{cni_error, difference_found, in_namespace, netns, sandbox};
use serde_json::Value;
use std::process::ExitCode;
use zubi_cni::{
    Call, CniError, CniResult, Code, Environment, LARGEST_REQUEST, Plugin, Share, Status, Task, Verb, WireNetwork,
    about, parse, versions,
};
use zubi_engine::{Config, Engine, LostRecords, Session};
use zubi_model::{Addressing, Family};

/// Reads the environment and stdin, does what they ask for, and answers: one document on stdout, or nothing.
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

/// The answer of a call.
enum Answer {
    Nothing,
    Document(Value),
    /// The result of an ADD. If it cannot be written, the ADD is undone.
    Added(Value, Box<Task>),
}

/// Undoes an ADD whose result could not be written. For the runtime it has failed: it may try again, or never return.
fn unadd(task: &Task) -> ExitCode {
    let undone = in_engine(|session| del(session, task));
    let undone = undone.err().map_or_else(String::new, |e| format!("; removing it failed: {}", e.msg));
    tell(&format!("ADD: the result could not be written to stdout; everything it made was removed again{undone}"));
    ExitCode::FAILURE
}

fn call(plugin: Plugin, env: &Environment) -> Result<Answer, CniError> {
    if env.command.is_none() {
        // A person called it. Waiting for stdin would look as if it hangs.
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
        // These plug-ins make nothing that has to be removed.
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

/// Runs `work` in a session. Its slow part is left to the detached child, whether or not the call succeeded.
fn in_engine<T>(work: impl FnOnce(&mut Session) -> Result<T, CniError>) -> Result<T, CniError> {
    let config = Config::read(&|name| std::env::var(name).ok(), None, None).map_err(cni_error)?;
    let engine = Engine::open(config, LostRecords::Rebuild).map_err(cni_error)?;
    let mut session = engine.session().map_err(cni_error)?;
    let outcome = work(&mut session);
    // The next command does what the child does not finish.
    session.finish().ok();
    outcome
}

/// Whether DEL has nothing to do: what the plug-in changed goes with the namespace, or, if that stays, must be kept.
fn is_nothing(share: &Share) -> bool {
    matches!(share, Share::Loopback | Share::Fixed(_) | Share::IngressPolicy(_))
}

fn add(session: &mut Session, task: &Task) -> Result<CniResult, CniError> {
    match &task.share {
        Share::Wire(wire) => wire::add(session, task, wire.as_ref().clone()),
        Share::Loopback => loopback(session, task),
        Share::Reserve(reserve) => ipam::reserve(session, task, reserve),
        Share::Fixed(fixed) => Ok(fixed.result()),
        Share::Publish(publish) => chain::publish(session, task, publish),
        Share::IngressPolicy(policy) => chain::apply_policy(session, task, *policy),
        Share::Tune(tune) => tune::apply(session, task, tune),
    }
}

fn del(session: &mut Session, task: &Task) -> Result<(), CniError> {
    // Finds endpoints of ADDs that were killed before they wrote the name of their container.
    session.finish_others().map_err(cni_error)?;
    match &task.share {
        Share::Wire(wire) => wire::del(session, task, wire),
        Share::Loopback | Share::Fixed(_) | Share::IngressPolicy(_) => Ok(()),
        Share::Reserve(reserve) => ipam::unreserve(session, task, reserve.data_dir.as_deref()),
        Share::Publish(publish) => chain::unpublish(session, task, publish),
        Share::Tune(tune) => tune::restore(session, task, tune),
    }
}

fn check(session: &mut Session, task: &Task) -> Result<(), CniError> {
    match &task.share {
        Share::Wire(wire) => wire::check(session, task, wire),
        Share::Loopback => {
            if session.is_loopback_up(&sandbox(task)?).map_err(cni_error)? {
                return Ok(());
            }
            Err(CniError::new(difference_found(), "the loopback device is down"))
        }
        Share::Reserve(_) => ipam::check(session, task),
        Share::Fixed(_) => Ok(()),
        Share::Publish(publish) => chain::check_ports(session, task, publish),
        Share::IngressPolicy(policy) => chain::check_policy(session, task, *policy),
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
            match &wire.network {
                WireNetwork::Named(name) => session.network(name).map(drop),
                // Only the configuration of one container says which device.
                WireNetwork::Described(_) if wire.device.is_some() => Ok(()),
                WireNetwork::Described(description) => session.require_card(description),
            }
            .map_err(cni_error)?;
            match &wire.wishes.addressing {
                Addressing::Sets(sets) => ipam::status(session, status, sets, wire.data_dir.as_deref()),
                _ => Ok(()),
            }
        }
        Share::Reserve(reserve) => ipam::status(session, status, &reserve.sets, reserve.data_dir.as_deref()),
        Share::Loopback | Share::Fixed(_) | Share::Publish(_) | Share::IngressPolicy(_) | Share::Tune(_) => Ok(()),
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
