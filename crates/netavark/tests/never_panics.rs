//! Any request gets a value or an error that Podman can read.

mod engine;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::LazyLock;
use zubi_model::{Addressing, Family, Ipam, SandboxRef};
use zubi_netavark::{
    Attachment, Command, Error, LARGEST_ANSWER, LARGEST_REQUEST, Program, Publishing, Target, error_reply, joined,
    parse_arguments, parse_request, setup, teardown, unsupported, update,
};

fn can_be_read(error: &impl std::fmt::Display) {
    let text = error_reply(error);
    assert!(text.len() < LARGEST_ANSWER, "{} bytes", text.len());
    let object: Map<String, Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(object.keys().collect::<Vec<_>>(), ["error"]);
    let message = object["error"].as_str().unwrap();
    assert!(!message.is_empty() && !message.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{message:?}");
}

/// Does all that a request allows and checks what every answer has in common.
fn ask(json: &[u8]) -> Result<Vec<Attachment>, Error> {
    let request = parse_request(json).inspect_err(can_be_read)?;
    match teardown(&request) {
        Err(e) => can_be_read(&e),
        Ok(departure) => {
            if !departure.problems.is_empty() {
                can_be_read(&joined("teardown", &departure.problems));
            }
        }
    }
    let attachments = setup(&request).inspect_err(can_be_read)?;
    hold_together(&attachments);
    let left = teardown(&request).unwrap();
    assert!(left.problems.is_empty(), "{:?}", left.problems);
    let to_leave: Vec<_> = left.leaving.iter().rev().map(|l| (&l.network, &l.name)).collect();
    assert_eq!(to_leave, attachments.iter().map(|a| (a.network.name(), &a.name)).collect::<Vec<_>>());
    let answer = engine::answer(&attachments);
    assert!(answer.len() < LARGEST_ANSWER, "{} bytes", answer.len());
    let answer: Map<String, Value> = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer.len(), attachments.len());
    Ok(attachments)
}

/// What holds for every accepted request.
fn hold_together(attachments: &[Attachment]) {
    let (mut networks, mut devices, mut ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for Attachment { network, wishes, publishing, .. } in attachments {
        assert!(networks.insert(network.name()) && devices.insert(&wishes.ifname));
        assert!(wishes.called.as_ref().unwrap().parse::<SandboxRef>().is_ok());
        assert!(*publishing == Publishing::Possible || wishes.ports.is_empty());
        for port in &wishes.ports {
            assert!(ports.insert(port.to_string()), "{port} twice");
        }
        let (Target::Described(description), Addressing::Given(given)) = (network, &wishes.addressing) else {
            let asks = match network {
                Target::Named(_) => true,
                Target::Described(description) => description.ipam == Ipam::Dhcp,
            };
            assert!(asks && wishes.addressing == Addressing::Network);
            continue;
        };
        for a in given {
            let pool = description.pools.iter().find(|p| p.subnet.has_host(a.address.addr())).unwrap();
            assert_eq!((a.address.prefix_len(), a.gateway), (pool.subnet.net().prefix_len(), pool.gateway));
        }
        let families: Vec<Family> = given.iter().map(|a| Family::of(a.address.addr())).collect();
        assert!(families.is_sorted());
        assert!(wishes.ports.iter().all(|port| !port.host.listens(&families).is_empty()));
    }
}

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.iter().filter_map(|folder| std::fs::read(folder.join("input.json")).ok()).collect()
});

static VALID: LazyLock<Vec<Value>> =
    LazyLock::new(|| SEEDS.iter().filter_map(|seed| serde_json::from_slice(seed).ok()).collect());

fn minimal() -> Value {
    json!({
        "container_id": "c", "container_name": "c",
        "networks": {"n": {"interface_name": "eth0", "static_ips": ["10.89.0.2"]}},
        "network_info": {"n": {
            "name": "n", "id": "1", "driver": "bridge", "dns_enabled": false, "internal": false, "ipv6_enabled": false,
            "network_interface": "podman1", "subnets": [{"subnet": "10.89.0.0/24", "gateway": "10.89.0.1"}],
        }},
    })
}

fn refused(json: &[u8], words: &str) {
    let error = ask(json).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn a_request_that_is_no_text_is_refused() {
    refused(b"", "it is empty");
    refused(b" \n", "it is empty");
    refused(b"null", "invalid type: null");
    refused(b"\xef\xbb\xbf{}", "expected value");
    refused(b"{\"container_id\":\"\xff\"}", "invalid utf-8");
    refused(br#"{"container_id":"\ud800"}"#, "unexpected end of hex escape");
}

#[test]
fn depth_and_size_have_a_limit() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    // Unknown fields are only skipped.
    refused(format!(r#"{{"x":{open}1{close},"container_id":"c"}}"#).as_bytes(), "missing field `container_name`");
    refused(format!(r#"{{"networks":{open}1{close}}}"#).as_bytes(), "invalid type");
    refused(&vec![b' '; LARGEST_REQUEST + 1], "more than 16777216");
}

#[test]
fn an_answer_that_would_be_too_long_is_refused_before_anything_is_done() {
    let mut request = minimal();
    for number in 0..400 {
        let name = format!("{number:0100}");
        request["networks"][&name] = json!({"interface_name": format!("e{number}"), "static_ips": ["10.89.0.2"]});
        request["network_info"][&name] = request["network_info"]["n"].clone();
    }
    refused(request.to_string().as_bytes(), "bytes of the answer: at most 65536 are taken");
    let mut request = minimal();
    request["dns_servers"] = (0..2000).map(|n| json!(format!("10.0.{}.{}", n / 250, n % 250 + 1))).collect();
    refused(request.to_string().as_bytes(), "bytes of the answer");
}

#[test]
fn what_comes_in_masses_has_a_limit() {
    let mut request = minimal();
    request["network_info"]["n"]["subnets"] = (0..101).map(|n| json!({"subnet": format!("10.{n}.0.0/24")})).collect();
    refused(request.to_string().as_bytes(), "network n: subnets: at most 100 are taken");
    let mut request = minimal();
    let route = json!({"destination": "10.1.0.0/16", "gateway": "10.89.0.9"});
    request["network_info"]["n"]["routes"] = vec![route; 1001].into();
    refused(request.to_string().as_bytes(), "network n: routes: at most 1000 are taken");
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
        "10.89.0.2",
        "10.89.0.1",
        "::",
        "0.0.0.0",
        "fe80::1",
        "::ffff:10.89.0.3",
        "10.89.0.0/24",
        "10.89.0.0/33",
        "0.0.0.0/0",
        "fd00::/64",
        "true",
        "strict",
        "none",
        "dhcp",
        "macvlan",
        "unmanaged",
        "-1",
        "0",
        "4294967295",
        "4294967296",
        "tcp,udp",
        "sctp",
        "\u{1b}[2J",
        "a\0b",
        "ü",
        "podman:x",
        "blue",
        "01:00:00:00:00:00",
        "02-00-00-00-00-01",
    ];
    prop_oneof![
        4 => prop::sample::select(words.to_vec()).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => (1usize..100_000).prop_map(|n| Value::from("x".repeat(n))),
        1 => prop::sample::select(vec![
            json!(null), json!(true), json!(-1), json!(0), json!(65535), json!(65536), json!(1.5), json!(1e300),
            json!([]), json!({}), json!([null]), json!({"": null}), json!([[[[]]]]), json!({"name": "n"}),
        ]),
    ]
}

/// Replaces, removes or doubles the value at one place, which `place` chooses.
fn change(value: &mut Value, place: usize, how: u8, new: &Value) {
    let places = count(value);
    let mut left = place % places;
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
                if *left == 0 && how == 1 {
                    all.remove(at);
                    return true;
                }
                if *left == 0 && how == 2 {
                    all.push(all[at].clone());
                    return true;
                }
                if go(&mut all[at], left, how, new) {
                    return true;
                }
            }
        }
        Value::Object(all) => {
            let keys: Vec<String> = all.keys().cloned().collect();
            for key in keys {
                if *left == 0 && how == 1 {
                    all.remove(&key);
                    return true;
                }
                if *left == 0 && how == 2 {
                    let name = new.as_str().unwrap_or("other").to_owned();
                    let same = all[&key].clone();
                    all.insert(name, same);
                    return true;
                }
                if go(&mut all[&key], left, how, new) {
                    return true;
                }
            }
        }
        _ => {}
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn arbitrary_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        ask(&bytes).ok();
    }

    #[test]
    fn damaged_requests_are_answered(
        which in any::<Index>(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Index>(),
        whole in prop::bool::weighted(0.8),
    ) {
        let mut bytes = which.get(&SEEDS).clone();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        ask(&bytes).ok();
    }

    #[test]
    fn changed_requests_are_answered(
        which in any::<Index>(),
        changes in prop::collection::vec((any::<usize>(), 0u8..3, any_value()), 1..5),
    ) {
        let mut request = which.get(&VALID).clone();
        for (place, how, new) in &changes {
            change(&mut request, *place, *how, new);
        }
        ask(request.to_string().as_bytes()).ok();
    }

    #[test]
    fn arbitrary_words_are_a_command_or_a_line_for_stderr(
        dns: bool,
        words in prop::collection::vec(
            prop_oneof![
                4 => prop::sample::select(vec![
                    "-c", "--config", "--config=", "-r", "--rootless", "--rootless=true", "-rfalse", "-a", "-f", "-f=x",
                    "--aardvark-binary=", "--firewall-driver", "--plugin-directory=/p", "--", "-", "-V", "-h", "--help",
                    "--version", "setup", "teardown", "update", "create", "version", "help", "run", "dhcp-proxy",
                    "firewall-reload", "firewalld-reload", "--network-dns-servers", "--network-dns-servers=1.1.1.1,x",
                    "/run/netns/c", "true", "", "n",
                ]).prop_map(|word| word.as_bytes().to_vec()),
                1 => prop::collection::vec(any::<u8>(), 0..300),
            ],
            0..8,
        ),
    ) {
        let program = if dns { Program::AardvarkDns } else { Program::Netavark };
        match parse_arguments(program, words.into_iter().map(OsString::from_vec)) {
            Err(usage) => {
                let line = usage.to_string();
                prop_assert!(!line.is_empty() && line.len() < 4096 && !line.chars().any(char::is_control), "{line:?}");
            }
            Ok(Command::Unsupported(command)) => can_be_read(&unsupported(command)),
            Ok(Command::Update { network, servers, .. }) => {
                update(&network, &servers).inspect_err(can_be_read).ok();
            }
            Ok(Command::Setup(_, path) | Command::Teardown(_, path)) => prop_assert!(!path.as_os_str().is_empty()),
            Ok(Command::Help(_) | Command::Version | Command::VersionLine) => {}
        }
    }
}
