//! Values that tests are made of: no kernel.

use zubi_model::{IfIndex, IfName, LinkGroup, Mac, NetnsCookie, NsRef};
use zubi_plan::{Op, Place, What};
use zubi_snapshot::{Namespace, Snapshot};
use zubi_wire::route::{
    AddressSeen, AdminState, DeviceSettings, Link, LinkKind, LinkSeen, Peer, PortSeen, RouteProtocol, RouteSeen,
    Switch, Uniqueness,
};

pub const OUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const INNER: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const BRIDGE: IfIndex = IfIndex(3);
pub const PORT: IfIndex = IfIndex(4);
pub const ETH0: IfIndex = IfIndex(2);

pub fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

pub fn mac(bytes: [u8; 6]) -> Mac {
    Mac::from_kernel(bytes)
}

pub fn c1() -> NsRef {
    NsRef::Named("c1".parse().unwrap())
}

pub fn inside() -> Place {
    Place::Sandbox(c1())
}

pub fn host(what: What) -> Op {
    Op::host(what, "")
}

pub fn within(what: What) -> Op {
    Op::sandbox(&c1(), what, "")
}

pub fn seen(device: &str, index: IfIndex, bytes: [u8; 6]) -> LinkSeen {
    LinkSeen {
        index,
        name: device.into(),
        mac: Some(mac(bytes)),
        mtu: 1500,
        state: AdminState::Up,
        carrier: true,
        promisc: Switch::Off,
        allmulticast: Switch::Off,
        tx_queue: 1000,
        group: LinkGroup::DEFAULT,
        alias: None,
        master: None,
        kind: Some("veth".into()),
        peer: None,
        peer_netns: Some(zubi_wire::route::NetnsId(0)),
        bridge: None,
        vlan: None,
        addr_gen_mode: None,
        settings: DeviceSettings::default(),
        port: None,
    }
}

pub fn port_seen() -> PortSeen {
    PortSeen {
        isolated: Switch::Off,
        hairpin: Switch::Off,
        locked: Switch::Off,
        learning: Switch::On,
        flood: Switch::On,
    }
}

/// The host end of the pair of c1, as made.
pub fn host_end() -> LinkSeen {
    LinkSeen { group: LinkGroup::OURS, master: Some(BRIDGE), port: Some(port_seen()), ..seen("zv1", PORT, OUTER) }
}

pub fn bridge() -> LinkSeen {
    LinkSeen { group: LinkGroup::OURS, kind: Some("bridge".into()), ..seen("zb-blue", BRIDGE, [2, 0, 0, 0, 0, 9]) }
}

/// The pair of c1 as it is made.
pub fn pair() -> Link {
    Link {
        name: name("zv1"),
        kind: LinkKind::Veth(Peer { name: name("eth0"), mac: mac(INNER), netns: c1() }),
        mac: mac(OUTER),
        mtu: Some(1500.try_into().unwrap()),
        group: LinkGroup::OURS,
        master: Some(name("zb-blue")),
    }
}

pub fn address(device: IfIndex, text: &str) -> AddressSeen {
    AddressSeen { address: text.parse().unwrap(), device, uniqueness: Uniqueness::Known }
}

pub fn default_route(via: &str, device: IfIndex) -> RouteSeen {
    RouteSeen {
        to: "0.0.0.0/0".parse().unwrap(),
        via: Some(via.parse().unwrap()),
        device: Some(device),
        table: 254,
        protocol: RouteProtocol::OURS,
        metric: 0,
    }
}

/// A host with bridge and host end, and c1 with the inner end, its address and a default route.
pub fn whole() -> Snapshot {
    let mut snapshot = Snapshot::new();
    snapshot.set_links(&Place::Host, vec![bridge(), host_end()]);
    snapshot.set_namespace(&inside(), Namespace::Open(NetnsCookie(17)));
    snapshot.set_links(&inside(), vec![seen("lo", IfIndex(1), [0; 6]), seen("eth0", ETH0, INNER)]);
    snapshot.set_addresses(&inside(), vec![address(ETH0, "10.1.0.2/24")]);
    snapshot.set_routes(&inside(), zubi_model::Family::V4, vec![default_route("10.1.0.1", ETH0)]);
    snapshot
}
