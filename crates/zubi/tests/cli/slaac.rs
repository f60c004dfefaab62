//! IPv6 addresses that sandboxes make themselves of what a router on the LAN advertises: a real dnsmasq.

use zubi_lab::lan::{HOST, OUTSIDE, make_lan};
use zubi_lab::{DhcpServer, Host, Snapshot, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
/// Advertises the prefix of the LAN, and itself as the router.
const ADVERTISES: &str = "--enable-ra --dhcp-range=2001:db8:1::,ra-only --ra-param=eth0,4,600";
const BY_DHCP: &str = "--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,2m";

/// A host on a LAN with sandboxes c1 and c2. All others ignore the router.
fn host(test: &str) -> Option<Host> {
    if !DhcpServer::has_dnsmasq(test) {
        return None;
    }
    let host = Host::new(ZUBI);
    make_lan(&host);
    host.shell(
        "sysctl -qw net.ipv6.conf.eth0.accept_ra=0; ip netns exec pc sysctl -qw net.ipv6.conf.eth0.accept_ra=0
         ip netns exec lan sysctl -qw net.ipv6.conf.sw.accept_ra=0",
    )
    .ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    Some(host)
}

/// The address that a sandbox has made of the LAN's prefix, once it has.
fn advertised(host: &Host, sandbox: &str) -> String {
    let shown = format!("ip -n {sandbox} -6 -o addr show dev eth0 scope global");
    host.wait_for(&format!("{shown} | grep -q 2001:db8:1:0:"));
    let seen = host.shell(&shown).ok().out;
    let address = seen.split_whitespace().find(|word| word.starts_with("2001:db8:1:0:")).expect("an address");
    address.to_owned()
}

fn reaches_by_both_families(host: &Host, sandbox: &str) {
    let address = advertised(host, sandbox);
    let (address, _) = address.split_once('/').expect("a prefix length");
    host.wait_for(&format!("ip -n {sandbox} -6 route show default | grep -q 'proto ra'"));
    assert_reaches(sandbox, "router", "2001:db8:ff::1");
    assert_reaches(sandbox, "router", OUTSIDE);
    assert_reaches("pc", sandbox, address);
}

fn a_sandbox_has_ipv4_by_dhcp_and_makes_itself_ipv6() {
    let Some(host) = host("a_sandbox_has_ipv4_by_dhcp_and_makes_itself_ipv6") else { return };
    let _server = DhcpServer::dnsmasq("router", &format!("{BY_DHCP} {ADVERTISES}"));
    let said = host.zubi("network create lan --driver uplink --parent eth0 --ipam dhcp --ipv6=slaac").ok().out;
    assert_eq!(said, "lan: 192.168.1.0/24 on bridge zb-lan\n");
    host.zubi("connect lan c1").ok();
    reaches_by_both_families(&host, "c1");
    let address = advertised(&host, "c1");
    assert!(host.zubi("ls").ok().out.contains(&address));
    assert!(host.zubi("ls --json").ok().out.contains(&address));
    assert!(host.zubi("network ls").ok().out.contains("ipv6=slaac"));
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    // A sandbox that forwards takes them as well.
    host.shell("ip netns exec c1 sysctl -qw net.ipv6.conf.all.forwarding=1; ip -n c1 -6 route flush proto ra").ok();
    host.wait_for("ip -n c1 -6 route show default | grep -q 'proto ra'");
    // What another program changes is found and put right.
    host.shell("ip netns exec c1 sysctl -qw net.ipv6.conf.eth0.accept_ra=0").ok();
    assert!(host.zubi("check").out.contains("accept_ra"));
    host.zubi("repair").ok();
    host.zubi("check").ok();
    // One that is not to have a default route has addresses.
    host.zubi("connect lan c2 --no-default-route").ok();
    advertised(&host, "c2");
    assert!(!host.shell("ip -n c2 -6 route").ok().out.contains("default"));
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("sandbox rm -f c2").ok();
    host.zubi("network rm lan").ok();
    host.settle();
    host.shell(&format!("ip -4 addr show dev eth0 | grep {HOST}")).ok();
}

fn macvlans_and_bridges_of_others_do_the_same() {
    let Some(host) = host("macvlans_and_bridges_of_others_do_the_same") else { return };
    let before = Snapshot::take();
    let _server = DhcpServer::dnsmasq("router", &format!("{BY_DHCP} {ADVERTISES}"));
    host.zubi("network create lan --driver macvlan --parent eth0 --ip-range 192.168.1.128/26 --ipv6=slaac").ok();
    host.zubi("connect lan c1").ok();
    reaches_by_both_families(&host, "c1");
    host.zubi("check").ok();
    host.zubi("network rm -f lan").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    host.shell(
        "ip link add br0 type bridge mcast_snooping 0; sysctl -qw net.ipv6.conf.br0.accept_ra=0
         ip link set br0 address 52:54:00:00:00:05 up; ip addr flush dev eth0; ip link set eth0 master br0
         ip addr add 192.168.1.5/24 dev br0; ip route add default via 192.168.1.1",
    )
    .ok();
    host.zubi(
        "network create lan --bridge br0 --adopt --subnet 192.168.1.0/24 --ip-range 192.168.1.128/26 --ipv6=slaac",
    )
    .ok();
    host.zubi("connect lan c1").ok();
    advertised(&host, "c1");
    assert_reaches("c1", "router", "2001:db8:ff::1");
    host.zubi("check").ok();
}

fn where_no_router_can_be_it_is_refused() {
    let Some(host) = host("where_no_router_can_be_it_is_refused") else { return };
    let before = Snapshot::take();
    let create = |words: &str| host.zubi(&format!("network create lan {words}"));
    create("--ipv6=slaac").fails(2, "use --driver uplink or macvlan, or --bridge NAME --adopt");
    create("--ipv6=dhcp").fails(2, "there are: chosen, slaac");
    let six = "--driver macvlan --parent eth0 --ipv6=slaac --subnet 2001:db8:1::/64";
    create(six).fails(2, "the endpoints make themselves theirs");
    before.assert_no_residue(&Snapshot::take());
    create("--driver macvlan --parent eth0 --ipv6=slaac").ok();
    host.zubi("connect lan c1 --ip 192.168.1.130 --ip 2001:db8:1::9").fails(2, "2001:db8:1::9");
    // Docker's own word goes on to mean a subnet of zubi's choice.
    host.zubi("network create blue --ipv6").ok();
    assert!(host.zubi("network inspect blue").ok().out.contains("fd"));
}

zubi_lab::tests!(
    a_sandbox_has_ipv4_by_dhcp_and_makes_itself_ipv6,
    macvlans_and_bridges_of_others_do_the_same,
    where_no_router_can_be_it_is_refused,
);
