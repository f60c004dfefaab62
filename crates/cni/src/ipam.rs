//! Addresses that are known as they are: from `static`, or from another plug-in.

use crate::bridge::add_pool;
use crate::dns::parse_resolv_conf;
use crate::error::{CniError, Code};
use crate::intent::{Ipam, Wire};
use crate::result::{CniResult, Route};
use crate::routes::{Gateways, without_host_bits};
use zubi_model::{Addressing, EndpointAddress, GatewayAt, Pool, Subnet};

impl Wire {
    /// With what another IPAM plug-in answered: its addresses, its routes, and its name servers where the configuration has
    /// none.
    pub fn with_ipam_result(self, result: &CniResult) -> Result<Wire, CniError> {
        let who = match &self.ipam {
            Ipam::Exec(kind) => kind.clone(),
            Ipam::None | Ipam::Ours => "IPAM".into(),
        };
        let wrong = |why: &str| CniError::new(Code::Internal, format!("plug-in {who} answered {why}"));
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

    /// With the name servers of a resolv.conf, the one it asked for.
    #[must_use]
    pub fn with_resolv_conf(mut self, text: &str) -> Wire {
        self.fall_back_to(parse_resolv_conf(text));
        self
    }

    /// With these addresses. Where the host is the gateway and none is named, it is the first address of the subnet.
    pub(crate) fn with_addresses(mut self, given: &[EndpointAddress], routes: Vec<Route>) -> Result<Wire, CniError> {
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
                // Without a gateway on the host nothing of it is the network's.
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
}
