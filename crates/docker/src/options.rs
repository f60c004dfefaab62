//! What follows `-o` at `docker network create`: zubi's words for a network, and Docker's own for the same.

use crate::Error;
use std::str::FromStr;
use zubi_model::{IfName, Invalid, MacvlanMode, Mtu, NetworkName, VlanId};

const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const MTU: &str = "com.docker.network.driver.mtu";
const PREFIX: &str = "com.docker.network.container_iface_prefix";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";

/// What connects the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverWord {
    Bridge,
    Macvlan,
    Ovs,
}

impl FromStr for DriverWord {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = |why: &str| Err(Invalid::new("driver", text, why));
        match text {
            "bridge" => Ok(DriverWord::Bridge),
            "macvlan" => Ok(DriverWord::Macvlan),
            "ovs" => Ok(DriverWord::Ovs),
            "uplink" => wrong(
                "takes a network card over, which asks for a confirmation; make it with zubi network create and join it with -o network=NAME",
            ),
            _ => wrong("is unknown; there are: bridge, macvlan, ovs"),
        }
    }
}

/// The first part of the name of a device inside; the engine appends a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix(pub(crate) String);

impl FromStr for Prefix {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        // Two digits have room behind it.
        format!("{text}99").parse::<IfName>().map_err(|e| Invalid::new("prefix", text, e.why))?;
        Ok(Prefix(text.to_owned()))
    }
}

/// The options of a network, each as its type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Options {
    pub(crate) network: Option<NetworkName>,
    pub(crate) driver: Option<DriverWord>,
    pub(crate) parent: Option<IfName>,
    pub(crate) mode: Option<MacvlanMode>,
    pub(crate) host_shim: Option<bool>,
    pub(crate) bridge: Option<IfName>,
    pub(crate) adopt: Option<bool>,
    pub(crate) vlan: Option<VlanId>,
    pub(crate) trunk: Option<Vlans>,
    pub(crate) mtu: Option<Mtu>,
    pub(crate) icc: Option<bool>,
    pub(crate) masquerade: Option<bool>,
    pub(crate) prefix: Option<Prefix>,
}

/// VLANs in a list with commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vlans(pub(crate) Vec<VlanId>);

impl FromStr for Vlans {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.split(',').map(str::parse).collect::<Result<Vec<VlanId>, _>>().map(Vlans)
    }
}

impl Options {
    /// Reads them all. An unknown one is refused.
    pub(crate) fn read(texts: &[(&str, &str)]) -> Result<Options, Error> {
        let mut options = Options::default();
        for (key, value) in texts {
            options.take(key, value)?;
        }
        options.fit_together()?;
        Ok(options)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), Error> {
        match key {
            "network" => once(&mut self.network, key, value),
            "driver" => once(&mut self.driver, key, value),
            "parent" => once(&mut self.parent, key, value),
            "mode" | "macvlan_mode" => once(&mut self.mode, key, value),
            "host_shim" => switch(&mut self.host_shim, key, value),
            "bridge" | BRIDGE_NAME => once(&mut self.bridge, key, value),
            "adopt" => switch(&mut self.adopt, key, value),
            "vlan" => once(&mut self.vlan, key, value),
            "trunk" => once(&mut self.trunk, key, value),
            "mtu" | "com.docker.network.mtu" | MTU => once(&mut self.mtu, key, value),
            "icc" | ICC => switch(&mut self.icc, key, value),
            "masquerade" | MASQUERADE => switch(&mut self.masquerade, key, value),
            PREFIX => once(&mut self.prefix, key, value),
            HOST_BINDING => Err(Error::option(key, "is no option of zubi's; name the address as -p 127.0.0.1:8080:80")),
            "ipam" => Err(Error::option(key, "Docker needs addresses before a container can ask a DHCP server")),
            _ => Err(Error::option(
                key,
                "is no option of zubi's; there are: network, driver, parent, mode, host_shim, bridge, adopt, vlan, trunk, mtu, icc, masquerade",
            )),
        }
    }

    fn fit_together(&self) -> Result<(), Error> {
        let of_macvlan = [("mode", self.mode.is_some()), ("host_shim", self.host_shim.is_some())];
        let of_ovs = [("vlan", self.vlan.is_some()), ("trunk", self.trunk.is_some())];
        let of_bridge = [("icc", self.icc.is_some()), ("adopt", self.adopt.is_some())];
        let parent = [("parent", self.parent.is_some())];
        let bridge = [("bridge", self.bridge.is_some())];
        let masquerade = [("masquerade", self.masquerade.is_some())];
        let no = |name: Option<&'static str>, why: &str| name.map_or(Ok(()), |name| Err(Error::option(name, why)));
        if self.network.is_some() {
            let rest = [("driver", self.driver.is_some()), ("mtu", self.mtu.is_some())];
            let all = [&of_macvlan[..], &of_ovs, &of_bridge, &parent, &bridge, &masquerade, &rest].concat();
            return no(first(&all), "does not go with network=NAME: that network is as it was made");
        }
        match self.driver.unwrap_or(DriverWord::Bridge) {
            DriverWord::Bridge => {
                let others = [&of_macvlan[..], &parent].concat();
                no(first(&others), "is for driver=macvlan")?;
                no(first(&of_ovs), "is for driver=ovs")?;
                let without_bridge = self.adopt == Some(true) && self.bridge.is_none();
                no(without_bridge.then_some("adopt"), "needs the bridge's name: add -o bridge=NAME")
            }
            DriverWord::Macvlan => {
                let others = [&of_bridge[..], &bridge, &masquerade].concat();
                no(first(&others), "is for networks with a bridge")?;
                no(first(&of_ovs), "is for driver=ovs")
            }
            DriverWord::Ovs => {
                let others = [&of_macvlan[..], &parent].concat();
                no(first(&others), "is for driver=macvlan")?;
                let others = [&of_bridge[..], &masquerade].concat();
                no(first(&others), "is for Linux bridges")?;
                no((self.vlan.is_some() && self.trunk.is_some()).then_some("trunk"), "does not go with vlan")?;
                no(self.bridge.is_none().then_some("driver"), "ovs needs a bridge that exists: add -o bridge=NAME")
            }
        }
    }
}

/// The first option of those that are set.
fn first(which: &[(&'static str, bool)]) -> Option<&'static str> {
    which.iter().find(|(_, set)| *set).map(|(name, _)| *name)
}

/// Sets an option, unless another spelling has set it differently.
fn once<T: FromStr<Err = Invalid> + PartialEq>(slot: &mut Option<T>, key: &str, value: &str) -> Result<(), Error> {
    let value: T = value.parse().map_err(|e: Invalid| Error::option(format!("{key}={value}"), e.to_string()))?;
    set(slot, key, value)
}

fn set<T: PartialEq>(slot: &mut Option<T>, key: &str, value: T) -> Result<(), Error> {
    match slot {
        Some(before) if *before != value => Err(Error::option(key, "contradicts another option")),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

/// Docker reads these words with Go's `strconv.ParseBool`.
fn switch(slot: &mut Option<bool>, key: &str, value: &str) -> Result<(), Error> {
    match value {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => set(slot, key, true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => set(slot, key, false),
        _ => Err(Error::option(format!("{key}={value}"), "is neither true nor false")),
    }
}
