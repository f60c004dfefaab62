//! Links that change their namespace: `ip link set NAME netns`.

use super::parts::{IFLA_IFNAME, IFLA_NET_NS_FD, RTM_NEWLINK, header, netns_word};
use crate::message::{Batch, flag};
use crate::route::AF_UNSPEC;
use std::fmt;
use zubi_model::{IfIndex, IfName, NsRef};

/// Where a link goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Into a sandbox.
    Sandbox(NsRef),
    /// To the host.
    Host,
}

/// A link that goes into another namespace, with its MAC and MTU. It is down there, and has lost addresses, routes,
/// settings and filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkMove {
    /// Its name before.
    pub name: IfName,
    /// Where it goes.
    pub to: Destination,
    /// Its name there.
    pub rename: IfName,
}

impl LinkMove {
    /// Appends the message; `netns_fd` is a descriptor of the destination. The kernel moves the link first and renames it
    /// then, but takes the new name at once where another device has the old one (`__dev_change_net_namespace`).
    pub fn encode(&self, batch: &mut Batch, IfIndex(index): IfIndex, netns_fd: u32) {
        batch.message(RTM_NEWLINK, flag::REQUEST | flag::ACK, |b| {
            header(b, AF_UNSPEC, index, 0, 0);
            b.u32(IFLA_NET_NS_FD, netns_fd);
            b.text(IFLA_IFNAME, self.rename.as_str());
        });
    }
}

impl fmt::Display for LinkMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link set {} netns ", self.name)?;
        match &self.to {
            Destination::Sandbox(sandbox) => f.write_str(&netns_word(sandbox))?,
            // The shell that types it is on the host.
            Destination::Host => f.write_str("$$")?,
        }
        write!(f, " name {}", self.rename)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_printed_as_it_is_typed() {
        let into = |to| LinkMove { name: "eth1".parse().unwrap(), to, rename: "net0".parse().unwrap() }.to_string();
        let named = Destination::Sandbox(NsRef::Named("c1".parse().unwrap()));
        assert_eq!(into(named), "link set eth1 netns c1 name net0");
        let path = Destination::Sandbox(NsRef::Path("/proc/7/ns/net".into()));
        assert_eq!(into(path), "link set eth1 netns /proc/7/ns/net name net0");
        assert_eq!(into(Destination::Host), "link set eth1 netns $$ name net0");
    }
}
