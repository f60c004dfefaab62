//! Neighbours and bridge forwarding entries: `ip neigh`, `bridge fdb` (RTM_NEWNEIGH; linux/neighbour.h).

use super::{AF_BRIDGE, address_of, af, bytes_of};
use crate::message::{Batch, Message, flag};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use zubi_model::{IfIndex, IfName, Mac};

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_VLAN: u16 = 5;
const NDA_MASTER: u16 = 9;
const NUD_STALE: u16 = 0x04;
const NUD_PROBE: u16 = 0x10;
const NUD_REACHABLE: u16 = 0x02;
const NUD_INCOMPLETE: u16 = 0x01;
const NUD_FAILED: u16 = 0x20;
const NUD_PERMANENT: u16 = 0x80;
const NUD_NOARP: u16 = 0x40;
const NTF_USE: u8 = 0x01;
const NTF_MASTER: u8 = 0x04;
const HEADER: usize = 12;

/// `struct ndmsg`.
fn header(family: u8, IfIndex(device): IfIndex, state: u16, flags: u8) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&device.to_ne_bytes());
    bytes[8..10].copy_from_slice(&state.to_ne_bytes());
    bytes[10] = flags;
    bytes
}

/// What the kernel does about a neighbour entry (`NUD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It is believed for ever.
    Permanent,
    /// It is used, and the neighbour is asked soon.
    Stale,
    /// The neighbour is asked at once.
    Asked,
}

impl Certainty {
    fn bits(self) -> u16 {
        match self {
            Certainty::Permanent => NUD_PERMANENT,
            Certainty::Stale => NUD_STALE,
            Certainty::Asked => NUD_PROBE,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Certainty::Permanent => "permanent",
            Certainty::Stale => "stale",
            Certainty::Asked => "probe",
        }
    }
}

/// A neighbour entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The neighbour's address.
    pub address: IpAddr,
    /// The neighbour's MAC.
    pub mac: Mac,
    /// The device.
    pub device: IfName,
    /// See [`Certainty`].
    pub certainty: Certainty,
}

impl Neighbour {
    /// Appends `ip neigh replace`.
    pub fn encode(&self, batch: &mut Batch, device: IfIndex) {
        batch.message(RTM_NEWNEIGH, flag::REQUEST | flag::ACK | flag::CREATE | flag::REPLACE, |b| {
            b.header(&header(af(self.address), device, self.certainty.bits(), 0));
            b.attr(NDA_DST, &bytes_of(self.address));
            b.attr(NDA_LLADDR, &self.mac.bytes());
        });
    }

    /// Appends `ip neigh del`.
    pub fn encode_delete(&self, batch: &mut Batch, device: IfIndex) {
        forget_neighbour(batch, self.address, device);
    }
}

/// Appends `ip neigh del`.
pub fn forget_neighbour(batch: &mut Batch, address: IpAddr, device: IfIndex) {
    batch.message(RTM_DELNEIGH, flag::REQUEST | flag::ACK, |b| {
        b.header(&header(af(address), device, 0, 0));
        b.attr(NDA_DST, &bytes_of(address));
    });
}

/// Appends `ip neigh add ... use`: the kernel asks who has the address, as it does before it sends a packet there.
pub fn ask_neighbour(batch: &mut Batch, address: IpAddr, device: IfIndex) {
    batch.message(RTM_NEWNEIGH, flag::REQUEST | flag::ACK | flag::CREATE, |b| {
        b.header(&header(af(address), device, 0, NTF_USE));
        b.attr(NDA_DST, &bytes_of(address));
    });
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lladdr {} dev {} nud {}", self.address, self.mac, self.device, self.certainty.word())
    }
}

/// A static entry of a bridge's forwarding table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardingEntry {
    /// Frames to this MAC...
    pub mac: Mac,
    /// ...leave by this port.
    pub port: IfName,
}

impl ForwardingEntry {
    /// Appends `bridge fdb add`.
    pub fn encode(&self, batch: &mut Batch, port: IfIndex) {
        self.message(batch, RTM_NEWNEIGH, flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL, port);
    }

    /// Appends `bridge fdb del`.
    pub fn encode_delete(&self, batch: &mut Batch, port: IfIndex) {
        self.message(batch, RTM_DELNEIGH, flag::REQUEST | flag::ACK, port);
    }

    fn message(&self, batch: &mut Batch, kind: u16, flags: u16, port: IfIndex) {
        batch.message(kind, flags, |b| {
            b.header(&header(AF_BRIDGE, port, NUD_NOARP, NTF_MASTER));
            b.attr(NDA_LLADDR, &self.mac.bytes());
        });
    }
}

impl fmt::Display for ForwardingEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dev {} master static", self.mac, self.port)
    }
}

/// A neighbour or forwarding entry as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourSeen {
    /// Absent in a bridge's forwarding table.
    pub address: Option<IpAddr>,
    /// Absent while the kernel resolves it.
    #[serde(deserialize_with = "super::reported_mac::deserialize")]
    pub mac: Option<Mac>,
    /// Device or port.
    pub device: IfIndex,
    /// `NUD_*`.
    pub state: u16,
    /// For a forwarding entry, the bridge whose table it is in. Absent for an address that a device itself receives.
    pub master: Option<IfIndex>,
    /// For a forwarding entry of a bridge that tells VLANs apart, the VLAN.
    pub vlan: Option<u16>,
}

/// How a bridge came to a forwarding entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryOrigin {
    /// It is the MAC of the bridge or of a port: the host itself receives the frames.
    Local,
    /// Somebody wrote it.
    Static,
    /// A frame with this source came in by the port.
    Learned,
}

impl fmt::Display for EntryOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntryOrigin::Local => "local",
            EntryOrigin::Static => "static",
            EntryOrigin::Learned => "learned",
        })
    }
}

impl NeighbourSeen {
    /// Reads an `RTM_NEWNEIGH`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let head = message.payload.get(..HEADER)?;
        if message.kind != RTM_NEWNEIGH {
            return None;
        }
        let a = message.attributes(HEADER);
        Some(NeighbourSeen {
            address: a.get(NDA_DST).and_then(address_of),
            mac: a.get(NDA_LLADDR).and_then(|m| <[u8; 6]>::try_from(m).ok()).map(Mac::from_kernel),
            device: IfIndex(u32::from_ne_bytes(head.get(4..8)?.try_into().ok()?)),
            state: u16::from_ne_bytes(head.get(8..10)?.try_into().ok()?),
            master: a.u32(NDA_MASTER).map(IfIndex),
            vlan: a.get(NDA_VLAN).and_then(|v| v.try_into().ok()).map(u16::from_ne_bytes),
        })
    }

    /// The MAC that has answered for the address, or that somebody wrote; `None` where nobody has. Addresses that no
    /// question is sent for (multicast) have none either.
    pub fn answered(&self) -> Option<Mac> {
        self.mac.filter(|_| self.state & (NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP) == 0)
    }

    /// Whether it has answered since it was asked last.
    pub fn answers(&self) -> bool {
        self.state & NUD_REACHABLE != 0
    }

    /// Whether somebody wrote it, to be believed for ever.
    pub fn is_permanent(&self) -> bool {
        self.state & NUD_PERMANENT != 0
    }

    /// How a bridge came to a forwarding entry.
    pub fn origin(&self) -> EntryOrigin {
        match self.state {
            state if state & NUD_PERMANENT != 0 => EntryOrigin::Local,
            state if state & NUD_NOARP != 0 => EntryOrigin::Static,
            _ => EntryOrigin::Learned,
        }
    }

    /// Appends a query for all neighbours, or all forwarding entries of bridges.
    pub fn dump(batch: &mut Batch, forwarding: bool) {
        let family = if forwarding { AF_BRIDGE } else { super::AF_UNSPEC };
        batch.message(RTM_GETNEIGH, flag::REQUEST | flag::DUMP, |b| b.header(&header(family, IfIndex(0), 0, 0)));
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, ours};

    const REPLACE: &str = "\
        300000001c0005050000000000000000020000000200000080000000080001000a0100030a00020002420a0100030000";
    const DELETE: &str = "\
        240000001d0005000000000000000000020000000200000080000000080001000a010003";
    const ENTRY: &str = "\
        280000001c00050600000000000000000700000003000000420004000a00020002420a0100030000";
    const ENTRY_DELETE: &str = "\
        280000001d00050000000000000000000700000003000000420004000a00020002420a0100030000";

    const STATE: usize = 16 + 8;

    fn neighbour() -> Neighbour {
        let mac = "02:42:0a:01:00:03".parse().unwrap();
        let (address, device) = ("10.1.0.3".parse().unwrap(), "zb-blue".parse().unwrap());
        Neighbour { address, mac, device, certainty: Certainty::Permanent }
    }

    fn entry() -> ForwardingEntry {
        ForwardingEntry { mac: "02:42:0a:01:00:03".parse().unwrap(), port: "zv1".parse().unwrap() }
    }

    #[test]
    fn says_what_ip_neigh_says() {
        let said = lines(&ours(|b| neighbour().encode(b, IfIndex(2))), HEADER, &[]);
        assert_eq!(said, lines(&bytes(REPLACE), HEADER, &[]));
        let mut recorded = bytes(DELETE);
        // The kernel ignores the state in a deletion.
        recorded[STATE] = 0;
        let said = lines(&ours(|b| neighbour().encode_delete(b, IfIndex(2))), HEADER, &[]);
        assert_eq!(said, lines(&recorded, HEADER, &[]));
    }

    #[test]
    fn says_what_bridge_fdb_says() {
        for (hex, message) in [
            (ENTRY, ours(|b| entry().encode(b, IfIndex(3)))),
            (ENTRY_DELETE, ours(|b| entry().encode_delete(b, IfIndex(3)))),
        ] {
            let mut recorded = bytes(hex);
            // `bridge` adds NUD_REACHABLE, which a bridge ignores once NUD_NOARP is set.
            recorded[STATE] &= !0x02;
            assert_eq!(lines(&message, HEADER, &[]), lines(&recorded, HEADER, &[]));
        }
    }

    #[test]
    fn prints_the_words_of_ip_neigh_and_bridge_fdb() {
        let printed = neighbour().to_string();
        assert_eq!(printed, "10.1.0.3 lladdr 02:42:0a:01:00:03 dev zb-blue nud permanent");
        assert_eq!(entry().to_string(), "02:42:0a:01:00:03 dev zv1 master static");
    }
}
