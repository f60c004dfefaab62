//! The families of tables (`NFPROTO_*` in linux/netfilter.h).

use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::Family;

pub(super) const NFPROTO_IPV4: u8 = 2;
pub(super) const NFPROTO_IPV6: u8 = 10;

/// The number of a family of addresses (`NFPROTO_*`).
pub(super) fn nfproto(family: Family) -> u8 {
    match family {
        Family::V4 => NFPROTO_IPV4,
        Family::V6 => NFPROTO_IPV6,
    }
}

/// The number of a family of addresses in a frame (`ETH_P_*` in linux/if_ether.h).
pub(super) fn ether_type(family: Family) -> u16 {
    match family {
        Family::V4 => 0x0800,
        Family::V6 => 0x86dd,
    }
}

/// The family of a table: the packets that it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableFamily {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// ARP.
    Arp,
    /// Frames of one device: incoming ones before everything else sees them, outgoing ones after everything else.
    Netdev,
    /// Frames that bridges forward.
    Bridge,
    /// IPv6.
    Ip6,
}

impl TableFamily {
    /// All of them.
    pub const ALL: [TableFamily; 6] = [
        TableFamily::Inet,
        TableFamily::Ip,
        TableFamily::Arp,
        TableFamily::Netdev,
        TableFamily::Bridge,
        TableFamily::Ip6,
    ];

    /// The number in the header of every message (`nfgen_family` of `struct nfgenmsg`).
    pub fn number(self) -> u8 {
        match self {
            TableFamily::Inet => 1,
            TableFamily::Ip => NFPROTO_IPV4,
            TableFamily::Arp => 3,
            TableFamily::Netdev => 5,
            TableFamily::Bridge => 7,
            TableFamily::Ip6 => NFPROTO_IPV6,
        }
    }

    /// The family with this number in message headers.
    pub fn from_number(number: u8) -> Option<Self> {
        TableFamily::ALL.into_iter().find(|family| family.number() == number)
    }

    /// Whether chains of this table family see the packets of an address family that the host receives, sends or
    /// routes. The families of bridges and devices see frames instead.
    pub fn sees(self, family: Family) -> bool {
        self == TableFamily::Inet || self == family.into()
    }

    /// How a rule of the family checks the protocol of a packet before it reads addresses.
    pub(super) fn protocol_check(self) -> ProtocolCheck {
        match self {
            TableFamily::Inet => ProtocolCheck::NfProto,
            TableFamily::Bridge | TableFamily::Netdev => ProtocolCheck::EtherType,
            TableFamily::Ip | TableFamily::Ip6 | TableFamily::Arp => ProtocolCheck::None,
        }
    }
}

/// How a rule checks the protocol of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProtocolCheck {
    /// `meta nfproto`.
    NfProto,
    /// `meta protocol`: the family of a frame is always "bridge" (`nft_meta_get_eval` in net/netfilter/nft_meta.c).
    EtherType,
    /// No check: the table sees one protocol only.
    None,
}

impl From<Family> for TableFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => TableFamily::Ip,
            Family::V6 => TableFamily::Ip6,
        }
    }
}

impl fmt::Display for TableFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableFamily::Inet => "inet",
            TableFamily::Ip => "ip",
            TableFamily::Arp => "arp",
            TableFamily::Netdev => "netdev",
            TableFamily::Bridge => "bridge",
            TableFamily::Ip6 => "ip6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_found_by_its_number() {
        for family in TableFamily::ALL {
            assert_eq!(TableFamily::from_number(family.number()), Some(family));
        }
        // NFPROTO_UNSPEC, NFPROTO_DECNET
        assert_eq!([0, 12].map(TableFamily::from_number), [None, None]);
    }

    #[test]
    fn inet_sees_both_and_frames_are_no_packets() {
        assert!(TableFamily::Inet.sees(Family::V4) && TableFamily::Inet.sees(Family::V6));
        assert!(TableFamily::Ip.sees(Family::V4) && !TableFamily::Ip.sees(Family::V6));
        assert!(!TableFamily::Bridge.sees(Family::V4) && !TableFamily::Netdev.sees(Family::V6));
    }
}
