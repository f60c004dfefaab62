//! The permanent form of a network on the LAN: the host's own program makes the bridge at boot, and zubi takes it as it is.

use std::fs;
use zubi_lab::lan::{COMPUTER, HOST, OUTSIDE, ROUTER, make_lan};
use zubi_lab::{Host, assert_reaches, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const CREATE: &str = "network create lan --driver uplink --parent eth0 --ip-range 192.168.1.128/26";

/// A host on the LAN whose files below /etc are the test's.
fn host() -> Host {
    let host = Host::new(ZUBI);
    make_lan(&host);
    host.shell(
        "set -e; for at in network systemd/network NetworkManager sysctl.d; do
           mkdir -p /etc/$at && mount -t tmpfs none /etc/$at
         done
         echo nameserver 192.168.1.1 > /run/resolv.conf; mount --bind /run/resolv.conf /etc/resolv.conf",
    )
    .ok();
    host
}

fn reaches_the_lan(host: &Host) {
    for address in [ROUTER, COMPUTER, OUTSIDE, "2001:db8:1::7", "2001:db8:1::1", "2001:db8:ff::1"] {
        host.wait_for(&format!("ping -qc1 -W1 {address}"));
    }
    assert_reaches("pc", "host", HOST);
}

/// Prints the permanent form of `lan`, and types it.
fn persist(host: &Host, program: &str) -> String {
    let text = host.zubi(&format!("network persist lan {program}")).ok().out;
    fs::write("/run/persist.sh", &text).expect("a script");
    host.shell("sh -e /run/persist.sh").ok();
    text
}

/// A restart of the machine: what was in the kernel is gone, the state folder stays, the boot is another one.
fn reboot(host: &Host) {
    host.shell(
        "set -e; ip netns del c1 2> /dev/null || :; nft flush ruleset; ip link del zb-lan; ip link set eth0 down
         ip addr flush dev eth0
         sed -i 's/\"boot_id\": *\"[^\"]*\"/\"boot_id\":\"an-earlier-boot\"/' \"$ZUBI_RUN_DIR\"/host.json
         grep -q earlier \"$ZUBI_RUN_DIR\"/host.json",
    )
    .ok();
}

fn index(host: &Host) -> String {
    host.shell("cat /sys/class/net/zb-lan/ifindex").ok().out
}

/// What the host has on its bridge, but for what a program writes beside it.
fn on_bridge(host: &Host) -> String {
    host.shell("ip -br addr show dev zb-lan; ip -4 route show default; ip -6 route show default").ok().out
}

/// The bridge is there, made by the host: zubi takes it with `first`, moves nothing, and leaves it.
fn taken_and_left(host: &Host, first: &str, files: &str) {
    reaches_the_lan(host);
    let before = (index(host), on_bridge(host));
    host.zubi(first).ok();
    host.zubi("sandbox add c1").ok();
    assert!(host.zubi("connect lan c1").ok().out.contains("192.168.1.128/24"));
    assert_eq!((index(host), on_bridge(host)), before);
    reaches_the_lan(host);
    assert_reaches("pc", "c1", "192.168.1.128");
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("host", "c1", "192.168.1.128");
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    assert_eq!(host.zubi("gc").ok().out, "nothing to remove\n");
    host.zubi("sandbox rm -f c1").ok();
    let said = host.zubi("network rm lan").ok().err;
    assert!(said.contains("zb-lan stays, with the host's addresses and eth0 as its port"), "{said}");
    assert!(said.contains(files), "{said}");
    host.settle();
    assert_eq!((index(host), on_bridge(host)), before);
    reaches_the_lan(host);
    assert!(!host.shell("ip -d link show zb-lan").ok().out.contains("alias"));
    host.shell("! nft list tables | grep -q zubi").ok();
    host.zubi("check").ok();
}

fn ifupdown_makes_the_bridge_at_boot() {
    let host = host();
    if host.shell("command -v ifup").code != 0 {
        skip("ifupdown_makes_the_bridge_at_boot", "needs the package ifupdown");
        return;
    }
    host.shell(
        "printf 'auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/*\n' > /etc/network/interfaces",
    )
    .ok();
    let mut kept = String::new();
    for first in ["repair", "connect lan c1"] {
        if kept.is_empty() {
            host.zubi(CREATE).ok();
            kept = persist(&host, "ifupdown");
            host.shell("cp -a \"$ZUBI_STATE_DIR\" /run/kept").ok();
        } else {
            host.shell("rm -r \"$ZUBI_STATE_DIR\"; cp -a /run/kept \"$ZUBI_STATE_DIR\"").ok();
        }
        reboot(&host);
        host.shell("mkdir -p /run/network && ifdown -a --force 2> /dev/null; ifup -a").ok();
        host.zubi("sandbox add c1").ok();
        taken_and_left(&host, first, "remove /etc/network/interfaces.d/zb-lan");
    }
}

zubi_lab::tests!(ifupdown_makes_the_bridge_at_boot);
