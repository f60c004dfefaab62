//! The multicast groups that programs have joined on a device. A membership belongs to the device's number, so it does not
//! move to another device.
//!
//! # Formats
//! `/proc/net/igmp` has a line for each device, and below it one for each group: eight hex digits in the machine's byte
//! order (`igmp_mc_seq_show` in net/ipv4/igmp.c). `/proc/net/igmp6` has a line for each group: number and name of the
//! device, 32 hex digits, users (`igmp6_mc_seq_show` in net/ipv6/mcast.c).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zubi_model::IfName;

/// The groups that the kernel itself joins: all hosts, all routers, all snooping routers (RFC 4286).
const OF_KERNEL_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::new(224, 0, 0, 2), Ipv4Addr::new(224, 0, 0, 106)];

/// The groups of a device, without those that the kernel itself joins.
pub(crate) fn joined_groups(device: &IfName) -> Vec<IpAddr> {
    let read = |file: &str| fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
    let mut all: Vec<IpAddr> = of_igmp(&read("igmp"), device).into_iter().map(IpAddr::V4).collect();
    all.extend(of_igmp6(&read("igmp6"), device).into_iter().map(IpAddr::V6));
    all
}

fn of_igmp(text: &str, device: &IfName) -> Vec<Ipv4Addr> {
    let mut groups = Vec::new();
    let mut is_it = false;
    for line in text.lines().skip(1) {
        let mut words = line.split_whitespace();
        if line.starts_with(|first: char| first.is_ascii_digit()) {
            is_it = words.nth(1).is_some_and(|name| name.trim_end_matches(':') == device.as_str());
        } else if let Some(group) = words.next().and_then(|word| u32::from_str_radix(word, 16).ok()).filter(|_| is_it) {
            groups.push(Ipv4Addr::from(group.to_ne_bytes()));
        }
    }
    groups.retain(|group| !OF_KERNEL_V4.contains(group));
    groups
}

fn of_igmp6(text: &str, device: &IfName) -> Vec<Ipv6Addr> {
    let group = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let is_it = words.next() == Some(device.as_str());
        let bits = u128::from_str_radix(words.next()?, 16).ok()?;
        is_it.then_some(Ipv6Addr::from(bits))
    };
    text.lines().filter_map(group).filter(|group| !is_of_kernel(*group)).collect()
}

/// All nodes and all routers of each scope, and the solicited-node groups of its addresses (RFC 4291, 2.7.1).
fn is_of_kernel(group: Ipv6Addr) -> bool {
    matches!(group.segments(), [_, 0, 0, 0, 0, 0, 0, 1 | 2 | 0x6a] | [0xff02, 0, 0, 0, 0, 1, 0xff00..=0xffff, _])
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const IGMP: &str = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
                        1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
                        2\teth0      :     2      V3\n\t\t\t\tFB0000E0     1 0:00000000\t\t0\n\
                        \t\t\t\t010000E0     1 0:00000000\t\t0\n\
                        3\teth1      :     1      V3\n\t\t\t\t030201EF     1 0:00000000\t\t0\n";
    const IGMP6: &str = "2    eth0            ff0200000000000000000000000000fb     1 0000000C 0\n\
                         2    eth0            ff0200000000000000000001ff000005     1 00000004 0\n\
                         2    eth0            ff020000000000000000000000000001     1 0000000C 0\n\
                         3    eth1            ff0200000000000000000000000000fc     1 0000000C 0\n";

    #[test]
    fn the_groups_of_programs_are_told_from_those_of_the_kernel() {
        let device = "eth0".parse().unwrap();
        assert_eq!(of_igmp(IGMP, &device), ["224.0.0.251".parse::<Ipv4Addr>().unwrap()]);
        assert_eq!(of_igmp6(IGMP6, &device), ["ff02::fb".parse::<Ipv6Addr>().unwrap()]);
        assert_eq!(of_igmp(IGMP, &"eth1".parse().unwrap()), ["239.1.2.3".parse::<Ipv4Addr>().unwrap()]);
    }
}
