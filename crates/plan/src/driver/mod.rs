//! Drivers: networks and endpoints to plans, one file or folder per driver with the same function names in each.
//!
//! # How it works
//! A plan of a driver is put together from what all drivers share: `guards` and [`firewall`](crate::firewall),
//! [`published`](crate::published) ports, what an endpoint has `inside` its sandbox, [`forwarding`](crate::forwarding).
//! This file is the dispatch, and the only one of the crate that matches on [`Driver`] and [`Device`]: one match per
//! function.

mod bridge;
mod found;

pub use found::{HostFacts, InUse, Last, Leaving, Reached, Remains, Standing, Unusable};

use crate::forwarding::Ipv6Forwarding;
use crate::inside::Surroundings;
use crate::{Op, Plan, Presence, What};
use bridge::Bridged;
use ipnet::IpNet;
use std::path::Path;
use zubi_model::{Device, Driver, DriverDescription, Endpoint, IfName, Mac, Network, Pool, PublishedPort};
use zubi_wire::nft::Element;
use zubi_wire::route::{LinkMark, LinkSeen};

/// Everything a network is made of. The guards stand before anything is up, and the device goes up last: one that is up
/// is complete.
pub fn up(network: &Network, ipv6: &Ipv6Forwarding) -> Plan {
    match &network.driver {
        Driver::Bridge(part) => bridge::up(network, part, ipv6),
    }
}

/// The same, with the mark that says which zubi made the device, and with what the published ports of these endpoints
/// need.
pub fn up_with<'a>(network: &Network, host: &HostFacts, endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Plan {
    let ports = endpoints.into_iter().flat_map(|e| &e.ports).copied();
    match &network.driver {
        Driver::Bridge(part) => bridge::up_with(network, part, host, ports),
    }
}

/// Says on the device which zubi made it, in the operation of a plan that takes the device up.
pub fn mark(plan: &mut Plan, network: &Network, run: &Path) {
    match &network.driver {
        Driver::Bridge(part) => bridge::mark(plan, network, part, run),
    }
}

/// Turns a plan that makes the device into one that gives the device its marks back, see [`Standing::Unmarked`].
pub fn put_marks_back(plan: &mut Plan, network: &Network) {
    match &network.driver {
        Driver::Bridge(_) => bridge::put_marks_back(plan),
    }
}

/// What a device that stands for a network has by itself once it is up. Other programs may have taken it away since.
pub fn kept(network: &Network) -> Vec<Op> {
    match &network.driver {
        Driver::Bridge(part) => bridge::kept(network, part),
    }
}

/// Takes a network without endpoints away, as if all of it were there. What forwarding was before is not known here.
pub fn down(network: &Network, last: Last) -> Plan {
    match &network.driver {
        Driver::Bridge(part) => bridge::down(network, part, last),
    }
}

/// Takes away what is there of a network without endpoints, and nothing that other networks have too.
pub fn down_from(network: &Network, found: &Leaving<'_>) -> Plan {
    let mut plan = match &network.driver {
        Driver::Bridge(part) => bridge::down_from(network, part, found),
    };
    leave_to_others(&mut plan, network, found.others);
    plan
}

/// Keeps a plan from removing what other networks have too: their elements of the firewall, and the addresses of the
/// host on a device that they share.
pub fn leave_to_others(plan: &mut Plan, network: &Network, others: &[Network]) {
    let elements: Vec<Element> = others.iter().flat_map(network_elements).collect();
    let sharing = others.iter().filter(|other| other.shares_device_with(network));
    let addresses: Vec<IpNet> = sharing.flat_map(|n| n.pools.iter().filter_map(Pool::host_address)).collect();
    plan.ops.retain(|op| match &op.what {
        What::DeleteElement(element) => !elements.contains(element),
        What::DeleteAddress(gone) => !addresses.contains(&gone.address),
        _ => true,
    });
}

/// From what a network is to what it is to be, on its device and on every endpoint. The way back is the same with the
/// networks swapped.
pub fn change(old: &Network, new: &Network, found: &InUse) -> Plan {
    match (&old.driver, &new.driver) {
        (Driver::Bridge(before), Driver::Bridge(after)) => {
            let [old, new] = [(old, before), (new, after)].map(|(network, part)| Bridged { network, part });
            bridge::change(old, new, found)
        }
    }
}

/// What the sets of the firewall hold about a network.
pub fn network_elements(network: &Network) -> Vec<Element> {
    match &network.driver {
        Driver::Bridge(part) => bridge::elements(network, part),
    }
}

/// Everything an endpoint is made of: guards first, then the device (down), the inside, everything up, the
/// announcement.
pub fn attach(network: &Network, endpoint: &Endpoint, around: &Surroundings) -> Plan {
    match (&network.driver, &endpoint.device) {
        (Driver::Bridge(part), Device::Pair(pair)) => bridge::attach(network, part, endpoint, pair, around),
    }
}

/// What an endpoint that is attached consists of: [`attach`] makes what it needs on a new device, while this also has
/// what other programs may have changed of an old one.
pub fn wanted(network: &Network, endpoint: &Endpoint, around: &Surroundings) -> Vec<Op> {
    match (&network.driver, &endpoint.device) {
        (Driver::Bridge(part), Device::Pair(pair)) => bridge::wanted(network, part, endpoint, pair, around),
    }
}

/// Takes an endpoint away, from its record alone: first what is visible, last the deletion, which takes the kernel
/// long.
pub fn detach(endpoint: &Endpoint, remains: &Remains) -> Plan {
    match &endpoint.device {
        Device::Pair(pair) => bridge::detach(endpoint, pair, remains),
    }
}

/// Deletes the device of an endpoint whose device inside was renamed, moved or changed: it may be anywhere.
pub fn delete_device(endpoint: &Endpoint) -> Op {
    match &endpoint.device {
        Device::Pair(pair) => bridge::delete_device(endpoint, pair),
    }
}

/// The name that the device inside has while it waits for its deletion: its own name is free at once.
pub fn doomed_name(endpoint: &Endpoint) -> Option<IfName> {
    match &endpoint.device {
        Device::Pair(pair) => bridge::doomed_name(endpoint, pair),
    }
}

/// Publishes further ports of a live endpoint, which has `before` already.
pub fn publish(endpoint: &Endpoint, before: &[PublishedPort], ports: &[PublishedPort]) -> Plan {
    match &endpoint.device {
        Device::Pair(pair) => bridge::publish(endpoint, pair, before, ports),
    }
}

/// Takes published ports of a live endpoint back; it keeps `after`. The network is `None` when its record is lost.
pub fn unpublish(
    network: Option<&Network>,
    endpoint: &Endpoint,
    after: &[PublishedPort],
    ports: &[PublishedPort],
) -> Plan {
    match &endpoint.device {
        Device::Pair(pair) => bridge::unpublish(network.and_then(Network::bridge), endpoint, pair, after, ports),
    }
}

/// Gives the device inside another MAC, and its neighbours the news.
pub fn change_mac(before: &Endpoint, after: &Endpoint) -> Plan {
    match (&before.device, &after.device) {
        (Device::Pair(_), Device::Pair(pair)) => bridge::change_mac(after, pair),
    }
}

/// Whether what stands under the name of a network's device is that device.
pub fn recognise_network(network: &Network, seen: Option<&LinkSeen>) -> Presence {
    match &network.driver {
        Driver::Bridge(part) => bridge::recognise_network(part, seen),
    }
}

/// How much of a network stands, by what stands under the name of its device.
pub fn standing(network: &Network, seen: Option<&LinkSeen>) -> Standing {
    match &network.driver {
        Driver::Bridge(part) => bridge::standing(part, seen),
    }
}

/// Whether what stands under the name of an endpoint's host end is that host end.
pub fn recognise_host_end(endpoint: &Endpoint, seen: Option<&LinkSeen>) -> Presence {
    match &endpoint.device {
        Device::Pair(pair) => bridge::recognise_host_end(endpoint, pair, seen),
    }
}

/// Whether what stands under the name of an endpoint's device in its sandbox, or under its doomed name, is that device.
pub fn recognise_inner_end(endpoint: &Endpoint, seen: Option<&LinkSeen>) -> Presence {
    match &endpoint.device {
        Device::Pair(pair) => bridge::recognise_inner_end(endpoint, pair, seen),
    }
}

/// Whether what stands under the name of a doomed host end is that host end.
pub fn recognise_doomed(doomed: &LinkMark, seen: Option<&LinkSeen>) -> Presence {
    bridge::recognise_doomed(doomed, seen)
}

/// Whether a device on the host is one of ours that belongs to a sandbox which exists. No record is needed for that.
pub fn leads_to_a_sandbox(seen: &LinkSeen) -> bool {
    bridge::leads_to_a_sandbox(seen)
}

/// The driver of a network that is described for the first time. `mac` is random, for the device.
pub fn first_described(description: &DriverDescription, mac: Mac, seen: Option<&LinkSeen>) -> Result<Driver, Unusable> {
    match description {
        DriverDescription::Bridge(described) => bridge::first_described(described, mac, seen).map(Driver::Bridge),
    }
}

/// Writes into a network who owns its device by now. `old` is the network before the description.
pub fn settle_owner(
    network: &mut Network,
    description: &DriverDescription,
    old: &Network,
    seen: Option<&LinkSeen>,
) -> Result<(), Unusable> {
    match (&mut network.driver, description, &old.driver) {
        (Driver::Bridge(part), DriverDescription::Bridge(described), Driver::Bridge(old)) => {
            part.mode = bridge::mode(described, Some(old), seen)?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
