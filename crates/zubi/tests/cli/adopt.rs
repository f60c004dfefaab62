//! Networks on a bridge of another program, which stays as it is.

use zubi_lab::{Host, Snapshot, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// A host with a bridge made by hand, and a neighbour on it.
fn host() -> Host {
    let host = Host::new(ZUBI);
    host.shell(
        "ip link add br0 address 02:00:00:00:00:10 type bridge && ip addr add 10.1.0.1/24 dev br0 && ip link set br0 up &&
         ip netns add old && ip link add vold type veth peer name eth0 netns old && ip link set vold master br0 up &&
         ip -n old addr add 10.1.0.2/24 dev eth0 && ip -n old link set eth0 up",
    )
    .ok();
    host
}

/// What `ip` says of the bridge and its neighbour.
fn bridge(host: &Host) -> String {
    let shown = "ip -d link show br0; ip -4 addr show br0; ip route show dev br0; bridge link show dev vold";
    // Timers of the bridge run, and the lifetime of addresses.
    host.shell(&format!("{{ {shown}; }} | sed -E 's/(hello|tcn|topology_change|gc)_timer +[0-9.]+//g'")).ok().out
}

fn an_adopted_bridge_is_used_as_it_is_and_given_back() {
    let host = host();
    // Forwarding and the table come with the first network.
    host.network("other");
    let (before, state) = (bridge(&host), Snapshot::take());
    let said = host.zubi("network create lan --bridge br0 --adopt").ok().out;
    assert_eq!(said, "lan: 10.1.0.0/24 on bridge br0\n");
    assert_eq!(bridge(&host), before);
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 10.1.0.77").ok();
    assert_reaches("c1", "old", "10.1.0.2");
    assert_reaches("old", "c1", "10.1.0.77");
    assert_reaches("c1", "host", "10.1.0.1");
    assert!(host.shell("ip -n c1 route").ok().out.contains("default via 10.1.0.1"));
    host.zubi("check").ok();
    assert!(host.zubi("network ls").ok().out.contains("bridge-adopted"));
    // After a flush, and by repair, nothing of the bridge changes either.
    host.shell("nft flush ruleset").ok();
    host.zubi("repair").ok();
    host.zubi("check").ok();
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("network rm lan").ok();
    host.settle();
    assert_eq!(bridge(&host), before);
    state.assert_no_residue(&Snapshot::take());
}

fn addresses_are_chosen_only_where_a_range_is_left_to_zubi() {
    let host = host();
    host.zubi("network create lan --bridge br0 --adopt").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1").fails(4, "br0 is another program's, where others give addresses of 10.1.0.0/24 too");
    host.zubi("network rm lan").ok();
    let made = host.zubi("network create lan --bridge br0 --adopt --subnet 10.1.0.0/24 --ip-range 10.1.0.128/25").ok();
    assert!(
        made.err.contains("note: 10.1.0.128/25 is zubi's to give now: whoever gives addresses on br0"),
        "{}",
        made.err
    );
    assert!(host.zubi("connect lan c1").ok().out.contains("10.1.0.128/24"));
    assert_reaches("c1", "old", "10.1.0.2");
}

fn the_gateway_may_be_elsewhere_or_nowhere() {
    let host = host();
    host.zubi("network create lan --bridge br0 --adopt --subnet 10.1.0.0/24 --gateway 10.1.0.2").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 10.1.0.77").ok();
    assert!(host.shell("ip -n c1 route").ok().out.contains("default via 10.1.0.2"));
    assert!(!host.shell("ip addr show br0").ok().out.contains("10.1.0.2/"));
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("network rm lan").ok();
    // A bridge without an address carries frames only.
    host.shell("ip addr flush dev br0").ok();
    host.zubi("network create lan --bridge br0 --adopt").ok();
    host.zubi("sandbox add c2").ok();
    host.zubi("connect lan c2").ok();
    host.shell("ip -n c2 addr add 10.1.0.9/24 dev eth0").ok();
    assert_reaches("c2", "old", "10.1.0.2");
    host.zubi("check").ok();
}

fn what_cannot_be_adopted_is_refused() {
    let host = host();
    host.zubi("network create lan --bridge br9 --adopt").fails(4, "bridge br9 does not exist");
    host.zubi("network create lan --bridge vold --adopt").fails(2, "is a veth");
    host.zubi("network create lan --adopt").fails(2, "--bridge");
    host.zubi("network create lan --bridge br0").fails(4, "zubi did not make");
    host.network("blue");
    host.zubi("network create lan --bridge zb-blue --adopt").fails(2, "is the bridge of network blue");
    // Its owner takes it away.
    host.zubi("network create lan --bridge br0 --adopt").ok();
    host.zubi("sandbox add c1").ok();
    host.shell("ip link del br0").ok();
    host.zubi("connect lan c1 --ip 10.1.0.77").fails(4, "br0");
    host.zubi("network rm lan").ok();
}

zubi_lab::tests!(
    an_adopted_bridge_is_used_as_it_is_and_given_back,
    addresses_are_chosen_only_where_a_range_is_left_to_zubi,
    the_gateway_may_be_elsewhere_or_nowhere,
    what_cannot_be_adopted_is_refused
);
