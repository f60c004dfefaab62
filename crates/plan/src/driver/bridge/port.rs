//! The port of a bridge that is the host end of an endpoint's pair.

use crate::{Op, What};
use zubi_model::{BridgeNetwork, Endpoint, Hairpin, Icc, Pair, SourceMac, VlanId};
use zubi_wire::route::{BridgePort, ForwardingEntry, PortVlan, Switch, Tagging};

/// The settings of a new pair's port that differ from the kernel's defaults.
pub(super) fn new_port(part: &BridgeNetwork, endpoint: &Endpoint, pair: &Pair) -> Vec<Op> {
    const ISOLATED: &str = "endpoints of this network do not reach each other";
    const HAIRPIN: &str = "what an endpoint sends to a published port of its own may come back by the same cable";
    const LOCKED: &str = "frames from other MACs than the endpoint's own are dropped";
    let whole = whole_port(part, endpoint, pair);
    let on = |switch: Option<Switch>| switch.filter(|switch| *switch == Switch::On);
    let (isolated, hairpin, locked) = (on(whole.isolated), on(whole.hairpin), on(whole.locked));
    let why = match (isolated, hairpin) {
        (Some(_), _) => ISOLATED,
        (None, Some(_)) => HAIRPIN,
        (None, None) => LOCKED,
    };
    let mut ops: Vec<Op> = in_vlan(part, pair).collect();
    if locked.is_some() {
        ops.push(Op::host(What::AddForwarding(own_mac(endpoint, pair)), LOCKED));
    }
    if isolated.is_some() || hairpin.is_some() || locked.is_some() {
        let change = BridgePort { isolated, hairpin, locked, ..BridgePort::new(pair.host.clone()) };
        ops.push(Op::host(What::ChangePort(change), why));
    }
    ops
}

/// The port is in the network's VLAN, and in no other. The kernel puts every new port into VLAN 1.
pub(super) fn in_vlan(part: &BridgeNetwork, pair: &Pair) -> impl Iterator<Item = Op> {
    const VLAN: &str = "the endpoint is in this VLAN alone, and its frames have no tag";
    let untagged = |vlan| PortVlan::new(pair.host.clone(), vlan, Tagging::Untagged);
    let leave =
        part.vlan.filter(|vlan| *vlan != VlanId::UNTAGGED).map(|_| What::DeleteVlan(untagged(VlanId::UNTAGGED)));
    let enter = part.vlan.map(|vlan| What::AddVlan(untagged(vlan)));
    leave.into_iter().chain(enter).map(|what| Op::host(what, VLAN))
}

/// All settings of the port that other programs may have changed.
pub(super) fn whole_port(part: &BridgeNetwork, endpoint: &Endpoint, pair: &Pair) -> BridgePort {
    BridgePort {
        name: pair.host.clone(),
        isolated: Some(isolation_of(part)),
        hairpin: Some(hairpin_of(part, endpoint)),
        locked: Some(match endpoint.traits.source_mac {
            SourceMac::Own => Switch::On,
            SourceMac::Any => Switch::Off,
        }),
        learning: Some(Switch::On),
        flood: Some(Switch::On),
    }
}

/// Whether frames may leave by the port that they came in by.
pub(super) fn hairpin_of(part: &BridgeNetwork, endpoint: &Endpoint) -> Switch {
    match part.hairpin {
        Hairpin::Published if endpoint.ports.is_empty() => Switch::Off,
        Hairpin::Published | Hairpin::Always => Switch::On,
    }
}

/// Whether the bridge keeps frames from going to its other isolated ports.
pub(super) fn isolation_of(part: &BridgeNetwork) -> Switch {
    match part.icc {
        Icc::Isolated => Switch::On,
        Icc::Allowed => Switch::Off,
    }
}

/// Sets whether frames may leave by the port that they came in by.
pub(super) fn set_hairpin(pair: &Pair, hairpin: Switch, why: &'static str) -> Op {
    let change = BridgePort { hairpin: Some(hairpin), ..BridgePort::new(pair.host.clone()) };
    Op::host(What::ChangePort(change), why)
}

/// The forwarding entry that lets a locked port accept the endpoint's own frames.
pub(super) fn own_mac(endpoint: &Endpoint, pair: &Pair) -> ForwardingEntry {
    ForwardingEntry { mac: endpoint.mac, port: pair.host.clone() }
}
