//! Sockets on which the kernel tells what changes (rtnetlink(7), `NETLINK_ADD_MEMBERSHIP`).
//!
//! # Limits
//! A reader that is too slow misses messages, and its next read fails with `ENOBUFS`: whoever gets it has to look at
//! everything.

use crate::error::Error;
use crate::sys;
use std::os::fd::{AsFd, OwnedFd};

/// What a monitor tells about. The numbers are those of linux/rtnetlink.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Group {
    /// Links come, change and go: `RTNLGRP_LINK`.
    Links = 1,
    /// `RTNLGRP_IPV4_IFADDR`.
    Ipv4Addresses = 5,
    /// `RTNLGRP_IPV4_ROUTE`.
    Ipv4Routes = 7,
    /// `RTNLGRP_IPV6_IFADDR`.
    Ipv6Addresses = 9,
    /// `RTNLGRP_IPV6_ROUTE`.
    Ipv6Routes = 11,
}

/// `NFNLGRP_NFTABLES` (linux/netfilter/nfnetlink.h).
const NFTABLES: libc::c_int = 7;

/// `NLMSG_NOOP` (linux/netlink.h): a message that the kernel ignores.
const NOOP: u16 = 1;

/// A socket of the calling thread's network namespace that becomes readable at each change. It does not block.
pub fn of_route(groups: &[Group]) -> Result<OwnedFd, Error> {
    join(libc::NETLINK_ROUTE, groups.iter().map(|group| *group as libc::c_int))
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
