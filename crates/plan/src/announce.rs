//! Telling the neighbours where an address lives now.

use std::fmt;
use zubi_model::{IfName, Mac};
use zubi_wire::route::LinkChange;

/// What frames pass on their way from a device to its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// The port of a bridge on the host.
    Bridge,
    /// Nothing: the neighbour is the other end.
    Cable,
}

/// Gratuitous ARP (RFC 5227, 3) and unsolicited neighbour advertisements (RFC 4861, 7.2.6) for all addresses of a device:
/// otherwise neighbours that knew one under another MAC cannot reach it for over twelve seconds.
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
    /// What has to be ready besides the device.
    pub through: Through,
}

impl Announcement {
    /// What makes the kernel send them.
    pub fn change(&self) -> LinkChange {
        LinkChange::mac(self.device.clone(), self.mac)
    }
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ip {}", self.change())
    }
}
