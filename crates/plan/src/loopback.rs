//! Publishing on the host's loopback addresses, and keeping everything but the host away from them.
//!
//! # How it works
//! The kernel treats packets between 127.0.0.0/8 and another device as forged, unless the device has `route_localnet`.
//! With that setting, two guards admit only the host itself: the firewall's guard, which counts what it drops, and a
//! filter on the bridge, which stays when another program flushes the ruleset.
//!
//! If bridges pass frames to the firewall (`bridge-nf-call-iptables`), a reply to a packet that the host sent from
//! 127.0.0.1 to a published port has that address again before it reaches the filter. So the filter drops only what
//! opens a connection: TCP segments with SYN alone, and everything else that is no reply. Fragments are reassembled
//! there, so the filter drops all fragments. A datagram does not show whether it is a reply: those to ports below 1024
//! are dropped, because clients do not use such ports by themselves. If bridges pass nothing to the firewall, all
//! datagrams are dropped.
//!
//! # Limits
//! If bridges pass frames to the firewall, datagrams to higher ports are left to the firewall's guard. If that setting
//! is switched on later, no datagrams come back to 127.0.0.1 until `zubi repair`.

use crate::filter_program::{
    AND, DROP, GO_ON, HAS_ANY, IS, IS_AT_LEAST, LOAD_BYTE, LOAD_BYTE_BEHIND, LOAD_HALF, LOAD_HALF_BEHIND, LOAD_WORD,
    MEASURE, RETURN, Step, VLAN_TAG, filter_of,
};
use crate::{Op, Plan, Sysctl, What};
use zubi_model::{IfName, Network};
use zubi_wire::route::{Filter, FilterSide};

/// Offsets count from the Ethernet header.
const PROGRAM: [Step; 29] = [
    (LOAD_HALF, 0, 0, 12),
    (IS, 5, 0, 0x0800),
    (IS, 1, 0, 0x8100),
    (IS, 0, 24, 0x88a8),
    // A second tag: the kernel removes tags of VLAN 0 and goes on.
    (LOAD_WORD, 0, 0, VLAN_TAG),
    (AND, 0, 0, 0x0fff),
    (IS, 20, 21, 0),
    // IPv4: from a loopback address, or to one.
    (LOAD_BYTE, 0, 0, 26),
    (IS, 18, 0, 127),
    (LOAD_BYTE, 0, 0, 30),
    (IS, 0, 17, 127),
    // Fragments.
    (LOAD_HALF, 0, 0, 20),
    (HAS_ANY, 14, 0, 0x3fff),
    (MEASURE, 0, 0, 14),
    (LOAD_BYTE, 0, 0, 23),
    (IS, 2, 0, 6),
    (IS, 4, 0, 17),
    (IS, 5, 9, 1),
    // TCP: SYN without ACK.
    (LOAD_BYTE_BEHIND, 0, 0, 27),
    (AND, 0, 0, 0x12),
    (IS, 6, 7, 0x02),
    // UDP.
    (LOAD_HALF_BEHIND, 0, 0, 16),
    (IS_AT_LEAST, 5, 4, 1024),
    // ICMP: only errors that answer something pass.
    (LOAD_BYTE_BEHIND, 0, 0, 14),
    (IS, 3, 0, 3),
    (IS, 2, 0, 11),
    (IS, 1, 0, 12),
    (RETURN, 0, 0, DROP),
    (RETURN, 0, 0, GO_ON),
];

/// Where the program sends datagrams to a loopback address.
const DATAGRAMS: usize = 16;

/// Whether bridges pass the frames they carry to the firewall for IPv4 (`net.bridge.bridge-nf-call-iptables`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeNetfilter {
    /// They pass them.
    On,
    /// They do not, or the kernel does not support it.
    Off,
}

/// Drops packets to the host's loopback addresses that are no replies, and packets that claim to come from them.
pub fn filter(bridge: &IfName, netfilter: BridgeNetfilter) -> Filter {
    filter_of(bridge, FilterSide::Ingress, &program(netfilter))
}

fn program(netfilter: BridgeNetfilter) -> [Step; 29] {
    let mut program = PROGRAM;
    if netfilter == BridgeNetfilter::Off {
        program[DATAGRAMS] = (IS, 10, 0, 17);
    }
    program
}

/// The setting that publishing there needs.
pub fn route_localnet(network: &Network) -> Op {
    const WHY: &str = "let the host itself reach published ports on 127.0.0.1";
    Op::host(What::Set(Sysctl::new(format!("net/ipv4/conf/{}/route_localnet", network.device()), "1")), WHY)
}

/// What a network's device needs for ports published on 127.0.0.1, the guard first.
pub fn loopback(network: &Network, netfilter: BridgeNetfilter) -> Plan {
    const GUARD: &str = "keep containers away from 127.0.0.0/8 even without the firewall";
    let device = network.device();
    let mut plan = Plan::new();
    plan.push(Op::host(What::AddHooks(device.clone()), GUARD));
    plan.push(Op::host(What::AddFilter(filter(device, netfilter)), GUARD));
    plan.push(route_localnet(network));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter_program;

    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const ICMP: u8 = 1;

    fn run(frame: &[u8], tag: u32, netfilter: BridgeNetfilter) -> u32 {
        filter_program::run(&program(netfilter), frame, &[(VLAN_TAG, tag)])
    }

    struct Packet {
        from: [u8; 4],
        to: [u8; 4],
        protocol: u8,
        fragment: u16,
        options: usize,
        rest: Vec<u8>,
    }

    fn to_loopback(protocol: u8, rest: Vec<u8>) -> Packet {
        Packet { from: [10, 55, 66, 3], to: [127, 0, 0, 1], protocol, fragment: 0, options: 0, rest }
    }

    fn ethernet(kind: u16, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend(kind.to_be_bytes());
        frame.extend(rest);
        frame
    }

    fn frame(packet: &Packet) -> Vec<u8> {
        let words = u8::try_from(5 + packet.options).unwrap();
        let mut bytes = vec![0x40 | words, 0, 0, 0, 0, 0];
        bytes.extend(packet.fragment.to_be_bytes());
        bytes.extend([64, packet.protocol, 0, 0]);
        bytes.extend(packet.from);
        bytes.extend(packet.to);
        bytes.resize(bytes.len() + 4 * packet.options, 1);
        bytes.extend(&packet.rest);
        ethernet(0x0800, &bytes)
    }

    fn tcp(flags: u8) -> Vec<u8> {
        let mut segment = vec![0; 20];
        segment[13] = flags;
        segment
    }

    fn udp(port: u16) -> Vec<u8> {
        let mut datagram = vec![0; 8];
        datagram[2..4].copy_from_slice(&port.to_be_bytes());
        datagram
    }

    const BOTH: [BridgeNetfilter; 2] = [BridgeNetfilter::On, BridgeNetfilter::Off];

    /// With and without options in its header.
    #[track_caller]
    fn assert_verdict(packet: &Packet, verdict: u32, among: &[BridgeNetfilter]) {
        for options in [0, 3, 10] {
            let frame = frame(&Packet { options, rest: packet.rest.clone(), ..*packet });
            for netfilter in among {
                assert_eq!(run(&frame, 0, *netfilter), verdict, "{netfilter:?}");
            }
        }
    }

    #[track_caller]
    fn dropped(packet: &Packet) {
        assert_verdict(packet, DROP, &BOTH);
    }

    #[track_caller]
    fn passed(packet: &Packet) {
        assert_verdict(packet, GO_ON, &BOTH);
    }

    #[test]
    fn what_opens_something_at_a_loopback_address_is_dropped() {
        const SYN: u8 = 2;
        const ECN: u8 = 0xc0;
        dropped(&to_loopback(TCP, tcp(SYN)));
        dropped(&to_loopback(TCP, tcp(SYN | ECN)));
        dropped(&to_loopback(UDP, udp(53)));
        dropped(&to_loopback(UDP, udp(1023)));
        dropped(&to_loopback(ICMP, vec![8, 0, 0, 0]));
        dropped(&to_loopback(132, vec![0; 12]));
        dropped(&Packet { to: [127, 255, 0, 9], ..to_loopback(TCP, tcp(SYN)) });
    }

    #[test]
    fn what_claims_to_come_from_a_loopback_address_is_dropped() {
        dropped(&Packet { from: [127, 0, 0, 2], to: [10, 55, 66, 1], ..to_loopback(UDP, udp(7777)) });
        dropped(&Packet { from: [127, 0, 0, 2], ..to_loopback(TCP, tcp(0x10)) });
    }

    #[test]
    fn fragments_to_a_loopback_address_are_dropped() {
        for fragment in [0x2000, 1, 0x1fff] {
            dropped(&Packet { fragment, ..to_loopback(TCP, tcp(0x10)) });
        }
        passed(&Packet { fragment: 0x4000, ..to_loopback(TCP, tcp(0x10)) });
    }

    #[test]
    fn an_answer_to_the_host_passes() {
        const SYN_ACK: u8 = 0x12;
        passed(&to_loopback(TCP, tcp(SYN_ACK)));
        passed(&to_loopback(TCP, tcp(0x10)));
        passed(&to_loopback(TCP, tcp(0x04)));
        for port in [1024, 40000] {
            assert_verdict(&to_loopback(UDP, udp(port)), GO_ON, &[BridgeNetfilter::On]);
            assert_verdict(&to_loopback(UDP, udp(port)), DROP, &[BridgeNetfilter::Off]);
        }
        for kind in [3, 11, 12] {
            passed(&to_loopback(ICMP, vec![kind, 0, 0, 0]));
        }
    }

    #[test]
    fn what_is_for_other_addresses_passes() {
        passed(&Packet { to: [10, 55, 66, 1], ..to_loopback(TCP, tcp(2)) });
        passed(&Packet { to: [128, 0, 0, 1], fragment: 0x2000, ..to_loopback(UDP, udp(53)) });
        assert_eq!(run(&ethernet(0x0806, &[0; 28]), 0, BridgeNetfilter::Off), GO_ON);
        assert_eq!(run(&ethernet(0x86dd, &[127; 60]), 0, BridgeNetfilter::Off), GO_ON);
    }

    #[test]
    fn a_second_tag_hides_nothing_behind_one_of_vlan_0() {
        let inner = frame(&to_loopback(TCP, tcp(2)));
        let tagged = |kind| ethernet(kind, &[&[0, 0], &inner[12..]].concat());
        for kind in [0x8100, 0x88a8] {
            assert_eq!(run(&tagged(kind), 0, BridgeNetfilter::Off), DROP);
            assert_eq!(run(&tagged(kind), 0xe000, BridgeNetfilter::Off), DROP);
            assert_eq!(run(&tagged(kind), 10, BridgeNetfilter::Off), GO_ON);
        }
    }
}
