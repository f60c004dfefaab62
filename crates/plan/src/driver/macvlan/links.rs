//! The devices: the endpoint's, and one of the network's own where it has no network card.

use zubi_model::{Endpoint, HostShim, IfName, LinkGroup, Mac, MacvlanNetwork, Mtu, Network, OnParent};
use zubi_wire::route::{Link, LinkKind, OnCard, Stub, Vlan};

/// The endpoint's device as it is made. In a sandbox it carries no group: a zubi that runs there would take it for its
/// own stray.
pub(super) fn inner(network: &Network, part: &MacvlanNetwork, endpoint: &Endpoint, on: &OnParent) -> Link {
    link(
        endpoint.handed_over.clone().unwrap_or_else(|| endpoint.ifname.clone()),
        LinkKind::OnCard(OnCard {
            parent: on.parent.clone(),
            mode: part.mode,
            netns: endpoint.handed_over.is_none().then(|| endpoint.sandbox.reached_by.clone()),
            broadcasts: part.broadcasts,
            key: on.ipvlan.map_or(endpoint.mac, |ipvlan| ipvlan.key),
        }),
        endpoint.mac,
        network.mtu,
        LinkGroup::DEFAULT,
    )
}

/// What zubi makes to carry a network: nothing where that is on a device of the host.
pub(super) fn carrier(part: &MacvlanNetwork, mtu: Option<Mtu>) -> Option<Link> {
    if let Some(vlan) = &part.vlan {
        let kind = LinkKind::Vlan(Vlan { card: vlan.card.clone(), id: vlan.id });
        return Some(link(part.parent.clone(), kind, vlan.mac, None, LinkGroup::OURS));
    }
    own(part, part.own?, mtu)
}

/// The device that carries a network without a network card. The name of its other end fits, as its own does.
fn own(part: &MacvlanNetwork, mac: Mac, mtu: Option<Mtu>) -> Option<Link> {
    let stub = Stub { name: part.stub().ok()?, mac: mac.host_end() };
    Some(link(part.parent.clone(), LinkKind::Stub(stub), mac, mtu, LinkGroup::OURS))
}

/// The host's own macvlan.
pub(super) fn shim(network: &Network, part: &MacvlanNetwork, shim: &HostShim) -> Link {
    let (parent, broadcasts) = (part.parent.clone(), part.broadcasts);
    let kind = LinkKind::OnCard(OnCard { parent, mode: part.mode, netns: None, broadcasts, key: shim.mac });
    link(shim.device.clone(), kind, shim.mac, network.mtu, LinkGroup::OURS)
}

fn link(name: IfName, kind: LinkKind, mac: Mac, mtu: Option<Mtu>, group: LinkGroup) -> Link {
    Link { name, kind, mac, mtu, group, master: None }
}
