//! A network on the LAN whose bridge the host's own program makes at boot: what is the same for each of these programs.

use crate::host::Host;
use crate::lan::{COMPUTER, HOST, OUTSIDE, ROUTER};
use crate::probe::assert_reaches;
use crate::zubi_daemon::own_etc;
use std::fs;

/// What the host's own configuration does at boot, by hand.
pub const AT_BOOT: &str = "set -e; ip link add zb-lan address 52:54:00:00:00:05 type bridge mcast_snooping 0
     ip link set eth0 addrgenmode none; ip link set eth0 up master zb-lan
     ip addr add 192.168.1.5/24 brd + dev zb-lan; ip addr add 2001:db8:1::5/64 dev zb-lan nodad; ip link set zb-lan up
     ip route add default via 192.168.1.1; ip -6 route add default via 2001:db8:1::1";

/// Gives the host of a test an `/etc` of its own.
#[track_caller]
pub fn own_configuration(host: &Host) {
    own_etc(host);
    host.shell("echo nameserver 192.168.1.1 > /run/resolv.conf; mount --bind /run/resolv.conf /etc/resolv.conf").ok();
}

/// Makes the network `lan` on a host of [`make_lan`](crate::lan::make_lan), with an `/etc` of its own, and makes it
/// permanent.
#[track_caller]
pub fn make_permanent(host: &Host, program: &str) {
    own_configuration(host);
    host.network("lan --driver uplink --parent eth0 --ip-range 192.168.1.128/26");
    type_permanent(host, program);
}

/// Prints the permanent form of `lan` for a program, and types that.
#[track_caller]
pub fn type_permanent(host: &Host, program: &str) {
    let text = host.zubi(&format!("network persist lan {program}")).ok().out;
    fs::write("/run/permanent.sh", text).expect("a script");
    host.shell("sh -e /run/permanent.sh").ok();
}

/// Restarts the machine: of the kernel's state and of the run folder nothing is left. The card is down.
#[track_caller]
pub fn restart(host: &Host) {
    host.shell(
        "set -e; nft flush ruleset; ip link del zb-lan; ip link set eth0 down; ip addr flush dev eth0
         rm -r \"$ZUBI_RUN_DIR\"",
    )
    .ok();
}

const ON_THE_LAN: [&str; 6] = [ROUTER, COMPUTER, OUTSIDE, "2001:db8:1::7", "2001:db8:1::1", "2001:db8:ff::1"];

/// Fails the test unless host and LAN reach each other.
#[track_caller]
pub fn reaches_the_lan(host: &Host) {
    for address in ON_THE_LAN {
        host.shell(&format!("ping -qc1 -W2 {address}")).ok();
    }
    assert_reaches("pc", "host", HOST);
}

/// What the host has on its bridge, and which one that is.
#[track_caller]
pub fn on_bridge(host: &Host) -> String {
    host.shell("ip -br addr show dev zb-lan; ip -4 route; ip -6 route; cat /sys/class/net/zb-lan/ifindex").ok().out
}

/// The host has made the bridge at boot. Fails the test unless zubi takes it with the command `first`, moves nothing, has
/// endpoints on it, and leaves it when the network goes, with these files named.
#[track_caller]
pub fn assert_taken_and_left(host: &Host, first: &str, files: &str) {
    // The kernel looks for duplicates first.
    for address in ON_THE_LAN {
        host.wait_for(&format!("ping -qc1 -W1 {address}"));
    }
    let before = on_bridge(host);
    host.zubi("sandbox add c1").ok();
    host.zubi(first).ok();
    assert!(host.zubi("connect lan c1").ok().out.contains("192.168.1.128/24"));
    assert_eq!(on_bridge(host), before);
    reaches_the_lan(host);
    assert_reaches("pc", "c1", "192.168.1.128");
    assert_reaches("host", "c1", "192.168.1.128");
    assert_reaches("c1", "router", OUTSIDE);
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    host.zubi("gc").ok();
    host.zubi("network rm lan").fails(4, "still attached");
    assert_eq!(on_bridge(host), before);
    host.zubi("sandbox rm -f c1").ok();
    let said = host.zubi("network rm lan").ok().err;
    assert!(said.contains("zb-lan stays, with the host's addresses and eth0 as its port"), "{said}");
    assert!(said.contains(files), "{said}");
    host.settle();
    assert_eq!(on_bridge(host), before);
    reaches_the_lan(host);
    host.shell("! ip link show zb-lan | grep -q alias; ! nft list tables | grep -q zubi").ok();
    host.zubi("check").ok();
}
