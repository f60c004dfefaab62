//! The files by which programs in a named sandbox find who answers names.
//!
//! The first network with names of a sandbox answers all its questions, so the files change with that network alone.

use crate::error::Error;
use crate::session::Session;
use crate::steps::name_service::is_served;
use zubi_model::{Endpoint, Network};
use zubi_plan::{Plan, What, name_files};

/// What a new endpoint adds. `siblings`: the sandbox's other endpoints.
pub(crate) fn of_new(
    session: &Session,
    network: &Network,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
) -> Result<Plan, Error> {
    if !is_served(session, network) || successor(session, siblings)?.is_some() {
        return Ok(Plan::new());
    }
    Ok(name_files::write(endpoint, &network.name_servers().collect::<Vec<_>>()))
}

/// What changes when an endpoint goes: the sandbox's next network with names answers, or nobody does.
pub(crate) fn of_gone(session: &Session, endpoint: &Endpoint) -> Result<Plan, Error> {
    let mut plan = name_files::remove(endpoint);
    let is_written = |what: &What| matches!(what, What::DeleteFile(file) if zubi_kernel::sandbox_file::wrote(file));
    plan.ops.retain(|op| is_written(&op.what));
    if plan.is_empty() {
        return Ok(plan);
    }
    let mut siblings = session.store().endpoints_of(endpoint.sandbox.cookie)?;
    siblings.retain(|other| other.network != endpoint.network);
    match successor(session, &siblings)? {
        Some((next, network)) => {
            let next = Endpoint { sandbox: endpoint.sandbox.clone(), ..next };
            let mut plan = name_files::write(&next, &network.name_servers().collect::<Vec<_>>());
            // A file that was taken over by the user since stays.
            plan.ops.retain(|op| matches!(&op.what, What::WriteFile(file) if zubi_kernel::sandbox_file::wrote(file)));
            Ok(plan)
        }
        None => Ok(plan),
    }
}

/// The oldest endpoint whose network has names.
fn successor(session: &Session, endpoints: &[Endpoint]) -> Result<Option<(Endpoint, Network)>, Error> {
    let mut oldest: Option<(Endpoint, Network)> = None;
    for endpoint in endpoints {
        let Some(network) = session.store().network(&endpoint.network)? else { continue };
        let is_older = oldest.as_ref().is_none_or(|(other, _)| endpoint.attached_at < other.attached_at);
        if is_older && network.name_servers().next().is_some() {
            oldest = Some((endpoint.clone(), network));
        }
    }
    Ok(oldest)
}
