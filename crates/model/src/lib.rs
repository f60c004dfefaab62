//! The words of zubi: names, MACs, subnets, networks and their drivers, sandboxes, endpoints, and how each is read from
//! text.
//!
//! Nothing here touches a file, a socket, a clock or randomness. A value of one of these types is already
//! valid: whatever comes from outside is checked once, when it is parsed.

mod attachment;
mod change;
mod client_id;
mod daemon;
mod description;
mod device;
mod dhcp_lease;
mod dhcp_option;
mod difference;
mod driver;
mod endpoint;
mod error;
pub mod fnv;
mod followed;
mod guest_network;
mod hex;
mod holdings;
mod lease_owner;
mod link;
mod mac;
mod moment;
mod name;
mod naming;
mod network;
mod network_id;
mod policy_rule;
mod pool;
mod port;
mod progress;
mod reservation;
mod sandbox;
mod serial;
mod static_route;
mod subnet;
mod text;
mod traits;
mod visible;
mod vlan;
mod wishes;

pub use attachment::{Device, OnIpvlan, OnParent, Pair};
pub use change::NetworkChange;
pub use client_id::ClientId;
pub use daemon::{
    DAEMON_SOCKET, DaemonQuestion, DaemonStatus, Happening, METRICS_SOCKET, PartState, PartStatus, RESOLVER_FOLDER,
};
pub use description::{Description, InUse, OtherGateway};
pub use device::{IfIndex, IfName, LinkGroup, Mtu};
pub use dhcp_lease::{ByDhcp, DhcpLease, Tenure};
pub use dhcp_option::{DhcpOption, DhcpWishes};
pub use difference::Difference;
pub use driver::{
    BridgeChange, BridgeDescription, BridgeMode, BridgeNetwork, BridgeSpec, Broadcasts, CardMode, CardVlan, Datapath,
    Driver, DriverChange, DriverDescription, DriverKind, DriverSpec, ExistingBridge, ForeignBridge, Hairpin,
    HostClient, HostShim, Icc, Ingress, IpvlanMode, MacvlanDescription, MacvlanMode, MacvlanNetwork, MacvlanSpec,
    OvsDescription, OvsNetwork, OvsSpec, Promiscuity, ShimWish, UplinkSpec,
};
pub use endpoint::{DefaultRoute, DisplacedRoute, Endpoint, EndpointAddress, EndpointId, EndpointKey};
pub use error::Invalid;
pub use followed::{Follow, Followed};
pub use guest_network::GuestNetwork;
pub use holdings::{AddressOptions, HeldAddress, HeldNeighbour, Holdings, Lifetime};
pub use lease_owner::LeaseOwner;
pub use link::{DirectLink, LinkAddresses, LinkEnd, LinkEndRef, LinkId, LinkPlace, LinkPlaceRef, LinkWishes};
pub use mac::Mac;
pub use moment::{Moment, Seconds};
pub use name::{Alias, Label, NetworkName, NetworkSource, SandboxName};
pub use naming::{NameService, Naming};
pub use network::{Egress, Ipam, Network, NetworkSpec, Scope};
pub use network_id::NetworkId;
pub use policy_rule::{PolicyRule, RuleAction};
pub use pool::{GatewayAt, Pool, PoolSpec};
pub use port::{HostAddress, HostPorts, PortNumber, PortRange, PortWish, Protocol, PublishedPort};
pub use progress::{Doing, Progress, Watcher};
pub use reservation::Reservation;
pub use sandbox::{NetnsCookie, NsRef, Pid, SandboxIdentity, SandboxRef, Standing};
pub use static_route::{RouteKind, RouteOptions, StaticRoute};
pub use subnet::{Exclusion, Family, Subnet};
pub use traits::{DuplicateDetection, InnerState, PortHolder, PortSource, RouterAdvertisements, SourceMac, Traits};
pub use visible::visible;
pub use vlan::{PortVlans, VlanId};
pub use wishes::{Addressing, MacWish, Probe, Wishes};
