//! Gratuitous ARP and unsolicited neighbour advertisements, by packet socket.

use crate::apply::Group;
use crate::error::Error;
use crate::machine::Kernel;
use crate::sys;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::time::Duration;
use zubi_model::IfName;
use zubi_plan::{Announcement, Op, Outcome, Place, What};

const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;

const CARRIER_TRIES: u32 = 50;
const CARRIER_PAUSE: Duration = Duration::from_millis(2);

impl Kernel {
    /// Announcements of one sandbox; a device's carrier is waited for once.
    pub(crate) fn apply_announcements(&mut self, ops: &[Op]) -> Group {
        let mut group = Group { done: Vec::new(), error: None };
        let mut carries = None;
        for op in ops {
            let What::Announce(announcement) = &op.what else { continue };
            let waited = if carries == Some(&announcement.device) {
                Ok(())
            } else {
                self.wait_for_carrier(&op.place, &announcement.device)
            };
            carries = Some(&announcement.device);
            match waited.and_then(|()| self.announce(&op.place, announcement)) {
                Ok(outcome) => group.done.push((op.clone(), outcome)),
                Err(e) => {
                    group.error = Some(e);
                    break;
                }
            }
        }
        group
    }

    /// Sends one announcement from inside. Nothing is lost when it fails: neighbours then learn by asking.
    fn announce(&mut self, place: &Place, announcement: &Announcement) -> Result<Outcome, Error> {
        let index = self.index(place, announcement.device.as_str())?;
        let mac = announcement.mac.bytes();
        let frame = match announcement.address.addr() {
            IpAddr::V4(address) => gratuitous_arp(mac, address),
            IpAddr::V6(address) => unsolicited_advertisement(mac, address),
        };
        let sent = self.within(place, || {
            // Protocol 0: the socket only sends.
            let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
            sys::send_frame(socket.as_fd(), index.0, &frame)
        })?;
        sent.map(|()| Outcome::Created).map_err(|e| Error::system("announce from", &announcement.device, e))
    }

    /// Until the kernel has noticed that both ends are up, the inner one, the bridge port and the bridge drop what is
    /// sent through them without a word. Being asked about one link makes it look at that link (rtnl_getlink since
    /// Linux 6.9); before, it takes a moment. Without a carrier in the end, the announcement is lost and nothing else.
    fn wait_for_carrier(&mut self, place: &Place, device: &IfName) -> Result<(), Error> {
        for _ in 0..CARRIER_TRIES {
            let inner = self.link(place, device.as_str())?;
            let port = self.link_numbered(&Place::Host, inner.as_ref().and_then(|l| l.peer))?;
            let bridge = self.link_numbered(&Place::Host, port.as_ref().and_then(|l| l.master))?;
            if [inner, port, bridge].iter().flatten().all(|l| l.carrier) {
                return Ok(());
            }
            std::thread::sleep(CARRIER_PAUSE);
        }
        Ok(())
    }
}

/// RFC 5227, 3: a request in which sender and target are the same address.
fn gratuitous_arp(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend_from_slice(&[0xff; 6]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&ETH_P_ARP.to_be_bytes());
    // Ethernet, IPv4, six and four bytes, request.
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&address.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&address.octets());
    frame
}

/// RFC 4861, 4.4 and 7.2.6: to all nodes, with the override flag and our link-layer address.
fn unsolicited_advertisement(mac: [u8; 6], address: Ipv6Addr) -> Vec<u8> {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    message.extend_from_slice(&[2, 1]);
    message.extend_from_slice(&mac);
    let sum = icmpv6_checksum(address, all_nodes, &message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);

    let mut frame = Vec::with_capacity(86);
    frame.extend_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&ETH_P_IPV6.to_be_bytes());
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&(message.len() as u16).to_be_bytes());
    // Next header ICMPv6, hop limit 255 as RFC 4861 demands.
    frame.extend_from_slice(&[58, 255]);
    frame.extend_from_slice(&address.octets());
    frame.extend_from_slice(&all_nodes.octets());
    frame.extend_from_slice(&message);
    frame
}

/// RFC 4443, 2.3: over a pseudo-header and the message.
fn icmpv6_checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let mut bytes = from.octets().to_vec();
    bytes.extend_from_slice(&to.octets());
    bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 58]);
    bytes.extend_from_slice(message);
    let mut sum: u32 = bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arp_announces_sender_as_target() {
        let frame = gratuitous_arp([2, 0x42, 10, 0, 0, 2], Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(frame.len(), 42);
        assert_eq!(&frame[28..32], &frame[38..42]);
    }

    #[test]
    fn the_checksum_verifies_to_zero() {
        let address: Ipv6Addr = "fd00::2".parse().unwrap();
        let frame = unsolicited_advertisement([2, 0x42, 10, 0, 0, 2], address);
        assert_eq!(frame.len(), 86);
        let message = &frame[54..];
        assert_eq!(icmpv6_checksum(address, "ff02::1".parse().unwrap(), message), 0);
    }
}
