//! The last step for a new device: it carries frames and answers, and its neighbours know its MAC.

use std::fmt;
use std::net::Ipv6Addr;
use zubi_model::{IfName, Mac};
use zubi_wire::route::LinkChange;

/// What frames pass through between a device and its neighbours.
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
    /// A network card of the host, which is not ours.
    Card,
}

/// What neighbours may have cached of the device's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// Another MAC.
    MayBeWrong,
    /// Nothing, or the right MAC: the endpoint that had the addresses before had the same.
    AreRight,
}

/// Waits until frames pass and the addresses of a device that is up answer. If neighbours may be wrong, the device also
/// sends gratuitous ARP (RFC 5227, 3) and unsolicited neighbour advertisements (RFC 4861, 7.2.6) for all its addresses:
/// otherwise neighbours that cached another MAC cannot reach them for over twelve seconds. Each of these is flooded to
/// all ports of the bridge before the call returns (2 ms of 900), so they are left out where no neighbour needs them.
///
/// The kernel sends them for a device with `arp_notify` and `ndisc_notify` when its MAC is set, even to the same. It
/// does so when the device goes up as well, but then the bridge does not pass frames yet. Sending them by a packet
/// socket costs 8 to 15 ms: closing one waits for an RCU grace period (`packet_release` in net/packet/af_packet.c).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The device.
    pub device: IfName,
    /// Its MAC.
    pub mac: Mac,
    /// Its IPv6 addresses: it takes the kernel a moment until they answer.
    pub ipv6: Vec<Ipv6Addr>,
    /// What has to be ready besides the device.
    pub through: Through,
    /// Whether the device has to announce its addresses.
    pub neighbours: Neighbours,
}

impl Announcement {
    /// The change that makes the kernel send the announcements, if they are needed.
    pub fn change(&self) -> Option<LinkChange> {
        (self.neighbours == Neighbours::MayBeWrong).then(|| LinkChange::mac(self.device.clone(), self.mac))
    }
}

/// The kernel checks a link's carrier when it is asked about the link.
impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.change() {
            Some(change) => write!(f, "ip {change}"),
            None => write!(f, "ip link show {}", self.device),
        }
    }
}
