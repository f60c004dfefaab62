//! What a plan finds before it changes or removes something.

use crate::Presence;
use crate::forwarding::Ipv6Forwarding;
use crate::loopback::BridgeNetfilter;
use std::path::PathBuf;
use zubi_model::{Endpoint, Family, Network, NsRef};
use zubi_wire::nft::RuleSeen;
use zubi_wire::route::LinkSeen;

/// What of a host decides how networks are made on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// How it forwards IPv6.
    pub ipv6: Ipv6Forwarding,
    /// Whether its bridges pass frames to the firewall.
    pub netfilter: BridgeNetfilter,
    /// The run folder of this zubi.
    pub run: PathBuf,
}

/// How much of a network stands, by the device that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All: the device goes up last.
    Complete,
    /// Unknown: the device is another program's, and up without anything of ours. Each part has to be compared.
    InParts,
    /// The device, which has lost one of the marks that it is recognised by, see
    /// [`put_marks_back`](super::put_marks_back).
    Unmarked,
    /// Some or nothing; making the network again completes it.
    Incomplete,
    /// Nothing, and another program has to make the device.
    NoDevice,
    /// Nothing: another device has the name.
    Foreign,
}

/// Why no network can be described on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// The device is to be there, and is not.
    NoDevice,
    /// The device is none of the driver's. Its kind, as the kernel says it.
    OtherKind(Option<String>),
}

/// Whether other networks still need the firewall table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// This was the last network.
    Yes,
    /// Others stay.
    No,
}

/// What a network leaves behind when it goes.
#[derive(Debug)]
pub struct Leaving<'a> {
    /// Whether it is the last.
    pub last: Last,
    /// What stands under the name of its device.
    pub device: Option<&'a LinkSeen>,
    /// The other networks.
    pub others: &'a [Network],
    /// Its guest rules.
    pub guests: &'a [RuleSeen],
}

/// An endpoint as far as a change of its network can reach it.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its host end.
    pub host_end: Presence,
    /// Its host end as a port of the network's device.
    pub port: Presence,
    /// How to reach its inner end, when that is there.
    pub inside: Option<NsRef>,
}

/// What a change of a network finds.
#[derive(Debug, Clone)]
pub struct InUse {
    /// The device that stands for the network.
    pub device: Presence,
    /// The endpoints.
    pub endpoints: Vec<Reached>,
    /// How this host forwards IPv6.
    pub ipv6: Ipv6Forwarding,
}

/// What is there of an endpoint before it is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// The host end.
    pub host_end: Presence,
    /// How to reach the inside; `None` when the sandbox is gone.
    pub inside: Option<NsRef>,
    /// The inner end under its name.
    pub inner_end: Presence,
    /// The inner end under its doomed name: an earlier command got no further.
    pub doomed_end: Presence,
    /// The endpoints of the same sandbox that give the default route from now on, see
    /// [`successors`](crate::default_route::successors).
    pub successors: Vec<(Endpoint, Vec<Family>)>,
}
