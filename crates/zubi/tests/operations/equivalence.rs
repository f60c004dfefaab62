//! The printed commands are the truth: a shell that runs them on an empty host gets the same state as the executor.
//!
//! Each scenario runs twice. On the first host zubi does the work and prints it with `--verbose`; on the second a shell
//! runs exactly those lines. After each stage `ip`, `bridge`, `nft` and /proc/sys must show the same text on both.
//! Device names and MACs are random, but the lines name them.

use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zubi_lab::{Capability, Host, OpenVswitch, Outside, need, on_another_host, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// A namespace with only a path; the space must survive the shell.
const BOX: &str = "/run/a box";

/// Stands in a scenario's words for the process whose namespace is a sandbox.
const PID: &str = "@PID@";

/// Work between two comparisons: words of zubi, one command each; after `!`, another program's change by a shell.
type Stage<'a> = &'a [&'a str];

/// The commands that a stage printed, and the host's state after it.
struct Told {
    commands: String,
    state: String,
}

/// The host before the first stage: an uplink, a namespace that has only a path, and one that only a process holds.
struct Prepared {
    host: Host,
    inside: Child,
    _outside: Outside,
}

fn prepare() -> Prepared {
    let host = Host::new(ZUBI);
    let outside = Outside::new();
    host.shell(&format!("touch '{BOX}' && unshare --net='{BOX}' true")).ok();
    let inside = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().expect("unshare");
    let own = fs::read_link("/proc/self/ns/net").expect("own namespace");
    let namespace = format!("/proc/{}/ns/net", inside.id());
    let sleeps = format!("/proc/{}/comm", inside.id());
    while fs::read_link(&namespace).expect("its namespace") == own
        || fs::read_to_string(&sleeps).expect("its name").trim() != "sleep"
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    Prepared { host, inside, _outside: outside }
}

fn printed(err: &str) -> String {
    err.lines().filter_map(|l| l.strip_prefix("+ ")).fold(String::new(), |all, line| all + line + "\n")
}

/// The scenario run by zubi.
fn by_zubi(stages: &[Stage<'_>]) -> Vec<Told> {
    let Prepared { host, mut inside, _outside } = prepare();
    let pid = inside.id().to_string();
    let mut told = Vec::new();
    for stage in stages {
        let mut commands = String::new();
        for words in *stage {
            let words = words.replace(PID, &pid);
            if let Some(line) = words.strip_prefix('!') {
                host.shell(line).ok();
                writeln!(commands, "{line}").expect("text");
                continue;
            }
            let mut command = host.command("--verbose");
            // Words in quotes may contain spaces.
            command.args(words.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
                _ => vec![part.to_owned()],
            }));
            let output = command.output().expect("zubi");
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{words}: {err}");
            commands += &printed(&err);
        }
        host.settle();
        told.push(Told { commands: commands.replace(&format!("/proc/{pid}/"), "/proc/@PID@/"), state: state(&pid) });
    }
    inside.kill().expect("end the process");
    inside.wait().expect("end the process");
    told
}

/// The scenario run by a shell with the commands that zubi printed.
fn by_shell(told: &[Told]) -> String {
    let Prepared { host, mut inside, _outside } = prepare();
    let pid = inside.id().to_string();
    let mut states = String::new();
    for Told { commands, .. } in told {
        let commands = commands.replace(PID, &pid);
        fs::write("/run/commands", format!("set -e\n{commands}")).expect("script");
        let answer = host.shell("sh /run/commands");
        assert_eq!(answer.code, 0, "{}\nof:\n{commands}", answer.err);
        states += &state(&pid);
        states.push('\0');
    }
    inside.kill().expect("end the process");
    inside.wait().expect("end the process");
    states
}

/// The scenario run by zubi on a host of its own.
fn told_by_zubi(stages: &[Stage<'_>]) -> Vec<Told> {
    let told = on_another_host(|| {
        by_zubi(stages).into_iter().fold(String::new(), |all, t| all + &t.commands + "\0" + &t.state + "\0")
    });
    let mut parts = told.split('\0');
    let told: Vec<Told> = std::iter::from_fn(|| {
        Some(Told { commands: parts.next().filter(|p| !p.is_empty())?.to_owned(), state: parts.next()?.to_owned() })
    })
    .collect();
    assert_eq!(told.len(), stages.len(), "every stage prints commands");
    told
}

fn assert_equivalent(stages: &[Stage<'_>]) {
    compare(&told_by_zubi(stages));
}

fn compare(told: &[Told]) {
    let states = on_another_host(|| by_shell(told));
    for (at, (by_zubi, by_shell)) in told.iter().zip(states.split('\0')).enumerate() {
        // Counts duplicates: one more copy of a line is a difference too.
        let only = |a: &str, b: &str| {
            let mut rest: Vec<&str> = b.lines().collect();
            a.lines().fold(String::new(), |all, line| match rest.iter().position(|other| *other == line) {
                Some(at) => {
                    rest.swap_remove(at);
                    all
                }
                None => all + line + "\n",
            })
        };
        let (zubi, shell) = (only(&by_zubi.state, by_shell), only(by_shell, &by_zubi.state));
        assert!(
            by_zubi.state == by_shell,
            "stage {at} differs\nby zubi:\n{zubi}\nby the shell:\n{shell}\ncommands:\n{}\nwhole:\n{}\n-- and --\n{by_shell}",
            by_zubi.commands,
            by_zubi.state
        );
    }
}

/// Marks the state of a host that still changes.
const MOVES: &str = "is about to change";

/// Everything that could differ, as text, once the host has come to rest.
fn state(pid: &str) -> String {
    let mut before = String::new();
    for _ in 0..100 {
        let now = read_state(pid);
        if now == before && !now.contains(MOVES) {
            return now;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the host does not come to rest:\n{before}");
}

fn read_state(pid: &str) -> String {
    let mut text = String::new();
    let names = output(&["ip", "netns", "list"]);
    let mut names: Vec<&str> = names.lines().filter_map(|l| l.split_whitespace().next()).collect();
    names.sort_unstable();
    let mut places = vec![("host".to_owned(), "/proc/self/ns/net".to_owned())];
    places.extend(names.iter().map(|n| ((*n).to_owned(), format!("/run/netns/{n}"))));
    places.push((BOX.to_owned(), BOX.to_owned()));
    places.push((PID.to_owned(), format!("/proc/{pid}/ns/net")));
    for (label, path) in places {
        for line in read_place(&format!("--net={path}")) {
            writeln!(text, "{label} {line}").expect("text");
        }
    }
    for mut object in json(&output(&["nft", "-j", "list", "ruleset"])) {
        normalise(&mut object);
        writeln!(text, "nft {object}").expect("text");
    }
    if Path::new("/run/openvswitch/db.sock").exists() {
        let columns = "--columns=name,tag,trunks,vlan_mode,external_ids";
        let ports = output(&["ovs-vsctl", "--format=list", columns, "list", "port"]);
        let mut ports: Vec<&str> = ports.trim_end().split("\n\n").collect();
        ports.sort_unstable();
        writeln!(text, "{}", ports.join("\n")).expect("text");
    }
    text
}

fn read_place(net: &str) -> Vec<String> {
    let (mut lines, mut seen) = (Vec::new(), Vec::new());
    let mut devices = vec!["all".to_owned(), "default".to_owned()];
    // One process reads several kinds of object.
    for (what, batch) in [
        ("ip -j -d", "link\naddr\nroute show table all\nrule\nneigh show nud permanent\n"),
        ("ip -j -d -6", "route show table all\nrule\n"),
        ("bridge -j", "fdb show\n"),
    ] {
        fs::write("/run/questions", batch).expect("questions");
        let words: Vec<&str> =
            ["nsenter", net].into_iter().chain(what.split(' ')).chain(["-b", "/run/questions"]).collect();
        for mut object in json(&output(&words)) {
            // Entries learned from frames: the kernel drops them again.
            if what.starts_with("bridge") && object["state"] != "permanent" {
                continue;
            }
            if object["linkmode"].is_string() {
                devices.extend(object["ifname"].as_str().map(str::to_owned));
                seen.push(object.clone());
            }
            normalise(&mut object);
            lines.push(format!("{what}: {object}"));
        }
    }
    if seen.iter().any(|link| is_about_to_change(link, &seen)) {
        lines.push(MOVES.to_owned());
    }
    for device in &devices[2..] {
        let filters = output(&["nsenter", net, "tc", "filter", "show", "dev", device, "ingress"]);
        lines.extend(filters.lines().map(|line| format!("{device} {line}")));
    }
    let qdiscs = output(&["nsenter", net, "tc", "qdisc", "show"]);
    lines.extend(qdiscs.lines().map(|line| format!("tc {line}")));
    let mut keys = vec!["net/ipv4/ip_forward".to_owned(), "net/ipv4/conf/all/accept_redirects".to_owned()];
    devices.sort_unstable();
    for device in devices {
        for name in [
            "disable_ipv6",
            "accept_ra",
            "accept_dad",
            "forwarding",
            "force_forwarding",
            "autoconf",
            "addr_gen_mode",
            "use_tempaddr",
        ] {
            keys.push(format!("net/ipv6/conf/{device}/{name}"));
        }
        for name in
            ["forwarding", "rp_filter", "route_localnet", "accept_local", "arp_notify", "arp_ignore", "proxy_arp"]
        {
            keys.push(format!("net/ipv4/conf/{device}/{name}"));
        }
    }
    // Some kernels lack some of these.
    let mut command = Command::new("nsenter");
    command.args([net, "grep", "-Hs", "."]).args(keys.iter().map(|k| format!("/proc/sys/{k}")));
    let settings = command.output().expect("grep");
    lines.extend(String::from_utf8_lossy(&settings.stdout).lines().map(str::to_owned));
    // Within a table the kernel orders routes by hash and age.
    lines.sort_unstable();
    lines
}

/// The kernel notices a carrier up to a second late (net/core/link_watch.c); addresses follow from that.
fn is_about_to_change(link: &Value, all: &[Value]) -> bool {
    let up = link["flags"].as_array().is_some_and(|flags| flags.iter().any(|f| f == "UP"));
    let carried = |port: &Value| port["master"] == link["ifname"] && port["operstate"] == "UP";
    match link["linkinfo"]["info_kind"].as_str() {
        Some("bridge") if up => link["operstate"] != if all.iter().any(carried) { "UP" } else { "DOWN" },
        Some("veth") if up => link["operstate"] != "UP",
        _ => false,
    }
}

fn output(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{words:?}: {e}"));
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All objects in a text of several JSON values.
fn json(text: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter() {
        match value.expect("JSON") {
            Value::Array(list) => all.extend(list),
            Value::Object(mut map) => {
                all.extend(map.remove("nftables").and_then(|v| v.as_array().cloned()).unwrap_or_default());
            }
            _ => {}
        }
    }
    all
}

/// Removes sequence numbers, clocks and traffic counters.
fn normalise(value: &mut Value) {
    const VOLATILE: [&str; 8] =
        ["handle", "packets", "bytes", "metainfo", "ifindex", "link_index", "link_netnsid", "fdb_n_learned"];
    match value {
        Value::Object(map) => {
            // That of a device on a card stays unknown unless its carrier changes after it was made: a matter of time.
            let is_on_card = |info: &Value| info["info_kind"] == "macvlan" || info["info_kind"] == "ipvlan";
            if map.get("linkinfo").is_some_and(is_on_card) && map["operstate"] == "UNKNOWN" {
                map.insert("operstate".to_owned(), Value::from("UP"));
            }
            map.retain(|key, _| !VOLATILE.contains(&key.as_str()) && !key.ends_with("_timer"));
            for (key, v) in map.iter_mut() {
                normalise(v);
                // The process on the shell's host has another number.
                if let ("ifalias", Value::String(alias)) = (key.as_str(), &mut *v)
                    && let Some((before, behind)) = alias.split_once("/proc/")
                {
                    *alias = format!("{before}/proc/PID{}", behind.trim_start_matches(|c: char| c.is_ascii_digit()));
                }
                // Hashed with a seed of each set's own.
                if let ("elem", Value::Array(list)) = (key.as_str(), v) {
                    list.sort_by_key(Value::to_string);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(normalise),
        _ => {}
    }
}

fn a_named_sandbox_on_an_ipv4_network() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24", "sandbox add c1"],
        &["connect blue c1"],
        &["disconnect blue c1"],
        &["sandbox rm c1"],
        &["network rm blue"],
    ]);
}

fn a_sandbox_known_by_path_on_a_dual_stack_network() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64"],
        &["connect blue '/run/a box'"],
        &["disconnect blue '/run/a box'"],
        &["network rm blue"],
    ]);
}

fn a_sandbox_known_by_its_process_on_an_ipv6_network() {
    assert_equivalent(&[
        &["network create blue --subnet fd00:55::/64"],
        &["connect blue pid:@PID@"],
        &["disconnect blue pid:@PID@"],
        &["network rm blue"],
    ]);
}

fn published_ports() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64", "sandbox add c1", "sandbox add c2"],
        &["connect blue c1 -p 8080:80 -p 127.0.0.1:9000-9010:9000-9010/udp -p [::]:53:53/udp -p 7000-7002:700-702"],
        &["connect blue c2"],
        &["port add blue c1 8081:80 8100-8103:8100-8103", "port add blue c2 8082:80"],
        &["port rm blue c1 8081:80 7000-7002:700-702", "port rm blue c2 80"],
        &["disconnect blue c1", "disconnect blue c2"],
        &["network rm blue"],
    ]);
}

fn pairs_made_by_hand_that_are_taken_over() {
    let pair = |host: &str, inside: &str, sandbox: &str, number: u32| {
        format!(
            "!ip link add {host} address 02:00:00:00:01:0{number} type veth peer name {inside} \
             address 02:00:00:00:02:0{number} && ip link set {inside} netns {sandbox} && ip link set {host} up \
             && ip netns exec {sandbox} sysctl -qw net.ipv6.conf.{inside}.accept_dad=0 \
             && ip -n {sandbox} link set {inside} up"
        )
    };
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64", "sandbox add c1", "sandbox add c2"],
        &[
            &pair("hand1", "lan1", "c1", 1),
            "!ip -n c1 addr add 10.55.66.9/24 dev lan1 && ip -n c1 route add default via 10.55.66.1",
            "connect blue c1 --device hand1",
        ],
        &[
            &pair("hand2", "lan2", "c2", 2),
            "!ip link set hand2 mtu 1400 alias mine && ip link set hand2 master zb-blue && \
             bridge link set dev hand2 isolated on && ip -n c2 link set lan2 mtu 1400",
            "connect blue c2 --device hand2 --ifname eth0 -p 8080:80",
        ],
        &["disconnect blue c1", "disconnect blue c2"],
        &["sandbox rm c1 c2", "network rm blue"],
    ]);
}

fn an_internal_network() {
    assert_equivalent(&[
        &["network create blue --internal --subnet 10.55.66.0/24 --subnet fd00:55::/64", "sandbox add c1"],
        &["connect blue c1"],
        &["disconnect blue c1"],
        &["network rm blue"],
    ]);
}

fn a_network_whose_endpoints_are_isolated() {
    assert_equivalent(&[
        &["network create blue --no-icc --subnet 10.55.66.0/24", "sandbox add c1", "sandbox add c2"],
        &["connect blue c1", "connect blue '/run/a box'"],
        &["disconnect blue c1"],
        &["disconnect blue '/run/a box'"],
    ]);
}

fn a_network_with_small_packets() {
    assert_equivalent(&[
        &["network create blue --mtu 1400 --subnet 10.55.66.0/24", "sandbox add c1"],
        &["connect blue c1"],
        &["disconnect blue c1"],
    ]);
}

fn a_network_that_keeps_source_addresses() {
    assert_equivalent(&[
        &["network create blue --no-masquerade --subnet 10.55.66.0/24 --subnet fd00:55::/64", "sandbox add c1"],
        &["connect blue c1"],
        &["disconnect blue c1"],
        &["network rm blue"],
    ]);
}

fn the_default_route_moves_to_the_next_network() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24", "sandbox add c1"],
        &["network create green --subnet 10.55.67.0/24 --subnet fd00:67::/64"],
        &["connect blue c1", "connect green c1"],
        &["disconnect blue c1"],
        &["disconnect green c1"],
        &["network rm blue"],
        &["network rm green"],
    ]);
}

fn every_wish_of_an_endpoint() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24 --gateway 10.55.66.254 --subnet fd00:55::/64 --bridge br.7"],
        &["connect blue '/run/a box' --ip 10.55.66.9 --ip fd00:55::9 --mac 02:00:00:00:00:09 --ifname lan.7 \
           --route 10.9.0.0/16,10.55.66.8 --route 10.10.0.0/16 --route fd00:9::/48,fd00:55::8"],
        &["disconnect blue '/run/a box'"],
        &["connect blue '/run/a box' --mac random --no-default-route"],
        &["disconnect blue '/run/a box'"],
        &["network rm blue"],
    ]);
}

fn a_namespace_that_gets_a_name() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24", "sandbox add web --from '/run/a box'"],
        &["connect blue web"],
        &["sandbox rm web"],
        &["disconnect blue '/run/a box'"],
    ]);
}

fn a_sandbox_that_is_removed_while_connected() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24", "sandbox add c1", "connect blue c1"],
        &["sandbox rm c1"],
    ]);
}

fn an_endpoint_whose_namespace_is_gone() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24", "sandbox add c1", "connect blue c1"],
        &["!ip netns delete c1; while ip -o link | grep -q ' zv'; do sleep 0.01; done"],
        &["disconnect blue c1"],
    ]);
}

fn a_bridge_that_was_deleted_and_is_made_again() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24", "sandbox add c1"],
        &["!ip link del zb-blue"],
        &["connect blue c1"],
    ]);
}

fn a_repair_of_a_flushed_firewall() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24", "sandbox add c1", "connect blue c1"],
        &["!nft flush ruleset"],
        &["repair"],
    ]);
}

/// One network only: a transaction that is tried again uses up rule numbers.
fn a_network_beside_another_program_s_firewall() {
    const FIREWALL: &str = "!nft 'add table inet fw; add chain inet fw f { type filter hook forward priority 0; policy drop; }; \
                            add table ip fw; add chain ip fw f { type filter hook forward priority 0; }; \
                            add rule ip fw f tcp dport 22 accept; add rule ip fw f reject'";
    assert_equivalent(&[
        &[FIREWALL, "network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64"],
        &["!nft flush chain inet fw f", "!nft insert rule ip fw f counter drop", "repair"],
        &["network rm blue"],
    ]);
}

fn links_between_sandboxes_and_to_the_host() {
    assert_equivalent(&[
        &["sandbox add c1", "sandbox add c2"],
        &["link c1:veth-a c2:veth-b --mtu 1400 --address 10.0.0.1/24,10.0.0.2/24 --address fd00::1/64,fd00::2/64"],
        &["link 'pid:@PID@:eth.1' '/run/a box:eth.2' --address 10.0.1.1/30,10.0.1.2/30", "link c1:lan0 host:lan.0"],
        &["link host:lan1 '/run/a box:eth3' --address fd00:2::1/64,fd00:2::2/64", "link c2:one c2:two"],
        &["link rm '/run/a box:eth.2'", "link rm host:lan1"],
        &["sandbox rm c1"],
        &["link rm c2:two"],
    ]);
}

fn a_repair_of_a_link() {
    assert_equivalent(&[
        &["sandbox add c1", "sandbox add c2", "link c1:veth-a c2:veth-b --address 10.0.0.1/24,10.0.0.2/24"],
        &["!ip -n c2 link del veth-b"],
        &["repair"],
        // A link with one end down never comes to rest.
        &["!ip -n c2 link set veth-b down && ip -n c1 addr flush dev veth-a", "repair"],
    ]);
}

fn a_network_that_is_changed_while_in_use() {
    assert_equivalent(&[
        &["network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64", "sandbox add c1"],
        &["connect blue c1", "connect blue '/run/a box'"],
        &["network set blue --mtu 1400 --no-icc --no-masquerade"],
        &["network set blue --mtu 9000 --icc"],
        &["connect blue pid:@PID@"],
        &["network set blue --mtu 1280 --masquerade --no-icc"],
    ]);
}

/// A network card `lan0`.
const CARD: &str = "!ip link add lan0 address 02:00:00:00:00:11 type veth peer name far0 address 02:00:00:00:00:12 && \
                    ip link set far0 addrgenmode none && ip link set lan0 addrgenmode none && \
                    ip link set far0 up && ip link set lan0 up && ip addr add 192.168.1.5/24 dev lan0 && \
                    until ip link show lan0 | grep -q 'state UP'; do sleep 0.05; done";

fn macvlans_on_a_card() {
    assert_equivalent(&[
        &[CARD, "network create lan --driver macvlan --parent lan0 --ip-range 192.168.1.128/26", "sandbox add c1"],
        &["connect lan c1", "connect lan '/run/a box' --mac random"],
        &["connect lan pid:@PID@ --route 10.8.0.0/16,192.168.1.7"],
        &["!ip -n c1 link del eth0", "repair"],
        &["disconnect lan c1", "disconnect lan '/run/a box'", "disconnect lan pid:@PID@"],
        &["network rm lan"],
    ]);
}

fn a_device_of_the_host() {
    assert_equivalent(&[
        &[CARD, "!ip link set lan0 mtu 1400; ip route add 10.77.0.0/16 via 192.168.1.7", "sandbox add c1"],
        &["network create phys --driver host-device --parent lan0 --subnet 192.168.1.0/24"],
        &["connect phys c1 --ifname net0 --mac 02:00:00:00:00:77"],
        &["disconnect phys c1", "connect phys '/run/a box'"],
        &["disconnect phys '/run/a box'", "network rm phys"],
    ]);
}

fn macvlans_without_a_card() {
    assert_equivalent(&[
        &["network create quiet --driver macvlan --mode private --subnet 10.55.66.0/24", "sandbox add c1"],
        &["connect quiet c1"],
        &["disconnect quiet c1", "network rm quiet"],
    ]);
}

fn ipvlans_on_a_card() {
    if !need(&[Capability::Ipvlan], "ipvlans_on_a_card") {
        return;
    }
    assert_equivalent(&[
        &[CARD, "network create lan --driver ipvlan --parent lan0 --ip-range 192.168.1.128/26", "sandbox add c1"],
        &["connect lan c1", "connect lan '/run/a box'"],
        &["!ip -n c1 link del eth0", "repair"],
        &["disconnect lan c1", "disconnect lan '/run/a box'"],
        &["network rm lan"],
        &["network create far --driver ipvlan --parent lan0 --mode l3 --subnet 10.1.0.0/24 --subnet fd00:1::/64"],
        &["connect far c1"],
        &["disconnect far c1", "network rm far"],
    ]);
}

fn ports_of_open_vswitch() {
    if !OpenVswitch::is_installed("ports_of_open_vswitch") {
        return;
    }
    if Command::new("ethtool").arg("--version").output().is_err() {
        return skip("ports_of_open_vswitch", "needs the package ethtool");
    }
    let start = format!("!{}", OpenVswitch::script());
    assert_equivalent(&[
        &[&start, "network create blue --driver ovs --bridge br0 --vlan 10 --subnet 10.55.66.0/24", "sandbox add c1"],
        &["connect blue c1", "connect blue '/run/a box' --mac random"],
        &[
            "network create both --driver ovs --bridge br0 --trunk 10,20",
            "connect both c1",
            "connect both pid:@PID@",
            "network set blue --mtu 1400",
        ],
        &["!ip -n c1 link del eth0", "repair"],
        &[
            "!ovs-vsctl set port $(ovs-vsctl --bare --columns=name find port tag=10 external_ids:zubi-sandbox=c1) tag=30",
            "repair",
        ],
        &["disconnect blue c1", "disconnect both c1", "disconnect both pid:@PID@"],
        &["disconnect blue '/run/a box'", "network rm blue", "network rm both"],
    ]);
}

fn an_ipv4_network_that_is_too_small_for_ipv6_for_a_while() {
    assert_equivalent(&[
        &["network create blue --internal --subnet 10.55.66.0/24", "sandbox add c1"],
        &["network set blue --no-internal --mtu 1300"],
        &["connect blue c1"],
        &["network set blue --mtu 1000"],
        &["network set blue --mtu 1500"],
    ]);
}

/// The command reports that its sandbox exists, and ends on request.
fn the_sandbox_of_a_run() {
    let told = on_another_host(|| {
        let prepared = prepare();
        let host = &prepared.host;
        let pid = prepared.inside.id().to_string();
        let made = host.zubi("--verbose network create blue --subnet 10.55.66.0/24").ok().err;
        let log = fs::File::create("/run/log").expect("log");
        let mut run = host.command("--verbose run --name r1 --network blue -- sh -c");
        let script = "touch /run/stands; while [ -e /run/stands ]; do sleep 0.02; done";
        let mut run = run.arg(script).stderr(log).spawn().expect("zubi run");
        while !Path::new("/run/stands").exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let printed_so_far = || printed(&fs::read_to_string("/run/log").expect("log"));
        let up = printed_so_far();
        let stands = state(&pid);
        fs::remove_file("/run/stands").expect("flag");
        assert!(run.wait().expect("zubi run").success());
        host.settle();
        let down = printed_so_far().strip_prefix(&up).expect("the same beginning").to_owned();
        let gone = state(&pid);
        [printed(&made) + &up, stands, down, gone].join("\0")
    });
    let parts: Vec<&str> = told.split('\0').collect();
    let [up, stands, down, gone] = parts[..] else { panic!("four parts") };
    compare(&[Told { commands: up.into(), state: stands.into() }, Told { commands: down.into(), state: gone.into() }]);
}

fn what_is_explained_for_a_second_network_runs_in_a_shell() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    let plan = host.zubi("--explain network create green --subnet 10.55.67.0/24").ok().out;
    fs::write("/run/plan", plan).expect("script");
    host.shell("sh -e /run/plan").ok();
}

fn a_line_left_out_is_noticed() {
    let mut told =
        told_by_zubi(&[&["network create blue --subnet 10.55.66.0/24", "sandbox add c1", "connect blue c1"]]);
    let whole = told[0].commands.clone();
    for word in ["nft 'add element inet zubi endpoints4", "ip -n c1 addr add", "ip -n c1 link set eth0 addrgenmode"] {
        told[0].commands = whole.lines().filter(|l| !l.starts_with(word)).fold(String::new(), |all, l| all + l + "\n");
        assert_ne!(told[0].commands, whole, "{word}");
        if word.contains("addr add") {
            // Without the address the route through the gateway fails too.
            told[0].commands = told[0].commands.replace("ip -n c1 route add", ": ");
        }
        let state = on_another_host(|| by_shell(&told));
        assert_ne!(state.trim_end_matches('\0'), told[0].state, "{word}");
    }
}

zubi_lab::tests!(
    a_named_sandbox_on_an_ipv4_network,
    a_sandbox_known_by_path_on_a_dual_stack_network,
    a_sandbox_known_by_its_process_on_an_ipv6_network,
    pairs_made_by_hand_that_are_taken_over,
    an_internal_network,
    published_ports,
    a_network_whose_endpoints_are_isolated,
    a_network_with_small_packets,
    a_network_that_keeps_source_addresses,
    the_default_route_moves_to_the_next_network,
    every_wish_of_an_endpoint,
    a_namespace_that_gets_a_name,
    a_sandbox_that_is_removed_while_connected,
    an_endpoint_whose_namespace_is_gone,
    a_bridge_that_was_deleted_and_is_made_again,
    a_repair_of_a_flushed_firewall,
    a_network_beside_another_program_s_firewall,
    links_between_sandboxes_and_to_the_host,
    a_repair_of_a_link,
    a_network_that_is_changed_while_in_use,
    macvlans_on_a_card,
    a_device_of_the_host,
    macvlans_without_a_card,
    ipvlans_on_a_card,
    ports_of_open_vswitch,
    an_ipv4_network_that_is_too_small_for_ipv6_for_a_while,
    the_sandbox_of_a_run,
    what_is_explained_for_a_second_network_runs_in_a_shell,
    a_line_left_out_is_noticed,
);
