//! A LAN: a switch, a router with an outside, a computer, and a network card of the host.

use crate::host::Host;

/// The MAC of the host's network card.
pub const CARD_MAC: &str = "52:54:00:00:00:05";

/// The address of the host on its card.
pub const HOST: &str = "192.168.1.5";

/// The address of the router.
pub const ROUTER: &str = "192.168.1.1";

/// The address of the computer.
pub const COMPUTER: &str = "192.168.1.7";

/// An address behind the router.
pub const OUTSIDE: &str = "203.0.113.1";

/// Gives a host the network card `eth0`, with 192.168.1.5/24 and 2001:db8:1::5/64, on the switch of the namespace `lan`.
/// A router (namespace `router`, 192.168.1.1) leads to the outside, and a computer (`pc`) has 192.168.1.7.
pub fn make_lan(host: &Host) {
    host.shell(
        "set -e
         ip netns add lan; ip -n lan link add sw type bridge mcast_snooping 0; ip -n lan link set sw up
         port() { ip -n lan link set \"$1\" master sw up; ip -n lan link set \"$1\" addrgenmode none; }
         ip link add eth0 address 52:54:00:00:00:05 type veth peer name to_host netns lan; port to_host
         ip netns add router; ip -n router link add eth0 type veth peer name to_router netns lan; port to_router
         ip netns add pc; ip -n pc link add eth0 type veth peer name to_pc netns lan; port to_pc
         for ns in router pc; do
           ip netns exec $ns sysctl -qw net.ipv6.conf.eth0.accept_dad=0; ip -n $ns link set lo up; ip -n $ns link set eth0 up
         done
         ip -n router addr add 192.168.1.1/24 dev eth0; ip -n router addr add 2001:db8:1::1/64 dev eth0 nodad
         ip -n router addr add 203.0.113.1/32 dev lo; ip -n router addr add 2001:db8:ff::1/128 dev lo
         ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
         ip -n pc addr add 192.168.1.7/24 dev eth0; ip -n pc addr add 2001:db8:1::7/64 dev eth0 nodad
         ip -n pc route add default via 192.168.1.1; ip -n pc route add default via 2001:db8:1::1
         sysctl -qw net.ipv6.conf.eth0.accept_dad=0; ip link set lo up; ip link set eth0 up
         ip addr add 192.168.1.5/24 brd + dev eth0; ip addr add 2001:db8:1::5/64 dev eth0 nodad
         ip route add default via 192.168.1.1; ip -6 route add default via 2001:db8:1::1",
    )
    .ok();
    for address in [ROUTER, COMPUTER, OUTSIDE, "2001:db8:1::1", "2001:db8:1::7"] {
        host.wait_for(&format!("ping -qc1 -W1 {address}"));
    }
}

/// What the host has on its card, or on another device, in words that compare.
pub fn holdings(host: &Host, device: &str) -> String {
    let shown = format!(
        "ip addr show dev {device}; ip route show table all dev {device}; ip -6 route show table all dev {device};
         ip rule show; ip -6 rule show; sysctl -a 2>/dev/null | grep -F .conf.{device}. | sort"
    );
    // Interface numbers of bridges that came and went are not the card's, and lifetimes run.
    host.shell(&format!("{{ {shown}; }} | sed -E 's/[0-9]+sec/Nsec/g; s/expires [0-9]+/expires N/'")).ok().out
}
