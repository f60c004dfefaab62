//! Changing the MAC of an attached endpoint.

use crate::decide::wishes::no_mac_of_its_own;
use crate::error::Error;
use crate::fault::Fault;
use crate::heal::gone::free_if_gone;
use crate::heal::leftovers::recover_first;
use crate::look::by_name::endpoint_called;
use crate::report::Act;
use crate::session::Session;
use crate::steps::apply::apply;
use crate::steps::claim::lease_owner_name;
use zubi_model::{Endpoint, Mac, NetworkName};
use zubi_plan::driver;
use zubi_store::{Claim, LeaseOwner};

/// Changes the MAC of an endpoint's inner end.
pub(crate) fn change_mac_called(
    session: &mut Session,
    network: &NetworkName,
    called: &str,
    mac: Mac,
) -> Result<(), Error> {
    let host = &session.store().lock_host()?;
    recover_first(session, host, Act::Apply)?;
    let missing = || Error::NotConnected { network: network.clone(), sandbox: called.to_owned() };
    let found = endpoint_called(session, network, called)?.ok_or_else(missing)?;
    let _sandbox = session.store().lock_sandbox(host, found.sandbox.cookie)?;
    let endpoint = session.store().endpoint(&found.key())?.ok_or_else(missing)?;
    if endpoint.mac == mac {
        return Ok(());
    }
    if let Some(network) = session.store().network(network)?.filter(|network| network.shared_mac().is_some()) {
        return Err(no_mac_of_its_own(&network, mac));
    }
    let own = LeaseOwner::Endpoint(endpoint.key());
    if let Some(owner) = session.store().mac_owner(network, mac)?
        && owner != own
        && let LeaseOwner::Endpoint(key) = owner
    {
        free_if_gone(session, host, &key, Act::Apply)?;
    }
    let leases = session.store().lock_leases(host, network)?;
    if let Claim::Taken { owner } = session.store().claim_mac(&leases, mac, &own)? {
        let owner = lease_owner_name(session, &owner)?;
        return Err(Error::MacTaken { network: network.clone(), mac, owner });
    }
    let mut after = endpoint.clone();
    after.mac = mac;
    let plan = driver::change_mac(&endpoint, &after);
    // If the command is killed between the two updates, the device has one of the two MACs.
    session.store().update_endpoint(&Endpoint { next_mac: Some(mac), ..endpoint.clone() })?;
    let object = format!("network {network}: MAC of {called}");
    let mut done = apply(session, &object, &plan);
    let is_changed = done.is_ok();
    if is_changed {
        done = session.store().update_endpoint(&after).map_err(Error::from);
    }
    if let Err(error) = done {
        return Err(error.after_undo(Fault::muted(|| {
            if is_changed {
                apply(session, &object, &driver::change_mac(&after, &endpoint))?;
            }
            session.store().update_endpoint(&endpoint)?;
            Ok(session.store().release_mac(network, mac, &own)?)
        })));
    }
    Ok(session.store().release_mac(network, endpoint.mac, &own)?)
}
