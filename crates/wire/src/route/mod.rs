//! Route netlink (linux/rtnetlink.h, linux/if_link.h): links, bridge ports, addresses, routes, rules, neighbours,
//! filters.

mod address;
mod bridge;
mod device_settings;
mod filter;
mod link;
mod neighbour;
mod netns_id;
mod port;
mod reported_mac;
#[expect(clippy::module_inception, reason = "named as `ip` names it: routes are one part of route netlink")]
mod route;
mod rule;
mod statistics;
mod vlan;

pub use address::{Address, AddressSeen, Dad, Uniqueness, held_address};
pub use bridge::{BridgeId, BridgeSeen};
pub use device_settings::DeviceSettings;
pub use filter::{Filter, FilterSeen, FilterSide, Instruction, add_hooks, delete_hooks, get_hooks};
pub use link::{
    AddrGenMode, AdminState, Destination, LONGEST_ALIAS, Link, LinkChange, LinkKind, LinkMark, LinkMove, LinkRef,
    LinkSeen, OnCard, Peer, Stub, Vlan, delete as delete_link, delete_group, dump_links, get_link, probe_kind,
};
pub use neighbour::{
    Certainty, EntryOrigin, ForwardingEntry, Neighbour, NeighbourSeen, ask_neighbour, forget_neighbour,
};
pub use netns_id::NetnsId;
pub use port::{BridgePort, PortSeen, Switch};
pub use route::{Route, RouteOfDevice, RouteProtocol, RouteSeen, dump_routes};
pub use rule::{Rule, RuleSeen, WholeRule};
pub use statistics::{Counted, LinkStatistics};
pub use vlan::{PortVlan, PortVlanSeen, Tagging, VlanMember};

use std::net::IpAddr;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_BRIDGE: u8 = 7;
const AF_INET6: u8 = 10;

fn af(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// Address bytes in network order.
fn bytes_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// An address from attribute bytes; the length tells the family.
fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The `ip` option that selects the family when it is not the default.
fn family_word(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "" } else { "-6 " }
}
