//! Changing a network that is in use.

use crate::endpoint::Presence;
use crate::network::{Ipv6Forwarding, forwarding, ipv6_settings};
use crate::{Op, Place, Plan, Sysctl, What, firewall};
use ipnet::IpNet;
use zubi_model::{BridgeMode, Endpoint, Family, Hairpin, Icc, IfName, Mtu, Network, NsRef, Pool, Promiscuity, Scope};
use zubi_wire::route::{Address, BridgePort, LinkChange, Switch};

/// An endpoint as far as a change can reach it.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Whether its host end is there.
    pub host_end: Presence,
    /// Whether that is a port of the bridge.
    pub port: Presence,
    /// How to reach its inner end, when that is there.
    pub inside: Option<NsRef>,
}

/// What a change finds.
#[derive(Debug, Clone)]
pub struct InUse {
    /// Whether the bridge is there.
    pub bridge: Presence,
    /// The endpoints.
    pub endpoints: Vec<Reached>,
    /// How this host forwards IPv6.
    pub ipv6: Ipv6Forwarding,
}

/// From what a network is to what it is to be, on the bridge and on every endpoint. The way back is the same with the
/// networks swapped.
pub fn change(old: &Network, new: &Network, found: &InUse) -> Plan {
    const REMOVE: &str = "what the firewall is to forget about this network";
    const ADD: &str = "what the firewall has to know about this network now";
    const FORWARD: &str = "let the host pass packets on between bridge and outside";
    let mut plan = mtu(old, new, found);
    plan.ops.extend(isolation(old, new, found));
    plan.ops.extend(hairpin(old, new, found));
    let (before, after) = (firewall::network_elements(old), firewall::network_elements(new));
    let gone = before.iter().filter(|e| !after.contains(e)).cloned();
    let come = after.iter().filter(|e| !before.contains(e)).cloned();
    plan.ops.extend(gone.map(|e| Op::host(What::DeleteElement(e), REMOVE)));
    plan.ops.extend(come.map(|e| Op::host(What::AddElement(e), ADD)));
    let further = gateways(old, new, found);
    let families = |n: &Network| [Family::V4, Family::V6].map(|family| n.pool(family).is_some());
    let routed = old.scope == Scope::Internal || families(old) != families(new);
    plan.ops.extend(further);
    let concerned = found.bridge == Presence::There && new.bridge_mode != BridgeMode::Unmanaged;
    if routed && new.scope == Scope::Routed && concerned {
        let all = new.pools.iter().flat_map(|p| forwarding(p.subnet.family(), &new.bridge, &found.ipv6));
        plan.ops.extend(all.map(|s| Op::host(What::Set(s), FORWARD)));
    }
    plan
}

/// Smaller from the inner ends on, larger towards them: nobody sends what the next cannot take. The bridge comes first,
/// since what it sends itself fits either way: behind its ports it would have followed them, and then the kernel would
/// take our wish for no change, and let it follow on (dev_set_mtu_ext in net/core/dev.c, br_change_mtu in
/// net/bridge/br_device.c).
fn mtu(old: &Network, new: &Network, found: &InUse) -> Plan {
    const BRIDGE: &str = "what the host sends through the bridge";
    const OUTER: &str = "what the host's ends of the cables take";
    const INNER: &str = "what the sandboxes send and take";

    let before = old.mtu.unwrap_or(Mtu::STANDARD);
    let after = new.mtu.unwrap_or(Mtu::STANDARD);
    let mut plan = Plan::new();
    if before == after {
        return plan;
    }
    // The kernel takes IPv6 away from a device that is too small for it, and gives it back with other settings than ours.
    let ipv6_returns = before.carries_ipv6().is_err() && after.carries_ipv6().is_ok();
    let mut groups: Vec<Vec<Op>> = Vec::new();
    let mut bridge = Vec::new();
    if found.bridge == Presence::There && new.bridge_mode == BridgeMode::Managed {
        bridge.push(Op::host(What::ChangeLink(LinkChange::mtu(new.bridge.clone(), after)), BRIDGE));
        if ipv6_returns {
            let settings = ipv6_settings(&new.bridge, new.pool(Family::V6).is_some());
            bridge.extend(settings.into_iter().map(|s| Op::host(What::Set(s), BRIDGE)));
        }
    }
    plan.ops.extend(bridge);
    let end = |place: Place, device: &IfName, why| {
        let at = |what| Op { place: place.clone(), what, why };
        let mut ops = vec![at(What::ChangeLink(LinkChange::mtu(device.clone(), after)))];
        if ipv6_returns {
            ops.extend(without_link_local(device, &place).map(at));
        }
        ops
    };
    let there = found.endpoints.iter().filter(|r| r.host_end == Presence::There);
    groups.push(there.flat_map(|r| end(Place::Host, &r.endpoint.host_device, OUTER)).collect());
    let inside = found.endpoints.iter().filter_map(|r| Some((r.inside.clone()?, &r.endpoint.ifname)));
    groups.push(inside.flat_map(|(way, device)| end(Place::Sandbox(way), device, INNER)).collect());
    if after < before {
        groups.reverse();
    }
    plan.ops.extend(groups.into_iter().flatten());
    plan
}

/// As an endpoint's device is without IPv6 when it is made. By now it has a link-local address, which goes only when
/// IPv6 is off for a moment.
fn without_link_local(device: &IfName, place: &Place) -> impl Iterator<Item = What> + use<> {
    let set = |name, value| What::Set(Sysctl::ipv6_device(device, name, value));
    let mut all = vec![set("disable_ipv6", 1)];
    if *place != Place::Host {
        all.push(set("accept_ra", 0));
    }
    all.push(What::ChangeLink(LinkChange::addressless(device.clone())));
    all.push(set("disable_ipv6", 0));
    all.into_iter()
}

/// The host's addresses on the bridge, and whether the bridge listens to everything.
fn gateways(old: &Network, new: &Network, found: &InUse) -> Vec<Op> {
    const LEAVE: &str = "the host's address on the bridge that is no gateway any more";
    const JOIN: &str = "the gateway: the host's own address on the bridge";
    const PROMISC: &str = "which frames the bridge takes for the host";
    let mut ops = Vec::new();
    if found.bridge != Presence::There || new.bridge_mode == BridgeMode::Unmanaged {
        return ops;
    }
    let of = |n: &Network| n.pools.iter().filter_map(Pool::host_address).collect::<Vec<_>>();
    let (before, after) = (of(old), of(new));
    let on_bridge = |address: &IpNet| Address::new(*address, new.bridge.clone());
    let gone = before.iter().filter(|a| !after.contains(a)).map(on_bridge);
    ops.extend(gone.map(|a| Op::host(What::DeleteAddress(a), LEAVE)));
    let come: Vec<Address> = after.iter().filter(|a| !before.contains(a)).map(on_bridge).collect();
    let first_ipv6 = old.pool(Family::V6).is_none() && new.pool(Family::V6).is_some();
    if !come.is_empty() && first_ipv6 && new.bridge_mode == BridgeMode::Managed {
        let settings = ipv6_settings(&new.bridge, true);
        ops.extend(settings.into_iter().map(|s| Op::host(What::Set(s), JOIN)));
    }
    ops.extend(come.into_iter().map(|a| Op::host(What::AddAddress(a), JOIN)));
    if old.promiscuity != new.promiscuity {
        let promisc = Some(if new.promiscuity == Promiscuity::On { Switch::On } else { Switch::Off });
        let change = LinkChange { promisc, ..LinkChange::none(new.bridge.clone()) };
        ops.push(Op::host(What::ChangeLink(change), PROMISC));
    }
    ops
}

fn hairpin(old: &Network, new: &Network, found: &InUse) -> Vec<Op> {
    const HAIRPIN: &str = "whether frames may go back by the cable they came by";
    if old.hairpin == new.hairpin {
        return Vec::new();
    }
    let ports = found.endpoints.iter().filter(|r| r.port == Presence::There);
    let on = |r: &Reached| new.hairpin == Hairpin::Always || !r.endpoint.ports.is_empty();
    let switch = |yes| Some(if yes { Switch::On } else { Switch::Off });
    ports
        .map(|r| BridgePort { hairpin: switch(on(r)), ..BridgePort::new(r.endpoint.host_device.clone()) })
        .map(|port| Op::host(What::ChangePort(port), HAIRPIN))
        .collect()
}

fn isolation(old: &Network, new: &Network, found: &InUse) -> Vec<Op> {
    const ISOLATE: &str = "endpoints of this network do not reach each other any more";
    const JOIN: &str = "endpoints of this network reach each other again";
    if old.icc == new.icc {
        return Vec::new();
    }
    let (isolated, why) = match new.icc {
        Icc::Isolated => (Switch::On, ISOLATE),
        Icc::Allowed => (Switch::Off, JOIN),
    };
    let ports = found.endpoints.iter().filter(|r| r.port == Presence::There);
    ports
        .map(|r| BridgePort { isolated: Some(isolated), ..BridgePort::new(r.endpoint.host_device.clone()) })
        .map(|port| Op::host(What::ChangePort(port), why))
        .collect()
}
