//! Changing a network that is in use: MTU, ports, firewall elements, the host's addresses, forwarding.

use crate::backstop;
use crate::device::{Ipv6, ipv6_settings, without_link_local};
use crate::driver::bridge::network::elements;
use crate::driver::bridge::port::{hairpin_of, isolation_of};
use crate::driver::found::{InUse, Reached};
use crate::{Op, Place, Plan, What, forwarding};
use ipnet::IpNet;
use zubi_model::{BridgeMode, BridgeNetwork, Family, Icc, IfName, Mtu, Network, Pool, Promiscuity, Scope};
use zubi_wire::route::{Address, BridgePort, LinkChange, Switch};

/// A network and its bridge.
#[derive(Clone, Copy)]
pub(in crate::driver) struct Bridged<'a> {
    pub(in crate::driver) network: &'a Network,
    pub(in crate::driver) part: &'a BridgeNetwork,
}

pub(in crate::driver) fn change(old: Bridged<'_>, new: Bridged<'_>, found: &InUse) -> Plan {
    const REMOVE: &str = "what the firewall is to forget about this network";
    const ADD: &str = "what the firewall has to know about this network now";
    const FORWARD: &str = "let the host pass packets on between bridge and outside";
    let mut plan = mtu(old, new, found);
    plan.ops.extend(isolation(old, new, found));
    plan.ops.extend(hairpin(old, new, found));
    let (before, after) = (elements(old.network, old.part), elements(new.network, new.part));
    let gone = before.iter().filter(|e| !after.contains(e)).cloned();
    let come = after.iter().filter(|e| !before.contains(e)).cloned();
    plan.ops.extend(gone.map(|e| Op::host(What::DeleteElement(e), REMOVE)));
    plan.ops.extend(come.map(|e| Op::host(What::AddElement(e), ADD)));
    plan.ops.extend(filters(old, new, found));
    plan.ops.extend(addresses_of_host(old, new, found));
    let families = |n: &Network| [Family::V4, Family::V6].map(|family| n.pool(family).is_some());
    let newly_routed = old.network.scope == Scope::Internal || families(old.network) != families(new.network);
    let concerned = found.device.is_ours() && new.part.mode != BridgeMode::Unmanaged;
    if newly_routed && new.network.scope == Scope::Routed && concerned {
        let families = new.network.pools.iter().map(|p| p.subnet.family());
        let settings = families.flat_map(|family| forwarding::settings(family, &new.part.device, &found.ipv6));
        plan.ops.extend(settings.map(|s| Op::host(What::Set(s), FORWARD)));
    }
    plan
}

/// The filters that hold without the firewall. One that changes is replaced: the kernel knows it by its place.
fn filters(old: Bridged<'_>, new: Bridged<'_>, found: &InUse) -> Vec<Op> {
    const REMOVE: &str = "what is no longer closed without the firewall";
    let (before, after) = (backstop::filters(old.network, old.part), backstop::filters(new.network, new.part));
    if before == after || !found.device.is_ours() {
        return Vec::new();
    }
    let gone = before.iter().filter(|filter| !after.contains(filter)).cloned();
    let gone = gone.map(|filter| Op::host(What::DeleteFilter(filter), REMOVE));
    let come = backstop::backstop(new.network, new.part).into_iter().filter(|op| match &op.what {
        What::AddHooks(_) => before.is_empty(),
        What::AddFilter(filter) => !before.contains(filter),
        _ => true,
    });
    gone.chain(come).collect()
}

/// Smaller from the inner ends on, larger towards them: nothing sends what the next device cannot take. The bridge
/// comes first, since what it sends itself fits either way: behind its ports it would have followed them, and then the
/// kernel would take our wish for no change, and let it follow on (dev_set_mtu_ext in net/core/dev.c, br_change_mtu in
/// net/bridge/br_device.c).
fn mtu(old: Bridged<'_>, new: Bridged<'_>, found: &InUse) -> Plan {
    const BRIDGE: &str = "what the host sends through the bridge";
    const OUTER: &str = "what the host's ends of the cables take";
    const INNER: &str = "what the sandboxes send and take";

    let before = old.network.mtu.unwrap_or(Mtu::STANDARD);
    let after = new.network.mtu.unwrap_or(Mtu::STANDARD);
    let mut plan = Plan::new();
    if before == after {
        return plan;
    }
    // The kernel removes IPv6 from a device whose MTU is too small for it, and later restores it with default settings.
    let ipv6_returns = before.carries_ipv6().is_err() && after.carries_ipv6().is_ok();
    let bridge = &new.part.device;
    if found.device.is_ours() && new.part.mode == BridgeMode::Managed {
        plan.push(Op::host(What::ChangeLink(LinkChange::mtu(bridge.clone(), after)), BRIDGE));
        if ipv6_returns {
            let settings = ipv6_settings(bridge, Ipv6::of_network(new.network));
            plan.ops.extend(settings.into_iter().map(|s| Op::host(What::Set(s), BRIDGE)));
        }
    }
    let end = |place: Place, device: &IfName, why| {
        let at = |what| Op { place: place.clone(), what, why };
        let mut ops = vec![at(What::ChangeLink(LinkChange::mtu(device.clone(), after)))];
        if ipv6_returns {
            ops.extend(without_link_local(device, &place).map(at));
        }
        ops
    };
    let there = found.endpoints.iter().filter(|r| r.host_end.is_ours());
    let outer = there.filter_map(|r| r.endpoint.host_device()).flat_map(|device| end(Place::Host, device, OUTER));
    let inside = found.endpoints.iter().filter_map(|r| Some((r.inside.clone()?, &r.endpoint.ifname)));
    let inner = inside.flat_map(|(way, device)| end(Place::Sandbox(way), device, INNER));
    if after < before {
        plan.ops.extend(inner.chain(outer));
    } else {
        plan.ops.extend(outer.chain(inner));
    }
    plan
}

/// The host's addresses on the bridge, and which frames the bridge delivers to the host.
fn addresses_of_host(old: Bridged<'_>, new: Bridged<'_>, found: &InUse) -> Vec<Op> {
    const LEAVE: &str = "the host's address on the bridge that is no gateway any more";
    const JOIN: &str = "the gateway: the host's own address on the bridge";
    const PROMISC: &str = "which frames the bridge takes for the host";
    let mut ops = Vec::new();
    if !found.device.is_ours() || new.part.mode == BridgeMode::Unmanaged {
        return ops;
    }
    let bridge = &new.part.device;
    let of = |n: &Network| n.pools.iter().filter_map(Pool::host_address).collect::<Vec<_>>();
    let (before, after) = (of(old.network), of(new.network));
    let on_bridge = |address: &IpNet| Address::new(*address, bridge.clone());
    let gone = before.iter().filter(|a| !after.contains(a)).map(on_bridge);
    ops.extend(gone.map(|a| Op::host(What::DeleteAddress(a), LEAVE)));
    let come: Vec<Address> = after.iter().filter(|a| !before.contains(a)).map(on_bridge).collect();
    let first_ipv6 = (Ipv6::of_network(old.network), Ipv6::of_network(new.network)) == (Ipv6::Off, Ipv6::On);
    if !come.is_empty() && first_ipv6 && new.part.mode == BridgeMode::Managed {
        let settings = ipv6_settings(bridge, Ipv6::On);
        ops.extend(settings.into_iter().map(|s| Op::host(What::Set(s), JOIN)));
    }
    ops.extend(come.into_iter().map(|a| Op::host(What::AddAddress(a), JOIN)));
    if old.part.promiscuity != new.part.promiscuity {
        let promisc = match new.part.promiscuity {
            Promiscuity::On => Switch::On,
            Promiscuity::Off => Switch::Off,
        };
        let change = LinkChange { promisc: Some(promisc), ..LinkChange::none(bridge.clone()) };
        ops.push(Op::host(What::ChangeLink(change), PROMISC));
    }
    ops
}

fn hairpin(old: Bridged<'_>, new: Bridged<'_>, found: &InUse) -> Vec<Op> {
    const HAIRPIN: &str = "whether frames may go back by the cable they came by";
    if old.part.hairpin == new.part.hairpin {
        return Vec::new();
    }
    let hairpin = |r: &Reached, port| BridgePort { hairpin: Some(hairpin_of(new.part, &r.endpoint)), ..port };
    ports(found, hairpin, HAIRPIN)
}

fn isolation(old: Bridged<'_>, new: Bridged<'_>, found: &InUse) -> Vec<Op> {
    const ISOLATE: &str = "endpoints of this network do not reach each other any more";
    const JOIN: &str = "endpoints of this network reach each other again";
    if old.part.icc == new.part.icc {
        return Vec::new();
    }
    let isolated = Some(isolation_of(new.part));
    let why = match new.part.icc {
        Icc::Isolated => ISOLATE,
        Icc::Allowed => JOIN,
    };
    ports(found, |_, port| BridgePort { isolated, ..port }, why)
}

/// Changes every port of the bridge that belongs to an endpoint.
fn ports(found: &InUse, change: impl Fn(&Reached, BridgePort) -> BridgePort, why: &'static str) -> Vec<Op> {
    let ports = found.endpoints.iter().filter(|r| r.port.is_ours());
    ports
        .filter_map(|r| Some(change(r, BridgePort::new(r.endpoint.host_device()?.clone()))))
        .map(|port| Op::host(What::ChangePort(port), why))
        .collect()
}
