//! Networks of macvlans: endpoints on the LAN with MACs of their own, on a network card that the host keeps.

use zubi_lab::lan::{CARD_MAC, COMPUTER, HOST, OUTSIDE, holdings, make_lan};
use zubi_lab::{Capability, Host, Snapshot, assert_isolated, assert_reaches, lacking, need};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn host() -> Host {
    let host = Host::new(ZUBI);
    make_lan(&host);
    // Leases of a dnsmasq on this machine are no business of the test.
    host.shell("mkdir -p /var/lib/misc && mount -t tmpfs none /var/lib/misc").ok();
    host
}

pub(crate) fn with_sandboxes() -> Host {
    let host = host();
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    host
}

pub(crate) fn problems(host: &Host) -> String {
    let answer = host.zubi("check");
    assert_eq!(answer.code, 1, "{}", answer.out);
    answer.out
}

/// Checks, repairs, checks again.
pub(crate) fn repaired(host: &Host, said: &str) {
    let told = problems(host);
    assert!(told.contains(said), "{told}");
    host.zubi("repair").ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
}

/// How many devices of a kind a sandbox has.
pub(crate) fn count(host: &Host, sandbox: &str, kind: &str) -> usize {
    host.shell(&format!("ip -n {sandbox} -d -o link")).ok().out.matches(&format!(" {kind} ")).count()
}

fn a_container_is_on_the_lan_and_the_card_stays_as_it_is() {
    let host = with_sandboxes();
    let state = Snapshot::take();
    let before = holdings(&host, "eth0");
    let said = host.zubi("network create lan --driver macvlan --parent eth0 --ip-range 192.168.1.128/26").ok().out;
    assert_eq!(said, "lan: 192.168.1.0/24, 2001:db8:1::/64 on eth0 (macvlan, bridge)\n");
    let said = host.zubi("connect lan c1").ok().out;
    assert_eq!(said, "c1: eth0 192.168.1.128/24 02:42:c0:a8:01:80 on lan, default route (IPv4)\n");
    host.zubi("connect lan c2 --ip 192.168.1.99 --ip 2001:db8:1::99").ok();
    assert_reaches("c1", "pc", COMPUTER);
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("c1", "c2", "192.168.1.99");
    assert_reaches("pc", "c1", "192.168.1.128");
    assert_reaches("pc", "c2", "2001:db8:1::99");
    assert_reaches("c2", "router", "2001:db8:ff::1");
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    assert_eq!(holdings(&host, "eth0"), before);
    let listed = host.zubi("ls --wide").ok().out;
    assert!(listed.contains("192.168.1.128/24") && listed.contains("up"), "{listed}");
    let listed = host.zubi("network ls").ok().out;
    assert!(listed.contains("macvlan") && listed.contains("parent=eth0,mode=bridge"), "{listed}");
    let shown = host.zubi("network inspect lan").ok().out;
    assert!(shown.contains("\"macvlan_mode\": \"bridge\"") && shown.contains("\"parent\": \"eth0\""), "{shown}");
    // The same again changes nothing; publishing has no sense here.
    assert!(host.zubi("connect lan c1").ok().out.contains("was connected already"));
    host.zubi("connect lan c1 -p 8080:80").fails(2, "its addresses are reached without published ports");
    host.zubi("port add lan c1 8080:80").fails(2, "its addresses are reached without published ports");
    host.zubi("network rm lan").fails(4, "still attached");
    host.zubi("disconnect lan c1").ok();
    assert_eq!(count(&host, "c1", "macvlan"), 0);
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
    let host = with_sandboxes();
    host.zubi(
        "network create -d macvlan -o parent=eth0 -o macvlan_mode=bridge --subnet 192.168.1.0/24 \
         --gateway 192.168.1.1 --aux-address printer=192.168.1.2 lan",
    )
    .ok();
    // Docker chooses from the whole subnet that it is given; the host, the router and the printer are left out.
    assert!(host.zubi("connect lan c1").ok().out.contains("192.168.1.3/24"));
    assert!(host.zubi("connect lan c2").ok().out.contains("192.168.1.4/24"));
    host.zubi("sandbox add c3").ok();
    assert!(host.zubi("connect lan c3").ok().out.contains("192.168.1.6/24"));
    assert_reaches("c3", "pc", COMPUTER);
    host.zubi("network inspect lan --format '{{.Driver}}'").ok();
    // Of a subnet that the host does not know, the first address is the router's.
    host.zubi("network rm -f lan").ok();
    host.zubi("network create -d macvlan -o parent=eth0 --subnet 10.9.0.0/24 far").ok();
    assert!(host.zubi("connect far c1").ok().out.contains("10.9.0.2/24"));
    assert!(host.shell("ip -n c1 route").ok().out.contains("default via 10.9.0.1"));
}

fn without_a_card_the_network_is_internal() {
    let host = with_sandboxes();
    let state = Snapshot::take();
    let said = host.zubi("network create quiet --driver macvlan --subnet 10.5.0.0/24").ok().out;
    assert_eq!(said, "quiet: 10.5.0.0/24 on zm-quiet (macvlan, bridge)\n");
    host.zubi("connect quiet c1 --ip 10.5.0.10").ok();
    host.zubi("connect quiet c2 --ip 10.5.0.11").ok();
    assert_reaches("c1", "c2", "10.5.0.11");
    assert_isolated("host", "c1", "10.5.0.10");
    assert_eq!(host.shell("ip -n c1 route show default").out, "");
    host.zubi("check").ok();
    host.shell("ip link del zm-quiet").ok();
    repaired(&host, "ip link add zm-quiet");
    assert_reaches("c1", "c2", "10.5.0.11");
    host.shell("ip link set zm-quiet down").ok();
    repaired(&host, "ip link set zm-quiet up");
    host.zubi("network rm -f quiet").ok();
    host.settle();
    state.assert_no_residue(&Snapshot::take());
}

fn what_is_changed_inside_is_found_and_put_right() {
    let host = with_sandboxes();
    host.zubi("network create lan --driver macvlan --parent eth0 --ip-range 192.168.1.128/26").ok();
    host.zubi("connect lan c1").ok();
    host.zubi("connect lan c2").ok();
    for (change, said) in [
        ("ip -n c1 link del eth0", "ip link add zv0242c0a80180 link eth0"),
        ("ip -n c1 link set eth0 down", "ip -n c1 link set eth0 up"),
        ("ip -n c1 link set eth0 address 02:00:00:00:00:77", "02:00:00:00:00:77"),
        ("ip -n c1 link set eth0 down; ip -n c1 link set eth0 name other", "renamed or gone"),
        ("ip -n c1 addr flush dev eth0", "192.168.1.128"),
        ("ip -n c1 route del default", "ip -n c1 route add default"),
    ] {
        host.shell(change).ok();
        repaired(&host, said);
        assert_reaches("c1", "pc", COMPUTER);
    }
    assert_eq!(count(&host, "c1", "macvlan"), 1);
    // A deleted device comes back with connect as well, and a renamed one goes with disconnect.
    host.shell("ip -n c1 link del eth0").ok();
    host.zubi("connect lan c1").ok();
    assert_reaches("c1", "pc", COMPUTER);
    host.shell("ip -n c1 link set eth0 down; ip -n c1 link set eth0 name other").ok();
    host.zubi("disconnect lan c1").ok();
    assert_eq!(count(&host, "c1", "macvlan"), 0);
    // A namespace that another program deletes takes the device with it; gc frees the address.
    host.shell("ip netns del c2").ok();
    assert!(problems(&host).contains("its sandbox is gone"));
    host.zubi("gc").ok();
    host.zubi("check").ok();
    assert!(host.zubi("connect lan c1 --ip 192.168.1.129").ok().out.contains("192.168.1.129"));
    // A card that is down carries nothing, and says so.
    host.shell("ip link set eth0 down").ok();
    host.zubi("sandbox add c2").ok();
    host.zubi("connect lan c2").fails(4, "network card eth0: is down, and carries network lan; ip link set eth0 up");
    host.shell("ip link del eth0").ok();
    host.zubi("connect lan c2").fails(4, "network card eth0: does not exist, and carries network lan");
    host.zubi("disconnect lan c1").ok();
    host.zubi("network rm lan").ok();
}

fn a_card_that_the_uplink_has_carries_macvlans_by_the_bridge() {
    let host = with_sandboxes();
    host.zubi("network create up --driver uplink --parent eth0 --ip-range 192.168.1.64/28").ok();
    let said = host.zubi("network create lan --driver macvlan --parent eth0 --ip-range 192.168.1.128/26").ok().out;
    assert_eq!(said, "lan: 192.168.1.0/24, 2001:db8:1::/64 on zb-up (macvlan, bridge)\n");
    host.zubi("connect lan c1").ok();
    host.zubi("connect up c2").ok();
    assert_reaches("c1", "pc", COMPUTER);
    assert_reaches("c2", "pc", COMPUTER);
    assert_reaches("pc", "c1", "192.168.1.128");
    host.zubi("check").ok();
    // Both give addresses of one subnet, and none twice.
    host.zubi("sandbox add c3").ok();
    host.zubi("connect up c3 --ip 192.168.1.128").fails(4, "192.168.1.128");
    host.zubi("network rm -f up").fails(4, "carries network lan");
    host.zubi("network rm -f lan").ok();
    host.zubi("network rm -f up").ok();
    host.shell(&format!("ping -qc1 -W2 {COMPUTER}")).ok();
}

fn host_and_containers_reach_each_other_and_the_lan_hears_of_the_card_only() {
    let host = with_sandboxes();
    let state = Snapshot::take();
    host.zubi("network create lan --driver macvlan --parent eth0 --ip-range 192.168.1.128/26 --host-shim").ok();
    host.zubi("connect lan c1 --ip 192.168.1.140 --ip 2001:db8:1::99").ok();
    host.zubi("connect lan c2 --ip 192.168.1.128").ok();
    let reaches = || {
        for (from, to, address) in [
            ("host", "c1", "192.168.1.140"),
            ("host", "c1", "2001:db8:1::99"),
            ("c1", "host", HOST),
            ("c1", "host", "2001:db8:1::5"),
            ("c2", "host", HOST),
            ("c1", "c2", "192.168.1.128"),
            ("pc", "c1", "192.168.1.140"),
            ("pc", "host", HOST),
        ] {
            assert_reaches(from, to, address);
        }
    };
    reaches();
    // Whoever asks for the host gets the card's MAC. The shim sends nothing at all: the switch has not learned it.
    let shim = host.shell("cat /sys/class/net/zm-lan/address").ok().out.trim().to_owned();
    for _ in 0..3 {
        host.shell(&format!(
            "ip -n pc neigh flush all; ip neigh flush dev eth0; ip netns exec pc ping -qc1 -W2 {HOST}"
        ))
        .ok();
        let known = host.shell(&format!("ip -n pc neigh show {HOST}")).ok().out;
        assert!(known.contains(CARD_MAC), "{known}");
    }
    host.shell("ip -n c1 neigh flush all; ip neigh flush all").ok();
    reaches();
    let learned = host.shell("bridge -n lan fdb show br sw").ok().out;
    assert!(learned.contains(CARD_MAC) && !learned.contains(&shim), "{shim}: {learned}");
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    for (change, said) in [
        ("ip link del zm-lan", "ip link add zm-lan link eth0"),
        ("ip link set zm-lan down", "ip link set zm-lan up"),
        ("ip route del 192.168.1.140 dev zm-lan", "ip route add 192.168.1.140/32 dev zm-lan"),
        ("ip neigh del 2001:db8:1::99 dev zm-lan", "ip neigh replace 2001:db8:1::99"),
        ("ip -n c1 neigh del 192.168.1.5 dev eth0", "ip -n c1 neigh replace 192.168.1.5"),
        ("sysctl -qw net.ipv4.conf.zm-lan.arp_ignore=0", "arp_ignore=8"),
    ] {
        host.shell(change).ok();
        repaired(&host, said);
        reaches();
    }
    // An address that the host gets later: endpoints know it after repair.
    host.shell("ip addr add 192.168.1.50/24 dev eth0").ok();
    repaired(&host, "ip -n c1 neigh replace 192.168.1.50");
    assert_reaches("c1", "host", "192.168.1.50");
    host.shell("ip addr del 192.168.1.50/24 dev eth0").ok();
    // A sandbox that is deleted leaves a route, which gc finds.
    host.shell("ip netns del c2").ok();
    host.zubi("gc").ok();
    assert!(!host.shell("ip route").ok().out.contains("192.168.1.128"));
    host.zubi("disconnect lan c1").ok();
    assert!(!host.shell("ip route; ip neigh; ip -6 route").ok().out.contains("zm-lan"));
    host.zubi("network rm lan").ok();
    host.zubi("sandbox add c2").ok();
    host.settle();
    state.assert_no_residue(&Snapshot::take());
    // Without it they do not.
    host.zubi("network create lan --driver macvlan --parent eth0 --ip-range 192.168.1.128/26 --no-host-shim").ok();
    host.zubi("connect lan c1 --ip 192.168.1.140").ok();
    assert_isolated("host", "c1", "192.168.1.140");
    assert_reaches("pc", "c1", "192.168.1.140");
    assert!(host.zubi("network ls").ok().out.contains("no-host-shim"));
}

fn an_endpoint_whose_record_is_lost_keeps_its_address() {
    let host = with_sandboxes();
    host.zubi("network create lan --driver macvlan --parent eth0 --ip-range 192.168.1.128/26").ok();
    host.zubi("connect lan c1").ok();
    host.shell("rm -r \"$ZUBI_RUN_DIR\"/*").ok();
    host.zubi("connect lan c2 --ip 192.168.1.128").fails(4, "02:42:c0:a8:01:80");
    assert!(host.zubi("connect lan c2").ok().out.contains("192.168.1.129/24"));
    assert_reaches("pc", "c1", "192.168.1.128");
    host.zubi("gc").ok();
    host.zubi("check").ok();
    assert_reaches("host", "c1", "192.168.1.128");
    assert_reaches("host", "c2", "192.168.1.129");
}

fn each_mode_lets_pass_what_its_name_says() {
    let host = with_sandboxes();
    let two = |mode: &str| {
        let words = format!("--driver macvlan --parent eth0 --ip-range 192.168.1.128/26 --mode {mode}");
        host.zubi(&format!("network create lan {words}")).ok();
        host.zubi("connect lan c1 --ip 192.168.1.140").ok();
        host.zubi("connect lan c2 --ip 192.168.1.141").ok();
        assert!(host.zubi("network ls").ok().out.contains(&format!("mode={mode}")));
        assert!(host.shell("ip -n c1 -d link show eth0").ok().out.contains(&format!("macvlan mode {mode}")));
        assert_reaches("c1", "pc", COMPUTER);
        assert_reaches("pc", "c2", "192.168.1.141");
        host.zubi("check").ok();
    };
    two("private");
    host.shell("bridge -n lan link set dev to_host hairpin on").ok();
    assert_isolated("c1", "c2", "192.168.1.141");
    host.zubi("network rm -f lan").ok();
    // By way of the switch, if that sends back what came from there.
    two("vepa");
    assert_reaches("c1", "c2", "192.168.1.141");
    host.shell("bridge -n lan link set dev to_host hairpin off").ok();
    assert_isolated("c1", "c2", "192.168.1.141");
    host.zubi("network rm -f lan").ok();
    host.zubi("network create lan --driver macvlan --parent eth0 --mode vepa --host-shim")
        .fails(2, "needs the mode bridge");
    host.zubi("network create lan --driver macvlan --host-shim").fails(2, "needs a network card");
    // One endpoint has a whole card.
    host.shell(
        "ip link add eth1 address 52:54:00:00:00:06 type veth peer name to_host1 netns lan; ip link set eth1 up;
         ip -n lan link set to_host1 master sw up",
    )
    .ok();
    let words = "--driver macvlan --parent eth1 --mode passthru --subnet 192.168.1.0/24 --gateway 192.168.1.1";
    host.zubi(&format!("network create whole {words}")).ok();
    host.zubi("connect whole c1 --ip 192.168.1.150 --mac 02:00:00:00:00:09").fails(4, "52:54:00:00:00:06");
    let said = host.zubi("connect whole c1 --ip 192.168.1.150").ok().out;
    assert!(said.contains("52:54:00:00:00:06"), "{said}");
    assert_reaches("c1", "pc", COMPUTER);
    host.zubi("check").ok();
    host.zubi("connect whole c2 --ip 192.168.1.151").fails(4, "network whole has 1 on it");
    host.zubi("network create other --driver macvlan --parent eth1 --subnet 10.3.0.0/24")
        .fails(4, "passthru gives a whole card");
    host.zubi("network rm -f whole").ok();
    host.zubi("network create other --driver macvlan --parent eth1 --subnet 10.3.0.0/24").ok();
    host.zubi(&format!("network create whole {words}")).fails(4, "carries network other");
}

fn networks_that_cannot_be_are_refused() {
    let host = with_sandboxes();
    let before = Snapshot::take();
    let create = |words: &str| host.zubi(&format!("network create lan --driver macvlan {words}"));
    create("--parent eth9").fails(4, "does not exist; there are: eth0");
    create("--parent lo").fails(4, "is the loopback device");
    create("--parent eth0 --internal").fails(2, "is on the LAN, which is outside");
    create("--parent eth0 --mode source").fails(2, "there are: bridge, private, vepa, passthru");
    create("--parent eth0 --mode passthru").fails(4, "has this host's address 192.168.1.5/24");
    create("--parent eth0 --ip-range 192.168.1.0/26").fails(2, "contains this host's address 192.168.1.5");
    create("--parent eth0 --ip-range 10.0.0.0/8").fails(2, "is not inside 192.168.1.0/24");
    create("--parent eth0 --gateway 10.0.0.1").fails(2, "is not inside 192.168.1.0/24");
    create("--parent eth0 --mtu 9000").fails(2, "is more than eth0 takes, which is 1500");
    create("--parent eth0 --no-icc").fails(2, "--driver macvlan --mode private");
    create("--parent eth0 --bridge br0").fails(2, "is for networks with a bridge");
    create("--parent eth0 --confirm-within 60s").fails(2, "is for --driver uplink");
    host.zubi("network create lan --mode vepa").fails(2, "is for --driver macvlan and --driver ipvlan");
    host.shell("ip link add br7 type bridge; ip link add d7 master br7 type veth peer name e7; ip link set d7 up").ok();
    create("--parent d7").fails(4, "is a port of bridge br7; take br7 as the parent");
    create("--parent br7").fails(4, "is down; ip link set br7 up");
    host.shell("ip link del d7; ip link del br7; ip link add i0 link eth0 type macvlan").ok();
    create("--parent i0").fails(4, "is a macvlan itself; take the device that it is on");
    host.shell("ip link del i0").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    create("--parent eth0 --ip-range 192.168.1.128/26").ok();
    host.zubi("network create two --driver macvlan --parent eth0 --ip-range 192.168.1.64/26")
        .fails(4, "network lan on the same card");
    host.zubi("network create two --driver macvlan --parent eth0 --mode passthru --subnet 10.7.0.0/24")
        .fails(4, "has this host's address");
    host.zubi("connect lan c1 --ip 10.0.0.9").fails(2, "10.0.0.9");
    host.zubi("connect lan c1 --ip 192.168.1.5").fails(2, "192.168.1.5");
    host.zubi("connect lan c1 --ip 192.168.1.7").fails(4, "a neighbour on eth0");
    host.zubi("connect lan c1 --ip 192.168.1.1").fails(2, "192.168.1.1");
    host.zubi("network create wide --driver uplink --parent eth0").fails(4, "carries network lan");
    host.zubi("network set lan --masquerade").fails(4, "its masquerade stays off");
    host.zubi("network set lan --no-icc").fails(4, "icc");
    host.zubi("network set lan --mtu 1400").ok();
    host.zubi("connect lan c1").ok();
    assert!(host.shell("ip -n c1 link show eth0").ok().out.contains("mtu 1400"));
    host.zubi("network set lan --mtu 1300").ok();
    assert!(host.shell("ip -n c1 link show eth0").ok().out.contains("mtu 1300"));
    host.zubi("check").ok();
}

fn a_vlan_comes_with_its_first_network_and_goes_with_the_last() {
    if !need(&[Capability::Vlan], "a_vlan_comes_with_its_first_network_and_goes_with_the_last") {
        return;
    }
    let host = with_sandboxes();
    host.shell(
        "set -e; for id in 10 20; do
           ip -n router link add link eth0 name eth0.$id type vlan id $id; ip -n router link set eth0.$id up
           ip -n router addr add 10.$id.0.1/24 dev eth0.$id
         done; ip -n router addr add 10.10.1.1/24 dev eth0.10",
    )
    .ok();
    let before = Snapshot::take();
    let explained = host.zubi("--dry-run network create a --driver macvlan --parent eth0.10 --subnet 10.10.0.0/24");
    assert!(explained.ok().out.contains("link eth0 address 52:54:00:00:00:05 group 2054513257 type vlan id 10"));
    let said = host.zubi("network create a -d macvlan -o parent=eth0.10 --subnet 10.10.0.0/24").ok().out;
    assert_eq!(said, "a: 10.10.0.0/24 on eth0.10 (macvlan, bridge)\n");
    host.zubi("network create b --driver macvlan --parent eth0.10 --subnet 10.10.1.0/24").ok();
    host.zubi("network create c --driver macvlan --parent eth0.20 --subnet 10.20.0.0/24").ok();
    host.zubi("connect a c1 --ip 10.10.0.5").ok();
    host.zubi("connect b c2 --ip 10.10.1.5").ok();
    host.zubi("connect c c2 --ip 10.20.0.5").ok();
    for (from, address) in [("c1", "10.10.0.1"), ("c2", "10.10.1.1"), ("c2", "10.20.0.1")] {
        assert_reaches(from, "router", address);
    }
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    // With the VLAN go the devices on it.
    host.shell("ip link del eth0.10").ok();
    assert!(problems(&host).contains("eth0.10"));
    host.zubi("repair").ok();
    host.zubi("check").ok();
    assert_reaches("c1", "router", "10.10.0.1");
    assert_reaches("c2", "router", "10.10.1.1");
    host.zubi("network rm -f a").ok();
    assert_reaches("c2", "router", "10.10.1.1");
    host.zubi("network rm -f b").ok();
    host.shell("! ip link show eth0.10").ok();
    host.zubi("network rm -f c").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    // One that is there already stays.
    host.shell("ip link add link eth0 name eth0.10 type vlan id 10; ip link set eth0.10 up").ok();
    host.zubi("network create a --driver macvlan --parent eth0.10 --subnet 10.10.0.0/24").ok();
    host.zubi("network rm a").ok();
    host.shell("ip link show eth0.10").ok();
}

fn a_vlan_that_cannot_be_is_refused() {
    let host = host();
    let before = Snapshot::take();
    let create =
        |parent: &str| host.zubi(&format!("network create a -d macvlan --parent {parent} --subnet 10.10.0.0/24"));
    for number in ["0", "4095", "99999"] {
        create(&format!("eth0.{number}")).fails(2, "between 1 and 4094");
    }
    create("eth9.10").fails(4, "network card eth9.10: does not exist; there are: eth0");
    if !lacking(&[Capability::Vlan]).is_empty() {
        create("eth0.10").fails(7, "this kernel has no VLAN devices (CONFIG_VLAN_8021Q)");
    }
    before.assert_no_residue(&Snapshot::take());
    host.shell("ip link set eth0 down").ok();
    create("eth0.10").fails(4, "network card eth0: is down; ip link set eth0 up");
}

zubi_lab::tests!(
    a_vlan_comes_with_its_first_network_and_goes_with_the_last,
    a_vlan_that_cannot_be_is_refused,
    a_container_is_on_the_lan_and_the_card_stays_as_it_is,
    docker_s_words_make_the_same_network,
    without_a_card_the_network_is_internal,
    what_is_changed_inside_is_found_and_put_right,
    a_card_that_the_uplink_has_carries_macvlans_by_the_bridge,
    host_and_containers_reach_each_other_and_the_lan_hears_of_the_card_only,
    an_endpoint_whose_record_is_lost_keeps_its_address,
    each_mode_lets_pass_what_its_name_says,
    networks_that_cannot_be_are_refused,
);
