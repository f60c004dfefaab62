//! VLANs of a port.

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The number of a VLAN, 1 to 4094 (IEEE 802.1Q: 0 is a frame with a priority only, 4095 is reserved).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

impl VlanId {
    /// The VLAN that bridges take frames without a tag to be in (`default_pvid`).
    pub const UNTAGGED: VlanId = VlanId(1);

    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for VlanId {
    type Error = Invalid;
    fn try_from(number: u16) -> Result<Self, Invalid> {
        match number {
            1..=4094 => Ok(VlanId(number)),
            _ => Err(Invalid::new("VLAN", number, "is not between 1 and 4094")),
        }
    }
}

impl From<VlanId> for u16 {
    fn from(vlan: VlanId) -> u16 {
        vlan.0
    }
}

impl FromStr for VlanId {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number: u16 = text.parse().map_err(|_| Invalid::new("VLAN", text, "is no number between 1 and 4094"))?;
        number.try_into()
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which VLANs pass a port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortVlans {
    /// All, with their tags; frames without a tag are in none.
    #[default]
    All,
    /// One, without a tag.
    Access(VlanId),
    /// These, with their tags; in ascending order.
    Trunk(Vec<VlanId>),
}

impl PortVlans {
    /// A trunk; each VLAN once.
    pub fn trunk(mut vlans: Vec<VlanId>) -> Self {
        vlans.sort_unstable();
        vlans.dedup();
        PortVlans::Trunk(vlans)
    }

    /// Whether frames pass between a port with these and one with others.
    pub fn meet(&self, other: &PortVlans) -> bool {
        match (self, other) {
            (PortVlans::All, _) | (_, PortVlans::All) => true,
            (PortVlans::Access(one), PortVlans::Access(two)) => one == two,
            (PortVlans::Access(one), PortVlans::Trunk(all)) | (PortVlans::Trunk(all), PortVlans::Access(one)) => {
                all.contains(one)
            }
            (PortVlans::Trunk(one), PortVlans::Trunk(two)) => one.iter().any(|vlan| two.contains(vlan)),
        }
    }
}

/// As an option of a network: `vlan=10`, `trunk=10,20`; nothing for all.
impl fmt::Display for PortVlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortVlans::All => Ok(()),
            PortVlans::Access(vlan) => write!(f, "vlan={vlan}"),
            PortVlans::Trunk(vlans) => {
                let all: Vec<String> = vlans.iter().map(ToString::to_string).collect();
                write!(f, "trunk={}", all.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vlan(number: u16) -> VlanId {
        number.try_into().unwrap()
    }

    #[test]
    fn the_first_and_the_last_number_are_no_vlans() {
        assert_eq!("0".parse::<VlanId>().unwrap_err().to_string(), "VLAN `0`: is not between 1 and 4094");
        for bad in ["4095", "70000", "-1", "x", ""] {
            assert!(bad.parse::<VlanId>().is_err(), "{bad}");
        }
        assert_eq!((vlan(1).number(), vlan(4094).to_string()), (1, "4094".into()));
    }

    #[test]
    fn ports_meet_in_a_vlan_that_passes_both() {
        let trunk = PortVlans::trunk(vec![vlan(20), vlan(10), vlan(20)]);
        assert_eq!(trunk.to_string(), "trunk=10,20");
        let access = |number| PortVlans::Access(vlan(number));
        assert!(trunk.meet(&access(10)) && access(20).meet(&trunk) && !trunk.meet(&access(30)));
        assert!(access(10).meet(&access(10)) && !access(10).meet(&access(11)));
        assert!(PortVlans::All.meet(&access(10)) && trunk.meet(&PortVlans::All));
        assert!(!trunk.meet(&PortVlans::trunk(vec![vlan(30)])) && trunk.meet(&trunk));
    }
}
