//! The devices: bridges and pairs, how they are made and identified.

use crate::{Op, What};
use zubi_model::{BridgeNetwork, Endpoint, IfName, LinkGroup, Network, Pair, VlanId};
use zubi_wire::route::{AdminState, Link, LinkChange, LinkKind, Peer, PortVlan, Stub, Switch, Tagging, VlanMember};

/// The bridge as it is made and recognised. Its MTU is set when it goes up: one that a bridge is made with follows the
/// smallest of its ports, and is 1500 when the last has left (br_mtu_auto_adjust in net/bridge/br_if.c).
pub(super) fn bridge(part: &BridgeNetwork) -> Link {
    Link {
        name: part.device.clone(),
        kind: LinkKind::Bridge,
        mac: part.mac,
        mtu: None,
        group: LinkGroup::OURS,
        master: None,
    }
}

/// The operations on a bridge and its card that stay as they are while the network exists, in this order.
pub(super) struct WithCard {
    /// The bridge is there, and tells VLANs apart where the network is in one.
    pub(super) made: Vec<Op>,
    /// It is up.
    pub(super) up: Op,
    /// The card is a port.
    pub(super) enslaved: Vec<Op>,
}

pub(super) fn with_card(network: &Network, part: &BridgeNetwork, parent: &IfName) -> WithCard {
    const BRIDGE: &str = "the bridge: it has the card's MAC, so that the LAN notices nothing";
    const PORT: &str = "the card is a port: the bridge receives what comes in";
    const UP: &str = "the bridge is up";
    const FILTER: &str =
        "the bridge tells VLANs apart; a port is in VLAN 1, without a tag, unless it is told otherwise";
    const HOST: &str = "the host stays where it is on the LAN: its frames have no tag";
    const CARD: &str = "the endpoints' frames leave by the card with their tag";
    let bridge_itself = part.device.clone();
    let mut made = vec![Op::host(What::AddLink(bridge(part)), BRIDGE)];
    let enslave = LinkChange { master: Some(part.device.clone()), ..LinkChange::none(parent.clone()) };
    let mut enslaved = vec![Op::host(What::ChangeLink(enslave), PORT)];
    if let Some(vlan) = part.vlan {
        let filter = LinkChange { vlan_filtering: Some(Switch::On), ..LinkChange::none(bridge_itself.clone()) };
        made.push(Op::host(What::ChangeLink(filter), FILTER));
        let host = PortVlan::new(bridge_itself, VlanId::UNTAGGED, Tagging::Untagged);
        made.push(Op::host(What::AddVlan(PortVlan { member: VlanMember::Host, ..host }), HOST));
        enslaved.push(Op::host(What::AddVlan(PortVlan::new(parent.clone(), vlan, Tagging::Tagged)), CARD));
    }
    WithCard { made, up: Op::host(What::ChangeLink(raise(network, part)), UP), enslaved }
}

fn raise(network: &Network, part: &BridgeNetwork) -> LinkChange {
    LinkChange { mtu: network.mtu, ..LinkChange::state(part.device.clone(), AdminState::Up) }
}

/// The pair as it is made; its host end is recognised by name, MAC and group.
pub(in crate::driver) fn pair(network: &Network, endpoint: &Endpoint, part: &Pair, master: Option<IfName>) -> Link {
    Link {
        name: part.host.clone(),
        kind: match &endpoint.handed_over {
            None => LinkKind::Veth(Peer {
                name: endpoint.ifname.clone(),
                mac: endpoint.mac,
                netns: endpoint.sandbox.reached_by.clone(),
            }),
            Some(waiting) => LinkKind::Stub(Stub { name: waiting.clone(), mac: endpoint.mac }),
        },
        mac: endpoint.host_mac(),
        mtu: network.mtu,
        group: LinkGroup::OURS,
        master,
    }
}

/// The name of the inner end while it waits for its deletion.
pub(in crate::driver) fn doomed_name(endpoint: &Endpoint, pair: &Pair) -> Option<IfName> {
    if let Some(rest) = pair.host.as_str().strip_prefix("zv") {
        return format!("zd{rest}").parse().ok();
    }
    // The caller chose the name of the host end, so use digits of the MAC.
    let [_, _, digits @ ..] = endpoint.mac.bytes();
    format!("zd{}", digits.map(|byte| format!("{byte:02x}")).concat()).parse().ok()
}
