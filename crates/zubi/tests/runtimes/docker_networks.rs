//! Docker's networks that are zubi's: a real dockerd with the daemon as its plug-in.

use crate::plugin::{host_with_plugin, start_daemon};
use zubi_lab::{
    Docker, Host, Outside, Service, Snapshot, ZubiDaemon, assert_isolated, assert_reaches, assert_served,
    assert_unserved,
};

const SLEEP: &str = "busybox sleep 1000";
const CREATE: &str = "network create -d zubi --ipam-driver zubi";

/// A value of a container's endpoint on a network: `IPAddress`, `MacAddress`.
fn of_endpoint(docker: &Docker, container: &str, network: &str, value: &str) -> String {
    let template = format!("{{{{(index .NetworkSettings.Networks \"{network}\").{value}}}}}");
    let output = docker.command("inspect -f").args([template.as_str(), container]).output().expect("docker inspect");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn address(docker: &Docker, container: &str, network: &str) -> String {
    of_endpoint(docker, container, network, "IPAddress")
}

#[track_caller]
fn pings(docker: &Docker, container: &str, address: &str) {
    docker.ok(&format!("exec {container} ping -c 1 -W 5 {address}"));
}

#[track_caller]
fn does_not_ping(docker: &Docker, container: &str, address: &str) {
    assert_ne!(docker.docker(&format!("exec {container} ping -c 1 -W 1 {address}")).code, 0, "{address}");
}

/// Fails, with the daemon's log, unless `docker WORDS` is refused in these words.
#[track_caller]
fn refused(docker: &Docker, words: &str, why: &str) {
    let answer = docker.docker(words);
    assert!(
        answer.code != 0 && answer.err.contains(why),
        "docker {words}: {}{}\n{}",
        answer.out,
        answer.err,
        ZubiDaemon::log()
    );
}

/// Fails, with the daemon's log, if anything is out of order.
#[track_caller]
fn check(host: &Host) {
    let found = host.zubi("check");
    assert_eq!(found.code, 0, "{}{}\n{}", found.out, found.err, ZubiDaemon::log());
}

/// Waits until the daemon has found what Docker has forgotten.
#[track_caller]
fn comes_into_order(host: &Host) {
    let since = std::time::Instant::now();
    while host.zubi("check").code != 0 && since.elapsed().as_secs() < 30 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    check(host);
    assert_eq!(host.zubi("--json ls").ok().json().as_array().map(Vec::len), Some(2));
}

/// Runs containers with the network options of each.
fn run(docker: &Docker, containers: &[(&str, &str)]) {
    for (name, options) in containers {
        docker.ok(&format!("run -d --name {name} {options} {SLEEP}"));
    }
}

/// Gives the namespaces of containers names, by which the lab reaches them, as long as `work` takes.
fn named(host: &Host, containers: &[&str], work: impl FnOnce()) {
    for name in containers {
        host.zubi(&format!("sandbox add {name} --from docker:{name}")).ok();
    }
    work();
    for name in containers {
        host.zubi(&format!("sandbox rm {name}")).ok();
    }
}

fn containers_of_docker_and_a_process_reach_each_other_and_ports_are_published() {
    let test = "containers_of_docker_and_a_process_reach_each_other_and_ports_are_published";
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    let _outside = Outside::new();
    let before = Snapshot::take();
    docker.ok(&format!("{CREATE} --subnet 10.90.0.0/24 mesh"));
    host.zubi("sandbox add c1").ok();
    // By the name that Docker has, as soon as Docker has it.
    let c1 = host.connect("mesh c1");
    run(
        &docker,
        &[
            ("web", "--network mesh -p 8080:80 -p 8080:80/udp -p 127.0.0.1:9000:80 -p 127.0.0.1:9000:80/udp"),
            ("db", "--network mesh"),
        ],
    );
    let (web, db) = (address(&docker, "web", "mesh"), address(&docker, "db", "mesh"));
    assert_eq!([c1.as_str(), &web, &db], ["10.90.0.2", "10.90.0.3", "10.90.0.4"]);
    for to in [db.as_str(), "10.90.0.1", Outside::V4, &c1] {
        pings(&docker, "web", to);
    }
    named(&host, &["web", "db"], || {
        assert_reaches("c1", "web", &web);
        assert_reaches("web", "c1", &c1);
        let _service = Service::start("web", 80);
        for from in ["outside", "host"] {
            let client = if from == "host" { "192.0.2.1" } else { Outside::V4 };
            assert_served(from, "192.0.2.1:8080", "web", client);
        }
        assert_served("host", "127.0.0.1:9000", "web", "10.90.0.1");
        assert_unserved("outside", "192.0.2.1:9000");
        assert_served("c1", "192.0.2.1:8080", "web", &c1);
    });
    check(&host);
    // The daemon learns the names afterwards.
    host.wait_for(&format!("{} ls | grep -q docker:web", env!("CARGO_BIN_EXE_zubi")));
    host.zubi("connect mesh docker:web").fails(4, "docker network disconnect takes it off");
    host.zubi("network rm mesh").fails(2, "docker network rm mesh");
    host.zubi("network prune").ok();
    refused(&docker, "run --rm --network mesh -p 8080:80 busybox sleep 1", "tcp port 8080 is published by docker:web");
    docker.ok("rm -f web db");
    assert_unserved("outside", "192.0.2.1:8080");
    // Docker asks nobody whether a network may go.
    docker.ok("network rm mesh");
    assert_reaches("c1", "host", "10.90.0.1");
    let left = host.zubi("network ls -q").ok().out;
    host.zubi("sandbox rm c1").ok();
    host.zubi(&format!("network rm docker-{}", left.trim())).ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    assert_eq!(
        host.shell("ls -A /run/zubi-state/guests /run/zubi-state/networks").ok().out.matches(".json").count(),
        0
    );
    check(&host);
}

fn addresses_and_macs_are_as_asked_and_networks_come_and_go() {
    let test = "addresses_and_macs_are_as_asked_and_networks_come_and_go";
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    let _outside = Outside::new();
    let before = Snapshot::take();
    for (name, number) in [("n1", 1), ("n2", 2)] {
        docker.ok(&format!("{CREATE} --subnet 10.90.{number}.0/24 --ip-range 10.90.{number}.128/25 {name}"));
    }
    run(
        &docker,
        &[
            ("web", "--network n1 --ip 10.90.1.77 --mac-address 02:00:00:00:00:77 -p 8080:80 -p 8080:80/udp"),
            ("db", "--network n2"),
        ],
    );
    assert_eq!(address(&docker, "web", "n1"), "10.90.1.77");
    assert_eq!(of_endpoint(&docker, "web", "n1", "MacAddress"), "02:00:00:00:00:77");
    assert!(docker.ok("exec web ip link show eth0").contains("02:00:00:00:00:77"));
    assert_eq!(address(&docker, "db", "n2"), "10.90.2.128");
    refused(&docker, "run --rm --network n1 --ip 10.90.1.77 busybox sleep 1", "10.90.1.77 is taken");
    does_not_ping(&docker, "db", "10.90.1.77");
    docker.ok("network connect n2 web");
    let second = address(&docker, "web", "n2");
    pings(&docker, "db", &second);
    // Its ports are published once, by the network with the default route.
    let published = host.zubi("--json port ls").ok().json();
    assert_eq!(published.as_array().map(Vec::len), Some(2), "{published}");
    docker.ok("network disconnect n2 web");
    does_not_ping(&docker, "db", &second);
    pings(&docker, "web", Outside::V4);
    docker.ok("network connect --ip 10.90.2.9 n2 web");
    pings(&docker, "db", "10.90.2.9");
    check(&host);
    for _ in 0..2 {
        docker.ok("restart -t 0 web");
        pings(&docker, "db", "10.90.2.9");
        pings(&docker, "web", Outside::V4);
        named(&host, &["web"], || {
            let _service = Service::start("web", 80);
            assert_served("outside", "192.0.2.1:8080", "web", Outside::V4);
        });
        check(&host);
    }
    docker.ok("stop -t 0 web");
    assert_eq!(host.zubi("--json ls").ok().json().as_array().map(Vec::len), Some(1));
    docker.ok("start web");
    docker.ok("rm -f web db");
    docker.ok("network rm n1 n2");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn an_internal_network_reaches_nothing_else_and_icc_keeps_apart() {
    let test = "an_internal_network_reaches_nothing_else_and_icc_keeps_apart";
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    let _outside = Outside::new();
    docker.ok(&format!("{CREATE} --internal --subnet 10.90.0.0/24 inner"));
    docker.ok(&format!("{CREATE} -o icc=false -o mtu=1400 --subnet 10.91.0.0/24 apart"));
    run(
        &docker,
        &[
            ("aa", "--network inner -p 8080:80"),
            ("bb", "--network inner"),
            ("cc", "--network apart"),
            ("dd", "--network apart"),
        ],
    );
    pings(&docker, "aa", &address(&docker, "bb", "inner"));
    does_not_ping(&docker, "aa", Outside::V4);
    assert!(!docker.ok("exec aa ip route").contains("default"));
    does_not_ping(&docker, "cc", &address(&docker, "dd", "apart"));
    pings(&docker, "cc", Outside::V4);
    assert!(docker.ok("exec cc ip link show eth0").contains("mtu 1400"));
    named(&host, &["aa", "cc"], || {
        assert_isolated("outside", "aa", "10.90.0.2");
        assert_isolated("cc", "aa", "10.90.0.2");
        let _service = Service::start("aa", 80);
        assert_unserved("outside", "192.0.2.1:8080");
    });
    check(&host);
}

fn both_families_are_served() {
    let test = "both_families_are_served";
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    let _outside = Outside::new();
    docker.ok(&format!("{CREATE} --ipv6 --subnet 10.90.0.0/24 --subnet fd00:90::/64 dual"));
    run(&docker, &[("web", "--network dual -p 8080:80 -p 8080:80/udp"), ("db", "--network dual --ip6 fd00:90::77")]);
    let web = of_endpoint(&docker, "web", "dual", "GlobalIPv6Address");
    pings(&docker, "web", "fd00:90::77");
    pings(&docker, "db", &web);
    pings(&docker, "web", Outside::V6);
    pings(&docker, "web", "10.90.0.3");
    named(&host, &["web"], || {
        let _service = Service::start("web", 80);
        assert_served("outside", "[2001:db8::1]:8080", "web", Outside::V6);
        assert_served("outside", "192.0.2.1:8080", "web", Outside::V4);
    });
    check(&host);
}

fn a_zubi_network_is_joined() {
    let test = "a_zubi_network_is_joined";
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    host.network("blue --subnet 10.55.66.0/24");
    let c1 = host.container("c1", "blue");
    let before = Snapshot::take();
    docker.ok(&format!("{CREATE} --subnet 10.55.66.0/24 -o network=blue shared"));
    run(&docker, &[("web", "--network shared")]);
    assert_eq!(address(&docker, "web", "shared"), "10.55.66.3");
    pings(&docker, "web", &c1);
    assert_eq!(host.container("c2", "blue"), "10.55.66.4");
    pings(&docker, "web", "10.55.66.4");
    host.zubi("sandbox rm c2").ok();
    // A second one, and a third whose addresses zubi chooses by itself.
    docker.ok(&format!("{CREATE} --subnet 10.55.66.0/24 --ipam-opt network=blue -o network=blue fixed"));
    docker.ok("network create -d zubi --ipam-driver null -o network=blue plain");
    run(&docker, &[("db", "--network fixed --ip 10.55.66.99"), ("app", "--network plain")]);
    pings(&docker, "web", "10.55.66.99");
    pings(&docker, "app", "10.55.66.99");
    check(&host);
    refused(&docker, &format!("{CREATE} -o network=blue other"), "add --subnet 10.55.66.0/24");
    refused(&docker, &format!("{CREATE} --ipam-opt network=blue other"), "add --subnet 10.55.66.0/24");
    refused(&docker, &format!("{CREATE} --ipam-opt network=green other"), "network green does not exist");
    refused(
        &docker,
        &format!("{CREATE} --subnet 10.55.66.0/25 other"),
        "overlaps 10.55.66.0/24 of the zubi network blue",
    );
    docker.ok("rm -f web db app");
    docker.ok("network rm shared fixed plain");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    host.zubi("network inspect blue").ok();
    check(&host);
}

fn what_cannot_be_is_refused_by_its_name() {
    let test = "what_cannot_be_is_refused_by_its_name";
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    let before = Snapshot::take();
    for (words, why) in [
        ("-o speed=fast n1", "-o speed: is no option of zubi's"),
        ("-o driver=overlay n1", "driver `overlay`: is unknown"),
        ("-o parent=eth0 n1", "-o parent: is for driver=macvlan"),
        ("-o com.docker.network.driver.mtu=12 n1", "MTU `12`"),
        ("--ipam-opt speed=fast n1", "--ipam-opt `speed`"),
        ("-o driver=macvlan -o parent=nowhere --subnet 10.90.0.0/24 n1", "nowhere"),
    ] {
        refused(&docker, &format!("{CREATE} {words}"), why);
    }
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    // Subnets that are chosen differ.
    docker.ok(&format!("{CREATE} n1"));
    docker.ok(&format!("{CREATE} n2"));
    let subnets = |name: &str| {
        docker.ok(&format!("network inspect -f {{{{range.IPAM.Config}}}}{{{{.Subnet}}}}{{{{end}}}} {name}"))
    };
    assert_ne!(subnets("n1"), subnets("n2"));
    // A network of Docker's own driver.
    docker.ok("network create own");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect own c1").fails(3, "--adopt");
    host.zubi("connect docker:nobody c1").fails(3, "network docker:nobody does not exist");
    check(&host);
}

fn either_side_is_killed_and_all_goes_on() {
    let test = "either_side_is_killed_and_all_goes_on";
    let Some((host, daemon, docker)) = host_with_plugin(test) else { return };
    let _outside = Outside::new();
    let before = Snapshot::take();
    docker.ok(&format!("{CREATE} --subnet 10.90.0.0/24 mesh"));
    run(&docker, &[("web", "--network mesh -p 8080:80 -p 8080:80/udp"), ("db", "--network mesh")]);
    drop(daemon);
    pings(&docker, "web", "10.90.0.3");
    named(&host, &["web"], || {
        let _service = Service::start("web", 80);
        assert_served("outside", "192.0.2.1:8080", "web", Outside::V4);
    });
    let daemon = start_daemon(&host);
    docker.ok("restart -t 0 db");
    pings(&docker, "web", &address(&docker, "db", "mesh"));
    check(&host);
    // Docker's containers die with it. It forgets their endpoints without telling the driver.
    let docker = docker.killed_and_started().unwrap_or_else(|why| panic!("{why}"));
    docker.ok("start web db");
    pings(&docker, "web", &address(&docker, "db", "mesh"));
    pings(&docker, "web", Outside::V4);
    comes_into_order(&host);
    // Both at once, and Docker comes back first.
    drop(daemon);
    let docker = docker.killed_and_started().unwrap_or_else(|why| panic!("{why}"));
    let _daemon = start_daemon(&host);
    docker.ok("start web db");
    pings(&docker, "web", &address(&docker, "db", "mesh"));
    comes_into_order(&host);
    docker.ok("rm -f web db");
    docker.ok("network rm mesh");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn containers_are_on_the_lan_by_macvlans() {
    let test = "containers_are_on_the_lan_by_macvlans";
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    let _outside = Outside::new();
    let before = Snapshot::take();
    docker.ok(&format!(
        "{CREATE} -o driver=macvlan -o parent=uplink --subnet 192.0.2.0/24 --gateway 192.0.2.2 --ip-range 192.0.2.64/26 lan"
    ));
    run(&docker, &[("web", "--network lan"), ("db", "--network lan --ip 192.0.2.200")]);
    let web = address(&docker, "web", "lan");
    pings(&docker, "web", Outside::V4);
    pings(&docker, "web", "192.0.2.200");
    // The host's own macvlan.
    host.shell(&format!("ping -c 1 -W 5 {web}")).ok();
    check(&host);
    docker.ok("restart -t 0 web");
    pings(&docker, "web", "192.0.2.200");
    check(&host);
    docker.ok("rm -f web db");
    docker.ok("network rm lan");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn containers_are_found_by_their_names_and_aliases() {
    let test = "containers_are_found_by_their_names_and_aliases";
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    docker.ok(&format!("{CREATE} --subnet 10.90.0.0/24 mesh"));
    docker.ok(&format!("{CREATE} --subnet 10.91.0.0/24 back"));
    run(&docker, &[("web", "--network mesh --network-alias www --network-alias site")]);
    docker.ok("network connect --alias inner back web");
    host.zubi("sandbox add c1").ok();
    host.connect("mesh c1");
    // Docker tells the names when it has gone on.
    for name in ["web", "www", "site"] {
        host.wait_for(&format!("ip netns exec c1 dig +short +tries=1 +time=1 {name} @10.90.0.1 | grep -qx 10.90.0.2"));
    }
    // By a network that c1 does not share, nothing is found.
    let inner = host.shell("ip netns exec c1 dig +short +tries=1 +time=1 inner @10.90.0.1").out;
    assert_eq!(inner.trim(), "");
    docker.ok("restart -t 0 web");
    let web = address(&docker, "web", "mesh");
    host.wait_for(&format!("ip netns exec c1 dig +short +tries=1 +time=1 www @10.90.0.1 | grep -qx {web}"));
    docker.ok("rename web shop");
    docker.ok("network disconnect back shop");
    host.wait_for(&format!("ip netns exec c1 dig +short +tries=1 +time=1 shop @10.90.0.1 | grep -qx {web}"));
    check(&host);
}

/// `docker-compose WORDS`, in the folder of its file.
#[track_caller]
fn compose(host: &Host, words: &str) {
    let done = host.shell(&format!("cd /run/shop && docker-compose --compatibility {words} 2>&1"));
    assert_eq!(done.code, 0, "docker-compose {words}: {}\n{}", done.out, ZubiDaemon::log());
}

fn a_shop_of_compose_comes_up_grows_changes_and_goes() {
    let test = "a_shop_of_compose_comes_up_grows_changes_and_goes";
    if std::process::Command::new("docker-compose").arg("version").output().is_err() {
        return zubi_lab::skip(test, "needs the package docker-compose");
    }
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    let _outside = Outside::new();
    let before = Snapshot::take();
    let write = |greeting: &str| {
        let file = include_str!("shop.yaml").replace("GREETING: hello", &format!("GREETING: {greeting}"));
        std::fs::create_dir_all("/run/shop").expect("a folder");
        std::fs::write("/run/shop/docker-compose.yml", file).expect("a file of Compose");
    };
    for round in ["first", "second"] {
        write(round);
        compose(&host, "up -d");
        pings(&docker, "shop_web_1", "10.90.0.10");
        pings(&docker, "shop_web_1", Outside::V4);
        assert!(docker.ok("exec shop_web_1 ip link show eth0").contains("mtu 1400"));
        compose(&host, "up -d --scale app=3");
        for number in 1..=3 {
            pings(&docker, "shop_db_1", &address(&docker, &format!("shop_app_{number}"), "shop_mesh"));
        }
        host.zubi("sandbox add c1").ok();
        host.connect("shop_mesh c1");
        let web = address(&docker, "shop_web_1", "shop_mesh");
        host.wait_for(&format!("ip netns exec c1 dig +short +tries=1 +time=1 www @10.90.0.1 | grep -qx {web}"));
        // Three containers have the service's name.
        host.wait_for("test $(ip netns exec c1 dig +short +tries=1 +time=1 app @10.90.0.1 | wc -l) = 3");
        host.zubi("sandbox rm c1").ok();
        // Containers that are made again keep the addresses that the file gives.
        write("again");
        compose(&host, "up -d --scale app=1");
        assert_eq!(address(&docker, "shop_db_1", "shop_mesh"), "10.90.0.10");
        pings(&docker, "shop_web_1", "10.90.0.10");
        named(&host, &["shop_web_1"], || {
            let _service = Service::start("shop_web_1", 80);
            assert_served("outside", "192.0.2.1:8080", "shop_web_1", Outside::V4);
        });
        compose(&host, "restart -t 0");
        pings(&docker, "shop_web_1", "10.90.0.10");
        check(&host);
        compose(&host, "down -t 0");
    }
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    assert_eq!(host.zubi("--json ls").ok().json().as_array().map(Vec::len), Some(0));
}

zubi_lab::root_tests!(
    containers_are_found_by_their_names_and_aliases,
    a_shop_of_compose_comes_up_grows_changes_and_goes,
    containers_of_docker_and_a_process_reach_each_other_and_ports_are_published,
    addresses_and_macs_are_as_asked_and_networks_come_and_go,
    an_internal_network_reaches_nothing_else_and_icc_keeps_apart,
    both_families_are_served,
    a_zubi_network_is_joined,
    what_cannot_be_is_refused_by_its_name,
    either_side_is_killed_and_all_goes_on,
    containers_are_on_the_lan_by_macvlans,
);
