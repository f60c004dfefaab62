//! The host's own address on its network card is from a DHCP server, and a bridge takes over the card.

use std::fs;
use std::thread::sleep;
use std::time::Duration;
use zubi_lab::lan::{COMPUTER, OUTSIDE, make_lan};
use zubi_lab::{DhcpServer, Host, assert_reaches, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const RANGE: &str = "--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,2m --dhcp-option=3,192.168.1.1";
const CREATE: &str = "network create lan --driver uplink --parent eth0 --take-lease";

/// A host on the LAN without an address of its own.
fn host() -> Host {
    let host = Host::new(ZUBI);
    make_lan(&host);
    // dhclient-script writes this file, which is the machine's.
    host.shell("touch /run/resolv.conf; mount --bind /run/resolv.conf /etc/resolv.conf").ok();
    host.shell("ip -4 addr flush dev eth0").ok();
    host
}

fn has(host: &Host, test: &str, program: &str) -> bool {
    let found = host.shell(&format!("command -v {program}")).code == 0;
    if !found {
        skip(test, &format!("needs the program {program}"));
    }
    found
}

/// Starts dhclient as ifupdown does.
fn dhclient(host: &Host, options: &str) {
    let files = "-pf /run/dhclient.pid -lf /run/dhclient.eth0.leases";
    host.shell(&format!("dhclient -1 {options} {files} eth0 >/run/dhclient.log 2>&1")).ok();
}

fn pid_of(host: &Host, file: &str) -> String {
    host.shell(&format!("cat {file}")).ok().out.trim().to_owned()
}

/// Whether a process has ended; nobody waits for those of a test.
fn has_ended(host: &Host, pid: &str) {
    host.wait_for(&format!("! grep -q '^State:.[^Z]' /proc/{pid}/status"));
}

fn address(host: &Host, device: &str) -> String {
    host.shell(&format!("ip -4 -o addr show dev {device} | awk '{{print $4}}'")).ok().out.trim().to_owned()
}

fn left(host: &Host, device: &str) -> u32 {
    let shown = host.shell(&format!("ip -4 addr show dev {device}")).ok().out;
    let (_, rest) = shown.split_once("valid_lft ").expect("a lifetime");
    rest.split("sec").next().and_then(|seconds| seconds.parse().ok()).expect("seconds")
}

fn a_lease_of_dhclient_goes_on_without_it() {
    let test = "a_lease_of_dhclient_goes_on_without_it";
    let host = host();
    if !DhcpServer::has_dnsmasq(test) || !has(&host, test, "dhclient") {
        return;
    }
    let server = DhcpServer::dnsmasq("router", RANGE);
    dhclient(&host, "");
    let has = address(&host, "eth0");
    let pid = pid_of(&host, "/run/dhclient.pid");
    let refused = host.zubi("network create lan --driver uplink --parent eth0").fails(4, "is managed by dhclient");
    assert!(refused.err.contains("--take-lease"), "{}", refused.err);
    sleep(Duration::from_secs(2));
    let said = host.zubi(&format!("{CREATE} --ip-range 192.168.1.200/29")).ok();
    assert!(said.err.contains(&format!("dhclient (pid {pid}) has ended")), "{}", said.err);
    has_ended(&host, &pid);
    assert_eq!(address(&host, "zb-lan"), has);
    assert!(left(&host, "zb-lan") >= 119);
    for address in [COMPUTER, OUTSIDE] {
        host.shell(&format!("ping -qc1 -W2 {address}")).ok();
    }
    // The server knows one client, by its MAC alone.
    let leases = fs::read_to_string("/run/router.leases").expect("leases");
    assert_eq!(leases.lines().filter(|line| line.contains("52:54:00:00:00:05")).count(), 1, "{leases}");
    assert!(leases.lines().all(|line| line.ends_with(" *") || !line.contains("52:54:00")), "{leases}");
    assert!(!server.log().contains("DHCPRELEASE"), "{}", server.log());
    let listed = host.zubi("--json lease ls").ok().json();
    assert_eq!((&listed[0]["sandbox"], &listed[0]["address"]), (&"host".into(), &has.as_str().into()));
    assert!(host.zubi("lease renew --all").ok().out.contains("host on lan"));
    let renewed = host.zubi("lease renew --all --force").ok().out;
    assert!(renewed.contains(&format!("host on lan: {has} renewed")), "{renewed}");
    // A container beside it.
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1").ok();
    assert_reaches("c1", "router", OUTSIDE);
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    host.zubi("sandbox rm -f c1").ok();
    // A server that was set up anew refuses the address and gives another one.
    drop(server);
    fs::remove_file("/run/router.leases").expect("leases");
    let _server = DhcpServer::dnsmasq("router", &RANGE.replace("100,192.168.1.199", "20,192.168.1.29"));
    let renewed = host.zubi("lease renew --all --force").ok();
    assert!(renewed.err.contains(&format!("the address was {has} and is 192.168.1.2")), "{}", renewed.err);
    let has = address(&host, "zb-lan");
    assert!(has.starts_with("192.168.1.2") && has.ends_with("/24") && !has.contains(' '), "{has}");
    host.shell(&format!("ping -qc1 -W2 {OUTSIDE}")).ok();
    host.zubi("check").ok();
    let said = host.zubi("network rm lan").ok().err;
    assert!(said.contains("start the host's DHCP client again"), "{said}");
    assert_eq!(address(&host, "eth0"), has);
    assert!(left(&host, "eth0") <= 120);
    dhclient(&host, "");
    assert_eq!(address(&host, "eth0"), has);
    host.shell(&format!("kill {}", pid_of(&host, "/run/dhclient.pid"))).ok();
}

fn a_lease_that_is_not_confirmed_stays_dhclient_s() {
    let test = "a_lease_that_is_not_confirmed_stays_dhclient_s";
    let host = host();
    if !DhcpServer::has_dnsmasq(test) || !has(&host, test, "dhclient") {
        return;
    }
    let _server = DhcpServer::dnsmasq("router", RANGE);
    // With an id of its own.
    dhclient(&host, "-i");
    let pid = pid_of(&host, "/run/dhclient.pid");
    let has = address(&host, "eth0");
    host.zubi(&format!("{CREATE} --confirm-within 30s")).ok();
    host.shell(&format!("kill -0 {pid}")).ok();
    host.zubi("network rollback lan").ok();
    host.shell(&format!("kill -0 {pid}")).ok();
    assert_eq!(address(&host, "eth0"), has);
    host.zubi(&format!("{CREATE} --confirm-within 30s")).ok();
    host.zubi("network confirm lan").ok();
    has_ended(&host, &pid);
    assert_eq!(address(&host, "zb-lan"), has);
    let listed = host.zubi("--json lease ls").ok().json();
    let id = listed[0]["client_id"].as_str().expect("a client id").to_owned();
    assert!(id.starts_with("ff:00:00:00:05:"), "{id}");
    let leases = fs::read_to_string("/run/router.leases").expect("leases");
    assert!(leases.contains(&id) && leases.lines().filter(|line| line.contains(":05")).count() == 1, "{leases}");
    // After a reboot no other client runs, and the card has no address.
    host.shell(
        "ip link del zb-lan; ip -4 addr flush dev eth0; ip -6 addr flush dev eth0 scope global; rm -r /run/zubi",
    )
    .ok();
    host.zubi("repair --rebuild").ok();
    host.zubi("repair").ok();
    let renewed = host.zubi("lease renew --all").ok().out;
    assert!(renewed.contains(&format!("host on lan: {has} a new lease")), "{renewed}");
    assert_eq!(address(&host, "zb-lan"), has);
    host.shell(&format!("ping -qc1 -W2 {OUTSIDE}")).ok();
    host.zubi("check").ok();
}

fn a_lease_of_udhcpc_goes_on_and_follows_its_server() {
    let test = "a_lease_of_udhcpc_goes_on_and_follows_its_server";
    let host = host();
    if !DhcpServer::has_udhcpd(test) || !has(&host, test, "busybox") {
        return;
    }
    let server = DhcpServer::udhcpd(20);
    let script = "#!/bin/sh\ncase $1 in\nbound|renew) ip addr replace $ip/$mask dev $interface\n\
                  ip route replace default via $router dev $interface;;\n\
                  deconfig) ip -4 addr flush dev $interface;;\nesac\n";
    fs::write("/run/udhcpc.sh", script).expect("script");
    host.shell(
        "chmod +x /run/udhcpc.sh; busybox udhcpc -b -i eth0 -s /run/udhcpc.sh -p /run/udhcpc.pid >/run/udhcpc.log 2>&1",
    )
    .ok();
    host.wait_for("test -s /run/udhcpc.pid");
    let has = address(&host, "eth0");
    let pid = pid_of(&host, "/run/udhcpc.pid");
    let said = host.zubi(CREATE).ok().err;
    assert!(said.contains(&format!("(pid {pid}) has ended")), "{said}");
    assert_eq!(address(&host, "zb-lan"), has);
    assert!(left(&host, "zb-lan") <= 20);
    // The server forgets everything, and gives another address.
    drop(server);
    fs::remove_file("/run/udhcpd.leases").expect("leases");
    sleep(Duration::from_secs(13));
    let said = host.zubi("lease renew --all").ok().out;
    assert!(said.contains("no server answers"), "{said}");
    let said = host.zubi("check").fails(1, "").out;
    assert!(said.contains("host on network lan: nobody renewed its lease"), "{said}");
    host.wait_for("! ip -4 -o addr show dev zb-lan | grep -q .");
    let _server = DhcpServer::udhcpd(60);
    let said = host.zubi("lease renew --all").ok().out;
    assert!(said.contains("a new lease"), "{said}");
    assert!(left(&host, "zb-lan") > 50);
    host.shell(&format!("ping -qc1 -W2 {OUTSIDE}")).ok();
    host.zubi("check").ok();
}

fn without_a_lease_there_is_none_to_take() {
    let host = host();
    host.shell("ip addr add 192.168.1.5/24 dev eth0").ok();
    host.zubi(CREATE).fails(4, "network card eth0: has no address by DHCP");
    host.zubi("network create blue --take-lease").fails(2, "`--take-lease`: is for --driver uplink");
    assert_eq!(host.zubi("network ls -q").ok().out, "");
    // The server is silent: everything goes back.
    host.shell("ip addr change 192.168.1.5/24 dev eth0 valid_lft 600 preferred_lft 600").ok();
    host.shell("ip route add default via 192.168.1.1").ok();
    host.zubi(CREATE).fails(5, "no DHCP server answered");
    assert_eq!(address(&host, "eth0"), "192.168.1.5/24");
    host.shell(&format!("ping -qc1 -W2 {OUTSIDE}")).ok();
    host.shell("! ip link show zb-lan").ok();
}

zubi_lab::tests!(
    a_lease_of_dhclient_goes_on_without_it,
    a_lease_that_is_not_confirmed_stays_dhclient_s,
    a_lease_of_udhcpc_goes_on_and_follows_its_server,
    without_a_lease_there_is_none_to_take,
);
