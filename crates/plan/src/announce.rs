//! Telling the neighbours where an address lives now.

use ipnet::IpNet;
use std::fmt;
use zubi_model::{IfName, Mac};

/// A gratuitous ARP (RFC 5227, 3) or an unsolicited neighbour advertisement (RFC 4861, 7.2.6), sent from inside right
/// after the link is up: otherwise neighbours that knew the address under another MAC cannot reach it for over
/// twelve seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The device to send from.
    pub device: IfName,
    /// Whose address.
    pub mac: Mac,
    /// What is announced.
    pub address: IpNet,
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.addr().is_ipv4() {
            write!(f, "arping -q -c 1 -U -I {} {}", self.device, self.address.addr())
        } else {
            write!(f, "ndsend {} {}", self.address.addr(), self.device)
        }
    }
}
