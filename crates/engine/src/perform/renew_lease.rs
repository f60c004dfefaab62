//! Renewing leases of DHCP. Nothing of zubi's runs between two commands, so somebody has to call this in time: a timer,
//! or a person. The kernel removes an address whose lease nobody renews.

use crate::decide::lease::{LeaseState, OnDevice, client_id, identity, start};
use crate::error::Error;
use crate::heal::object::heal_endpoint;
use crate::look::bridge_maker::bridge_of_host;
use crate::look::clock::now;
use crate::look::default_route::siblings;
use crate::look::host_key::host_key;
use crate::look::sandbox::{locate_endpoint, way_in};
use crate::perform::detach::find_endpoint;
use crate::perform::first_lease::{is_unanswered, no_lease};
use crate::perform::host_lease::renew_host_lease;
use crate::perform::renewal::{Effort, RenewWishes, Renewal, Renewed, WAIT};
use crate::report::Act;
use crate::session::Session;
use crate::steps::ask_dhcp::{Outcome, Question, ask};
use crate::steps::take_lease::{Recorded, is_free, take_lease};
use ipnet::IpNet;
use std::collections::HashSet;
use std::time::Duration;
use zubi_dhcp::Start;
use zubi_model::{
    ByDhcp, ClientId, DhcpLease, DhcpOption, DhcpWishes, Endpoint, EndpointAddress, EndpointKey, Family, Network,
    NetworkName, NsRef, SandboxRef, Tenure,
};
use zubi_plan::Place;
use zubi_snapshot::Snapshot;
use zubi_store::HostLock;

/// Renews the lease of one endpoint, if it is due or forced.
pub(crate) fn renew_lease(
    session: &mut Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    wishes: RenewWishes,
) -> Result<Renewed, Error> {
    let found = locate_endpoint(session, sandbox)?;
    let host = &session.store().lock_host()?;
    if session.store().network(network)?.is_none() {
        return Err(Error::NoNetwork { name: network.clone(), known: session.known_networks() });
    }
    let missing = || Error::NotConnected { sandbox: sandbox.to_string(), network: network.clone() };
    let (key, _) = find_endpoint(session, network, sandbox, found)?.ok_or_else(missing)?;
    renew_key(session, host, &key, wishes.force, wishes.effort())?.ok_or_else(missing)
}

/// Renews all leases that are due, or all when forced. Each has its own answer.
pub(crate) fn renew_leases(session: &mut Session, wishes: RenewWishes) -> Result<Vec<Result<Renewed, Error>>, Error> {
    let mut all = Vec::new();
    let keys: Vec<EndpointKey> = {
        let host = session.store().lock_host()?;
        let networks = session.store().networks_lossy().0;
        let asks = |endpoint: &Endpoint| networks.iter().any(|n| n.name == endpoint.network && n.asks_dhcp());
        let all = session.store().all_endpoints_lossy().0;
        let leased = all.iter().filter(|endpoint| endpoint.dhcp.is_some() || asks(endpoint));
        let keys = leased.map(Endpoint::key).collect();
        drop(host);
        keys
    };
    let doing = session.begin();
    let hosts: Vec<Network> =
        session.store().networks_lossy().0.into_iter().filter(|network| network.host_client().is_some()).collect();
    for network in hosts {
        // The host's own client keeps the lease.
        if bridge_of_host(session, &network)?.is_some() {
            continue;
        }
        doing.step(|| format!("renewing the host's own lease on network {}", network.name));
        all.push(renew_host_lease(session, &network, wishes.force, wishes.effort()));
    }
    let mut silent: HashSet<NetworkName> = HashSet::new();
    for (number, key) in keys.iter().enumerate() {
        doing.step(|| format!("renewing, {number} of {} leases", keys.len()));
        // Where nobody answered one, the others are not worth a long wait.
        let effort = if silent.contains(&key.network) { Effort { tries: 1, patience: WAIT } } else { wishes.effort() };
        // The lock is taken for each: commands that wait for it get their turn.
        let host = session.store().lock_host()?;
        let result = renew_key(session, &host, key, wishes.force, effort).transpose();
        if matches!(&result, Some(Ok(Renewed { renewal: Renewal::Unanswered, .. }) | Err(Error::NoLease { .. }))) {
            silent.insert(key.network.clone());
        }
        all.extend(result);
    }
    Ok(all)
}

fn renew_key(
    session: &mut Session,
    host: &HostLock,
    key: &EndpointKey,
    force: bool,
    effort: Effort,
) -> Result<Option<Renewed>, Error> {
    let _sandbox = session.store().lock_sandbox(host, key.cookie)?;
    let Some(endpoint) = session.store().endpoint(key)? else { return Ok(None) };
    let Some(network) = session.store().network(&key.network)? else { return Ok(None) };
    if endpoint.dhcp.is_none() && !network.asks_dhcp() {
        return Err(Error::NoDhcp { network: network.name.clone(), sandbox: endpoint.sandbox.spelled });
    }
    let (endpoint, renewal) = renew_locked(session, host, &network, endpoint, force, effort)?;
    Renewed::new(endpoint.sandbox.spelled, endpoint.network, endpoint.dhcp, renewal).map(Some)
}

/// Renews the lease of an endpoint. Returns the endpoint as it is then. The caller holds the sandbox's lock.
pub(crate) fn renew_locked(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    endpoint: Endpoint,
    force: bool,
    effort: Effort,
) -> Result<(Endpoint, Renewal), Error> {
    let at = now()?;
    if let Some(dhcp) = &endpoint.dhcp
        && LeaseState::at(dhcp, at) == LeaseState::Bound
        && !force
    {
        return Ok((endpoint, Renewal::NotDue));
    }
    let Some(way) = way_in(session, &endpoint, None)? else { return Ok((endpoint, Renewal::Gone)) };
    let Some(on_device) = addresses_on_device(session, &endpoint, &way)? else {
        return Ok((endpoint, Renewal::Gone));
    };
    let told = endpoint.dhcp.as_ref().map(|dhcp| dhcp.told.clone()).unwrap_or_default();
    let renewing = Renewing { network, way: &way, client: client_of(session, network, &endpoint)?, told };
    let had = match &endpoint.dhcp {
        Some(_) => endpoint.address(Family::V4).map(|a| a.address),
        // The record was lost, and made again without the lease.
        None => on_device.first().copied(),
    };
    let device = if had.is_some_and(|had| on_device.contains(&had)) { OnDevice::There } else { OnDevice::Missing };
    // The endpoint as the kernel has it.
    let mut before = endpoint.clone().at(at);
    before.addresses.retain(|a| a.address.addr().is_ipv6() || device == OnDevice::There);
    if let Some(had) = had.filter(|_| endpoint.dhcp.is_none()) {
        before.addresses.insert(0, EndpointAddress { address: had, gateway: None });
    }
    let mut start = match &endpoint.dhcp {
        Some(dhcp) => start(dhcp, device, at),
        None => match had {
            Some(IpNet::V4(had)) => Start::Again(had.addr()),
            _ => Start::Discover,
        },
    };
    if matches!(start, Start::Resume(_)) {
        match effort.repeat(|wait| renewing.ask(session, host, &before, start.clone(), wait))? {
            Outcome::Bound(lease) => {
                let dhcp = renewing.held(lease);
                let after = take_lease(session, host, network, &before, &way, dhcp, Recorded::Attached)?;
                return Ok(renewing.answer(session, after, had));
            }
            Outcome::Unanswered | Outcome::Failed(_) => return Ok((endpoint, Renewal::Unanswered)),
            Outcome::Lost(loss) => {
                session.note(format!("{} on network {}: {loss}", endpoint.sandbox.spelled, network.name));
                start = Start::Discover;
                before = renewing.lose(session, host, &before)?;
            }
        }
    } else if let Some(dhcp) = endpoint.dhcp.as_ref().filter(|dhcp| !dhcp.holds_at(at) && dhcp.tenure == Tenure::Held) {
        let why = "its lease ended before it was renewed";
        session
            .note(format!("{} on network {}: {why} ({})", endpoint.sandbox.spelled, network.name, dhcp.lease.address));
    }
    match renewing.ask(session, host, &before, start, effort.patience)? {
        Outcome::Bound(lease) => {
            let dhcp = renewing.held(lease);
            let after = take_lease(session, host, network, &before, &way, dhcp, Recorded::Attached)?;
            if endpoint.dhcp.is_none() {
                // With the record the host's knowledge of the address was lost.
                let siblings = siblings(session, &after)?;
                heal_endpoint(session, &mut Snapshot::new(), network, &after, &siblings, &[], Act::Apply)?;
            }
            Ok(renewing.answer(session, after, had))
        }
        Outcome::Failed(failure) => Err(no_lease(network, &endpoint, failure.to_string())),
        Outcome::Lost(loss) => Err(no_lease(network, &endpoint, loss.to_string())),
        Outcome::Unanswered => Err(no_lease(network, &endpoint, "no DHCP server answered".into())),
    }
}

fn client_of(session: &Session, network: &Network, endpoint: &Endpoint) -> Result<Option<ClientId>, Error> {
    match &endpoint.dhcp {
        Some(dhcp) => Ok(dhcp.client.clone()),
        None => Ok(Some(client_id(host_key(session)?, network, &endpoint.sandbox.spelled, &DhcpWishes::default())?)),
    }
}

/// The IPv4 addresses that the device has; `None`: there is no device.
fn addresses_on_device(session: &mut Session, endpoint: &Endpoint, way: &NsRef) -> Result<Option<Vec<IpNet>>, Error> {
    let place = Place::Sandbox(way.clone());
    let failed = || Error::kernel(format!("sandbox {}", endpoint.sandbox.spelled));
    let Some(link) = session.kernel.link(&place, endpoint.ifname.as_str()).map_err(failed())? else { return Ok(None) };
    let seen = session.kernel.addresses(&place, Some(link.index)).map_err(failed())?;
    Ok(Some(seen.into_iter().map(|seen| seen.address).filter(|address| address.addr().is_ipv4()).collect()))
}

/// What stays the same while one lease is renewed.
struct Renewing<'a> {
    network: &'a Network,
    way: &'a NsRef,
    client: Option<ClientId>,
    told: Vec<DhcpOption>,
}

impl Renewing<'_> {
    fn held(&self, lease: DhcpLease) -> ByDhcp {
        ByDhcp { client: self.client.clone(), told: self.told.clone(), lease, tenure: Tenure::Held }
    }

    fn ask(
        &self,
        session: &mut Session,
        host: &HostLock,
        endpoint: &Endpoint,
        start: Start,
        patience: Duration,
    ) -> Result<Outcome, Error> {
        let object = format!("network {}: lease of {}", self.network.name, endpoint.sandbox.spelled);
        let wait = if matches!(start, Start::Resume(_)) { patience } else { patience * 2 };
        let question = Question {
            object: &object,
            place: &Place::Sandbox(self.way.clone()),
            device: &endpoint.ifname,
            identity: identity(endpoint, self.client.clone(), self.told.clone()),
            start,
            patience,
            wait,
        };
        let network = self.network;
        ask(session, question, &mut |session, lease| {
            let address = lease.address.addr();
            // The device itself answers for the address that it has.
            let is_own = endpoint.addresses.iter().any(|a| a.address.addr() == address);
            Ok(is_own
                || is_free(session, host, &endpoint.key(), address)?
                    && is_unanswered(session, network, endpoint, address)?)
        })
    }

    /// Takes the address of a lost lease away.
    fn lose(&self, session: &mut Session, host: &HostLock, before: &Endpoint) -> Result<Endpoint, Error> {
        let Some(dhcp) = before.dhcp.clone() else { return Ok(before.clone()) };
        let lost = ByDhcp { tenure: Tenure::Lost, ..dhcp };
        take_lease(session, host, self.network, before, self.way, lost, Recorded::Attached)
    }

    /// Tells of a changed address: connections and whoever knew the address are concerned.
    fn answer(&self, session: &mut Session, after: Endpoint, had: Option<IpNet>) -> (Endpoint, Renewal) {
        let has = after.lease().map(|lease| IpNet::V4(lease.address));
        if has == had {
            return (after, Renewal::Renewed);
        }
        if let (Some(has), Some(had)) = (has, had) {
            let words = format!(
                "{} on network {}: the address was {had} and is {has} now",
                after.sandbox.spelled, self.network.name
            );
            zubi_kernel::log(&words);
            session.note(words);
        }
        (after, Renewal::Anew(had))
    }
}
