//! Devices of the host that go into a sandbox as a whole, and come back as they were.

use crate::macvlan::repaired;
use zubi_lab::lan::{COMPUTER, OUTSIDE, holdings, make_lan};
use zubi_lab::{DhcpServer, Host, Snapshot, assert_reaches, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// A LAN with a second card of the host on it.
fn host() -> Host {
    let host = Host::new(ZUBI);
    make_lan(&host);
    // Leases of a dnsmasq on this machine are no business of the test.
    host.shell("mkdir -p /var/lib/misc && mount -t tmpfs none /var/lib/misc").ok();
    host.shell(
        "ip link add eth1 address 52:54:00:00:00:06 mtu 1400 type veth peer name to_host1 netns lan
         ip -n lan link set to_host1 master sw up; ip -n lan link set to_host1 addrgenmode none
         sysctl -qw net.ipv6.conf.eth1.accept_dad=0 net.ipv4.conf.eth1.rp_filter=2 net.ipv6.conf.eth1.addr_gen_mode=1
         ip link set eth1 up; ip addr add 10.9.0.5/24 brd + dev eth1; ip addr add 2001:db8:9::5/64 dev eth1 nodad
         ip addr add 10.9.0.6/24 dev eth1 label eth1:more valid_lft 3600 preferred_lft 1800
         ip route add 10.77.0.0/16 via 10.9.0.1 metric 7; ip route add 10.78.0.0/16 dev eth1 table 44
         ip neigh add 10.9.0.9 lladdr 02:00:00:00:00:99 dev eth1
         ip rule add iif eth1 lookup 44; ip link set eth1 alias 'second card'",
    )
    .ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    host
}

fn a_card_is_in_the_sandbox_and_comes_back_as_it_was() {
    let host = host();
    let state = Snapshot::take();
    let before = holdings(&host, "eth1");
    let said = host.zubi("network create phys --driver host-device --parent eth1 --subnet 192.168.1.0/24").ok().out;
    assert_eq!(said, "phys: 192.168.1.0/24 with eth1 (host-device)\n");
    let said = host.zubi("connect phys c1 --ip 192.168.1.77").ok().out;
    assert_eq!(said, "c1: eth0 192.168.1.77/24 52:54:00:00:00:06 on phys, default route (IPv4)\n");
    host.shell("ip link show eth1").fails(1, "does not exist");
    assert_reaches("c1", "pc", COMPUTER);
    assert_reaches("c1", "router", OUTSIDE);
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    let listed = host.zubi("ls --wide").ok().out;
    assert!(listed.contains("192.168.1.77/24") && listed.contains("eth1") && listed.contains("up"), "{listed}");
    let listed = host.zubi("network ls").ok().out;
    assert!(listed.contains("host-device") && listed.contains("device=eth1"), "{listed}");
    assert!(host.zubi("network inspect phys").ok().out.contains("\"parent\": \"eth1\""));
    assert!(host.zubi("connect phys c1").ok().out.contains("was connected already"));
    host.zubi("connect phys c2").fails(4, "eth1");
    host.zubi("network rm phys").fails(4, "still attached");
    host.zubi("disconnect phys c1").ok();
    host.settle();
    assert_eq!(holdings(&host, "eth1"), before);
    host.shell("ip link show eth1 | grep -q 'mtu 1400.*UP' && ip link show eth1 | grep -q 'alias second card'").ok();
    host.zubi("network rm phys").ok();
    state.assert_no_residue(&Snapshot::take());
}

const RIGHT: &str = "everything is as recorded\n";

fn with_network() -> (Host, String) {
    let host = host();
    let before = holdings(&host, "eth1");
    host.zubi("network create phys --driver host-device --parent eth1 --subnet 192.168.1.0/24").ok();
    (host, before)
}

fn name_mac_mtu_and_addresses_are_as_wished_and_none_of_it_comes_home() {
    let host = host();
    let before = holdings(&host, "eth1");
    host.zubi("network create phys --driver host-device --parent eth1 --subnet 192.168.1.0/24 --mtu 1300").ok();
    let wishes = "--ifname net7 --mac 02:00:00:00:00:77 --ip 192.168.1.80 --route 10.8.0.0/16,192.168.1.7";
    let said = host.zubi(&format!("connect phys c1 {wishes}")).ok().out;
    assert_eq!(said, "c1: net7 192.168.1.80/24 02:00:00:00:00:77 on phys, default route (IPv4)\n");
    let inside = host.shell("ip -n c1 link show net7; ip -n c1 route").ok().out;
    assert!(inside.contains("mtu 1300") && inside.contains("10.8.0.0/16 via 192.168.1.7 dev net7"), "{inside}");
    assert_reaches("c1", "pc", COMPUTER);
    assert_eq!(host.zubi("check").ok().out, RIGHT);
    host.zubi("disconnect phys c1").ok();
    assert_eq!(holdings(&host, "eth1"), before);
    // With the card's own address, which the host has no more.
    host.zubi("network rm phys").ok();
    host.zubi("network create phys --driver host-device --parent eth1").ok();
    host.zubi("connect phys c1 --ip 10.9.0.5").ok();
    host.zubi("sandbox rm c1").ok();
    assert_eq!(holdings(&host, "eth1"), before);
}

fn what_is_changed_inside_is_found_and_put_right() {
    let (host, before) = with_network();
    host.zubi("connect phys c1 --ip 192.168.1.77").ok();
    for (harm, said) in [
        ("ip -n c1 addr del 192.168.1.77/24 dev eth0", "ip -n c1 addr add 192.168.1.77/24"),
        ("ip -n c1 link set eth0 down", "down"),
        ("ip -n c1 link set eth0 mtu 1280", "MTU is 1280"),
        ("ip -n c1 link set eth0 address 02:00:00:00:00:88", "MAC"),
        ("ip -n c1 link set eth0 down; ip -n c1 link set eth0 name other", "eth0"),
        // By hand, as a person would take it back.
        ("ip -n c1 link set eth0 netns $$ name eth1", "ip link set eth1 netns c1 name eth0"),
    ] {
        host.shell(harm).ok();
        repaired(&host, said);
        assert_reaches("c1", "pc", COMPUTER);
    }
    host.zubi("disconnect phys c1").ok();
    assert_eq!(holdings(&host, "eth1"), before);
}

/// Hardware whose sandbox ends falls back by itself, bare and under the name that it had inside.
fn fall_back(host: &Host, name: &str) {
    host.shell(&format!("ip -n c1 link set {name} netns $$; ip netns del c1")).ok();
}

fn a_device_that_fell_back_when_its_sandbox_ended_is_as_it_was_again() {
    let (host, before) = with_network();
    for command in ["gc", "repair", "disconnect phys c1", "connect phys c2"] {
        host.zubi("connect phys c1 --ifname net7 --mac 02:00:00:00:00:77").ok();
        fall_back(&host, "net7");
        let told = host.zubi("check").fails(1, "").out;
        assert!(told.contains("sandbox is gone"), "{told}");
        host.zubi(command).ok();
        host.zubi("disconnect phys c2").ok();
        assert_eq!(holdings(&host, "eth1"), before, "{command}");
        // The name of the sandbox is zubi's, and was removed by hand.
        host.zubi("gc").ok();
        assert_eq!(host.zubi("check").ok().out, RIGHT, "{command}");
        host.zubi("sandbox add c1").ok();
    }
}

fn a_device_that_ended_with_its_sandbox_frees_what_it_had() {
    let (host, _) = with_network();
    host.zubi("connect phys c1 --ip 192.168.1.77").ok();
    host.shell("ip netns del c1").ok();
    host.wait_for("! ip -n lan link show to_host1");
    let said = host.zubi("gc").ok();
    assert!(said.err.contains("eth1, a veth, has ended with its sandbox"), "{}", said.err);
    assert_eq!(host.zubi("check").ok().out, RIGHT);
    host.zubi("connect phys c2").fails(4, "network card eth1: does not exist");
    host.zubi("network rm phys").ok();
}

fn a_device_whose_name_is_another_s_by_now_comes_home_under_a_new_one() {
    let (host, _) = with_network();
    host.zubi("connect phys c1").ok();
    host.shell("ip link add eth1 type veth peer name eth7").ok();
    let said = host.zubi("disconnect phys c1").ok().err;
    assert!(said.contains("another device of the host has its name by now"), "{said}");
    let there = host.shell("ip -br link | grep 52:54:00:00:00:06; ip -br addr | grep 10.9.0.5/24").ok().out;
    assert!(there.starts_with("zh") && there.contains(" UP "), "{there}");
}

fn a_device_without_a_mac_goes_and_comes_back() {
    let host = host();
    if host.shell("ip tuntap add mode tun name tun7").code != 0 {
        return skip("a_device_without_a_mac_goes_and_comes_back", "needs /dev/net/tun");
    }
    host.shell("ip link set tun7 up; ip addr add 10.6.0.1/30 dev tun7").ok();
    let before = holdings(&host, "tun7");
    host.zubi("network create vpn --driver host-device --parent tun7 --subnet 10.6.0.0/30").ok();
    host.zubi("connect vpn c1 --mac 02:00:00:00:00:77").fails(2, "tun7 has none");
    host.zubi("connect vpn c1 --ip 10.6.0.1 --ifname wg0").ok();
    assert_eq!(host.zubi("check").ok().out, RIGHT);
    host.shell("ip -n c1 -br addr show wg0 | grep -q 10.6.0.1/30").ok();
    host.zubi("disconnect vpn c1").ok();
    assert_eq!(holdings(&host, "tun7"), before);
}

fn a_dhcp_server_gives_a_device_its_address() {
    if !DhcpServer::has_dnsmasq("a_dhcp_server_gives_a_device_its_address") {
        return;
    }
    let host = host();
    let before = holdings(&host, "eth1");
    let _server = DhcpServer::dnsmasq("router", "--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,2m");
    host.zubi("network create phys --driver host-device --parent eth1 --ipam dhcp").ok();
    let said = host.zubi("connect phys c1").ok().out;
    assert!(said.contains("192.168.1.1") && said.contains("52:54:00:00:00:06"), "{said}");
    assert_reaches("c1", "router", OUTSIDE);
    assert_eq!(host.zubi("check").ok().out, RIGHT);
    host.zubi("disconnect phys c1").ok();
    assert_eq!(holdings(&host, "eth1"), before);
}

fn a_device_that_the_host_needs_stays() {
    let host = host();
    host.shell(
        "ip link add br5 type bridge; ip link add eth5 type veth peer name eth6; ip link set eth5 master br5
         ip link add eth8 type veth peer name eth9; ip link set eth8 up",
    )
    .ok();
    host.zubi("network create lan --driver macvlan --parent eth8 --subnet 10.8.0.0/24").ok();
    let create = "network create phys --driver host-device --subnet 10.66.0.0/24 --parent";
    let state = Snapshot::take();
    for (device, code, words) in [
        ("eth0", 4, "has this host's IPv4 default route, which would be cut off; --force takes it all the same"),
        ("lo", 4, "is the loopback device"),
        ("eth5", 4, "is a port of bridge br5; ip link set eth5 nomaster first"),
        ("eth8", 4, "carries network lan; zubi network rm lan first"),
        ("br5", 4, "is a bridge of this host"),
        ("eth77", 4, "does not exist; there are: "),
    ] {
        host.zubi(&format!("{create} {device}")).fails(code, words);
        state.assert_no_residue(&Snapshot::take());
    }
    host.zubi("network create phys --driver host-device").fails(2, "add --parent");
    host.zubi("network create phys --driver host-device --parent eth1 --bridge br5").fails(2, "--bridge");
    host.zubi("network create lan2 --driver macvlan --parent eth1 --force").fails(2, "--driver host-device");
    // What has changed since the network was made counts as well.
    host.zubi(&format!("{create} eth1")).ok();
    host.zubi("network create lan2 --driver macvlan --parent eth1 --subnet 10.9.0.0/24").fails(4, "phys");
    host.zubi("connect phys c1 -p 8080:80").fails(2, "is a device of the host");
    host.zubi("connect phys c1 --device eth8").fails(2, "leave --device out");
    host.shell("ip route replace default via 10.9.0.1 dev eth1").ok();
    host.zubi("connect phys c1").fails(4, "default route");
    host.shell("ip route replace default via 192.168.1.1; ip link set eth1 master br5").ok();
    host.zubi("connect phys c1").fails(4, "is a port of bridge br5");
    host.shell("ip link set eth1 nomaster").ok();
    host.zubi("network rm phys").ok();
    // With force the way out goes, and comes back.
    let before = holdings(&host, "eth0");
    host.zubi(&format!("{create} eth0 --force")).ok();
    host.zubi("connect phys c1").ok();
    assert!(!host.shell("ip route").ok().out.contains("default"));
    host.zubi("disconnect phys c1").ok();
    assert_eq!(holdings(&host, "eth0"), before);
}

zubi_lab::tests!(
    a_card_is_in_the_sandbox_and_comes_back_as_it_was,
    name_mac_mtu_and_addresses_are_as_wished_and_none_of_it_comes_home,
    what_is_changed_inside_is_found_and_put_right,
    a_device_that_fell_back_when_its_sandbox_ended_is_as_it_was_again,
    a_device_that_ended_with_its_sandbox_frees_what_it_had,
    a_device_whose_name_is_another_s_by_now_comes_home_under_a_new_one,
    a_device_without_a_mac_goes_and_comes_back,
    a_dhcp_server_gives_a_device_its_address,
    a_device_that_the_host_needs_stays,
);
