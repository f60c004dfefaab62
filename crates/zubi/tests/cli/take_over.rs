//! Pairs made by hand that `connect --device` takes over.

use crate::blue::{BOTH, blue, blue_with};
use zubi_lab::{Host, Snapshot, assert_reaches};

/// A namespace and a pair with one end in it, as tutorials make them.
const BY_HAND: &str = "ip netns add ns1 && ip link add veth1 type veth peer name veth1_p && \
                       ip link set veth1 netns ns1 && ip link set veth1_p up";
/// The end inside has an address, and is up.
const ADDRESS: &str = "ip -n ns1 addr add 10.55.66.9/24 dev veth1 && ip -n ns1 link set veth1 up";

fn by_hand(host: &Host) {
    host.shell(BY_HAND).ok();
}

/// What tells an endpoint's devices from others, without random names.
fn shape(host: &Host, sandbox: &str, ifname: &str) -> String {
    let shown = format!(
        "port=$(ip -o link show master zb-blue | cut -d: -f2 | cut -d@ -f1); ip -d -j link show $port; \
         ip -d -j -n {sandbox} link show {ifname}; ip -n {sandbox} -4 route; ip -n {sandbox} -o -4 addr show {ifname}; \
         for s in arp_notify; do ip netns exec {sandbox} cat /proc/sys/net/ipv4/conf/{ifname}/$s; done; \
         for s in accept_ra accept_dad; do ip netns exec {sandbox} cat /proc/sys/net/ipv6/conf/{ifname}/$s; done"
    );
    let random = "s/zv[0-9a-f]{10}/zv/g; s/at=[0-9]+/at=/; s/\"(ifindex|link_index|num_.x_queues|[a-z_]*timer)\":[0-9.]+,?//g; s/^[0-9]+: //; s/  *$//";
    host.shell(&format!("{{ {shown}; }} | sed -E '{random}' | sed 's/{ifname}/IF/g; s/{sandbox}/NS/g'")).ok().out
}

fn a_pair_made_by_hand_becomes_one_of_zubis() {
    let host = blue_with("--subnet 10.55.66.0/24");
    let initial = Snapshot::take();
    by_hand(&host);
    host.shell(ADDRESS).ok();
    let said = host.zubi("connect blue ns1 --device veth1_p").ok().out;
    assert_eq!(said, "ns1: veth1 10.55.66.9/24 02:42:0a:37:42:09 on blue, default route (IPv4)\n");
    host.container("c2", "blue");
    assert_reaches("ns1", "host", "10.55.66.1");
    assert_reaches("c2", "ns1", "10.55.66.9");
    host.zubi("check").ok();
    assert_eq!(host.zubi("--dry-run connect blue ns1 --device veth1_p").ok().out.matches("\n+").count(), 0);
    assert!(host.zubi("connect blue ns1 --device veth1_p").ok().out.contains("was connected already"));
    assert!(!host.shell("ip link show veth1_p").err.is_empty());
    // It is deleted as any other.
    host.zubi("disconnect blue ns1").ok();
    host.zubi("sandbox rm -f c2 ns1").ok();
    host.settle();
    initial.assert_no_residue(&Snapshot::take());
}

fn a_taken_pair_is_as_one_that_zubi_makes() {
    let host = blue_with("--subnet 10.55.66.0/24 --mtu 1400");
    by_hand(&host);
    host.zubi("connect blue ns1 --device veth1_p --ip 10.55.66.9").ok();
    // What a hand-made device was told before differs: its neighbours may know its address.
    let taken = shape(&host, "ns1", "veth1");
    host.zubi("disconnect blue ns1").ok();
    host.settle();
    host.zubi("connect blue ns1 --ip 10.55.66.9 --ifname veth1").ok();
    assert_eq!(taken, shape(&host, "ns1", "veth1"));
}

fn a_port_of_the_networks_bridge_is_taken_over_where_it_is() {
    let host = blue();
    by_hand(&host);
    host.shell("ip link set veth1_p master zb-blue && bridge link set dev veth1_p isolated on learning off").ok();
    let told = host.zubi("check");
    assert!(told.out.contains("zubi connect blue SANDBOX --device veth1_p takes it over"), "{told:?}");
    host.zubi("connect blue ns1 --device veth1_p").ok();
    host.zubi("check").ok();
    host.container("c2", "blue");
    assert_reaches("c2", "ns1", "10.55.66.2");
    host.shell("ip -d link show master zb-blue | grep -c 'isolated on'").fails(1, "");
}

fn the_pair_of_an_adopted_bridge_keeps_its_address_and_routes() {
    let host = Host::new(crate::blue::ZUBI);
    by_hand(&host);
    host.shell("ip link add br0 type bridge && ip addr add 10.1.0.1/24 dev br0 && ip link set br0 up && ip link set veth1_p master br0").ok();
    host.shell(
        "ip -n ns1 addr add 10.1.0.7/24 dev veth1 && ip -n ns1 link set veth1 up && \
         ip -n ns1 route add default via 10.1.0.1 && ip -n ns1 route add 10.9.0.0/16 via 10.1.0.1",
    )
    .ok();
    let routes = host.shell("ip -n ns1 route").ok().out;
    host.zubi("network create lan --bridge br0 --adopt").ok();
    assert!(host.zubi("connect lan ns1 --device veth1_p").ok().out.contains("veth1 10.1.0.7/24"));
    assert_eq!(host.shell("ip -n ns1 route").ok().out, routes);
    assert_reaches("ns1", "host", "10.1.0.1");
    host.zubi("check").ok();
    // A second one is not given the address.
    host.zubi("sandbox add c2").ok();
    host.zubi("connect lan c2 --ip 10.1.0.7").fails(4, "is taken by ns1");
}

fn the_end_inside_gets_another_name_where_that_costs_no_route() {
    let host = blue_with("--subnet 10.55.66.0/24");
    by_hand(&host);
    host.shell(ADDRESS).ok();
    host.shell("ip -n ns1 route add 10.9.0.0/16 via 10.55.66.1").ok();
    let refused = "which has to go down to be called eth0 and loses routes then; leave --ifname out, or ip -n ns1 link set veth1 down first";
    host.zubi("connect blue ns1 --device veth1_p --ifname eth0").fails(4, refused);
    host.shell("ip -n ns1 route del 10.9.0.0/16").ok();
    host.zubi("connect blue ns1 --device veth1_p --ifname eth0").ok();
    assert_reaches("ns1", "host", "10.55.66.1");
    host.zubi("check").ok();
}

fn repair_and_gc_treat_it_as_any_other() {
    let host = blue();
    by_hand(&host);
    host.zubi("connect blue ns1 --device veth1_p -p 8080:80").ok();
    host.shell("ip -n ns1 addr flush dev veth1 && ip link set $(ip -o link show master zb-blue | cut -d: -f2 | cut -d@ -f1) nomaster").ok();
    host.zubi("check").fails(1, "");
    host.zubi("repair").ok();
    host.zubi("check").ok();
    // The record is made again from the device.
    host.shell("rm -r /run/zubi").ok();
    host.zubi("repair --rebuild").ok();
    assert!(host.zubi("ls").ok().out.contains("veth1"));
    // With its sandbox it goes.
    host.shell("ip netns del ns1").ok();
    host.wait_for("! ip -o link show master zb-blue | grep -q zv");
    assert!(host.zubi("gc").ok().out.contains("ns1"));
    host.zubi("check").ok();
}

fn what_cannot_be_taken_over_is_refused_before_the_first_effect() {
    let host = blue_with(BOTH);
    by_hand(&host);
    let refuses = |code, words: &str| {
        let before = Snapshot::take();
        host.zubi("connect blue ns1 --device veth1_p").fails(code, words);
        before.assert_no_residue(&Snapshot::take());
    };
    host.zubi("connect blue ns1 --device veth9")
        .fails(3, "device veth9 does not exist on this host; without --device, zubi makes a pair");
    host.zubi("connect blue ns1 --device zb-blue").fails(2, "device zb-blue is a bridge, not one end of a veth pair");
    host.zubi("connect blue ns1 --device lo").fails(2, "not one end of a veth pair");
    host.shell("ip addr add 10.3.0.1/24 dev veth1_p").ok();
    refuses(
        4,
        "device veth1_p has the address 10.3.0.1/24 on the host, where the end of an endpoint only carries frames; ip addr del 10.3.0.1/24 dev veth1_p first",
    );
    host.shell("ip addr flush dev veth1_p && ip link add br0 type bridge && ip link set veth1_p master br0").ok();
    refuses(
        4,
        "device veth1_p is a port of br0, not of zb-blue, the bridge of network blue; ip link set veth1_p nomaster first",
    );
    host.shell("ip link set veth1_p nomaster && ip -n ns1 addr add 10.3.0.2/24 dev veth1").ok();
    refuses(
        4,
        "leads to veth1 in ns1, which has the address 10.3.0.2/24, none of network blue's; ip -n ns1 addr del 10.3.0.2/24 dev veth1 first",
    );
    host.shell("ip -n ns1 addr flush dev veth1 && ip -n ns1 addr add 10.55.66.9/16 dev veth1").ok();
    refuses(4, "none of network blue's");
    host.shell("ip -n ns1 addr flush dev veth1 && ip -n ns1 addr add 10.55.66.8/24 dev veth1 && ip -n ns1 addr add 10.55.66.9/24 dev veth1").ok();
    refuses(
        4,
        "which has two IPv4 addresses, 10.55.66.8 and 10.55.66.9/24; ip -n ns1 addr del 10.55.66.9/24 dev veth1 first",
    );
    host.shell("ip -n ns1 addr del 10.55.66.9/24 dev veth1").ok();
    host.zubi("connect blue ns1 --device veth1_p --ip 10.55.66.7")
        .fails(4, "which has the address 10.55.66.8/24, not the one asked for; leave --ip out, or ip -n ns1 addr del");
    host.shell("ip -n ns1 addr flush dev veth1 && ip -n ns1 addr add 10.55.66.1/24 dev veth1").ok();
    refuses(2, "address `10.55.66.1`: is the gateway");
    host.zubi("sandbox add c2").ok();
    host.zubi("connect blue c2 --ip 10.55.66.8").ok();
    host.shell("ip -n ns1 addr flush dev veth1 && ip -n ns1 addr add 10.55.66.8/24 dev veth1").ok();
    refuses(4, "address 10.55.66.8 is taken by c2");
    host.shell(
        "ip -n ns1 addr flush dev veth1 && ip -n ns1 link add br1 type bridge && ip -n ns1 link set veth1 master br1",
    )
    .ok();
    refuses(
        4,
        "has its other end veth1 in ns1, where it is a port of another device; ip -n ns1 link set veth1 nomaster first",
    );
}

fn a_pair_that_leads_elsewhere_is_refused_by_name() {
    let host = blue();
    by_hand(&host);
    host.zubi("sandbox add c2").ok();
    host.zubi("connect blue c2 --device veth1_p").fails(
        4,
        "device veth1_p has its other end veth1 in ns1, not in c2; zubi connect blue ns1 --device veth1_p would take it there",
    );
    host.shell("ip link add end1 type veth peer name end2").ok();
    host.zubi("connect blue c2 --device end1")
        .fails(4, "device end1 has its other end end2 on the host too, not in c2; ip link set end2 netns c2 first");
    // What is zubi's stays so.
    host.zubi("connect blue c2").ok();
    host.zubi("link c2:x host:y").ok();
    let port = host.shell("ip -o link show master zb-blue | cut -d: -f2 | cut -d@ -f1 | tr -d ' \\n'").ok().out;
    host.zubi(&format!("connect blue ns1 --device {port}"))
        .fails(4, "is zubi's already: it connects c2 to network blue; zubi disconnect blue c2 deletes it");
    host.zubi("connect blue ns1 --device y").fails(4, "is zubi's already: an end of link");
    // A sandbox is on a network once.
    host.zubi("connect blue ns1").ok();
    host.zubi("connect blue ns1 --device veth1_p")
        .fails(4, "ns1 is on network blue already with another pair: it has eth0");
    host.zubi("check").ok();
}

zubi_lab::tests!(
    a_pair_made_by_hand_becomes_one_of_zubis,
    a_taken_pair_is_as_one_that_zubi_makes,
    a_port_of_the_networks_bridge_is_taken_over_where_it_is,
    the_pair_of_an_adopted_bridge_keeps_its_address_and_routes,
    the_end_inside_gets_another_name_where_that_costs_no_route,
    repair_and_gc_treat_it_as_any_other,
    what_cannot_be_taken_over_is_refused_before_the_first_effect,
    a_pair_that_leads_elsewhere_is_refused_by_name
);
