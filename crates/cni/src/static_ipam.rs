//! `static`: addresses that the configuration names.

use crate::args::AddressWish;
use crate::dns::read_dns;
use crate::error::CniError;
use crate::fields::Fields;
use crate::intent::Fixed;
use crate::result::read_routes;
use crate::routes::without_host_bits;
use crate::runtime::Runtime;
use crate::version::Version;
use std::net::IpAddr;
use zubi_model::{EndpointAddress, Family};

/// Reads the section `ipam`. Addresses from the runtime replace its own.
pub(crate) fn read(ipam: &Fields<'_>, runtime: &Runtime<'_>, version: Version) -> Result<Fixed, CniError> {
    let wanted = runtime.ips()?;
    let mut addresses = Vec::new();
    for ip in &wanted.ips {
        addresses.push(with_prefix(wanted.key, ip)?);
    }
    if addresses.is_empty() {
        for fields in ipam.objects("addresses")? {
            let missing = || CniError::missing(fields.name("address"), "it takes one, as 10.0.0.2/24");
            let text = fields.text("address")?.filter(|t| !t.is_empty()).ok_or_else(missing)?;
            let wrong = || CniError::config(fields.name("address"), text, "is not an IP address");
            let wish = AddressWish::parse(text).ok_or_else(wrong)?;
            let gateway: Option<IpAddr> = fields.parsed("gateway")?;
            let mut address = with_prefix(&fields.name("address"), &wish)?;
            if let Some(gateway) = gateway.filter(|g| g.is_ipv4() != address.address.addr().is_ipv4()) {
                let why = format!("is of another family than {}", address.address);
                return Err(CniError::config(fields.name("gateway"), gateway, why));
            }
            address.gateway = gateway;
            addresses.push(address);
        }
    }
    for gateway in &runtime.args().gateways {
        let within = addresses.iter_mut().filter(|a| a.address.contains(gateway));
        within.for_each(|a| a.gateway = Some(*gateway));
    }
    check(&addresses, version)?;
    Ok(Fixed {
        addresses,
        routes: without_host_bits(read_routes(ipam, "routes")?)?,
        dns: ipam.object("dns")?.map(|d| read_dns(&d)).transpose()?.unwrap_or_default(),
    })
}

fn with_prefix(key: &str, wish: &AddressWish) -> Result<EndpointAddress, CniError> {
    let missing = || CniError::config(key, wish.address, "has no prefix length, as 10.0.0.2/24 has");
    Ok(EndpointAddress { address: wish.net.ok_or_else(missing)?, gateway: None })
}

/// Bounds the work: each address is compared with all earlier ones.
const MOST_ADDRESSES: usize = 1000;

fn check(addresses: &[EndpointAddress], version: Version) -> Result<(), CniError> {
    if addresses.len() > MOST_ADDRESSES {
        return Err(CniError::config("ipam.addresses", addresses.len(), format!("at most {MOST_ADDRESSES} are taken")));
    }
    for (at, one) in addresses.iter().enumerate() {
        let address = one.address.addr();
        if address.is_unspecified() || address.is_multicast() {
            return Err(CniError::config("ipam.addresses", one.address, "is not a unicast address"));
        }
        let earlier = addresses.get(..at).unwrap_or_default();
        if earlier.iter().any(|e| e.address.addr() == address) {
            return Err(CniError::config("ipam.addresses", one.address, "is there twice"));
        }
        let same_family = |e: &&EndpointAddress| Family::of(e.address.addr()) == Family::of(address);
        if version.is_single() && earlier.iter().any(|e| same_family(&e)) {
            let why = format!("version {version} has no words for more than one {} address", Family::of(address));
            return Err(CniError::config("ipam.addresses", one.address, why));
        }
    }
    Ok(())
}
