//! Networks: the bridge, the host's addresses on it, firewall elements, forwarding.

use crate::backstop::backstop;
use crate::coexist::{join_transaction, remove_guests};
use crate::device::{Ipv6, connected_routes, ipv6_settings};
use crate::driver::bridge::links::{WithCard, bridge, with_card};
use crate::driver::bridge::recognise::{is_of_host, recognise_network};
use crate::driver::found::{HostFacts, Last, Leaving};
use crate::forwarding::Ipv6Forwarding;
use crate::loopback::loopback;
use crate::published::on_loopback;
use crate::{Op, Plan, Presence, Sysctl, What, alias, firewall, forwarding};
use std::path::Path;
use zubi_model::{BridgeMode, BridgeNetwork, Family, LinkGroup, Network, Pool, Promiscuity, PublishedPort, Scope};
use zubi_wire::nft::Element;
use zubi_wire::route::{Address, AdminState, LinkChange, LinkMark, Switch};

pub(in crate::driver) fn elements(network: &Network, part: &BridgeNetwork) -> Vec<Element> {
    if part.mode == BridgeMode::Unmanaged { Vec::new() } else { firewall::bridge_elements(network, part) }
}

pub(in crate::driver) fn up(network: &Network, part: &BridgeNetwork, ipv6: &Ipv6Forwarding) -> Plan {
    const BRIDGE: &str = "the bridge: a switch in software; its MAC is fixed, or it would change with its ports";
    const SETTINGS: &str = "before it goes up: no IPv6 nobody asked for, no router advertisements";
    const ELEMENTS: &str = "what the firewall has to know about this network";
    const ADDRESS: &str = "the gateway: the host's own address on the bridge";
    const FORWARD: &str = "let the host pass packets on between bridge and outside";
    const UP: &str = "everything is ready: switch the bridge on";

    if part.mode == BridgeMode::Unmanaged {
        return Plan::new();
    }
    if let Some(parent) = &part.parent {
        let mut plan: Plan = firewall::layout().collect();
        plan.ops.extend(elements(network, part).into_iter().map(|e| Op::host(What::AddElement(e), ELEMENTS)));
        let WithCard { made, up, enslaved } = with_card(network, part, parent);
        plan.ops.extend(made.into_iter().chain([up]).chain(enslaved));
        plan.push(Op::host(What::ChangeLink(LinkChange::none(part.device.clone())), UP));
        return plan;
    }
    let host = |why| move |what| Op::host(what, why);
    let managed = part.mode == BridgeMode::Managed;
    let mut plan: Plan = firewall::layout().collect();
    plan.ops.extend(elements(network, part).into_iter().map(What::AddElement).map(host(ELEMENTS)));
    if managed {
        plan.push(Op::host(What::AddLink(bridge(part)), BRIDGE));
        let settings = ipv6_settings(&part.device, Ipv6::of_network(network));
        plan.ops.extend(settings.into_iter().map(What::Set).map(host(SETTINGS)));
    }
    for address in network.pools.iter().filter_map(Pool::host_address) {
        plan.push(Op::host(What::AddAddress(Address::new(address, part.device.clone())), ADDRESS));
    }
    if network.scope == Scope::Routed {
        let families = network.pools.iter().map(|p| p.subnet.family());
        let settings = families.flat_map(|family| forwarding::settings(family, &part.device, ipv6));
        plan.ops.extend(settings.map(What::Set).map(host(FORWARD)));
    }
    plan.ops.extend(backstop(network, part));
    let mut go_up = LinkChange::state(part.device.clone(), AdminState::Up);
    go_up.mtu = network.mtu.filter(|_| managed);
    go_up.promisc = (part.promiscuity == Promiscuity::On).then_some(Switch::On);
    plan.push(Op::host(What::ChangeLink(go_up), UP));
    plan
}

pub(in crate::driver) fn up_with(
    network: &Network,
    part: &BridgeNetwork,
    host: &HostFacts,
    ports: impl Iterator<Item = PublishedPort>,
) -> Plan {
    let mut plan = up(network, part, &host.ipv6);
    mark(&mut plan, network, part, &host.run);
    if on_loopback(network, ports.map(Into::into)) {
        // Before the bridge goes up, since a bridge that is up counts as complete.
        let at = plan.ops.len().saturating_sub(1);
        let mut ops = loopback(network, host.netfilter).ops;
        ops.retain(|op| !plan.ops.iter().any(|other| other.what == op.what));
        plan.ops.splice(at..at, ops);
    }
    plan
}

/// The last operation on a bridge sets it up.
pub(in crate::driver) fn mark(plan: &mut Plan, network: &Network, part: &BridgeNetwork, run: &Path) {
    let is_about = |op: &&mut Op| matches!(&op.what, What::ChangeLink(change) if change.name == part.device);
    if part.mode == BridgeMode::Managed
        && let Some(Op { what: What::ChangeLink(go_up), .. }) = plan.ops.iter_mut().rfind(is_about)
    {
        go_up.alias = Some(alias::of_network(network, run));
    }
}

pub(in crate::driver) fn put_marks_back(plan: &mut Plan) {
    for op in &mut plan.ops {
        if let What::AddLink(bridge) = &op.what {
            let name = bridge.name.clone();
            let marks = LinkChange { mac: Some(bridge.mac), group: Some(bridge.group), ..LinkChange::none(name) };
            op.what = What::ChangeLink(marks);
        }
    }
}

/// The last operation is one message, and gives the mark: a bridge with a mark is complete.
pub(in crate::driver) fn take_from_host(plan: &mut Plan, part: &BridgeNetwork) {
    const MAC: &str = "the bridge, which the host's own configuration made: its MAC is fixed";
    const MARK: &str = "all is there: whose bridge it is, and that it stays when the network goes";
    for op in &mut plan.ops {
        match &mut op.what {
            What::AddLink(bridge) if bridge.name == part.device => {
                let mac = LinkChange { mac: Some(part.mac), ..LinkChange::none(part.device.clone()) };
                *op = Op::host(What::ChangeLink(mac), MAC);
            }
            What::ChangeLink(LinkChange { name, alias: Some(alias), .. }) if *name == part.device => {
                *alias = alias::on_bridge_of_host(alias);
                op.why = MARK;
            }
            _ => {}
        }
    }
}

pub(in crate::driver) fn kept(network: &Network, part: &BridgeNetwork) -> Vec<Op> {
    const ROUTE: &str = "the host reaches the endpoints by the bridge";
    const FORWARD: &str = "what comes in by the bridge is passed on";
    if part.mode != BridgeMode::Managed || part.parent.is_some() {
        return Vec::new();
    }
    let addresses = network.pools.iter().filter_map(Pool::host_address);
    let routes = connected_routes(addresses, &part.device).map(|route| Op::host(What::AddRoute(route), ROUTE));
    let forward = || {
        let setting = Sysctl::new(format!("net/ipv4/conf/{}/forwarding", part.device), "1");
        Op::host(What::Set(setting), FORWARD)
    };
    routes.chain(network.needs_forwarding(Family::V4).then(forward)).collect()
}

pub(in crate::driver) fn down(network: &Network, part: &BridgeNetwork, last: Last) -> Plan {
    const BRIDGE: &str = "the bridge goes, and with it its address and route";
    const FIREWALL: &str = "and what the firewall knew about it";
    let mut plan = Plan::new();
    if part.mode == BridgeMode::Managed {
        plan.push(Op::host(What::DeleteLink(LinkMark::new(part.device.clone(), part.mac)), BRIDGE));
    }
    match last {
        Last::Yes => plan.push(Op::host(What::DeleteTable(firewall::TABLE), FIREWALL)),
        Last::No => {
            let elements = elements(network, part).into_iter().map(What::DeleteElement);
            plan.ops.extend(elements.map(|what| Op::host(what, FIREWALL)));
        }
    }
    plan
}

pub(in crate::driver) fn down_from(network: &Network, part: &BridgeNetwork, found: &Leaving<'_>) -> Plan {
    const ADDRESS: &str = "the host's address on the bridge that stays for another network";
    const LEFT: &str = "the bridge goes with its last network";
    const UNMARKED: &str = "the bridge stays, since the host's own configuration made it";
    let mut plan = down(network, part, found.last);
    join_transaction(&mut plan, remove_guests(found.guests));
    let shared = found.others.iter().any(|other| other.shares_device_with(network));
    let foreign = recognise_network(part, found.device) == Presence::Foreign;
    let of_host = found.device.filter(|seen| is_of_host(part, seen));
    let mark = of_host.and_then(|seen| seen.alias.as_deref()).and_then(alias::read_network);
    if mark.is_some_and(|mark| mark.id == network.id) {
        let alias = Some(String::new());
        plan.push(Op::host(What::ChangeLink(LinkChange { alias, ..LinkChange::none(part.device.clone()) }), UNMARKED));
    }
    if shared || foreign || of_host.is_some() {
        plan.ops.retain(|op| !matches!(op.what, What::DeleteLink(_)));
    }
    for op in &mut plan.ops {
        if let What::DeleteLink(bridge) = &mut op.what {
            // Another program may have changed the MAC since; delete the bridge that was found.
            bridge.mac = found.device.and_then(|seen| seen.mac);
        }
    }
    let marked = found.device.is_some_and(|seen| seen.group == LinkGroup::OURS);
    if shared && marked {
        let own = network.pools.iter().filter_map(Pool::host_address);
        let gone = own.map(|address| What::DeleteAddress(Address::new(address, part.device.clone())));
        plan.ops.splice(0..0, gone.map(|what| Op::host(what, ADDRESS)));
    } else if !shared && marked && part.mode != BridgeMode::Managed {
        // The bridge was made for another network, which has been removed.
        let bridge = LinkMark { name: part.device.clone(), mac: None };
        plan.ops.insert(0, Op::host(What::DeleteLink(bridge), LEFT));
    }
    plan
}
