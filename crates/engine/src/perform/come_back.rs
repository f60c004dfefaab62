//! Coming back: a followed sandbox that is there again, under its name, gets its endpoint again.

use crate::error::Error;
use crate::heal::gone::{free_if_gone, is_gone};
use crate::look::sandbox::locate_endpoint;
use crate::perform::attach::connect;
use crate::report::Act;
use crate::session::Session;
use crate::undo::followed::unfollow;
use zubi_model::{Endpoint, EndpointKey, Follow, Followed, NetworkName, SandboxRef, Wishes};

/// Which followed sandboxes are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// All.
    All,
    /// Those that files tell about. Docker has to be asked for each of its containers, and tells by itself when one
    /// starts.
    InFiles,
}

/// What became of one followed sandbox.
#[derive(Debug)]
pub struct CameBack {
    /// The sandbox, by its full name.
    pub sandbox: String,
    /// The network.
    pub network: NetworkName,
    /// What became of it.
    pub outcome: Returning,
}

/// What became of a followed sandbox.
#[derive(Debug)]
pub enum Returning {
    /// It has its endpoint, as before.
    Here,
    /// It was there again, and has its endpoint again.
    Back(Box<Endpoint>),
    /// It has ended: its endpoint is gone, and its addresses are kept.
    Left,
    /// It is not there. Its addresses are kept.
    Awaited,
    /// It cannot have its endpoint, or it cannot be looked for.
    Failed(Error),
}

/// Looks for every followed sandbox, and attaches those that are there again. Takes the endpoints of those that have
/// ended away.
pub(crate) fn come_back(session: &mut Session, search: Search) -> Vec<CameBack> {
    let mut all = Vec::new();
    for followed in session.store().all_followed_lossy().0 {
        if search == Search::InFiles && followed.sandbox().starts_with("docker:") {
            continue;
        }
        let outcome = look_after(session, &followed).unwrap_or_else(Returning::Failed);
        let Endpoint { network, sandbox, .. } = followed.endpoint;
        all.push(CameBack { sandbox: sandbox.spelled, network, outcome });
    }
    all
}

fn look_after(session: &mut Session, followed: &Followed) -> Result<Returning, Error> {
    let Endpoint { network, network_id, .. } = &followed.endpoint;
    let spelled = followed.sandbox();
    let of_network = session.store().network(network)?;
    if of_network.is_none_or(|now| now.id != *network_id) {
        let host = &session.store().lock_host()?;
        unfollow(session, host, network, spelled)?;
        return Ok(Returning::Left);
    }
    let had = match session.store().cookie_of_name(network, spelled)? {
        Some(cookie) => session.store().endpoint(&EndpointKey { cookie, network: network.clone() })?,
        None => None,
    };
    if let Some(endpoint) = &had
        && !is_gone(session, endpoint)?
    {
        return Ok(Returning::Here);
    }
    let sandbox: SandboxRef = spelled.parse()?;
    if locate_endpoint(session, &sandbox)?.is_some() {
        let wishes = Wishes { follow: Follow::Always, ..Wishes::default() };
        let report = connect(session, network, &sandbox, &wishes, Act::Apply)?;
        return Ok(Returning::Back(Box::new(report.value.endpoint)));
    }
    let Some(endpoint) = had else { return Ok(Returning::Awaited) };
    let host = &session.store().lock_host()?;
    let is_free = free_if_gone(session, host, &endpoint.key(), Act::Apply)?;
    Ok(if is_free { Returning::Left } else { Returning::Awaited })
}
