//! What a plan finds before it changes or removes something.

use crate::Presence;
use crate::forwarding::Ipv6Forwarding;
use crate::loopback::BridgeNetfilter;
use std::path::PathBuf;
use zubi_model::{DisplacedRoute, Endpoint, Family, IfName, Network, NsRef};
use zubi_wire::nft::RuleSeen;
use zubi_wire::route::LinkSeen;

/// The properties of a host that decide how networks are made on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// How it forwards IPv6.
    pub ipv6: Ipv6Forwarding,
    /// Whether its bridges pass frames to the firewall.
    pub netfilter: BridgeNetfilter,
    /// The run folder of this zubi.
    pub run: PathBuf,
}

/// How much of a network exists, judged by its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All of it: the device goes up last.
    Complete,
    /// Unknown: the device belongs to another program, and is up without anything of ours. Each part has to be
    /// compared.
    InParts,
    /// The device, but one of the marks that identify it is missing, see [`put_marks_back`](super::put_marks_back).
    Unmarked,
    /// Unknown: the host's own configuration made the device. It is the network's if the network's card is a port of it.
    OfHost,
    /// A part or nothing. Making the network again completes it.
    Incomplete,
    /// Nothing, and another program has to make the device.
    NoDevice,
    /// Nothing: another device has the name.
    Foreign,
}

/// Why no network can be described on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// The device must exist, and does not.
    NoDevice,
    /// The driver cannot use this kind of device. The kind, as the kernel reports it.
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

/// What is left of a network that is being removed, and who else uses it.
#[derive(Debug)]
pub struct Leaving<'a> {
    /// Whether it is the last.
    pub last: Last,
    /// The device that has the name of the network's device.
    pub device: Option<&'a LinkSeen>,
    /// The other networks.
    pub others: &'a [Network],
    /// Its guest rules.
    pub guests: &'a [RuleSeen],
    /// Its ports of an Open vSwitch bridge.
    pub ports: &'a [IfName],
}

/// An endpoint, and what a change of its network can reach of it.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its host end.
    pub host_end: Presence,
    /// Its host end as a port of the network's device.
    pub port: Presence,
    /// The way to its inner end, if that exists.
    pub inside: Option<NsRef>,
}

/// What a change of a network finds.
#[derive(Debug, Clone)]
pub struct InUse {
    /// The network's device.
    pub device: Presence,
    /// The endpoints.
    pub endpoints: Vec<Reached>,
    /// How this host forwards IPv6.
    pub ipv6: Ipv6Forwarding,
}

/// What exists of an endpoint before it is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// The host end.
    pub host_end: Presence,
    /// The way into its sandbox; `None` if the sandbox is gone.
    pub inside: Option<NsRef>,
    /// The inner end under its name.
    pub inner_end: Presence,
    /// The inner end under its doomed name, if an earlier command was interrupted.
    pub doomed_end: Presence,
    /// The endpoints of the same sandbox that give the default route afterwards, see
    /// [`heirs`](crate::default_route::heirs).
    pub successors: Vec<(Endpoint, Vec<Family>)>,
    /// The default routes of other programs that come back.
    pub restored: Vec<DisplacedRoute>,
}
