//! What the messages about links share: their header, attributes, and values.

use crate::message::Body;
use crate::shell::shell_word;
use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::{IfIndex, NsRef};

pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const IFF_UP: u32 = 1;
pub(super) const IFF_PROMISC: u32 = 1 << 8;
pub(super) const IFF_ALLMULTI: u32 = 1 << 9;
pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
pub(super) const IFLA_LINK: u16 = 5;
pub(super) const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_TXQLEN: u16 = 13;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_IFALIAS: u16 = 20;
pub(super) const IFLA_AF_SPEC: u16 = 26;
pub(super) const IFLA_GROUP: u16 = 27;
pub(super) const IFLA_NET_NS_FD: u16 = 28;
pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_INFO_DATA: u16 = 2;
pub(super) const IFLA_VLAN_ID: u16 = 1;
pub(super) const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
pub(super) const HEADER: usize = 16;

/// `struct ifinfomsg`.
pub(super) fn header(b: &mut Body<'_>, family: u8, index: u32, flags: u32, change: u32) {
    let mut bytes = [0; HEADER];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    b.header(&bytes);
}

/// How a command names a namespace.
pub(super) fn netns_word(netns: &NsRef) -> String {
    match netns {
        NsRef::Named(name) => name.to_string(),
        NsRef::Path(path) => shell_word(&path.display().to_string()),
    }
}

/// The administrative state of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminState {
    /// `IFF_UP`.
    Up,
    /// Not `IFF_UP`.
    Down,
}

impl fmt::Display for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AdminState::Up => "up",
            AdminState::Down => "down",
        })
    }
}

/// How the kernel generates a device's IPv6 link-local address when it goes up (`IN6_ADDR_GEN_MODE_*` in
/// linux/if_link.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddrGenMode {
    /// From the MAC: the kernel's default.
    Eui64,
    /// None.
    None,
    /// From a secret that was set before.
    StableSecret,
    /// At random.
    Random,
}

impl AddrGenMode {
    pub(super) fn number(self) -> u8 {
        match self {
            AddrGenMode::Eui64 => 0,
            AddrGenMode::None => 1,
            AddrGenMode::StableSecret => 2,
            AddrGenMode::Random => 3,
        }
    }
}

/// As `ip link set addrgenmode` takes it.
impl fmt::Display for AddrGenMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddrGenMode::Eui64 => "eui64",
            AddrGenMode::None => "none",
            AddrGenMode::StableSecret => "stable_secret",
            AddrGenMode::Random => "random",
        })
    }
}

/// How a message addresses an existing link.
#[derive(Debug, Clone, Copy)]
pub enum LinkRef<'a> {
    /// By name.
    Name(&'a str),
    /// By index: safe when another device has taken the name meanwhile.
    Index(IfIndex),
}
