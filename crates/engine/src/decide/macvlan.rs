//! The decision about a network of macvlans: which device of the host carries it, and which addresses are left to zubi.

use crate::decide::neighbourhood::Neighbourhood;
use crate::decide::uplink::{ON_TOP, existing, pools_behind, refuse_carrier, refuse_device_of_vlan, why_outside};
use crate::error::Error;
use crate::look::addresses_in_use::{TABLE_MAIN, is_link_local};
use std::net::IpAddr;
use zubi_model::{
    CardMode, CardVlan, Driver, DriverSpec, Family, GatewayAt, IfIndex, IfName, Invalid, MacvlanDescription,
    MacvlanMode, MacvlanNetwork, MacvlanSpec, Mtu, Network, NetworkName, NetworkSpec, Pool, PoolSpec, Scope,
    UplinkSpec, VlanId,
};
use zubi_plan::Place;
use zubi_wire::route::{AddressSeen, AdminState, LinkSeen, RouteSeen};

const PASSTHRU: CardMode = CardMode::Macvlan(MacvlanMode::Passthru);

/// The wishes with the device that carries the network: a card that is a port of an uplink network's bridge carries
/// nothing (EBUSY of `netdev_rx_handler_register`), but the bridge does.
pub(crate) fn with_carrier(spec: NetworkSpec, around: &Neighbourhood<'_>) -> Result<NetworkSpec, Error> {
    let DriverSpec::Macvlan(MacvlanSpec { card: Some(wish), mode, shim }) = spec.driver else { return Ok(spec) };
    let name = carrier(&wish.parent, mode, around)?.seen.name.parse()?;
    let card = Some(UplinkSpec { parent: name, ..wish });
    Ok(NetworkSpec { driver: DriverSpec::Macvlan(MacvlanSpec { card, mode, shim }), ..spec })
}

/// A device that carries macvlans.
pub(crate) struct Carrier {
    /// As it is, or as a VLAN is going to be.
    pub(crate) seen: LinkSeen,
    /// What it is, when it is a VLAN of zubi's.
    pub(crate) vlan: Option<CardVlan>,
}

/// The device that carries macvlans for a card, after a check that it can.
fn carrier(parent: &IfName, mode: CardMode, around: &Neighbourhood<'_>) -> Result<Carrier, Error> {
    let no = |why: String| Err(Error::Card { card: parent.clone(), why });
    if let Some(vlan) = new_vlan(parent, around)? {
        return Ok(vlan);
    }
    let seen = existing(parent, around)?;
    if let Some(master) = seen.master {
        let unread = Error::unread(format!("network card {parent}"));
        let master = around.host.links(&Place::Host).map_err(unread)?.find(|link| link.index == master);
        let Some(master) = master else { return no("is a port of another device".into()) };
        let is_uplink =
            |network: &&Network| network.parent() == Some(parent) && network.device().as_str() == master.name;
        if around.networks.iter().any(|network| is_uplink(&network)) {
            return up(parent, master);
        }
        let kind = master.kind.as_deref().unwrap_or("device");
        return no(format!("is a port of {kind} {}; take {} as the parent", master.name, master.name));
    }
    if let Some(kind) = seen.kind.as_deref().filter(|kind| ON_TOP.contains(kind)) {
        return no(format!("is a {kind} itself; take the device that it is on"));
    }
    let others: &[&str] = match mode {
        CardMode::Macvlan(_) => &["ipvlan", "ipvtap"],
        CardMode::Ipvlan(_) => &["macvlan", "macvtap"],
        CardMode::Vlan(_) => &[],
    };
    refuse_carrier(parent, seen, others, around)?;
    if let Some(vlan) = mode.vlan() {
        refuse_device_of_vlan(parent, seen, vlan, around)?;
    }
    let mut others = around.networks.iter().filter(|network| network.device() == parent);
    let vlan = others.find_map(|network| network.macvlan()?.vlan.clone());
    Ok(Carrier { vlan, ..up(parent, seen)? })
}

/// The VLAN that a name like `eth0.10` stands for, when there is no device of that name but one of its card.
fn new_vlan(parent: &IfName, around: &Neighbourhood<'_>) -> Result<Option<Carrier>, Error> {
    let unread = || Error::unread(format!("network card {parent}"));
    let Some((card, number)) = CardVlan::named(parent) else { return Ok(None) };
    if around.host.link(&Place::Host, parent.as_str()).map_err(unread())?.is_some() {
        return Ok(None);
    }
    let Some(seen) = around.host.link(&Place::Host, card.as_str()).map_err(unread())? else { return Ok(None) };
    let id: VlanId = number.parse()?;
    if let Some(kind) = seen.kind.as_deref().filter(|kind| ON_TOP.contains(kind)) {
        let why = format!("is on {card}, which is a {kind}; take the device that that is on");
        return Err(Error::Card { card: parent.clone(), why });
    }
    let Carrier { seen, .. } = up(&card, seen)?;
    let Some(mac) = seen.mac else { return Ok(None) };
    let seen = LinkSeen {
        index: IfIndex(0),
        name: parent.to_string(),
        master: None,
        peer: None,
        kind: Some("vlan".to_owned()),
        ..seen
    };
    Ok(Some(Carrier { seen, vlan: Some(CardVlan { card, id, mac }) }))
}

fn up(card: &IfName, seen: &LinkSeen) -> Result<Carrier, Error> {
    let no = |why: String| Err(Error::Card { card: card.clone(), why });
    if seen.mac.is_none() {
        return no("has no MAC, so nothing on it can have another one".into());
    }
    if seen.state != AdminState::Up {
        return no(format!("is down; ip link set {} up", seen.name));
    }
    Ok(Carrier { seen: seen.clone(), vlan: None })
}

/// The subnets behind the card. Of one that was asked for by `--subnet`, zubi chooses from all addresses, as Docker does;
/// of others from a range only.
pub(crate) fn pools(spec: &NetworkSpec, card: &UplinkSpec, around: &Neighbourhood<'_>) -> Result<Vec<Pool>, Error> {
    let object = format!("network {}", spec.name);
    let mode = spec.driver.macvlan().map(|spec| spec.mode).unwrap_or_default();
    let Carrier { seen, .. } = carrier(&card.parent, mode, around)?;
    let own = around.host.addresses_of(&Place::Host, seen.index).map_err(Error::unread(&object))?;
    let mut pools = pools_behind(spec, card, &seen, around)?;
    if mode.is_routed() {
        refuse_asked_for(spec, &pools, own)?;
    }
    choose_from_all(spec, &mut pools);
    if !mode.is_routed() {
        guess_routers(spec, &mut pools, own)?;
    }
    require_home(&pools, "gateway", card.gateways.iter().copied())?;
    require_home(&pools, "excluded address", card.exclude.iter().map(|exclusion| exclusion.first))?;
    Ok(pools)
}

/// Zubi chooses from all addresses of a subnet that was asked for.
pub(crate) fn choose_from_all(spec: &NetworkSpec, pools: &mut [Pool]) {
    for pool in pools.iter_mut().filter(|pool| is_asked_for(spec, pool)) {
        pool.range = pool.range.or(Some(pool.subnet.net()));
    }
}

fn is_asked_for(spec: &NetworkSpec, pool: &Pool) -> bool {
    spec.pools.iter().any(|wish| wish.subnet == pool.subnet)
}

/// The routers of subnets that were asked for and that the host is not in: its routes do not tell them, and Docker takes
/// the first address. `own`: the addresses of the host there.
pub(crate) fn guess_routers(spec: &NetworkSpec, pools: &mut [Pool], own: &[AddressSeen]) -> Result<(), Error> {
    let is_known = |pool: &Pool| own.iter().any(|own| pool.subnet.net().contains(&own.address.addr()));
    for pool in pools.iter_mut().filter(|pool| is_asked_for(spec, pool)) {
        if pool.gateway.is_none() && !is_known(pool) {
            let first = PoolSpec { subnet: pool.subnet, gateway: None, range: None, exclude: Vec::new() };
            pool.gateway = first.decide()?.gateway;
            pool.gateway_at = GatewayAt::Elsewhere;
        }
    }
    Ok(())
}

/// The LAN asks for addresses of its own subnets, and ipvlans behind the host's routes do not answer.
fn refuse_asked_for(spec: &NetworkSpec, pools: &[Pool], own: &[AddressSeen]) -> Result<(), Error> {
    let is_own = |pool: &&Pool| own.iter().any(|own| pool.subnet.overlaps(own.address.trunc()));
    let Some(pool) = pools.iter().find(is_own) else { return Ok(()) };
    let why = format!(
        "is a subnet of the LAN, which asks for its addresses; in the modes l3 and l3s nobody answers, and network {} has \
         to be one that the LAN's router sends to this host",
        spec.name
    );
    let instead = "give another one with --subnet, or use --mode l2";
    Err(Invalid::new("subnet", pool.subnet, why).try_instead(instead).into())
}

fn require_home(pools: &[Pool], what: &'static str, all: impl Iterator<Item = IpAddr>) -> Result<(), Error> {
    let mut all = all;
    let Some(lost) = all.find(|address| !pools.iter().any(|pool| pool.subnet.net().contains(address))) else {
        return Ok(());
    };
    let why = why_outside(pools, "the network has no subnet");
    Err(Invalid::new(what, lost, why).into())
}

/// The MTU: that of the card, where it is not the usual one.
pub(crate) fn mtu(spec: &NetworkSpec, card: &UplinkSpec, around: &Neighbourhood<'_>) -> Result<Option<Mtu>, Error> {
    let mode = spec.driver.macvlan().map(|spec| spec.mode).unwrap_or_default();
    let Carrier { seen, .. } = carrier(&card.parent, mode, around)?;
    refuse_mtu(spec.mtu, &seen)?;
    Ok(spec.mtu.or_else(|| Mtu::try_from(seen.mtu).ok().filter(|mtu| *mtu != Mtu::STANDARD)))
}

fn refuse_mtu(wish: Option<Mtu>, seen: &LinkSeen) -> Result<(), Error> {
    let Some(mtu) = wish.filter(|mtu| mtu.bytes() > seen.mtu) else { return Ok(()) };
    let why = format!("is more than {} takes, which is {}", seen.name, seen.mtu);
    Err(Invalid::new("MTU", mtu, why).into())
}

/// The device of the host that carries a network which another program describes. The program has chosen the addresses,
/// so that the subnets of two such networks may be one.
pub(crate) fn of_description(
    name: &NetworkName,
    described: &MacvlanDescription,
    mtu: Option<Mtu>,
    around: &Neighbourhood<'_>,
) -> Result<Carrier, Error> {
    let parent = match &described.parent {
        Some(parent) => parent.clone(),
        None => card_of_default_route(name, around)?,
    };
    let carrier = carrier(&parent, described.mode, around)?;
    let seen = &carrier.seen;
    refuse_mtu(mtu, seen)?;
    if described.mode == PASSTHRU {
        refuse_own_addresses(&parent, seen, around)?;
    }
    refuse_beside(name, &seen.name.parse()?, described.mode, around)?;
    Ok(carrier)
}

/// The card by which the host reaches the outside, by IPv4 before IPv6.
fn card_of_default_route(name: &NetworkName, around: &Neighbourhood<'_>) -> Result<IfName, Error> {
    let object = format!("network {name}");
    let unread = || Error::unread(&object);
    for family in [Family::V4, Family::V6] {
        let routes = around.host.routes(&Place::Host, family).map_err(unread())?.iter();
        // The kernel's own "unreachable default" has the last metric.
        let leads = |route: &&RouteSeen| route.table == TABLE_MAIN && route.metric != u32::MAX;
        let defaults = routes.filter(|route| route.to.prefix_len() == 0 && leads(route));
        let Some(best) = defaults.filter(|route| route.device.is_some()).min_by_key(|route| route.metric) else {
            continue;
        };
        let mut links = around.host.links(&Place::Host).map_err(unread())?;
        if let Some(link) = links.find(|link| Some(link.index) == best.device) {
            return Ok(link.name.parse()?);
        }
    }
    Err(Error::NoCard { network: name.clone() })
}

/// The network as it can be: without a card nothing leads outside. Refuses what two networks on one card cannot be.
pub(crate) fn settle(mut network: Network, around: &Neighbourhood<'_>) -> Result<Network, Error> {
    let Driver::Macvlan(part) = &mut network.driver else { return Ok(network) };
    let Some(card) = part.card().cloned() else {
        network.scope = Scope::Internal;
        return Ok(network);
    };
    if network.scope == Scope::Internal {
        let why = "is on the LAN, which is outside";
        let instead = "leave --internal out, or --parent";
        return Err(Invalid::new("network", &network.name, why).try_instead(instead).into());
    }
    let mode = part.mode;
    let Carrier { seen, vlan } = carrier(&card, mode, around)?;
    part.vlan = vlan;
    part.card_mac = seen.mac.filter(|_| mode.shows_card_mac());
    if mode == PASSTHRU {
        refuse_own_addresses(&card, &seen, around)?;
    }
    refuse_beside(&network.name, &card, mode, around)?;
    for other in around.networks.iter().filter(|other| is_on(other, &card)) {
        let overlaps = |pool: &&Pool| other.pools.iter().any(|theirs| theirs.subnet.overlaps(pool.subnet.net()));
        if let Some(pool) = network.pools.iter().find(overlaps) {
            return Err(Error::Overlap {
                name: network.name.clone(),
                subnet: pool.subnet.to_string(),
                by: format!("network {} on the same card", other.name),
            });
        }
    }
    Ok(network)
}

fn is_on(network: &Network, card: &IfName) -> bool {
    network.macvlan().and_then(MacvlanNetwork::card) == Some(card)
}

/// The kernel lets nothing else on a card with a macvlan in the mode `passthru` (EINVAL of `macvlan_common_newlink`), no
/// macvlans on one with ipvlans (EBUSY of `netdev_rx_handler_register`), and gives all ipvlans of a card one mode.
fn refuse_beside(name: &NetworkName, card: &IfName, mode: CardMode, around: &Neighbourhood<'_>) -> Result<(), Error> {
    for other in around.networks.iter().filter(|other| other.name != *name && is_on(other, card)) {
        let Some(theirs) = other.macvlan().map(|part| part.mode) else { continue };
        let why = match (mode, theirs) {
            (CardMode::Macvlan(_), CardMode::Macvlan(_)) if mode != PASSTHRU && theirs != PASSTHRU => continue,
            (CardMode::Macvlan(_), CardMode::Macvlan(_)) => {
                "and passthru gives a whole card to one endpoint".to_owned()
            }
            (CardMode::Vlan(one), CardMode::Vlan(other)) if one == other => {
                format!("which has its only device for VLAN {one}")
            }
            (CardMode::Vlan(_), _) | (_, CardMode::Vlan(_)) => continue,
            (CardMode::Ipvlan(_), CardMode::Ipvlan(_)) if mode == theirs => continue,
            (CardMode::Ipvlan(_), CardMode::Ipvlan(_)) => {
                format!("which is in the mode {theirs}: all ipvlans of a card have one mode; use --mode {theirs}")
            }
            _ => {
                let kind = theirs.kind();
                format!("whose endpoints are {kind}s: a card carries one kind; use --driver {kind}, or another card")
            }
        };
        let why = format!("carries network {}, {why}", other.name);
        return Err(Error::Card { card: card.clone(), why });
    }
    Ok(())
}

/// In the mode `passthru` every frame that comes in goes to the endpoint.
fn refuse_own_addresses(card: &IfName, seen: &LinkSeen, around: &Neighbourhood<'_>) -> Result<(), Error> {
    let own =
        around.host.addresses_of(&Place::Host, seen.index).map_err(Error::unread(format!("network card {card}")))?;
    match own.iter().find(|own| !is_link_local(own.address.addr())) {
        Some(own) => {
            let why = format!("has this host's address {}, which passthru would cut off", own.address);
            Err(Error::Card { card: card.clone(), why })
        }
        None => Ok(()),
    }
}
