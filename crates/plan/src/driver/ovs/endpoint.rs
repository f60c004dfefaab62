//! Endpoints: the veth pair and its port.

use crate::driver::bridge::{detach_pair, pair as pair_of};
use crate::driver::found::Remains;
use crate::driver::ovs::port::port;
use crate::inside::{self, Surroundings};
use crate::{Op, Plan, Sysctl, Through, What, alias, guards};
use zubi_model::{Datapath, Endpoint, IfName, Mtu, Network, OvsNetwork, Pair};
use zubi_wire::route::{AdminState, LinkChange};

pub(in crate::driver) fn attach(
    network: &Network,
    part: &OvsNetwork,
    endpoint: &Endpoint,
    pair: &Pair,
    around: &Surroundings,
) -> Plan {
    const PAIR: &str = "a virtual cable: one end stays on the host, the other is born inside the sandbox";
    const SUMS: &str = "Open vSwitch in user space passes frames on as they are, so their checksums have to be whole";
    const OUTER: &str = "the host's end carries frames only, it needs no address of its own";
    const DEAF: &str = "the host itself gets these frames too, and is not to answer: it is reached by the bridge alone";
    const PORT: &str = "the host's end becomes a port of the bridge; its external ids say whose it is";
    const UP: &str = "plug the cable in";
    let sandbox = &endpoint.sandbox.reached_by;

    let mut plan: Plan = guards::raise(endpoint, &around.stale).into_iter().collect();
    plan.push(Op::host(What::AddLink(pair_of(network, endpoint, pair, None)), PAIR));
    if part.datapath == Datapath::Userspace {
        plan.push(match &endpoint.handed_over {
            None => Op::sandbox(sandbox, What::SumUpFrames(endpoint.ifname.clone()), SUMS),
            Some(waiting) => Op::host(What::SumUpFrames(waiting.clone()), SUMS),
        });
    }
    plan.ops.extend(inside::set_up(endpoint, around));
    plan.push(Op::host(What::ChangeLink(LinkChange::addressless(pair.host.clone())), OUTER));
    if part.datapath == Datapath::Userspace {
        plan.ops.extend(deaf(&pair.host).map(|setting| Op::host(What::Set(setting), DEAF)));
    }
    plan.push(Op::host(What::AddOvsPort(port(part, endpoint, pair, &around.instance)), PORT));
    let mut go_up = LinkChange::state(pair.host.clone(), AdminState::Up);
    go_up.alias = Some(alias::of_endpoint(endpoint));
    plan.push(Op::host(What::ChangeLink(go_up), UP));
    plan.ops.extend(inside::announce(endpoint, around.neighbours, Through::Cable));
    plan
}

/// The settings by which the host takes nothing that comes in by a device. ovs-vswitchd in user space reads the frames by
/// a packet socket, and the kernel delivers them to the host as well. No address is answered for (`arp_ignore`), IPv4 that
/// has no route back by the device is dropped (`rp_filter`), and so is all IPv6.
fn deaf(device: &IfName) -> [Sysctl; 3] {
    let ipv4 = |name: &str, value| Sysctl::new(format!("net/ipv4/conf/{device}/{name}"), value);
    [ipv4("arp_ignore", "8"), ipv4("rp_filter", "1"), Sysctl::ipv6_device(device, "disable_ipv6", 1)]
}

/// With the deletion of the port, which matters when the pair is made again.
pub(in crate::driver) fn wanted(
    network: &Network,
    part: &OvsNetwork,
    endpoint: &Endpoint,
    pair: &Pair,
    around: &Surroundings,
) -> Vec<Op> {
    const AGAIN: &str = "Open vSwitch does not look again at a device that is made anew";
    let mut network = network.clone();
    // What the kernel chose when it made the pair, or what the lease says.
    network.mtu = match endpoint.lease().and_then(|lease| lease.mtu) {
        Some(_) => None,
        None => network.mtu.or(Some(Mtu::STANDARD)),
    };
    let mut ops = vec![Op::host(What::DeleteOvsPort(pair.host.clone()), AGAIN)];
    ops.extend(attach(&network, part, endpoint, pair, around).ops);
    inside::with_connected_routes(ops, endpoint)
}

/// The row first: without a record nobody would look for it.
pub(in crate::driver) fn detach(endpoint: &Endpoint, pair: &Pair, remains: &Remains) -> Plan {
    const PORT: &str = "the port leaves the bridge, at once";
    const UNPLUG: &str = "unplug the cable";
    let mut plan = Plan::new();
    plan.push(Op::host(What::DeleteOvsPort(pair.host.clone()), PORT));
    let unplug = LinkChange::state(pair.host.clone(), AdminState::Down);
    plan.append(detach_pair(endpoint, pair, remains, unplug, UNPLUG));
    plan
}
