//! Every change is printed: the changes of a command in `strace` are exactly those in `--verbose`.

use super::strace::{Effect, Place, Process, Sent, Target, Trace, trace};
use zubi_lab::{Capability, Host, Outside, need};
use zubi_wire::Attributes;

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// The change of a printed line, without the place and without names that messages express as numbers.
fn change_of(line: &str) -> String {
    // The place: `ip -n NAME`, `ip netns exec NAME`, `nsenter --net=PATH`.
    let words: Vec<&str> = line.split_whitespace().collect();
    let words = match words.as_slice() {
        ["ip", "netns", "exec", _, rest @ ..] => rest.to_vec(),
        ["ip", "-n", _, rest @ ..] => [&["ip"], rest].concat(),
        [enter, rest @ ..] if *enter == "nsenter" => rest[1..].to_vec(),
        other => other.to_vec(),
    };
    match words.as_slice() {
        ["ip", "link", "add", name, "address", mac, ..] => {
            let peer = match words.iter().position(|w| *w == "peer") {
                Some(at) => format!(" peer {} {}", words[at + 2], words[at + 4]),
                None => String::new(),
            };
            format!("link add {name} {mac}{peer}")
        }
        ["ip", "link", "del", _] => "link del".to_owned(),
        // A message has the bridge's number, not its name.
        ["ip", "link", "set", _, "master", _, how @ ..] => format!("link set master {}", how.join(" ")),
        ["ip", "link", "set", _, how @ ..] => format!("link set {}", how.join(" ")),
        ["bridge", "link", "set", ..] => "port".to_owned(),
        ["ip", "addr", "add", address, ..] => {
            format!("addr add {address}{}", if words.contains(&"nodad") { " nodad" } else { "" })
        }
        ["ip", "route", "add", rest @ ..] | ["ip", "-6", "route", "add", rest @ ..] => {
            let via = rest.iter().position(|w| *w == "via").map_or("-", |at| rest[at + 1]);
            let six = rest[0].contains(':') || via.contains(':');
            let to = if rest[0] == "default" { if six { "::/0" } else { "0.0.0.0/0" } } else { rest[0] };
            format!("route add {to} {via}")
        }
        ["sysctl", "-qw", setting] => {
            let (key, value) = setting.split_once('=').expect("value");
            let key = if key.contains('/') { key.to_owned() } else { key.replace('.', "/") };
            format!("setting /proc/sys/{key} {value}")
        }
        ["nft", verb, object, "inet", table, rest @ ..] => {
            let verb = if verb.contains("delete") { "DEL" } else { "NEW" };
            let name = rest.first().copied().unwrap_or_default().trim_end_matches('\'');
            let table = table.trim_end_matches('\'');
            match *object {
                "table" => format!("{verb}TABLE {table}"),
                "set" | "map" => format!("{verb}SET {table} {name}"),
                "chain" => format!("{verb}CHAIN {table} {name}"),
                "rule" => format!("{verb}RULE {table} {name}"),
                "element" => format!("{verb}SETELEM {table} {name}"),
                other => panic!("nft {other}"),
            }
        }
        ["tc", "qdisc", "add", ..] => "hooks".to_owned(),
        ["tc", "filter", "add", ..] => "filter".to_owned(),
        ["conntrack", ..] | ["for", "port", ..] => "flows".to_owned(),
        ["ip", "netns", "add", name] => format!("namespace /run/netns/{name}"),
        ["ip", "netns", "delete", name] => format!("no namespace /run/netns/{name}"),
        other => panic!("unknown command {other:?}"),
    }
}

fn ip(bytes: &[u8]) -> String {
    match bytes.len() {
        4 => std::net::Ipv4Addr::from(<[u8; 4]>::try_from(bytes).expect("four")).to_string(),
        16 => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes).expect("sixteen")).to_string(),
        _ => format!("{bytes:?}"),
    }
}

fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_ne_bytes(b.try_into().expect("four")))
}

/// The change of a message; `None` when it only asks or was refused.
fn change_of_message(sent: &Sent) -> Option<String> {
    if sent.asks() || !sent.done {
        return None;
    }
    let payload = sent.payload.as_slice();
    let attributes = |header: usize| Attributes::new(payload.get(header..).unwrap_or_default());
    Some(match sent.kind.as_str() {
        "NEWLINK" if word(payload, 4) == 0 => {
            let a = attributes(16);
            let peer = a.nested(18).and_then(|info| info.nested(2)).and_then(|data| data.get(1).map(<[u8]>::to_vec));
            let peer = peer.map_or_else(String::new, |p| {
                let p = Attributes::new(&p[16..]);
                format!(" peer {} {}", p.text(3).expect("name"), mac(p.get(1).expect("MAC")))
            });
            format!("link add {} {}{peer}", a.text(3).expect("name"), mac(a.get(1).expect("MAC")))
        }
        "NEWLINK" => {
            let a = attributes(16);
            let mut words = vec!["link set".to_owned()];
            words.extend(a.u32(10).map(|master| if master == 0 { "nomaster" } else { "master" }.to_owned()));
            if word(payload, 12) & 1 != 0 {
                words.push(if word(payload, 8) & 1 != 0 { "up" } else { "down" }.to_owned());
            }
            words.extend(a.u32(27).map(|group| format!("group {group}")));
            words.extend(a.text(3).map(|name| format!("name {name}")));
            let mode = a.nested(26).and_then(|spec| spec.nested(10)).and_then(|inet6| inet6.get(8).map(<[u8]>::to_vec));
            words.extend((mode == Some(vec![1])).then(|| "addrgenmode none".to_owned()));
            words.extend(a.get(1).map(|address| format!("address {}", mac(address))));
            words.extend(a.u32(4).map(|mtu| format!("mtu {mtu}")));
            words.extend(a.text(20).map(|alias| format!("alias '{alias}'")));
            words.join(" ")
        }
        "DELLINK" => "link del".to_owned(),
        "DELFLOW" => "flows".to_owned(),
        "SETLINK" => "port".to_owned(),
        "NEWQDISC" => "hooks".to_owned(),
        "NEWTFILTER" => "filter".to_owned(),
        "NEWADDR" => {
            let a = attributes(8);
            let nodad = if a.u32(8).unwrap_or(0) & 2 != 0 { " nodad" } else { "" };
            format!("addr add {}/{}{nodad}", ip(a.get(2).expect("address")), payload[1])
        }
        "NEWROUTE" => {
            let a = attributes(12);
            let any = if payload[0] == 2 { "0.0.0.0" } else { "::" };
            let to = a.get(1).map_or_else(|| any.to_owned(), ip);
            format!("route add {to}/{} {}", payload[1], a.get(5).map_or_else(|| "-".to_owned(), ip))
        }
        nft => {
            let a = attributes(4);
            let table = a.text(1).unwrap_or_default();
            let name = match nft {
                "NEWTABLE" | "DELTABLE" => String::new(),
                // A chain's name is the third attribute, that of other objects the second.
                "NEWCHAIN" => a.text(3).unwrap_or_default(),
                _ => a.text(2).unwrap_or_default(),
            };
            format!("{} {table} {name}", nft.replace("DESTROY", "DEL")).trim_end().to_owned()
        }
    })
}

/// The changes of a process apart from its own files.
fn changes_of(process: &Process) -> Vec<String> {
    let mut changes = Vec::new();
    for effect in &process.effects {
        match effect {
            Effect::Send { messages, .. } => changes.extend(messages.iter().filter_map(change_of_message)),
            Effect::Frame => changes.push("frame".to_owned()),
            Effect::Write { path, text } if path.starts_with("/proc/sys/") => {
                changes.push(format!("setting {path} {text}"));
            }
            Effect::Call(name, args) if name == "mount" || name == "umount2" => {
                let paths: Vec<&str> = args.split('"').skip(1).step_by(2).collect();
                match (name.as_str(), paths.as_slice()) {
                    // Makes the folder shared, as `ip netns add` does.
                    ("mount", [_, "/run/netns", ..]) => {}
                    ("mount", [_, target, ..]) => changes.push(format!("namespace {target}")),
                    (_, target) => changes.push(format!("no namespace {}", target[0])),
                }
            }
            _ => {}
        }
    }
    changes
}

/// Runs a command and compares its changes with its printed lines.
#[track_caller]
fn assert_printed(host: &Host, words: &str) {
    let trace = trace(host, words);
    let mut printed: Vec<String> = trace.printed.iter().map(|l| change_of(l)).collect();
    let mut done: Vec<String> = trace.processes().flat_map(changes_of).collect();
    assert!(!printed.is_empty(), "nothing was printed");
    printed.sort();
    done.sort();
    // The number of connections to delete is not known in advance and may be zero.
    let flows = |what: &String| what == "flows";
    for list in [&mut printed, &mut done] {
        list.dedup_by(|a, b| flows(a) && a == b);
    }
    if !done.iter().any(flows) {
        printed.retain(|what| !flows(what));
    }
    assert_eq!(done, printed, "{words}: done, and printed");
}

fn prepared(test: &str) -> Option<(Host, Outside)> {
    need(&[Capability::Strace], test).then(|| (Host::new(ZUBI), Outside::new()))
}

fn what_network_create_changes_is_what_it_prints() {
    let Some((host, _outside)) = prepared("what_network_create_changes_is_what_it_prints") else { return };
    assert_printed(&host, "network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
}

fn what_a_second_network_create_changes_is_what_it_prints() {
    let Some((host, _outside)) = prepared("what_a_second_network_create_changes_is_what_it_prints") else { return };
    host.network("blue --subnet 10.55.66.0/24");
    assert_printed(&host, "network create green --internal --subnet 10.55.67.0/24");
}

fn what_network_rm_changes_is_what_it_prints() {
    let Some((host, _outside)) = prepared("what_network_rm_changes_is_what_it_prints") else { return };
    host.network("blue --subnet 10.55.66.0/24");
    host.network("green --subnet 10.55.67.0/24");
    assert_printed(&host, "network rm blue");
    assert_printed(&host, "network rm green");
}

fn what_sandbox_add_and_rm_change_is_what_they_print() {
    let Some((host, _outside)) = prepared("what_sandbox_add_and_rm_change_is_what_they_print") else { return };
    assert_printed(&host, "sandbox add c1");
    assert_printed(&host, "sandbox rm c1");
}

fn what_connect_changes_is_what_it_prints() {
    let Some((host, _outside)) = prepared("what_connect_changes_is_what_it_prints") else { return };
    host.network("blue --no-icc --mtu 1400 --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.zubi("sandbox add c1").ok();
    assert_printed(&host, "connect blue c1 --route 10.9.0.0/16,10.55.66.9 --route fd00:9::/48");
}

fn what_taking_a_pair_over_changes_is_what_it_prints() {
    let Some((host, _outside)) = prepared("what_taking_a_pair_over_changes_is_what_it_prints") else { return };
    host.network("blue --mtu 1400 --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.zubi("sandbox add c1").ok();
    host.shell("ip link add hand0 type veth peer name lan0 netns c1 && ip link set hand0 up").ok();
    host.shell("ip -n c1 addr add 10.55.66.9/24 dev lan0 && ip -n c1 link set lan0 up").ok();
    assert_printed(&host, "connect blue c1 --device hand0 --ifname eth0");
}

fn what_disconnect_changes_is_what_it_prints() {
    let Some((host, _outside)) = prepared("what_disconnect_changes_is_what_it_prints") else { return };
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.network("green --subnet 10.55.67.0/24");
    host.container("c1", "blue");
    host.connect("green c1");
    assert_printed(&host, "disconnect blue c1");
}

/// Traces of one of each changing command.
fn one_of_each(host: &Host) -> Vec<(&'static str, Trace)> {
    [
        "network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64",
        "sandbox add c1",
        "connect blue c1",
        "disconnect blue c1",
        "sandbox rm c1",
        "network rm blue",
    ]
    .map(|words| (words, trace(host, words)))
    .into()
}

fn what_ports_change_is_what_they_print() {
    let Some((host, _outside)) = prepared("what_ports_change_is_what_they_print") else { return };
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.zubi("sandbox add c1").ok();
    assert_printed(
        &host,
        "connect blue c1 -p 8080:80 -p 127.0.0.1:9000-9010:9000-9010/udp -p [::]:53:53/udp -p 7000-7002:700-702",
    );
    assert_printed(&host, "port add blue c1 8081:80 192.0.2.1:8082:80");
    // A connection that is deleted with its port.
    host.shell("python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b\"\", (\"127.0.0.1\", 9005))'").ok();
    assert_printed(&host, "port rm blue c1 127.0.0.1:9000-9010:9000-9010/udp 8081:80");
    assert_printed(&host, "disconnect blue c1");
}

fn no_command_starts_another_program() {
    let Some((host, _outside)) = prepared("no_command_starts_another_program") else { return };
    for (words, trace) in one_of_each(&host) {
        let started = |p: &Process| p.calls.iter().filter(|c| c.name.starts_with("execve")).count();
        assert_eq!(trace.processes().map(started).sum::<usize>(), 1, "{words}");
    }
}

fn nothing_is_read_below_sys() {
    let Some((host, _outside)) = prepared("nothing_is_read_below_sys") else { return };
    for (words, trace) in one_of_each(&host) {
        let below: Vec<String> =
            trace.processes().flat_map(Process::opened).filter(|p| p == "/sys" || p.starts_with("/sys/")).collect();
        assert_eq!(below, Vec::<String>::new(), "{words}");
    }
}

fn files_are_written_only_where_zubi_keeps_its_own() {
    let Some((host, _outside)) = prepared("files_are_written_only_where_zubi_keeps_its_own") else { return };
    let own = ["/run/zubi", "/run/netns", "/proc/sys/net/", "/dev/null"];
    for (words, trace) in one_of_each(&host) {
        let effects = trace.processes().flat_map(|p| &p.effects);
        let strange: Vec<&Effect> = effects
            .filter(|e| match e {
                Effect::Open { path, writable: true } => !own.iter().any(|o| path.starts_with(o)),
                Effect::Call(name, args) => match name.as_str() {
                    "unlink" | "rename" | "link" | "linkat" | "mkdir" | "rmdir" | "unlinkat" | "chmod" | "mount"
                    | "umount2" | "renameat" | "renameat2" | "symlink" => {
                        // The last path is the one that changes; `mount` has kinds behind it.
                        let paths: Vec<&str> =
                            args.split('"').skip(1).step_by(2).filter(|p| p.starts_with('/')).collect();
                        !paths.last().is_some_and(|p| own.iter().any(|o| p.starts_with(o)))
                    }
                    "execve" | "unshare" | "ioctl" | "setsid" => false,
                    _ => true,
                },
                _ => false,
            })
            .collect();
        assert!(strange.is_empty(), "{words}: {strange:?}");
    }
}

fn a_message_to_the_inside_goes_by_a_socket_opened_inside() {
    let Some((host, _outside)) = prepared("a_message_to_the_inside_goes_by_a_socket_opened_inside") else { return };
    for (words, trace) in one_of_each(&host).into_iter().filter(|(words, _)| words.starts_with("connect")) {
        let by = |e: &Effect| match e {
            Effect::Send { target, messages, .. } if messages.iter().any(|m| m.kind == "NEWADDR") => {
                Some(target.clone())
            }
            _ => None,
        };
        let sockets: Vec<Target> = trace.main.effects.iter().filter_map(by).collect();
        assert_eq!(sockets, [Target::Route(Place::Inside)], "{words}");
    }
}

zubi_lab::tests!(
    what_network_create_changes_is_what_it_prints,
    what_a_second_network_create_changes_is_what_it_prints,
    what_network_rm_changes_is_what_it_prints,
    what_sandbox_add_and_rm_change_is_what_they_print,
    what_connect_changes_is_what_it_prints,
    what_taking_a_pair_over_changes_is_what_it_prints,
    what_disconnect_changes_is_what_it_prints,
    what_ports_change_is_what_they_print,
    no_command_starts_another_program,
    nothing_is_read_below_sys,
    files_are_written_only_where_zubi_keeps_its_own,
    a_message_to_the_inside_goes_by_a_socket_opened_inside,
);
