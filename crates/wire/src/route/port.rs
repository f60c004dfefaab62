//! Bridge-port settings: `bridge link set` (`IFLA_BRPORT_*` in linux/if_link.h).

use super::AF_BRIDGE;
use crate::message::{Attributes, Batch, flag};
use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::{IfIndex, IfName};

const RTM_SETLINK: u16 = 19;
const IFLA_PROTINFO: u16 = 12;
const IFLA_BRPORT_HAIRPIN: u16 = 4;
const IFLA_BRPORT_LEARNING: u16 = 8;
const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_BRPORT_LOCKED: u16 = 39;

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Switch::On => "on",
            Switch::Off => "off",
        })
    }
}

/// Settings of one port; `None` leaves a setting unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgePort {
    /// The port.
    pub name: IfName,
    /// Isolated ports reach only the host and ports that are not isolated.
    pub isolated: Option<Switch>,
    /// Frames may leave by the port that they came in by.
    pub hairpin: Option<Switch>,
    /// Only MACs with a forwarding entry for the port may send through it (Linux 5.16).
    pub locked: Option<Switch>,
    /// The bridge learns the MACs behind the port.
    pub learning: Option<Switch>,
    /// Frames for an unknown MAC leave by the port too.
    pub flood: Option<Switch>,
}

impl BridgePort {
    /// Leaves all settings unchanged.
    pub fn new(name: IfName) -> Self {
        BridgePort { name, isolated: None, hairpin: None, locked: None, learning: None, flood: None }
    }

    /// The first setting that differs, in words.
    pub fn differs_from(&self, seen: &PortSeen) -> Option<String> {
        let all = [
            ("isolated", self.isolated, seen.isolated),
            ("hairpin", self.hairpin, seen.hairpin),
            ("locked", self.locked, seen.locked),
            ("learning", self.learning, seen.learning),
            ("flood", self.flood, seen.flood),
        ];
        let differs = all.into_iter().find(|(_, wanted, found)| wanted.is_some_and(|wanted| wanted != *found));
        differs.map(|(name, _, found)| format!("{name} is {found}"))
    }

    /// Appends the message.
    pub fn encode(&self, batch: &mut Batch, IfIndex(index): IfIndex) {
        batch.message(RTM_SETLINK, flag::REQUEST | flag::ACK, |b| {
            let mut header = [0; 16];
            header[0] = AF_BRIDGE;
            header[4..8].copy_from_slice(&index.to_ne_bytes());
            b.header(&header);
            b.nested(IFLA_PROTINFO, |b| {
                let all = [
                    (IFLA_BRPORT_ISOLATED, self.isolated),
                    (IFLA_BRPORT_HAIRPIN, self.hairpin),
                    (IFLA_BRPORT_LOCKED, self.locked),
                    (IFLA_BRPORT_LEARNING, self.learning),
                    (IFLA_BRPORT_UNICAST_FLOOD, self.flood),
                ];
                for (kind, value) in all {
                    if let Some(value) = value {
                        b.u8(kind, u8::from(value == Switch::On));
                    }
                }
            });
        });
    }
}

impl fmt::Display for BridgePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link set dev {}", self.name)?;
        if let Some(isolated) = self.isolated {
            write!(f, " isolated {isolated}")?;
        }
        if let Some(hairpin) = self.hairpin {
            write!(f, " hairpin {hairpin}")?;
        }
        if let Some(locked) = self.locked {
            write!(f, " locked {locked}")?;
        }
        if let Some(learning) = self.learning {
            write!(f, " learning {learning}")?;
        }
        if let Some(flood) = self.flood {
            write!(f, " flood {flood}")?;
        }
        Ok(())
    }
}

/// A port's settings as the kernel reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSeen {
    /// See [`BridgePort`].
    pub isolated: Switch,
    /// See [`BridgePort`].
    pub hairpin: Switch,
    /// See [`BridgePort`].
    pub locked: Switch,
    /// See [`BridgePort`].
    pub learning: Switch,
    /// See [`BridgePort`].
    pub flood: Switch,
}

impl PortSeen {
    /// Parses `IFLA_INFO_SLAVE_DATA`.
    pub fn parse(data: &Attributes<'_>) -> Self {
        let switch = |kind| match data.get(kind).and_then(|v| v.first()) {
            Some(1) => Switch::On,
            _ => Switch::Off,
        };
        // A new port has the setting on, and so does a kernel that does not report it.
        let on_unless_off = |kind| match data.get(kind).and_then(|v| v.first()) {
            Some(0) => Switch::Off,
            _ => Switch::On,
        };
        PortSeen {
            isolated: switch(IFLA_BRPORT_ISOLATED),
            hairpin: switch(IFLA_BRPORT_HAIRPIN),
            locked: switch(IFLA_BRPORT_LOCKED),
            learning: on_unless_off(IFLA_BRPORT_LEARNING),
            flood: on_unless_off(IFLA_BRPORT_UNICAST_FLOOD),
        }
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, ours};

    const SET: &str = "\
        340000001300050000000000000000000700000003000000000000000000000014000c80050004000100000005002100 \
        01000000";
    const LOCKED: &str = "\
        340000001300050000000000000000000700000004000000000000000000000014000c80050021000100000005002700 \
        01000000";
    const NESTED: &[(&[u16], usize)] = &[(&[IFLA_PROTINFO], 0)];

    fn compare(port: &BridgePort, index: u32, recorded: &str) {
        assert_eq!(lines(&ours(|b| port.encode(b, IfIndex(index))), 16, NESTED), lines(&bytes(recorded), 16, NESTED));
    }

    #[test]
    fn says_what_bridge_link_set_says_in_its_words() {
        let name = "zv1".parse().unwrap();
        let port = BridgePort { isolated: Some(Switch::On), hairpin: Some(Switch::On), ..BridgePort::new(name) };
        compare(&port, 3, SET);
        assert_eq!(port.to_string(), "link set dev zv1 isolated on hairpin on");
        let port = BridgePort { hairpin: None, locked: Some(Switch::On), ..port };
        compare(&port, 4, LOCKED);
        assert_eq!(port.to_string(), "link set dev zv1 isolated on locked on");
    }
}
