//! pipework's command line, by the lines of its own README.

use std::process::{Command, Stdio};
use zubi_lab::lan::{OUTSIDE, holdings, make_lan};
use zubi_lab::{
    Answer, Capability, DhcpServer, Host, OpenVswitch, Snapshot, assert_isolated, assert_reaches, links, need,
};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

struct Script {
    host: Host,
}

impl Script {
    fn new(guests: &[&str]) -> Self {
        links(ZUBI, "/run/bin", &["pipework"]);
        let host = Host::new(ZUBI);
        for guest in guests {
            host.zubi(&format!("sandbox add {guest}")).ok();
        }
        Script { host }
    }

    fn pipework(&self, words: &str) -> Answer {
        self.host.shell(&format!("/run/bin/pipework {words}"))
    }
}

fn guests_are_plugged_into_a_bridge_that_goes_with_the_last_of_them() {
    let script = Script::new(&["apache1", "mysql1"]);
    let before = Snapshot::take();
    assert_eq!(script.pipework("br1 apache1 192.168.1.1/24").ok().out, "");
    script.pipework("br1 mysql1 192.168.1.2/24").ok();
    assert_reaches("apache1", "mysql1", "192.168.1.2");
    assert!(script.host.shell("ip -n apache1 -br addr show eth1").ok().out.contains("192.168.1.1/24"));
    // The script fails here: "link eth1 exists and is up".
    script.pipework("br1 apache1 192.168.1.1/24").ok();
    let listed = script.host.zubi("ls").ok().out;
    assert!(listed.contains("pipework:br1") && listed.contains("192.168.1.2/24"), "{listed}");
    script.host.zubi("check").ok();
    script.host.zubi("disconnect pipework:br1 apache1").ok();
    script.host.zubi("disconnect pipework:br1 mysql1").ok();
    script.host.wait_for("! ip link show br1");
    script.host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn a_bridge_that_is_there_stays_and_names_macs_and_gateways_are_taken() {
    let script = Script::new(&["web", "db"]);
    let host = &script.host;
    host.shell("ip link add office type bridge; ip link set office up mtu 1400; ip addr add 10.3.0.1/16 dev office")
        .ok();
    script.pipework("office -i eth7 -l vlocal web 10.3.0.5/16@10.3.0.1 U:myhost.foo.com").ok();
    let inside = host.shell("ip -n web addr show eth7; ip -n web route; ip link show vlocal").ok().out;
    for words in ["02:72:6c:cd:9b:8d", "10.3.0.5/16", "default via 10.3.0.1 dev eth7", "mtu 1400", "master office"] {
        assert!(inside.contains(words), "{words}: {inside}");
    }
    assert_reaches("web", "host", "10.3.0.1");
    // IPv6, with a gateway of its own family, and a device without any address.
    script.pipework("br6 db 2001:db8:7::5/64@2001:db8:7::1 26:2e:71:98:60:8f").ok();
    assert!(host.shell("ip -n db -6 route").ok().out.contains("default via 2001:db8:7::1 dev eth1"));
    script.pipework("office -i eth2 db 0/0").ok();
    assert!(host.shell("ip -n db -br link show eth2").ok().out.contains("UP"));
    host.zubi("sandbox rm -f web").ok();
    host.zubi("sandbox rm -f db").ok();
    host.settle();
    host.shell("ip link show office").ok();
}

fn a_default_route_is_replaced_and_comes_back_when_the_guest_is_unplugged() {
    let script = Script::new(&["web"]);
    let host = &script.host;
    let defaults = || host.shell("ip -n web route show default; ip -n web -6 route show default").ok().out;
    host.shell(
        "ip link add ppp0 netns web type veth peer name isp0
         ip -n web link set ppp0 up; ip link set isp0 up
         ip -n web addr add 192.0.2.7/24 dev ppp0
         ip -n web route add default via 192.0.2.1 dev ppp0 proto static src 192.0.2.7
         ip -n web -6 addr add 2001:db8:9::7/64 dev ppp0 nodad
         ip -n web -6 route add default via 2001:db8:9::1 dev ppp0 metric 512",
    )
    .ok();
    let before = defaults();
    script.pipework("br1 web 10.8.0.5/24@10.8.0.1").ok();
    assert_eq!(defaults().lines().next(), Some("default via 10.8.0.1 dev eth1 proto 122 "), "{}", defaults());
    assert!(defaults().contains("2001:db8:9::1 dev ppp0"), "only IPv4 is replaced: {}", defaults());
    // The newest wins, with a gateway that is in no subnet of the guest as well.
    script.pipework("br2 -i eth2 web 10.9.0.5/32@10.9.9.1").ok();
    assert!(defaults().starts_with("default via 10.9.9.1 dev eth2 proto 122 onlink"), "{}", defaults());
    script.pipework("br3 -i eth3 web 2001:db8:7::5/64@2001:db8:7::1").ok();
    assert!(defaults().contains("2001:db8:7::1 dev eth3") && !defaults().contains("ppp0"), "{}", defaults());
    host.zubi("check").ok();
    // In any order, nothing is lost: the older one gives it again, and behind it the guest's own.
    host.zubi("disconnect pipework:br3 web").ok();
    host.zubi("disconnect pipework:br2 web").ok();
    assert!(defaults().starts_with("default via 10.8.0.1 dev eth1"), "{}", defaults());
    script.pipework("br2 -i eth2 web 10.9.0.5/24@10.9.0.1").ok();
    host.zubi("disconnect pipework:br1 web").ok();
    assert!(defaults().starts_with("default via 10.9.0.1 dev eth2"), "{}", defaults());
    host.zubi("disconnect pipework:br2 web").ok();
    assert_eq!(defaults(), before);
    // Killed behind each step: the next command gives the guest what it had.
    for step in 1.. {
        let fault = format!("ZUBI_FAULT=kill:{step} /run/bin/pipework br1 web 10.8.0.5/24@10.8.0.1");
        if host.shell(&fault).code == 0 {
            assert!(step > 5, "only {step} steps");
            break;
        }
        host.zubi("gc").ok();
        // Behind the last steps it is plugged in.
        if host.zubi("ls").ok().out.contains("pipework:br1") {
            assert!(defaults().starts_with("default via 10.8.0.1 dev eth1"), "step {step}: {}", defaults());
            host.zubi("disconnect pipework:br1 web").ok();
        }
        assert_eq!(defaults(), before, "step {step}");
    }
    // Its device is gone by now: nothing can come back, and that is no failure.
    host.shell("ip -n web link del ppp0").ok();
    host.zubi("disconnect pipework:br1 web").ok();
    assert_eq!(defaults(), "");
}

fn a_default_route_that_could_not_come_back_is_refused() {
    let script = Script::new(&["web"]);
    let host = &script.host;
    host.shell(
        "ip link add ppp0 netns web type veth peer name isp0
         ip -n web link set ppp0 up; ip link set isp0 up; ip -n web addr add 192.0.2.7/24 dev ppp0
         ip -n web route add default nexthop via 192.0.2.1 nexthop via 192.0.2.2",
    )
    .ok();
    let before = host.shell("ip -n web route").ok().out;
    script.pipework("br1 web 10.8.0.5/24@10.8.0.1").fails(1, "default route by ppp0 has several next hops");
    assert_eq!(host.shell("ip -n web route").ok().out, before);
    script.pipework("br1 web 10.8.0.5/24").ok();
}

fn a_network_card_gives_the_guest_a_device_on_the_lan() {
    let script = Script::new(&["web", "db"]);
    make_lan(&script.host);
    let before = Snapshot::take();
    script.pipework("eth0 web 192.168.1.50/24@192.168.1.1").ok();
    script.pipework("mac:52:54:00:00:00:05 -i eth2 -l passed-over db 192.168.1.51/24 U:db").ok();
    assert_reaches("web", "router", OUTSIDE);
    assert_reaches("pc", "web", "192.168.1.50");
    assert_reaches("web", "db", "192.168.1.51");
    let listed = script.host.zubi("ls").ok().out;
    assert!(listed.contains("pipework:eth0") && listed.contains("eth2"), "{listed}");
    script.pipework("eth0 web 192.168.1.50/24@192.168.1.1").ok();
    script.host.zubi("check").ok();
    // Somebody on the LAN has it.
    script.host.zubi("disconnect pipework:eth0 db").ok();
    script.pipework("eth0 db 192.168.1.7/24").fails(1, "192.168.1.7 is taken by");
    script.host.zubi("disconnect pipework:eth0 web").ok();
    script.host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn a_network_card_goes_into_the_guest_as_a_whole() {
    let script = Script::new(&["web"]);
    let host = &script.host;
    make_lan(host);
    host.shell(
        "ip link add eth1 address 52:54:00:00:00:06 type veth peer name to_host1 netns lan
         ip -n lan link set to_host1 master sw up; ip -n lan link set to_host1 addrgenmode none
         sysctl -qw net.ipv6.conf.eth1.accept_dad=0; ip link set eth1 up; ip addr add 10.9.0.5/24 dev eth1",
    )
    .ok();
    let before = holdings(host, "eth1");
    script.pipework("--direct-phys eth1 web 192.168.1.50/24@192.168.1.1").ok();
    host.shell("ip link show eth1").fails(1, "does not exist");
    assert!(host.shell("ip -n web link show eth1").ok().out.contains("52:54:00:00:00:06"));
    assert_reaches("web", "router", OUTSIDE);
    assert_reaches("pc", "web", "192.168.1.50");
    script.pipework("--direct-phys eth1 web 192.168.1.50/24@192.168.1.1").ok();
    script.pipework("--direct-phys mac:52:54:00:00:00:06 web 192.168.1.50/24@192.168.1.1").ok();
    let listed = host.zubi("ls").ok().out;
    assert!(listed.contains("pipework:eth1") && listed.contains("192.168.1.50/24"), "{listed}");
    host.zubi("check").ok();
    host.zubi("disconnect pipework:eth1 web").ok();
    let settled = "! ip addr show dev eth1 | grep -q tentative";
    host.wait_for(settled);
    assert_eq!(holdings(host, "eth1"), before);
    script.pipework("--direct-phys mac:52:54:00:00:00:06 -i eth7 web 192.168.1.51/24 U:web").ok();
    assert!(host.shell("ip -n web link show eth7").ok().out.contains("link/ether 02:"));
    host.zubi("sandbox rm -f web").ok();
    host.wait_for(settled);
    assert_eq!(holdings(host, "eth1"), before);
    host.zubi("sandbox add web").ok();
    // The script would cut off whoever is logged in.
    script.pipework("--direct-phys eth0 web 192.168.1.50/24").fails(1, "this host's IPv4 default route");
}

fn the_vlan_of_a_card_goes_into_the_guest() {
    if !need(&[Capability::Vlan], "the_vlan_of_a_card_goes_into_the_guest") {
        return;
    }
    let script = Script::new(&["web", "db"]);
    let host = &script.host;
    make_lan(host);
    host.shell(
        "ip -n router link add link eth0 name eth0.10 type vlan id 10; ip -n router link set eth0.10 up
         ip -n router addr add 10.10.0.1/24 dev eth0.10",
    )
    .ok();
    let before = Snapshot::take();
    script.pipework("--direct-phys eth0 web 10.10.0.5/24@10.10.0.1 @10").ok();
    script.pipework("--direct-phys eth0 web 10.10.0.5/24@10.10.0.1 @10").ok();
    assert!(host.shell("ip -n web -d link show eth1").ok().out.contains("vlan protocol 802.1Q id 10"));
    assert_reaches("web", "router", OUTSIDE);
    script.pipework("--direct-phys eth0 db 10.10.0.6/24 @10").fails(1, "takes no further endpoint");
    host.zubi("check").ok();
    host.zubi("disconnect pipework:eth0.10 web").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn guests_are_in_a_vlan_of_a_network_card() {
    if !need(&[Capability::Vlan], "guests_are_in_a_vlan_of_a_network_card") {
        return;
    }
    let script = Script::new(&["web", "db"]);
    make_lan(&script.host);
    script
        .host
        .shell(
            "ip -n router link add link eth0 name eth0.10 type vlan id 10; ip -n router link set eth0.10 up
             ip -n router addr add 10.10.0.1/24 dev eth0.10",
        )
        .ok();
    let before = Snapshot::take();
    script.pipework("eth0 web 10.10.0.5/24@10.10.0.1 @10").ok();
    script.pipework("eth0 db 10.10.0.6/24 U:db@10").ok();
    script.pipework("eth0 db 10.10.0.6/24 U:db@10").ok();
    assert_reaches("web", "router", OUTSIDE);
    assert_reaches("web", "db", "10.10.0.6");
    assert!(script.host.zubi("ls").ok().out.contains("pipework:eth0.10"));
    script.host.zubi("check").ok();
    script.host.zubi("disconnect pipework:eth0.10 web").ok();
    script.host.zubi("disconnect pipework:eth0.10 db").ok();
    script.host.wait_for("! ip link show eth0.10");
    script.host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn guests_are_ports_of_an_open_vswitch_bridge() {
    let test = "guests_are_ports_of_an_open_vswitch_bridge";
    let script = Script::new(&["web", "db", "cache"]);
    let host = &script.host;
    let Some(ovs) = OpenVswitch::start(host, test) else { return };
    let before = Snapshot::take();
    script.pipework("br0 -i eth0 -l vweb web 192.168.1.50/24@192.168.1.1 U:web@10").ok();
    script.pipework("br0 -i eth0 db 192.168.1.51/24 @10").ok();
    script.pipework("br0 -i eth0 db 192.168.1.51/24 @10").ok();
    script.pipework("br0 -i eth0 cache 192.168.1.52/24 @20").ok();
    assert_eq!((ovs.column("vweb", "tag"), ovs.ports("br0").len()), ("10".into(), 3));
    host.wait_for("ip netns exec web ping -n -q -c 1 -W 1 192.168.1.51");
    assert_reaches("web", "db", "192.168.1.51");
    assert_isolated("web", "cache", "192.168.1.52");
    let listed = host.zubi("ls").ok().out;
    assert!(listed.contains("pipework:br0.10") && listed.contains("pipework:br0.20"), "{listed}");
    host.zubi("check").ok();
    script.pipework("ovsbr9 web 10.0.0.1/24").fails(1, "ovs-vsctl add-br ovsbr9 makes it");
    for (network, guest) in [("br0.10", "web"), ("br0.10", "db"), ("br0.20", "cache")] {
        host.zubi(&format!("disconnect pipework:{network} {guest}")).ok();
    }
    host.settle();
    assert!(ovs.ports("br0").is_empty());
    before.assert_no_residue(&Snapshot::take());
}

fn a_dhcp_server_gives_the_guests_their_addresses() {
    if !DhcpServer::has_dnsmasq("a_dhcp_server_gives_the_guests_their_addresses") {
        return;
    }
    let script = Script::new(&["web", "db", "cache"]);
    let host = &script.host;
    make_lan(host);
    let before = Snapshot::take();
    let server = DhcpServer::dnsmasq("router", "--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,2m");
    assert_eq!(script.pipework("eth0 web dhcp").ok().err, "");
    // Each client that the script starts means zubi's own.
    let said = script.pipework("eth0 db udhcpc:-x U:db").ok().err;
    assert!(said.contains("without the words -x"), "{said}");
    script.pipework("eth0 cache 192.168.1.50/24@192.168.1.1").ok();
    for guest in ["web", "db"] {
        let seen = host.shell(&format!("ip -n {guest} -4 addr show eth1; ip -n {guest} route")).ok().out;
        assert!(seen.contains("192.168.1.1") && seen.contains("default via 192.168.1.1 dev eth1"), "{guest}: {seen}");
        assert_reaches(guest, "router", OUTSIDE);
    }
    assert_reaches("web", "cache", "192.168.1.50");
    assert!(server.log().contains("client provides name: web"), "{}", server.log());
    script.pipework("eth0 web dhclient").ok();
    assert_eq!(host.zubi("lease renew --all --force").ok().out.matches(" renewed, ").count(), 2);
    host.zubi("check").ok();
    for (network, guest) in [("eth0.dhcp", "web"), ("eth0.dhcp", "db"), ("eth0", "cache")] {
        host.zubi(&format!("disconnect pipework:{network} {guest}")).ok();
    }
    host.wait_for("! grep -q 192.168 /run/router.leases");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn route_rule_and_tc_run_in_the_guest() {
    let script = Script::new(&["web"]);
    script.pipework("br1 web 192.168.4.25/20").ok();
    script.pipework("route web add 10.0.5.6/32 via 192.168.0.1").ok();
    assert!(script.host.shell("ip -n web route").ok().out.contains("10.0.5.6 via 192.168.0.1 dev eth1"));
    script.pipework("rule web add from 192.168.4.25/32 table 50").ok();
    assert!(script.host.shell("ip -n web rule").ok().out.contains("from 192.168.4.25 lookup 50"));
    script.pipework("tc web qdisc add dev eth1 root tbf rate 1mbit burst 10k latency 50ms").ok();
    assert!(script.host.shell("ip netns exec web tc qdisc show dev eth1").ok().out.contains("tbf"));
    assert_ne!(script.pipework("route web add nonsense").code, 0);
}

fn a_container_waits_until_it_is_plugged_in() {
    let script = Script::new(&["web"]);
    let mut wait = Command::new("ip");
    wait.args("netns exec web /run/bin/pipework --wait".split(' ')).envs(script.host.variables()).stdin(Stdio::null());
    let mut waiting = wait.spawn().expect("ip");
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(waiting.try_wait().expect("a child").is_none(), "it does not wait");
    script.pipework("br1 web 192.168.1.1/24").ok();
    assert!(waiting.wait().expect("a child").success());
}

fn what_cannot_be_done_is_refused_by_name_before_any_effect() {
    let script = Script::new(&["web"]);
    script.host.shell("ip link add eth9 type veth peer name eth8; ip link set eth9 up").ok();
    let before = Snapshot::take();
    for (line, words) in [
        ("", "pipework <hostinterface>"),
        ("br1 web", "pipework <hostinterface>"),
        ("br1 web 10.0.0.1", "has no prefix length"),
        ("br1 web 10.0.0.1/24 @10", "VLANs on bridges are not supported"),
        ("br1 nobody 10.0.0.1/24", "nobody"),
        ("foo web 10.0.0.1/24", "only names that begin with br are made"),
        ("ovsbr0 web 10.0.0.1/24", "Open vSwitch"),
        ("mac:02:00:00:00:77:77 web 10.0.0.1/24", "mac:02:00:00:00:77:77"),
    ] {
        script.pipework(line).fails(1, words);
        before.assert_no_residue(&Snapshot::take());
    }
}

zubi_lab::tests!(
    guests_are_plugged_into_a_bridge_that_goes_with_the_last_of_them,
    a_bridge_that_is_there_stays_and_names_macs_and_gateways_are_taken,
    a_default_route_is_replaced_and_comes_back_when_the_guest_is_unplugged,
    a_default_route_that_could_not_come_back_is_refused,
    a_network_card_gives_the_guest_a_device_on_the_lan,
    a_network_card_goes_into_the_guest_as_a_whole,
    the_vlan_of_a_card_goes_into_the_guest,
    guests_are_in_a_vlan_of_a_network_card,
    guests_are_ports_of_an_open_vswitch_bridge,
    a_dhcp_server_gives_the_guests_their_addresses,
    route_rule_and_tc_run_in_the_guest,
    a_container_waits_until_it_is_plugged_in,
    what_cannot_be_done_is_refused_by_name_before_any_effect
);
