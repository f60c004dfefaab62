//! What the engine is to do, in the words of the model.

use crate::dns::Dns;
use crate::environment::{Attachment, ContainerId};
use crate::error::CniError;
use crate::result::{CniResult, Route};
use serde_json::Value;
use std::net::IpAddr;
use std::path::PathBuf;
use zubi_model::{
    Description, EndpointAddress, GatewayAt, Icc, IfName, Ingress, Mac, Mtu, NetworkName, Pool, PortSource, PortWish,
    Wishes,
};

/// What one call of a plug-in is about: an attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The name of the network, as the list of plug-ins has it.
    pub network: String,
    /// The container.
    pub container: ContainerId,
    /// Its namespace; DEL may come without.
    pub netns: Option<PathBuf>,
    /// The device in the container.
    pub ifname: IfName,
    /// What the plug-ins before this one made.
    pub previous: Option<CniResult>,
    /// What this plug-in is to do.
    pub share: Share,
    /// The request, for plug-ins that are called by this one.
    pub stdin: Value,
    /// Where these are (`CNI_PATH`).
    pub path: Vec<PathBuf>,
}

/// What is left of a network when the runtime has counted its containers.
#[derive(Debug, Clone, PartialEq)]
pub struct Gc {
    /// The name of the network.
    pub network: String,
    /// Those that live. Nothing may be freed when the runtime does not say.
    pub valid: Option<Vec<Attachment>>,
    /// What this plug-in does, as far as the configuration tells.
    pub share: Share,
    /// The request, for plug-ins that are called by this one.
    pub stdin: Value,
    /// Where these are (`CNI_PATH`).
    pub path: Vec<PathBuf>,
}

/// Whether a container could be attached.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The name of the network.
    pub network: String,
    /// What this plug-in would do; the wishes are of nobody.
    pub share: Share,
    /// The request, for plug-ins that are called by this one.
    pub stdin: Value,
    /// Where these are (`CNI_PATH`).
    pub path: Vec<PathBuf>,
}

/// What a plug-in is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Share {
    /// `bridge`, `zubi`: a device with addresses.
    Wire(Box<Wire>),
    /// `loopback`: the loopback device.
    Loopback,
    /// `host-local`: addresses out of ranges.
    Reserve(Reserve),
    /// `static`: addresses as they are written.
    Fixed(Fixed),
    /// `portmap`: published ports.
    Publish(Publish),
    /// `firewall`: who may come in.
    Police(Police),
    /// `tuning`: settings of the device.
    Tune(Tune),
}

/// A device on a bridge.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire {
    /// The network.
    pub network: WireNetwork,
    /// What is wished of the endpoint. With [`Ipam::Exec`] the addresses are still to come: see
    /// [`Wire::with_ipam_result`].
    pub wishes: Wishes,
    /// Where the addresses come from.
    pub ipam: Ipam,
    /// Where the gateways are of addresses that are still to come.
    pub gateway_at: GatewayAt,
    /// Whether the endpoint has a default route by its gateways, besides [`Wire::routes`].
    pub default_gateway: Switch,
    /// As the result lists them: defaults that come by `default_gateway` are not among them.
    pub routes: Vec<Route>,
    /// For the result.
    pub dns: Dns,
    /// A resolv.conf that gives `dns`, when there is nothing in it by configuration.
    pub resolv_conf: Option<PathBuf>,
    /// Where host-local keeps its addresses, if that is said.
    pub data_dir: Option<PathBuf>,
    /// What `zubi` also does; `None` where there is nothing to do.
    pub tune: Option<Tune>,
}

/// Which network a device is of.
#[derive(Debug, Clone, PartialEq)]
pub enum WireNetwork {
    /// One that is as the configuration says. Its subnet may be left to us.
    Described(Description),
    /// One that a user made.
    Named(NetworkName),
}

/// Where addresses come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipam {
    /// From nowhere: the device gets none.
    None,
    /// They are in the wishes.
    Ours,
    /// From another plug-in, of this name in [`Task::path`].
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

/// One address of each set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// In each set the pools are of one family.
    pub sets: Vec<Vec<Pool>>,
    /// These, out of them.
    pub wanted: Vec<IpAddr>,
    /// For the result.
    pub routes: Vec<Route>,
    /// A resolv.conf that gives the name servers of the result.
    pub resolv_conf: Option<PathBuf>,
    /// Where the addresses are kept, if that is said: `/var/lib/cni/networks` otherwise.
    pub data_dir: Option<PathBuf>,
}

/// Addresses as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The addresses.
    pub addresses: Vec<EndpointAddress>,
    /// For the result.
    pub routes: Vec<Route>,
    /// For the result.
    pub dns: Dns,
}

/// Published ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// All of the attachment.
    pub ports: Vec<PortWish>,
    /// Which sources packets to them have.
    pub source: PortSource,
}

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Police {
    /// From outside the network.
    pub ingress: Ingress,
    /// From its other endpoints; when absent, as it is.
    pub icc: Option<Icc>,
}

/// Settings of the device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tune {
    /// Path below `/proc/sys/net` and value, in the order of the paths.
    pub sysctls: Vec<(String, String)>,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// Its MTU.
    pub mtu: Option<Mtu>,
    /// Whether it takes frames for others.
    pub promisc: Option<Switch>,
    /// Whether it takes all multicast frames.
    pub allmulti: Option<Switch>,
    /// How many packets may wait to be sent.
    pub tx_queue_len: Option<u32>,
    /// Where what was before is kept, if that is said.
    pub data_dir: Option<PathBuf>,
}

impl Task {
    /// What the plug-ins before this one made, where there has to be something.
    pub fn chained(&self) -> Result<&CniResult, CniError> {
        self.previous.as_ref().ok_or_else(|| missing_previous(&self.network))
    }
}

/// A plug-in that only changes what others made was called first.
pub(crate) fn missing_previous(network: &str) -> CniError {
    CniError::missing("prevResult", format!("this plug-in comes after another one in the list {network}"))
}
