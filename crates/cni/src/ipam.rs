//! The addresses of a device: out of ranges, from the configuration, from another plug-in, or none.

use crate::context::Context;
use crate::dns::{Dns, parse_resolv_conf};
use crate::error::{CniError, Code};
use crate::fields::Fields;
use crate::intent::{Ipam, Switch, Wire, WireNetwork};
use crate::result::{CniResult, Route};
use crate::routes::{Gateways, without_host_bits};
use crate::{dhcp, host_local, static_ipam};
use std::net::IpAddr;
use zubi_model::{Addressing, DefaultRoute, EndpointAddress, GatewayAt, InnerState, MacWish, Pool, Subnet, Wishes};

/// Adds what the section `ipam` says about addresses.
pub(crate) fn with_ipam(wire: Wire, config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    let Some((ipam, kind)) = ipam_of(config)? else { return without_addresses(wire, context) };
    if wire.wishes.traits.inner == InnerState::Down {
        let why = "cannot be together with disableContainerInterface: a device that is down gets no addresses";
        return Err(CniError::config("ipam.type", kind, why));
    }
    match kind {
        "host-local" => with_ranges(wire, &ipam, context),
        "static" => {
            let fixed = static_ipam::read(&ipam, context.runtime, context.version)?;
            let mut wire = wire.with_addresses(&fixed.addresses, fixed.routes)?;
            wire.fall_back_to(fixed.dns);
            Ok(wire)
        }
        "dhcp" => dhcp::with_lease(wire, config, &ipam, context),
        other => Ok(Wire {
            wishes: Wishes {
                addressing: Addressing::Given(Vec::new()),
                default_route: DefaultRoute::Never,
                ..wire.wishes
            },
            ipam: Ipam::Exec(other.to_owned()),
            ..wire
        }),
    }
}

/// The section `ipam` and its type; `None` when the device gets no addresses.
pub(crate) fn ipam_of<'a>(config: &Fields<'a>) -> Result<Option<(Fields<'a>, &'a str)>, CniError> {
    let Some(ipam) = config.object("ipam")? else { return Ok(None) };
    match ipam.text("type")? {
        None | Some("") => Ok(None),
        Some(kind) if kind.contains(['/', '\0']) || kind == "." || kind == ".." => {
            Err(CniError::config(ipam.name("type"), kind, "is not the name of a plug-in"))
        }
        Some(kind) => Ok(Some((ipam, kind))),
    }
}

/// One address from each set of ranges. `ipam` is the section, or the configuration itself with the same keys.
pub(crate) fn with_ranges(mut wire: Wire, ipam: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    let reserve = host_local::read(ipam, context, wire.gateway_at)?;
    let mut pools: Vec<Pool> = Vec::new();
    for pool in reserve.sets.iter().flatten() {
        add_pool(&mut pools, pool.clone())?;
    }
    // The engine chooses among the pools of a set later. Assume the requested address's pool, else the first.
    let wanted = |pool: &&Pool| reserve.wanted.iter().any(|a| pool.subnet.net().contains(a));
    let likely = reserve.sets.iter().filter_map(|set| set.iter().find(wanted).or(set.first()));
    let gateways = Gateways::first_of(likely.filter_map(|pool| pool.gateway));
    wire.describe_pools(pools);
    wire.wishes.addressing = Addressing::Sets(reserve.sets);
    wire.wishes.addresses = reserve.wanted;
    wire.ipam = Ipam::Ours;
    wire.routes = reserve.routes;
    wire.data_dir = reserve.data_dir;
    wire.resolv_conf = reserve.resolv_conf.filter(|_| wire.dns.is_empty());
    wire.settle_routes(gateways);
    Ok(wire)
}

/// A device on layer 2 only.
pub(crate) fn without_addresses(mut wire: Wire, context: &Context<'_>) -> Result<Wire, CniError> {
    if context.version.is_single() {
        let msg = format!("version {} has no words for a device without addresses", context.version);
        return Err(CniError::new(Code::IncompatibleVersion, msg));
    }
    wire.wishes.addressing = Addressing::Given(Vec::new());
    if wire.wishes.mac == MacWish::FromAddress {
        wire.wishes.mac = MacWish::Random;
    }
    wire.default_gateway = Switch::Off;
    wire.settle_routes(Gateways::default());
    Ok(wire)
}

impl Wire {
    /// Takes addresses, routes and, where the configuration has none, name servers from another IPAM plug-in's result.
    pub fn with_ipam_result(self, result: &CniResult) -> Result<Wire, CniError> {
        let plugin = match &self.ipam {
            Ipam::Exec(kind) => kind.clone(),
            Ipam::None | Ipam::Ours => "IPAM".into(),
        };
        let wrong = |why: &str| CniError::new(Code::Internal, format!("plug-in {plugin} answered {why}"));
        if result.ips.is_empty() {
            return Err(wrong("without an address"));
        }
        let mut addresses = Vec::new();
        for ip in &result.ips {
            if let Some(gateway) = ip.gateway.filter(|g| g.is_ipv4() != ip.address.addr().is_ipv4()) {
                return Err(wrong(&format!("with gateway {gateway} for address {}", ip.address)));
            }
            addresses.push(EndpointAddress { address: ip.address, gateway: ip.gateway });
        }
        let ipam = self.ipam.clone();
        let mut wire = self.with_addresses(&addresses, without_host_bits(result.routes.clone())?)?;
        wire.ipam = ipam;
        wire.fall_back_to(result.dns.clone());
        Ok(wire)
    }

    /// Takes the name servers from the text of [`Wire::resolv_conf`].
    #[must_use]
    pub fn with_resolv_conf(mut self, text: &str) -> Wire {
        self.fall_back_to(parse_resolv_conf(text));
        self
    }

    /// Takes these addresses. On a host that is the gateway, an address without one gets the subnet's first address.
    fn with_addresses(mut self, given: &[EndpointAddress], routes: Vec<Route>) -> Result<Wire, CniError> {
        let mut pools = Vec::new();
        let mut addresses = Vec::new();
        for one in given {
            let mut one = *one;
            match Subnet::try_from(one.address.trunc()) {
                Ok(subnet) => {
                    if self.gateway_at == GatewayAt::Bridge {
                        one.gateway = one.gateway.or(Some(subnet.first_host()));
                    }
                    if one.gateway == Some(one.address.addr()) {
                        let why = format!("is the gateway of {subnet}");
                        return Err(CniError::config("address", one.address, why));
                    }
                    let (gateway, gateway_at) = (one.gateway, self.gateway_at);
                    add_pool(&mut pools, Pool { subnet, gateway, gateway_at, range: None, exclude: Vec::new() })?;
                }
                Err(why) if self.gateway_at == GatewayAt::Bridge => {
                    return Err(CniError::config("address", one.address, why.why));
                }
                // No pool: without a gateway on the host the network needs nothing of such a prefix.
                Err(_) => {}
            }
            addresses.push(one);
        }
        let gateways = Gateways::first_of(addresses.iter().filter_map(|a| a.gateway));
        self.describe_pools(pools);
        self.wishes.addressing = Addressing::Given(addresses);
        self.ipam = Ipam::Ours;
        self.routes = routes;
        self.settle_routes(gateways);
        Ok(self)
    }

    /// Puts the pools into the description, if there is one.
    fn describe_pools(&mut self, pools: Vec<Pool>) {
        if let WireNetwork::Described(description) = &mut self.network {
            description.pools = pools;
            description.pools.sort_by_key(|p| p.subnet.family());
        }
    }

    /// Takes these name servers if the configuration has none.
    fn fall_back_to(&mut self, dns: Dns) {
        if self.dns.is_empty() {
            self.dns = dns;
        }
    }
}

/// Adds a pool to those of a network. Two ranges of one subnet become one pool without exclusions: the wishes' own sets
/// restrict the choice.
fn add_pool(pools: &mut Vec<Pool>, pool: Pool) -> Result<(), CniError> {
    if let (GatewayAt::Bridge, Some(gateway)) = (pool.gateway_at, pool.gateway)
        && !pool.subnet.has_host(gateway)
    {
        return Err(CniError::config("gateway", gateway, format!("is not a host address of {}", pool.subnet)));
    }
    let Some(same) = pools.iter_mut().find(|p| p.subnet.overlaps(pool.subnet.net())) else {
        pools.push(pool);
        return Ok(());
    };
    if same.subnet != pool.subnet {
        return Err(CniError::config("subnet", pool.subnet, format!("overlaps {} on the same bridge", same.subnet)));
    }
    if same.host_address() != pool.host_address() {
        let text = |gateway: Option<IpAddr>| gateway.map_or_else(String::new, |g| g.to_string());
        let why = format!("differs from {}, which is also the gateway of {}", text(same.gateway), pool.subnet);
        return Err(CniError::config("gateway", text(pool.gateway), why));
    }
    same.gateway = same.gateway.or(pool.gateway);
    same.exclude.clear();
    Ok(())
}
