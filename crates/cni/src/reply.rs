//! Answers: results in the format of each version, and the supported versions.

use crate::dns::Dns;
use crate::error::{CniError, Code};
use crate::fields::Rest;
use crate::intent::{Fixed, Reserve, Wire, WireNetwork};
use crate::plugin::Plugin;
use crate::result::{Address, CniResult, Interface, Route};
use crate::version::Version;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};
use zubi_model::{Endpoint, EndpointAddress, Family, Mac, Mtu};

/// The answer to VERSION.
pub fn versions(plugin: Plugin, version: Version) -> Value {
    let supported: Vec<&str> = plugin.versions().iter().map(|v| v.as_str()).collect();
    json!({ "cniVersion": version.as_str(), "supportedVersions": supported })
}

/// The text for stderr when `CNI_COMMAND` is unset.
pub fn about(plugin: Plugin) -> String {
    let supported: Vec<&str> = plugin.versions().iter().map(|v| v.as_str()).collect();
    format!("CNI {} plugin of zubi\nCNI protocol versions supported: {}", plugin.name(), supported.join(", "))
}

impl CniResult {
    /// The result for an endpoint: bridge, device on the host, device in the container; on a card only the last. `sandbox`
    /// is the path of the namespace as the runtime wrote it.
    pub fn of_endpoint(endpoint: &Endpoint, bridge_mac: Option<Mac>, sandbox: &str, wire: &Wire) -> Self {
        let mtu = match &wire.network {
            WireNetwork::Described(of) => of.mtu.map(Mtu::bytes),
            WireNetwork::Named(_) => None,
        };
        let device = |name: &str, mac: Mac, sandbox: Option<&str>| Interface {
            name: name.to_owned(),
            mac: Some(mac.to_string()),
            mtu,
            sandbox: sandbox.map(str::to_owned),
            ..Interface::default()
        };
        let on_host = [(endpoint.network_device(), bridge_mac), (endpoint.host_device(), Some(endpoint.host_mac()))];
        let on_host = on_host.into_iter().filter_map(|(name, mac)| Some(device(name?.as_str(), mac?, None)));
        let mut interfaces: Vec<Interface> = on_host.collect();
        let inner = interfaces.len();
        let mut inside = device(endpoint.ifname.as_str(), endpoint.mac, Some(sandbox));
        // A device of the host may have none.
        inside.mac = inside.mac.filter(|_| endpoint.device.moved().is_none_or(|moved| moved.mac.is_some()));
        interfaces.push(inside);
        CniResult {
            interfaces,
            ips: endpoint.addresses.iter().map(|a| address(a, Some(inner))).collect(),
            routes: wire.listed_routes(endpoint),
            dns: dns_of(endpoint, wire),
            rest: Rest::new(),
        }
    }

    /// The result for the loopback device, with addresses in these families.
    pub fn of_loopback(sandbox: &str, families: &[Family]) -> Self {
        let net = |family: &Family| match family {
            Family::V4 => IpNet::new_assert(Ipv4Addr::LOCALHOST.into(), 8),
            Family::V6 => IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128),
        };
        let ip = |address| Address { address, gateway: None, interface: Some(0), rest: Rest::new() };
        CniResult {
            interfaces: vec![Interface {
                name: "lo".to_owned(),
                mac: Some("00:00:00:00:00:00".to_owned()),
                sandbox: Some(sandbox.to_owned()),
                ..Interface::default()
            }],
            ips: families.iter().map(|family| ip(net(family))).collect(),
            ..CniResult::default()
        }
    }

    /// The result as a document of `version`, without what that version cannot express. 0.1.0 and 0.2.0 cannot express
    /// a result without addresses: that is an error.
    pub fn render(&self, version: Version) -> Result<Value, CniError> {
        let mut out = self.rest.clone();
        out.insert("cniVersion".into(), version.as_str().into());
        if version.is_single() {
            self.render_single(&mut out, version)?;
        } else {
            put_list(&mut out, "interfaces", self.interfaces.iter().map(|i| render_interface(i, version)));
            put_list(&mut out, "ips", self.ips.iter().map(|ip| render_address(ip, version)));
            put_list(&mut out, "routes", self.routes.iter().map(|r| render_route(r, version)));
        }
        if !self.dns.is_empty() {
            out.insert("dns".into(), render_dns(&self.dns));
        }
        Ok(Value::Object(out))
    }

    /// The first address of each family, with the routes of that family.
    fn render_single(&self, out: &mut Rest, version: Version) -> Result<(), CniError> {
        for (key, family) in [("ip4", Family::V4), ("ip6", Family::V6)] {
            let Some(ip) = self.ips.iter().find(|ip| Family::of(ip.address.addr()) == family) else { continue };
            let mut single = ip.rest.clone();
            single.insert("ip".into(), ip.address.to_string().into());
            put_text(&mut single, "gateway", ip.gateway);
            let routes = self.routes.iter().filter(|r| r.family() == family);
            put_list(&mut single, "routes", routes.map(|r| render_route(r, version)));
            out.insert(key.into(), Value::Object(single));
        }
        if self.ips.is_empty() {
            let msg = format!("version {version} has no words for a result without addresses");
            return Err(CniError::new(Code::IncompatibleVersion, msg));
        }
        Ok(())
    }
}

impl Fixed {
    /// The plug-in's result.
    pub fn result(&self) -> CniResult {
        CniResult {
            ips: self.addresses.iter().map(|a| address(a, None)).collect(),
            routes: self.routes.clone(),
            dns: self.dns.clone(),
            ..CniResult::default()
        }
    }
}

impl Reserve {
    /// The plug-in's result with the addresses that were reserved.
    pub fn result(&self, addresses: &[EndpointAddress], dns: Dns) -> CniResult {
        CniResult {
            ips: addresses.iter().map(|a| address(a, None)).collect(),
            routes: self.routes.clone(),
            dns,
            ..CniResult::default()
        }
    }
}

/// The configured name servers, else those of a DHCP lease.
fn dns_of(endpoint: &Endpoint, wire: &Wire) -> Dns {
    match endpoint.lease() {
        Some(lease) if wire.dns.is_empty() => Dns {
            nameservers: lease.dns_servers.iter().map(ToString::to_string).collect(),
            domain: lease.domain.clone(),
            search: lease.search.clone(),
            ..Dns::default()
        },
        _ => wire.dns.clone(),
    }
}

fn address(of: &EndpointAddress, interface: Option<usize>) -> Address {
    Address { address: of.address, gateway: of.gateway, interface, rest: Rest::new() }
}

fn render_interface(of: &Interface, version: Version) -> Value {
    let mut out = of.rest.clone();
    out.insert("name".into(), of.name.as_str().into());
    put_text(&mut out, "mac", of.mac.as_ref());
    put_text(&mut out, "sandbox", of.sandbox.as_ref());
    if version >= Version::V1_1_0 {
        put_number(&mut out, "mtu", of.mtu);
        put_text(&mut out, "socketPath", of.socket_path.as_ref());
        put_text(&mut out, "pciID", of.pci_id.as_ref());
    }
    Value::Object(out)
}

fn render_address(of: &Address, version: Version) -> Value {
    let mut out = of.rest.clone();
    if version < Version::V1_0_0 {
        out.insert("version".into(), if of.address.addr().is_ipv4() { "4" } else { "6" }.into());
    }
    out.insert("address".into(), of.address.to_string().into());
    put_text(&mut out, "gateway", of.gateway);
    if let Some(interface) = of.interface {
        out.insert("interface".into(), interface.into());
    }
    Value::Object(out)
}

fn render_route(of: &Route, version: Version) -> Value {
    let mut out = of.rest.clone();
    out.insert("dst".into(), of.dst.to_string().into());
    put_text(&mut out, "gw", of.gw);
    if version >= Version::V1_1_0 {
        put_number(&mut out, "mtu", of.mtu);
        put_number(&mut out, "advmss", of.advmss);
        put_number(&mut out, "priority", of.priority);
        put_number(&mut out, "table", of.table);
        put_number(&mut out, "scope", of.scope.map(u32::from));
    }
    Value::Object(out)
}

fn render_dns(of: &Dns) -> Value {
    let mut out = of.rest.clone();
    put_list(&mut out, "nameservers", of.nameservers.iter().map(|s| s.as_str().into()));
    put_text(&mut out, "domain", of.domain.as_ref());
    put_list(&mut out, "search", of.search.iter().map(|s| s.as_str().into()));
    put_list(&mut out, "options", of.options.iter().map(|s| s.as_str().into()));
    Value::Object(out)
}

fn put_text(out: &mut Rest, key: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        out.insert(key.into(), value.to_string().into());
    }
}

fn put_number(out: &mut Rest, key: &str, value: Option<u32>) {
    if let Some(value) = value {
        out.insert(key.into(), value.into());
    }
}

fn put_list(out: &mut Rest, key: &str, list: impl Iterator<Item = Value>) {
    let list: Vec<Value> = list.collect();
    if !list.is_empty() {
        out.insert(key.into(), Value::Array(list));
    }
}
