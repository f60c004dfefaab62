//! The last step of a new device: it carries frames, it answers, and its neighbours know where it lives.

use std::fmt;
use std::net::Ipv6Addr;
use zubi_model::{IfName, Mac};
use zubi_wire::route::LinkChange;

/// What frames pass on their way from a device to its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Through {
    /// The port of a bridge on the host.
    Bridge {
        /// The port.
        port: IfName,
        /// The bridge.
        bridge: IfName,
    },
    /// Nothing: the neighbour is the other end.
    Cable,
}

/// What the neighbours may believe of the device's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// That they live at another MAC.
    MayBeWrong,
    /// Nothing, or what is right: whoever had the addresses before had the same MAC.
    AreRight,
}

/// A device that is up is waited for until frames pass and its addresses answer. If the neighbours may be wrong, gratuitous
/// ARP (RFC 5227, 3) and unsolicited neighbour advertisements (RFC 4861, 7.2.6) are sent for all its addresses: otherwise
/// neighbours that knew one under another MAC cannot reach it for over twelve seconds. Each of them is flooded to all
/// ports of the bridge before the call returns (2 ms of 900), so it is left out where nobody needs it.
///
/// The kernel sends them for a device with `arp_notify` and `ndisc_notify` when its MAC is set, to what it is already. It
/// does so when the device goes up as well, but then the bridge does not pass frames yet. Sending them by a packet
/// socket costs 8 to 15 ms: closing one waits for an RCU grace period (`packet_release` in net/packet/af_packet.c).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The device.
    pub device: IfName,
    /// Its MAC.
    pub mac: Mac,
    /// Its addresses that take the kernel a moment to answer.
    pub ipv6: Vec<Ipv6Addr>,
    /// What has to be ready besides the device.
    pub through: Through,
    /// Whether it takes more than waiting.
    pub neighbours: Neighbours,
}

impl Announcement {
    /// What makes the kernel send them, if anything has to be sent.
    pub fn change(&self) -> Option<LinkChange> {
        (self.neighbours == Neighbours::MayBeWrong).then(|| LinkChange::mac(self.device.clone(), self.mac))
    }
}

/// Being asked about a link makes the kernel look whether it carries.
impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.change() {
            Some(change) => write!(f, "ip {change}"),
            None => write!(f, "ip link show {}", self.device),
        }
    }
}
