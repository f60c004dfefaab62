//! What a plug-in has to do, in the model's words.

use crate::dns::Dns;
use crate::environment::{Attachment, ContainerId};
use crate::error::CniError;
use crate::result::{CniResult, Route};
use serde_json::Value;
use std::net::IpAddr;
use std::path::PathBuf;
use zubi_model::{
    Description, DriverDescription, EndpointAddress, GatewayAt, HostDeviceDescription, Icc, IfName, Ingress, Mac, Mtu,
    NetworkName, Pool, PortSource, PortWish, Wishes,
};

/// One call of a plug-in for one attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The name of the network: `name` in the list of plug-ins.
    pub network: String,
    /// The container.
    pub container: ContainerId,
    /// The container's namespace; DEL may come without one.
    pub netns: Option<PathBuf>,
    /// The device in the container.
    pub ifname: IfName,
    /// The result of the earlier plug-ins in the list (`prevResult`).
    pub previous: Option<CniResult>,
    /// What this plug-in has to do.
    pub share: Share,
    /// The request document, for plug-ins that this one calls.
    pub stdin: Value,
    /// Where those plug-ins are (`CNI_PATH`).
    pub path: Vec<PathBuf>,
}

/// GC: frees what attachments that no longer exist left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Gc {
    /// The name of the network.
    pub network: String,
    /// The attachments that still exist. `None`: the runtime does not list them, so nothing may be freed.
    pub valid: Option<Vec<Attachment>>,
    /// What this plug-in does, as far as the configuration says.
    pub share: Share,
    /// The request document, for plug-ins that this one calls.
    pub stdin: Value,
    /// Where those plug-ins are (`CNI_PATH`).
    pub path: Vec<PathBuf>,
}

/// STATUS: asks whether a container could be attached.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The name of the network.
    pub network: String,
    /// What this plug-in would do; the wishes name no container.
    pub share: Share,
    /// The request document, for plug-ins that this one calls.
    pub stdin: Value,
    /// Where those plug-ins are (`CNI_PATH`).
    pub path: Vec<PathBuf>,
}

/// What a plug-in has to do: its part of the work of a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Share {
    /// `bridge`, `macvlan`, `ipvlan`, `vlan`, `host-device`, `zubi`: a device with addresses.
    Wire(Box<Wire>),
    /// `loopback`: the loopback device.
    Loopback,
    /// `host-local`: addresses from ranges.
    Reserve(Reserve),
    /// `static`: addresses that the configuration names.
    Fixed(Fixed),
    /// `portmap`: published ports.
    Publish(Publish),
    /// `firewall`: the ingress policy.
    IngressPolicy(IngressPolicy),
    /// `tuning`: settings of the device.
    Tune(Tune),
}

/// A device on a bridge or a network card.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire {
    /// The network.
    pub network: WireNetwork,
    /// The device of the host that the endpoint is to be, where only the host knows its name; see [`Wire::with_device`].
    pub device: Option<DeviceWish>,
    /// The endpoint to make. With [`Ipam::Exec`] its addresses are not known yet: see [`Wire::with_ipam_result`].
    pub wishes: Wishes,
    /// Where the addresses come from.
    pub ipam: Ipam,
    /// Where the gateways of addresses from another IPAM plug-in are.
    pub gateway_at: GatewayAt,
    /// Whether the endpoint gets default routes through its gateways, besides [`Wire::routes`].
    pub default_gateway: Switch,
    /// The configured routes, as the result lists them; the default routes of `default_gateway` are not among them.
    pub routes: Vec<Route>,
    /// Name servers for the result.
    pub dns: Dns,
    /// A resolv.conf to read `dns` from; `None` when the configuration has name servers.
    pub resolv_conf: Option<PathBuf>,
    /// Where host-local keeps its addresses, if configured.
    pub data_dir: Option<PathBuf>,
    /// Settings of the device that `zubi` makes; `None` without any.
    pub tune: Option<Tune>,
}

impl Wire {
    /// The same with the name of the device that was found on the host.
    #[must_use]
    pub fn with_device(mut self, found: IfName) -> Self {
        if let WireNetwork::Described(Description { driver: DriverDescription::HostDevice(driver), .. }) =
            &mut self.network
        {
            *driver = HostDeviceDescription { device: found, ..driver.clone() };
        }
        Wire { device: None, ..self }
    }

    /// A device without addresses and routes.
    pub(crate) fn new(network: WireNetwork, wishes: Wishes) -> Self {
        Wire {
            network,
            device: None,
            wishes,
            ipam: Ipam::None,
            gateway_at: GatewayAt::Elsewhere,
            default_gateway: Switch::Off,
            routes: Vec::new(),
            dns: Dns::default(),
            resolv_conf: None,
            data_dir: None,
            tune: None,
        }
    }
}

/// The network that a device joins.
#[derive(Debug, Clone, PartialEq)]
pub enum WireNetwork {
    /// A described network: the configuration says what it is. It may leave the subnet to zubi.
    Described(Description),
    /// A network that a user made.
    Named(NetworkName),
}

/// How a configuration names a device of the host whose name it does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceWish {
    /// By its MAC.
    WithMac(Mac),
    /// By the folder below `/sys/devices` of the hardware.
    Kernel(PathBuf),
    /// By the hardware's address on the PCI bus.
    Pci(String),
}

/// Where addresses come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipam {
    /// From nowhere: the device gets no address.
    None,
    /// From zubi, as the wishes say, or from a DHCP server that zubi asks.
    Ours,
    /// From another plug-in with this name, to be found in [`Task::path`].
    Exec(String),
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

impl From<bool> for Switch {
    fn from(on: bool) -> Self {
        if on { Switch::On } else { Switch::Off }
    }
}

/// One address from each set of pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// The pools of a set are of one family.
    pub sets: Vec<Vec<Pool>>,
    /// Requested addresses, each from a set of its own.
    pub wanted: Vec<IpAddr>,
    /// Routes for the result.
    pub routes: Vec<Route>,
    /// A resolv.conf with the name servers for the result.
    pub resolv_conf: Option<PathBuf>,
    /// Where host-local keeps its addresses, if configured.
    pub data_dir: Option<PathBuf>,
}

/// Addresses that the configuration or the runtime names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The addresses.
    pub addresses: Vec<EndpointAddress>,
    /// Routes for the result.
    pub routes: Vec<Route>,
    /// Name servers for the result.
    pub dns: Dns,
}

/// Published ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// All ports of the attachment.
    pub ports: Vec<PortWish>,
    /// Which source addresses the container sees.
    pub source: PortSource,
}

/// The ingress policy of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IngressPolicy {
    /// What may come from outside the network.
    pub ingress: Ingress,
    /// What may come from its other endpoints; `None` leaves that unchanged.
    pub icc: Option<Icc>,
}

/// Settings of the device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tune {
    /// Paths below `/proc/sys/net` with their values, sorted by path.
    pub sysctls: Vec<(String, String)>,
    /// The device's MAC.
    pub mac: Option<Mac>,
    /// The device's MTU.
    pub mtu: Option<Mtu>,
    /// Whether the device accepts frames for other MACs.
    pub promisc: Option<Switch>,
    /// Whether the device accepts all multicast frames.
    pub allmulti: Option<Switch>,
    /// Length of the transmit queue, in packets.
    pub tx_queue_len: Option<u32>,
    /// Where to keep the previous settings, if configured.
    pub data_dir: Option<PathBuf>,
}

impl Task {
    /// The result of the earlier plug-ins; an error without one.
    pub fn chained(&self) -> Result<&CniResult, CniError> {
        self.previous.as_ref().ok_or_else(|| missing_previous(&self.network))
    }
}

/// The error of a chained plug-in that comes first in its list.
pub(crate) fn missing_previous(network: &str) -> CniError {
    CniError::missing("prevResult", format!("this plug-in comes after another one in the list {network}"))
}
