//! The state of a host, read by `ip` and `nft` so that it shares no code with what is tested.

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Everything that could be left over, as lines of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    lines: Vec<String>,
}

fn output(words: &[&str], input: &str) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{words:?}: {e}"));
    child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("stdin");
    let output = child.wait_with_output().unwrap_or_else(|e| panic!("{words:?}: {e}"));
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Each document of the output: a program prints one for each command it runs.
fn json(words: &[&str], input: &str) -> Vec<Vec<Value>> {
    let text = output(words, input);
    let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let objects = documents.map(|document| match document.expect("JSON") {
        Value::Array(list) => list,
        Value::Object(mut map) => map.remove("nftables").and_then(|v| v.as_array().cloned()).unwrap_or_default(),
        _ => Vec::new(),
    });
    objects.collect()
}

/// Removes values that differ from run to run without meaning.
fn normal(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !names.contains(&key.as_str()));
            for value in map.values_mut() {
                normal(value, names);
            }
        }
        Value::Array(list) => {
            // The kernel notices a carrier up to a second late (net/core/link_watch.c). A link-local address and its
            // routes come with the carrier.
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
    /// Reads this host, the named sandboxes included.
    pub fn take() -> Self {
        let mut lines = Vec::new();
        lines.extend(namespace("host", &[]));
        for name in names_in(Path::new("/run/netns")) {
            lines.push(format!("netns {name}"));
            lines.extend(namespace(&name, &["-n", &name]));
        }
        for mut object in json(&["nft", "-j", "list", "ruleset"], "").concat() {
            normal(&mut object, &VOLATILE);
            lines.push(format!("nft {object}"));
        }
        lines.retain(|l| l != "nft {}");
        lines.extend(settings());
        for folder in ["/run/zubi", "/run/zubi-state", "/etc/netns"] {
            // Lock files are empty, hidden files are hints, and `NAME~` is an earlier version for people to read.
            let hint = |l: &String| {
                let hidden = l.contains("/.cursor") || l.contains("/.other-") || l.ends_with("/.firewall-seen");
                hidden || l.ends_with(".json~")
            };
            let files = files_below(Path::new(folder));
            let kept = files.iter().filter(|l| !l.contains("/lock/") && !hint(l) && !l.ends_with("/host.json"));
            lines.extend(kept.map(|l| format!("file {l}")));
        }
        Snapshot { lines }
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Fails the test if the two differ.
    #[track_caller]
    pub fn assert_no_residue(&self, later: &Snapshot) {
        if let Some(difference) = self.difference(later) {
            panic!("{difference}");
        }
    }

    /// The lines that only one of the two has; `None` when they are equal.
    pub fn difference(&self, later: &Snapshot) -> Option<String> {
        let only = |a: &Snapshot, b: &Snapshot| -> Vec<String> {
            a.lines.iter().filter(|l| !b.lines.contains(l)).cloned().collect()
        };
        let (new, lost) = (only(later, self), only(self, later));
        let same = new.is_empty() && lost.is_empty();
        (!same).then(|| format!("left over:\n{}\nlost:\n{}", new.join("\n"), lost.join("\n")))
    }
}

/// The settings that make a host a router, of all devices that outlive a test.
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

/// The entries of a folder, sorted; empty when there is no folder.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for name in names_in(folder) {
        let path = folder.join(name);
        if path.is_dir() && !path.is_symlink() {
            files.extend(files_below(&path));
        } else {
            files.push(path.display().to_string());
        }
    }
    files
}

/// The queries for each namespace: options of `ip`, and commands for one process, since starting it takes longer than
/// its work.
const QUESTIONS: [(&[&str], &[&str]); 3] =
    [(&["-d"], &["link"]), (&[], &["addr", "route show table all", "rule"]), (&["-6"], &["route show table all"])];

fn namespace(name: &str, select: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for (options, commands) in QUESTIONS {
        let words = [&["ip", "-j"][..], options, select, &["-batch", "-"]].concat();
        let answers = json(&words, &commands.join("\n"));
        assert_eq!(answers.len(), commands.len(), "{words:?}: {commands:?}: {answers:?}");
        for (command, objects) in commands.iter().zip(answers) {
            for mut object in objects {
                // The kernel makes these itself: when it notices the carrier, or from a work queue a moment after an
                // IPv6 address.
                let of_ipv6 = object["dst"].as_str().is_some_and(|dst| dst.contains(':'));
                if object["type"] == "multicast" || (object["type"] == "local" && of_ipv6) {
                    continue;
                }
                if object["dst"].as_str().is_some_and(|dst| dst.starts_with("fe80:") || dst == "ff00::/8") {
                    continue;
                }
                normal(&mut object, &VOLATILE);
                lines.push(format!("{name} {} {command}: {object}", options.concat()));
            }
        }
    }
    lines
}
