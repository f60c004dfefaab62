//! `NetworkDriver.CreateNetwork`: the network that the engine wants.

use crate::Error;
use crate::fields::Fields;
use crate::ipam::prefix;
use crate::options::{DriverWord, Options};
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::{
    BridgeSpec, CardMode, DriverSpec, Egress, Exclusion, ExistingBridge, Family, Icc, Invalid, MacvlanSpec, NetworkId,
    NetworkName, NetworkSpec, OvsSpec, PoolSpec, PortVlans, Scope, ShimWish, Subnet, UplinkSpec,
};

/// A network of Docker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNetwork {
    /// Its number, for both.
    pub id: NetworkId,
    /// What it is to zubi.
    pub kind: Kind,
    /// Its subnets; none where the driver is to choose addresses (`--ipam-driver null`).
    pub pools: Vec<NetworkPool>,
    /// How devices inside begin: `eth`.
    pub prefix: String,
}

/// What a network of Docker's is to zubi.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A network that exists.
    Join(NetworkName),
    /// One that is made for it.
    Make(Box<NetworkSpec>),
}

/// A subnet as the engine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPool {
    /// The subnet.
    pub subnet: Subnet,
    /// The gateway, where one was reserved.
    pub gateway: Option<IpAddr>,
    /// What `--aux-address` keeps back.
    pub exclude: Vec<Exclusion>,
}

/// Reads the request.
pub(crate) fn create(fields: &Fields<'_>) -> Result<CreateNetwork, Error> {
    let id: NetworkId = fields.needed("NetworkID")?;
    let given = fields.object("Options")?;
    let options = Options::read(&given.texts("com.docker.network.generic")?)?;
    let is_internal = given.flag("com.docker.network.internal")?;
    let wants_ipv6 = given.flag("com.docker.network.enable_ipv6")?;
    let mut pools: Vec<NetworkPool> = Vec::new();
    for data in fields.objects("IPv4Data")?.iter().chain(&fields.objects("IPv6Data")?) {
        let Some(pool) = pool(data)? else { continue };
        if pools.iter().any(|other| other.subnet.family() == pool.subnet.family()) {
            return Err(Error::SecondSubnet(pool.subnet.net()));
        }
        pools.push(pool);
    }
    let prefix = options.prefix.clone().map_or_else(|| "eth".to_owned(), |prefix| prefix.0);
    let kind = match options.network.clone() {
        Some(network) => Kind::Join(network),
        None => Kind::Make(Box::new(spec(&id, options, &pools, is_internal, wants_ipv6)?)),
    };
    Ok(CreateNetwork { id, kind, pools, prefix })
}

/// A subnet; `None` for `0.0.0.0/0` and `::/0`, by which the engine says that it has none.
fn pool(data: &Fields<'_>) -> Result<Option<NetworkPool>, Error> {
    let net = match data.text("Pool")? {
        None => return Ok(None),
        Some(text) => prefix("subnet", text)?,
    };
    if net.prefix_len() == 0 {
        return Ok(None);
    }
    let gateway = data.text("Gateway")?.map(|text| prefix("gateway", text)).transpose()?;
    let reserved = data.texts("AuxAddresses")?;
    let exclude = reserved.iter().map(|(_, text)| {
        let address = prefix("excluded address", text)?.addr();
        Ok(Exclusion { first: address, last: address })
    });
    Ok(Some(NetworkPool {
        subnet: Subnet::try_from(net)?,
        gateway: gateway.map(|gateway| gateway.addr()),
        exclude: exclude.collect::<Result<_, Error>>()?,
    }))
}

/// The name by which zubi calls a network that it makes for Docker: the engine does not tell its own.
pub fn name_of_made(id: &NetworkId) -> Result<NetworkName, Invalid> {
    format!("docker-{}", id.short()).parse()
}

fn spec(
    id: &NetworkId,
    options: Options,
    pools: &[NetworkPool],
    is_internal: bool,
    wants_ipv6: bool,
) -> Result<NetworkSpec, Error> {
    let driver = options.driver.unwrap_or(DriverWord::Bridge);
    let adopts = options.adopt == Some(true);
    let mut families: Vec<Family> = pools.iter().map(|pool| pool.subnet.family()).collect();
    if pools.is_empty() && !adopts && options.parent.is_none() && driver != DriverWord::Ovs {
        families.push(Family::V4);
        families.extend(wants_ipv6.then_some(Family::V6));
    }
    let is_translated = driver == DriverWord::Bridge && !adopts && options.masquerade != Some(false);
    let card = |parent| UplinkSpec { parent, ranges: Vec::new(), gateways: Vec::new(), exclude: Vec::new() };
    Ok(NetworkSpec {
        id: Some(id.clone()),
        pools: pools.iter().map(NetworkPool::spec).collect(),
        families,
        scope: if is_internal { Scope::Internal } else { Scope::Routed },
        egress: if is_translated { Egress::Masquerade } else { Egress::Plain },
        mtu: options.mtu,
        driver: match (driver, options.bridge) {
            (DriverWord::Macvlan, _) => DriverSpec::Macvlan(MacvlanSpec {
                card: options.parent.map(card),
                mode: options.mode.map(CardMode::Macvlan).unwrap_or_default(),
                shim: match options.host_shim {
                    None => ShimWish::WherePossible,
                    Some(true) => ShimWish::Wanted,
                    Some(false) => ShimWish::Unwanted,
                },
            }),
            (DriverWord::Ovs, Some(bridge)) => {
                let vlans = match (options.vlan, options.trunk) {
                    (Some(vlan), _) => PortVlans::Access(vlan),
                    (None, Some(vlans)) => PortVlans::trunk(vlans.0),
                    (None, None) => PortVlans::All,
                };
                DriverSpec::Ovs(OvsSpec { bridge, vlans })
            }
            (DriverWord::Bridge | DriverWord::Ovs, device) => DriverSpec::Bridge(BridgeSpec {
                device,
                icc: if options.icc == Some(false) { Icc::Isolated } else { Icc::Allowed },
                existing: if adopts { ExistingBridge::Adopted } else { ExistingBridge::Refused },
                uplink: None,
                vlan: None,
            }),
        },
        ..NetworkSpec::new(name_of_made(id)?)
    })
}

impl NetworkPool {
    /// The subnet as a user would ask for it.
    fn spec(&self) -> PoolSpec {
        PoolSpec { subnet: self.subnet, gateway: self.gateway, range: None, exclude: self.exclude.clone() }
    }

    /// The gateway with the length of the subnet.
    pub fn gateway_net(&self) -> Option<IpNet> {
        self.gateway.map(|gateway| IpNet::new_assert(gateway, self.subnet.net().prefix_len()))
    }
}
