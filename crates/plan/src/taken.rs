//! A pair that somebody made by hand and that an endpoint takes over.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use zubi_model::IfName;
use zubi_wire::route::{AdminState, LinkSeen};

/// A pair before an endpoint takes it over: enough to give it back as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The name of its end on the host.
    pub host: IfName,
    /// Its end on the host.
    pub outer: LinkSeen,
    /// The bridge that this end is a port of: the network's.
    pub bridge: Option<IfName>,
    /// The name of its end in the sandbox.
    pub ifname: IfName,
    /// Its end in the sandbox.
    pub inner: LinkSeen,
    /// The addresses of the end in the sandbox, without link-local ones.
    pub addresses: Vec<IpNet>,
}

impl Taken {
    /// Whether the end in the sandbox keeps its name and is up all the time: it keeps its routes then.
    pub fn stays_up(&self, ifname: &IfName) -> bool {
        self.ifname == *ifname && self.inner.state == AdminState::Up
    }

    /// Whether `seen` is the end on the host, under any name.
    pub fn is_outer(&self, seen: &LinkSeen) -> bool {
        seen.index == self.outer.index && seen.kind == self.outer.kind && seen.peer == self.outer.peer
    }

    /// Whether `seen` is the end in the sandbox, under any name.
    pub fn is_inner(&self, seen: &LinkSeen) -> bool {
        seen.index == self.inner.index && seen.kind == self.inner.kind && seen.peer == self.inner.peer
    }
}

/// The two ends of a taken pair as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenNow {
    /// The end on the host; `None` when the pair is gone.
    pub outer: Option<LinkSeen>,
    /// The way into the sandbox and the end there, unless it is gone or cannot be reached.
    pub inner: Option<(zubi_model::NsRef, LinkSeen)>,
}
