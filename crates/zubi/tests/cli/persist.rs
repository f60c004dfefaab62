//! The permanent form of a network on the LAN: the host's own program makes the bridge at boot, and zubi takes it as it is.
//! NetworkManager is in `runtimes`.

use std::thread::sleep;
use std::time::Duration;
use zubi_lab::boot::{
    AT_BOOT, assert_taken_and_left, make_permanent, on_bridge, own_configuration, reaches_the_lan, restart,
    type_permanent,
};
use zubi_lab::lan::make_lan;
use zubi_lab::{DhcpServer, Host, Networkd, Snapshot, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const CREATE: &str = "network create lan --driver uplink --parent eth0";

fn host() -> Host {
    let host = Host::new(ZUBI);
    make_lan(&host);
    host
}

fn has(host: &Host, test: &str, program: &str, package: &str) -> bool {
    let found = host.shell(&format!("command -v {program}")).code == 0;
    if !found {
        skip(test, &format!("needs the package {package}"));
    }
    found
}

/// Boots with ifupdown.
fn ifup(host: &Host) {
    host.shell(
        "set -e; printf 'auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/*\n' > /etc/network/interfaces
         mkdir -p /run/network; ifup -a > /run/ifup.log 2>&1",
    )
    .ok();
}

fn ifupdown_makes_the_bridge_at_boot() {
    let host = host();
    if !has(&host, "ifupdown_makes_the_bridge_at_boot", "ifup", "ifupdown") {
        return;
    }
    make_permanent(&host, "ifupdown");
    restart(&host);
    ifup(&host);
    assert_taken_and_left(&host, "repair", "remove /etc/network/interfaces.d/zb-lan");
}

fn networkd_makes_the_bridge_at_boot() {
    let host = host();
    if !Networkd::prepare(&host, "networkd_makes_the_bridge_at_boot") {
        return;
    }
    make_permanent(&host, "networkd");
    restart(&host);
    let _networkd = Networkd::start();
    host.wait_for("ip -6 route show default dev zb-lan | grep -q .");
    let files = "remove /etc/systemd/network/05-zb-lan.netdev /etc/systemd/network/05-zb-lan.network";
    assert_taken_and_left(&host, "connect lan c1", files);
}

fn a_lease_is_that_of_the_host_s_own_client_after_a_boot() {
    let test = "a_lease_is_that_of_the_host_s_own_client_after_a_boot";
    let host = host();
    let programs = [("ifup", "ifupdown"), ("dhclient", "isc-dhcp-client")];
    if !DhcpServer::has_dnsmasq(test)
        || !programs.into_iter().all(|(program, package)| has(&host, test, program, package))
    {
        return;
    }
    own_configuration(&host);
    let range = "--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,2m --dhcp-option=3,192.168.1.1";
    let _server = DhcpServer::dnsmasq("router", range);
    host.shell("ip -4 addr flush dev eth0; dhclient -1 -pf /run/dhclient.pid -lf /run/leases eth0 > /run/log 2>&1")
        .ok();
    let address = |device: &str| host.shell(&format!("ip -4 -o addr show dev {device} | awk '{{print $4}}'")).ok().out;
    let had = address("eth0");
    host.zubi(&format!("{CREATE} --take-lease")).ok();
    assert_eq!(host.zubi("--json lease ls").ok().json()[0]["sandbox"], "host");
    type_permanent(&host, "ifupdown");
    restart(&host);
    ifup(&host);
    assert_eq!(address("zb-lan"), had);
    host.zubi("repair").ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    let said = host.zubi("lease renew --all --force").ok();
    assert!(!said.out.contains("host on lan") && !said.err.contains("has ended"), "{said:?}");
    let said = host.zubi("network rm lan").ok().err;
    assert!(said.contains("zb-lan stays") && !said.contains("nobody renews"), "{said}");
    assert_eq!(address("zb-lan"), had);
}

fn files_that_are_left_are_named() {
    let host = host();
    make_permanent(&host, "ifupdown");
    let said = host.zubi("network rm lan").ok().err;
    let files = "makes zb-lan at the next boot, unless you remove /etc/network/interfaces.d/zb-lan";
    assert!(said.contains(files), "{said}");
    reaches_the_lan(&host);
}

fn what_is_printed_is_read_only_and_waits_for_the_confirmation() {
    let host = host();
    let before = Snapshot::take();
    let said = host.zubi(&format!("{CREATE} --confirm-within 60s --persist networkd")).ok();
    assert!(said.err.contains("once it is confirmed: zubi network persist lan networkd"), "{}", said.err);
    assert!(!said.out.contains("install"), "{}", said.out);
    host.zubi("network persist lan networkd").fails(4, "is not confirmed");
    host.zubi("network confirm lan").ok();
    let printed = host.zubi("network persist lan networkd").ok().out;
    host.zubi("network rm lan").ok();
    let created = host.zubi(&format!("{CREATE} --persist networkd")).ok().out;
    let (_, created) = created.split_once('\n').expect("the network's own line");
    assert_eq!(created, printed);
    let json = host.zubi("--json network persist lan nm").ok().json();
    assert_eq!(
        (&json["files"][0]["mode"], json["files"].as_array().map(Vec::len)),
        (&"0600".into(), Some(3)),
        "{json}"
    );
    host.zubi("network persist lan netplan").fails(2, "there are: networkd, nm, ifupdown");
    host.zubi("network persist wan nm").fails(3, "wan");
    host.zubi("network create blue --persist nm").fails(2, "is for --driver uplink");
    host.network("blue");
    host.zubi("network persist blue nm").fails(2, "has no network card of this host");
    host.zubi("network rm blue lan").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    host.shell("! ls /etc/systemd/network/05-zb-lan.netdev").ok();
}

fn a_bridge_that_is_not_the_network_s_is_refused() {
    let host = host();
    host.zubi(CREATE).ok();
    host.zubi("sandbox add c1").ok();
    restart(&host);
    // The host has its addresses on the card, and something else has the bridge.
    host.shell(
        "set -e; ip link set eth0 up; ip addr add 192.168.1.5/24 brd + dev eth0; ip addr add 2001:db8:1::5/64 dev eth0 nodad
         ip route add default via 192.168.1.1; ip -6 route add default via 2001:db8:1::1
         ip link add zb-lan address 52:54:00:00:00:05 type bridge; ip link set zb-lan up",
    )
    .ok();
    reaches_the_lan(&host);
    let addresses = host.shell("ip -br addr").ok().out;
    let why = "bridge zb-lan is there, made by the host's own configuration, and eth0 is not its port";
    host.zubi("connect lan c1 --ip 192.168.1.99").fails(4, why);
    host.zubi("repair").fails(4, why);
    let said = host.zubi("check").fails(1, "").out;
    assert!(said.contains(why), "{said}");
    assert_eq!(host.shell("ip -br addr").ok().out, addresses);
    reaches_the_lan(&host);
    // The network goes, and everything else stays.
    let said = host.zubi("network rm lan").ok().err;
    assert!(!said.contains("as its port"), "{said}");
    assert_eq!(host.shell("ip -br addr").ok().out, addresses);
    reaches_the_lan(&host);
}

fn a_bridge_of_another_zubi_is_refused() {
    let host = host();
    host.zubi(CREATE).ok();
    let other = host.with_env("ZUBI_RUN_DIR", "/run/other").with_env("ZUBI_STATE_DIR", "/run/other-state");
    host.shell("cp -a \"$ZUBI_STATE_DIR\" /run/other-state").ok();
    restart(&host);
    host.shell(AT_BOOT).ok();
    host.zubi("repair").ok();
    let before = on_bridge(&host);
    other
        .zubi("repair")
        .fails(4, "another zubi, with the run folder /run/zubi, has networks on this host (lan, on zb-lan)");
    assert_eq!(on_bridge(&host), before);
    // One of a network that was removed by force.
    let id = "0".repeat(64);
    host.shell(&format!("ip link set zb-lan alias 'zubi network wan id={id} run=/run/zubi made-by=host'")).ok();
    let said = host.zubi("check").fails(1, "").out;
    assert!(said.contains("is that of another network, wan with the id 0000"), "{said}");
    host.zubi("repair").fails(4, "is that of another network");
    reaches_the_lan(&host);
}

fn what_others_change_on_the_bridge_is_put_right_and_the_rest_is_theirs() {
    let host = host();
    host.zubi(CREATE).ok();
    restart(&host);
    host.shell(AT_BOOT).ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 192.168.1.99").ok();
    let before = on_bridge(&host);
    let alias = || host.shell("ip link show zb-lan | grep alias").ok().out;
    let marked = alias();
    for (change, said) in [
        ("ip link set zb-lan alias ''", "its alias does not say whose it is"),
        ("ip link set zb-lan address 02:00:00:00:00:09", "MAC is 02:00:00:00:00:09"),
        ("nft flush ruleset", "the ruleset was flushed"),
        ("ip link set eth0 nomaster", "is not a port of zb-lan"),
    ] {
        host.shell(change).ok();
        let found = host.zubi("check").fails(1, "").out;
        assert!(found.contains(said), "{change}: {found}");
        host.zubi("repair").ok();
        assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n", "{change}");
        assert_eq!((on_bridge(&host), alias()), (before.clone(), marked.clone()), "{change}");
        reaches_the_lan(&host);
    }
    // Its group is never zubi's: what has it is deleted when records are lost.
    host.shell("ip link show zb-lan | grep -q 'group default'").ok();
    // The host's own program makes it anew.
    host.shell("ip link del zb-lan").ok();
    host.shell(AT_BOOT).ok();
    sleep(Duration::from_millis(100));
    host.zubi("repair").ok();
    host.zubi("check").ok();
    zubi_lab::assert_reaches("pc", "c1", "192.168.1.99");
    host.zubi("network rm -f lan").ok();
    reaches_the_lan(&host);
}

zubi_lab::tests!(
    ifupdown_makes_the_bridge_at_boot,
    networkd_makes_the_bridge_at_boot,
    a_lease_is_that_of_the_host_s_own_client_after_a_boot,
    files_that_are_left_are_named,
    what_is_printed_is_read_only_and_waits_for_the_confirmation,
    a_bridge_that_is_not_the_network_s_is_refused,
    a_bridge_of_another_zubi_is_refused,
    what_others_change_on_the_bridge_is_put_right_and_the_rest_is_theirs,
);
