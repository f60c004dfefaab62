//! Addresses: `ip addr` (RTM_NEWADDR; linux/if_addr.h).

use super::{NetnsId, address_of, af, bytes_of};
use crate::message::{Batch, Message, flag};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use zubi_model::{AddressOptions, HeldAddress, IfIndex, IfName, Lifetime};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_RT_PRIORITY: u16 = 9;
const IFA_PROTO: u16 = 11;
const IFA_TARGET_NETNSID: u16 = 10;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_HOMEADDRESS: u32 = 0x10;
const IFA_F_MANAGETEMPADDR: u32 = 0x100;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_F_MCAUTOJOIN: u32 = 0x400;
/// The kernel marks its own addresses with numbers up to `IFAPROT_KERNEL_LL`. `ip` before 6.4 has no word for others.
const KERNELS_LAST: u8 = 3;
/// `INFINITY_LIFE_TIME` of net/addrconf.h.
const FOR_EVER: u32 = u32::MAX;
const IFA_F_DADFAILED: u8 = 0x08;
const IFA_F_TENTATIVE: u8 = 0x40;
/// `IFNAMSIZ` of linux/if.h, without its NUL.
const LONGEST_LABEL: usize = 15;
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
    /// The rest.
    pub options: AddressOptions,
}

impl Address {
    /// An address that zubi's own IPAM gave.
    pub fn new(address: IpNet, device: IfName) -> Self {
        let dad = if address.addr().is_ipv6() { Dad::Skip } else { Dad::Default };
        Address { address, device, dad, options: AddressOptions::default() }
    }

    /// An address of the host that moves to another device. It is known to be unique.
    pub fn moved(held: HeldAddress, device: IfName) -> Self {
        let mut options = held.options;
        // What follows the name of the old device follows that of the new one.
        options.label = options.label.and_then(|label| match label.strip_prefix(':') {
            Some(_) => Some(format!("{device}{label}")).filter(|whole| whole.len() <= LONGEST_LABEL),
            None => Some(label),
        });
        Address { options, ..Address::new(held.address, device) }
    }

    /// Appends `ip addr add`.
    pub fn encode(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_NEWADDR, flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL, device);
    }

    /// Appends `ip addr change`.
    pub fn encode_change(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_NEWADDR, flag::REQUEST | flag::ACK | flag::REPLACE, device);
    }

    /// Appends `ip addr del`.
    pub fn encode_delete(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_DELADDR, flag::REQUEST | flag::ACK, device);
    }

    fn message(&self, batch: &mut Batch, kind: u16, flags: u16, IfIndex(device): IfIndex) {
        batch.message(kind, flags, |b| {
            let options = &self.options;
            let peer = options.peer.unwrap_or(self.address);
            let mut header = [0; HEADER];
            header[0] = af(self.address.addr());
            header[1] = peer.prefix_len();
            header[3] = options.scope;
            header[4..8].copy_from_slice(&device.to_ne_bytes());
            b.header(&header);
            b.attr(IFA_LOCAL, &bytes_of(self.address.addr()));
            b.attr(IFA_ADDRESS, &bytes_of(peer.addr()));
            if let Some(broadcast) = options.broadcast {
                b.attr(IFA_BROADCAST, &broadcast.octets());
            }
            if let Some(label) = &options.label {
                b.text(IFA_LABEL, label);
            }
            if let Some(metric) = options.metric {
                b.u32(IFA_RT_PRIORITY, metric);
            }
            if let Some(protocol) = options.protocol {
                b.u8(IFA_PROTO, protocol);
            }
            if options.lifetime != Lifetime::default() {
                let Lifetime { valid, preferred } = options.lifetime;
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&preferred.unwrap_or(FOR_EVER).to_ne_bytes());
                bytes[4..8].copy_from_slice(&valid.unwrap_or(FOR_EVER).to_ne_bytes());
                b.attr(IFA_CACHEINFO, &bytes);
            }
            let flags = self.flags();
            if flags != 0 {
                b.u32(IFA_FLAGS, flags);
            }
        });
    }
}

impl Address {
    /// The words that distinguish it from others on its device.
    pub fn which(&self) -> String {
        match self.options.peer {
            Some(peer) => format!("{} peer {peer}", self.address.addr()),
            None => self.address.to_string(),
        }
    }

    fn flags(&self) -> u32 {
        let options = &self.options;
        let all = [
            (self.dad == Dad::Skip || options.no_dad, IFA_F_NODAD),
            (options.home, IFA_F_HOMEADDRESS),
            (options.manages_temporary, IFA_F_MANAGETEMPADDR),
            (options.no_prefix_route, IFA_F_NOPREFIXROUTE),
            (options.joins_group, IFA_F_MCAUTOJOIN),
        ];
        all.into_iter().filter(|(has, _)| *has).fold(0, |flags, (_, flag)| flags | flag)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        f.write_str(&self.which())?;
        if let Some(broadcast) = options.broadcast {
            write!(f, " brd {broadcast}")?;
        }
        write!(f, " dev {}", self.device)?;
        if let Some(label) = &options.label {
            write!(f, " label {label}")?;
        }
        // `ip` chooses the scope of a loopback or link-local address by itself, unless it is told.
        if options.scope != 0 {
            write!(f, " scope {}", options.scope)?;
        }
        if let Some(metric) = options.metric {
            write!(f, " metric {metric}")?;
        }
        if let Some(protocol) = options.protocol {
            write!(f, " proto {protocol}")?;
        }
        if options.lifetime != Lifetime::default() {
            let words = |seconds: Option<u32>| seconds.map_or_else(|| "forever".into(), |seconds| seconds.to_string());
            let Lifetime { valid, preferred } = options.lifetime;
            write!(f, " valid_lft {} preferred_lft {}", words(valid), words(preferred))?;
        }
        let flags = [
            (options.home, "home"),
            (options.manages_temporary, "mngtmpaddr"),
            (options.no_prefix_route, "noprefixroute"),
            (options.joins_group, "autojoin"),
            (self.dad == Dad::Skip || options.no_dad, "nodad"),
        ];
        flags.into_iter().filter(|(has, _)| *has).try_for_each(|(_, word)| write!(f, " {word}"))
    }
}

/// Reads an `RTM_NEWADDR` with all options that a message can set.
pub fn held_address(message: &Message<'_>) -> Option<(IfIndex, HeldAddress)> {
    let seen = AddressSeen::parse(message)?;
    let head = message.payload.get(..HEADER)?;
    let a = message.attributes(HEADER);
    let flags = a.u32(IFA_FLAGS).unwrap_or(u32::from(head[2]));
    let has = |flag: u32| flags & flag != 0;
    let other = a.get(IFA_ADDRESS).and_then(address_of).filter(|other| *other != seen.address.addr());
    let number = |bytes: &[u8], at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let cache = a.get(IFA_CACHEINFO).unwrap_or_default();
    let lasts = |at| number(cache, at).filter(|seconds| *seconds != FOR_EVER);
    let options = AddressOptions {
        peer: other.and_then(|other| IpNet::new(other, head[1]).ok()),
        broadcast: a.get(IFA_BROADCAST).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(Ipv4Addr::from),
        label: a.text(IFA_LABEL),
        scope: head[3],
        metric: a.u32(IFA_RT_PRIORITY),
        protocol: a.get(IFA_PROTO).and_then(|bytes| bytes.first().copied()).filter(|by| *by > KERNELS_LAST),
        lifetime: Lifetime { preferred: lasts(0), valid: lasts(4) },
        no_prefix_route: has(IFA_F_NOPREFIXROUTE),
        manages_temporary: has(IFA_F_MANAGETEMPADDR),
        joins_group: has(IFA_F_MCAUTOJOIN),
        home: has(IFA_F_HOMEADDRESS),
        no_dad: has(IFA_F_NODAD),
    };
    Some((seen.device, HeldAddress { address: seen.address, options }))
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

    #[test]
    fn an_address_that_moves_keeps_its_options() {
        let options = AddressOptions {
            peer: Some("10.1.0.9/32".parse().unwrap()),
            broadcast: Some("10.1.0.255".parse().unwrap()),
            label: Some("zb-blue:x".into()),
            scope: 253,
            metric: Some(7),
            protocol: Some(9),
            lifetime: Lifetime { valid: Some(900), preferred: None },
            no_prefix_route: true,
            manages_temporary: true,
            joins_group: true,
            home: true,
            no_dad: false,
        };
        let held = HeldAddress { address: "10.1.0.1/32".parse().unwrap(), options };
        let moved = Address::moved(held.clone(), "zb-blue".parse().unwrap());
        let bytes = ours(|b| moved.encode(b, IfIndex(2)));
        let read = crate::Messages::new(&bytes).next().unwrap();
        assert_eq!(held_address(&read), Some((IfIndex(2), held)));
        assert_eq!(
            moved.to_string(),
            "10.1.0.1 peer 10.1.0.9/32 brd 10.1.0.255 dev zb-blue label zb-blue:x scope 253 metric 7 proto 9 \
             valid_lft 900 preferred_lft forever home mngtmpaddr noprefixroute autojoin"
        );
    }

    #[test]
    fn a_label_follows_the_name_of_the_device() {
        let label = |label: &str| {
            let options = AddressOptions { label: Some(label.into()), ..AddressOptions::default() };
            let held = HeldAddress { address: "10.1.0.1/24".parse().unwrap(), options };
            Address::moved(held, "zb-blue".parse().unwrap()).options.label
        };
        assert_eq!(label(":1").as_deref(), Some("zb-blue:1"));
        assert_eq!(label("office").as_deref(), Some("office"));
        assert_eq!(label(":much-too-long"), None);
    }
}
