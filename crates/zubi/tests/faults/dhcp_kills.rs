//! Endpoints whose address a DHCP server gives, with the command killed at every step.

use zubi_lab::lan::make_lan;
use zubi_lab::{DhcpServer, Host, Snapshot};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const CONNECT: &str = "connect lan c1 --no-probe";
/// Fewer steps mean that a test covers less than before.
const LEAST: u32 = 25;

/// A host with a sandbox and a network, and the server on its LAN.
fn host() -> (Host, DhcpServer) {
    let host = Host::new(ZUBI);
    make_lan(&host);
    let server = DhcpServer::dnsmasq("router", "--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,2m");
    host.zubi("network create lan --driver uplink --parent eth0 --ipam dhcp").ok();
    host.zubi("sandbox add c1").ok();
    host.shell("ip netns exec c1 sysctl -qw net.ipv4.conf.default.rp_filter=1").ok();
    (host, server)
}

/// Kills the command at every step and calls `after` each time.
fn at_every_step(host: &Host, mut after: impl FnMut(u32)) {
    for at in 1.. {
        if host.with_env("ZUBI_FAULT", &format!("kill:{at}")).zubi(CONNECT).code == 0 {
            assert!(at > LEAST, "only {at} steps");
            return;
        }
        after(at);
    }
}

fn a_connect_with_dhcp_killed_at_any_step_works_when_tried_again() {
    if !DhcpServer::has_dnsmasq("a_connect_with_dhcp_killed_at_any_step_works_when_tried_again") {
        return;
    }
    let (host, _server) = host();
    let first = host.connect("lan c1 --no-probe");
    host.zubi("disconnect lan c1").ok();
    host.settle();
    let before = Snapshot::take();
    at_every_step(&host, |step| {
        assert_eq!(host.connect("lan c1 --no-probe"), first, "step {step}");
        let check = host.zubi("check");
        assert_eq!(check.code, 0, "step {step}: {}", check.out);
        host.zubi("disconnect lan c1").ok();
        // The half-written files of a killed command.
        host.zubi("gc").ok();
        host.settle();
        before.assert_no_residue(&Snapshot::take());
    });
}

fn a_connect_with_dhcp_killed_at_any_step_leaves_nothing_after_gc() {
    if !DhcpServer::has_dnsmasq("a_connect_with_dhcp_killed_at_any_step_leaves_nothing_after_gc") {
        return;
    }
    let (host, _server) = host();
    let before = Snapshot::take();
    at_every_step(&host, |step| {
        host.zubi("gc").ok();
        // Behind the last steps it is complete.
        host.zubi("disconnect lan c1").ok();
        let check = host.zubi("check");
        assert_eq!(check.code, 0, "step {step}: {}", check.out);
        host.settle();
        before.assert_no_residue(&Snapshot::take());
    });
}

zubi_lab::tests!(
    a_connect_with_dhcp_killed_at_any_step_works_when_tried_again,
    a_connect_with_dhcp_killed_at_any_step_leaves_nothing_after_gc
);
