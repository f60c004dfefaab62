//! Links: `ip link` (RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK; linux/if_link.h).

use super::device_settings::DeviceSettings;
use super::{AF_BRIDGE, AF_INET6, AF_UNSPEC, BridgeSeen, NetnsId, Switch};
use crate::message::{Attributes, Batch, Body, Message, flag};
use crate::shell::shell_word;
use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::{Broadcasts, IfIndex, IfName, LinkGroup, Mac, MacvlanMode, Mtu, NsRef, VlanId};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;

const IFF_UP: u32 = 1;
const IFF_RUNNING: u32 = 1 << 6;
const IFF_PROMISC: u32 = 1 << 8;
const IFF_ALLMULTI: u32 = 1 << 9;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_TXQLEN: u16 = 13;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_MACVLAN_BC_QUEUE_LEN: u16 = 7;
const IFLA_MACVLAN_BC_CUTOFF: u16 = 9;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
/// Leaves out the statistics (`RTEXT_FILTER_SKIP_STATS`).
const SKIP_STATS: u32 = 1 << 3;
const HEADER: usize = 16;

/// `struct ifinfomsg`.
fn header(b: &mut Body<'_>, family: u8, index: u32, flags: u32, change: u32) {
    let mut bytes = [0; HEADER];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    b.header(&bytes);
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
    fn number(self) -> u8 {
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

/// The other end of a veth pair. It is made in its final namespace, since moving it there later costs 15 ms. It cannot
/// be up from the start (ENOTCONN).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name there.
    pub name: IfName,
    /// Its MAC.
    pub mac: Mac,
    /// Its namespace.
    pub netns: NsRef,
}

/// A device with a MAC of its own on another device. It is made by a message to the host, also where it is born inside a
/// sandbox: the message names the parent by its index there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Macvlan {
    /// The device of the host that carries it.
    pub parent: IfName,
    /// Which frames pass between it and others on the same parent.
    pub mode: MacvlanMode,
    /// Its namespace; `None` for the host.
    pub netns: Option<NsRef>,
    /// How its parent passes broadcasts on.
    pub broadcasts: Broadcasts,
}

impl Macvlan {
    /// `IFLA_MACVLAN_MODE` (`MACVLAN_MODE_*` in linux/if_link.h).
    fn mode_number(&self) -> u32 {
        match self.mode {
            MacvlanMode::Private => 1,
            MacvlanMode::Vepa => 2,
            MacvlanMode::Bridge => 4,
            MacvlanMode::Passthru => 8,
        }
    }
}

/// A device that sends and takes the frames of one VLAN on another device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vlan {
    /// The other device.
    pub card: IfName,
    /// The VLAN.
    pub id: VlanId,
}

/// The other end of a pair that leads nowhere. (The kernel's dummy device is a module that some kernels lack, and that
/// brings a `dummy0` along.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// Its name.
    pub name: IfName,
    /// Its MAC.
    pub mac: Mac,
}

/// The kind of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkKind {
    /// A bridge that floods multicast. A bridge with snooping does so too until a port sends queries, but then every
    /// port that goes up or down makes the kernel set the timers of all ports: 0.4 ms with 900 ports
    /// (`br_port_state_selection` in net/bridge/br_stp.c).
    Bridge,
    /// One end of a pair. Both ends have one transmit and one receive queue, which makes them 20 to 40 % faster to
    /// create.
    Veth(Peer),
    /// See [`Macvlan`].
    Macvlan(Macvlan),
    /// See [`Vlan`].
    Vlan(Vlan),
    /// A pair whose ends are both here: a device that has a carrier, and nothing behind it.
    Stub(Stub),
}

/// A link to make. The new link is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: IfName,
    /// Its kind.
    pub kind: LinkKind,
    /// Its MAC.
    pub mac: Mac,
    /// Its MTU, for both ends of a pair.
    pub mtu: Option<Mtu>,
    /// Its mark.
    pub group: LinkGroup,
    /// The bridge that it becomes a port of.
    pub master: Option<IfName>,
}

impl Link {
    /// Appends the message that makes the link. `on` is the index of [`Link::master`] or of [`Macvlan::parent`],
    /// `netns_fd` a descriptor of [`Link::netns`]. The echo (`NLM_F_ECHO`) contains the new index, and for a veth the
    /// peer's index. A link in another namespace has none: the kernel sends it there, to whichever socket has our number.
    pub fn encode(&self, batch: &mut Batch, on: Option<IfIndex>, netns_fd: Option<u32>) {
        let elsewhere = matches!(&self.kind, LinkKind::Macvlan(macvlan) if macvlan.netns.is_some());
        let echo = if elsewhere { 0 } else { flag::ECHO };
        let flags = flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL | echo;
        batch.message(RTM_NEWLINK, flags, |b| {
            header(b, AF_UNSPEC, 0, 0, 0);
            b.text(IFLA_IFNAME, self.name.as_str());
            b.attr(IFLA_ADDRESS, &self.mac.bytes());
            b.u32(IFLA_GROUP, self.group.0);
            if let Some(mtu) = self.mtu {
                b.u32(IFLA_MTU, mtu.bytes());
            }
            if let Some(IfIndex(on)) = on {
                b.u32(if self.parent().is_some() { IFLA_LINK } else { IFLA_MASTER }, on);
            }
            if let LinkKind::Veth(_) | LinkKind::Stub(_) = self.kind {
                b.u32(IFLA_NUM_TX_QUEUES, 1);
                b.u32(IFLA_NUM_RX_QUEUES, 1);
            }
            if let (true, Some(fd)) = (elsewhere, netns_fd) {
                b.u32(IFLA_NET_NS_FD, fd);
            }
            b.nested(IFLA_LINKINFO, |b| match &self.kind {
                LinkKind::Bridge => {
                    b.text(IFLA_INFO_KIND, "bridge");
                    b.nested(IFLA_INFO_DATA, |b| b.u8(IFLA_BR_MCAST_SNOOPING, 0));
                }
                LinkKind::Veth(peer) => {
                    b.text(IFLA_INFO_KIND, "veth");
                    let peer = |b: &mut Body<'_>| self.encode_peer(b, &peer.name, peer.mac, netns_fd);
                    b.nested(IFLA_INFO_DATA, |b| b.nested(VETH_INFO_PEER, peer));
                }
                LinkKind::Macvlan(macvlan) => {
                    b.text(IFLA_INFO_KIND, "macvlan");
                    let Broadcasts { queue_length, cutoff } = macvlan.broadcasts;
                    b.nested(IFLA_INFO_DATA, |b| {
                        b.u32(IFLA_MACVLAN_MODE, macvlan.mode_number());
                        if let Some(length) = queue_length {
                            b.u32(IFLA_MACVLAN_BC_QUEUE_LEN, length);
                        }
                        if let Some(cutoff) = cutoff {
                            b.u32(IFLA_MACVLAN_BC_CUTOFF, cutoff.cast_unsigned());
                        }
                    });
                }
                LinkKind::Vlan(vlan) => {
                    b.text(IFLA_INFO_KIND, "vlan");
                    b.nested(IFLA_INFO_DATA, |b| b.attr(IFLA_VLAN_ID, &vlan.id.number().to_ne_bytes()));
                }
                LinkKind::Stub(stub) => {
                    b.text(IFLA_INFO_KIND, "veth");
                    let peer = |b: &mut Body<'_>| self.encode_peer(b, &stub.name, stub.mac, None);
                    b.nested(IFLA_INFO_DATA, |b| b.nested(VETH_INFO_PEER, peer));
                }
            });
        });
    }

    fn encode_peer(&self, b: &mut Body<'_>, name: &IfName, mac: Mac, netns_fd: Option<u32>) {
        header(b, AF_UNSPEC, 0, 0, 0);
        b.text(IFLA_IFNAME, name.as_str());
        b.attr(IFLA_ADDRESS, &mac.bytes());
        if let Some(mtu) = self.mtu {
            b.u32(IFLA_MTU, mtu.bytes());
        }
        b.u32(IFLA_NUM_TX_QUEUES, 1);
        b.u32(IFLA_NUM_RX_QUEUES, 1);
        if let Some(fd) = netns_fd {
            b.u32(IFLA_NET_NS_FD, fd);
        }
    }

    /// Whether `seen` is the link that this message makes: it has the same marks.
    pub fn is(&self, seen: &LinkSeen) -> bool {
        seen.name == self.name.as_str()
            && seen.mac == Some(self.mac)
            && seen.group == self.group
            && seen.kind.as_deref() == Some(self.kind_word())
    }

    /// Whether `seen` is this link, though its MAC or its group may have been changed.
    pub fn resembles(&self, seen: &LinkSeen) -> bool {
        seen.name == self.name.as_str()
            && (seen.mac == Some(self.mac) || seen.group == self.group)
            && seen.kind.as_deref() == Some(self.kind_word())
    }

    fn kind_word(&self) -> &'static str {
        match self.kind {
            LinkKind::Bridge => "bridge",
            LinkKind::Veth(_) | LinkKind::Stub(_) => "veth",
            LinkKind::Macvlan(_) => "macvlan",
            LinkKind::Vlan(_) => "vlan",
        }
    }

    /// The other namespace that the message names: that of a veth's peer, or that of a macvlan.
    pub fn netns(&self) -> Option<&NsRef> {
        match &self.kind {
            LinkKind::Veth(peer) => Some(&peer.netns),
            LinkKind::Macvlan(macvlan) => macvlan.netns.as_ref(),
            LinkKind::Bridge | LinkKind::Vlan(_) | LinkKind::Stub(_) => None,
        }
    }

    /// The name under which a link that the host makes for a sandbox is never refused. Before Linux 6.15 the kernel registers
    /// it on the host at first, where most have an `eth0` (`rtnl_newlink` of net/core/rtnetlink.c).
    pub fn name_at_first(&self) -> Option<IfName> {
        let is_elsewhere = matches!(&self.kind, LinkKind::Macvlan(macvlan) if macvlan.netns.is_some());
        format!("zv{}", self.mac.to_string().replace(':', "")).parse().ok().filter(|_| is_elsewhere)
    }

    /// The device that carries a macvlan or a VLAN.
    pub fn parent(&self) -> Option<&IfName> {
        match &self.kind {
            LinkKind::Macvlan(macvlan) => Some(&macvlan.parent),
            LinkKind::Vlan(vlan) => Some(&vlan.card),
            LinkKind::Bridge | LinkKind::Veth(_) | LinkKind::Stub(_) => None,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name_at_first() {
            Some(name) => write!(f, "link add {name}")?,
            None => write!(f, "link add {}", self.name)?,
        }
        if let Some(parent) = self.parent() {
            write!(f, " link {parent}")?;
        }
        write!(f, " address {} group {}", self.mac, self.group)?;
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(master) = &self.master {
            write!(f, " master {master}")?;
        }
        match &self.kind {
            LinkKind::Bridge => f.write_str(" type bridge mcast_snooping 0"),
            LinkKind::Veth(peer) => {
                let netns = netns_word(&peer.netns);
                write!(f, " numtxqueues 1 numrxqueues 1 type veth peer name {} address {}", peer.name, peer.mac)?;
                if let Some(mtu) = self.mtu {
                    write!(f, " mtu {mtu}")?;
                }
                write!(f, " numtxqueues 1 numrxqueues 1 netns {netns}")
            }
            LinkKind::Macvlan(macvlan) => {
                if let Some(netns) = &macvlan.netns {
                    write!(f, " netns {}", netns_word(netns))?;
                }
                write!(f, " type macvlan mode {}", macvlan.mode)?;
                if let Some(length) = macvlan.broadcasts.queue_length {
                    write!(f, " bcqueuelen {length}")?;
                }
                macvlan.broadcasts.cutoff.map_or(Ok(()), |cutoff| write!(f, " bclim {cutoff}"))
            }
            LinkKind::Vlan(vlan) => write!(f, " type vlan id {}", vlan.id),
            LinkKind::Stub(stub) => {
                let queues = "numtxqueues 1 numrxqueues 1";
                write!(f, " {queues} type veth peer name {} address {}", stub.name, stub.mac)?;
                if let Some(mtu) = self.mtu {
                    write!(f, " mtu {mtu}")?;
                }
                write!(f, " {queues}")
            }
        }
    }
}

fn netns_word(netns: &NsRef) -> String {
    match netns {
        NsRef::Named(name) => name.to_string(),
        NsRef::Path(path) => shell_word(&path.display().to_string()),
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

/// Appends `ip link del`.
pub fn delete(batch: &mut Batch, link: LinkRef<'_>) {
    batch.message(RTM_DELLINK, flag::REQUEST | flag::ACK, |b| select(b, link));
}

/// Appends the deletion of every link of a group. The kernel waits once for all of them instead of once for each.
pub fn delete_group(batch: &mut Batch, group: LinkGroup) {
    batch.message(RTM_DELLINK, flag::REQUEST | flag::ACK, |b| {
        header(b, AF_UNSPEC, 0, 0, 0);
        b.u32(IFLA_GROUP, group.0);
    });
}

/// Appends a query for one link.
pub fn get_link(batch: &mut Batch, link: LinkRef<'_>) {
    // The answer is the acknowledgement.
    batch.message(RTM_GETLINK, flag::REQUEST, |b| {
        select(b, link);
        b.u32(IFLA_EXT_MASK, SKIP_STATS);
    });
}

/// Appends a query for all links, or for the ports of one bridge.
pub fn dump_links(batch: &mut Batch, master: Option<IfIndex>) {
    batch.message(RTM_GETLINK, flag::REQUEST | flag::DUMP, |b| {
        header(b, AF_UNSPEC, 0, 0, 0);
        b.u32(IFLA_EXT_MASK, SKIP_STATS);
        if let Some(IfIndex(master)) = master {
            b.u32(IFLA_MASTER, master);
        }
    });
}

fn select(b: &mut Body<'_>, link: LinkRef<'_>) {
    match link {
        LinkRef::Name(name) => {
            header(b, AF_UNSPEC, 0, 0, 0);
            b.text(IFLA_IFNAME, name);
        }
        LinkRef::Index(IfIndex(index)) => header(b, AF_UNSPEC, index, 0, 0),
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
    #[serde(deserialize_with = "super::reported_mac::deserialize")]
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
    pub port: Option<super::PortSeen>,
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
            port: info.and_then(|i| i.nested(IFLA_INFO_SLAVE_DATA)).map(|d: Attributes<'_>| super::PortSeen::parse(&d)),
        })
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests;
