//! Networks of ipvlans: endpoints on the LAN with the MAC of a network card that the host keeps.

use crate::macvlan::{count, repaired, with_sandboxes};
use zubi_lab::lan::{CARD_MAC, COMPUTER, HOST, OUTSIDE, holdings};
use zubi_lab::{Capability, Snapshot, assert_isolated, assert_reaches, lacking, need};

fn a_container_is_on_the_lan_with_the_mac_of_the_card() {
    if !need(&[Capability::Ipvlan], "a_container_is_on_the_lan_with_the_mac_of_the_card") {
        return;
    }
    let host = with_sandboxes();
    let state = Snapshot::take();
    let before = holdings(&host, "eth0");
    let said = host.zubi("network create lan --driver ipvlan --parent eth0 --ip-range 192.168.1.128/26").ok().out;
    assert_eq!(said, "lan: 192.168.1.0/24, 2001:db8:1::/64 on eth0 (ipvlan, l2)\n");
    let said = host.zubi("connect lan c1").ok().out;
    assert_eq!(said, format!("c1: eth0 192.168.1.128/24 {CARD_MAC} on lan, default route (IPv4)\n"));
    host.zubi("connect lan c2 --ip 192.168.1.99 --ip 2001:db8:1::99").ok();
    assert_reaches("c1", "pc", COMPUTER);
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("c1", "c2", "192.168.1.99");
    assert_reaches("pc", "c1", "192.168.1.128");
    assert_reaches("pc", "c2", "2001:db8:1::99");
    assert_reaches("c2", "router", "2001:db8:ff::1");
    assert_isolated("host", "c1", "192.168.1.128");
    assert_isolated("c1", "host", HOST);
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    assert_eq!(holdings(&host, "eth0"), before);
    let listed = host.zubi("network ls").ok().out;
    assert!(listed.contains("ipvlan") && listed.contains("parent=eth0,mode=l2\n"), "{listed}");
    let shown = host.zubi("network inspect lan").ok().out;
    assert!(shown.contains("\"ipvlan_mode\": \"l2\"") && shown.contains("\"Driver\": \"ipvlan\""), "{shown}");
    // The same again changes nothing.
    assert!(host.zubi("connect lan c1").ok().out.contains("was connected already"));
    host.zubi("connect lan c1 -p 8080:80").fails(2, "its addresses are reached without published ports");
    host.zubi("network rm lan").fails(4, "still attached");
    host.zubi("disconnect lan c1").ok();
    assert_eq!(count(&host, "c1", "ipvlan"), 0);
    // A sandbox that goes takes its device with it.
    host.zubi("sandbox rm -f c2").ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    host.zubi("network rm lan").ok();
    host.zubi("sandbox add c2").ok();
    host.settle();
    assert_eq!(holdings(&host, "eth0"), before);
    state.assert_no_residue(&Snapshot::take());
}

fn docker_s_words_make_the_same_network() {
    if !need(&[Capability::Ipvlan], "docker_s_words_make_the_same_network") {
        return;
    }
    let host = with_sandboxes();
    host.zubi(
        "network create -d ipvlan -o parent=eth0 -o ipvlan_mode=l2 --subnet 192.168.1.0/24 --gateway 192.168.1.1 \
         --aux-address printer=192.168.1.2 lan",
    )
    .ok();
    // Docker chooses from the whole subnet that it is given; the host, the router and the printer are left out.
    assert!(host.zubi("connect lan c1").ok().out.contains("192.168.1.3/24"));
    assert!(host.zubi("connect lan c2").ok().out.contains("192.168.1.4/24"));
    assert_reaches("c1", "pc", COMPUTER);
    assert_reaches("c1", "c2", "192.168.1.4");
}

fn a_routed_network_is_reached_by_the_host_s_routes() {
    if !need(&[Capability::Ipvlan], "a_routed_network_is_reached_by_the_host_s_routes") {
        return;
    }
    let host = with_sandboxes();
    host.shell(&format!(
        "set -e; ip -n router route add 10.1.0.0/16 via {HOST}; ip -n router -6 route add fd00:1::/64 via 2001:db8:1::5"
    ))
    .ok();
    let state = Snapshot::take();
    for mode in ["l3", "l3s"] {
        let words = format!("-d ipvlan -o parent=eth0 -o ipvlan_mode={mode}");
        let subnets = "--subnet 10.1.0.0/24 --subnet 10.1.7.0/24 --subnet fd00:1::/64";
        host.zubi(&format!("network create lan {words} {subnets}")).ok();
        let said = host.zubi("connect lan c1").ok().out;
        let all = format!("c1: eth0 10.1.0.1/24 fd00:1::1/64 {CARD_MAC} on lan, default route (IPv4, IPv6)\n");
        assert_eq!(said, all);
        host.zubi("connect lan c2 --ip 10.1.7.9").ok();
        assert_eq!(host.shell("ip -n c1 route show default").ok().out.trim(), "default dev eth0 proto 122 scope link");
        assert_reaches("c1", "c2", "10.1.7.9");
        assert_reaches("c1", "pc", COMPUTER);
        assert_reaches("c1", "router", OUTSIDE);
        assert_reaches("c1", "router", "2001:db8:ff::1");
        assert_reaches("pc", "c1", "10.1.0.1");
        assert_reaches("pc", "c1", "fd00:1::1");
        assert_reaches("pc", "c2", "10.1.7.9");
        assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
        host.shell("ip -n c1 route del default").ok();
        repaired(&host, "ip -n c1 route add default dev eth0");
        // Another network of the card has the same mode.
        let other = "network create two --driver ipvlan --parent eth0 --subnet 10.2.0.0/24";
        host.zubi(other).fails(4, &format!("mode {mode}: all ipvlans of a card have one mode; use --mode {mode}"));
        host.zubi(&format!("{other} --mode {mode}")).ok();
        host.zubi("network rm two").ok();
        host.zubi("network rm -f lan").ok();
    }
    host.settle();
    state.assert_no_residue(&Snapshot::take());
}

fn without_a_card_the_network_is_internal() {
    if !need(&[Capability::Ipvlan], "without_a_card_the_network_is_internal") {
        return;
    }
    let host = with_sandboxes();
    let state = Snapshot::take();
    let said = host.zubi("network create quiet --driver ipvlan --subnet 10.5.0.0/24").ok().out;
    assert_eq!(said, "quiet: 10.5.0.0/24 on zm-quiet (ipvlan, l2)\n");
    host.zubi("connect quiet c1 --ip 10.5.0.10").ok();
    host.zubi("connect quiet c2 --ip 10.5.0.11").ok();
    assert_reaches("c1", "c2", "10.5.0.11");
    assert_isolated("host", "c1", "10.5.0.10");
    assert_eq!(host.shell("ip -n c1 route show default").out, "");
    host.zubi("check").ok();
    host.shell("ip link del zm-quiet").ok();
    repaired(&host, "ip link add zm-quiet");
    assert_reaches("c1", "c2", "10.5.0.11");
    host.zubi("network rm -f quiet").ok();
    host.settle();
    state.assert_no_residue(&Snapshot::take());
}

fn what_is_changed_inside_is_found_and_put_right() {
    if !need(&[Capability::Ipvlan], "what_is_changed_inside_is_found_and_put_right") {
        return;
    }
    let host = with_sandboxes();
    host.zubi("network create lan --driver ipvlan --parent eth0 --ip-range 192.168.1.128/26").ok();
    // Another network of the same card, in the same sandbox: its device has the same MAC.
    host.zubi("network create two --driver ipvlan --parent eth0 --subnet 10.9.0.0/24").ok();
    host.zubi("connect lan c1").ok();
    host.zubi("connect lan c2").ok();
    host.zubi("connect two c1 --ip 10.9.0.9").ok();
    for (change, said) in [
        ("ip -n c1 link del eth0", "ip link add zv0242c0a80180 link eth0"),
        ("ip -n c1 link set eth0 down", "ip -n c1 link set eth0 up"),
        ("ip -n c1 addr flush dev eth0", "192.168.1.128"),
        ("ip -n c1 route del default", "ip -n c1 route add default"),
    ] {
        host.shell(change).ok();
        repaired(&host, said);
        assert_reaches("c1", "pc", COMPUTER);
    }
    assert_eq!(count(&host, "c1", "ipvlan"), 2);
    // A device of another name is another endpoint's.
    host.shell("ip -n c1 link del eth0").ok();
    host.zubi("disconnect lan c1").ok();
    assert!(host.shell("ip -n c1 addr show eth1").ok().out.contains("10.9.0.9/24"));
    // The card gets another MAC: its ipvlans follow.
    host.shell("ip link set eth0 address 52:54:00:00:00:66").ok();
    assert_reaches("pc", "c2", "192.168.1.129");
    host.zubi("check").ok();
    host.shell("ip netns del c2").ok();
    host.zubi("gc").ok();
    host.zubi("check").ok();
    assert!(host.zubi("connect lan c1 --ip 192.168.1.129").ok().out.contains("192.168.1.129"));
    host.shell("ip link set eth0 down").ok();
    host.zubi("sandbox add c2").ok();
    host.zubi("connect lan c2").fails(4, "network card eth0: is down, and carries network lan; ip link set eth0 up");
    host.zubi("network rm -f two").ok();
    host.zubi("network rm -f lan").ok();
}

fn an_endpoint_whose_record_is_lost_keeps_its_address() {
    if !need(&[Capability::Ipvlan], "an_endpoint_whose_record_is_lost_keeps_its_address") {
        return;
    }
    let host = with_sandboxes();
    host.zubi("network create lan --driver ipvlan --parent eth0 --ip-range 192.168.1.128/26").ok();
    host.zubi("connect lan c1").ok();
    host.shell("rm -r \"$ZUBI_RUN_DIR\"/*").ok();
    // The kernel lets no two ipvlans of a card have one address.
    host.zubi("connect lan c2 --ip 192.168.1.128").fails(7, "already assigned to an ipvlan device");
    assert_eq!(count(&host, "c2", "ipvlan"), 0);
    assert_reaches("pc", "c1", "192.168.1.128");
}

fn a_vlan_carries_ipvlans() {
    if !need(&[Capability::Ipvlan, Capability::Vlan], "a_vlan_carries_ipvlans") {
        return;
    }
    let host = with_sandboxes();
    host.shell(
        "set -e; ip -n router link add link eth0 name eth0.10 type vlan id 10; ip -n router link set eth0.10 up
         ip -n router addr add 10.10.0.1/24 dev eth0.10",
    )
    .ok();
    let before = Snapshot::take();
    let said = host.zubi("network create a -d ipvlan -o parent=eth0.10 --subnet 10.10.0.0/24").ok().out;
    assert_eq!(said, "a: 10.10.0.0/24 on eth0.10 (ipvlan, l2)\n");
    host.zubi("connect a c1 --ip 10.10.0.5").ok();
    assert_reaches("c1", "router", "10.10.0.1");
    host.shell("ip link del eth0.10").ok();
    host.zubi("repair").ok();
    host.zubi("check").ok();
    assert_reaches("c1", "router", "10.10.0.1");
    host.zubi("network rm -f a").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn networks_that_cannot_be_are_refused() {
    let host = with_sandboxes();
    let before = Snapshot::take();
    let create = |words: &str| host.zubi(&format!("network create lan --driver ipvlan {words}"));
    create("--parent eth9").fails(4, "does not exist; there are: eth0");
    create("--parent lo").fails(4, "is the loopback device");
    create("--parent eth0 --internal").fails(2, "is on the LAN, which is outside");
    create("--parent eth0 --mode bridge").fails(2, "ipvlan mode `bridge`: is unknown; there are: l2, l3, l3s");
    create("--parent eth0 --host-shim").fails(2, "is for macvlans: an ipvlan has the card's MAC");
    create("--parent eth0 --no-icc").fails(2, "--driver macvlan --mode private");
    create("--parent eth0 --mode l3").fails(2, "is a subnet of the LAN, which asks for its addresses");
    create("--parent eth0 --mode l3 --subnet 192.168.1.128/25 --ipam dhcp").fails(2, "is a subnet of the LAN");
    create("--parent eth0 --mode l3s --subnet 10.1.0.0/24 --ipam dhcp").fails(2, "is for networks with a DHCP server");
    create("-o parent=eth0 -o macvlan_mode=bridge").fails(2, "add --driver macvlan");
    create("-o parent=eth0 -o ipvlan_flag=private").fails(2, "is no option of zubi's");
    host.shell("ip link add i0 link eth0 type macvlan").ok();
    create("--parent i0").fails(4, "is a macvlan itself; take the device that it is on");
    create("--parent eth0").fails(4, "carries the macvlan i0, and the kernel lets no card carry both");
    host.shell("ip link del i0").ok();
    host.settle();
    if !lacking(&[Capability::Ipvlan]).is_empty() {
        let said = create("--parent eth0 --ip-range 192.168.1.128/26");
        said.fails(7, "network lan: link add type ipvlan: Operation not supported: Unknown device type");
        create("").fails(7, "this kernel has no ipvlans (CONFIG_IPVLAN), which macvlans do not need");
        before.assert_no_residue(&Snapshot::take());
        return;
    }
    before.assert_no_residue(&Snapshot::take());
    create("--parent eth0 --ip-range 192.168.1.128/26").ok();
    let other = |words: &str| host.zubi(&format!("network create two --parent eth0 {words}"));
    let kinds = "whose endpoints are ipvlans: a card carries one kind; use --driver ipvlan, or another card";
    other("--driver macvlan --subnet 10.7.0.0/24").fails(4, kinds);
    other("--driver uplink").fails(4, "carries network lan");
    other("--driver ipvlan --ip-range 192.168.1.64/26").fails(4, "network lan on the same card");
    host.zubi("connect lan c1 --mac 02:00:00:00:00:09").fails(2, "are ipvlans and have the MAC of eth0");
    host.zubi("connect lan c1 --ip 192.168.1.7").fails(4, "a neighbour on eth0");
    host.zubi("connect lan c1 --ip 192.168.1.5").fails(2, "192.168.1.5");
    host.zubi("network set lan --mtu 1400").ok();
    host.zubi("connect lan c1").ok();
    assert!(host.shell("ip -n c1 link show eth0").ok().out.contains("mtu 1400"));
    host.zubi("network set lan --mtu 1300").ok();
    assert!(host.shell("ip -n c1 link show eth0").ok().out.contains("mtu 1300"));
    host.zubi("check").ok();
    host.zubi("network rm -f lan").ok();
    other("--driver macvlan --ip-range 192.168.1.64/26").ok();
    create("--parent eth0 --subnet 10.7.0.0/24").fails(4, "whose endpoints are macvlans: a card carries one kind");
}

zubi_lab::tests!(
    a_container_is_on_the_lan_with_the_mac_of_the_card,
    docker_s_words_make_the_same_network,
    a_routed_network_is_reached_by_the_host_s_routes,
    without_a_card_the_network_is_internal,
    what_is_changed_inside_is_found_and_put_right,
    an_endpoint_whose_record_is_lost_keeps_its_address,
    a_vlan_carries_ipvlans,
    networks_that_cannot_be_are_refused,
);
