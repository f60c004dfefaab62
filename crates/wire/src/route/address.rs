//! Addresses: `ip addr` (RTM_NEWADDR; linux/if_addr.h).

use super::{NetnsId, address_of, af, bytes_of};
use crate::message::{Batch, Message, flag};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::{IfIndex, IfName};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_TARGET_NETNSID: u16 = 10;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_DADFAILED: u8 = 0x08;
const IFA_F_TENTATIVE: u8 = 0x40;
const HEADER: usize = 8;

/// Duplicate address detection, for IPv6. It keeps an address unusable for two seconds. Addresses from IPAM are known
/// to be free and do not need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dad {
    /// As the device's settings say.
    Default,
    /// None.
    Skip,
}

/// An address on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address with its prefix length.
    pub address: IpNet,
    /// The device.
    pub device: IfName,
    /// Only for IPv6.
    pub dad: Dad,
}

impl Address {
    /// An address that zubi's own IPAM gave.
    pub fn new(address: IpNet, device: IfName) -> Self {
        let dad = if address.addr().is_ipv6() { Dad::Skip } else { Dad::Default };
        Address { address, device, dad }
    }

    /// Appends `ip addr add`.
    pub fn encode(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_NEWADDR, flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL, device);
    }

    /// Appends `ip addr del`.
    pub fn encode_delete(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_DELADDR, flag::REQUEST | flag::ACK, device);
    }

    fn message(&self, batch: &mut Batch, kind: u16, flags: u16, IfIndex(device): IfIndex) {
        batch.message(kind, flags, |b| {
            let mut header = [0; HEADER];
            header[0] = af(self.address.addr());
            header[1] = self.address.prefix_len();
            header[4..8].copy_from_slice(&device.to_ne_bytes());
            b.header(&header);
            b.attr(IFA_LOCAL, &bytes_of(self.address.addr()));
            b.attr(IFA_ADDRESS, &bytes_of(self.address.addr()));
            if self.dad == Dad::Skip {
                b.u32(IFA_FLAGS, IFA_F_NODAD);
            }
        });
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dev {}", self.address, self.device)?;
        if self.dad == Dad::Skip { f.write_str(" nodad") } else { Ok(()) }
    }
}

/// An address as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressSeen {
    /// The address with its prefix length.
    pub address: IpNet,
    /// The device.
    pub device: IfIndex,
    /// The state of its duplicate address detection.
    pub uniqueness: Uniqueness,
}

/// The result of duplicate address detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Uniqueness {
    /// It can be used.
    Known,
    /// It cannot be used yet.
    Tentative,
    /// Another host has it.
    Duplicate,
}

impl AddressSeen {
    /// Reads an `RTM_NEWADDR`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let head = message.payload.get(..HEADER)?;
        if message.kind != RTM_NEWADDR {
            return None;
        }
        let a = message.attributes(HEADER);
        let address = address_of(a.get(IFA_LOCAL).or_else(|| a.get(IFA_ADDRESS))?)?;
        let device = u32::from_ne_bytes(head.get(4..8)?.try_into().ok()?);
        let has = |flag: u8| head[2] & flag != 0;
        let uniqueness = match (has(IFA_F_DADFAILED), has(IFA_F_TENTATIVE)) {
            (true, _) => Uniqueness::Duplicate,
            (false, true) => Uniqueness::Tentative,
            (false, false) => Uniqueness::Known,
        };
        Some(AddressSeen { address: IpNet::new(address, head[1]).ok()?, device: IfIndex(device), uniqueness })
    }

    /// Appends a query for the addresses of one device (needs strict checking, `NETLINK_GET_STRICT_CHK`) or of all.
    pub fn dump(batch: &mut Batch, device: Option<IfIndex>) {
        batch.message(RTM_GETADDR, flag::REQUEST | flag::DUMP, |b| {
            let mut header = [0; HEADER];
            if let Some(IfIndex(device)) = device {
                header[4..8].copy_from_slice(&device.to_ne_bytes());
            }
            b.header(&header);
        });
    }

    /// Appends a query for the addresses in another namespace, by its number (needs strict checking too). Its devices
    /// have the indexes that they have there.
    pub fn dump_in(batch: &mut Batch, NetnsId(namespace): NetnsId) {
        batch.message(RTM_GETADDR, flag::REQUEST | flag::DUMP, |b| {
            b.header(&[0; HEADER]);
            b.u32(IFA_TARGET_NETNSID, namespace.cast_unsigned());
        });
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, ours};

    const ADD4: &str = "\
        280000001400050600000000000000000218000002000000080002000a010001080001000a010001";
    const DELETE4: &str = "\
        280000001500050000000000000000000218000002000000080002000a010001080001000a010001";
    const ADD6: &str = "\
        400000001400050600000000000000000a4002000200000014000200fd00000100000000000000000000000114000100 \
        fd000001000000000000000000000001";

    fn address(net: &str) -> Address {
        Address::new(net.parse().unwrap(), "zb-blue".parse().unwrap())
    }

    #[test]
    fn says_what_ip_addr_says() {
        let v4 = address("10.1.0.1/24");
        assert_eq!(lines(&ours(|b| v4.encode(b, IfIndex(2))), HEADER, &[]), lines(&bytes(ADD4), HEADER, &[]));
        assert_eq!(lines(&ours(|b| v4.encode_delete(b, IfIndex(2))), HEADER, &[]), lines(&bytes(DELETE4), HEADER, &[]));
    }

    #[test]
    fn says_what_ip_addr_says_of_ipv6() {
        let mut recorded = bytes(ADD6);
        // `ip` writes small flags into the header as well; the kernel prefers the attribute.
        recorded[16 + 2] = 0;
        recorded.extend([8, 0, 8, 0, 2, 0, 0, 0]);
        recorded[0] += 8;
        let address = address("fd00:1::1/64");
        assert_eq!(lines(&ours(|b| address.encode(b, IfIndex(2))), HEADER, &[]), lines(&recorded, HEADER, &[]));
    }

    #[test]
    fn asks_for_the_addresses_in_another_namespace() {
        let asked = ours(|b| AddressSeen::dump_in(b, NetnsId(5)));
        assert_eq!(asked[16..], [0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 10, 0, 5, 0, 0, 0]);
        assert_eq!(asked[4..8], [22, 0, 1, 3]);
    }

    #[test]
    fn prints_the_words_of_ip_addr_add() {
        assert_eq!(address("10.1.0.1/24").to_string(), "10.1.0.1/24 dev zb-blue");
        assert_eq!(address("fd00:1::1/64").to_string(), "fd00:1::1/64 dev zb-blue nodad");
    }
}
