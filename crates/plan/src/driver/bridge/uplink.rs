//! A network card of the host on the bridge: the bridge takes over what the host has on the card, and gives it back.
//!
//! # How it works
//! No packet of the host is to be lost. For a moment both devices have everything, and until the card is a port, what is
//! sent by a route of the card still leaves:
//!
//! 1. The bridge gets the card's MAC, so that no neighbour notices, and the addresses without duplicate address
//!    detection, which takes a second. `rp_filter` is loose while routes and frames go by different devices.
//! 2. The bridge gets the neighbours that the card knows, so that the first packet asks nobody.
//! 3. The card becomes a port: from here on the bridge receives.
//! 4. The routes are appended behind those of the card, and those are deleted.
//! 5. The addresses leave the card, the last first, so that the first address of a subnet stays the first.
//!
//! Giving back is the same with the devices exchanged, but the card is released last: without a port, what is sent by
//! the bridge is lost. Until then the bridge receives for addresses that it has no more, as a host answers for all its
//! addresses on every device.

use crate::driver::bridge::links::{WithCard, with_card};
use crate::driver::bridge::network::{elements, mark};
use crate::{Op, Plan, Sysctl, What, firewall};
use std::path::Path;
use zubi_model::{BridgeNetwork, HeldAddress, Holdings, IfName, Network, StaticRoute};
use zubi_wire::route::{Address, Certainty, Dad, LinkChange, LinkMark, Neighbour, Route, Rule};

const LOOSE: &str = "while routes and frames go by different devices";
const NEIGHBOURS: &str = "who answered lately, so that the first packet asks nobody";

/// The settings of a card that the bridge gets: family and name.
pub const SETTINGS: &[(&str, &str)] = &[
    ("ipv4", "accept_local"),
    ("ipv4", "arp_announce"),
    ("ipv4", "arp_filter"),
    ("ipv4", "arp_ignore"),
    ("ipv4", "arp_notify"),
    ("ipv4", "forwarding"),
    ("ipv4", "promote_secondaries"),
    ("ipv4", "proxy_arp"),
    ("ipv4", "rp_filter"),
    ("ipv4", "src_valid_mark"),
    ("ipv6", "accept_dad"),
    ("ipv6", "accept_ra"),
    ("ipv6", "accept_redirects"),
    ("ipv6", "autoconf"),
    ("ipv6", "disable_ipv6"),
    ("ipv6", "force_forwarding"),
    ("ipv6", "forwarding"),
    ("ipv6", "proxy_ndp"),
    ("ipv6", "use_tempaddr"),
];

/// Makes the bridge take over what the host has on the card. The last operation marks the bridge: one with a mark is
/// complete.
pub(in crate::driver) fn take_over(
    network: &Network,
    part: &BridgeNetwork,
    parent: &IfName,
    held: &Holdings,
    run: &Path,
) -> Plan {
    const ELEMENTS: &str = "what the firewall has to know about this network";
    const SETTINGS: &str = "the bridge behaves as the card did";
    const MARK: &str = "all is there";
    let bridge = &part.device;
    let mut plan: Plan = firewall::layout().collect();
    plan.ops.extend(elements(network, part).into_iter().map(|element| Op::host(What::AddElement(element), ELEMENTS)));
    let WithCard { made, up, enslaved } = with_card(network, part, parent);
    plan.ops.extend(made);
    let settings = held.settings.iter().filter(|(_, name, _)| name != "rp_filter");
    plan.ops.extend(settings.map(|setting| set(bridge, setting, SETTINGS)));
    plan.push(loose(bridge));
    plan.push(up);
    plan.ops.extend(settle(bridge, held));
    plan.ops.extend(add_rules(parent, bridge, held));
    plan.ops.extend(enslaved);
    plan.ops.extend(move_routes(parent, bridge, held));
    plan.ops.extend(delete_rules(held));
    plan.ops.extend(leave(parent, held));
    let strict = held.settings.iter().filter(|(_, name, _)| name == "rp_filter");
    plan.ops.extend(strict.map(|setting| set(bridge, setting, SETTINGS)));
    plan.push(Op::host(What::ChangeLink(LinkChange::none(bridge.clone())), MARK));
    mark(&mut plan, network, part, run);
    plan
}

/// Gives the card back what the host has on the bridge, and deletes the bridge. `hasty`: addresses that a rollback has
/// put on the card already, without duplicate address detection.
pub(in crate::driver) fn give_card_back(
    part: &BridgeNetwork,
    parent: &IfName,
    held: &Holdings,
    hasty: &[HeldAddress],
) -> Plan {
    const RELEASE: &str = "the card is no port any more: it receives itself";
    const BRIDGE: &str = "the bridge goes";
    let bridge = &part.device;
    let mut plan = Plan::new();
    plan.push(loose(bridge));
    plan.ops.extend(settle(parent, held));
    plan.ops.extend(with_detection(parent, hasty));
    plan.ops.extend(add_rules(bridge, parent, held));
    plan.ops.extend(move_routes(bridge, parent, held));
    plan.ops.extend(leave(bridge, held));
    plan.push(Op::host(What::ChangeLink(LinkChange { release: true, ..LinkChange::none(parent.clone()) }), RELEASE));
    plan.ops.extend(delete_rules(held));
    plan.push(Op::host(What::DeleteLink(LinkMark::new(bridge.clone(), part.mac)), BRIDGE));
    plan
}

/// Adds the addresses and the neighbours.
fn settle(to: &IfName, held: &Holdings) -> Vec<Op> {
    const ADDRESSES: &str = "the host's addresses, on both devices for a moment; IPv6 does not wait for duplicates";
    let moved = |held: &HeldAddress| Address::moved(held.clone(), to.clone());
    let added = held.addresses.iter().map(|held| Op::host(What::AddAddress(moved(held)), ADDRESSES));
    let mut ops: Vec<Op> = added.collect();
    ops.extend(with_detection(to, &held.addresses));
    ops.extend(held.neighbours.iter().map(|held| {
        let certainty = if held.permanent { Certainty::Permanent } else { Certainty::Stale };
        let neighbour = Neighbour { address: held.address, mac: held.mac, device: to.clone(), certainty };
        Op::host(What::AddNeighbour(neighbour), NEIGHBOURS)
    }));
    ops
}

/// Lets the kernel detect duplicates of IPv6 addresses again where it did before.
fn with_detection(device: &IfName, addresses: &[HeldAddress]) -> Vec<Op> {
    const FLAGS: &str = "afterwards duplicates are detected again";
    let waits = addresses.iter().filter(|held| held.address.addr().is_ipv6() && !held.options.no_dad);
    let change = |held: &HeldAddress| Address { dad: Dad::Default, ..Address::moved(held.clone(), device.clone()) };
    waits.map(|held| Op::host(What::ChangeAddress(change(held)), FLAGS)).collect()
}

/// The policy rules that name a device, for another one as well.
fn add_rules(from: &IfName, to: &IfName, held: &Holdings) -> Vec<Op> {
    const RULES: &str = "policy rules that name the one device, for the other one as well";
    held.rules.iter().map(|rule| Op::host(What::AddPolicyRule(Rule(rule.moved(from, to))), RULES)).collect()
}

fn delete_rules(held: &Holdings) -> Vec<Op> {
    const RULES: &str = "the policy rules for the device that is left";
    held.rules.iter().map(|rule| Op::host(What::DeletePolicyRule(Rule(rule.clone())), RULES)).collect()
}

/// Appends the routes by one device behind those by the other, and deletes these. Next hops are on the link by routes
/// that come first.
fn move_routes(from: &IfName, to: &IfName, held: &Holdings) -> Vec<Op> {
    const APPEND: &str = "the routes, behind those by the other device";
    const DELETE: &str = "from here on packets leave by the new device";
    let by = |device: &IfName, route: &StaticRoute| Route {
        to: route.to,
        via: route.via,
        device: device.clone(),
        options: route.options,
    };
    let mut routes: Vec<_> = held.routes.iter().filter(|route| !held.comes_with_address(route)).collect();
    routes.sort_by_key(|route| route.via.is_some());
    let append = routes.iter().map(|route| Op::host(What::AppendRoute(by(to, route)), APPEND));
    let delete = routes.iter().rev().map(|route| Op::host(What::DeleteRoute(by(from, route)), DELETE));
    append.chain(delete).collect()
}

fn leave(from: &IfName, held: &Holdings) -> Vec<Op> {
    const LEAVE: &str = "the addresses leave the other device, and with them the routes to their subnets";
    let gone = |held: &HeldAddress| Address::moved(held.clone(), from.clone());
    held.addresses.iter().rev().map(|held| Op::host(What::DeleteAddress(gone(held)), LEAVE)).collect()
}

fn loose(bridge: &IfName) -> Op {
    Op::host(What::Set(Sysctl::new(format!("net/ipv4/conf/{bridge}/rp_filter"), "2")), LOOSE)
}

fn set(device: &IfName, (family, name, value): &(String, String, String), why: &'static str) -> Op {
    Op::host(What::Set(Sysctl::new(format!("net/{family}/conf/{device}/{name}"), value)), why)
}
