//! Coexistence with the firewalls of real daemons, each on a host of its own. Uses TCP, because ufw lets pings through.

use std::process::Command;
use zubi_lab::{Capability, Docker, Host, Outside, Reach, Service, Transport, ask, need, reaches, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const SLEEP: &str = "busybox sleep 1000";
const BOTH: &str = "--subnet 10.55.66.0/24 --subnet fd00:55::/64";
const SYSCTLS: &str = "sysctl net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables";
/// The listing tools must be able to print our rules.
const LISTINGS: [&str; 8] = [
    "iptables -L -n",
    "iptables -S",
    "iptables-save",
    "iptables -t nat -S",
    "ip6tables -L -n",
    "ip6tables -S",
    "ip6tables-save",
    "nft list ruleset",
];

/// The kernel waits a second after a failed neighbour lookup before it tries again.
fn forget_neighbours() {
    for place in ["c1", "c2"] {
        let flushed = Command::new("ip").args(["-n", place, "neigh", "flush", "all"]).status();
        assert!(flushed.expect("ip").success());
    }
}

fn reach(from: &str, to: &str, address: &str) -> bool {
    reaches(&Reach { from, to, address }, Transport::Tcp)
}

fn serves(from: &str, to: &str, server: &str) -> bool {
    ask(from, Transport::Tcp, to).is_some_and(|heard| heard.server == server)
}

/// c1, which publishes 8080, and its neighbour c2.
fn populate(host: &Host) -> Service {
    host.network(&format!("blue {BOTH}"));
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 8080:80").ok();
    host.container("c2", "blue");
    Service::start("c1", 80)
}

fn depopulate(host: &Host, service: Service) {
    drop(service);
    host.zubi("sandbox rm c1 c2").ok();
    host.zubi("network rm blue").ok();
}

/// The connections that get through, of all that should, over IPv4.
fn passing() -> Vec<&'static str> {
    forget_neighbours();
    let all = [
        ("neighbours", reach("c2", "c1", "10.55.66.2")),
        ("out", reach("c1", "outside", Outside::V4)),
        ("published", serves("outside", "192.0.2.1:8080", "c1")),
        ("hairpin", serves("c1", "192.0.2.1:8080", "c1")),
        ("neighbour's port", serves("c2", "192.0.2.1:8080", "c1")),
    ];
    all.into_iter().filter_map(|(name, passes)| passes.then_some(name)).collect()
}

const EVERYTHING: [&str; 5] = ["neighbours", "out", "published", "hairpin", "neighbour's port"];

/// Whether all connections get through over IPv6.
fn passing6() -> bool {
    forget_neighbours();
    reach("c2", "c1", "fd00:55::2")
        && reach("c1", "outside", Outside::V6)
        && serves("outside", "[2001:db8::1]:8080", "c1")
}

#[track_caller]
fn listings_are_whole(host: &Host) {
    for list in LISTINGS {
        let answer = host.shell(list).ok();
        assert!(!answer.err.contains("incompatible") && !answer.out.contains("incompatible"), "{list}: {answer:?}");
    }
}

/// Rules and policies, without counters.
fn firewall(host: &Host) -> String {
    host.shell(&format!("iptables-save; ip6tables-save; {SYSCTLS}")).ok().out.lines().fold(
        String::new(),
        |all, line| {
            let line = line.split(" [").next().unwrap_or(line);
            if line.starts_with('#') { all } else { all + line + "\n" }
        },
    )
}

/// A host whose bridges pass frames to the firewall, and Docker with its firewall.
fn host_with_docker(test: &str) -> Option<(Host, Outside, Docker)> {
    if let Some(package) = Docker::missing() {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    if !need(&[Capability::Iptables, Capability::Nft, Capability::BridgeNetfilter], test) {
        return None;
    }
    let outside = Outside::new();
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    host.shell(
        "sysctl -qw net.ipv4.ip_forward=0 net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
    )
    .ok();
    let docker = Docker::start_with_firewall().unwrap_or_else(|why| panic!("{why}"));
    docker.import_busybox().unwrap_or_else(|why| panic!("{why}"));
    assert!(host.shell("iptables -S FORWARD").ok().out.starts_with("-P FORWARD DROP"));
    Some((host, outside, docker))
}

/// A container on Docker's own network that publishes 9090; its sandbox is `d1` as well.
fn docker_container(host: &Host, docker: &Docker) -> Service {
    docker.ok(&format!("run -d -p 9090:90 --name d1 {SLEEP}"));
    host.zubi("sandbox add d1 --from docker:d1").ok();
    Service::start("d1", 90)
}

#[track_caller]
fn docker_works() {
    assert!(reach("d1", "outside", Outside::V4), "Docker's container does not get out");
    assert!(serves("outside", "192.0.2.1:9090", "d1"), "Docker's published port is not served");
}

fn networks_pass_docker_s_firewall_and_docker_s_pass_ours() {
    let Some((host, _outside, docker)) = host_with_docker("networks_pass_docker_s_firewall_and_docker_s_pass_ours")
    else {
        return;
    };
    let theirs = docker_container(&host, &docker);
    docker_works();
    let before = firewall(&host);

    let ours = populate(&host.with_env("ZUBI_COEXISTENCE", "off"));
    assert_eq!(passing(), [""; 0]);
    assert!(host.zubi("check").fails(1, "").out.contains("chain FORWARD of table ip filter drops"));
    host.zubi("repair").ok();
    assert_eq!(passing(), EVERYTHING);
    assert!(passing6());
    docker_works();
    listings_are_whole(&host);
    host.zubi("check").ok();
    let user = host.shell("iptables -S DOCKER-USER").ok().out;
    // Rules behind this one have no effect. Docker 28 has no such rule.
    let back = "-A DOCKER-USER -j RETURN";
    assert!(user.contains("zb-blue") && (!user.contains(back) || user.trim_end().ends_with(back)), "{user}");
    // An administrator's drop rule still applies.
    host.shell(&format!("iptables -I DOCKER-USER -s 10.55.66.3 -d {} -j DROP", Outside::V4)).ok();
    assert!(!reach("c2", "outside", Outside::V4) && reach("c1", "outside", Outside::V4));
    host.shell(&format!("iptables -D DOCKER-USER -s 10.55.66.3 -d {} -j DROP", Outside::V4)).ok();
    // zubi recognises its rules after a save and a restore.
    host.shell("iptables-save > /run/saved && iptables-restore < /run/saved").ok();
    assert_eq!(passing(), EVERYTHING);
    docker_works();
    host.zubi("check").ok();

    depopulate(&host, ours);
    assert_eq!(firewall(&host), before);
    docker_works();
    drop(theirs);
}

fn a_docker_that_is_started_again_goes_on_and_so_do_we() {
    let Some((host, _outside, docker)) = host_with_docker("a_docker_that_is_started_again_goes_on_and_so_do_we") else {
        return;
    };
    let ours = populate(&host);
    assert_eq!(passing(), EVERYTHING);
    docker.stop().unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(passing(), EVERYTHING);
    let docker = Docker::start_with_firewall().unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(passing(), EVERYTHING);
    host.zubi("check").ok();
    listings_are_whole(&host);
    let theirs = docker_container(&host, &docker);
    docker_works();
    // After a flush, Docker restores its rules itself, and the next connect restores ours.
    host.shell("nft flush ruleset").ok();
    docker.stop().unwrap_or_else(|why| panic!("{why}"));
    drop(theirs);
    host.shell("sysctl -qw net.ipv4.ip_forward=0").ok();
    let docker = Docker::start_with_firewall().unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(passing(), [""; 0]);
    assert!(host.zubi("check").fails(1, "").out.contains("inet zubi"));
    host.container("c3", "blue");
    assert_eq!(passing(), EVERYTHING);
    host.zubi("check").ok();
    host.zubi("sandbox rm c3").ok();
    depopulate(&host, ours);
    drop(docker);
}

fn networks_pass_ufw() {
    let test = "networks_pass_ufw";
    if !need(&[Capability::Ufw, Capability::Iptables, Capability::Nft, Capability::BridgeNetfilter], test) {
        return;
    }
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1").ok();
    // Replace the machine's ufw settings on this host.
    host.shell(
        "cp -a /etc/ufw /run/ufw-etc && mount --bind /run/ufw-etc /etc/ufw && cp -a /etc/default /run/default \
         && mount --bind /run/default /etc/default && ufw --force reset >/dev/null && ufw --force enable",
    )
    .ok();
    assert!(host.shell("iptables -S FORWARD").ok().out.starts_with("-P FORWARD DROP"));
    let before = firewall(&host);

    let ours = populate(&host.with_env("ZUBI_COEXISTENCE", "off"));
    assert_eq!(passing(), [""; 0]);
    host.zubi("repair").ok();
    assert_eq!(passing(), EVERYTHING);
    assert!(passing6());
    host.shell("ufw reload").ok();
    assert_eq!(passing(), EVERYTHING);
    host.zubi("check").ok();
    listings_are_whole(&host);
    assert!(host.shell("ufw status").ok().out.contains("Status: active"));
    // ufw's own deny rule still applies.
    host.shell(&format!("ufw route deny from 10.55.66.3 to {}", Outside::V4)).ok();
    assert!(!reach("c2", "outside", Outside::V4) && reach("c1", "outside", Outside::V4));
    host.shell(&format!("ufw route delete deny from 10.55.66.3 to {}", Outside::V4)).ok();
    // Disable and enable ufw.
    host.shell("ufw disable").ok();
    assert_eq!(passing(), EVERYTHING);
    host.shell("ufw --force enable").ok();
    host.container("c3", "blue");
    assert_eq!(passing(), EVERYTHING);
    host.zubi("check").ok();
    // Flush and reload the rules behind ufw's back.
    host.shell("iptables -F FORWARD && ip6tables -F FORWARD && /lib/ufw/ufw-init force-reload").ok();
    let _by_now = host.zubi("check");
    host.zubi("repair").ok();
    assert_eq!(passing(), EVERYTHING);
    host.zubi("sandbox rm c3").ok();
    depopulate(&host, ours);
    let after = firewall(&host);
    assert!(!after.contains("zubi"), "{after}");
    let policies = |text: &str| text.lines().filter(|l| l.starts_with(':')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(policies(&after), policies(&before));
}

zubi_lab::root_tests!(
    networks_pass_docker_s_firewall_and_docker_s_pass_ours,
    a_docker_that_is_started_again_goes_on_and_so_do_we,
    networks_pass_ufw,
);
