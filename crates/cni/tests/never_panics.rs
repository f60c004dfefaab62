//! Any request gets a value or an error that a runtime can read.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::LazyLock;
use zubi_cni::{
    Call, CniError, Code, Environment, Ipam, LARGEST_REQUEST, Plugin, Share, Task, Verb, Version, Wire, WireNetwork,
    about, parse, versions,
};
use zubi_model::{Addressing, DefaultRoute, GatewayAt, SandboxRef};

fn can_be_read(error: &CniError) {
    let document = error.to_json();
    let object = document.as_object().unwrap();
    let known = ["cniVersion", "code", "msg", "details"];
    assert!(object.keys().all(|key| known.contains(&key.as_str())), "{document}");
    assert!(object["code"].as_u64().is_some_and(|code| [1, 2, 4, 6, 7].contains(&code)), "{document}");
    for key in ["msg", "details"] {
        let Some(text) = object.get(key) else { continue };
        let text = text.as_str().unwrap();
        assert!(!text.is_empty() && text.len() < 20_000, "{document}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{document}");
    }
    assert!(object.contains_key("msg"));
    assert!(object.get("cniVersion").is_none_or(|v| v.as_str().is_some_and(|v| v.len() <= 32)));
}

/// Parses a request and checks what every answer has in common.
fn ask(plugin: Plugin, env: &Environment, stdin: &[u8]) -> Result<Call, CniError> {
    let call = parse(plugin, env, stdin).inspect_err(can_be_read)?;
    match &call.verb {
        Verb::Version => assert!(versions(plugin, call.version).is_object()),
        Verb::Nothing => assert!(about(plugin).contains(plugin.name())),
        Verb::Add(task) | Verb::Check(task) | Verb::Del(task) => holds_together(call.version, &call.verb, task),
        Verb::Gc(_) | Verb::Status(_) => assert_eq!(call.version, Version::V1_1_0),
    }
    Ok(call)
}

/// What holds for every accepted attachment.
fn holds_together(version: Version, verb: &Verb, task: &Task) {
    assert!(task.stdin.is_object());
    if !matches!(verb, Verb::Del(_)) {
        assert!(task.netns.as_ref().is_some_and(|netns| netns.to_str().is_some()));
    }
    if let Some(previous) = &task.previous {
        match previous.render(version) {
            Ok(document) => assert_eq!(document["cniVersion"], version.as_str()),
            Err(error) => assert_eq!(error.code, Code::IncompatibleVersion),
        }
    }
    match &task.share {
        Share::Wire(wire) => wire_holds_together(wire),
        Share::Reserve(reserve) => sets_hold_together(&reserve.sets),
        Share::Publish(publish) => {
            let ports: BTreeSet<String> = publish.ports.iter().map(ToString::to_string).collect();
            assert_eq!(ports.len(), publish.ports.len());
        }
        Share::Tune(tune) => {
            for (path, value) in &tune.sysctls {
                assert!(!path.starts_with('/') && path.split('/').all(|p| !["", ".", ".."].contains(&p)), "{path}");
                assert!(!path.contains('\0') && !value.contains(['\0', '\n']));
            }
        }
        Share::Loopback | Share::Fixed(_) | Share::IngressPolicy(_) => {}
    }
}

fn sets_hold_together(sets: &[Vec<zubi_model::Pool>]) {
    for set in sets {
        let family = set[0].subnet.family();
        for pool in set {
            assert_eq!(pool.subnet.family(), family);
            assert!(pool.exclude.iter().all(|e| e.first <= e.last && pool.subnet.net().contains(&e.first)));
            assert!(pool.gateway_at == GatewayAt::Elsewhere || pool.subnet.has_host(pool.gateway.unwrap()));
        }
    }
}

fn wire_holds_together(wire: &Wire) {
    assert!(wire.wishes.called.as_ref().unwrap().parse::<SandboxRef>().is_ok());
    assert!(wire.resolv_conf.is_none() || wire.dns.is_empty());
    if let Addressing::Sets(sets) = &wire.wishes.addressing {
        sets_hold_together(sets);
        assert!(!sets.is_empty() && wire.wishes.addresses.len() <= sets.len());
    }
    if wire.ipam == Ipam::None {
        assert_eq!(wire.wishes.addressing, Addressing::Given(Vec::new()));
        assert_eq!(wire.wishes.default_route, DefaultRoute::Never);
    }
    for route in &wire.wishes.routes {
        assert_eq!(route.to, route.to.trunc());
        assert!(route.via.is_none_or(|via| via.is_ipv4() == route.to.addr().is_ipv4()));
    }
    let WireNetwork::Described(description) = &wire.network else {
        assert!([Addressing::Network, Addressing::Given(Vec::new())].contains(&wire.wishes.addressing));
        return;
    };
    let subnets: BTreeSet<_> = description.pools.iter().map(|p| p.subnet).collect();
    assert_eq!(subnets.len(), description.pools.len());
    assert!(description.pools.is_sorted_by_key(|p| p.subnet.family()));
    assert!(description.families.is_empty() || description.pools.is_empty());
}

/// Plug-in, variables and document of each case.
static SEEDS: LazyLock<Vec<Seed>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let read = |folder: &std::path::PathBuf| {
        let variables = std::fs::read_to_string(folder.join("env")).unwrap();
        let variable = |name: &str| {
            let mut pairs = variables.lines().filter_map(|line| line.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        let plugin = variable("PLUGIN").and_then(|name| Plugin::named(name.to_str()?)).unwrap();
        (plugin, Environment::read(variable), std::fs::read(folder.join("input.json")).unwrap())
    };
    folders.iter().map(read).collect()
});

type Seed = (Plugin, Environment, Vec<u8>);

fn del() -> Environment {
    let variable = |name: &str| match name {
        "CNI_COMMAND" => Some("DEL".into()),
        "CNI_CONTAINERID" => Some("c1".into()),
        "CNI_IFNAME" => Some("eth0".into()),
        _ => None,
    };
    Environment::read(variable)
}

#[test]
fn depth_and_size_have_a_limit() {
    let deep = |n: usize| format!(r#"{{"name":"n","x":{}1{}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(ask(Plugin::Bridge, &del(), deep(10).as_bytes()).is_ok());
    let too_deep = ask(Plugin::Bridge, &del(), deep(100_000).as_bytes()).unwrap_err();
    assert!(too_deep.details.contains("recursion limit"), "{too_deep}");
    let mut large = br#"{"name":"n"}"#.to_vec();
    large.resize(LARGEST_REQUEST, b' ');
    assert!(ask(Plugin::Bridge, &del(), &large).is_ok());
    large.push(b' ');
    let too_large = ask(Plugin::Bridge, &del(), &large).unwrap_err();
    assert_eq!(too_large.code, Code::Decode);
}

#[test]
fn what_comes_in_masses_is_answered_at_once() {
    let add = Environment { command: Some("ADD".into()), netns: Some("/run/netns/c1".into()), ..del() };
    let ports: Vec<Value> = (1..=65535).map(|n| json!({"hostPort": n, "containerPort": n})).collect();
    let ranges: Vec<Value> =
        (0..2000).map(|n| json!([{"subnet": format!("10.{}.{}.0/24", n / 256, n % 256)}])).collect();
    let document = |extra: Value| {
        let mut all = json!({"cniVersion": "1.0.0", "name": "n", "prevResult": {"cniVersion": "1.0.0"}});
        all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        all.to_string().into_bytes()
    };
    let many_ports = document(json!({"runtimeConfig": {"portMappings": ports}}));
    let call = ask(Plugin::Portmap, &add, &many_ports).unwrap();
    let Verb::Add(task) = call.verb else { panic!("{:?}", call.verb) };
    assert!(matches!(task.share, Share::Publish(publish) if publish.ports.len() == 65535));
    let many_ranges = document(json!({"ipam": {"type": "host-local", "ranges": ranges}}));
    let error = ask(Plugin::Bridge, &add, &many_ranges).unwrap_err();
    assert!(error.msg.contains("at most 1000 are taken"), "{error}");
}

#[test]
fn of_two_same_keys_the_last_counts() {
    let call = ask(Plugin::Bridge, &del(), br#"{"name":"a","name":"b","Name":"c"}"#).unwrap();
    assert!(matches!(call.verb, Verb::Del(task) if task.network == "b"));
}

#[test]
fn each_plugin_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = Plugin::ALL.iter().map(|p| p.name()).collect();
    assert_eq!(names.len(), Plugin::ALL.len());
    assert!(Plugin::ALL.iter().all(|p| Plugin::named(p.name()) == Some(*p)));
    assert_eq!(Plugin::named("dhcp"), None);
}

/// A value to put in the place of another.
fn any_value() -> impl Strategy<Value = Value> {
    let words = [
        "",
        " ",
        "..",
        "/",
        "a/b",
        "eth0",
        "sixteen-bytes-ab",
        "10.88.0.2",
        "10.88.0.1",
        "::",
        "0.0.0.0",
        "fe80::1",
        "::ffff:10.88.0.3",
        "10.88.0.0/24",
        "10.88.0.0/33",
        "10.88.0.0/31",
        "0.0.0.0/0",
        "fd00::/64",
        "fd00::1/127",
        "true",
        "static",
        "host-local",
        "dhcp",
        "isolated",
        "open",
        "-1",
        "0",
        "4294967296",
        "sctp",
        "\u{1b}[2J",
        "a\0b",
        "ü",
        "podman:x",
        "blue",
        "01:00:00:00:00:00",
        "02-00-00-00-00-01",
        "0.1.0",
        "0.2.0",
        "0.3.1",
        "1.1.0",
    ];
    prop_oneof![
        4 => prop::sample::select(words.to_vec()).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => (1usize..100_000).prop_map(|n| Value::from("x".repeat(n))),
        2 => prop::sample::select(vec![
            json!(null), json!(true), json!(false), json!(-1), json!(0), json!(65535), json!(65536), json!(1.5),
            json!(1e300), json!(u64::MAX), json!([]), json!({}), json!([null]), json!({"": null}), json!([[[[]]]]),
            json!({"type": "static"}), json!({"name": "n"}),
        ]),
    ]
}

/// Replaces, removes or doubles the value at one place, which `place` chooses.
fn change(value: &mut Value, place: usize, how: u8, new: &Value) {
    let mut left = place % count(value);
    go(value, &mut left, how, new);
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(count).sum(),
        Value::Object(all) => all.values().map(count).sum(),
        _ => 0,
    }
}

fn go(value: &mut Value, left: &mut usize, how: u8, new: &Value) -> bool {
    if *left == 0 {
        *value = new.clone();
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(all) => {
            for at in 0..all.len() {
                match (*left, how) {
                    (0, 1) => all.truncate(at),
                    (0, 2) => all.push(all[at].clone()),
                    _ if go(&mut all[at], left, how, new) => {}
                    _ => continue,
                }
                return true;
            }
        }
        Value::Object(all) => {
            let keys: Vec<String> = all.keys().cloned().collect();
            for key in keys {
                match (*left, how) {
                    (0, 1) => drop(all.remove(&key)),
                    (0, 2) => {
                        let value = all[&key].clone();
                        all.insert(key.to_uppercase(), value);
                        all.insert(key, new.clone());
                    }
                    _ if go(all.get_mut(&key).unwrap(), left, how, new) => {}
                    _ => continue,
                }
                return true;
            }
        }
        _ => {}
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn arbitrary_bytes_are_answered(
        which in any::<Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (plugin, env, _) = which.get(SEEDS.as_slice());
        ask(*plugin, env, &bytes).ok();
    }

    #[test]
    fn damaged_requests_are_answered(
        which in any::<Index>(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Index>(),
        whole in prop::bool::weighted(0.8),
    ) {
        let (plugin, env, mut bytes) = which.get(SEEDS.as_slice()).clone();
        for (at, value) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        if !whole && !bytes.is_empty() {
            bytes.truncate(cut.index(bytes.len()));
        }
        ask(plugin, &env, &bytes).ok();
    }

    #[test]
    fn changed_requests_are_answered(
        which in any::<Index>(),
        other in any::<Index>(),
        mixed in prop::bool::weighted(0.3),
        changes in prop::collection::vec((any::<usize>(), 0u8..3, any_value()), 1..5),
    ) {
        let (plugin, env, bytes) = which.get(SEEDS.as_slice());
        let plugin = if mixed { other.get(&Plugin::ALL) } else { plugin };
        let Ok(mut request) = serde_json::from_slice::<Value>(bytes) else { return Ok(()) };
        for (place, how, new) in &changes {
            change(&mut request, *place, *how, new);
        }
        ask(*plugin, env, request.to_string().as_bytes()).ok();
    }

    #[test]
    fn a_del_with_names_never_fails(
        which in any::<Index>(),
        other in any::<Index>(),
        changes in prop::collection::vec((any::<usize>(), 0u8..3, any_value()), 0..5),
    ) {
        let (_, _, bytes) = which.get(SEEDS.as_slice());
        let Ok(mut request) = serde_json::from_slice::<Value>(bytes) else { return Ok(()) };
        for (place, how, new) in &changes {
            change(&mut request, *place, *how, new);
        }
        if let Some(request) = request.as_object_mut() {
            request.insert("name".into(), "blue".into());
            let bytes = serde_json::to_vec(request).unwrap();
            let call = ask(*other.get(&Plugin::ALL), &del(), &bytes).unwrap();
            prop_assert!(matches!(call.verb, Verb::Del(_)));
        }
    }

    #[test]
    fn arbitrary_variables_are_answered(
        which in any::<Index>(),
        variable in 0usize..6,
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "(IP|MAC|GATEWAY|IgnoreUnknown|X)=[0-9a-f:./,]{0,30}(;[A-Z]{1,5}=[0-9.]{0,9}){0,3}".prop_map(String::into_bytes),
            "(ADD|DEL|CHECK|GC|STATUS|VERSION)".prop_map(String::into_bytes),
        ],
    ) {
        let (plugin, mut env, document) = which.get(SEEDS.as_slice()).clone();
        let place = match variable {
            0 => &mut env.command,
            1 => &mut env.container,
            2 => &mut env.netns,
            3 => &mut env.ifname,
            4 => &mut env.path,
            _ => &mut env.args,
        };
        *place = Some(OsString::from_vec(bytes));
        ask(plugin, &env, &document).ok();
    }
}
