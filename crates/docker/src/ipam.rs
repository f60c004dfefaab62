//! `IpamDriver`: subnets and addresses, asked for before there is a network.

use crate::Error;
use crate::fields::Fields;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use zubi_model::{Family, Invalid, NetworkName, Subnet};

/// What distinguishes a subnet that the engine has. It is written as `10.90.0.0/24`, with `,10.90.0.128/25` for a part
/// to choose from, and `@blue` when it is that of a network that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolId {
    /// The subnet.
    pub subnet: Subnet,
    /// The part to choose addresses from; all of it when absent.
    pub range: Option<IpNet>,
    /// The network that the subnet is of, when Docker's network joins one.
    pub network: Option<NetworkName>,
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.subnet)?;
        if let Some(range) = &self.range {
            write!(f, ",{range}")?;
        }
        match &self.network {
            Some(network) => write!(f, "@{network}"),
            None => Ok(()),
        }
    }
}

impl FromStr for PoolId {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (nets, network) = match text.split_once('@') {
            Some((nets, network)) => (nets, Some(network.parse()?)),
            None => (text, None),
        };
        let (subnet, range) = match nets.split_once(',') {
            Some((subnet, range)) => (subnet, Some(prefix("pool", range)?)),
            None => (nets, None),
        };
        Ok(PoolId { subnet: subnet.parse()?, range, network })
    }
}

/// `IpamDriver.RequestPool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRequest {
    /// The family.
    pub family: Family,
    /// The subnet (`--subnet`); chosen when absent.
    pub subnet: Option<Subnet>,
    /// The part to choose addresses from (`--ip-range`).
    pub range: Option<IpNet>,
    /// The network that Docker's network joins (`--ipam-opt network=NAME`).
    pub network: Option<NetworkName>,
}

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The network's gateway.
    Gateway,
    /// A container, or `--aux-address`: the engine does not say which.
    Other,
}

/// `IpamDriver.RequestAddress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRequest {
    /// Of which subnet.
    pub pool: PoolId,
    /// Which one; chosen when absent.
    pub address: Option<IpAddr>,
    /// What for.
    pub purpose: Purpose,
}

/// A prefix, or an address that is a prefix of its own. Host bits stay.
pub(crate) fn prefix(what: &'static str, text: &str) -> Result<IpNet, Invalid> {
    let bare = |_| text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(bare).map_err(|_| Invalid::new(what, text, "is neither an address nor a prefix"))
}

fn address(text: &str) -> Result<IpAddr, Error> {
    Ok(prefix("address", text)?.addr())
}

pub(crate) fn request_pool(fields: &Fields<'_>) -> Result<PoolRequest, Error> {
    let family = if fields.flag("V6")? { Family::V6 } else { Family::V4 };
    let mut request = PoolRequest {
        family,
        subnet: fields.read("Pool")?,
        range: fields.text("SubPool")?.map(|text| prefix("address range", text)).transpose()?,
        network: None,
    };
    for (key, value) in fields.texts("Options")? {
        if key != "network" {
            let why = "is no option of zubi's; there is: network=NAME, to join a zubi network";
            return Err(Invalid::new("--ipam-opt", key, why).into());
        }
        request.network = Some(value.parse()?);
    }
    if let Some(range) = request.range {
        request.range = Some(range.trunc());
        match request.subnet {
            Some(subnet) if subnet.net().contains(&range) => {}
            Some(subnet) => {
                return Err(Invalid::new("address range", range, format!("is not inside {subnet}")).into());
            }
            None if request.network.is_some() => {}
            None => return Err(Invalid::new("address range", range, "needs --subnet").into()),
        }
    }
    match request.subnet {
        Some(subnet) if subnet.family() != family => {
            Err(Invalid::new("subnet", subnet, format!("is no {family} subnet")).into())
        }
        _ => Ok(request),
    }
}

/// `None` for the number of a subnet that zubi never gave: there is nothing to release.
pub(crate) fn release_pool(fields: &Fields<'_>) -> Result<Option<PoolId>, Error> {
    Ok(fields.text("PoolID")?.ok_or_else(|| Error::Missing("PoolID".into()))?.parse().ok())
}

pub(crate) fn request_address(fields: &Fields<'_>) -> Result<AddressRequest, Error> {
    let pool: PoolId = fields.needed("PoolID")?;
    let wanted = fields.text("Address")?.map(address).transpose()?;
    if let Some(wanted) = wanted
        && !pool.subnet.has_host(wanted)
    {
        return Err(Invalid::new("address", wanted, format!("is not a host address of {}", pool.subnet)).into());
    }
    let kind = fields.object("Options")?.text("RequestAddressType")?;
    let purpose = if kind == Some("com.docker.network.gateway") { Purpose::Gateway } else { Purpose::Other };
    Ok(AddressRequest { pool, address: wanted, purpose })
}

/// `None` where zubi can have given nothing.
pub(crate) fn release_address(fields: &Fields<'_>) -> Result<Option<(PoolId, IpAddr)>, Error> {
    let pool = release_pool(fields)?;
    let text = fields.text("Address")?.ok_or_else(|| Error::Missing("Address".into()))?;
    Ok(pool.zip(address(text).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_pool_says_what_it_is() {
        for text in ["10.90.0.0/24", "10.90.0.0/24,10.90.0.128/25", "10.90.0.0/24@blue", "fd00::/64,fd00::/96@a"] {
            assert_eq!(text.parse::<PoolId>().unwrap().to_string(), text);
        }
        for bad in ["", "x", "10.90.0.0", "10.90.0.1/24", "10.90.0.0/24,", "10.90.0.0/24@", "10.90.0.0/24@a/b"] {
            assert!(bad.parse::<PoolId>().is_err(), "{bad}");
        }
    }
}
