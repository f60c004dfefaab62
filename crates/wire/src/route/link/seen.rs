//! Links as they are: answers to `ip link show`.

use super::parts::{
    AddrGenMode, AdminState, HEADER, IFF_ALLMULTI, IFF_PROMISC, IFF_UP, IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_GROUP,
    IFLA_IFALIAS, IFLA_IFNAME, IFLA_INET6_ADDR_GEN_MODE, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO,
    IFLA_MASTER, IFLA_MTU, IFLA_TXQLEN, IFLA_VLAN_ID, RTM_NEWLINK,
};
use crate::message::{Attributes, Message};
use crate::route::{AF_BRIDGE, AF_INET6, BridgeSeen, DeviceSettings, NetnsId, PortSeen, Switch};
use serde::{Deserialize, Serialize};
use zubi_model::{IfIndex, IfName, LinkGroup, Mac, VlanId};

const IFF_RUNNING: u32 = 1 << 6;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_SLAVE_DATA: u16 = 5;

/// A link by its name and MAC. The MAC distinguishes it from a later link of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkMark {
    /// Its name.
    pub name: IfName,
    /// Its MAC, which zubi chose; `None` matches any.
    pub mac: Option<Mac>,
}

impl LinkMark {
    /// A link with this MAC.
    pub fn new(name: IfName, mac: Mac) -> Self {
        LinkMark { name, mac: Some(mac) }
    }

    /// Whether `seen` is this link.
    pub fn is(&self, seen: &LinkSeen) -> bool {
        seen.name == self.name.as_str() && self.mac.is_none_or(|mac| seen.mac == Some(mac))
    }
}

/// A link as the kernel reports it. Its name may be one that [`IfName`] refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSeen {
    /// Its number.
    pub index: IfIndex,
    /// Its name.
    pub name: String,
    /// Its MAC, when it has one.
    #[serde(deserialize_with = "crate::route::reported_mac::deserialize")]
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its administrative state.
    pub state: AdminState,
    /// Whether it passes frames (`IFF_RUNNING`). The kernel notices the carrier a moment after both ends are up, and
    /// drops all frames until then (net/core/link_watch.c).
    pub carrier: bool,
    /// Whether it was set to receive frames for all MACs.
    pub promisc: Switch,
    /// Whether it was set to receive frames for all multicast groups.
    pub allmulticast: Switch,
    /// The length of its transmit queue, in packets.
    pub tx_queue: u32,
    /// Its mark.
    pub group: LinkGroup,
    /// The text that the kernel stores with it.
    pub alias: Option<String>,
    /// The bridge it is a port of.
    pub master: Option<IfIndex>,
    /// "bridge", "veth", ...
    pub kind: Option<String>,
    /// For a veth, the index of the other end in that end's namespace.
    pub peer: Option<IfIndex>,
    /// The number of the other end's namespace, if that is another one.
    pub peer_netns: Option<NetnsId>,
    /// How it gets a link-local address; `None` if IPv6 is disabled for the device.
    pub addr_gen_mode: Option<AddrGenMode>,
    /// Its settings under `net/ipv4/conf` and `net/ipv6/conf`, if the kernel reports them.
    pub settings: DeviceSettings,
    /// Its bridge-port settings, if it is a bridge port.
    pub port: Option<PortSeen>,
    /// Its settings as a bridge, if it is one.
    pub bridge: Option<BridgeSeen>,
    /// Its VLAN, if it is the device of one.
    #[serde(default)]
    pub vlan: Option<VlanId>,
}

impl LinkSeen {
    /// Reads an `RTM_NEWLINK`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let head = message.payload.get(..HEADER)?;
        if message.kind != RTM_NEWLINK || head[0] == AF_BRIDGE {
            return None;
        }
        let number = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let flags = number(8)?;
        let a = message.attributes(HEADER);
        let info = a.nested(IFLA_LINKINFO);
        let index_attr = |kind| a.u32(kind).filter(|i| *i != 0).map(IfIndex);
        Some(LinkSeen {
            index: IfIndex(number(4)?),
            name: a.text(IFLA_IFNAME)?,
            mac: a.get(IFLA_ADDRESS).and_then(|m| <[u8; 6]>::try_from(m).ok()).map(Mac::from_kernel),
            mtu: a.u32(IFLA_MTU).unwrap_or(0),
            state: if flags & IFF_UP == 0 { AdminState::Down } else { AdminState::Up },
            carrier: flags & IFF_RUNNING != 0,
            promisc: if flags & IFF_PROMISC == 0 { Switch::Off } else { Switch::On },
            allmulticast: if flags & IFF_ALLMULTI == 0 { Switch::Off } else { Switch::On },
            tx_queue: a.u32(IFLA_TXQLEN).unwrap_or(0),
            group: LinkGroup(a.u32(IFLA_GROUP).unwrap_or(0)),
            alias: a.text(IFLA_IFALIAS),
            master: index_attr(IFLA_MASTER),
            kind: info.as_ref().and_then(|i| i.text(IFLA_INFO_KIND)),
            peer: index_attr(IFLA_LINK),
            peer_netns: a.u32(IFLA_LINK_NETNSID).map(|id| NetnsId(id.cast_signed())),
            addr_gen_mode: a
                .nested(IFLA_AF_SPEC)
                .and_then(|spec| spec.nested(u16::from(AF_INET6)))
                .and_then(|inet6| inet6.get(IFLA_INET6_ADDR_GEN_MODE))
                .and_then(|mode| mode.first())
                .map(|mode| match mode {
                    0 => AddrGenMode::Eui64,
                    1 => AddrGenMode::None,
                    2 => AddrGenMode::StableSecret,
                    _ => AddrGenMode::Random,
                }),
            settings: DeviceSettings::parse(a.nested(IFLA_AF_SPEC).as_ref()),
            bridge: info
                .as_ref()
                .filter(|i| i.text(IFLA_INFO_KIND).as_deref() == Some("bridge"))
                .and_then(|i| BridgeSeen::parse(&i.nested(IFLA_INFO_DATA)?)),
            vlan: info
                .as_ref()
                .filter(|i| i.text(IFLA_INFO_KIND).as_deref() == Some("vlan"))
                .and_then(|i| i.nested(IFLA_INFO_DATA)?.get(IFLA_VLAN_ID)?.try_into().ok())
                .and_then(|id| VlanId::try_from(u16::from_ne_bytes(id)).ok()),
            port: info.and_then(|i| i.nested(IFLA_INFO_SLAVE_DATA)).map(|d: Attributes<'_>| PortSeen::parse(&d)),
        })
    }
}
