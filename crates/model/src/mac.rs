//! Ethernet addresses.

use crate::Invalid;
use crate::text::written_as_text;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// A unicast Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// `02:42:` and the four bytes of an IPv4 address, as Docker made them up to version 27: the next endpoint with the
    /// address has the same MAC, so no neighbour holds a stale entry. For IPv6 the last four bytes behind another
    /// prefix.
    pub fn from_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let o = v4.octets();
                Mac([0x02, 0x42, o[0], o[1], o[2], o[3]])
            }
            IpAddr::V6(v6) => {
                let o = v6.octets();
                Mac([0x02, 0x43, o[12], o[13], o[14], o[15]])
            }
        }
    }

    /// Whether [`Mac::from_address`] makes it of an address in a subnet. For IPv6, of an address in any.
    pub fn is_from(self, subnet: IpNet) -> bool {
        match (self.0, subnet) {
            ([0x02, 0x42, a, b, c, d], IpNet::V4(subnet)) => subnet.contains(&Ipv4Addr::new(a, b, c, d)),
            ([0x02, 0x43, ..], IpNet::V6(_)) => true,
            _ => false,
        }
    }

    /// A locally administered unicast address made of six random bytes; never one that [`Mac::host_end`] makes.
    pub fn from_random(mut bytes: [u8; 6]) -> Self {
        bytes[0] = (bytes[0] & 0x7c) | 0x02;
        Mac(bytes)
    }

    /// The MAC of the host end of the pair whose inner end has `self`. The two differ: a bridge takes frames to the MAC
    /// of one of its ports for the host. `fe:` makes it the highest on the bridge, as with libvirt.
    #[must_use]
    pub fn host_end(self) -> Self {
        let mut bytes = self.0;
        if bytes[0] == 0xfe {
            bytes[1] = !bytes[1];
        }
        bytes[0] = 0xfe;
        Mac(bytes)
    }

    /// As the kernel reports it; it may be a group address.
    pub fn from_kernel(bytes: [u8; 6]) -> Self {
        Mac(bytes)
    }

    /// The six bytes in network order.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for Mac {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong =
            || Invalid::new("MAC", text, "is not six bytes in hex").try_instead("write it like 02:42:0a:00:00:02");
        let mut bytes = [0u8; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = part.and_then(|p| u8::from_str_radix(p, 16).ok()).ok_or_else(wrong)?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        if bytes == [0; 6] {
            return Err(Invalid::new("MAC", text, "is all zeros"));
        }
        if bytes[0] & 1 == 1 {
            return Err(Invalid::new("MAC", text, "is a multicast address (first byte is odd)"));
        }
        Ok(Mac(bytes))
    }
}

written_as_text!(Mac);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: Vec<String> = self.0.iter().map(|b| format!("{b:02x}")).collect();
        f.pad(&digits.join(":"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_gives_the_mac() {
        assert_eq!(Mac::from_address("10.55.66.2".parse().unwrap()).to_string(), "02:42:0a:37:42:02");
        assert_eq!(Mac::from_address("fd00::1:2".parse().unwrap()).to_string(), "02:43:00:01:00:02");
    }

    #[test]
    fn multicast_zero_and_nonsense_are_refused() {
        for bad in [
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "02:42",
            "02:42:0a:37:42:02:03",
            "zz:42:0a:37:42:02",
            "+2:42:0a:37:42:02",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn random_is_unicast_and_local() {
        let mac = Mac::from_random([0xff; 6]);
        assert_eq!(mac.to_string(), "7e:ff:ff:ff:ff:ff");
        assert!(mac.to_string().parse::<Mac>().is_ok());
    }

    #[test]
    fn the_ends_of_a_pair_differ() {
        for first in 0..=255 {
            let random = Mac::from_random([first, 1, 2, 3, 4, 5]);
            assert_ne!(random.bytes()[0], 0xfe, "{random}");
            let mac = Mac([first, 1, 2, 3, 4, 5]);
            assert_ne!(mac.host_end(), mac);
            assert_eq!(mac.host_end().bytes()[0], 0xfe);
        }
    }
}
