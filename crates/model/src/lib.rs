//! The words of zubi: names, MACs, subnets, networks, sandboxes, endpoints, and how each is read from text.
//!
//! Nothing here touches a file, a socket, a clock or randomness. A value of one of these types is already
//! valid: whatever comes from outside is checked once, when it is parsed.

mod change;
mod description;
mod device;
mod endpoint;
mod error;
mod link;
mod mac;
mod name;
mod network;
mod port;
mod sandbox;
mod subnet;
mod text;
mod visible;

pub use change::{Difference, NetworkChange};
pub use description::{Description, ForeignBridge, InUse, OtherGateway};
pub use device::{IfIndex, IfName, LinkGroup, Mtu};
pub use endpoint::{
    Addressing, DefaultRoute, DuplicateDetection, Endpoint, EndpointAddress, EndpointKey, InnerState, MacWish,
    PortHolder, PortSource, RouteKind, RouteOptions, SandboxIdentity, SourceMac, StaticRoute, Traits, Wishes,
};
pub use error::Invalid;
pub use link::{DirectLink, LinkAddresses, LinkEnd, LinkEndRef, LinkId, LinkPlace, LinkPlaceRef, LinkWishes};
pub use mac::Mac;
pub use name::{Alias, Label, NetworkName, NetworkSource, SandboxName};
pub use network::{
    BridgeMode, Driver, Egress, GatewayAt, Hairpin, Icc, Ingress, Network, NetworkId, NetworkSpec, Pool, PoolSpec,
    Promiscuity, Scope,
};
pub use port::{HostAddress, HostPorts, PortNumber, PortRange, PortWish, Protocol, PublishedPort};
pub use sandbox::{NetnsCookie, NsRef, Pid, SandboxRef};
pub use subnet::{Exclusion, Family, Subnet};
pub use visible::visible;
