//! Results: what an attachment has, passed from plug-in to plug-in (specification 1.1, "ADD Success").
//!
//! One reader serves all versions: the keys that are present decide. Unknown keys are kept and printed again.

use crate::dns::{Dns, read_dns};
use crate::error::{CniError, Code};
use crate::fields::{Fields, Rest};
use ipnet::IpNet;
use serde_json::Value;
use std::net::IpAddr;
use std::path::Path;
use zubi_model::Family;

/// What an attachment has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CniResult {
    /// Devices, on the host and in the container.
    pub interfaces: Vec<Interface>,
    /// Addresses.
    pub ips: Vec<Address>,
    /// Routes in the container.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Dns,
    /// Unknown keys.
    pub rest: Rest,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// The device's name.
    pub name: String,
    /// The MAC as text: other plug-ins have devices with longer addresses.
    pub mac: Option<String>,
    /// MTU in bytes; since 1.1.0.
    pub mtu: Option<u32>,
    /// The namespace, as the runtime wrote its path; `None` on the host.
    pub sandbox: Option<String>,
    /// A socket of the device; since 1.1.0.
    pub socket_path: Option<String>,
    /// The PCI device; since 1.1.0.
    pub pci_id: Option<String>,
    /// Unknown keys.
    pub rest: Rest,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address with its prefix length.
    pub address: IpNet,
    /// The next hop, if any.
    pub gateway: Option<IpAddr>,
    /// Index into the interfaces: the device that has the address.
    pub interface: Option<usize>,
    /// Unknown keys.
    pub rest: Rest,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Destination.
    pub dst: IpNet,
    /// Next hop; `None` means the gateway of the family.
    pub gw: Option<IpAddr>,
    /// MTU of the path, in bytes; this and the following fields since 1.1.0.
    pub mtu: Option<u32>,
    /// The largest TCP segment to announce, in bytes.
    pub advmss: Option<u32>,
    /// The metric: the kernel prefers smaller ones.
    pub priority: Option<u32>,
    /// The routing table.
    pub table: Option<u32>,
    /// Distance to the destination (`rtm_scope`).
    pub scope: Option<u8>,
    /// Unknown keys.
    pub rest: Rest,
}

impl CniResult {
    /// Reads a result of any version.
    pub fn parse(document: &Value) -> Result<Self, CniError> {
        let place = "result";
        read_result(&Fields::of(document, place).map_err(undecoded)?).map_err(undecoded)
    }

    /// Appends this result to that of the earlier plug-ins, which stays unchanged.
    #[must_use]
    pub fn after(mut self, previous: CniResult) -> CniResult {
        let before = previous.interfaces.len();
        for ip in &mut self.ips {
            ip.interface = ip.interface.map(|index| index + before);
        }
        let mut all = previous;
        all.interfaces.append(&mut self.interfaces);
        all.ips.append(&mut self.ips);
        all.routes.append(&mut self.routes);
        if all.dns.is_empty() {
            all.dns = self.dns;
        }
        all.rest.append(&mut self.rest);
        all
    }

    /// The device with this name in the container.
    pub fn inner_mut(&mut self, ifname: &str, sandbox: Option<&Path>) -> Option<&mut Interface> {
        let inside = |i: &&mut Interface| {
            let same = sandbox.is_none_or(|s| i.sandbox.as_deref().map(Path::new) == Some(s));
            i.name == ifname && i.sandbox.as_deref().is_some_and(|s| !s.is_empty()) && same
        };
        self.interfaces.iter_mut().find(inside)
    }
}

impl Route {
    /// A route without further attributes.
    pub fn new(dst: IpNet, gw: Option<IpAddr>) -> Self {
        Route { dst, gw, mtu: None, advmss: None, priority: None, table: None, scope: None, rest: Rest::new() }
    }

    /// Whether this is a default route.
    pub fn is_default(&self) -> bool {
        self.dst.prefix_len() == 0
    }

    /// The destination's family.
    pub fn family(&self) -> Family {
        Family::of(self.dst.addr())
    }
}

/// An error inside a result is no error of the configuration.
fn undecoded(error: CniError) -> CniError {
    CniError { code: Code::Decode, msg: error.msg.replace("invalid network config: ", "cannot decode "), ..error }
}

fn read_result(fields: &Fields<'_>) -> Result<CniResult, CniError> {
    let mut result = CniResult {
        interfaces: fields.objects("interfaces")?.iter().map(read_interface).collect::<Result<_, _>>()?,
        ips: fields.objects("ips")?.iter().map(read_address).collect::<Result<_, _>>()?,
        routes: read_routes(fields, "routes")?,
        dns: fields.object("dns")?.map(|d| read_dns(&d)).transpose()?.unwrap_or_default(),
        rest: fields.rest(&["cniVersion", "interfaces", "ips", "routes", "dns", "ip4", "ip6"]),
    };
    // The form of 0.1.0 and 0.2.0.
    for key in ["ip4", "ip6"] {
        let Some(single) = fields.object(key)? else { continue };
        let Some(address) = single.parsed("ip")? else { continue };
        let gateway = single.parsed("gateway")?;
        let rest = single.rest(&["ip", "gateway", "routes"]);
        result.ips.push(Address { address, gateway, interface: None, rest });
        result.routes.extend(read_routes(&single, "routes")?);
    }
    Ok(result)
}

fn read_interface(fields: &Fields<'_>) -> Result<Interface, CniError> {
    let text = |key| Ok::<_, CniError>(fields.text(key)?.filter(|t| !t.is_empty()).map(str::to_owned));
    Ok(Interface {
        name: text("name")?.unwrap_or_default(),
        mac: text("mac")?,
        mtu: fields.number("mtu")?.filter(|mtu| *mtu > 0),
        sandbox: text("sandbox")?,
        socket_path: text("socketPath")?,
        pci_id: text("pciID")?,
        rest: fields.rest(&["name", "mac", "mtu", "sandbox", "socketPath", "pciID"]),
    })
}

fn read_address(fields: &Fields<'_>) -> Result<Address, CniError> {
    let missing = || CniError::missing(fields.name("address"), "it takes one, as 10.0.0.2/24");
    let interface = match fields.get("interface") {
        None => None,
        // Other plug-ins write -1 for none.
        Some(Value::Number(number)) if number.as_i64().is_some_and(|n| n < 0) => None,
        Some(value) => {
            let index = value.as_u64().and_then(|n| usize::try_from(n).ok());
            Some(index.ok_or_else(|| fields.wrong("interface", value, "is not an index"))?)
        }
    };
    Ok(Address {
        address: fields.parsed("address")?.ok_or_else(missing)?,
        gateway: fields.parsed("gateway")?,
        interface,
        rest: fields.rest(&["version", "address", "gateway", "interface"]),
    })
}

/// Reads a list of routes of a result or a configuration.
pub(crate) fn read_routes(fields: &Fields<'_>, key: &str) -> Result<Vec<Route>, CniError> {
    fields.objects(key)?.iter().map(read_route).collect()
}

fn read_route(fields: &Fields<'_>) -> Result<Route, CniError> {
    let missing = || CniError::missing(fields.name("dst"), "a route needs a destination");
    let dst: IpNet = fields.parsed("dst")?.ok_or_else(missing)?;
    let gw: Option<IpAddr> = fields.parsed("gw")?;
    if gw.is_some_and(|gw| gw.is_ipv4() != dst.addr().is_ipv4()) {
        return Err(CniError::config(fields.name("gw"), gw.unwrap_or(dst.addr()), format!("is no next hop to {dst}")));
    }
    let scope = match fields.get("scope") {
        None => None,
        Some(value) => {
            let scope = value.as_u64().and_then(|n| u8::try_from(n).ok());
            Some(scope.ok_or_else(|| fields.wrong("scope", value, "is not a number from 0 to 255"))?)
        }
    };
    Ok(Route {
        dst,
        gw,
        mtu: fields.number("mtu")?.filter(|n| *n > 0),
        advmss: fields.number("advmss")?.filter(|n| *n > 0),
        priority: fields.number("priority")?.filter(|n| *n > 0),
        table: fields.number("table")?,
        scope,
        rest: fields.rest(&["dst", "gw", "mtu", "advmss", "priority", "table", "scope"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fails(document: &Value) -> String {
        CniResult::parse(document).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        assert_eq!(fails(&json!([])), "cannot decode result `a list of 0`: is not an object");
        let no_net = json!({"ips": [{"address": "10.0.0.1"}]});
        assert_eq!(
            fails(&no_net),
            "cannot decode result.ips[0].address `10.0.0.1`: is not an IP address with a prefix length"
        );
        assert_eq!(
            fails(&json!({"ips": [{}]})),
            "cannot decode result.ips[0].address is missing: it takes one, as 10.0.0.2/24"
        );
        let mixed = json!({"routes": [{"dst": "::/0", "gw": "10.0.0.1"}]});
        assert_eq!(fails(&mixed), "cannot decode result.routes[0].gw `10.0.0.1`: is no next hop to ::/0");
        let half = json!({"ips": [{"address": "10.0.0.1/8", "interface": 0.5}]});
        assert_eq!(fails(&half), "cannot decode result.ips[0].interface `0.5`: is not an index");
    }
}
