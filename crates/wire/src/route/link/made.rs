//! Links to make: `ip link add`.

use super::parts::{
    IFLA_ADDRESS, IFLA_GROUP, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, IFLA_MASTER,
    IFLA_MTU, IFLA_NET_NS_FD, IFLA_VLAN_ID, RTM_NEWLINK, header, netns_word,
};
use super::seen::LinkSeen;
use crate::message::{Batch, Body, flag};
use crate::route::AF_UNSPEC;
use std::fmt;
use zubi_model::{Broadcasts, CardMode, IfIndex, IfName, IpvlanMode, LinkGroup, Mac, MacvlanMode, Mtu, NsRef, VlanId};

const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
pub(super) const VETH_INFO_PEER: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_MACVLAN_BC_QUEUE_LEN: u16 = 7;
const IFLA_MACVLAN_BC_CUTOFF: u16 = 9;
const IFLA_IPVLAN_MODE: u16 = 1;

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

/// A device on another device: a macvlan with a MAC of its own, or an ipvlan with the other device's. It is made by a
/// message to the host, also where it is born inside a sandbox: the message names the parent by its index there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnCard {
    /// The device of the host that carries it.
    pub parent: IfName,
    /// Which of the two it is, and which packets pass between it and others on the same parent.
    pub mode: CardMode,
    /// Its namespace; `None` for the host.
    pub netns: Option<NsRef>,
    /// How its parent passes broadcasts on to macvlans.
    pub broadcasts: Broadcasts,
    /// What its name on the host is made from while it is born: no other device has this.
    pub key: Mac,
}

impl OnCard {
    /// See [`Link::name_at_first`].
    pub fn name_at_first(key: Mac) -> Option<IfName> {
        format!("zv{}", key.to_string().replace(':', "")).parse().ok()
    }

    fn encode(&self, b: &mut Body<'_>) {
        b.text(IFLA_INFO_KIND, self.mode.kind());
        b.nested(IFLA_INFO_DATA, |b| match self.mode {
            CardMode::Ipvlan(mode) => b.attr(IFLA_IPVLAN_MODE, &ipvlan_number(mode).to_ne_bytes()),
            CardMode::Vlan(vlan) => b.attr(IFLA_VLAN_ID, &vlan.number().to_ne_bytes()),
            CardMode::Macvlan(mode) => {
                let Broadcasts { queue_length, cutoff } = self.broadcasts;
                b.u32(IFLA_MACVLAN_MODE, macvlan_number(mode));
                if let Some(length) = queue_length {
                    b.u32(IFLA_MACVLAN_BC_QUEUE_LEN, length);
                }
                if let Some(cutoff) = cutoff {
                    b.u32(IFLA_MACVLAN_BC_CUTOFF, cutoff.cast_unsigned());
                }
            }
        });
    }
}

/// `IFLA_MACVLAN_MODE` (`MACVLAN_MODE_*` in linux/if_link.h).
fn macvlan_number(mode: MacvlanMode) -> u32 {
    match mode {
        MacvlanMode::Private => 1,
        MacvlanMode::Vepa => 2,
        MacvlanMode::Bridge => 4,
        MacvlanMode::Passthru => 8,
    }
}

/// `IFLA_IPVLAN_MODE` (`IPVLAN_MODE_*` in linux/if_link.h).
fn ipvlan_number(mode: IpvlanMode) -> u16 {
    match mode {
        IpvlanMode::L2 => 0,
        IpvlanMode::L3 => 1,
        IpvlanMode::L3s => 2,
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
    /// See [`OnCard`].
    OnCard(OnCard),
    /// See [`Vlan`].
    Vlan(Vlan),
    /// A pair whose ends are both here: a device that has a carrier, and nothing behind it.
    Stub(Stub),
}

impl LinkKind {
    /// The kernel's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            LinkKind::Bridge => "bridge",
            LinkKind::Veth(_) | LinkKind::Stub(_) => "veth",
            LinkKind::OnCard(on) => on.mode.kind(),
            LinkKind::Vlan(_) => "vlan",
        }
    }
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
    /// Appends the message that makes the link. `on` is the index of [`Link::master`] or of [`OnCard::parent`],
    /// `netns_fd` a descriptor of [`Link::netns`]. The echo (`NLM_F_ECHO`) contains the new index, and for a veth the
    /// peer's index. A link in another namespace has none: the kernel sends it there, to whichever socket has our number.
    pub fn encode(&self, batch: &mut Batch, on: Option<IfIndex>, netns_fd: Option<u32>) {
        let elsewhere = matches!(&self.kind, LinkKind::OnCard(on) if on.netns.is_some());
        let echo = if elsewhere { 0 } else { flag::ECHO };
        let flags = flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL | echo;
        batch.message(RTM_NEWLINK, flags, |b| {
            header(b, AF_UNSPEC, 0, 0, 0);
            b.text(IFLA_IFNAME, self.name.as_str());
            if self.gets_mac() {
                b.attr(IFLA_ADDRESS, &self.mac.bytes());
            }
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
                LinkKind::OnCard(on) => on.encode(b),
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

    /// Whether the message gives the link its MAC: an ipvlan has that of its parent, whatever it is.
    fn gets_mac(&self) -> bool {
        !matches!(&self.kind, LinkKind::OnCard(OnCard { mode: CardMode::Ipvlan(_), .. }))
    }

    /// Whether `seen` is the link that this message makes: it has the same marks.
    pub fn is(&self, seen: &LinkSeen) -> bool {
        seen.name == self.name.as_str()
            && (seen.mac == Some(self.mac) || !self.gets_mac())
            && seen.group == self.group
            && seen.kind.as_deref() == Some(self.kind.word())
    }

    /// Whether `seen` is this link, though its MAC or its group may have been changed.
    pub fn resembles(&self, seen: &LinkSeen) -> bool {
        seen.name == self.name.as_str()
            && (seen.mac == Some(self.mac) || seen.group == self.group || !self.gets_mac())
            && seen.kind.as_deref() == Some(self.kind.word())
    }

    /// The other namespace that the message names: that of a veth's peer, or that of a device on a card.
    pub fn netns(&self) -> Option<&NsRef> {
        match &self.kind {
            LinkKind::Veth(peer) => Some(&peer.netns),
            LinkKind::OnCard(on) => on.netns.as_ref(),
            LinkKind::Bridge | LinkKind::Vlan(_) | LinkKind::Stub(_) => None,
        }
    }

    /// The name under which a link that the host makes for a sandbox is never refused. Before Linux 6.15 the kernel registers
    /// it on the host at first, where most have an `eth0` (`rtnl_newlink` of net/core/rtnetlink.c).
    pub fn name_at_first(&self) -> Option<IfName> {
        let LinkKind::OnCard(OnCard { netns: Some(_), key, .. }) = &self.kind else { return None };
        OnCard::name_at_first(*key)
    }

    /// The device that carries a macvlan, an ipvlan or a VLAN.
    pub fn parent(&self) -> Option<&IfName> {
        match &self.kind {
            LinkKind::OnCard(on) => Some(&on.parent),
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
        if self.gets_mac() {
            write!(f, " address {}", self.mac)?;
        }
        write!(f, " group {}", self.group)?;
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
            LinkKind::OnCard(on) => {
                if let Some(netns) = &on.netns {
                    write!(f, " netns {}", netns_word(netns))?;
                }
                let word = if on.mode.vlan().is_some() { "id" } else { "mode" };
                write!(f, " type {} {word} {}", on.mode.kind(), on.mode)?;
                if let Some(length) = on.broadcasts.queue_length {
                    write!(f, " bcqueuelen {length}")?;
                }
                on.broadcasts.cutoff.map_or(Ok(()), |cutoff| write!(f, " bclim {cutoff}"))
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
