//! The files by which programs in a named sandbox find who answers names.
//!
//! The oldest endpoint of a sandbox whose network has names answers all its questions. An endpoint that was attached
//! while nobody answered does not count: its sandbox keeps the host's servers.

use crate::error::Error;
use crate::session::Session;
use crate::steps::name_service::is_served;
use zubi_kernel::sandbox_file::{FileState, state};
use zubi_model::{Endpoint, NameFiles, Network};
use zubi_plan::{Op, Plan, What, name_files};

/// What the record of a new endpoint says about the files.
pub(crate) fn of_new(session: &Session, network: &Network) -> NameFiles {
    if is_served(session, network) { NameFiles::Written } else { NameFiles::Absent }
}

/// What a new endpoint adds. `siblings`: the sandbox's other endpoints.
pub(crate) fn written(
    session: &Session,
    network: &Network,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
) -> Result<Plan, Error> {
    if endpoint.name_files == NameFiles::Absent || answering(session, siblings, None)?.is_some() {
        return Ok(Plan::new());
    }
    Ok(write(endpoint, network))
}

/// What changes when an endpoint goes: the sandbox's next network with names answers, or nobody does.
pub(crate) fn of_gone(session: &Session, endpoint: &Endpoint) -> Result<Plan, Error> {
    if !name_files::remove(endpoint).ops.iter().any(|op| is_ours(&op.what)) {
        return Ok(Plan::new());
    }
    let mut siblings = session.store().endpoints_of(endpoint.sandbox.cookie)?;
    siblings.retain(|other| other.network != endpoint.network);
    let mut plan = match answering(session, &siblings, None)? {
        Some((next, network)) => write(&Endpoint { sandbox: endpoint.sandbox.clone(), ..next.clone() }, &network),
        None => name_files::remove(endpoint),
    };
    // A file that the user has taken over since stays.
    plan.ops.retain(|op| is_ours(&op.what));
    Ok(plan)
}

/// What the files of an endpoint's sandbox lack, or have too much, if this endpoint is the one that they depend on.
/// `changed`: its network as it is to be, if that is not what is recorded.
pub(crate) fn lacking(
    session: &Session,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
    changed: Option<&Network>,
) -> Result<Vec<Op>, Error> {
    if endpoint.name_files == NameFiles::Absent {
        return Ok(Vec::new());
    }
    let all: Vec<Endpoint> = siblings.iter().chain([endpoint]).cloned().collect();
    let plan = match answering(session, &all, changed)? {
        Some((answering, network)) if changed.is_some() || answering.network == endpoint.network => {
            write(&Endpoint { sandbox: endpoint.sandbox.clone(), ..answering.clone() }, &network)
        }
        Some(_) => Plan::new(),
        None => name_files::remove(endpoint),
    };
    let is_lacking = |what: &What| match what {
        What::WriteFile(file) => matches!(state(file), FileState::Missing | FileState::Outdated),
        what => is_ours(what),
    };
    Ok(plan.ops.into_iter().filter(|op| is_lacking(&op.what)).collect())
}

fn write(endpoint: &Endpoint, network: &Network) -> Plan {
    name_files::write(endpoint, &network.name_servers().collect::<Vec<_>>())
}

/// Whether the file that is written or removed is there, and zubi's.
fn is_ours(what: &What) -> bool {
    match what {
        What::WriteFile(file) | What::DeleteFile(file) => matches!(state(file), FileState::Right | FileState::Outdated),
        _ => false,
    }
}

/// The oldest endpoint whose network answers.
fn answering<'a>(
    session: &Session,
    endpoints: &'a [Endpoint],
    changed: Option<&Network>,
) -> Result<Option<(&'a Endpoint, Network)>, Error> {
    let mut told: Vec<&Endpoint> = endpoints.iter().filter(|one| one.name_files == NameFiles::Written).collect();
    told.sort_by_key(|one| one.attached_at);
    for endpoint in told {
        let network = match changed.filter(|network| network.name == endpoint.network) {
            Some(network) => Some(network.clone()),
            None => session.store().network(&endpoint.network)?,
        };
        if let Some(network) = network.filter(|network| network.name_servers().next().is_some()) {
            return Ok(Some((endpoint, network)));
        }
    }
    Ok(None)
}
