//! The modes of a network card's devices: what an endpoint on the card is, and which packets pass between two.

use crate::{Invalid, VlanId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the devices on a card are. All of one network are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CardMode {
    /// Devices with MACs of their own.
    Macvlan(MacvlanMode),
    /// Devices with the card's MAC. The kernel knows them apart by their addresses.
    Ipvlan(IpvlanMode),
    /// One device with the card's MAC, for the frames of a VLAN.
    Vlan(VlanId),
}

impl CardMode {
    /// The kind of the devices, as the kernel names it.
    pub fn kind(self) -> &'static str {
        match self {
            CardMode::Macvlan(_) => "macvlan",
            CardMode::Ipvlan(_) => "ipvlan",
            CardMode::Vlan(_) => "vlan",
        }
    }

    /// The mode of ipvlans.
    pub fn ipvlan(self) -> Option<IpvlanMode> {
        match self {
            CardMode::Macvlan(_) | CardMode::Vlan(_) => None,
            CardMode::Ipvlan(mode) => Some(mode),
        }
    }

    /// The VLAN, of which the kernel lets a card have one device.
    pub fn vlan(self) -> Option<VlanId> {
        match self {
            CardMode::Macvlan(_) | CardMode::Ipvlan(_) => None,
            CardMode::Vlan(vlan) => Some(vlan),
        }
    }

    /// Whether a card carries one endpoint in this mode.
    pub fn is_for_one(self) -> bool {
        self.vlan().is_some() || self == CardMode::Macvlan(MacvlanMode::Passthru)
    }

    /// Whether all endpoints have the card's MAC, or the only one has.
    pub fn shows_card_mac(self) -> bool {
        self.ipvlan().is_some() || self.is_for_one()
    }

    /// Whether its devices ask nobody on the LAN, and answer nobody there: the LAN has to have a route to them.
    pub fn is_routed(self) -> bool {
        self.ipvlan().is_some_and(IpvlanMode::is_routed)
    }
}

impl Default for CardMode {
    fn default() -> Self {
        CardMode::Macvlan(MacvlanMode::default())
    }
}

impl fmt::Display for CardMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CardMode::Macvlan(mode) => mode.fmt(f),
            CardMode::Ipvlan(mode) => mode.fmt(f),
            CardMode::Vlan(vlan) => vlan.fmt(f),
        }
    }
}

/// Which frames pass between the endpoints (`IFLA_MACVLAN_MODE`, linux/if_link.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// Endpoints reach each other directly.
    #[default]
    Bridge,
    /// Endpoints do not reach each other, not even by way of the switch.
    Private,
    /// Every frame goes to the switch, which has to send back what is for another endpoint.
    Vepa,
    /// One endpoint has the whole network card, with the card's MAC.
    Passthru,
}

impl fmt::Display for MacvlanMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MacvlanMode::Bridge => "bridge",
            MacvlanMode::Private => "private",
            MacvlanMode::Vepa => "vepa",
            MacvlanMode::Passthru => "passthru",
        })
    }
}

impl FromStr for MacvlanMode {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "bridge" => Ok(MacvlanMode::Bridge),
            "private" => Ok(MacvlanMode::Private),
            "vepa" => Ok(MacvlanMode::Vepa),
            "passthru" => Ok(MacvlanMode::Passthru),
            _ => Err(Invalid::new("macvlan mode", text, "is unknown; there are: bridge, private, vepa, passthru")),
        }
    }
}

/// At which layer the card passes packets to ipvlans (`IFLA_IPVLAN_MODE`, linux/if_link.h). All ipvlans of a card have one
/// mode: the last one made says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanMode {
    /// As on a switch: the LAN finds endpoints by asking for their addresses.
    #[default]
    L2,
    /// As behind a router: packets go by the host's routes.
    L3,
    /// As `L3`, and the host's firewall and connection tracking see both ways.
    L3s,
}

impl IpvlanMode {
    /// See [`CardMode::is_routed`].
    pub fn is_routed(self) -> bool {
        self != IpvlanMode::L2
    }
}

impl fmt::Display for IpvlanMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            IpvlanMode::L2 => "l2",
            IpvlanMode::L3 => "l3",
            IpvlanMode::L3s => "l3s",
        })
    }
}

impl FromStr for IpvlanMode {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "l2" => Ok(IpvlanMode::L2),
            "l3" => Ok(IpvlanMode::L3),
            "l3s" => Ok(IpvlanMode::L3s),
            _ => Err(Invalid::new("ipvlan mode", text, "is unknown; there are: l2, l3, l3s")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_reads_back_from_text_and_from_a_record() {
        for text in ["bridge", "private", "vepa", "passthru", "l2", "l3", "l3s"] {
            let macvlan = text.parse().map(CardMode::Macvlan);
            let mode = macvlan.or_else(|_| text.parse().map(CardMode::Ipvlan)).unwrap();
            assert_eq!(mode.to_string(), text);
            let json = serde_json::to_string(&mode).unwrap();
            assert_eq!((json.as_str(), serde_json::from_str(&json).unwrap()), (&*format!("\"{text}\""), mode));
        }
        let vlan = CardMode::Vlan("10".parse().unwrap());
        let json = serde_json::to_string(&vlan).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str(&json).unwrap()), ("10", vlan));
        assert!("source".parse::<MacvlanMode>().is_err() && "L2".parse::<IpvlanMode>().is_err());
    }
}
