//! The text of answers. The engine wants an object in each, and status 200 also with an error.

use crate::{Interface, PoolId};
use ipnet::IpNet;
use serde_json::{Map, Value, json};
use std::fmt::Display;
use zubi_model::{EndpointAddress, Family, IfName, Mac, StaticRoute};

/// The content type of the protocol.
pub const CONTENT_TYPE: &str = "application/vnd.docker.plugins.v1.2+json";
/// The most characters of an error.
const LONGEST_ERROR: usize = 4000;

/// The answer to the handshake.
pub fn activated() -> String {
    json!({"Implements": ["NetworkDriver", "IpamDriver"]}).to_string()
}

/// What the network driver can do: networks of this host. An engine outside of a swarm refuses any other scope.
pub fn network_capabilities() -> String {
    json!({"Scope": "local", "ConnectivityScope": "local"}).to_string()
}

/// What the address management can do: it keeps what it gave, and needs no MACs for it.
pub fn ipam_capabilities() -> String {
    json!({"RequiresMACAddress": false, "RequiresRequestReplay": false}).to_string()
}

/// How the address management calls its pools.
pub fn address_spaces() -> String {
    json!({"LocalDefaultAddressSpace": "zubi", "GlobalDefaultAddressSpace": "zubi-global"}).to_string()
}

/// A success without values.
pub fn done() -> String {
    "{}".to_owned()
}

/// No values about an endpoint: what a driver tells here fails the engine's own check of types.
pub fn no_values() -> String {
    json!({"Value": {}}).to_string()
}

/// Networks want a gateway in both families.
pub fn gateway_check() -> String {
    json!({"SkipIPv4": false, "SkipIPv6": false}).to_string()
}

/// A subnet for a network.
pub fn pool(id: &PoolId) -> String {
    json!({"PoolID": id.to_string(), "Pool": id.subnet.to_string(), "Data": {}}).to_string()
}

/// An address of a subnet.
pub fn address(address: IpNet) -> String {
    json!({"Address": address.to_string(), "Data": {}}).to_string()
}

/// An endpoint that was created: only what the request left out.
pub fn endpoint(addresses: &[IpNet], mac: Option<Mac>) -> String {
    let mut interface = Map::new();
    for address in addresses {
        let name = match Family::of(address.addr()) {
            Family::V4 => "Address",
            Family::V6 => "AddressIPv6",
        };
        interface.insert(name.into(), address.to_string().into());
    }
    if let Some(mac) = mac {
        interface.insert("MacAddress".into(), mac.to_string().into());
    }
    json!({"Interface": interface}).to_string()
}

/// A device that the engine is to move, and where its packets go.
#[derive(Debug, Clone, Copy)]
pub struct Joined<'a> {
    /// The device, in the namespace of the engine.
    pub device: &'a IfName,
    /// How its name inside begins.
    pub prefix: &'a str,
    /// Its addresses, with the next hops out of their subnets where the network gives a default route.
    pub addresses: &'a [EndpointAddress],
    /// Further routes.
    pub routes: &'a [StaticRoute],
}

/// A sandbox that has joined. Without a gateway the engine would add a network of its own for the way out.
pub fn joined(joined: &Joined<'_>) -> String {
    let gateway = |family| {
        let of_family = joined.addresses.iter().find(|a| Family::of(a.address.addr()) == family)?;
        of_family.gateway.map(|gateway| gateway.to_string())
    };
    let (v4, v6) = (gateway(Family::V4), gateway(Family::V6));
    let routes: Vec<Value> = joined
        .routes
        .iter()
        .map(|route| match route.via {
            Some(via) => {
                json!({"Destination": route.to.to_string(), "RouteType": 0, "NextHop": via.to_string()})
            }
            None => json!({"Destination": route.to.to_string(), "RouteType": 1}),
        })
        .collect();
    json!({
        "InterfaceName": {"SrcName": joined.device.to_string(), "DstPrefix": joined.prefix},
        "Gateway": v4.as_deref().unwrap_or_default(),
        "GatewayIPv6": v6.as_deref().unwrap_or_default(),
        "StaticRoutes": routes,
        "DisableGatewayService": v4.is_none() && v6.is_none(),
    })
    .to_string()
}

/// An error in the form of an interface. Escapes control characters, so that the engine's log stays readable.
pub fn error(interface: Interface, message: &impl Display) -> String {
    let text = message.to_string();
    let mut shown: String = text
        .chars()
        .flat_map(|c| {
            let (escaped, plain) = if c.is_control() { (Some(c.escape_default()), None) } else { (None, Some(c)) };
            escaped.into_iter().flatten().chain(plain)
        })
        .take(LONGEST_ERROR)
        .collect();
    if shown.is_empty() {
        // An empty text would be a success.
        shown.push_str("unknown error");
    }
    let key = match interface {
        Interface::IpamDriver => "Error",
        Interface::Plugin | Interface::NetworkDriver => "Err",
    };
    json!({key: shown}).to_string()
}
