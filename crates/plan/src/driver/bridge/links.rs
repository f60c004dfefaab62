//! The devices: bridges and pairs, how they are made and identified.

use crate::{Op, What};
use zubi_model::{BridgeNetwork, Endpoint, IfName, LinkGroup, Network, Pair};
use zubi_wire::route::{AdminState, Link, LinkChange, LinkKind, Peer, Stub};

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

/// The operations on the card and its bridge that stay as they are while the network exists.
pub(super) fn with_card(network: &Network, part: &BridgeNetwork, parent: &IfName) -> [Op; 3] {
    const BRIDGE: &str = "the bridge: it has the card's MAC, so that the LAN notices nothing";
    const PORT: &str = "the card is a port: the bridge receives what comes in";
    const UP: &str = "the bridge is up";
    let enslave = LinkChange { master: Some(part.device.clone()), ..LinkChange::none(parent.clone()) };
    [
        Op::host(What::AddLink(bridge(part)), BRIDGE),
        Op::host(What::ChangeLink(raise(network, part)), UP),
        Op::host(What::ChangeLink(enslave), PORT),
    ]
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
