//! Sockets on which the kernel tells what changes (rtnetlink(7), `NETLINK_ADD_MEMBERSHIP`), and what its messages mean
//! to zubi.
//!
//! # How it works
//! One socket hears the host and, by `NETLINK_LISTEN_ALL_NSID`, every namespace that has a number in the host's: the
//! other end of a veth pair has one. Most of what it hears is of other programs, and of commands that do their work;
//! [`tidings`] keeps what may be a harm.
//!
//! # Limits
//! A reader that is too slow misses messages, and its next read fails with `ENOBUFS`: whoever gets it has to look at
//! everything. The kernel tells nothing about most settings under /proc/sys.

use crate::error::Error;
use crate::sys;
use std::os::fd::{AsFd, OwnedFd};
use zubi_model::IfIndex;
use zubi_plan::firewall::TABLE;
use zubi_wire::nft::ElementSeen;
use zubi_wire::route::{AdminState, LinkSeen, NetnsId};
use zubi_wire::{Message, Messages};

/// What a monitor tells about. The numbers are those of linux/rtnetlink.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Group {
    /// Links come, change and go: `RTNLGRP_LINK`.
    Links = 1,
    /// Filters of devices: `RTNLGRP_TC`.
    Filters = 4,
    /// `RTNLGRP_IPV4_IFADDR`.
    Ipv4Addresses = 5,
    /// `RTNLGRP_IPV4_ROUTE`.
    Ipv4Routes = 7,
    /// `RTNLGRP_IPV6_IFADDR`.
    Ipv6Addresses = 9,
    /// `RTNLGRP_IPV6_ROUTE`.
    Ipv6Routes = 11,
    /// Settings of devices: `RTNLGRP_IPV4_NETCONF`.
    Ipv4Settings = 24,
    /// `RTNLGRP_IPV6_NETCONF`.
    Ipv6Settings = 25,
}

impl Group {
    /// All.
    pub const ALL: [Group; 8] = [
        Group::Links,
        Group::Filters,
        Group::Ipv4Addresses,
        Group::Ipv4Routes,
        Group::Ipv6Addresses,
        Group::Ipv6Routes,
        Group::Ipv4Settings,
        Group::Ipv6Settings,
    ];
}

/// Whose changes a monitor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// The host's.
    Host,
    /// The host's, and those of the sandboxes that have a device there.
    Everybody,
}

/// What may be a harm to something of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tiding {
    /// A device of the host has gone, or is down, or is a port of nothing.
    Device(String),
    /// An address or a filter of a device of the host, or a route through it, has gone, or a setting of it has changed.
    Through(IfIndex),
    /// A setting of the whole host has changed.
    Setting,
    /// A device, an address or a route of a sandbox has gone or changed.
    Sandbox(NetnsId),
    /// A table, chain, rule or set of the nftables ruleset has gone or changed.
    Ruleset,
    /// An element of one of our sets has gone: the set, the key.
    Element(String, Vec<u8>),
    /// There was more than the socket could hold.
    Overrun,
}

/// `NFNLGRP_NFTABLES` (linux/netfilter/nfnetlink.h).
const NFTABLES: libc::c_int = 7;
/// `NLMSG_NOOP` (linux/netlink.h): a message that the kernel ignores.
const NOOP: u16 = 1;
/// Kinds of rtnetlink messages (linux/rtnetlink.h).
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_DELADDR: u16 = 21;
const RTM_DELROUTE: u16 = 25;
const RTM_DELQDISC: u16 = 37;
const RTM_DELTFILTER: u16 = 45;
const RTM_NEWNETCONF: u16 = 80;
/// Kinds of nftables messages (linux/netfilter/nf_tables.h), below `NFNL_SUBSYS_NFTABLES << 8`.
const NFT: u16 = 10 << 8;
const NFT_MSG_NEWSETELEM: u16 = NFT + 12;
const NFT_MSG_NEWGEN: u16 = NFT + 15;
/// `RTA_OIF`, behind `struct rtmsg`.
const RTA_OIF: (usize, u16) = (12, 4);
/// `NETCONFA_IFINDEX`, behind `struct netconfmsg`; -1 stands for `net.ipv4.conf.all` (linux/netconf.h).
const NETCONFA_IFINDEX: (usize, u16) = (4, 1);
const EVERY_DEVICE: i32 = -1;

/// A socket of the calling thread's network namespace that becomes readable at each change. It does not block.
pub fn of_route(groups: &[Group], hears: Hears) -> Result<OwnedFd, Error> {
    let socket = join(libc::NETLINK_ROUTE, groups.iter().map(|group| *group as libc::c_int))?;
    if hears == Hears::Everybody {
        sys::set_option(socket.as_fd(), libc::SOL_NETLINK, libc::NETLINK_LISTEN_ALL_NSID, 1)
            .map_err(|e| Error::system("listen to", "the namespaces of sandboxes", e))?;
    }
    Ok(socket)
}

/// The same, for the namespace's nftables ruleset.
pub fn of_nftables() -> Result<OwnedFd, Error> {
    join(libc::NETLINK_NETFILTER, [NFTABLES].into_iter())
}

fn join(protocol: libc::c_int, groups: impl Iterator<Item = libc::c_int>) -> Result<OwnedFd, Error> {
    let failed = |op| move |e| Error::system(op, "netlink groups", e);
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK;
    let fd = sys::socket(libc::AF_NETLINK, kind, protocol).map_err(failed("open"))?;
    // The first send gives the socket its number. One without a number gets nothing that the kernel sends by itself,
    // such as the end of a device whose namespace ends: 0 is the sender's number there (`do_one_broadcast`).
    let mut nothing = [0; 16];
    nothing[..4].copy_from_slice(&16u32.to_ne_bytes());
    nothing[4..6].copy_from_slice(&NOOP.to_ne_bytes());
    sys::send_to_kernel(fd.as_fd(), &nothing).map_err(failed("bind"))?;
    for group in groups {
        let option = libc::NETLINK_ADD_MEMBERSHIP;
        sys::set_option(fd.as_fd(), libc::SOL_NETLINK, option, group).map_err(failed("join"))?;
    }
    Ok(fd)
}

/// What waits at a monitor's socket that may be a harm. Returns when nothing waits any more.
pub fn tidings(socket: &impl AsFd) -> Vec<Tiding> {
    let mut buffer = vec![0; 32 * 1024];
    let mut all = Vec::new();
    loop {
        match sys::receive_from(socket.as_fd(), &mut buffer) {
            Ok(None) => return all,
            Ok(Some((length, namespace))) => {
                for message in Messages::new(&buffer[..length]) {
                    match ElementSeen::parse_deleted(&message) {
                        Some(deleted) => all.extend(elements(deleted)),
                        None => all.extend(tiding(&message, namespace)),
                    }
                }
            }
            // It is told once.
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => all.push(Tiding::Overrun),
            Err(_) => {
                all.push(Tiding::Overrun);
                return all;
            }
        }
    }
}

/// The elements of our own table: those of others are theirs.
fn elements((table, set, seen): (String, String, Vec<ElementSeen>)) -> impl Iterator<Item = Tiding> {
    let ours = table == TABLE.name;
    seen.into_iter().filter(move |_| ours).map(move |element| Tiding::Element(set.clone(), element.key))
}

fn tiding(message: &Message<'_>, namespace: Option<i32>) -> Option<Tiding> {
    // What is added takes nothing away. A setting tells only its new value.
    let is_harm = match message.kind {
        RTM_NEWLINK => is_unwell(message),
        RTM_DELLINK | RTM_DELADDR | RTM_DELROUTE | RTM_DELQDISC | RTM_DELTFILTER | RTM_NEWNETCONF => true,
        kind => kind & 0xff00 == NFT && !matches!(kind, NFT_MSG_NEWSETELEM | NFT_MSG_NEWGEN),
    };
    if !is_harm {
        return None;
    }
    Some(match (message.kind, namespace) {
        (kind, _) if kind & 0xff00 == NFT => Tiding::Ruleset,
        (_, Some(number)) => Tiding::Sandbox(NetnsId(number)),
        (RTM_NEWLINK | RTM_DELLINK, None) => Tiding::Device(link(message)?.name),
        (RTM_DELADDR | RTM_DELQDISC | RTM_DELTFILTER, None) => Tiding::Through(index(message.payload.get(4..8)?)?),
        (RTM_DELROUTE, None) => Tiding::Through(index(attribute(message, RTA_OIF)?)?),
        (_, None) => match i32::from_ne_bytes(attribute(message, NETCONFA_IFINDEX)?.try_into().ok()?) {
            EVERY_DEVICE => Tiding::Setting,
            // -2 stands for those that are made later.
            device => Tiding::Through(IfIndex(device.try_into().ok()?)),
        },
    })
}

fn attribute<'a>(message: &Message<'a>, (header, number): (usize, u16)) -> Option<&'a [u8]> {
    message.attributes(header).get(number)
}

fn index(bytes: &[u8]) -> Option<IfIndex> {
    bytes.try_into().ok().map(u32::from_ne_bytes).map(IfIndex)
}

/// Whether a device is down, or a veth without a bridge. A device of ours is one of these only while it is made.
fn is_unwell(message: &Message<'_>) -> bool {
    link(message).is_some_and(|link| {
        link.state == AdminState::Down || (link.kind.as_deref() == Some("veth") && link.master.is_none())
    })
}

/// The device that a message tells about, also one that has gone.
fn link(message: &Message<'_>) -> Option<LinkSeen> {
    LinkSeen::parse(&Message { kind: RTM_NEWLINK, ..*message })
}
