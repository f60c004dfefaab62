//! What each command does, and what `check` finds and `repair` puts right.

use crate::blue::{BOTH, ZUBI, blue};
use serde_json::json;
use zubi_lab::{Answer, Host, Loner, Outside, Snapshot, assert_reaches};

// run

fn run_without_a_network_uses_the_default_one_on_zubi0() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.shell("ip link show zubi0").fails(1, "");
    host.zubi("run -- ping -n -q -c 1 -W 1 192.0.2.2").ok();
    host.shell("ip link show zubi0 type bridge").ok();
    let names = host.zubi("--json network ls").ok().json();
    assert_eq!((&names[0]["Name"], names.as_array().expect("list").len()), (&json!("default"), 1));
    host.zubi("run -- ping -n -q -c 1 -W 1 192.0.2.2").ok();
    assert_eq!(host.zubi("--json network ls").ok().json().as_array().expect("list").len(), 1);
}

fn run_none_has_a_loopback_that_is_up_and_nothing_else() {
    let host = Host::new(ZUBI);
    let out = host.zubi("run --network none -- ip -br link").ok().out;
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.starts_with("lo ") && out.contains("LOOPBACK,UP"), "{out}");
    assert_eq!(host.zubi("run --network none -- ip route").ok().out, "");
    host.zubi("run --network none -- ping -n -q -c 1 -W 1 127.0.0.1").ok();
}

fn run_host_shares_the_host_s_network() {
    let host = Host::new(ZUBI);
    let own = host.shell("readlink /proc/self/ns/net").ok().out;
    assert_eq!(host.zubi("run --network host -- readlink /proc/self/ns/net").ok().out, own);
}

fn run_container_shares_that_of_a_sandbox() {
    let host = blue();
    host.container("c1", "blue");
    let theirs = host.zubi("sandbox exec c1 -- readlink /proc/self/ns/net").ok().out;
    assert_eq!(host.zubi("run --network container:c1 -- readlink /proc/self/ns/net").ok().out, theirs);
    assert!(host.zubi("run --network container:c1 -- ip -br addr").ok().out.contains("10.55.66.2/24"));
    assert_reaches("host", "c1", "10.55.66.2");
}

fn run_on_a_network_reaches_its_containers() {
    let host = blue();
    let c1 = host.container("c1", "blue");
    host.zubi(&format!("run --network blue -- ping -n -q -c 1 -W 1 {c1}")).ok();
    host.zubi("run --network blue -- ping -n -q -c 1 -W 1 fd00:55::2").ok();
}

fn run_passes_the_exit_code_through() {
    let host = blue();
    for model in ["none", "host", "blue"] {
        let answer = host.zubi_words(&["run", "--network", model, "--", "sh", "-c", "echo out; echo err >&2; exit 42"]);
        assert_eq!((answer.code, answer.out.as_str(), answer.err.as_str()), (42, "out\n", "err\n"), "{model}");
    }
}

fn run_passes_the_signal_through_as_shells_do() {
    let host = blue();
    assert_eq!(host.zubi_words(&["run", "--network", "blue", "--", "sh", "-c", "kill -TERM $$"]).code, 128 + 15);
}

fn run_says_as_shells_do_that_a_command_is_missing() {
    let host = blue();
    let before = Snapshot::take();
    host.zubi("run --network blue -- no-such-command").fails(127, "no-such-command");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn run_cleans_up_when_its_command_has_ended() {
    let host = blue();
    let before = Snapshot::take();
    host.zubi("run --network blue -- true").ok();
    host.zubi("run --network none -- false").fails(1, "");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn run_detached_prints_the_name_and_goes_on() {
    let host = blue();
    let answer = host.zubi("run -d --name web --network blue -- sleep 1000").ok();
    assert_eq!(answer.out, "web\n");
    assert_reaches("host", "web", "10.55.66.2");
    let listed = host.zubi("--json sandbox ls").ok().json();
    assert_eq!((&listed[0]["name"], &listed[0]["maker"]), (&json!("web"), &json!("run")));
}

fn sandbox_rm_force_ends_a_detached_run() {
    let host = blue();
    let before = Snapshot::take();
    host.zubi("run -d --name web --network blue -- sleep 1000").ok();
    host.zubi("sandbox rm web").fails(4, "--force");
    host.zubi("sandbox rm --force web").ok();
    host.wait_for("! pgrep -x sleep >/dev/null && ! ip netns list | grep -q web");
    host.wait_for("test ! -e /run/zubi/sandboxes/web.json");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn run_on_two_networks_has_two_devices() {
    let host = blue();
    host.network("green --subnet 10.77.88.0/24");
    let out = host.zubi("run --network blue --network green -- ip -br addr").ok().out;
    assert!(out.contains("10.55.66.2/24") && out.contains("10.77.88.2/24"), "{out}");
}

// several networks

fn three_networks() -> Host {
    let host = Host::new(ZUBI);
    host.network("inner --subnet 10.1.0.0/24 --internal");
    host.network("blue --subnet 10.2.0.0/24");
    host.network("green --subnet 10.3.0.0/24");
    host.zubi("sandbox add c1").ok();
    for network in ["inner", "blue", "green"] {
        host.connect(&format!("{network} c1"));
    }
    host
}

fn default_route(host: &Host) -> String {
    host.shell("ip -n c1 route show default").ok().out.split(" proto").next().unwrap_or_default().trim().to_owned()
}

fn providers(host: &Host) -> Vec<String> {
    let all = host.zubi("--json ls").ok().json();
    let gives = |e: &&serde_json::Value| e["default_route"].as_array().is_some_and(|f| !f.is_empty());
    let endpoints = all.as_array().expect("list");
    endpoints.iter().filter(gives).map(|e| e["network"].as_str().expect("name").to_owned()).collect()
}

fn devices_are_numbered_in_order() {
    let host = three_networks();
    let all = host.zubi("--json ls").ok().json();
    let devices: Vec<&str> =
        all.as_array().expect("list").iter().map(|e| e["ifname"].as_str().expect("name")).collect();
    assert_eq!(devices, ["eth0", "eth1", "eth2"]);
}

fn the_oldest_network_with_a_way_out_gives_the_default_route() {
    let host = three_networks();
    assert_eq!(default_route(&host), "default via 10.2.0.1 dev eth1");
    assert_eq!(providers(&host), ["blue"]);
}

fn disconnecting_the_provider_moves_the_default_route() {
    let host = three_networks();
    let _outside = Outside::new();
    host.zubi("disconnect blue c1").ok();
    assert_eq!(default_route(&host), "default via 10.3.0.1 dev eth2");
    assert_eq!(providers(&host), ["green"]);
    assert_reaches("c1", "outside", Outside::V4);
    host.zubi("check").ok();
    host.zubi("disconnect green c1").ok();
    assert_eq!(default_route(&host), "");
}

fn the_default_routes_of_two_families_move_to_two_networks() {
    let host = blue();
    let _outside = Outside::new();
    host.network("four --subnet 10.4.0.0/24");
    host.network("six --subnet fd00:6::/64");
    host.zubi("sandbox add c1").ok();
    for network in ["blue", "six", "four"] {
        host.connect(&format!("{network} c1"));
    }
    let default_route6 = || {
        let all = host.shell("ip -n c1 -6 route show default").ok().out;
        all.lines().map(|l| l.split(" proto").next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(default_route(&host), "default via 10.55.66.1 dev eth0");
    assert_eq!(default_route6(), ["default via fd00:55::1 dev eth0"]);
    assert_eq!(providers(&host), ["blue"]);
    host.zubi("disconnect blue c1").ok();
    assert_eq!(default_route(&host), "default via 10.4.0.1 dev eth2");
    assert_eq!(default_route6(), ["default via fd00:6::1 dev eth1"]);
    let mut givers = providers(&host);
    givers.sort();
    assert_eq!(givers, ["four", "six"]);
    for address in [Outside::V4, Outside::V6] {
        assert_reaches("c1", Outside::NAME, address);
    }
    host.zubi("check").ok();
}

fn a_network_that_comes_later_does_not_take_the_default_route() {
    let host = three_networks();
    host.zubi("disconnect blue c1").ok();
    host.connect("blue c1");
    assert_eq!(default_route(&host), "default via 10.3.0.1 dev eth2");
    assert_eq!(providers(&host), ["green"]);
}

fn without_default_route_a_network_never_gives_it() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    host.connect("blue c1 --no-default-route");
    assert_eq!(default_route(&host), "");
    assert_eq!(host.shell("ip -n c1 -6 route show default").ok().out, "");
    assert!(providers(&host).is_empty());
    host.zubi("check").ok();
}

fn a_foreign_default_route_stays() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    host.shell(
        "ip -n c1 link add own type bridge && ip -n c1 link set own up && ip -n c1 addr add 10.9.0.2/24 dev own",
    )
    .ok();
    host.shell("ip -n c1 addr add fd00:9::2/64 dev own nodad && ip -n c1 -6 route add default via fd00:9::1").ok();
    host.shell("ip -n c1 route add default via 10.9.0.1").ok();
    host.connect("blue c1");
    assert_eq!(default_route(&host), "default via 10.9.0.1 dev own");
    let six = host.shell("ip -n c1 -6 route show default").ok().out;
    assert!(six.lines().count() == 1 && six.contains("fd00:9::1"), "{six}");
    assert!(providers(&host).is_empty(), "ls must not claim what is not so");
    host.zubi("check").ok();
}

// connecting and disconnecting again

fn connecting_again_gives_the_same_answer() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    let mut first = host.zubi("--json connect blue c1").ok().json();
    assert_eq!(first["existing"], false);
    let before = Snapshot::take();
    first["existing"] = json!(true);
    assert_eq!(host.zubi("--json connect blue c1").ok().json(), first);
    before.assert_no_residue(&Snapshot::take());
}

fn connecting_again_with_other_wishes_names_the_difference() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    host.connect("blue c1 --ip 10.55.66.9 --mac 02:00:00:00:00:09 --alias one --route 10.9.0.0/16,10.55.66.1");
    let before = Snapshot::take();
    for (wish, word) in [
        ("--ip 10.55.66.10", "another address: it has 10.55.66.9"),
        ("--ip fd00:55::77", "another address"),
        ("--mac 02:00:00:00:00:10", "another MAC: it has 02:00:00:00:00:09"),
        ("--ifname net0", "another device name: it has eth0"),
        ("--alias two", "another set of aliases: it has one"),
        ("--route 10.8.0.0/16,10.55.66.1", "another set of routes: it has 10.9.0.0/16,10.55.66.1"),
        ("--no-default-route", "default route"),
    ] {
        host.zubi(&format!("connect blue c1 {wish}")).fails(4, word);
    }
    before.assert_no_residue(&Snapshot::take());
}

fn disconnecting_what_is_gone_succeeds() {
    let host = blue();
    host.container("c1", "blue");
    host.zubi("disconnect blue c1").ok();
    let state = |answer: Answer| answer.ok().json()["state"].clone();
    assert_eq!(state(host.zubi("--json disconnect blue c1")), "was-not-connected");
    assert_eq!(state(host.zubi("--json disconnect blue nobody")), "was-not-connected");
    host.zubi("disconnect nowhere c1").fails(3, "network nowhere does not exist");
    assert_eq!(state(host.zubi("--json disconnect blue pid:999999")), "was-not-connected");
    assert_eq!(state(host.zubi("--json disconnect blue /run/no/such/path")), "was-not-connected");
}

fn disconnect_without_namespace_frees_everything() {
    let host = blue();
    let before = Snapshot::take();
    host.container("c1", "blue");
    host.shell("ip netns del c1").ok();
    let answer = host.zubi("--json disconnect blue c1").ok().json();
    assert_eq!(answer["state"], "disconnected");
    host.zubi("gc").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn disconnect_without_bridge_frees_everything() {
    let host = Host::new(ZUBI);
    let before = Snapshot::take();
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    host.shell("ip link del zb-blue").ok();
    host.zubi("disconnect blue c1").ok();
    host.zubi("sandbox rm c1").ok();
    host.zubi("network rm blue").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn names_of_one_namespace_are_one_sandbox() {
    let host = blue();
    let loner = Loner::new();
    let pid = loner.pid();
    host.zubi(&format!("sandbox add web --from pid:{pid}")).ok();
    let first = host.zubi("--json connect blue web").ok().json();
    for name in [format!("pid:{pid}"), format!("/proc/{pid}/ns/net"), "/run/netns/web".to_owned()] {
        let again = host.zubi(&format!("--json connect blue {name}")).ok().json();
        assert_eq!((&again["existing"], &again["addresses"]), (&json!(true), &first["addresses"]), "{name}");
    }
    assert_eq!(host.zubi("--json ls").ok().json().as_array().expect("list").len(), 1);
    host.zubi(&format!("disconnect blue /proc/{pid}/ns/net")).ok();
    assert_eq!(host.zubi("--json ls").ok().json(), json!([]));
}

fn a_sandbox_has_one_name_however_it_is_called() {
    let host = blue();
    host.network("green --subnet 10.55.67.0/24");
    let loner = Loner::new();
    let pid = loner.pid();
    let names = || {
        let listed = host.zubi("--json ls").ok().json();
        listed.as_array().expect("list").iter().map(|e| e["sandbox"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    host.connect(&format!("blue pid:{pid}"));
    assert_eq!(names(), [format!("pid:{pid}")]);
    // A name replaces the way, on other networks too.
    host.zubi(&format!("sandbox add web --from pid:{pid}")).ok();
    assert_eq!(host.zubi("--json connect green web").ok().json()["sandbox"], "web");
    assert_eq!(names(), ["web", "web"]);
    // No way replaces the name, and no second name.
    host.zubi(&format!("disconnect green pid:{pid}")).ok();
    host.zubi(&format!("sandbox add other --from pid:{pid}")).ok();
    for called in [format!("pid:{pid}"), format!("/proc/{pid}/ns/net"), "other".to_owned()] {
        let connected = host.zubi(&format!("--json connect green {called}")).ok().json();
        assert_eq!((names(), &connected["sandbox"]), (vec!["web".to_owned(); 2], &json!("web")), "{called}");
        host.zubi(&format!("disconnect green {called}")).ok();
    }
    let bridge = host.zubi("bridge").ok().out;
    assert!(bridge.contains("web") && !bridge.contains("pid:"), "{bridge}");
    let inspected = host.zubi("network inspect blue").ok().out;
    assert!(inspected.contains("\"web\"") && !inspected.contains("pid:"), "{inspected}");
    host.shell("ip -n web link set eth0 down").ok();
    assert!(host.zubi("check").fails(1, "").out.contains("endpoint of web on network blue"));
    assert_eq!(host.shell("ls /run/zubi/names/blue").ok().out, "web\n");
}

fn an_endpoint_of_the_dead_is_disconnected_by_name_and_by_the_way_it_was_reached() {
    let host = blue();
    host.network("green --subnet 10.55.67.0/24");
    let loner = Loner::new();
    let pid = format!("pid:{}", loner.pid());
    host.zubi(&format!("sandbox add web --from {pid}")).ok();
    for network in ["green", "blue"] {
        host.zubi(&format!("connect {network} web")).ok();
        host.zubi(&format!("disconnect {network} web")).ok();
        host.connect(&format!("{network} {pid}"));
    }
    host.zubi("connect blue web").ok();
    host.zubi("sandbox rm web").ok();
    loner.die();
    host.wait_for("! ip link show master zb-blue | grep -q .");
    for (network, called) in [("blue", "web"), ("green", &*pid)] {
        let answer = host.zubi(&format!("--json disconnect {network} {called}")).ok().json();
        assert_eq!(answer["state"], "disconnected", "{called}");
    }
    assert_eq!(host.shell("ls /run/zubi/names/*").ok().out.matches("web").count(), 0);
}

fn a_namespace_made_again_is_found_and_connected_again() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/30");
    host.shell("ip netns add c1").ok();
    let old = host.connect("blue c1");
    host.shell("ip netns del c1 && ip netns add c1").ok();
    let found = host.zubi("check").fails(1, "").out;
    assert!(found.contains("endpoint of c1 on network blue: c1 was started again"), "{found}");
    // The pool has a single address, so it must be the old one.
    assert_eq!(host.connect("blue c1"), old);
    assert_reaches("host", "c1", &old);
    host.zubi("gc").ok();
    host.zubi("check").ok();
}

fn a_namespace_made_by_ip_netns_is_usable() {
    let host = blue();
    host.shell("ip netns add theirs").ok();
    let address = host.connect("blue theirs");
    assert_reaches("host", "theirs", &address);
}

fn a_sandbox_is_visible_to_ip_netns() {
    let host = blue();
    host.container("c1", "blue");
    assert!(host.shell("ip netns list").ok().out.lines().any(|l| l.starts_with("c1")));
    assert!(host.shell("ip netns exec c1 ip -br addr").ok().out.contains("10.55.66.2/24"));
    host.zubi("sandbox rm c1").ok();
    assert_eq!(host.shell("ip netns list").ok().out, "");
}

fn a_sandbox_from_a_process_outlives_it() {
    let host = blue();
    let loner = Loner::new();
    host.zubi(&format!("sandbox add web --from pid:{}", loner.pid())).ok();
    let address = host.connect("blue web");
    loner.die();
    assert_reaches("host", "web", &address);
}

// wishes

fn routes_lead_where_they_say() {
    let host = blue();
    let router = host.container("router", "blue");
    host.zubi("sandbox add c1").ok();
    host.shell("ip -n router addr add 10.99.0.1/32 dev lo && ip -n router addr add fd00:99::1/128 dev lo").ok();
    host.connect(&format!("blue c1 --no-default-route --route 10.99.0.0/16,{router} --route fd00:99::/48,fd00:55::2"));
    assert_reaches("c1", "router", "10.99.0.1");
    assert_reaches("c1", "router", "fd00:99::1");
    host.zubi("check").ok();
}

fn the_device_has_the_name_that_was_wished() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    host.connect("blue c1 --ifname net7");
    host.shell("ip -n c1 link show net7").ok();
    host.shell("ip -n c1 link show eth0").fails(1, "");
}

fn aliases_show_in_inspect() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    host.connect("blue c1 --alias web --alias www");
    let network = &host.zubi("network inspect blue").ok().json()[0];
    let containers = network["Containers"].as_object().expect("object");
    assert_eq!(containers.values().next().expect("one")["Aliases"], json!(["web", "www"]));
}

fn the_mtu_reaches_bridge_and_container() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --mtu 1400");
    host.container("c1", "blue");
    host.shell("ip link show zb-blue | grep -q 'mtu 1400' && ip -n c1 link show eth0 | grep -q 'mtu 1400'").ok();
}

// output

fn inspect_has_docker_s_field_names() {
    let host = Host::new(ZUBI);
    host.network(&format!("blue {BOTH} --ip-range 10.55.66.128/25 --label a=b"));
    host.container("c1", "blue");
    let all = host.zubi("network inspect blue").ok().json();
    let network = &all[0];
    let keys: Vec<&str> = network.as_object().expect("object").keys().map(String::as_str).collect();
    for key in [
        "Name",
        "Id",
        "Created",
        "Scope",
        "Driver",
        "EnableIPv4",
        "EnableIPv6",
        "IPAM",
        "Internal",
        "Containers",
        "Options",
        "Labels",
    ] {
        assert!(keys.contains(&key), "{key} is not in {keys:?}");
    }
    assert_eq!(network["Labels"], json!({"a": "b"}));
    assert_eq!(
        network["IPAM"]["Config"],
        json!([
            {"Subnet": "10.55.66.0/24", "Gateway": "10.55.66.1", "IPRange": "10.55.66.128/25"},
            {"Subnet": "fd00:55::/64", "Gateway": "fd00:55::1"}
        ])
    );
    let container = network["Containers"].as_object().expect("object").values().next().expect("one");
    assert_eq!(container["Name"], "c1");
    assert_eq!(container["IPv4Address"], "10.55.66.128/24");
    assert_eq!(container["IPv6Address"], "fd00:55::2/64");
    assert_eq!(container["MacAddress"], "02:42:0a:37:42:80");
    assert!(container["EndpointID"].is_string());
}

fn ls_shows_what_an_endpoint_has() {
    let host = blue();
    host.container("c1", "blue");
    let all = host.zubi("--json ls").ok().json();
    let e = &all[0];
    assert_eq!(e["sandbox"], "c1");
    assert_eq!(e["network"], "blue");
    assert_eq!(e["addresses"], json!(["10.55.66.2/24", "fd00:55::2/64"]));
    assert_eq!(e["mac"], "02:42:0a:37:42:02");
    assert_eq!(e["ifname"], "eth0");
    assert_eq!(e["bridge"], "zb-blue");
    assert_eq!(e["default_route"], json!(["v4", "v6"]));
    let device = e["host_device"].as_str().expect("name");
    let number = |line: &str| host.shell(line).ok().out.split(':').next().expect("number").trim().parse::<u32>().ok();
    assert_eq!(e["host_ifindex"].as_u64().map(|n| n as u32), number(&format!("ip -o link show {device}")));
    assert_eq!(e["ifindex"].as_u64().map(|n| n as u32), number("ip -n c1 -o link show eth0"));
}

fn bridge_shows_the_sandbox_behind_each_port() {
    let host = blue();
    host.container("c1", "blue");
    host.shell("ip link add br-other type bridge").ok();
    let all = host.zubi("--json bridge").ok().json();
    let of = |name: &str| all.as_array().expect("list").iter().find(|b| b["bridge"] == name).expect("bridge").clone();
    let blue = of("zb-blue");
    assert_eq!((&blue["network"], &blue["state"]), (&json!("blue"), &json!("up")));
    let port = &blue["ports"][0];
    assert_eq!((&port["sandbox"], &port["ifname"], &port["state"]), (&json!("c1"), &json!("eth0"), &json!("up")));
    assert_eq!((&of("br-other")["network"], &of("br-other")["ports"]), (&json!(null), &json!([])));
}

fn errors_are_json_when_asked() {
    let host = Host::new(ZUBI);
    for (words, code, exit) in [
        ("connect nowhere c1", "not-found", 3),
        ("network create a/b", "usage", 2),
        ("network create blue --subnet 10.0.0.0/32", "usage", 2),
        ("no-such-command", "usage", 2),
    ] {
        let answer = host.zubi(&format!("--json {words}")).fails(exit, "");
        let error: serde_json::Value =
            serde_json::from_str(&answer.err).unwrap_or_else(|e| panic!("{e}: {}", answer.err));
        assert_eq!((&error["error"]["code"], &error["error"]["exit"]), (&json!(code), &json!(exit)), "{words}");
        assert!(error["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{words}");
    }
}

fn check_s_json_names_kind_object_and_fix() {
    let host = blue();
    host.container("c1", "blue");
    assert_eq!(host.zubi("--json check").ok().json(), json!({"problems": []}));
    host.shell("ip -n c1 addr del 10.55.66.2/24 dev eth0").ok();
    let problems = host.zubi("--json check").fails(1, "").json();
    let first = &problems["problems"][0];
    assert_eq!((&first["kind"], &first["fix"]), (&json!("missing"), &json!("zubi repair")));
    assert_eq!(first["object"], "endpoint of c1 on network blue");
}

fn showing_changes_nothing() {
    let host = blue();
    host.container("c1", "blue");
    host.network("empty --subnet 10.33.0.0/24");
    host.zubi("sandbox add c2").ok();
    host.shell("ip netns add theirs").ok();
    host.shell("ip -n c1 addr del 10.55.66.2/24 dev eth0").ok();
    let before = Snapshot::take();
    for command in [
        "network create red --subnet 10.44.0.0/24",
        "network create red --ipv6 --internal --no-icc",
        "network rm empty",
        "network prune",
        "sandbox add c3",
        "sandbox add c3 --from theirs",
        "sandbox rm c2",
        "sandbox rm --force c1",
        "connect blue c2",
        "connect blue c2 --ip 10.55.66.77 --mac random --no-default-route",
        "connect blue c1",
        "disconnect blue c1",
        "run -- true",
        "run --network blue -- true",
        "run --network none -- true",
        "run -d --network blue --name web -- true",
        "repair",
    ] {
        for option in ["--explain", "--dry-run", "--explain --json", "--dry-run --json"] {
            let answer = host.zubi(&format!("{option} {command}")).ok();
            assert!(!answer.out.is_empty() || command == "connect blue c1", "{option} {command} says nothing");
            before.assert_no_residue(&Snapshot::take());
        }
    }
}

fn showing_leaves_leftovers_and_the_dead_alone() {
    let host = blue();
    for name in ["c1", "c2", "c3"] {
        host.zubi(&format!("sandbox add {name}")).ok();
    }
    let c1 = host.connect("blue c1");
    assert_eq!(host.with_env("ZUBI_FAULT", "kill:20").zubi("connect blue c2").code, 137);
    let device = host.zubi("ls --json").ok().json()[0]["host_device"].as_str().expect("device").to_owned();
    host.shell("ip netns del c1").ok();
    host.wait_for(&format!("! ip link show {device}"));
    let before = Snapshot::take();
    for command in [
        &format!("connect blue c3 --ip {c1}"),
        "connect blue c3",
        "disconnect blue c2",
        "network rm blue",
        "gc",
        "repair",
    ] {
        for option in ["--explain", "--dry-run"] {
            host.zubi(&format!("{option} {command}")).ok();
            before.assert_no_residue(&Snapshot::take());
        }
    }
    let shown = host.zubi("--explain gc").ok().out;
    assert!(shown.contains("10.55.66.2 }'") && shown.contains("delete element"), "{shown}");
    // The output of a dry run comes true.
    assert_eq!(host.connect(&format!("blue c3 --ip {c1}")), c1);
}

fn a_command_inside_sees_its_own_devices_and_the_host_s_cgroups() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    // As on every machine with systemd: something is mounted below /sys.
    host.shell(
        "mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/in && mount -t tmpfs none /sys/fs/cgroup/in",
    )
    .ok();
    host.shell("touch /sys/fs/cgroup/mark /sys/fs/cgroup/in/mark").ok();
    for words in ["sandbox exec c1", "run --rm --network none"] {
        let seen = host.zubi(&format!("{words} ls /sys/class/net /sys/fs/cgroup/mark /sys/fs/cgroup/in/mark")).ok().out;
        assert!(!seen.contains("zb-blue"), "{words}: {seen}");
        assert!(seen.contains("/sys/fs/cgroup/mark") && seen.contains("lo"), "{words}: {seen}");
    }
    let own = host.zubi("sandbox exec c1 cat /sys/class/net/eth0/address").ok().out;
    assert_eq!(own.trim(), "02:42:0a:37:42:02");
    // The host's own view is what it was.
    assert!(host.shell("ls /sys/class/net").ok().out.contains("zb-blue"));
}

zubi_lab::tests!(
    a_command_inside_sees_its_own_devices_and_the_host_s_cgroups,
    showing_leaves_leftovers_and_the_dead_alone,
    run_without_a_network_uses_the_default_one_on_zubi0,
    run_none_has_a_loopback_that_is_up_and_nothing_else,
    run_host_shares_the_host_s_network,
    run_container_shares_that_of_a_sandbox,
    run_on_a_network_reaches_its_containers,
    run_passes_the_exit_code_through,
    run_passes_the_signal_through_as_shells_do,
    run_says_as_shells_do_that_a_command_is_missing,
    run_cleans_up_when_its_command_has_ended,
    run_detached_prints_the_name_and_goes_on,
    sandbox_rm_force_ends_a_detached_run,
    run_on_two_networks_has_two_devices,
    devices_are_numbered_in_order,
    the_oldest_network_with_a_way_out_gives_the_default_route,
    disconnecting_the_provider_moves_the_default_route,
    the_default_routes_of_two_families_move_to_two_networks,
    a_network_that_comes_later_does_not_take_the_default_route,
    without_default_route_a_network_never_gives_it,
    a_foreign_default_route_stays,
    connecting_again_gives_the_same_answer,
    connecting_again_with_other_wishes_names_the_difference,
    disconnecting_what_is_gone_succeeds,
    disconnect_without_namespace_frees_everything,
    disconnect_without_bridge_frees_everything,
    names_of_one_namespace_are_one_sandbox,
    a_sandbox_has_one_name_however_it_is_called,
    an_endpoint_of_the_dead_is_disconnected_by_name_and_by_the_way_it_was_reached,
    a_namespace_made_again_is_found_and_connected_again,
    a_namespace_made_by_ip_netns_is_usable,
    a_sandbox_is_visible_to_ip_netns,
    a_sandbox_from_a_process_outlives_it,
    routes_lead_where_they_say,
    the_device_has_the_name_that_was_wished,
    aliases_show_in_inspect,
    the_mtu_reaches_bridge_and_container,
    inspect_has_docker_s_field_names,
    ls_shows_what_an_endpoint_has,
    bridge_shows_the_sandbox_behind_each_port,
    errors_are_json_when_asked,
    check_s_json_names_kind_object_and_fix,
    showing_changes_nothing,
);
