//! `bridge`, `macvlan`, `ipvlan`, `vlan`, `host-device` and `zubi`: a device on a bridge or a network card, or that card.

use super::attachment::{called, called_on_named, cni_error, difference_found, find, in_namespace, netns, sandbox};
use super::{exec, host_device, ipam, tune};
use zubi_cni::{CniError, CniResult, Code, Ipam, Task, Wire, WireNetwork};
use zubi_engine::{Act, Attachment, Problem, Session};
use zubi_model::{DuplicateDetection, Endpoint, Mac, NetworkName, SandboxRef};

pub(super) fn add(session: &mut Session, task: &Task, wire: Wire) -> Result<CniResult, CniError> {
    let exists = |what: &str| {
        let why = format!("network {}: container {} has {what} already", task.network, task.container);
        CniError::new(Code::Own(zubi_engine::Class::Conflict as u8), why)
    };
    if find(session, task)?.is_some() {
        // The endpoint of an interrupted call does not count.
        session.finish_others().map_err(cni_error)?;
        if let Some(endpoint) = find(session, task)?
            && session.is_alive(&endpoint).map_err(cni_error)?
        {
            return Err(exists(endpoint.ifname.as_str()));
        }
    }
    if let Some(wishes) = &wire.tune {
        tune::check_allowed(wishes, &task.ifname)?;
    }
    let wire = match &wire.device {
        Some(wish) => {
            let found = host_device::find(session, wish)?;
            wire.with_device(found)
        }
        None => wire,
    };
    let delegated = match &wire.ipam {
        Ipam::Exec(kind) => Some(kind.clone()),
        Ipam::None | Ipam::Ours => None,
    };
    let mut wire = match &delegated {
        Some(kind) => exec::add(kind, task).and_then(|answered| wire.with_ipam_result(&answered)),
        None => Ok(ipam::prepared(wire, task)?),
    };
    if let Ok(wire) = &mut wire {
        wire.wishes.called = Some(spelled(task, wire));
    }
    let outcome = wire.and_then(|wire| attach(session, task, &wire, &exists));
    if outcome.is_err()
        && let Some(kind) = delegated
    {
        // The runtime gets the first error, not this one.
        exec::del(&kind, task).ok();
    }
    outcome
}

fn attach(
    session: &mut Session,
    task: &Task,
    wire: &Wire,
    exists: &dyn Fn(&str) -> CniError,
) -> Result<CniResult, CniError> {
    let sandbox = sandbox(task)?;
    let report = match &wire.network {
        WireNetwork::Named(name) => session.attach(name, &sandbox, &wire.wishes, Act::Apply),
        WireNetwork::Described(description) => session.attach_described(description, &sandbox, &wire.wishes),
    };
    let attached = report.map_err(|e| in_namespace(task, e))?.value;
    let endpoint = attached.endpoint;
    if attached.attachment == Attachment::Existing {
        return Err(exists(endpoint.ifname.as_str()));
    }
    let mut finished = match &wire.tune {
        Some(wishes) => tune::inside(session, task, wishes, Some(&endpoint)),
        None => Ok(()),
    };
    if finished.is_ok() && wire.wishes.traits.dad == DuplicateDetection::Awaited {
        finished = session.await_addresses(&endpoint).map_err(cni_error);
    }
    let bridge_mac = match finished.and_then(|()| bridge_mac(session, &endpoint)) {
        Ok(mac) => mac,
        Err(error) => {
            session.detach(&endpoint.network, &SandboxRef::Called(endpoint.sandbox.spelled.clone()), Act::Apply).ok();
            return Err(error);
        }
    };
    let result = CniResult::of_endpoint(&endpoint, bridge_mac, &netns(task)?.to_string_lossy(), wire);
    Ok(match &task.previous {
        Some(previous) => result.after(previous.clone()),
        None => result,
    })
}

/// The MAC of an endpoint's bridge, if it is on one.
fn bridge_mac(session: &mut Session, endpoint: &Endpoint) -> Result<Option<Mac>, CniError> {
    match endpoint.network_device() {
        Some(_) => session.bridge_mac(&endpoint.network).map(Some).map_err(cni_error),
        None => Ok(None),
    }
}

fn spelled(task: &Task, wire: &Wire) -> String {
    match &wire.network {
        WireNetwork::Named(_) => called_on_named(&task.network, task.container.as_str()),
        WireNetwork::Described(_) => called(task),
    }
}

/// Removes the attachment, using our records only: the namespace, the result and the configuration may be gone.
pub(super) fn del(session: &mut Session, task: &Task, wire: &Wire) -> Result<(), CniError> {
    if let Some(endpoint) = find(session, task)? {
        let called = SandboxRef::Called(endpoint.sandbox.spelled.clone());
        session.detach(&endpoint.network, &called, Act::Apply).map_err(cni_error)?;
    }
    match &wire.ipam {
        Ipam::Exec(kind) => exec::del(kind, task),
        Ipam::Ours => {
            ipam::forget_foreign(task, wire.data_dir.as_deref());
            Ok(())
        }
        Ipam::None => Ok(()),
    }
}

pub(super) fn check(session: &mut Session, task: &Task, wire: &Wire) -> Result<(), CniError> {
    let Some(endpoint) = find(session, task)? else {
        let why = format!("network {}: container {} has no {}", task.network, task.container, task.ifname);
        return Err(CniError::new(difference_found(), why));
    };
    let network: &NetworkName = &endpoint.network;
    let mut problems: Vec<String> =
        session.check_called(network, &endpoint.sandbox.spelled).map_err(cni_error)?.iter().map(problem_text).collect();
    if let Some(previous) = &task.previous {
        for a in &endpoint.addresses {
            if !previous.ips.is_empty() && !previous.ips.iter().any(|ip| ip.address == a.address) {
                problems.push(format!("prevResult does not have address {}", a.address));
            }
        }
    }
    if let Ipam::Exec(kind) = &wire.ipam {
        exec::check(kind, task)?;
    }
    if let Some(wishes) = &wire.tune {
        problems.extend(tune::differences(session, task, wishes)?);
    }
    if problems.is_empty() { Ok(()) } else { Err(CniError::new(difference_found(), problems.join("; "))) }
}

fn problem_text(problem: &Problem) -> String {
    format!("{}: {}", problem.object, problem.what)
}
