//! Networks: bridge, its address, what the firewall knows about it, forwarding.

use crate::endpoint::connected_routes;
use crate::{Op, Plan, Sysctl, What, firewall};
use zubi_model::{BridgeMode, Family, IfName, LinkGroup, Network, Pool, Promiscuity, Scope};
use zubi_wire::route::{Address, AdminState, Link, LinkChange, LinkKind, LinkMark, Switch};

/// The bridge of a network, as it is made and recognised. Its MTU is set when it goes up: one that a bridge is made with
/// follows the smallest of its ports, and is 1500 when the last has left (br_mtu_auto_adjust in net/bridge/br_if.c).
pub fn bridge(network: &Network) -> Link {
    Link {
        name: network.bridge.clone(),
        kind: LinkKind::Bridge,
        mac: network.bridge_mac,
        mtu: None,
        group: LinkGroup::OURS,
        master: None,
    }
}

/// IPv6 on a device that zubi made, to be set before it goes up: off where the network has none, else without
/// router advertisements (anybody on the link could send them) and without the two seconds of duplicate address
/// detection.
pub(crate) fn ipv6_settings(device: &IfName, has_ipv6: bool) -> Vec<Sysctl> {
    if has_ipv6 {
        vec![
            Sysctl::ipv6_device(device, "disable_ipv6", 0),
            Sysctl::ipv6_device(device, "accept_ra", 0),
            Sysctl::ipv6_device(device, "accept_dad", 0),
        ]
    } else {
        vec![Sysctl::ipv6_device(device, "disable_ipv6", 1)]
    }
}

/// How this host is made to pass IPv6 packets on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipv6Forwarding {
    /// By `force_forwarding` (Linux 6.17).
    Force,
    /// By `forwarding`, which makes the host ignore router advertisements: on these devices, which learn from them,
    /// they have to be asked for again.
    Classic {
        /// Devices whose `accept_ra` is 1.
        learning: Vec<IfName>,
    },
}

pub(crate) fn forwarding(family: Family, bridge: &IfName, ipv6: &Ipv6Forwarding) -> Vec<Sysctl> {
    match (family, ipv6) {
        (Family::V4, _) => vec![Sysctl::new("net/ipv4/ip_forward", "1")],
        // Writing `all` reaches the devices that are there, `default` those to come; and a bridge that came between
        // somebody else's `all` and our `default` has neither (net/ipv6/addrconf.c, addrconf_force_forward_change).
        (Family::V6, Ipv6Forwarding::Force) => ["default", "all", bridge.as_str()]
            .map(|whose| Sysctl::new(format!("net/ipv6/conf/{whose}/force_forwarding"), "1"))
            .to_vec(),
        (Family::V6, Ipv6Forwarding::Classic { learning }) => learning
            .iter()
            .map(|device| Sysctl::ipv6_device(device, "accept_ra", 2))
            .chain([Sysctl::new("net/ipv6/conf/all/forwarding", "1")])
            .collect(),
    }
}

/// Everything a network is made of. The guards stand before anything is up, and the bridge goes up last: one that is
/// up is complete.
pub fn up(network: &Network, ipv6: &Ipv6Forwarding) -> Plan {
    const BRIDGE: &str = "the bridge: a switch in software; its MAC is fixed, or it would change with its ports";
    const SETTINGS: &str = "before it goes up: no IPv6 nobody asked for, no router advertisements";
    const ELEMENTS: &str = "what the firewall has to know about this network";
    const ADDRESS: &str = "the gateway: the host's own address on the bridge";
    const FORWARD: &str = "let the host pass packets on between bridge and outside";
    const UP: &str = "everything is ready: switch the bridge on";

    if network.bridge_mode == BridgeMode::Unmanaged {
        return Plan::new();
    }
    let host = |why| move |what| Op::host(what, why);
    let managed = network.bridge_mode == BridgeMode::Managed;
    let has_ipv6 = network.pool(Family::V6).is_some();
    let mut plan: Plan = firewall::layout().collect();
    plan.ops.extend(firewall::network_elements(network).into_iter().map(What::AddElement).map(host(ELEMENTS)));
    if managed {
        plan.push(Op::host(What::AddLink(bridge(network)), BRIDGE));
        plan.ops.extend(ipv6_settings(&network.bridge, has_ipv6).into_iter().map(What::Set).map(host(SETTINGS)));
    }
    for address in network.pools.iter().filter_map(Pool::host_address) {
        plan.push(Op::host(What::AddAddress(Address::new(address, network.bridge.clone())), ADDRESS));
    }
    if network.scope == Scope::Routed {
        plan.ops.extend(
            network
                .pools
                .iter()
                .flat_map(|p| forwarding(p.subnet.family(), &network.bridge, ipv6))
                .map(What::Set)
                .map(host(FORWARD)),
        );
    }
    let mut go_up = LinkChange::state(network.bridge.clone(), AdminState::Up);
    go_up.mtu = network.mtu.filter(|_| managed);
    go_up.promisc = (network.promiscuity == Promiscuity::On).then_some(Switch::On);
    plan.push(Op::host(What::ChangeLink(go_up), UP));
    plan
}

/// What a bridge has by itself once it is up, and somebody may have taken away.
pub fn kept(network: &Network) -> Vec<Op> {
    const ROUTE: &str = "the host reaches the endpoints by the bridge";
    const FORWARD: &str = "what comes in by the bridge is passed on";
    if network.bridge_mode != BridgeMode::Managed {
        return Vec::new();
    }
    let addresses = network.pools.iter().filter_map(Pool::host_address);
    let routes = connected_routes(addresses, &network.bridge).map(|route| Op::host(What::AddRoute(route), ROUTE));
    let forwards = network.scope == Scope::Routed && network.pool(Family::V4).is_some();
    let forward =
        || Op::host(What::Set(Sysctl::new(format!("net/ipv4/conf/{}/forwarding", network.bridge), "1")), FORWARD);
    routes.chain(forwards.then(forward)).collect()
}

/// Whether other networks still need the firewall table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// This was the last network.
    Yes,
    /// Others stay.
    No,
}

/// Takes a network without endpoints away. What forwarding was before is not known here.
pub fn down(network: &Network, last: Last) -> Plan {
    const BRIDGE: &str = "the bridge goes, and with it its address and route";
    const FIREWALL: &str = "and what the firewall knew about it";
    let mut plan = Plan::new();
    if network.bridge_mode == BridgeMode::Managed {
        plan.push(Op::host(What::DeleteLink(LinkMark::new(network.bridge.clone(), network.bridge_mac)), BRIDGE));
    }
    match last {
        Last::Yes => plan.push(Op::host(What::DeleteTable(firewall::table()), FIREWALL)),
        Last::No => plan.ops.extend(
            firewall::network_elements(network).into_iter().map(|e| Op::host(What::DeleteElement(e), FIREWALL)),
        ),
    }
    plan
}
