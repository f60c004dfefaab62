//! What holds on a bridge while the firewall is gone: filters that stay when another program flushes the ruleset.
//!
//! # How it works
//! The firewall marks each packet that it lets into a bridge ([`SEEN`]), and the bridge takes nothing from the host without
//! this mark. So a flush closes networks until their rules are back, where it would open them. In a sandbox the kernel
//! removes the mark.
//!
//! The addresses of a packet say nothing here: while the table goes, a packet that no rule forbids any more may still be
//! masqueraded, and has the host's address then.
//!
//! What leaves a network is not marked. An internal network has a second filter: it passes to the host what is for its
//! own subnets, and nothing else.
//!
//! # Limits
//! Only networks whose endpoints are reached by published ports alone have these filters, and only on bridges that zubi
//! made: on others another program may serve endpoints, and its rules mark nothing. What a program sends by a packet
//! socket, and what a flowtable of nftables takes past the rules, has no mark either.

use crate::filter_program::{
    AND, HAS_ANY, HAS_VLAN_TAG, IS, IS_AT_LEAST, LOAD_BYTE, LOAD_HALF, LOAD_WORD, Line, MARK, PROTOCOL, Step, To,
    VLAN_TAG, dropping, filter_of, load,
};
use crate::{Op, What};
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::{BridgeMode, BridgeNetwork, Network, Scope};
use zubi_wire::route::{Filter, FilterSide};

/// The bit of a packet's mark that says: the firewall has seen it. Others use lower bits (Docker, Podman, Kubernetes,
/// Tailscale), or all of them for packets of their own.
pub const SEEN: u32 = 1 << 28;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const VLAN: u32 = 0x8100;
const PROVIDER_VLAN: u32 = 0x88a8;
/// Where the targets stand.
const IPV4_TARGET: u32 = 30;
const IPV6_TARGET: u32 = 38;
/// 224.0.0.0: multicast and broadcast addresses begin here.
const IPV4_MULTICAST: u32 = 0xe000_0000;

/// The operations that a bridge needs before it goes up.
pub(crate) fn backstop(network: &Network, part: &BridgeNetwork) -> Vec<Op> {
    const WHY: &str = "without the firewall this network is closed, not open";
    let filters = filters(network, part);
    let hooks = (!filters.is_empty()).then(|| What::AddHooks(part.device.clone()));
    hooks.into_iter().chain(filters.into_iter().map(What::AddFilter)).map(|what| Op::host(what, WHY)).collect()
}

/// The filters of a bridge.
pub(crate) fn filters(network: &Network, part: &BridgeNetwork) -> Vec<Filter> {
    if part.mode != BridgeMode::Managed || part.parent.is_some() || !part.is_guarded() {
        return Vec::new();
    }
    let internal =
        (network.scope == Scope::Internal).then(|| filter_of(&part.device, FilterSide::Ingress, &inside(network)));
    std::iter::once(filter_of(&part.device, FilterSide::Egress, &seen())).chain(internal).collect()
}

/// Passes what the firewall has seen, and what is no IP.
fn seen() -> Vec<Step> {
    const NEXT: To = To::Skip(0);
    dropping(&[
        load(LOAD_WORD, MARK),
        (HAS_ANY, SEEN, To::Pass, NEXT),
        // A device for a VLAN on the bridge is another network's.
        load(LOAD_BYTE, HAS_VLAN_TAG),
        (IS, 0, NEXT, To::Pass),
        load(LOAD_HALF, PROTOCOL),
        (IS, IPV6, To::Dropped, NEXT),
        (IS, IPV4, To::Dropped, To::Pass),
    ])
}

/// Passes what stays in the network.
fn inside(network: &Network) -> Vec<Step> {
    const NEXT: To = To::Skip(0);
    let nets = || network.pools.iter().map(|pool| pool.subnet.net());
    let ipv4: Vec<Line> = nets().filter(|net| net.addr().is_ipv4()).flat_map(|net| within(net, IPV4_TARGET)).collect();
    let behind_ipv4 = u8::try_from(ipv4.len() + 5).expect("few subnets");
    let mut lines = vec![
        load(LOAD_WORD, VLAN_TAG),
        load(AND, 0x0fff),
        (IS, 0, NEXT, To::Pass),
        load(LOAD_HALF, PROTOCOL),
        (IS, IPV4, To::Skip(3), NEXT),
        (IS, IPV6, To::Skip(behind_ipv4), NEXT),
        // A second tag: the kernel removes tags of VLAN 0 and goes on.
        (IS, VLAN, To::Dropped, NEXT),
        (IS, PROVIDER_VLAN, To::Dropped, To::Pass),
        load(LOAD_WORD, IPV4_TARGET),
        (IS_AT_LEAST, IPV4_MULTICAST, To::Pass, NEXT),
    ];
    lines.extend(ipv4);
    // No condition leads on from here: what is IPv4 ends.
    lines.push((IS_AT_LEAST, 0, To::Dropped, To::Dropped));
    lines.extend([
        load(LOAD_HALF, IPV6_TARGET),
        load(AND, 0xffc0),
        (IS, 0xfe80, To::Pass, NEXT),
        load(LOAD_BYTE, IPV6_TARGET),
        (IS, 0xff, To::Pass, NEXT),
    ]);
    lines.extend(nets().filter(|net| net.addr().is_ipv6()).flat_map(|net| within(net, IPV6_TARGET)));
    dropping(&lines)
}

/// Passes addresses of a prefix.
fn within(net: IpNet, at: u32) -> Vec<Line> {
    let words = |address: IpAddr| -> Vec<u32> {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        bytes.chunks(4).map(|word| word.iter().fold(0, |all, byte| (all << 8) | u32::from(*byte))).collect()
    };
    let all: Vec<(u32, u32)> = words(net.netmask()).into_iter().zip(words(net.network())).collect();
    // The prefix ::/0 has one word to compare, too.
    let count = all.iter().rposition(|(mask, _)| *mask != 0).map_or(1, |last| last + 1);
    let line = |(index, (mask, value)): (usize, &(u32, u32))| {
        let left = count - 1 - index;
        let other = To::Skip(u8::try_from(3 * left).expect("an address of four words"));
        let same = if left == 0 { To::Pass } else { To::Skip(0) };
        let place = at + 4 * u32::try_from(index).expect("an address of four words");
        [load(LOAD_WORD, place), load(AND, *mask), (IS, *value, same, other)]
    };
    all.iter().take(count).enumerate().flat_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter_program::{DROP, GO_ON, run};
    use crate::samples;

    const UNTAGGED: [(u32, u32); 2] = [(HAS_VLAN_TAG, 0), (VLAN_TAG, 0)];

    fn network(scope: Scope) -> Network {
        Network { scope, ..samples::network("blue", &["10.55.66.0/24", "fd00:55::/64"]) }
    }

    /// An Ethernet frame: from, to.
    fn ipv4(source: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        [vec![2; 12], vec![8, 0, 0x45], vec![0; 11], source.to_vec(), target.to_vec(), vec![0; 8]].concat()
    }

    fn ipv6(source: &str, target: &str) -> Vec<u8> {
        let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
        [vec![2; 12], vec![0x86, 0xdd, 0x60], vec![0; 7], octets(source), octets(target), vec![0; 8]].concat()
    }

    fn verdict(program: &[Step], frame: &[u8], more: &[(u32, u32)]) -> u32 {
        let kind = u32::from(u16::from_be_bytes([frame[12], frame[13]]));
        let facts: Vec<_> = more.iter().copied().chain([(PROTOCOL, kind), (MARK, 0)]).chain(UNTAGGED).collect();
        run(program, frame, &facts)
    }

    #[test]
    fn a_bridge_takes_what_the_rules_have_seen() {
        let program = seen();
        for packet in [ipv4([10, 55, 66, 1], [10, 55, 66, 2]), ipv6("fd00:55::1", "fd00:55::2")] {
            assert_eq!(verdict(&program, &packet, &[]), DROP);
            assert_eq!(verdict(&program, &packet, &[(MARK, !SEEN)]), DROP);
            assert_eq!(verdict(&program, &packet, &[(MARK, SEEN)]), GO_ON);
            assert_eq!(verdict(&program, &packet, &[(MARK, SEEN | 0x4000)]), GO_ON);
        }
    }

    #[test]
    fn a_bridge_takes_what_is_no_ip_and_what_belongs_to_a_vlan() {
        let program = seen();
        let mut arp = ipv4([192, 0, 2, 2], [10, 55, 66, 2]);
        arp[13] = 6;
        assert_eq!(verdict(&program, &arp, &[]), GO_ON);
        assert_eq!(verdict(&program, &ipv4([192, 0, 2, 2], [10, 55, 66, 2]), &[(HAS_VLAN_TAG, 1)]), GO_ON);
    }

    #[test]
    fn an_internal_bridge_passes_to_the_host_what_stays_in_the_network() {
        let program = inside(&network(Scope::Internal));
        for target in [[10, 55, 66, 1], [10, 55, 66, 255], [224, 0, 0, 251], [255, 255, 255, 255]] {
            assert_eq!(verdict(&program, &ipv4([10, 55, 66, 2], target), &[]), GO_ON, "{target:?}");
        }
        for target in [[10, 55, 67, 1], [192, 0, 2, 2], [127, 0, 0, 1]] {
            assert_eq!(verdict(&program, &ipv4([10, 55, 66, 2], target), &[]), DROP, "{target:?}");
        }
        for target in ["fd00:55::1", "fd00:55::ffff:1", "fe80::1", "ff02::1"] {
            assert_eq!(verdict(&program, &ipv6("fd00:55::2", target), &[]), GO_ON, "{target}");
        }
        for target in ["fd00:56::1", "fd00:55:0:1::1", "2001:db8::1", "fec0::1"] {
            assert_eq!(verdict(&program, &ipv6("fd00:55::2", target), &[]), DROP, "{target}");
        }
    }

    #[test]
    fn a_second_tag_hides_nothing_behind_one_of_vlan_0() {
        let program = inside(&network(Scope::Internal));
        let frame = ipv4([10, 55, 66, 2], [192, 0, 2, 2]);
        for kind in [VLAN, PROVIDER_VLAN] {
            assert_eq!(verdict(&program, &frame, &[(PROTOCOL, kind)]), DROP);
        }
        assert_eq!(verdict(&program, &frame, &[(VLAN_TAG, 10)]), GO_ON);
    }

    #[test]
    fn networks_that_everybody_reaches_and_bridges_of_others_have_no_filters() {
        let network = network(Scope::Routed);
        let part = network.bridge().unwrap();
        assert_eq!(filters(&network, part).len(), 1);
        let open = BridgeNetwork { ingress: zubi_model::Ingress::Open, ..part.clone() };
        let adopted = BridgeNetwork { mode: BridgeMode::Adopted, ..part.clone() };
        for part in [open, adopted] {
            assert_eq!(filters(&network, &part), []);
        }
    }
}
