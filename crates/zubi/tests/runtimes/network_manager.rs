//! A network card that a real NetworkManager manages, and a bridge that it makes at boot. Without NetworkManager on the
//! machine, run these with `cargo xtask client-test trixie network_manager`.

use std::fs;
use zubi_lab::boot::{assert_taken_and_left, make_permanent, on_bridge, reaches_the_lan, restart};
use zubi_lab::lan::make_lan;
use zubi_lab::{Host, NetworkManager, assert_reaches, own_etc, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const CREATE: &str = "network create lan --driver uplink --parent eth0 --ip-range 192.168.1.128/26";
const PROFILES: &str = "/etc/NetworkManager/system-connections";

/// A host on the LAN, on which NetworkManager can be started.
fn host(test: &str) -> Option<Host> {
    if let Some(package) = NetworkManager::missing() {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    let host = Host::new(ZUBI);
    make_lan(&host);
    own_etc(&host);
    NetworkManager::prepare(&host).unwrap_or_else(|why| panic!("{why}"));
    Some(host)
}

fn start() -> NetworkManager {
    NetworkManager::start().unwrap_or_else(|why| panic!("{why}"))
}

/// The profile of the card, as an administrator writes it.
fn give_the_card_a_profile(host: &Host) {
    let profile = "[connection]\nid=office\ntype=ethernet\ninterface-name=eth0\n[ipv4]\nmethod=manual\n\
                   address1=192.168.1.5/24\ngateway=192.168.1.1\n[ipv6]\nmethod=manual\naddress1=2001:db8:1::5/64\n\
                   gateway=2001:db8:1::1\n";
    let path = format!("{PROFILES}/office.nmconnection");
    fs::write(&path, profile).expect("a profile");
    host.shell(&format!("chmod 600 {path}; ip addr flush dev eth0; ip link set eth0 down")).ok();
}

fn a_card_of_networkmanager_is_refused_until_it_leaves_the_card() {
    let Some(host) = host("a_card_of_networkmanager_is_refused_until_it_leaves_the_card") else { return };
    give_the_card_a_profile(&host);
    let manager = start();
    reaches_the_lan(&host);
    let said = host.zubi(CREATE).fails(4, "network card eth0: is managed by NetworkManager").err;
    assert!(said.contains("nmcli device set eth0 managed no; or --force"), "{said}");
    // With --force it does not fight: it finds its profile on the card, and a bridge that somebody else made.
    host.zubi(&format!("{CREATE} --force")).ok();
    host.container("c1", "lan");
    host.shell("nmcli -t -f DEVICE,STATE device | grep -q '^zb-lan:connected (externally)'").ok();
    reaches_the_lan(&host);
    assert_reaches("pc", "c1", "192.168.1.128");
    host.zubi("check").ok();
    host.zubi("network rm -f lan").ok();
    reaches_the_lan(&host);
    // What the message says.
    host.shell("nmcli device set eth0 managed no").ok();
    reaches_the_lan(&host);
    host.zubi(CREATE).ok();
    host.zubi("connect lan c1").ok();
    let before = on_bridge(&host);
    host.shell("nmcli connection reload").ok();
    // It is upgraded, say.
    drop(manager);
    let _manager = start();
    host.shell("nmcli -t -f DEVICE,STATE device | grep -qx eth0:unmanaged").ok();
    assert_eq!(on_bridge(&host), before);
    reaches_the_lan(&host);
    assert_reaches("pc", "c1", "192.168.1.128");
    host.zubi("check").ok();
    host.zubi("network rm -f lan").ok();
    reaches_the_lan(&host);
}

fn networkmanager_makes_the_bridge_at_boot() {
    let Some(host) = host("networkmanager_makes_the_bridge_at_boot") else { return };
    make_permanent(&host, "nm");
    // It reads them as they are meant.
    for profile in ["zb-lan", "zb-lan-eth0"] {
        host.shell(&format!("nmcli --offline connection modify < {PROFILES}/{profile}.nmconnection > /run/read")).ok();
    }
    restart(&host);
    // The profile that the card had loses against the bridge's.
    give_the_card_a_profile(&host);
    let _manager = start();
    let state = "nmcli -t -f DEVICE,CONNECTION,STATE device";
    host.wait_for(&format!("{state} | grep -qx zb-lan:zb-lan:connected"));
    host.shell(&format!("{state} | grep -qx eth0:zb-lan-eth0:connected")).ok();
    assert_taken_and_left(&host, "connect lan c1", &format!("remove {PROFILES}/zb-lan.nmconnection"));
}

zubi_lab::root_tests!(
    a_card_of_networkmanager_is_refused_until_it_leaves_the_card,
    networkmanager_makes_the_bridge_at_boot
);
