//! What a request asks of the engine.

use crate::fields::{Fields, object};
use crate::request::Call;
use crate::{
    AddressRequest, CreateEndpoint, CreateNetwork, EndpointRef, Error, Interface, Join, PoolId, PoolRequest, Publish,
    Refusal, endpoint, ipam, network,
};
use std::net::IpAddr;
use zubi_model::NetworkId;

/// What a request asks. Each may come again, and be about what never was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// The handshake.
    Activate,
    /// What the network driver can do.
    NetworkCapabilities,
    /// What the address management can do.
    IpamCapabilities,
    /// How the address management calls its pools.
    AddressSpaces,
    /// Nothing to do, and a success: the request is about what cannot be there.
    Nothing(Interface),
    /// An answer without values to a question about an endpoint.
    Tell(EndpointRef),
    /// Whether networks want a gateway: yes.
    GatewayCheck,
    /// See [`CreateNetwork`].
    CreateNetwork(CreateNetwork),
    /// A network goes.
    DeleteNetwork(NetworkId),
    /// See [`CreateEndpoint`].
    CreateEndpoint(CreateEndpoint),
    /// An endpoint goes.
    DeleteEndpoint(EndpointRef),
    /// See [`Join`].
    Join(Join),
    /// An endpoint's device is taken away.
    Leave(EndpointRef),
    /// See [`Publish`].
    Publish(Publish),
    /// An endpoint publishes nothing any more.
    Withdraw(EndpointRef),
    /// See [`PoolRequest`].
    RequestPool(PoolRequest),
    /// A subnet is free again.
    ReleasePool(PoolId),
    /// See [`AddressRequest`].
    RequestAddress(AddressRequest),
    /// An address is free again.
    ReleaseAddress(PoolId, IpAddr),
}

impl Intent {
    /// Whose form the answer has.
    pub fn interface(&self) -> Interface {
        match self {
            Intent::Activate => Interface::Plugin,
            Intent::Nothing(interface) => *interface,
            Intent::IpamCapabilities
            | Intent::AddressSpaces
            | Intent::RequestPool(_)
            | Intent::ReleasePool(_)
            | Intent::RequestAddress(_)
            | Intent::ReleaseAddress(..) => Interface::IpamDriver,
            Intent::NetworkCapabilities
            | Intent::Tell(_)
            | Intent::GatewayCheck
            | Intent::CreateNetwork(_)
            | Intent::DeleteNetwork(_)
            | Intent::CreateEndpoint(_)
            | Intent::DeleteEndpoint(_)
            | Intent::Join(_)
            | Intent::Leave(_)
            | Intent::Publish(_)
            | Intent::Withdraw(_) => Interface::NetworkDriver,
        }
    }
}

/// Turns the path of a request (`/NetworkDriver.Join`) and its body into an intent.
pub fn interpret(path: &str, body: &[u8]) -> Result<Intent, Refusal> {
    let call = Call::from_path(path).ok_or(Refusal::Unknown)?;
    let wrong = |error| Refusal::Wrong { interface: call.interface, error };
    match (call.interface, call.method) {
        // These have no argument.
        (Interface::Plugin, "Activate") => Ok(Intent::Activate),
        (Interface::NetworkDriver, "GetCapabilities") => Ok(Intent::NetworkCapabilities),
        (Interface::IpamDriver, "GetCapabilities") => Ok(Intent::IpamCapabilities),
        (Interface::IpamDriver, "GetDefaultAddressSpaces") => Ok(Intent::AddressSpaces),
        (Interface::NetworkDriver, "GwAllocCheck") => Ok(Intent::GatewayCheck),
        // A host that joins or leaves a cluster.
        (Interface::NetworkDriver, "DiscoverNew" | "DiscoverDelete") => Ok(Intent::Nothing(call.interface)),
        (Interface::NetworkDriver, "AllocateNetwork" | "FreeNetwork") => Err(wrong(Error::Swarm)),
        (Interface::NetworkDriver, method) => {
            let read: fn(&Fields<'_>) -> Result<Intent, Error> = match method {
                "CreateNetwork" => |fields| network::create(fields).map(Intent::CreateNetwork),
                "DeleteNetwork" => |fields| {
                    let id = fields.text("NetworkID")?.ok_or_else(|| Error::Missing("NetworkID".into()))?;
                    Ok(id.parse().map_or(Intent::Nothing(Interface::NetworkDriver), Intent::DeleteNetwork))
                },
                "CreateEndpoint" => |fields| endpoint::create(fields).map(Intent::CreateEndpoint),
                "DeleteEndpoint" => |fields| known(fields, Intent::DeleteEndpoint),
                "EndpointOperInfo" => |fields| known(fields, Intent::Tell),
                "Join" => |fields| endpoint::join(fields).map(Intent::Join),
                "Leave" => |fields| known(fields, Intent::Leave),
                "ProgramExternalConnectivity" => |fields| endpoint::publish(fields).map(Intent::Publish),
                "RevokeExternalConnectivity" => |fields| known(fields, Intent::Withdraw),
                _ => return Err(Refusal::Unknown),
            };
            object(body).and_then(|map| read(&Fields::of(&map))).map_err(wrong)
        }
        (Interface::IpamDriver, method) => {
            let read: fn(&Fields<'_>) -> Result<Intent, Error> = match method {
                "RequestPool" => |fields| ipam::request_pool(fields).map(Intent::RequestPool),
                "ReleasePool" => |fields| {
                    let pool = ipam::release_pool(fields)?;
                    Ok(pool.map_or(Intent::Nothing(Interface::IpamDriver), Intent::ReleasePool))
                },
                "RequestAddress" => |fields| ipam::request_address(fields).map(Intent::RequestAddress),
                "ReleaseAddress" => |fields| {
                    let given = ipam::release_address(fields)?;
                    let nothing = Intent::Nothing(Interface::IpamDriver);
                    Ok(given.map_or(nothing, |(pool, address)| Intent::ReleaseAddress(pool, address)))
                },
                _ => return Err(Refusal::Unknown),
            };
            object(body).and_then(|map| read(&Fields::of(&map))).map_err(wrong)
        }
        (Interface::Plugin, _) => Err(Refusal::Unknown),
    }
}

fn known(fields: &Fields<'_>, intent: fn(EndpointRef) -> Intent) -> Result<Intent, Error> {
    Ok(EndpointRef::known(fields)?.map_or(Intent::Nothing(Interface::NetworkDriver), intent))
}
