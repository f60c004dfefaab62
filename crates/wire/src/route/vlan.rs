//! VLANs of bridge ports: `bridge vlan` (`IFLA_BRIDGE_VLAN_INFO` in linux/if_bridge.h).

use super::AF_BRIDGE;
use crate::message::{Batch, Message, flag};
use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::{IfIndex, IfName, VlanId};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_BRIDGE_FLAGS: u16 = 0;
const IFLA_BRIDGE_VLAN_INFO: u16 = 2;
/// The message is for the bridge itself (`BRIDGE_FLAGS_SELF`).
const SELF: u16 = 2;
/// Frames without a tag are in this VLAN (`BRIDGE_VLAN_INFO_PVID`).
const PVID: u16 = 2;
/// Its frames leave without a tag (`BRIDGE_VLAN_INFO_UNTAGGED`).
const UNTAGGED: u16 = 4;
/// `RTEXT_FILTER_BRVLAN` of linux/rtnetlink.h.
const WITH_VLANS: u32 = 1 << 1;
const HEADER: usize = 16;

/// How the frames of a VLAN pass a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tagging {
    /// With a tag.
    Tagged,
    /// Without, both ways.
    Untagged,
}

/// A VLAN of a bridge port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortVlan {
    /// The port, or the bridge.
    pub port: IfName,
    /// The VLAN.
    pub vlan: VlanId,
    /// See [`Tagging`].
    pub tagging: Tagging,
    /// Which of the two it is about.
    pub member: VlanMember,
}

/// Who is in a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VlanMember {
    /// What is behind a port.
    Port,
    /// The host, by the bridge.
    Host,
}

impl PortVlan {
    /// A VLAN of a port.
    pub fn new(port: IfName, vlan: VlanId, tagging: Tagging) -> Self {
        PortVlan { port, vlan, tagging, member: VlanMember::Port }
    }

    /// Appends `bridge vlan add`.
    pub fn encode(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_SETLINK, device);
    }

    /// Appends `bridge vlan del`.
    pub fn encode_delete(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_DELLINK, device);
    }

    fn message(&self, batch: &mut Batch, kind: u16, IfIndex(device): IfIndex) {
        batch.message(kind, flag::REQUEST | flag::ACK, |b| {
            let mut header = [0; HEADER];
            header[0] = AF_BRIDGE;
            header[4..8].copy_from_slice(&device.to_ne_bytes());
            b.header(&header);
            b.nested(IFLA_AF_SPEC, |b| {
                if self.member == VlanMember::Host {
                    b.attr(IFLA_BRIDGE_FLAGS, &SELF.to_ne_bytes());
                }
                let flags = if self.tagging == Tagging::Untagged { PVID | UNTAGGED } else { 0 };
                let [f0, f1] = flags.to_ne_bytes();
                let [v0, v1] = self.vlan.number().to_ne_bytes();
                b.attr(IFLA_BRIDGE_VLAN_INFO, &[f0, f1, v0, v1]);
            });
        });
    }

    /// Whether the kernel reports it.
    pub fn is(&self, seen: &PortVlanSeen, device: IfIndex) -> bool {
        seen.port == device && seen.vlan == self.vlan.number() && seen.tagging == Some(self.tagging)
    }

    /// The words behind `bridge vlan del`.
    pub fn place(&self) -> String {
        let host = if self.member == VlanMember::Host { " self" } else { "" };
        format!("dev {} vid {}{host}", self.port, self.vlan)
    }
}

/// The words behind `bridge vlan add`.
impl fmt::Display for PortVlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dev {} vid {}", self.port, self.vlan)?;
        if self.tagging == Tagging::Untagged {
            f.write_str(" pvid untagged")?;
        }
        if self.member == VlanMember::Host { f.write_str(" self") } else { Ok(()) }
    }
}

/// A VLAN of a port, or of a bridge, as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortVlanSeen {
    /// The device.
    pub port: IfIndex,
    /// The VLAN.
    pub vlan: u16,
    /// `None`: without a tag one way only.
    pub tagging: Option<Tagging>,
}

impl PortVlanSeen {
    /// Appends a query for those of all bridges.
    pub fn dump(batch: &mut Batch) {
        batch.message(RTM_GETLINK, flag::REQUEST | flag::DUMP, |b| {
            let mut header = [0; HEADER];
            header[0] = AF_BRIDGE;
            b.header(&header);
            b.u32(IFLA_EXT_MASK, WITH_VLANS);
        });
    }

    /// Reads an `RTM_NEWLINK` of that query.
    pub fn parse(message: &Message<'_>) -> Vec<Self> {
        let Some(head) = message.payload.get(..HEADER) else { return Vec::new() };
        if message.kind != RTM_NEWLINK || head[0] != AF_BRIDGE {
            return Vec::new();
        }
        let port = IfIndex(u32::from_ne_bytes([head[4], head[5], head[6], head[7]]));
        let Some(spec) = message.attributes(HEADER).nested(IFLA_AF_SPEC) else { return Vec::new() };
        let vlan = |(kind, value): (u16, &[u8])| {
            let [f0, f1, v0, v1] = <[u8; 4]>::try_from(value).ok().filter(|_| kind == IFLA_BRIDGE_VLAN_INFO)?;
            let tagging = match u16::from_ne_bytes([f0, f1]) & (PVID | UNTAGGED) {
                0 => Some(Tagging::Tagged),
                both if both == PVID | UNTAGGED => Some(Tagging::Untagged),
                _ => None,
            };
            Some(PortVlanSeen { port, vlan: u16::from_ne_bytes([v0, v1]), tagging })
        };
        spec.filter_map(vlan).collect()
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, ours};

    /// Recorded from iproute2 6.1: `bridge vlan add dev eth0 vid 10`, and with `pvid untagged` and `self`.
    const TAGGED: &str = "\
        2c000000130005000000000000000000070000000500000000000000000000000c001a80080002000000 0a00";
    const HOST: &str = "\
        340000001300050000000000000000000700000005000000000000000000000014001a800600000002000000 0800020006000100";

    #[test]
    fn a_vlan_is_what_the_command_sends() {
        let port = |tagging| PortVlan::new("eth0".parse().unwrap(), VlanId::try_from(10).unwrap(), tagging);
        assert_eq!(ours(|b| port(Tagging::Tagged).encode(b, IfIndex(5))), bytes(TAGGED));
        let host = PortVlan { vlan: VlanId::try_from(1).unwrap(), member: VlanMember::Host, ..port(Tagging::Untagged) };
        assert_eq!(ours(|b| host.encode(b, IfIndex(5))), bytes(HOST));
        assert_eq!(host.to_string(), "dev eth0 vid 1 pvid untagged self");
        assert_eq!(port(Tagging::Tagged).to_string(), "dev eth0 vid 10");
        assert_eq!(host.place(), "dev eth0 vid 1 self");
    }
}
