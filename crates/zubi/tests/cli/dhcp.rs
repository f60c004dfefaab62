//! Addresses by DHCP, from real servers on the LAN.

use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_lab::lan::{OUTSIDE, ROUTER, make_lan};
use zubi_lab::{Capability, DhcpServer, Host, Snapshot, assert_reaches, inside, need};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const LEASES: &str = "/run/router.leases";
const RANGE: &str = "--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,2m";

/// A host on a LAN with a network whose endpoints ask a DHCP server.
fn host() -> Host {
    let host = Host::new(ZUBI);
    make_lan(&host);
    host.zubi("network create lan --driver uplink --parent eth0 --ipam dhcp").ok();
    host
}

fn address(host: &Host, sandbox: &str) -> String {
    host.shell(&format!("ip -n {sandbox} -4 -o addr show dev eth0 | awk '{{print $4}}'")).ok().out.trim().to_owned()
}

/// What the kernel says is left of the address, in seconds.
fn left(host: &Host, sandbox: &str) -> u32 {
    let shown = host.shell(&format!("ip -n {sandbox} -4 addr show dev eth0")).ok().out;
    let (_, rest) = shown.split_once("valid_lft ").expect("a lifetime");
    rest.split("sec").next().and_then(|seconds| seconds.parse().ok()).expect("seconds")
}

fn an_endpoint_has_what_the_server_says() {
    let host = host();
    if !DhcpServer::has_dnsmasq("an_endpoint_has_what_the_server_says") {
        return;
    }
    let options = "--dhcp-option=6,9.9.9.9,1.1.1.1 --dhcp-option=26,1400 --dhcp-option=15,home.arpa \
                   --dhcp-option=121,10.8.0.0/16,192.168.1.7,0.0.0.0/0,192.168.1.1";
    let server = DhcpServer::dnsmasq("router", &format!("{RANGE} {options}"));
    host.zubi("sandbox add c1").ok();
    host.shell("ip netns exec c1 sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1").ok();
    let said = host.zubi("connect lan c1").ok();
    assert_eq!(said.err, "");
    assert!(said.out.contains("default route (IPv4)"), "{}", said.out);
    let has = address(&host, "c1");
    assert!(has.starts_with("192.168.1.1") && has.ends_with("/24"), "{has}");
    assert!((100..=120).contains(&left(&host, "c1")));
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("pc", "c1", has.trim_end_matches("/24"));
    let routes = host.shell("ip -n c1 route").ok().out;
    assert!(routes.contains("10.8.0.0/16 via 192.168.1.7") && routes.contains("default via 192.168.1.1"), "{routes}");
    assert!(host.shell("ip -n c1 link show eth0").ok().out.contains("mtu 1400"));
    // The filters are as they were.
    let filters = host.shell("ip netns exec c1 sysctl -n net.ipv4.conf.all.rp_filter net.ipv4.conf.eth0.rp_filter");
    assert_eq!(filters.ok().out, "1\n1\n");
    // The server knows it by its sandbox's name.
    let lease = fs::read_to_string(LEASES).expect("leases");
    assert!(lease.contains(" c1 ff:"), "{lease}");
    assert!(server.log().contains("vendor class: zubi"), "{}", server.log());
    let listed = host.zubi("--json lease ls").ok().json();
    assert_eq!(listed[0]["address"], has.as_str());
    assert_eq!(listed[0]["server"], ROUTER);
    assert_eq!(listed[0]["state"], "bound");
    assert_eq!(listed[0]["dns_servers"][1], "1.1.1.1");
    assert_eq!(listed[0]["domain"], "home.arpa");
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    let again = host.zubi("connect lan c1").ok().out;
    assert!(again.contains(&has) && again.contains("was connected already"), "{again}");
    assert!(host.zubi("network ls").ok().out.contains("parent=eth0,ipam=dhcp"));
    assert!(host.zubi("network inspect lan").ok().out.contains("\"Driver\": \"dhcp\""));
    // What is deleted by hand comes back, with the time that is left.
    host.shell("ip -n c1 addr flush dev eth0").ok();
    assert_eq!(host.zubi("check").code, 1);
    host.zubi("repair").ok();
    assert_eq!(address(&host, "c1"), has);
    assert!((90..=120).contains(&left(&host, "c1")));
    host.zubi("check").ok();
    host.shell("ip link del $(ip -o link show master zb-lan | grep -o 'zv[^@]*')").ok();
    host.zubi("connect lan c1").ok();
    assert_eq!(address(&host, "c1"), has);
    host.zubi("check").ok();
}

fn a_name_keeps_its_address_and_the_server_hears_of_a_disconnect() {
    let host = host();
    if !DhcpServer::has_dnsmasq("a_name_keeps_its_address_and_the_server_hears_of_a_disconnect") {
        return;
    }
    let server = DhcpServer::dnsmasq("router", RANGE);
    host.zubi("sandbox add c1 c2").ok();
    let (first, second) = (host.connect("lan c1"), host.connect("lan c2"));
    assert_ne!(first, second);
    let mac = host.shell("ip netns exec c1 cat /sys/class/net/eth0/address").ok().out;
    host.zubi("sandbox rm c1").ok();
    host.wait_for(&format!("! grep -q {first} {LEASES}"));
    assert!(server.log().contains("DHCPRELEASE"), "{}", server.log());
    // The container is restarted: its namespace is gone without a disconnect.
    host.shell("ip netns del c2").ok();
    host.zubi("sandbox add c2 c3").ok();
    assert_ne!(host.connect("lan c3"), second);
    assert_eq!(host.connect("lan c2"), second);
    host.zubi("sandbox add c1").ok();
    assert_eq!(host.connect("lan c1"), first);
    assert_eq!(host.shell("ip netns exec c1 cat /sys/class/net/eth0/address").ok().out, mac);
    host.zubi("check").ok();
    let before = Snapshot::take();
    host.zubi("run --network lan -- true").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn a_lease_is_renewed_when_half_of_it_is_over() {
    let host = host();
    if !DhcpServer::has_udhcpd("a_lease_is_renewed_when_half_of_it_is_over") {
        return;
    }
    let _server = DhcpServer::udhcpd(10);
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1").ok();
    let has = address(&host, "c1");
    for _ in 0..2 {
        let said = host.zubi("lease renew --all").ok().out;
        assert!(said.contains("not due yet"), "{said}");
        sleep(Duration::from_millis(5200));
        assert!(left(&host, "c1") <= 5);
        let said = host.zubi("lease renew --all").ok().out;
        assert!(said.starts_with(&format!("c1 on lan: {has} renewed, ")), "{said}");
        assert!(left(&host, "c1") >= 8);
    }
    let said = host.zubi("lease renew lan c1 --force").ok().out;
    assert!(said.contains(" renewed, "), "{said}");
    host.zubi("check").ok();
}

fn a_server_that_is_down_from_t1_to_the_end_costs_the_address_and_gives_it_back() {
    let host = host();
    if !DhcpServer::has_udhcpd("a_server_that_is_down_from_t1_to_the_end_costs_the_address_and_gives_it_back") {
        return;
    }
    let server = DhcpServer::udhcpd(12);
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1").ok();
    let has = address(&host, "c1");
    let begun = Instant::now();
    drop(server);
    let until = |seconds: f32| sleep(Duration::from_secs_f32(seconds).saturating_sub(begun.elapsed()));
    until(6.2);
    // Nobody answers: the lease goes on.
    let said = host.zubi("lease renew lan c1").ok().out;
    assert!(said.starts_with(&format!("c1 on lan: {has} no server answers, ")), "{said}");
    assert_eq!(address(&host, "c1"), has);
    let check = host.zubi("check");
    assert_eq!(check.code, 1);
    assert!(check.out.contains("nobody renewed its lease"), "{}", check.out);
    assert!(check.out.contains("zubi lease renew lan c1"), "{}", check.out);
    // After T2 any server will do.
    let server = DhcpServer::udhcpd(12);
    until(10.6);
    assert!(host.zubi("lease ls").ok().out.contains("rebinding"));
    let said = host.zubi("lease renew lan c1").ok().out;
    assert!(said.starts_with(&format!("c1 on lan: {has} renewed, ")), "{said}");
    host.zubi("check").ok();
    drop(server);
    // The kernel takes the address away.
    sleep(Duration::from_millis(12_200));
    assert_eq!(address(&host, "c1"), "");
    let check = host.zubi("check");
    assert_eq!(check.code, 1);
    assert!(check.out.contains("has ended, and nobody renewed it"), "{}", check.out);
    assert!(host.zubi("lease ls").ok().out.contains("expired"));
    host.zubi("lease renew --all --dhcp-timeout 1s").fails(5, "no DHCP server answered within 1 s");
    let _server = DhcpServer::udhcpd(12);
    let said = host.zubi("lease renew --all").ok();
    assert!(said.err.contains("its lease ended before it was renewed"), "{}", said.err);
    assert_eq!(address(&host, "c1"), has);
    assert_reaches("c1", "router", OUTSIDE);
    host.zubi("check").ok();
}

fn an_address_that_the_server_takes_back_is_replaced_live() {
    let host = host();
    if !DhcpServer::has_dnsmasq("an_address_that_the_server_takes_back_is_replaced_live") {
        return;
    }
    let server = DhcpServer::dnsmasq("router", RANGE);
    host.zubi("sandbox add c1").ok();
    let first = host.connect("lan c1");
    drop(server);
    let other = "--dhcp-range=192.168.1.50,192.168.1.59,255.255.255.0,2m";
    let server = DhcpServer::dnsmasq("router", other);
    let said = host.zubi("lease renew lan c1 --force").ok();
    assert!(server.log().contains("DHCPNAK"), "{}", server.log());
    assert!(said.err.contains("refuses"), "{}", said.err);
    let now = address(&host, "c1");
    assert!(now.starts_with("192.168.1.5") && !now.contains('\n'), "{now}");
    assert!(said.err.contains(&format!("the address was {first}/24 and is {now} now")), "{}", said.err);
    assert!(host.zubi("ls").ok().out.contains(&now));
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("pc", "c1", now.trim_end_matches("/24"));
    host.zubi("check").ok();
    // The first one is free again.
    let claimed = host.shell("ls \"$ZUBI_RUN_DIR\"/leases/lan").ok().out;
    assert_eq!(claimed.trim(), now.trim_end_matches("/24"));
    drop(server);
    let _server = DhcpServer::dnsmasq("router", &format!("--dhcp-range={first},{first},255.255.255.0,2m"));
    host.zubi("sandbox add c2").ok();
    assert_eq!(host.connect("lan c2"), first);
    // There is no other address: it is lost, and that is told.
    let said = host.zubi("lease renew lan c1 --force --dhcp-timeout 1s").fails(5, "c1 gets no address");
    assert!(said.err.contains("refuses"), "{}", said.err);
    assert_eq!(address(&host, "c1"), "");
    assert!(host.zubi("lease ls").ok().out.contains("lost"));
    let check = host.zubi("check");
    assert!(check.out.contains("was taken back, and it has no other"), "{}", check.out);
    host.zubi("disconnect lan c2").ok();
    assert_eq!(host.connect("lan c1"), first);
    assert_eq!(address(&host, "c1"), format!("{first}/24"));
    host.zubi("check").ok();
}

fn where_no_server_answers_nothing_is_left() {
    let host = host();
    host.zubi("sandbox add c1").ok();
    host.shell("ip netns exec c1 sysctl -qw net.ipv4.conf.all.rp_filter=2").ok();
    let before = Snapshot::take();
    let since = Instant::now();
    host.zubi("connect lan c1 --dhcp-timeout 2s")
        .fails(5, "network lan: c1 gets no address: no DHCP server answered within 2 s; tcpdump -ni zb-lan");
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    assert_eq!(host.shell("ip netns exec c1 sysctl -n net.ipv4.conf.all.rp_filter").ok().out, "2\n");
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    assert_eq!(host.zubi("--json lease ls").ok().out, "[]\n");
}

fn fifty_containers_at_once_get_fifty_addresses() {
    let host = host();
    if !DhcpServer::has_dnsmasq("fifty_containers_at_once_get_fifty_addresses") {
        return;
    }
    let _server = DhcpServer::dnsmasq("router", RANGE);
    let names: Vec<String> = (0..50).map(|number| format!("c{number}")).collect();
    host.zubi(&format!("sandbox add {}", names.join(" "))).ok();
    let connect = |name: &String| {
        let mut command = host.command(&format!("connect lan {name}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("zubi")
    };
    let all: Vec<Child> = names.iter().map(connect).collect();
    for child in all {
        let said = child.wait_with_output().expect("an answer");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    let mut given: Vec<String> = names.iter().map(|name| address(&host, name)).collect();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), 50, "{given:?}");
    let said = host.zubi("lease renew --all --force").ok().out;
    assert_eq!(said.matches(" renewed, ").count(), 50, "{said}");
    host.zubi("check").ok();
}

fn of_two_servers_one_gives_the_lease_and_keeps_it() {
    let host = host();
    if !DhcpServer::has_dnsmasq("of_two_servers_one_gives_the_lease_and_keeps_it") {
        return;
    }
    let on_router = DhcpServer::dnsmasq("router", RANGE);
    let other = "--dhcp-range=192.168.1.50,192.168.1.59,255.255.255.0,2m --dhcp-option=3,192.168.1.1";
    let _on_pc = DhcpServer::dnsmasq("pc", other);
    host.zubi("sandbox add c1").ok();
    let first = host.connect("lan c1");
    let by = host.zubi("--json lease ls").ok().json()[0]["server"].clone();
    for _ in 0..5 {
        host.zubi("lease renew lan c1 --force").ok();
        assert_eq!(host.zubi("--json lease ls").ok().json()[0]["server"], by);
    }
    assert_eq!(address(&host, "c1"), format!("{first}/24"));
    if by == ROUTER {
        drop(on_router);
        let said = host.zubi("lease renew lan c1 --force").ok().out;
        assert!(said.contains("no server answers"), "{said}");
    }
    host.zubi("check").ok();
}

fn an_address_that_somebody_uses_is_declined() {
    let host = host();
    if !DhcpServer::has_dnsmasq("an_address_that_somebody_uses_is_declined") {
        return;
    }
    host.shell("ip -n pc addr add 192.168.1.50/24 dev eth0").ok();
    let server = DhcpServer::dnsmasq("router", "--dhcp-range=192.168.1.50,192.168.1.51,255.255.255.0,2m");
    host.zubi("sandbox add c1 c2").ok();
    // One of the two gets the address that the computer has, whatever their names.
    let first = host.zubi("connect lan c1").ok();
    let second = host.zubi("connect lan c2");
    let said = format!("{}{}", first.err, second.err);
    assert!(said.contains("192.168.1.50, which the DHCP server gives, is in use on the LAN, by "), "{said}");
    assert!(server.log().contains("DHCPDECLINE"), "{}", server.log());
    assert_eq!(address(&host, "c1"), "192.168.1.51/24");
    // The range has no other.
    assert_eq!(second.code, 5, "{}", second.err);
    host.zubi("check").ok();
    assert_eq!(host.connect("lan c2 --no-probe --dhcp-timeout 2s"), "192.168.1.50");
}

fn a_lease_for_ever_lasts_and_can_be_asked_for_again() {
    let host = host();
    if !DhcpServer::has_dnsmasq("a_lease_for_ever_lasts_and_can_be_asked_for_again") {
        return;
    }
    let _server = DhcpServer::dnsmasq("router", "--dhcp-range=192.168.1.50,192.168.1.59,255.255.255.0,infinite");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1").ok();
    assert!(host.shell("ip -n c1 -4 addr show dev eth0").ok().out.contains("valid_lft forever"));
    assert!(host.zubi("lease ls").ok().out.contains("for ever"));
    assert!(host.zubi("lease renew --all").ok().out.contains("not due yet, for ever"));
    assert!(host.zubi("lease renew --all --force").ok().out.contains(" renewed, for ever"));
    host.zubi("check").ok();
}

fn a_lost_record_gets_its_lease_again() {
    let host = host();
    if !DhcpServer::has_dnsmasq("a_lost_record_gets_its_lease_again") {
        return;
    }
    let _server = DhcpServer::dnsmasq("router", &format!("{RANGE} --dhcp-option=121,10.8.0.0/16,192.168.1.7"));
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1").ok();
    let has = address(&host, "c1");
    host.shell("rm -r \"$ZUBI_RUN_DIR\"").ok();
    host.zubi("repair --rebuild").ok();
    let check = host.zubi("check");
    assert!(check.out.contains("its lease is not known"), "{}", check.out);
    host.zubi("lease renew --all").ok();
    assert_eq!(address(&host, "c1"), has);
    assert!((100..=120).contains(&left(&host, "c1")));
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
}

fn a_bridge_of_another_program_has_its_own_server() {
    let host = Host::new(ZUBI);
    if !DhcpServer::has_dnsmasq("a_bridge_of_another_program_has_its_own_server") {
        return;
    }
    // The host has no address on the bridge.
    host.shell(
        "ip link add br0 type bridge && ip link set br0 up && ip netns add router &&
         ip link add port type veth peer name eth0 netns router && ip link set port master br0 up &&
         ip -n router link set lo up && ip -n router link set eth0 up && ip -n router addr add 10.1.0.1/24 dev eth0",
    )
    .ok();
    let _server = DhcpServer::dnsmasq("router", "--dhcp-range=10.1.0.50,10.1.0.99,255.255.255.0,2m");
    host.network("lan --bridge br0 --adopt --ipam dhcp");
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    // The other network was first, and keeps the default route.
    host.zubi("connect blue c1").ok();
    let said = host.zubi("connect lan c1").ok().out;
    assert!(said.starts_with("c1: eth1 10.1.0.") && !said.contains("default route"), "{said}");
    assert_reaches("c1", "router", "10.1.0.1");
    host.zubi("check").ok();
    host.zubi("disconnect blue c1").ok();
    assert!(host.shell("ip -n c1 route").ok().out.contains("default via 10.1.0.1"));
    host.zubi("check").ok();
    // On a network with two devices.
    host.zubi("connect blue c1").ok();
    host.zubi("check").ok();
    host.zubi("disconnect lan c1").ok();
    assert!(host.shell("ip -n c1 route").ok().out.contains("default via 10.55.66.1"));
}

fn a_macvlan_asks_the_server_too_and_the_host_reaches_it() {
    let host = Host::new(ZUBI);
    if !DhcpServer::has_dnsmasq("a_macvlan_asks_the_server_too_and_the_host_reaches_it") {
        return;
    }
    make_lan(&host);
    let _server = DhcpServer::dnsmasq("router", &format!("{RANGE} --dhcp-option=3,192.168.1.1"));
    host.zubi("network create lan --driver macvlan --parent eth0 --ipam dhcp").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1").ok();
    let has = address(&host, "c1");
    let address = has.trim_end_matches("/24");
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("pc", "c1", address);
    assert_reaches("host", "c1", address);
    host.zubi("check").ok();
    host.zubi("lease renew --all --force").ok();
    host.zubi("check").ok();
    host.zubi("disconnect lan c1").ok();
    host.zubi("network rm lan").ok();
    assert!(!fs::read_to_string(LEASES).expect("leases").contains(address), "it was not released");
}

fn ipvlans_of_one_mac_get_addresses_of_their_own() {
    const TEST: &str = "ipvlans_of_one_mac_get_addresses_of_their_own";
    if !need(&[Capability::Ipvlan], TEST) || !DhcpServer::has_dnsmasq(TEST) {
        return;
    }
    let host = Host::new(ZUBI);
    make_lan(&host);
    let _server = DhcpServer::dnsmasq("router", &format!("{RANGE} --dhcp-option=3,192.168.1.1"));
    host.zubi("network create lan --driver ipvlan --parent eth0 --ipam dhcp").ok();
    for sandbox in ["c1", "c2"] {
        host.zubi(&format!("sandbox add {sandbox}")).ok();
        host.zubi(&format!("connect lan {sandbox}")).ok();
    }
    let has = address(&host, "c1");
    assert_ne!(has, address(&host, "c2"));
    let own = has.trim_end_matches("/24");
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("c2", "c1", own);
    assert_reaches("pc", "c1", own);
    host.zubi("check").ok();
    host.zubi("lease renew --all --force").ok();
    host.zubi("check").ok();
    // A sandbox of the same name has the same address again.
    host.zubi("disconnect lan c1").ok();
    host.zubi("connect lan c1").ok();
    assert_eq!(address(&host, "c1"), has);
    host.zubi("network rm -f lan").ok();
    assert!(!fs::read_to_string(LEASES).expect("leases").contains(own), "it was not released");
}

fn what_does_not_fit_is_refused() {
    let host = host();
    host.zubi("network create blue --ipam dhcp").fails(2, "zubi itself gives the addresses of blue");
    host.zubi("network create blue --ipam radvd").fails(2, "there are: pools, dhcp");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 192.168.1.9").fails(2, "a DHCP server gives the IPv4 addresses of network lan");
    host.zubi("connect lan c1 --dhcp-timeout 0").fails(2, "is no time");
    host.zubi("lease renew").fails(2, "");
    host.zubi("lease renew lan c1").fails(3, "c1 is not on network lan");
    host.network("blue");
    host.zubi("connect blue c1").ok();
    host.zubi("lease renew blue c1").fails(4, "c1 on network blue has no lease");
    assert_eq!(host.zubi("lease renew --all").ok().out, "no leases\n");
    // A program of the sandbox has the port.
    let socket = inside("c1", || UdpSocket::bind("0.0.0.0:68")).expect("a socket");
    host.zubi("connect lan c1 --dhcp-timeout 2s").fails(7, "open UDP port 68 of eth1");
    drop(socket);
    let shown = host.zubi("--explain connect lan c1").ok();
    assert!(shown.err.contains("a DHCP server gives the IPv4 address"), "{}", shown.err);
}

zubi_lab::tests!(
    an_endpoint_has_what_the_server_says,
    a_name_keeps_its_address_and_the_server_hears_of_a_disconnect,
    a_lease_is_renewed_when_half_of_it_is_over,
    a_server_that_is_down_from_t1_to_the_end_costs_the_address_and_gives_it_back,
    an_address_that_the_server_takes_back_is_replaced_live,
    where_no_server_answers_nothing_is_left,
    fifty_containers_at_once_get_fifty_addresses,
    of_two_servers_one_gives_the_lease_and_keeps_it,
    an_address_that_somebody_uses_is_declined,
    a_lease_for_ever_lasts_and_can_be_asked_for_again,
    a_lost_record_gets_its_lease_again,
    a_bridge_of_another_program_has_its_own_server,
    a_macvlan_asks_the_server_too_and_the_host_reaches_it,
    ipvlans_of_one_mac_get_addresses_of_their_own,
    what_does_not_fit_is_refused
);
