//! Changes to links: `ip link set`.

use super::parts::{
    AddrGenMode, AdminState, IFF_ALLMULTI, IFF_PROMISC, IFF_UP, IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_GROUP, IFLA_IFALIAS,
    IFLA_IFNAME, IFLA_INET6_ADDR_GEN_MODE, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU,
    IFLA_TXQLEN, LinkRef, RTM_NEWLINK, header,
};
use crate::message::{Batch, flag};
use crate::route::{AF_INET6, AF_UNSPEC, Switch};
use crate::shell::shell_word;
use std::fmt;
use zubi_model::{IfIndex, IfName, LinkGroup, Mac, Mtu};

const IFLA_BR_VLAN_FILTERING: u16 = 7;

/// Changes to an existing link, all in one message: `ip link set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkChange {
    /// The link.
    pub name: IfName,
    /// Up or down.
    pub state: Option<AdminState>,
    /// Remove it from its bridge (`nomaster`).
    pub release: bool,
    /// A new mark.
    pub group: Option<LinkGroup>,
    /// A new name.
    pub rename: Option<IfName>,
    /// The bridge that it becomes a port of.
    pub master: Option<IfName>,
    /// How it gets its IPv6 link-local address. The kernel applies this after the state, so it has no effect in a
    /// message that also sets the device up.
    pub addr_gen_mode: Option<AddrGenMode>,
    /// A new MAC.
    pub mac: Option<Mac>,
    /// A new MTU.
    pub mtu: Option<Mtu>,
    /// Whether it receives frames for all MACs.
    pub promisc: Option<Switch>,
    /// Whether it receives frames for all multicast groups.
    pub allmulticast: Option<Switch>,
    /// The length of its transmit queue, in packets.
    pub tx_queue: Option<u32>,
    /// A text that the kernel stores with the device, at most [`LONGEST_ALIAS`] bytes. (It ignores one in the message
    /// that makes a device.)
    pub alias: Option<String>,
    /// Whether a bridge tells VLANs apart.
    pub vlan_filtering: Option<Switch>,
}

/// `IFALIASZ` of linux/if.h, without its NUL.
pub const LONGEST_ALIAS: usize = 255;

impl LinkChange {
    /// A change of nothing; set its fields.
    pub fn none(name: IfName) -> Self {
        LinkChange {
            name,
            state: None,
            release: false,
            group: None,
            rename: None,
            master: None,
            addr_gen_mode: None,
            mac: None,
            mtu: None,
            promisc: None,
            allmulticast: None,
            tx_queue: None,
            alias: None,
            vlan_filtering: None,
        }
    }

    /// Whether it changes an MTU, a receive mode, the queue length, or how a bridge treats VLANs.
    pub fn has_settings(&self) -> bool {
        self.mtu.is_some()
            || self.promisc.is_some()
            || self.allmulticast.is_some()
            || self.tx_queue.is_some()
            || self.vlan_filtering.is_some()
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == LinkChange::none(self.name.clone())
    }

    /// Whether it changes what a device is known by and where it is plugged in: its name, MAC, alias, bridge, or the way
    /// it gets its link-local address.
    pub fn has_identity(&self) -> bool {
        self.rename.is_some()
            || self.mac.is_some()
            || self.alias.is_some()
            || self.master.is_some()
            || self.release
            || self.addr_gen_mode.is_some()
    }

    /// Whether it changes the device's state, MAC or group.
    pub fn has_marks(&self) -> bool {
        self.state.is_some() || self.mac.is_some() || self.group.is_some()
    }

    /// `ip link set NAME address MAC`.
    pub fn mac(name: IfName, mac: Mac) -> Self {
        LinkChange { mac: Some(mac), ..Self::none(name) }
    }

    /// `ip link set NAME mtu BYTES`.
    pub fn mtu(name: IfName, mtu: Mtu) -> Self {
        LinkChange { mtu: Some(mtu), ..Self::none(name) }
    }

    /// `ip link set NAME addrgenmode none`.
    pub fn addressless(name: IfName) -> Self {
        LinkChange { addr_gen_mode: Some(AddrGenMode::None), ..Self::none(name) }
    }

    /// `ip link set NAME up` or `down`.
    pub fn state(name: IfName, state: AdminState) -> Self {
        LinkChange { state: Some(state), ..Self::none(name) }
    }

    /// `ip link set NAME name NEW`.
    pub fn rename(name: IfName, new: IfName) -> Self {
        LinkChange { rename: Some(new), ..Self::none(name) }
    }

    /// Appends the message; `master` is the index of [`LinkChange::master`]. A rename needs [`LinkRef::Index`].
    pub fn encode(&self, batch: &mut Batch, link: LinkRef<'_>, master: Option<IfIndex>) {
        batch.message(RTM_NEWLINK, flag::REQUEST | flag::ACK, |b| {
            let (index, name) = match link {
                LinkRef::Name(name) => (0, Some(name)),
                LinkRef::Index(IfIndex(index)) => (index, None),
            };
            let switches = [
                (IFF_UP, self.state.map(|state| state == AdminState::Up)),
                (IFF_PROMISC, self.promisc.map(|switch| switch == Switch::On)),
                (IFF_ALLMULTI, self.allmulticast.map(|switch| switch == Switch::On)),
            ];
            let (mut flags, mut change) = (0, 0);
            for (bit, on) in switches {
                change |= if on.is_some() { bit } else { 0 };
                flags |= if on == Some(true) { bit } else { 0 };
            }
            header(b, AF_UNSPEC, index, flags, change);
            // With an index, IFLA_IFNAME renames; without one it selects.
            if let Some(new) = &self.rename {
                b.text(IFLA_IFNAME, new.as_str());
            } else if let Some(name) = name {
                b.text(IFLA_IFNAME, name);
            }
            if self.release {
                b.u32(IFLA_MASTER, 0);
            } else if let Some(IfIndex(master)) = master {
                b.u32(IFLA_MASTER, master);
            }
            if let Some(LinkGroup(group)) = self.group {
                b.u32(IFLA_GROUP, group);
            }
            if let Some(mac) = self.mac {
                b.attr(IFLA_ADDRESS, &mac.bytes());
            }
            if let Some(mtu) = self.mtu {
                b.u32(IFLA_MTU, mtu.bytes());
            }
            if let Some(packets) = self.tx_queue {
                b.u32(IFLA_TXQLEN, packets);
            }
            if let Some(alias) = &self.alias {
                b.attr(IFLA_IFALIAS, alias.as_bytes());
            }
            if let Some(filtering) = self.vlan_filtering {
                b.nested(IFLA_LINKINFO, |b| {
                    b.text(IFLA_INFO_KIND, "bridge");
                    b.nested(IFLA_INFO_DATA, |b| b.u8(IFLA_BR_VLAN_FILTERING, u8::from(filtering == Switch::On)));
                });
            }
            if let Some(mode) = self.addr_gen_mode {
                b.nested(IFLA_AF_SPEC, |b| {
                    b.nested(u16::from(AF_INET6), |b| b.u8(IFLA_INET6_ADDR_GEN_MODE, mode.number()));
                });
            }
        });
    }
}

impl fmt::Display for LinkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link set {}", self.name)?;
        if self.release {
            f.write_str(" nomaster")?;
        }
        if let Some(master) = &self.master {
            write!(f, " master {master}")?;
        }
        if let Some(state) = self.state {
            write!(f, " {state}")?;
        }
        if let Some(group) = self.group {
            write!(f, " group {group}")?;
        }
        if let Some(new) = &self.rename {
            write!(f, " name {new}")?;
        }
        if let Some(mode) = self.addr_gen_mode {
            write!(f, " addrgenmode {mode}")?;
        }
        if let Some(mac) = self.mac {
            write!(f, " address {mac}")?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(promisc) = self.promisc {
            write!(f, " promisc {promisc}")?;
        }
        if let Some(all) = self.allmulticast {
            write!(f, " allmulticast {all}")?;
        }
        if let Some(packets) = self.tx_queue {
            write!(f, " txqueuelen {packets}")?;
        }
        if let Some(alias) = &self.alias {
            write!(f, " alias {}", shell_word(alias))?;
        }
        if let Some(filtering) = self.vlan_filtering {
            write!(f, " type bridge vlan_filtering {}", u8::from(filtering == Switch::On))?;
        }
        Ok(())
    }
}
