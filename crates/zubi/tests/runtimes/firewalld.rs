//! Coexistence with a real firewalld, on a host of its own. Without firewalld on the machine, run these with `cargo
//! xtask client-test trixie firewalld`.

use std::process::Command;
use zubi_lab::{Firewalld, Host, Outside, Reach, Service, TableOwner, Transport, ZubiDaemon, ask, reaches, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");
const BOTH: &str = "--subnet 10.55.66.0/24 --subnet fd00:55::/64";
const EVERYTHING: [&str; 5] = ["neighbours", "out", "out by IPv6", "published", "hairpin"];

/// A host with firewalld, and its outside; `None` without an installed firewalld.
fn beside(test: &str, owner: TableOwner) -> Option<(Host, Outside, Firewalld)> {
    if let Some(package) = Firewalld::missing() {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    let outside = Outside::new();
    let firewalld = Firewalld::start(owner).unwrap_or_else(|why| panic!("{why}"));
    Some((Host::new(ZUBI), outside, firewalld))
}

/// c1, which publishes 8080, and its neighbour c2, on the network blue.
fn populate(host: &Host) -> Service {
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 8080:80").ok();
    host.container("c2", "blue");
    Service::start("c1", 80)
}

/// The connections that get through, of all that should.
fn passing() -> Vec<&'static str> {
    // The kernel waits a second after a failed neighbour lookup before it tries again.
    for place in ["c1", "c2"] {
        assert!(Command::new("ip").args(["-n", place, "neigh", "flush", "all"]).status().expect("ip").success());
    }
    let reach = |from, to, address| reaches(&Reach { from, to, address }, Transport::Tcp);
    let serves = |from| ask(from, Transport::Tcp, "192.0.2.1:8080").is_some_and(|heard| heard.server == "c1");
    let all = [
        ("neighbours", reach("c2", "c1", "10.55.66.2")),
        ("out", reach("c1", "outside", Outside::V4)),
        ("out by IPv6", reach("c1", "outside", Outside::V6)),
        ("published", serves("outside")),
        ("hairpin", serves("c1")),
    ];
    all.into_iter().filter_map(|(name, passes)| passes.then_some(name)).collect()
}

fn networks_pass_firewalld_and_its_reloads() {
    let test = "networks_pass_firewalld_and_its_reloads";
    let Some((host, _outside, firewalld)) = beside(test, TableOwner::Nobody) else { return };
    host.network(&format!("blue {BOTH}"));
    let _service = populate(&host);
    assert_eq!(passing(), EVERYTHING);
    host.zubi("check").ok();
    for reload in ["--reload", "--complete-reload"] {
        // A reload replaces firewalld's tables: our rules in them are gone until the next command.
        firewalld.cmd(reload).ok();
        assert!(host.zubi("check").fails(1, "").out.contains("firewalld"));
        host.container("c3", "blue");
        assert_eq!(passing(), EVERYTHING, "after {reload}");
        host.zubi("check").ok();
        host.zubi("sandbox rm c3").ok();
    }
    host.zubi("sandbox rm c1 c2").ok();
    host.zubi("network rm blue").ok();
    assert!(!host.shell("nft list ruleset").ok().out.contains("zubi"));
}

fn with_the_daemon_networks_pass_firewalld_again_by_themselves() {
    let test = "with_the_daemon_networks_pass_firewalld_again_by_themselves";
    let Some((host, _outside, firewalld)) = beside(test, TableOwner::Nobody) else { return };
    host.network(&format!("blue {BOTH}"));
    let _service = populate(&host);
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    for reload in ["--reload", "--complete-reload", "--reload"] {
        firewalld.cmd(reload).ok();
        host.wait_for(&format!("{ZUBI} check"));
        assert_eq!(passing(), EVERYTHING, "after {reload}: {}", ZubiDaemon::log());
    }
    ZubiDaemon::says("network blue: let it pass");
    host.zubi("check").ok();
}

fn firewalld_that_keeps_its_table_lets_networks_pass_by_the_command_we_name() {
    let test = "firewalld_that_keeps_its_table_lets_networks_pass_by_the_command_we_name";
    let Some((host, _outside, firewalld)) = beside(test, TableOwner::Firewalld) else { return };
    if !host.shell("nft list table inet firewalld").ok().out.contains("owner") {
        return skip(test, "this firewalld leaves its table to everybody");
    }
    let note = host.zubi(&format!("network create blue {BOTH}")).ok().err;
    let (_, command) = note.split_once("firewall-cmd ").unwrap_or_else(|| panic!("no command in {note}"));
    host.shell(&format!("firewall-cmd {}", command.lines().next().unwrap_or_default())).ok();
    let _service = populate(&host);
    assert_eq!(passing(), EVERYTHING);
    host.zubi("check").ok();
    for reload in ["--reload", "--complete-reload"] {
        firewalld.cmd(reload).ok();
        assert_eq!(passing(), EVERYTHING, "after {reload}");
        host.zubi("check").ok();
    }
}

zubi_lab::root_tests!(
    networks_pass_firewalld_and_its_reloads,
    with_the_daemon_networks_pass_firewalld_again_by_themselves,
    firewalld_that_keeps_its_table_lets_networks_pass_by_the_command_we_name,
);
