//! The permanent form of a network on the LAN, for the program that configures the host's network.

use crate::error::Error;
use crate::look::unconfirmed::refuse_unconfirmed;
use crate::session::Session;
use std::fs;
use std::net::IpAddr;
use zubi_model::{HostNetworking, Invalid, NetworkName, servers_in};
use zubi_plan::driver::UPLINK_SETTINGS;
use zubi_plan::permanent::{OnBridge, Permanent};

/// The files by which `program` makes the bridge of a network at boot, with what the host has on it now.
pub(crate) fn permanent(
    session: &mut Session,
    name: &NetworkName,
    program: HostNetworking,
) -> Result<Permanent, Error> {
    let _host = session.store().lock_host()?;
    refuse_unconfirmed(session, name)?;
    let Some(network) = session.store().network(name)? else {
        return Err(Error::NoNetwork { name: name.clone(), known: session.known_networks() });
    };
    let none = || {
        let why = "has no network card of this host, and zubi makes it again at boot by itself";
        Error::from(Invalid::new("network", name, why))
    };
    if network.parent().is_none() {
        return Err(none());
    }
    let failed = Error::kernel(format!("network {name}"));
    let held = session.kernel.holdings(network.device(), UPLINK_SETTINGS).map_err(failed)?.held;
    Permanent::new(program, &OnBridge { network: &network, held: &held, servers: &servers() }).ok_or_else(none)
}

/// The name servers of the host. Where it asks itself, systemd-resolved has the list of others.
fn servers() -> Vec<IpAddr> {
    let of = |path: &str| -> Vec<IpAddr> {
        let text = fs::read_to_string(path).unwrap_or_default();
        servers_in(&text).iter().map(|server| server.address).collect()
    };
    let own = of("/etc/resolv.conf");
    if own.iter().all(IpAddr::is_loopback) { of("/run/systemd/resolve/resolv.conf") } else { own }
}
