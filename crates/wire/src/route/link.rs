//! Links: `ip link` (RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK; linux/if_link.h).

mod change;
mod made;
mod moved;
mod parts;
mod seen;

pub use change::{LONGEST_ALIAS, LinkChange};
pub use made::{Link, LinkKind, OnCard, Peer, Stub, Vlan};
pub use moved::{Destination, LinkMove};
pub use parts::{AddrGenMode, AdminState, LinkRef};
pub use seen::{LinkMark, LinkSeen};

use super::AF_UNSPEC;
use crate::message::{Batch, Body, flag};
use parts::{IFLA_GROUP, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MASTER, RTM_NEWLINK, header};
use zubi_model::{IfIndex, LinkGroup};

const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
/// Leaves out the statistics (`RTEXT_FILTER_SKIP_STATS`).
const SKIP_STATS: u32 = 1 << 3;

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

/// Appends a request that makes no link, since it lacks what a link of any kind needs: only a kernel that does not know the
/// kind says so.
pub fn probe_kind(batch: &mut Batch, kind: &str) {
    batch.message(RTM_NEWLINK, flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL, |b| {
        header(b, AF_UNSPEC, 0, 0, 0);
        b.text(IFLA_IFNAME, &format!("zv-{kind}"));
        b.nested(IFLA_LINKINFO, |b| b.text(IFLA_INFO_KIND, kind));
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

#[cfg(all(test, target_endian = "little"))]
mod tests;
