//! Drivers: networks and endpoints to plans, one file or folder per driver with the same function names in each.
//!
//! # How it works
//! A driver's plan is composed of parts that all drivers share: `guards` and [`firewall`](crate::firewall),
//! [`published`](crate::published) ports, what an endpoint has `inside` its sandbox, [`forwarding`](crate::forwarding).
//! This file is the dispatch. No other file of the crate matches on [`Driver`] and [`Device`], and each function here
//! has one match.

mod bridge;
mod found;
mod host_device;
mod macvlan;
mod ovs;

pub use bridge::SETTINGS as UPLINK_SETTINGS;
pub use found::{HostFacts, InUse, Last, Leaving, Reached, Remains, Standing, Unusable};
pub use host_device::{MovedNow, bring_home, is_moved, name_of_another, settings as settings_of_moved};
pub use ovs::{is_marked, made_for};

use crate::forwarding::Ipv6Forwarding;
use crate::inside::Surroundings;
use crate::{Op, Plan, Presence, Taken, TakenNow, What};
use bridge::Bridged;
use ipnet::IpNet;
use std::path::Path;
use zubi_model::{
    Datapath, Device, Driver, DriverDescription, Endpoint, HeldAddress, Holdings, IfName, Mac, Network, Pool,
    PublishedPort,
};
use zubi_wire::nft::Element;
use zubi_wire::route::{LinkMark, LinkSeen};

/// All operations that set a network up. The guards come before anything is up, and the device goes up last: a device
/// that is up is complete.
pub fn up(network: &Network, ipv6: &Ipv6Forwarding) -> Plan {
    match &network.driver {
        Driver::Bridge(part) => bridge::up(network, part, ipv6),
        Driver::Macvlan(part) => macvlan::up(network, part),
        Driver::Ovs(_) => ovs::up(),
        Driver::HostDevice(_) => host_device::up(),
    }
}

/// Like [`up`], with the mark that names the zubi that made the device, and with what the published ports of these
/// endpoints need.
pub fn up_with<'a>(network: &Network, host: &HostFacts, endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Plan {
    let ports = endpoints.into_iter().flat_map(|e| &e.ports).copied();
    match &network.driver {
        Driver::Bridge(part) => bridge::up_with(network, part, host, ports),
        Driver::Macvlan(part) => {
            let mut plan = macvlan::up(network, part);
            macvlan::mark(&mut plan, network, part, &host.run);
            plan
        }
        Driver::Ovs(_) => ovs::up(),
        Driver::HostDevice(_) => host_device::up(),
    }
}

/// Makes a network's device take over what the host has on the network card that is its port; `None` for a network
/// without one.
pub fn take_over(network: &Network, held: &Holdings, run: &Path) -> Option<Plan> {
    match &network.driver {
        Driver::Bridge(part) => Some(bridge::take_over(network, part, part.parent.as_ref()?, held, run)),
        Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => None,
    }
}

/// Gives the network card back what the host has on the network's device, and deletes the device; `None` for a network
/// without a card. `hasty`: addresses that a rollback has put on the card already.
pub fn give_card_back(network: &Network, held: &Holdings, hasty: &[HeldAddress]) -> Option<Plan> {
    match &network.driver {
        Driver::Bridge(part) => Some(bridge::give_card_back(part, part.parent.as_ref()?, held, hasty)),
        Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => None,
    }
}

/// Adds the mark that names the zubi that made the device to the operation that sets the device up.
pub fn mark(plan: &mut Plan, network: &Network, run: &Path) {
    match &network.driver {
        Driver::Bridge(part) => bridge::mark(plan, network, part, run),
        Driver::Macvlan(part) => macvlan::mark(plan, network, part, run),
        Driver::Ovs(_) | Driver::HostDevice(_) => {}
    }
}

/// Turns a plan that makes the device into one that restores its marks, see [`Standing::Unmarked`].
pub fn put_marks_back(plan: &mut Plan, network: &Network) {
    match &network.driver {
        Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => bridge::put_marks_back(plan),
    }
}

/// Turns a plan that makes the device into one that takes the device that the host's own configuration made, see
/// [`Standing::OfHost`].
pub fn take_from_host(plan: &mut Plan, network: &Network) {
    match &network.driver {
        Driver::Bridge(part) => bridge::take_from_host(plan, part),
        Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => {}
    }
}

/// What a network's device has by itself once it is up, and other programs may have removed since.
pub fn kept(network: &Network) -> Vec<Op> {
    match &network.driver {
        Driver::Bridge(part) => bridge::kept(network, part),
        Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => Vec::new(),
    }
}

/// Removes a network without endpoints, assuming that all of it exists. The earlier state of forwarding is not known
/// here.
pub fn down(network: &Network, last: Last) -> Plan {
    match &network.driver {
        Driver::Bridge(part) => bridge::down(network, part, last),
        Driver::Macvlan(part) => macvlan::down(part, last),
        Driver::Ovs(_) => ovs::down(last),
        Driver::HostDevice(_) => host_device::down(last),
    }
}

/// Removes what exists of a network without endpoints, except what other networks use too.
pub fn down_from(network: &Network, found: &Leaving<'_>) -> Plan {
    let mut plan = match &network.driver {
        Driver::Bridge(part) => bridge::down_from(network, part, found),
        Driver::Macvlan(part) => macvlan::down_from(part, found),
        Driver::Ovs(_) => ovs::down_from(found),
        Driver::HostDevice(_) => host_device::down_from(found),
    };
    leave_to_others(&mut plan, network, found.others);
    plan
}

/// Keeps a plan from removing what other networks use too: their elements of the firewall, the addresses of the
/// host on a shared device, and a VLAN that carries them.
pub fn leave_to_others(plan: &mut Plan, network: &Network, others: &[Network]) {
    let elements: Vec<Element> = others.iter().flat_map(network_elements).collect();
    let sharing: Vec<&Network> = others.iter().filter(|other| other.shares_device_with(network)).collect();
    let is_shared = network.macvlan().is_some_and(|part| part.vlan.is_some()) && !sharing.is_empty();
    let addresses: Vec<IpNet> = sharing.iter().flat_map(|n| n.pools.iter().filter_map(Pool::host_address)).collect();
    plan.ops.retain(|op| match &op.what {
        What::DeleteElement(element) => !elements.contains(element),
        What::DeleteAddress(gone) => !addresses.contains(&gone.address),
        What::DeleteLink(device) => !is_shared || device.name != *network.device(),
        _ => true,
    });
}

/// Changes a network's device and all its endpoints from `old` to `new`. To undo it, swap the two.
pub fn change(old: &Network, new: &Network, found: &InUse) -> Plan {
    match (&old.driver, &new.driver) {
        (Driver::Bridge(before), Driver::Bridge(after)) => {
            let [old, new] = [(old, before), (new, after)].map(|(network, part)| Bridged { network, part });
            bridge::change(old, new, found)
        }
        (Driver::Macvlan(_), Driver::Macvlan(part)) => macvlan::change(old, new, part, found),
        (Driver::Ovs(_), Driver::Ovs(_)) => ovs::change(old, new, found),
        // A network keeps its driver.
        // What a device of the host has inside is a matter of its endpoint.
        (Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_), _) => Plan::new(),
    }
}

/// The firewall elements of a network.
pub fn network_elements(network: &Network) -> Vec<Element> {
    match &network.driver {
        Driver::Bridge(part) => bridge::elements(network, part),
        Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => Vec::new(),
    }
}

/// All operations that set an endpoint up: guards first, then the device (down), the inside, everything up, the
/// announcement.
pub fn attach(network: &Network, endpoint: &Endpoint, around: &Surroundings) -> Plan {
    match (&network.driver, &endpoint.device) {
        (Driver::Bridge(part), Device::Pair(pair)) => bridge::attach(network, part, endpoint, pair, around),
        (Driver::Macvlan(part), Device::Macvlan(on)) => macvlan::attach(network, part, endpoint, on, around),
        (Driver::Ovs(part), Device::Ovs(pair)) => ovs::attach(network, part, endpoint, pair, around),
        (Driver::HostDevice(_), Device::Moved(moved)) => host_device::attach(network, endpoint, moved, around),
        (Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_), _) => Plan::new(),
    }
}

/// Gives the pair that an endpoint was about to take over back as it was.
pub fn give_back(endpoint: &Endpoint, taken: &Taken, now: &TakenNow) -> Plan {
    match &endpoint.device {
        Device::Pair(_) => bridge::give_back(endpoint, taken, now).into_iter().collect(),
        Device::Macvlan(_) | Device::Ovs(_) | Device::Moved(_) => Plan::new(),
    }
}

/// All operations that an attached endpoint stands for. [`attach`] has only what a new device needs; this also has what
/// other programs may have changed on an existing one.
pub fn wanted(network: &Network, endpoint: &Endpoint, around: &Surroundings) -> Vec<Op> {
    match (&network.driver, &endpoint.device) {
        (Driver::Bridge(part), Device::Pair(pair)) => bridge::wanted(network, part, endpoint, pair, around),
        (Driver::Macvlan(part), Device::Macvlan(on)) => macvlan::wanted(network, part, endpoint, on, around),
        (Driver::Ovs(part), Device::Ovs(pair)) => ovs::wanted(network, part, endpoint, pair, around),
        (Driver::HostDevice(_), Device::Moved(moved)) => host_device::wanted(network, endpoint, moved, around),
        (Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_), _) => Vec::new(),
    }
}

/// Removes an endpoint, from its record alone: the visible parts first, and last the deletion of the device, which
/// takes the kernel long.
pub fn detach(endpoint: &Endpoint, remains: &Remains) -> Plan {
    match &endpoint.device {
        Device::Pair(pair) => bridge::detach(endpoint, pair, remains),
        Device::Macvlan(on) => macvlan::detach(endpoint, on, remains),
        Device::Ovs(pair) => ovs::detach(endpoint, pair, remains),
        Device::Moved(_) => host_device::detach(endpoint, remains),
    }
}

/// Removes an endpoint whose device waits on the host to be moved into its sandbox, and is nowhere else.
pub fn withdraw(endpoint: &Endpoint) -> Plan {
    match &endpoint.device {
        Device::Macvlan(on) => macvlan::withdraw(endpoint, on),
        // The host's end goes by `detach`, and the other one with it.
        Device::Pair(_) | Device::Ovs(_) | Device::Moved(_) => Plan::new(),
    }
}

/// Deletes the device of an endpoint whose inner end was renamed, moved or changed, wherever that is. One of the host's is
/// never deleted.
pub fn delete_device(endpoint: &Endpoint) -> Option<Op> {
    match &endpoint.device {
        Device::Pair(pair) | Device::Ovs(pair) => Some(bridge::delete_device(endpoint, pair)),
        Device::Macvlan(on) => Some(macvlan::delete_device(endpoint, on)),
        Device::Moved(_) => None,
    }
}

/// The name of the device inside while it waits for its deletion, so that its own name is free at once.
pub fn doomed_name(endpoint: &Endpoint) -> Option<IfName> {
    match &endpoint.device {
        Device::Pair(pair) | Device::Ovs(pair) => bridge::doomed_name(endpoint, pair),
        Device::Macvlan(_) | Device::Moved(_) => None,
    }
}

/// Publishes further ports of an existing endpoint, which already has `before`.
pub fn publish(endpoint: &Endpoint, before: &[PublishedPort], ports: &[PublishedPort]) -> Plan {
    match &endpoint.device {
        Device::Pair(pair) => bridge::publish(endpoint, pair, before, ports),
        // Nothing can be published there.
        Device::Macvlan(_) | Device::Ovs(_) | Device::Moved(_) => Plan::new(),
    }
}

/// Unpublishes ports of an existing endpoint; it keeps `after`. The network is `None` if its record is lost.
pub fn unpublish(
    network: Option<&Network>,
    endpoint: &Endpoint,
    after: &[PublishedPort],
    ports: &[PublishedPort],
) -> Plan {
    match &endpoint.device {
        Device::Pair(pair) => bridge::unpublish(network.and_then(Network::bridge), endpoint, pair, after, ports),
        Device::Macvlan(_) | Device::Ovs(_) | Device::Moved(_) => Plan::new(),
    }
}

/// Changes the MAC of the device inside, and announces it to the neighbours.
pub fn change_mac(before: &Endpoint, after: &Endpoint) -> Plan {
    match (&before.device, &after.device) {
        (Device::Pair(_), Device::Pair(pair)) | (Device::Ovs(_), Device::Ovs(pair)) => bridge::change_mac(after, pair),
        (Device::Macvlan(_), Device::Macvlan(on)) => macvlan::change_mac(after, on),
        (Device::Moved(_), Device::Moved(_)) => host_device::change_mac(after),
        (Device::Pair(_) | Device::Macvlan(_) | Device::Ovs(_) | Device::Moved(_), _) => Plan::new(),
    }
}

/// Whether the device with the name of a network's device is that device.
pub fn recognise_network(network: &Network, seen: Option<&LinkSeen>) -> Presence {
    match &network.driver {
        Driver::Bridge(part) => bridge::recognise_network(part, seen),
        Driver::Macvlan(part) => macvlan::recognise_network(part, seen),
        Driver::Ovs(_) => ovs::recognise_network(seen),
        // It may be inside a sandbox.
        Driver::HostDevice(_) => Presence::of(seen, |_| true),
    }
}

/// Whether the host's own configuration made the device with the name of a network's, and not zubi.
pub fn is_of_host(network: &Network, seen: &LinkSeen) -> bool {
    match &network.driver {
        Driver::Bridge(part) => bridge::is_of_host(part, seen),
        Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => false,
    }
}

/// How much of a network exists, judged by the device with its name.
pub fn standing(network: &Network, seen: Option<&LinkSeen>) -> Standing {
    match &network.driver {
        Driver::Bridge(part) => bridge::standing(network, part, seen),
        Driver::Macvlan(part) => macvlan::standing(part, seen),
        // Whether the bridge exists is a question to Open vSwitch.
        // Where a device of the host is, is a matter of its endpoint.
        Driver::Ovs(_) | Driver::HostDevice(_) => Standing::Complete,
    }
}

/// Whether the device with the name of an endpoint's host end is that host end.
pub fn recognise_host_end(endpoint: &Endpoint, seen: Option<&LinkSeen>) -> Presence {
    match &endpoint.device {
        Device::Pair(pair) | Device::Ovs(pair) => bridge::recognise_host_end(endpoint, pair, seen),
        Device::Macvlan(_) | Device::Moved(_) => Presence::of(seen, |_| false),
    }
}

/// Whether the device with the name, or the doomed name, of an endpoint's inner end is that inner end.
pub fn recognise_inner_end(endpoint: &Endpoint, seen: Option<&LinkSeen>) -> Presence {
    match &endpoint.device {
        Device::Pair(pair) | Device::Ovs(pair) => bridge::recognise_inner_end(endpoint, pair, seen),
        Device::Macvlan(on) => macvlan::recognise_inner_end(endpoint, on, seen),
        Device::Moved(moved) => host_device::recognise_inner_end(endpoint, moved, seen),
    }
}

/// Whether the device with the name of a doomed host end is that host end.
pub fn recognise_doomed(doomed: &LinkMark, seen: Option<&LinkSeen>) -> Presence {
    bridge::recognise_doomed(doomed, seen)
}

/// Whether a device on the host is one of ours whose sandbox exists. Needs no record.
pub fn leads_to_a_sandbox(seen: &LinkSeen) -> bool {
    bridge::leads_to_a_sandbox(seen)
}

/// The driver of a network that is described for the first time. `mac` is random, for the device. What forwards the frames
/// of an Open vSwitch bridge is not known here.
pub fn first_described(description: &DriverDescription, mac: Mac, seen: Option<&LinkSeen>) -> Result<Driver, Unusable> {
    match description {
        DriverDescription::Bridge(described) => bridge::first_described(described, mac, seen).map(Driver::Bridge),
        DriverDescription::Macvlan(described) => macvlan::first_described(described, seen).map(Driver::Macvlan),
        DriverDescription::Ovs(described) => Ok(Driver::Ovs(described.first(Datapath::default()))),
        DriverDescription::HostDevice(described) => {
            let seen = seen.ok_or(Unusable::NoDevice)?;
            Ok(Driver::HostDevice(described.first(seen.mac)))
        }
    }
}

/// Records who owns a network's device now. `old` is the network before the description.
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
        // Only a bridge can be another program's or zubi's.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
