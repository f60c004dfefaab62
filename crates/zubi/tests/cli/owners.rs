//! Who is behind the ports of bridges that zubi did not make.

use serde_json::{Value, json};
use zubi_lab::{Host, Loner};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// A host with a bridge that somebody made by hand.
fn with_bridge() -> Host {
    let host = Host::new(ZUBI);
    host.shell("ip link add br9 type bridge && ip link set br9 up").ok();
    host
}

/// A port of the bridge whose other end is eth0 of a named namespace.
fn named_port(host: &Host, port: &str, netns: &str) {
    host.shell(&format!("ip netns add {netns} && ip link add {port} type veth peer eth0 netns {netns}")).ok();
    host.shell(&format!("ip link set {port} master br9 up && ip -n {netns} link set eth0 up")).ok();
}

/// The same in the namespace of a process.
fn process_port(host: &Host, port: &str, pid: u32) {
    host.shell(&format!("ip link add {port} type veth peer name eth0 netns {pid}")).ok();
    host.shell(&format!("ip link set {port} master br9 up")).ok();
}

fn ports(host: &Host) -> Vec<Value> {
    let told = host.zubi("--json bridge show br9").ok().json();
    told[0]["ports"].as_array().expect("ports").clone()
}

fn port(host: &Host, device: &str) -> Value {
    ports(host).into_iter().find(|port| port["device"] == device).unwrap_or_else(|| panic!("no port {device}"))
}

fn a_port_of_a_bridge_made_by_hand_has_a_named_namespace_behind_it() {
    let host = with_bridge();
    named_port(&host, "v9", "c9");
    let seen = port(&host, "v9");
    assert_eq!((&seen["owner"]["text"], &seen["ifname"]), (&json!("c9"), &json!("eth0")));
    assert_eq!(seen["sandbox"], json!(null));
    let told = host.zubi("bridge").ok();
    assert!(told.out.contains("c9 eth0"), "{}", told.out);
}

fn a_port_has_the_process_of_an_unnamed_namespace_behind_it() {
    let host = with_bridge();
    let loner = Loner::new();
    process_port(&host, "v8", loner.pid());
    let owner = port(&host, "v8")["owner"].clone();
    assert_eq!((&owner["kind"], &owner["pid"]), (&json!("process"), &json!(loner.pid())));
    assert_eq!((&owner["command"], &owner["namespace"]), (&json!("sleep"), &json!(null)));
    let told = host.zubi("bridge show br9").ok();
    assert!(told.out.contains(&format!("pid:{} (sleep) eth0", loner.pid())), "{}", told.out);
}

fn each_of_many_namespaces_with_the_same_indexes_has_its_own_port() {
    let host = with_bridge();
    // More than are open at a time.
    for n in 0..20 {
        named_port(&host, &format!("v{n}"), &format!("c{n}"));
    }
    for port in ports(&host) {
        let expected = port["device"].as_str().expect("name").replace('v', "c");
        assert_eq!(port["owner"]["text"], json!(expected));
    }
}

fn a_namespace_that_only_an_open_file_keeps_is_hidden() {
    let host = with_bridge();
    named_port(&host, "v9", "c9");
    let path = "/run/netns/c9";
    // Open, it lives on without its name, and nothing in /proc/*/ns leads to it.
    let open = std::fs::File::open(path).expect("namespace");
    host.shell("ip netns del c9").ok();
    assert_eq!(port(&host, "v9")["owner"]["kind"], json!("hidden"));
    let told = host.zubi("peer v9").ok();
    assert!(told.out.contains("no process and no name"), "{}", told.out);
    drop(open);
}

fn a_pair_of_the_host_itself_is_the_host_s() {
    let host = with_bridge();
    host.shell("ip link add v7 type veth peer name v7b && ip link set v7 master br9").ok();
    let seen = port(&host, "v7");
    assert_eq!((&seen["owner"]["kind"], &seen["ifname"]), (&json!("host"), &json!("v7b")));
    // Nobody has it open. Without /dev/net/tun there is none.
    if host.shell("ip tuntap add dev d0 mode tap && ip link set d0 master br9").code == 0 {
        assert_eq!(port(&host, "d0")["owner"], json!(null));
    }
}

fn a_tap_device_has_the_process_that_opened_it_behind_it() {
    let host = with_bridge();
    let script = "import fcntl,struct,sys,time\n\
        f=open('/dev/net/tun','r+b',buffering=0)\n\
        fcntl.ioctl(f,0x400454ca,struct.pack('16sH',b'vnet0',0x1002))\n\
        time.sleep(1000)";
    let mut machine = match std::process::Command::new("python3").args(["-c", script]).spawn() {
        Ok(child) => child,
        Err(e) => return zubi_lab::skip("a_tap_device_has_the_process_that_opened_it_behind_it", &e.to_string()),
    };
    let made = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        host.shell("ip link show vnet0").code == 0
    });
    if made {
        host.shell("ip link set vnet0 master br9 up").ok();
        assert_eq!(port(&host, "vnet0")["owner"]["pid"], json!(machine.id()));
    }
    machine.kill().expect("kill");
    machine.wait().expect("wait");
    if !made {
        zubi_lab::skip("a_tap_device_has_the_process_that_opened_it_behind_it", "needs /dev/net/tun");
    }
}

fn bridge_ids_and_spanning_trees_are_those_of_the_kernel() {
    let host = with_bridge();
    host.shell("ip link set br9 address 02:42:0a:01:00:01 type bridge priority 4096 stp_state 1").ok();
    let told = host.zubi("--json bridge show br9").ok().json();
    assert_eq!((&told[0]["id"], &told[0]["stp"]), (&json!("1000.02420a010001"), &json!(true)));
    let text = host.zubi("bridge ls br9").ok().out;
    assert!(text.contains("1000.02420a010001  yes"), "{text}");
}

fn endpoints_of_ours_keep_their_sandbox_beside_ports_of_others() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    host.shell("ip netns add c9 && ip link add v9 type veth peer eth0 netns c9 && ip link set v9 master zb-blue").ok();
    let told = host.zubi("--json bridge show zb-blue").ok().json();
    let texts: Vec<&Value> = told[0]["ports"].as_array().expect("ports").iter().map(|p| &p["owner"]["text"]).collect();
    assert!(texts.contains(&&json!("c1")) && texts.contains(&&json!("c9")), "{texts:?}");
}

fn the_forwarding_entry_of_a_neighbour_names_its_owner() {
    let host = with_bridge();
    named_port(&host, "v9", "c9");
    host.shell("ip addr add 10.9.0.1/24 dev br9 && ip -n c9 addr add 10.9.0.9/24 dev eth0").ok();
    host.wait_for("ping -c 1 -W 1 10.9.0.9");
    let mac = host.shell("ip netns exec c9 cat /sys/class/net/eth0/address").ok().out.trim().to_owned();
    let told = host.zubi("--json bridge fdb br9").ok().json();
    let entries = told.as_array().expect("entries");
    let learned = entries.iter().find(|e| e["mac"] == json!(mac)).unwrap_or_else(|| panic!("{told}"));
    assert_eq!((&learned["port"], &learned["kind"]), (&json!("v9"), &json!("learned")));
    assert_eq!(learned["owner"]["text"], json!("c9"));
    assert!(entries.iter().all(|e| !e["mac"].as_str().expect("mac").starts_with("33:33")), "{told}");
    let local = entries.iter().find(|e| e["kind"] == "local").expect("the host's own");
    assert_eq!(local["owner"]["kind"], json!("host"));
    // An entry that somebody writes.
    host.shell("bridge fdb add 02:00:00:00:00:09 dev v9 master static").ok();
    let text = host.zubi("bridge fdb br9").ok().out;
    let line = text.lines().find(|line| line.contains("02:00:00:00:00:09")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("static") && line.ends_with("c9"), "{line}");
}

fn peer_tells_device_owner_and_addresses_of_the_other_end() {
    let host = with_bridge();
    named_port(&host, "v9", "c9");
    host.shell("ip -n c9 addr add 10.9.0.9/24 dev eth0").ok();
    let told = host.zubi("--json peer v9").ok().json();
    assert_eq!((&told["master"], &told["owner"]["text"]), (&json!("br9"), &json!("c9")));
    assert_eq!((&told["peer"]["device"], &told["peer"]["ifindex"]), (&json!("eth0"), &json!(2)));
    assert!(told["peer"]["addresses"].as_array().expect("list").contains(&json!("10.9.0.9/24")), "{told}");
    let text = host.zubi("peer v9").ok().out;
    assert!(text.contains("eth0@2 of c9 up") && text.contains("10.9.0.9/24"), "{text}");
}

fn peer_refuses_what_has_no_other_end() {
    let host = with_bridge();
    host.zubi("peer nowhere").fails(3, "device nowhere does not exist on this host");
    host.zubi("peer br9").fails(2, "device br9 is a bridge, not a veth");
    host.zubi("peer lo").fails(2, "not a veth");
    host.zubi("bridge show nowhere").fails(3, "device nowhere does not exist on this host");
    host.zubi("bridge fdb lo").fails(2, "not a bridge");
}

fn ls_all_lists_what_is_on_bridges_of_others() {
    let host = with_bridge();
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    named_port(&host, "v9", "c9");
    host.shell("ip -n c9 addr add 10.9.0.9/24 dev eth0").ok();
    let devices = |words: &str| -> Vec<String> {
        let all = host.zubi(words).ok().json();
        all.as_array().expect("list").iter().map(|e| format!("{} {}", e["sandbox"], e["bridge"])).collect()
    };
    assert_eq!(devices("--json ls"), [r#""c1" "zb-blue""#]);
    assert_eq!(devices("--json ls --all"), [r#""c1" "zb-blue""#, r#""c9" "br9""#]);
    let text = host.zubi("ls -a").ok().out;
    assert!(text.contains("(br9)") && text.contains("10.9.0.9/24"), "{text}");
}

fn looking_changes_nothing() {
    let host = with_bridge();
    named_port(&host, "v9", "c9");
    let state = "ip -o addr; ip -o link; ip route; nft list ruleset; ls /run/netns";
    let settled = || host.shell(state).ok().out;
    // The kernel notices carriers and makes link-local addresses a moment later.
    let known = |device: &str| format!("ip -6 addr show dev {device} | grep -q inet6");
    host.wait_for(&format!("{} && {} && ! ip -6 addr | grep -q tentative", known("v9"), known("br9")));
    let before = settled();
    for words in ["bridge", "bridge fdb", "ls --all", "peer v9"] {
        host.zubi(words).ok();
    }
    assert_eq!(settled(), before);
}

zubi_lab::tests!(
    a_port_of_a_bridge_made_by_hand_has_a_named_namespace_behind_it,
    a_port_has_the_process_of_an_unnamed_namespace_behind_it,
    each_of_many_namespaces_with_the_same_indexes_has_its_own_port,
    a_namespace_that_only_an_open_file_keeps_is_hidden,
    a_pair_of_the_host_itself_is_the_host_s,
    a_tap_device_has_the_process_that_opened_it_behind_it,
    bridge_ids_and_spanning_trees_are_those_of_the_kernel,
    endpoints_of_ours_keep_their_sandbox_beside_ports_of_others,
    the_forwarding_entry_of_a_neighbour_names_its_owner,
    peer_tells_device_owner_and_addresses_of_the_other_end,
    peer_refuses_what_has_no_other_end,
    ls_all_lists_what_is_on_bridges_of_others,
    looking_changes_nothing,
);
