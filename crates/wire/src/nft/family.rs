//! The families of tables (`NFPROTO_*` in linux/netfilter.h).

use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::Family;

/// Which packets a table sees. Those of other families are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NftFamily {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both; everything zubi has of its own.
    Inet,
}

impl NftFamily {
    const ALL: [NftFamily; 3] = [NftFamily::Ip, NftFamily::Ip6, NftFamily::Inet];

    /// The number in the header of every message (`struct nfgenmsg`).
    pub fn number(self) -> u8 {
        match self {
            NftFamily::Inet => 1,
            NftFamily::Ip => 2,
            NftFamily::Ip6 => 10,
        }
    }

    /// By the number in the header of every message.
    pub fn from_number(number: u8) -> Option<Self> {
        NftFamily::ALL.into_iter().find(|family| family.number() == number)
    }

    /// Whether its tables see packets of this family.
    pub fn sees(self, family: Family) -> bool {
        self == NftFamily::Inet || self == family.into()
    }
}

impl From<Family> for NftFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => NftFamily::Ip,
            Family::V6 => NftFamily::Ip6,
        }
    }
}

impl fmt::Display for NftFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NftFamily::Ip => "ip",
            NftFamily::Ip6 => "ip6",
            NftFamily::Inet => "inet",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_found_by_its_number() {
        for family in NftFamily::ALL {
            assert_eq!(NftFamily::from_number(family.number()), Some(family));
        }
        // NFPROTO_ARP
        assert_eq!(NftFamily::from_number(3), None);
    }

    #[test]
    fn inet_sees_both() {
        assert!(NftFamily::Inet.sees(Family::V4) && NftFamily::Inet.sees(Family::V6));
        assert!(NftFamily::Ip.sees(Family::V4) && !NftFamily::Ip.sees(Family::V6));
    }
}
