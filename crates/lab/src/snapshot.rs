//! The state of a host, read by `ip` and `nft` so that no code is shared with what is tested.

use serde_json::Value;
use std::process::Command;

/// Everything that could be left over, as text lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    lines: Vec<String>,
}

fn output(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap_or_else(|e| panic!("{words:?}: {e}"));
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(words: &[&str]) -> Vec<Value> {
    let text = output(words);
    let value: Value = if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") };
    match value {
        Value::Array(list) => list,
        Value::Object(mut map) => map.remove("nftables").and_then(|v| v.as_array().cloned()).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Leaves out what differs from run to run and means nothing.
fn normal(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !names.contains(&key.as_str()));
            for value in map.values_mut() {
                normal(value, names);
            }
        }
        Value::Array(list) => {
            // Noticed up to a second late (net/core/link_watch.c).
            // A link-local address comes with the carrier, and with it its routes.
            list.retain(|v| v["scope"] != "link");
            list.retain(|v| !["NO-CARRIER", "LOWER_UP", "linkdown"].iter().any(|word| v == word));
            for value in list {
                normal(value, names);
            }
        }
        _ => {}
    }
}

const VOLATILE: [&str; 23] = [
    "fdb_n_learned",
    "tso_max_size",
    "tso_max_segs",
    "hold_timer",
    "message_age_timer",
    "forward_delay_timer",
    "hello_timer",
    "tcn_timer",
    "topology_change_timer",
    "gc_timer",
    "operstate",
    "handle",
    "packets",
    "bytes",
    "metainfo",
    "ifindex",
    "link_index",
    "link_netnsid",
    "stats64",
    "stats",
    "index",
    "valid_life_time",
    "preferred_life_time",
];

impl Snapshot {
    /// Of this host, the named sandboxes included.
    pub fn take() -> Self {
        let mut lines = Vec::new();
        lines.extend(namespace("host", &[]));
        for netns in json(&["ip", "-j", "netns", "list"]) {
            let name = netns["name"].as_str().expect("name").to_owned();
            lines.push(format!("netns {name}"));
            lines.extend(namespace(&name, &["-n", &name]));
        }
        for mut object in json(&["nft", "-j", "list", "ruleset"]) {
            normal(&mut object, &VOLATILE);
            lines.push(format!("nft {object}"));
        }
        lines.retain(|l| l != "nft {}");
        lines.extend(settings());
        for folder in ["/run/zubi", "/run/zubi-state"] {
            let found = Command::new("find").args([folder, "-not", "-type", "d"]).output().expect("find");
            let text = String::from_utf8_lossy(&found.stdout).into_owned();
            // Lock files have no content, and what is hidden is only a hint.
            let hint = |l: &&str| l.contains("/.cursor") || l.contains("/.other-") || l.ends_with("/.firewall-seen");
            let kept = text.lines().filter(|l| !l.contains("/lock/") && !hint(l) && !l.ends_with("/host.json"));
            lines.extend(kept.map(|l| format!("file {l}")));
        }
        Snapshot { lines }
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Fails the test if `later` has anything this one has not, or the other way round.
    #[track_caller]
    pub fn assert_no_residue(&self, later: &Snapshot) {
        if let Some(difference) = self.difference(later) {
            panic!("{difference}");
        }
    }

    /// What `later` has and this one has not, and the other way round; `None` when there is nothing.
    pub fn difference(&self, later: &Snapshot) -> Option<String> {
        let only = |a: &Snapshot, b: &Snapshot| -> Vec<String> {
            a.lines.iter().filter(|l| !b.lines.contains(l)).cloned().collect()
        };
        let (new, lost) = (only(later, self), only(self, later));
        let same = new.is_empty() && lost.is_empty();
        (!same).then(|| format!("left over:\n{}\nlost:\n{}", new.join("\n"), lost.join("\n")))
    }
}

/// What makes a router of a host, on all devices that outlive a test.
fn settings() -> Vec<String> {
    let script = "cd /proc/sys/net && grep -s . ipv4/ip_forward ipv4/conf/all/accept_redirects ipv6/conf/*/forwarding \
                  ipv6/conf/*/force_forwarding ipv6/conf/*/accept_ra";
    let text = Command::new("sh").args(["-c", script]).output().expect("sh").stdout;
    let there = |line: &str| {
        ["ipv4/", "ipv6/conf/all/", "ipv6/conf/default/", "ipv6/conf/uplink/"]
            .iter()
            .any(|whose| line.starts_with(whose))
    };
    String::from_utf8_lossy(&text).lines().filter(|line| there(line)).map(|line| format!("setting {line}")).collect()
}

fn namespace(name: &str, select: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for what in [
        &["-d", "link"][..],
        &["addr"],
        &["route", "show", "table", "all"],
        &["-6", "route", "show", "table", "all"],
        &["rule"],
    ] {
        let words: Vec<&str> = [&["ip", "-j"][..], select, what].concat();
        for mut object in json(&words) {
            // The kernel's own: made when it notices the carrier, or by a work queue a moment after an IPv6 address.
            let of_ipv6 = object["dst"].as_str().is_some_and(|dst| dst.contains(':'));
            if object["type"] == "multicast" || (object["type"] == "local" && of_ipv6) {
                continue;
            }
            if object["dst"].as_str().is_some_and(|dst| dst.starts_with("fe80:") || dst == "ff00::/8") {
                continue;
            }
            normal(&mut object, &VOLATILE);
            lines.push(format!("{name} {}: {object}", what.join(" ")));
        }
    }
    lines
}
