//! `NetworkDriver`'s methods about endpoints.

use crate::fields::Fields;
use crate::ipam::prefix;
use crate::{Error, mac, ports};
use ipnet::IpNet;
use std::path::PathBuf;
use zubi_model::{EndpointId, Invalid, Mac, NetworkId, PortWish};

/// An endpoint, by the engine's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRef {
    /// The network.
    pub network: NetworkId,
    /// The endpoint.
    pub endpoint: EndpointId,
}

/// `CreateEndpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateEndpoint {
    /// Which.
    pub of: EndpointRef,
    /// Addresses that the engine has got for it.
    pub addresses: Vec<IpNet>,
    /// The MAC that the user gave it.
    pub mac: Option<Mac>,
    /// Whether the answer may name the MAC: it may name only what the request left out.
    pub answers_mac: bool,
}

/// `Join`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Which.
    pub of: EndpointRef,
    /// Where the namespace is, or will be.
    pub sandbox: Option<PathBuf>,
}

/// `ProgramExternalConnectivity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Which.
    pub of: EndpointRef,
    /// The ports.
    pub ports: Vec<PortWish>,
}

impl EndpointRef {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(EndpointRef { network: fields.needed("NetworkID")?, endpoint: fields.needed("EndpointID")? })
    }

    /// `None` for numbers that no endpoint has. Without any number the request is wrong.
    pub(crate) fn known(fields: &Fields<'_>) -> Result<Option<Self>, Error> {
        let text = |name: &str| fields.text(name)?.ok_or_else(|| Error::Missing(name.into()));
        let (network, endpoint) = (text("NetworkID")?, text("EndpointID")?);
        Ok(network.parse().ok().zip(endpoint.parse().ok()).map(|(network, endpoint)| EndpointRef { network, endpoint }))
    }
}

pub(crate) fn create(fields: &Fields<'_>) -> Result<CreateEndpoint, Error> {
    let of = EndpointRef::read(fields)?;
    let interface = fields.object("Interface")?;
    let options = fields.object("Options")?;
    // The engine's own words all begin so.
    if let Some(option) = options.keys().find(|key| !key.starts_with("com.docker.network.")) {
        return Err(Invalid::new("--driver-opt", option, "is no option of zubi's").into());
    }
    let mut addresses = Vec::new();
    for name in ["Address", "AddressIPv6"] {
        if let Some(text) = interface.text(name)? {
            addresses.push(prefix("address", text)?);
        }
    }
    let given: Option<Mac> = interface.read("MacAddress")?;
    let of_user = options.text("com.docker.network.endpoint.macaddress")?.map(mac::from_base64).transpose()?;
    Ok(CreateEndpoint { of, addresses, mac: given.or(of_user), answers_mac: given.is_none() })
}

pub(crate) fn join(fields: &Fields<'_>) -> Result<Join, Error> {
    let of = EndpointRef::read(fields)?;
    let sandbox = fields.text("SandboxKey")?.map(PathBuf::from);
    if let Some(path) = sandbox.as_ref().filter(|path| !path.is_absolute() || path.to_string_lossy().contains('\0')) {
        return Err(Invalid::new("SandboxKey", path.display(), "is no absolute path").into());
    }
    Ok(Join { of, sandbox })
}

pub(crate) fn publish(fields: &Fields<'_>) -> Result<Publish, Error> {
    Ok(Publish { of: EndpointRef::read(fields)?, ports: ports::read(&fields.object("Options")?)? })
}
