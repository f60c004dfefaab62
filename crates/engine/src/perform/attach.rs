//! Attach: a sandbox gets an endpoint on a network.
//!
//! # How it works
//! The order is: decide everything, claim it, change the kernel, write the record. The claims come with a pending
//! record; from then on the next command can undo the attach if this one is killed.

use crate::decide::device::inner_name;
use crate::decide::endpoint::{Ask, Birth, families, leads_out};
use crate::decide::lease::{client_id, mac_of};
use crate::decide::obstacle::Owners;
use crate::decide::port::limits as port_limits;
use crate::decide::sandbox_name::{sandbox_name, takes_name};
use crate::decide::wishes::check_wishes;
use crate::error::Error;
use crate::fault::Fault;
use crate::heal::endpoint::lacking_of_endpoint;
use crate::heal::gone::{free_if_gone, is_alive, remove_gone};
use crate::look::clock::{nanoseconds, now};
use crate::look::default_route::{
    defaults_to_displace, displaced_by_others, foreign_defaults, gives_default_in, siblings,
};
use crate::look::device::device;
use crate::look::host::addresses_on_card;
use crate::look::host_key::host_key;
use crate::look::moved::{device_to_move, wishes_with_device};
use crate::look::pair::{pair_to_take, wishes_with_pair};
use crate::look::sandbox::{Resolved, resolve, still_there, way_in};
use crate::perform::first_lease::get_first_lease;
use crate::perform::follow::{follow, keep, let_go, ports_before};
use crate::perform::networks::{lock_networks, ports_by_settings};
use crate::perform::renew_lease::renew_locked;
use crate::perform::renewal::RenewWishes;
use crate::perform::settle::settle;
use crate::random::{random, random_name};
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::apply::apply;
use crate::steps::claim::{claim_again, has_own_mac, remember_mac};
use crate::steps::flush::past_a_flush;
use crate::steps::name_files;
use crate::steps::name_service::answering;
use crate::undo::endpoint::{detach_locked, release_sandbox, remove_endpoint, undo_attach};
use crate::undo::followed::unfollow;
use std::net::IpAddr;
use zubi_model::{
    DefaultRoute, DisplacedRoute, Endpoint, EndpointId, EndpointKey, Family, IfName, Lifetime, Mac, MacWish, Network,
    NetworkName, Reservation, SandboxRef, Wishes,
};
use zubi_plan::default_route::{default_families, may_default};
use zubi_plan::{Neighbours, Place, Plan, Surroundings, Taken, driver};
use zubi_snapshot::Snapshot;
use zubi_store::{HostLock, LeaseOwner};
use zubi_wire::route::AdminState;

/// The result of an attach.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Whether the attach made it.
    pub attachment: Attachment,
    /// The families in which the endpoint gives the sandbox its default route.
    pub default_in: Vec<Family>,
    /// The addresses of the network at which the daemon answers names; none where it does not.
    pub name_servers: Vec<IpAddr>,
}

/// Whether an attach made the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// It made the endpoint.
    New,
    /// The endpoint existed and was as requested.
    Existing,
}

/// Attaches a sandbox to a network. Repeating the call with the same wishes returns the existing endpoint.
pub(crate) fn connect(
    session: &mut Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    wishes: &Wishes,
    act: Act,
) -> Result<Report<Attached>, Error> {
    let ports = ports_by_settings(session, network, &wishes.ports);
    let wishes = Wishes { ports, ..wishes.clone() };
    let mut report = past_a_flush(session, |session| attach_once(session, network, sandbox, &wishes, act))?;
    if act == Act::Apply {
        // No lock is held any more: the daemon may need a moment for a network that this call made.
        report.value.name_servers = answering(session, network);
    }
    Ok(report)
}

fn attach_once(
    session: &mut Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    wishes: &Wishes,
    act: Act,
) -> Result<Report<Attached>, Error> {
    // A runtime may take seconds to answer, so ask it without holding a lock.
    let resolved = resolve(session, sandbox);
    let mut wishes = wishes.clone();
    if let Ok(resolved) = &resolved
        && wishes.ports.is_empty()
    {
        // What the network needs depends on its ports.
        wishes.ports = ports_before(session, network, &resolved.spelled)?;
    }
    let wishes = &wishes;
    let (host, networks) = lock_networks(session, std::slice::from_ref(network), &wishes.ports, act)?;
    let host = &host;
    let Some((network, missing)) = networks.into_iter().next() else {
        return Err(Error::NoNetwork { name: network.clone(), known: session.known_networks() });
    };
    check_wishes(&network, wishes)?;
    let mut resolved = resolved?;
    if let Some(called) = &wishes.called {
        resolved.spelled.clone_from(called);
    }
    attach_resolved(session, host, &network, missing, &resolved, wishes, act)
}

/// `groundwork`: the plan that completes the network. The caller holds the host lock, exclusively if that plan is not
/// empty.
pub(crate) fn attach_resolved(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    groundwork: Plan,
    sandbox: &Resolved,
    wishes: &Wishes,
    act: Act,
) -> Result<Report<Attached>, Error> {
    let _sandbox = session.store().lock_sandbox(host, sandbox.cookie)?;
    // The sandbox may have been removed while we waited for the lock.
    still_there(session, sandbox)?;
    let key = EndpointKey { cookie: sandbox.cookie, network: network.name.clone() };
    if act == Act::Apply
        && let Some(leftover) = session.store().pending_endpoint(&key)?
    {
        // We hold the sandbox's lock, so the process that wrote this record was killed.
        let _leases = session.store().lock_leases(host, &key.network)?;
        remove_endpoint(session, host, &leftover, Some(&sandbox.reached_by))?;
    }
    let sandbox = &named(session, sandbox, wishes, act)?;
    let mut wishes = wishes.clone();
    let mut lost = None;
    let existing = session.store().endpoint(&key)?;
    let mut lives = false;
    if let Some(existing) = &existing {
        lives = device(session, existing, Some(&sandbox.reached_by))?.is_some();
    }
    let mut taken = None;
    if let Some(device) = wishes.taken.clone().filter(|_| !lives) {
        let pair = pair_to_take(session, network, sandbox, &device)?;
        wishes = wishes_with_pair(session, network, sandbox, &wishes, &pair)?;
        check_wishes(network, &wishes)?;
        taken = Some(pair);
    }
    if let Some(existing) = existing {
        if lives {
            let mut report = as_before(session, existing, &wishes)?;
            report.plan = put_back(session, network, groundwork, &report.value.endpoint, act)?;
            if act == Act::Apply {
                follow_existing(session, host, &report.value.endpoint, &wishes)?;
            }
            if network.asks_dhcp() && act == Act::Apply {
                report.value.endpoint = with_lease(session, host, network, report.value.endpoint, &wishes)?;
            }
            return Ok(report);
        }
        // The device was deleted: make it again as recorded, except where the wishes differ.
        if act == Act::Apply {
            wishes = wishes.or_as_before(&existing);
            remove_endpoint(session, host, &existing, Some(&sandbox.reached_by))?;
            lost = Some(existing);
        }
    }
    if act == Act::Apply {
        remove_predecessor(session, host, &key, sandbox)?;
    }
    let mut kept = None;
    if act == Act::Apply {
        kept = keep(session, host, network, &sandbox.spelled, &wishes)?;
    }
    let wishes = kept.as_ref().map_or(&wishes, |kept| &kept.wishes);
    let mut made = attach_new(session, host, network, sandbox, Wished { wishes, taken }, groundwork, act);
    if let Some(kept) = &kept {
        made = made.and_then(|report| follow_new(session, host, &report.value.endpoint).map(|()| report));
        made = made.map_err(|error| error.after_undo(Fault::muted(|| let_go(session, host, &network.name, kept))));
    }
    match (made, lost) {
        (Err(error), Some(lost)) => Err(error.after_undo(Fault::muted(|| keep_record(session, host, network, &lost)))),
        (made, _) => made,
    }
}

/// The sandbox of a new endpoint is followed. If that cannot be written, the endpoint is taken away again.
fn follow_new(session: &mut Session, host: &HostLock, endpoint: &Endpoint) -> Result<(), Error> {
    follow(session, host, endpoint).map_err(|error| {
        error.after_undo(Fault::muted(|| {
            unfollow(session, host, &endpoint.network, &endpoint.sandbox.spelled)?;
            detach_locked(session, host, &endpoint.key(), None, Act::Apply).map(drop)
        }))
    })
}

/// The sandbox of an endpoint that is there is followed from now on, if that is wished.
fn follow_existing(session: &mut Session, host: &HostLock, endpoint: &Endpoint, wishes: &Wishes) -> Result<(), Error> {
    let spelled = &endpoint.sandbox.spelled;
    let is_new = wishes.follow.follows(spelled) && session.store().followed(&endpoint.network, spelled)?.is_none();
    if is_new { follow(session, host, endpoint) } else { Ok(()) }
}

/// The sandbox under the one name that all its endpoints have. Those that had no name yet get it now. The caller holds
/// the sandbox's lock.
fn named(session: &mut Session, sandbox: &Resolved, wishes: &Wishes, act: Act) -> Result<Resolved, Error> {
    let mut named = sandbox.clone();
    if wishes.called.is_some() {
        return Ok(named);
    }
    let endpoints = session.store().endpoints_of(sandbox.cookie)?;
    let earlier: Vec<&str> = endpoints.iter().map(|e| e.sandbox.spelled.as_str()).collect();
    sandbox_name(&sandbox.spelled, &earlier).clone_into(&mut named.spelled);
    if act == Act::Apply {
        for endpoint in endpoints.iter().filter(|e| takes_name(&e.sandbox.spelled, &named.spelled)) {
            session.store().rename(endpoint, &named.spelled)?;
        }
    }
    Ok(named)
}

/// Keeps the record of an endpoint whose device was deleted, until the endpoint is made again.
fn keep_record(session: &mut Session, host: &HostLock, network: &Network, lost: &Endpoint) -> Result<(), Error> {
    claim_again(session, host, network, lost)?;
    Ok(session.store().finish_attach(&lost.key())?)
}

/// What a new endpoint is to be.
#[derive(Debug)]
struct Wished<'a> {
    wishes: &'a Wishes,
    /// The pair that it takes over, as it is.
    taken: Option<Taken>,
}

/// Decides an endpoint, claims what it needs, changes the kernel and writes the record.
fn attach_new(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    sandbox: &Resolved,
    Wished { wishes, taken }: Wished<'_>,
    groundwork: Plan,
    act: Act,
) -> Result<Report<Attached>, Error> {
    let object = format!("network {}: connect {}", network.name, sandbox.spelled);
    if act == Act::Apply && !groundwork.is_empty() {
        apply(session, &object, &groundwork)?;
    }
    let mut moved = None;
    if let Some(part) = network.whole_device() {
        if act == Act::Apply {
            // It may have fallen back from a sandbox that has ended, and is not what it was.
            remove_gone(session, host, Some(&network.name))?;
        }
        moved = Some(device_to_move(session, network, part)?);
    }
    let with_device = moved.as_ref().map(|moved| wishes_with_device(wishes, moved)).transpose()?;
    let wishes = with_device.as_ref().unwrap_or(wishes);
    let mut birth = birth()?;
    let by_name = wishes_by_name(session, host, network, sandbox, wishes, act)?;
    let wishes = by_name.as_ref().unwrap_or(wishes);
    let mut reserved = None;
    if let Some(id) = &wishes.reservation {
        birth.id = id.clone();
        reserved = Some(wishes.clone().as_reserved(&reservation_of(session, network, id)?));
    } else {
        require_room(session, host, network, act)?;
    }
    let wishes = reserved.as_ref().unwrap_or(wishes);
    let inside = look_inside(session, network, sandbox, wishes, taken.as_ref())?;
    let mut ask = Ask {
        network,
        sandbox: sandbox.identity(),
        ifname: inside.ifname.clone(),
        handed_over: None,
        wishes,
        birth,
        avoided: Vec::new(),
        owners: Owners::default(),
        displaced: inside.displaced_by_others(),
        name_files: name_files::of_new(session, network),
        taken: taken.as_ref(),
        moved: moved.as_ref(),
    };
    // Behind the claim, an error would have to undo it.
    let of_host = addresses_on_card(session, network)?;
    let mut endpoint = settle(session, host, &mut ask, act)?;
    for words in wishes.ports.iter().filter_map(port_limits) {
        session.note(words);
    }
    let mut around = Surroundings {
        loopback: inside.loopback,
        default_in: default_families(&endpoint, &inside.siblings, &inside.foreign_defaults),
        displaced: inside.displaced_by(&endpoint),
        stale: stale_addresses(session, &endpoint)?,
        of_host,
        neighbours: match &taken {
            // They may know its address by the MAC that it had.
            Some(taken) if !taken.addresses.is_empty() => Neighbours::MayBeWrong,
            _ if network.is_on_lan() || network.bridge().is_none() => Neighbours::MayBeWrong,
            _ => neighbours(session, &endpoint)?,
        },
        lifetime: Lifetime::default(),
        taken,
        instance: session.instance(),
    };
    let mut plan = driver::attach(network, &endpoint, &around);
    plan.append(name_files::written(session, network, &endpoint, &inside.siblings)?);
    if act == Act::Apply {
        let complete = |session: &mut Session, endpoint: &mut Endpoint| {
            if network.asks_dhcp() {
                *endpoint = get_first_lease(session, host, network, endpoint, wishes)?;
            } else {
                remember_mac(session, endpoint, around.neighbours)?;
            }
            for address in &around.stale {
                session.store().unmark_stale(&network.name, *address)?;
            }
            Ok(())
        };
        apply_endpoint(session, host, &object, sandbox, &mut endpoint, &plan, complete)?;
        if network.asks_dhcp() {
            around.default_in = default_families(&endpoint, &inside.siblings, &inside.foreign_defaults);
        }
    } else if network.asks_dhcp() {
        session.note(format!(
            "network {}: a DHCP server gives the IPv4 address and the routes, when the device is up",
            network.name
        ));
    }
    let mut shown = groundwork;
    shown.append(plan);
    let value =
        Attached { endpoint, attachment: Attachment::New, default_in: around.default_in, name_servers: Vec::new() };
    Ok(Report { plan: shown, value })
}

fn reservation_of(session: &Session, network: &Network, id: &EndpointId) -> Result<Reservation, Error> {
    let found = session.store().reservation(&network.name, &id.reservation_owner())?;
    found.ok_or_else(|| Error::NoReservation { network: network.name.clone(), id: id.clone() })
}

/// The state of a sandbox before it gets an endpoint.
struct Inside {
    siblings: Vec<Endpoint>,
    ifname: IfName,
    loopback: AdminState,
    /// The families in which it has a default route that stays.
    foreign_defaults: Vec<Family>,
    /// The default routes that the endpoint's own is to take the place of.
    defaults: Vec<DisplacedRoute>,
}

impl Inside {
    fn displaced_by_others(&self) -> Vec<DisplacedRoute> {
        let families: Vec<Family> = self.defaults.iter().map(|seen| Family::of(seen.route.to.addr())).collect();
        displaced_by_others(&self.defaults, &self.siblings, &families)
    }

    /// Those of the families in which an endpoint gives the default route.
    fn displaced_by(&self, endpoint: &Endpoint) -> Vec<DisplacedRoute> {
        let given = default_families(endpoint, &self.siblings, &self.foreign_defaults);
        let is_given = |seen: &&DisplacedRoute| given.contains(&Family::of(seen.route.to.addr()));
        self.defaults.iter().filter(is_given).cloned().collect()
    }
}

fn look_inside(
    session: &mut Session,
    network: &Network,
    sandbox: &Resolved,
    wishes: &Wishes,
    taken: Option<&Taken>,
) -> Result<Inside, Error> {
    let mut siblings = session.store().endpoints_of(sandbox.cookie)?;
    siblings.retain(|e| e.network != network.name);
    let place = Place::Sandbox(sandbox.reached_by.clone());
    let mut loopback = AdminState::Down;
    let mut look = |name: &IfName| {
        let names = [IfName::loopback().as_str().to_owned(), name.as_str().to_owned()];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let failed = Error::kernel(format!("sandbox {}", sandbox.spelled));
        let mut links = session.kernel.links_named(&place, &names).map_err(failed)?.into_iter();
        if let Some(Some(lo)) = links.next() {
            loopback = lo.state;
        }
        let other = links.next().flatten().filter(|seen| taken.is_none_or(|taken| !taken.is_inner(seen)));
        Ok(other.map(|seen| seen.kind))
    };
    let ifname = inner_name(&sandbox.spelled, wishes.ifname.as_ref(), &siblings, &mut look)?;
    let gateways: Vec<IpAddr> = siblings.iter().flat_map(|s| s.addresses.iter().filter_map(|a| a.gateway)).collect();
    // The existing default routes matter only if this endpoint could give one.
    let mut families = families(network, &wishes.addressing);
    families.retain(|family| may_default(network, wishes.default_route).allows(*family));
    let (mut foreign, mut defaults) = (Vec::new(), Vec::new());
    if wishes.default_route == DefaultRoute::Replaces {
        families.retain(|family| leads_out(network, &wishes.addressing, *family));
        defaults = defaults_to_displace(session, &sandbox.reached_by, &families)?;
    } else {
        foreign = foreign_defaults(session, &sandbox.reached_by, &families, &gateways)?;
    }
    Ok(Inside { siblings, ifname, loopback, foreign_defaults: foreign, defaults })
}

/// The parts of a new endpoint that come from the random source and the clock.
pub(crate) fn birth() -> Result<Birth, Error> {
    Ok(Birth {
        id: EndpointId::from_random(random()?),
        mac: Mac::from_random(random()?),
        host_device: random_name::<5>("zv")?.parse()?,
        attached_at: nanoseconds()?,
    })
}

/// Fails before the first effect if the bridge is full. Ports made by other programs are not counted; the kernel
/// refuses the port if they fill the bridge.
pub(crate) fn require_room(session: &mut Session, host: &HostLock, network: &Network, act: Act) -> Result<(), Error> {
    let most = network.most_endpoints();
    let has_room = |session: &Session| -> Result<bool, Error> {
        let store = session.store();
        Ok(!store.may_have(most)? || store.count_macs(&network.name)? < most)
    };
    if has_room(session)? {
        return Ok(());
    }
    if act == Act::Apply {
        remove_gone(session, host, Some(&network.name))?;
        if has_room(session)? {
            return Ok(());
        }
    }
    if network.macvlan().is_some() || network.whole_device().is_some() {
        let why = format!("takes no further endpoint: network {} has {most} on it", network.name);
        return Err(Error::Card { card: network.device().clone(), why });
    }
    Err(Error::BridgeFull { network: network.name.clone(), bridge: network.device().clone(), most })
}

/// The addresses for which the kernel may still have connections of an earlier endpoint.
pub(crate) fn stale_addresses(session: &Session, endpoint: &Endpoint) -> Result<Vec<IpAddr>, Error> {
    let mut stale = Vec::new();
    for a in &endpoint.addresses {
        let address = a.address.addr();
        stale.extend(session.store().is_stale(&endpoint.network, address)?.then_some(address));
    }
    Ok(stale)
}

/// Whether neighbours may have an outdated MAC for an address. The MAC follows from the address, so they have the right
/// one, except if an earlier endpoint had another MAC, or for the second of two addresses: only one of them gives the
/// MAC.
fn neighbours(session: &Session, endpoint: &Endpoint) -> Result<Neighbours, Error> {
    if endpoint.addresses.is_empty() {
        return Ok(Neighbours::AreRight);
    }
    if let [only] = endpoint.addresses.as_slice() {
        let address = only.address.addr();
        if has_own_mac(endpoint) && !session.store().had_other_mac(&endpoint.network, address)? {
            return Ok(Neighbours::AreRight);
        }
    }
    Ok(Neighbours::MayBeWrong)
}

/// Where servers give addresses by name, an endpoint has the MAC of its sandbox's name: many servers know clients by
/// nothing else. A MAC that another living endpoint has is left to it.
fn wishes_by_name(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    sandbox: &Resolved,
    wishes: &Wishes,
    act: Act,
) -> Result<Option<Wishes>, Error> {
    if !network.asks_dhcp() || wishes.mac != MacWish::FromAddress {
        return Ok(None);
    }
    let mac = mac_of(&client_id(host_key(session)?, network, &sandbox.spelled, &wishes.dhcp)?);
    let is_free = match session.store().mac_owner(&network.name, mac)? {
        None => true,
        Some(LeaseOwner::Endpoint(owner)) => {
            owner.cookie == sandbox.cookie || free_if_gone(session, host, &owner, act)?
        }
        Some(LeaseOwner::Reservation(_)) => false,
    };
    let mac = if is_free { MacWish::Given(mac) } else { MacWish::Random };
    Ok(Some(Wishes { mac, ..wishes.clone() }))
}

/// Applies the plan of a claimed endpoint. If that fails, the endpoint is removed completely.
fn apply_endpoint(
    session: &mut Session,
    host: &HostLock,
    object: &str,
    sandbox: &Resolved,
    endpoint: &mut Endpoint,
    plan: &Plan,
    complete: impl FnOnce(&mut Session, &mut Endpoint) -> Result<(), Error>,
) -> Result<(), Error> {
    let done: Result<(), Error> = (|| {
        apply(session, object, plan)?;
        complete(session, endpoint)?;
        // We hold the namespace open, so the plan succeeds even if no path leads to it any more.
        still_there(session, sandbox)?;
        Ok(session.store().finish_attach(&endpoint.key())?)
    })();
    if let Err(error) = done {
        return Err(error.after_undo(Fault::muted(|| undo_attach(session, host, endpoint))));
    }
    session.slow.attaching = true;
    Ok(())
}

/// Restores what an existing endpoint and its network lack.
fn put_back(
    session: &mut Session,
    network: &Network,
    groundwork: Plan,
    endpoint: &Endpoint,
    act: Act,
) -> Result<Plan, Error> {
    let object = format!("network {}: connect {}", network.name, endpoint.sandbox.spelled);
    if act == Act::Apply && !groundwork.is_empty() {
        apply(session, &object, &groundwork)?;
    }
    let siblings = siblings(session, endpoint)?;
    let mut plan = groundwork;
    let touched = if plan.is_empty() { Vec::new() } else { vec![network.name.clone()] };
    let ops = lacking_of_endpoint(session, &mut Snapshot::new(), network, endpoint, &siblings, &touched)?;
    let lacking: Plan = ops.into_iter().collect();
    if act == Act::Apply && !lacking.is_empty() {
        apply(session, &object, &lacking)?;
    }
    plan.append(lacking);
    Ok(plan)
}

/// An existing endpoint with a lease: a new one if it has lost the one that it had.
fn with_lease(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    endpoint: Endpoint,
    wishes: &Wishes,
) -> Result<Endpoint, Error> {
    let now = now()?;
    if endpoint.dhcp.as_ref().is_some_and(|dhcp| dhcp.holds_at(now)) {
        return Ok(endpoint);
    }
    let wishes = RenewWishes { force: false, patience: wishes.dhcp.patience };
    Ok(renew_locked(session, host, network, endpoint, wishes.force, wishes.effort())?.0)
}

/// Returns the existing endpoint, or fails if the wishes differ from it.
fn as_before(session: &mut Session, endpoint: Endpoint, wishes: &Wishes) -> Result<Report<Attached>, Error> {
    let differs = |what, has: String| Error::Different {
        sandbox: endpoint.sandbox.spelled.clone(),
        network: endpoint.network.clone(),
        what,
        has,
    };
    let addresses: Vec<IpAddr> = endpoint.addresses.iter().map(|a| a.address.addr()).collect();
    if wishes.addresses.iter().any(|a| !addresses.contains(a)) {
        let has: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        return Err(differs("address", has.join(", ")));
    }
    if let MacWish::Given(mac) = wishes.mac
        && mac != endpoint.mac
    {
        return Err(differs("MAC", endpoint.mac.to_string()));
    }
    if let Some(ifname) = &wishes.ifname
        && *ifname != endpoint.ifname
    {
        return Err(differs("device name", endpoint.ifname.to_string()));
    }
    if let Some(device) = &wishes.taken
        && Some(device) != endpoint.host_device()
        && session
            .kernel
            .link(&Place::Host, device.as_str())
            .map_err(Error::kernel(format!("device {device}")))?
            .is_some()
    {
        return Err(differs("pair", endpoint.ifname.to_string()));
    }
    if !wishes.routes.is_empty() && wishes.routes != endpoint.routes {
        return Err(differs("set of routes", list(&endpoint.routes)));
    }
    if !wishes.aliases.is_empty() && wishes.aliases != endpoint.aliases {
        return Err(differs("set of aliases", list(&endpoint.aliases)));
    }
    if !wishes.name_servers.is_empty() && wishes.name_servers != endpoint.name_servers {
        return Err(differs("set of servers for names", list(&endpoint.name_servers)));
    }
    if wishes.default_route == DefaultRoute::Never && endpoint.default_route != DefaultRoute::Never {
        return Err(differs("wish for the default route", "none against it".into()));
    }
    let mut parts = wishes.ports.iter().flat_map(|wish| wish.parts());
    let lacks = parts.any(|wish| !endpoint.ports.iter().any(|port| wish.is_met_by(port)));
    let has_more = endpoint.ports.iter().any(|port| !wishes.ports.iter().any(|wish| wish.is_met_by(port)));
    if !wishes.ports.is_empty() && (lacks || has_more) {
        return Err(differs("set of published ports", list(&endpoint.ports)));
    }
    let siblings = siblings(session, &endpoint)?;
    let way = way_in(session, &endpoint, None)?;
    let default_in = gives_default_in(session, &mut Snapshot::new(), &endpoint, &siblings, way.as_ref())?;
    let value = Attached { endpoint, attachment: Attachment::Existing, default_in, name_servers: Vec::new() };
    Ok(Report { plan: Plan::new(), value })
}

/// Removes an endpoint that the sandbox's name had in an earlier namespace, so that its address is free: the container
/// was restarted.
fn remove_predecessor(
    session: &mut Session,
    host: &HostLock,
    key: &EndpointKey,
    sandbox: &Resolved,
) -> Result<(), Error> {
    let Some(old) = session.store().cookie_of_name(&key.network, &sandbox.spelled)? else { return Ok(()) };
    if old == key.cookie {
        return Ok(());
    }
    // Another command holds the lock and handles this endpoint.
    let Some(lock) = session.store().try_lock_sandbox(host, old)? else { return Ok(()) };
    let of_old = EndpointKey { cookie: old, network: key.network.clone() };
    if let Some(endpoint) = session.store().endpoint(&of_old)? {
        if endpoint.handed_over.is_some() && is_alive(session, &endpoint)? {
            return Err(Error::HandedOver { network: endpoint.network, sandbox: endpoint.sandbox.spelled });
        }
        remove_endpoint(session, host, &endpoint, None)?;
    }
    release_sandbox(session, lock)
}

pub(crate) fn list(values: &[impl ToString]) -> String {
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}
