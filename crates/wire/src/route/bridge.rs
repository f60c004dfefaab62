//! What a bridge says of itself (`IFLA_BR_*` in linux/if_link.h).

use super::Switch;
use crate::message::Attributes;
use serde::{Deserialize, Serialize};
use std::fmt;

const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_BR_BRIDGE_ID: u16 = 11;

/// A bridge's identifier in the spanning tree protocol (IEEE 802.1D, 9.2.5): two bytes of priority and a MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeId(pub [u8; 8]);

/// As brctl(8) prints it: `8000.0242ac110001`.
impl fmt::Display for BridgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 2 { "." } else { "" })?;
        }
        Ok(())
    }
}

/// A bridge as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeSeen {
    /// Its identifier.
    pub id: BridgeId,
    /// Whether it takes part in the spanning tree protocol, by the kernel or by a program.
    pub stp: Switch,
    /// Whether it tells VLANs apart. A kernel that cannot does not report it.
    #[serde(default)]
    pub vlan_filtering: Option<Switch>,
}

impl BridgeSeen {
    /// Reads `IFLA_INFO_DATA` of a bridge.
    pub(super) fn parse(data: &Attributes<'_>) -> Option<Self> {
        let stp = if data.u32(IFLA_BR_STP_STATE)? == 0 { Switch::Off } else { Switch::On };
        let filters = data.get(IFLA_BR_VLAN_FILTERING).and_then(|value| value.first());
        let vlan_filtering = filters.map(|value| if *value == 0 { Switch::Off } else { Switch::On });
        Some(BridgeSeen { id: BridgeId(data.get(IFLA_BR_BRIDGE_ID)?.try_into().ok()?), stp, vlan_filtering })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_reads_as_brctl_prints_it() {
        assert_eq!(BridgeId([0x80, 0, 2, 0x42, 0xac, 0x11, 0, 1]).to_string(), "8000.0242ac110001");
    }
}
