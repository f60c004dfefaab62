//! Podman with zubi as its netavark and nothing else changed.

use std::collections::BTreeSet;
use zubi_lab::lan::{COMPUTER, OUTSIDE, ROUTER, make_lan};
use zubi_lab::{
    Backend, DhcpServer, HELPERS, Host, Outside, Podman, PodmanConfig, Service, Transport, ask, links, skip,
};

/// The state folder of the host's own zubi.
const STATE: (&str, &str) = ("ZUBI_STATE_DIR", "/run/zubi-state");
const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn podman(test: &str) -> Option<(Host, Podman)> {
    if let Some(package) = Podman::missing() {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    let helpers = links(ZUBI, "/run/helpers", &HELPERS);
    let config = PodmanConfig::new(Backend::Netavark { helpers }).env(STATE.0, STATE.1);
    let podman = Podman::start(config).unwrap_or_else(|why| panic!("{why}"));
    Some((Host::new(ZUBI), podman))
}

/// The server that answers there, if any.
fn served(from: &str, at: &str) -> Option<String> {
    ask(from, Transport::Tcp, at).map(|heard| heard.server)
}

/// The name of a container's namespace.
fn netns(podman: &Podman, container: &str) -> String {
    let path = podman.inspect(container)["NetworkSettings"]["SandboxKey"].as_str().expect("SandboxKey").to_owned();
    path.rsplit('/').next().expect("name").to_owned()
}

fn serve(podman: &Podman, container: &str) -> (Service, Option<String>) {
    let place = netns(podman, container);
    (Service::start(&place, 80), Some(place))
}

/// Nothing of a container remains. Waits for the detached child of the last command.
fn nothing_stays(host: &Host) {
    host.wait_for("test -z \"$(ip -o link | grep -E 'podman|zv|zd')\"");
    host.wait_for("! nft list table inet zubi");
    let ls = host.zubi("ls").ok();
    assert_eq!(ls.out.lines().count(), 1, "{}", ls.out);
    host.zubi("check").ok();
    let left = host.shell("find /run/zubi -name '*.json' ! -name host.json").out;
    assert_eq!(left, "");
}

fn a_container_is_wired_and_unwired() {
    let Some((host, podman)) = podman("a_container_is_wired_and_unwired") else { return };
    let _outside = Outside::new();
    podman.ok("network create --subnet 10.55.66.0/24 --subnet fd00:55::/64 --ipv6 blue");
    podman.ok("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000");
    assert_eq!(podman.address("c1", "blue"), "10.55.66.2");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");
    podman.ok("exec c1 ping -c 1 -W 5 fd00:55::1");
    podman.ok(&format!("exec c1 ping -c 1 -W 5 {}", Outside::V4));
    let (_service, c1) = serve(&podman, "c1");
    assert_eq!(served("outside", "192.0.2.1:8080"), c1);
    assert_eq!(served("host", "127.0.0.1:8080"), c1);
    host.zubi("check").ok();
    podman.ok("rm -f -t 0 c1");
    nothing_stays(&host);
}

fn networks_come_go_and_are_loaded_again() {
    let Some((host, podman)) = podman("networks_come_go_and_are_loaded_again") else { return };
    let _outside = Outside::new();
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    podman.ok("network create --subnet 10.55.77.0/24 green");
    podman.ok("run -d --name c1 --network blue,green -p 8080:80 busybox sleep 1000");
    let (_service, c1) = serve(&podman, "c1");
    for gateway in ["10.55.66.1", "10.55.77.1"] {
        podman.ok(&format!("exec c1 ping -c 1 -W 5 {gateway}"));
    }
    assert_eq!(served("outside", "192.0.2.1:8080"), c1);
    // The ports follow the container from network to network.
    podman.ok("network disconnect blue c1");
    assert_eq!(served("outside", "192.0.2.1:8080"), c1);
    podman.ok("network connect blue c1");
    podman.ok("network disconnect green c1");
    assert_eq!(served("outside", "192.0.2.1:8080"), c1);
    let before = podman.address("c1", "blue");
    podman.ok("network reload c1");
    assert_eq!(podman.address("c1", "blue"), before);
    assert_eq!(served("outside", "192.0.2.1:8080"), c1);
    // The container gets a new namespace under its name.
    podman.ok("restart -t 0 c1");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");
    host.zubi("check").ok();
    podman.ok("rm -f -t 0 c1");
    podman.ok("network rm blue green");
    nothing_stays(&host);
}

fn firewall_rules_come_back_with_a_reload() {
    let Some((host, podman)) = podman("firewall_rules_come_back_with_a_reload") else { return };
    let _outside = Outside::new();
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    podman.ok("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000");
    let (_service, c1) = serve(&podman, "c1");
    host.shell("nft flush ruleset").ok();
    assert_eq!(served("outside", "192.0.2.1:8080"), None);
    podman.ok("network reload c1");
    assert_eq!(served("outside", "192.0.2.1:8080"), c1);
    podman.ok("rm -f -t 0 c1");
    nothing_stays(&host);
}

fn isolated_networks_do_not_reach_each_other() {
    let Some((host, podman)) = podman("isolated_networks_do_not_reach_each_other") else { return };
    for (name, net, isolate) in [("blue", 66, ""), ("red", 77, "-o isolate=true"), ("green", 88, "-o isolate=true")] {
        podman.ok(&format!("network create --subnet 10.55.{net}.0/24 {isolate} {name}"));
        podman.ok(&format!("run -d --name {name} --network {name} busybox sleep 1000"));
    }
    let reaches = |from: &str, to: u8| podman.podman(&format!("exec {from} ping -c 1 -W 1 10.55.{to}.2")).code == 0;
    assert!(reaches("blue", 77) && reaches("red", 66));
    assert!(!reaches("red", 88) && !reaches("green", 77));
    // A network made with zubi is unreachable, however open the others are.
    host.zubi("network create own --subnet 10.55.99.0/24").ok();
    host.container("c9", "own");
    assert!(!reaches("blue", 99) && !reaches("red", 99));
    host.zubi("sandbox rm c9").ok();
    host.zubi("network rm own").ok();
    podman.ok("rm -f -t 0 blue red green");
    nothing_stays(&host);
}

fn internal_networks_have_no_way_out() {
    let Some((host, podman)) = podman("internal_networks_have_no_way_out") else { return };
    let _outside = Outside::new();
    podman.ok("network create --internal --subnet 10.55.66.0/24 blue");
    podman.ok("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000");
    podman.ok("run -d --name c2 --network blue busybox sleep 1000");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.3");
    assert_ne!(podman.podman(&format!("exec c1 ping -c 1 -W 1 {}", Outside::V4)).code, 0);
    podman.ok("rm -f -t 0 c1 c2");
    nothing_stays(&host);
}

fn options_reach_the_device() {
    let Some((host, podman)) = podman("options_reach_the_device") else { return };
    podman.ok("network create --subnet 10.55.66.0/24 -o mtu=1400 blue");
    podman.ok(
        "run -d --name c1 --network blue:ip=10.55.66.77,mac=02:11:22:33:44:55,interface_name=net7 busybox sleep 1000",
    );
    let seen = podman.ok("exec c1 ip addr show dev net7");
    for words in ["mtu 1400", "02:11:22:33:44:55", "10.55.66.77/24"] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    assert!(podman.ok("exec c1 ip route").contains("metric 100"));
    podman.ok("rm -f -t 0 c1");
    nothing_stays(&host);
}

fn containers_are_on_the_lan_by_macvlans() {
    let Some((host, podman)) = podman("containers_are_on_the_lan_by_macvlans") else { return };
    make_lan(&host);
    podman.ok("network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 --gateway 192.168.1.1 \
         --ip-range 192.168.1.128/26 --subnet 2001:db8:1::/64 --gateway 2001:db8:1::1 --ipv6 -o mtu=1400 lan");
    // Without a card it is on that of the default route.
    podman.ok("network create -d macvlan --subnet 192.168.1.0/24 --gateway 192.168.1.1 -o mode=vepa other");
    podman.ok("run -d --name c1 --network lan:mac=02:11:22:33:44:55 -p 8080:80 busybox sleep 1000");
    podman.ok("run -d --name c2 --network other:ip=192.168.1.77 busybox sleep 1000");
    let address = podman.address("c1", "lan");
    assert!(address.starts_with("192.168.1."), "{address}");
    let seen = podman.ok("exec c1 ip addr show dev eth0");
    assert!(seen.contains("mtu 1400") && seen.contains("02:11:22:33:44:55"), "{seen}");
    for target in [ROUTER, OUTSIDE, "2001:db8:1::7"] {
        podman.ok(&format!("exec c1 ping -c 1 -W 5 {target}"));
    }
    podman.ok(&format!("exec c2 ping -c 1 -W 5 {COMPUTER}"));
    host.shell(&format!("ip netns exec pc ping -qc1 -W5 {address}; ip netns exec pc ping -qc1 -W5 192.168.1.77")).ok();
    assert_ne!(host.shell(&format!("ping -qc1 -W1 {address}")).code, 0, "without a host shim");
    assert!(host.shell(&format!("ip -n {} -d link show eth0", netns(&podman, "c2"))).ok().out.contains("mode vepa"));
    host.zubi("check").ok();
    podman.ok("network reload c1");
    podman.ok("restart -t 0 c1");
    assert_eq!(host.zubi("ls").ok().out.matches("podman:lan").count(), 1);
    podman.ok(&format!("exec c1 ping -c 1 -W 5 {ROUTER}"));
    // Somebody on the LAN has it.
    let answer = podman.podman("run --rm --network lan:ip=192.168.1.7 busybox true");
    assert!(answer.code != 0 && answer.err.contains("192.168.1.7"), "{}", answer.err);
    podman.ok("rm -f -t 0 c1");
    // The card goes before its container.
    host.shell("ip link del eth0").ok();
    podman.ok("rm -f -t 0 c2");
    let answer = podman.podman("run --rm --network lan busybox true");
    assert!(answer.code != 0 && answer.err.contains("network card eth0: does not exist"), "{}", answer.err);
    nothing_stays(&host);
}

/// Podman 4.3 creates no network with this ipam driver beside netavark, and uses one that is there.
const BY_DHCP: &str = r#"{
    "name": "lan", "id": "48bef9a2f9b6a4a3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9", "driver": "macvlan",
    "network_interface": "eth0", "created": "2026-11-20T21:08:10.532374867Z", "ipv6_enabled": false, "internal": false,
    "dns_enabled": false, "ipam_options": {"driver": "dhcp"}
}"#;

fn containers_have_addresses_that_a_dhcp_server_gives() {
    let test = "containers_have_addresses_that_a_dhcp_server_gives";
    let Some((host, podman)) = podman(test) else { return };
    if !DhcpServer::has_dnsmasq(test) {
        return;
    }
    make_lan(&host);
    let options = "--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,2m --dhcp-option=6,9.9.9.9";
    let server = DhcpServer::dnsmasq("router", options);
    std::fs::create_dir_all("/run/podman/networks").expect("networks");
    std::fs::write("/run/podman/networks/lan.json", BY_DHCP).expect("lan.json");
    podman.ok("run -d --name web --network lan busybox sleep 1000");
    let address = podman.address("web", "lan");
    assert!(address.starts_with("192.168.1.1"), "{address}");
    podman.ok(&format!("exec web ping -c 1 -W 5 {OUTSIDE}"));
    assert!(podman.ok("exec web cat /etc/resolv.conf").contains("nameserver 9.9.9.9"));
    assert!(server.log().contains("client provides name: web"), "{}", server.log());
    podman.ok("restart -t 0 web");
    assert_eq!(podman.address("web", "lan"), address);
    let said = host.zubi("lease renew --all --force").ok().out;
    assert!(said.contains(&format!("{address}/24 renewed")), "{said}");
    podman.ok("rm -f -t 0 web");
    podman.ok("run -d --name web --network lan busybox sleep 1000");
    assert_eq!(podman.address("web", "lan"), address);
    podman.ok("rm -f -t 0 web");
    drop(server);
    let answer = podman.podman("run --rm --network lan busybox true");
    assert!(answer.code != 0 && answer.err.contains("no DHCP server answered within 10 s"), "{}", answer.err);
    nothing_stays(&host);
}

fn what_cannot_be_is_told_in_podmans_words() {
    let Some((host, podman)) = podman("what_cannot_be_is_told_in_podmans_words") else { return };
    podman.ok("network create -d macvlan --subnet 10.55.66.0/24 -o parent=lo lan");
    let answer = podman.podman("run --rm --network lan busybox true");
    assert!(answer.code != 0 && answer.err.contains("is the loopback device"), "{}", answer.err);
    assert!(!answer.err.contains("unknown field") && !answer.err.contains("decode"), "{}", answer.err);
    podman.ok("network create --subnet 10.55.77.0/24 blue");
    podman.ok("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000");
    nothing_of_the_second(&host, &podman);
    podman.ok("rm -f -t 0 c1");
    nothing_stays(&host);
}

/// A failed setup leaves nothing.
fn nothing_of_the_second(host: &Host, podman: &Podman) {
    let before = host.shell("ip -o link | wc -l; find /run/zubi -name '*.json' | sort").out;
    host.zubi("network create other --subnet 10.55.88.0/24").ok();
    host.zubi("sandbox add taken").ok();
    host.zubi("connect other taken -p 9090:90").ok();
    let answer = podman.podman("run -d --name c2 --network blue -p 9090:80 busybox sleep 1000");
    assert!(answer.code != 0 && answer.err.contains("taken"), "the owner is named: {}", answer.err);
    podman.ok("rm -f -t 0 --ignore c2");
    host.zubi("sandbox rm taken").ok();
    host.zubi("network rm other").ok();
    host.wait_for(&format!(
        "test \"$(ip -o link | wc -l; find /run/zubi -name '*.json' | sort)\" = \"{}\"",
        before.trim()
    ));
}

fn thirty_start_at_once() {
    let Some((host, podman)) = podman("thirty_start_at_once") else { return };
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    let mut children: Vec<_> = (0..30)
        .map(|n| {
            let words = format!("run -d --name c{n} --network blue -p {}:80 busybox sleep 1000", 9000 + n);
            podman.command(&words).spawn().expect("podman")
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().expect("podman").success());
    }
    let addresses: BTreeSet<String> = (0..30).map(|n| podman.address(&format!("c{n}"), "blue")).collect();
    assert_eq!(addresses.len(), 30);
    assert_eq!(host.zubi("ls").ok().out.lines().count(), 31);
    host.zubi("check").ok();
    podman.ok("rm -f -t 0 --all");
    nothing_stays(&host);
}

fn pods_and_kube_definitions_run() {
    let Some((host, podman)) = podman("pods_and_kube_definitions_run") else { return };
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    let definition = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: server\n    \
                      image: localhost/busybox\n    command: ['/bin/sleep', '1000']\n    securityContext:\n      \
                      capabilities:\n        add: [NET_RAW]\n    ports:\n    - containerPort: 80\n      \
                      hostPort: 8080\n";
    let played = podman.play_kube(definition);
    assert_eq!(played.code, 0, "{}", played.err);
    podman.ok("exec web-server /bin/ping -c 1 -W 5 127.0.0.1");
    assert!(host.zubi("port ls").ok().out.contains("8080"));
    podman.ok("pod rm -f -t 0 web");
    nothing_stays(&host);
}

fn one_network_for_podman_cni_and_processes() {
    let Some((host, podman)) = podman("one_network_for_podman_cni_and_processes") else { return };
    host.zubi("network create blue --subnet 10.55.66.0/24").ok();
    podman.ok("network create --ipam-driver none --label zubi.network=blue shared");
    podman.ok("run -d --name c1 --network shared:ip=10.55.66.9 busybox sleep 1000");
    let plugins = links(ZUBI, "/run/plugins", &zubi_lab::PLUGINS);
    let mut chain = zubi_lab::Chain::new(
        &zubi_lab::Caller::new(plugins).with_env(STATE.0, STATE.1),
        serde_json::json!({"cniVersion": "1.0.0", "name": "any", "plugins": [{"type": "zubi", "network": "blue"}]}),
    );
    host.shell("ip netns add c2").ok();
    let at = zubi_lab::Attachment::new("c2", "c2");
    let address = chain.add(&at).ok().addresses().remove(0);
    let address = address.split('/').next().expect("address").to_owned();
    podman.ok(&format!("exec c1 ping -c 1 -W 5 {address}"));
    host.container("c3", "blue");
    host.shell("ip netns exec c3 ping -c 1 -W 5 10.55.66.9").ok();
    host.shell("ip netns exec c2 ping -c 1 -W 5 10.55.66.9").ok();
    // The error for a taken address names its owner.
    let answer = podman.podman(&format!("run -d --name c4 --network shared:ip={address} busybox sleep 1000"));
    assert!(answer.code != 0 && answer.err.contains("cni:"), "{}", answer.err);
    podman.ok("rm -f -t 0 --ignore c4");
    podman.ok("rm -f -t 0 c1");
    chain.del(&at).ok();
    host.zubi("sandbox rm c3").ok();
    host.zubi("check").ok();
    host.zubi("network rm blue").ok();
    nothing_stays(&host);
}

fn a_user_without_root_has_networks_of_their_own() {
    let test = "a_user_without_root_has_networks_of_their_own";
    if let Some(why) = Podman::missing_rootless() {
        return skip(test, &format!("needs {why}"));
    }
    let host = Host::new(ZUBI);
    // Podman hides /run from its helpers, and the user must be able to read them.
    zubi_lab::cover("/srv").expect("/srv");
    let folder = format!("{}/helpers", Podman::HOME);
    host.shell(&format!(
        "mkdir -p {folder} && cp {ZUBI} {folder}/netavark && cp {ZUBI} {folder}/aardvark-dns && chmod -R a+rX {}",
        Podman::HOME
    ))
    .ok();
    // Hide Debian's netavark, which Podman would use if it did not find ours.
    let theirs = format!("{}/netavark", Podman::HELPERS);
    host.shell(&format!("test ! -e {theirs} || mount --bind /dev/null {theirs}")).ok();
    // From Debian 13 on, this helper of Podman is in another folder than the rest.
    let moved = "/usr/libexec/podman/rootlessport";
    host.shell(&format!("test ! -e {moved} || ln -s {moved} {folder}/")).ok();
    let config = PodmanConfig::new(Backend::Netavark { helpers: folder.into() });
    let podman = Podman::start_rootless(config).unwrap_or_else(|why| panic!("{why}"));
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    podman.ok("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000");
    podman.ok("run -d --name c2 --network blue busybox sleep 1000");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");
    podman.ok("exec -d c1 nc -l -p 80 -e echo served");
    host.wait_for("test \"$(busybox nc -w 2 127.0.0.1 8080)\" = served");
    // Nothing of this is visible on the host.
    assert_eq!(host.shell("ip -br link show type bridge").ok().out, "");
    podman.ok(&format!("exec c2 ping -c 1 -W 5 {}", podman.address("c1", "blue")));
    podman.ok("network disconnect blue c2");
    podman.ok("network connect blue c2");
    podman.ok("exec c2 ping -c 1 -W 5 10.55.66.1");
    podman.ok("restart -t 0 c1");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");
    podman.ok("rm -f -t 0 c1 c2");
    // Podman has deleted the namespace of the networks and makes another one.
    podman.ok("run -d --name c3 --network blue busybox sleep 1000");
    podman.ok("exec c3 ping -c 1 -W 5 10.55.66.1");
    podman.ok("restart -t 0 c3");
    podman.ok("exec c3 ping -c 1 -W 5 10.55.66.1");
    podman.ok("rm -f -t 0 c3");
    podman.ok("network rm blue");
}

zubi_lab::root_tests!(
    a_container_is_wired_and_unwired,
    networks_come_go_and_are_loaded_again,
    firewall_rules_come_back_with_a_reload,
    isolated_networks_do_not_reach_each_other,
    internal_networks_have_no_way_out,
    options_reach_the_device,
    containers_are_on_the_lan_by_macvlans,
    containers_have_addresses_that_a_dhcp_server_gives,
    what_cannot_be_is_told_in_podmans_words,
    thirty_start_at_once,
    pods_and_kube_definitions_run,
    one_network_for_podman_cni_and_processes,
    a_user_without_root_has_networks_of_their_own,
);
