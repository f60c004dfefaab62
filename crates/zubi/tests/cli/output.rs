//! A command whose output is closed or full does the same work.

use crate::blue::{ZUBI, blue_with};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use zubi_lab::{Attachment, CniHost, HELPERS, Host, Snapshot, Verb, links};

const STATE: i32 = 8;

/// Where a stream leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    /// To the test.
    Read,
    /// To a pipe whose other end is closed.
    Closed,
    /// To a full disk.
    Full,
}

impl Sink {
    fn stdio(self) -> Stdio {
        match self {
            Sink::Read => Stdio::piped(),
            Sink::Closed => {
                let (read, write) = std::io::pipe().expect("pipe");
                drop(read);
                write.into()
            }
            Sink::Full => File::options().write(true).open("/dev/full").expect("/dev/full").into(),
        }
    }
}

/// Runs a command to its end. Returns its exit code (128 and more: a signal) and its standard error.
fn ends(mut command: Command, out: Sink, err: Sink) -> (i32, String) {
    let child = command.stdin(Stdio::null()).stdout(out.stdio()).stderr(err.stdio()).spawn().expect("zubi");
    let output = child.wait_with_output().expect("zubi");
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    let code = output.status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0));
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn with_output(host: &Host, words: &str, out: Sink) -> (i32, String) {
    ends(host.command(words), out, Sink::Read)
}

/// A network with a sandbox on it.
fn blue() -> Host {
    let host = blue_with("--subnet 10.55.66.0/24");
    host.container("c1", "blue");
    host
}

/// Commands that print and change nothing.
const LISTS: [&str; 21] = [
    "ls",
    "--json ls",
    "bridge",
    "check",
    "--json check",
    "network ls",
    "network inspect blue",
    "sandbox ls",
    "port ls",
    "link ls",
    "--explain network create red",
    "--json --explain network create red",
    "--dry-run network create red",
    "--json --dry-run network create red",
    "--explain run -- true",
    "completions bash",
    "completions zsh",
    "--help",
    "help network",
    "network create --help",
    "--version",
];

fn a_list_that_nobody_reads_ends_quietly_and_well() {
    let host = blue();
    for words in LISTS {
        assert_eq!(with_output(&host, words, Sink::Closed), (0, String::new()), "{words}");
    }
}

fn a_list_that_finds_no_room_is_an_error_in_words() {
    let host = blue();
    for words in LISTS {
        let (code, said) = with_output(&host, words, Sink::Full);
        assert_eq!(code, STATE, "{words}: {said}");
        assert!(said.contains("write the answer to standard output: No space left"), "{words}: {said}");
    }
}

fn check_tells_a_problem_by_its_code_when_nobody_reads_it() {
    let host = blue();
    host.shell("ip link set zb-blue down").ok();
    assert_eq!(with_output(&host, "check", Sink::Closed), (1, String::new()));
}

fn an_error_that_nobody_reads_keeps_its_code() {
    let host = blue();
    for sink in [Sink::Closed, Sink::Full] {
        assert_eq!(ends(host.command("connect nowhere c1"), Sink::Read, sink).0, 3);
        assert_eq!(ends(host.command("--json connect nowhere c1"), Sink::Read, sink).0, 3);
        assert_eq!(ends(host.command("conect"), Sink::Read, sink).0, 2);
    }
}

/// Commands that change something, in an order in which each has work to do.
const CHANGES: [&str; 12] = [
    "sandbox add c2",
    "network create red --subnet 10.55.67.0/24",
    "connect red c2",
    "port add red c2 8080:80",
    "port rm red c2 8080:80",
    "link c1:q1 c2:q2",
    "link rm c1:q1",
    "network set red --no-icc",
    "disconnect red c2",
    "network rm red",
    "sandbox rm c2",
    "gc",
];

/// Each command leaves the same state as when its output is read.
fn changes_all_the_same(out: Sink, code: i32) {
    let (host, mut expected) = (blue(), Vec::new());
    for words in CHANGES {
        host.zubi(words).ok();
        expected.push(records(&host));
    }
    for (words, expected) in CHANGES.iter().zip(expected) {
        assert_eq!(with_output(&host, words, out).0, code, "{words}");
        assert_eq!(records(&host), expected, "{words}");
        host.zubi("check").ok();
    }
    // No command waits for another: each started its child for the slow work.
    host.settle();
}

fn records(host: &Host) -> [String; 5] {
    ["network ls", "sandbox ls", "ls", "port ls", "link ls"].map(|words| {
        let listed = host.zubi(words).ok().out;
        // Names of devices and ids are new each time.
        listed.lines().map(|line| line.split_whitespace().next().unwrap_or_default().to_owned() + "\n").collect()
    })
}

fn a_change_whose_answer_nobody_reads_is_done() {
    changes_all_the_same(Sink::Closed, 0);
}

fn a_change_whose_answer_finds_no_room_is_done() {
    changes_all_the_same(Sink::Full, STATE);
}

fn a_plan_that_nobody_watches_is_carried_out() {
    let host = blue();
    host.zubi("sandbox add c2").ok();
    for sink in [Sink::Closed, Sink::Full] {
        for words in ["--verbose network create red --subnet 10.55.67.0/24", "--verbose connect red c2"] {
            let (code, _) = ends(host.command(words), Sink::Read, sink);
            assert_eq!(code, 0, "{words}");
        }
        host.shell("ip netns exec c2 ping -c 1 -W 5 10.55.67.1").ok();
        host.zubi("check").ok();
        for words in ["--verbose disconnect red c2", "--verbose network rm red"] {
            let (code, _) = ends(host.command(words), Sink::Read, sink);
            assert_eq!(code, 0, "{words}");
        }
        host.settle();
    }
}

fn a_run_whose_streams_lead_nowhere_runs_and_cleans_up() {
    let host = blue();
    host.settle();
    let before = Snapshot::take();
    for sink in [Sink::Closed, Sink::Full] {
        let words = "--verbose run --network blue -- sh -c exit\\ 7";
        let mut command = host.command("--verbose run --network blue --");
        command.args(["sh", "-c", "exit 7"]);
        assert_eq!(ends(command, sink, sink).0, 7, "{words}");
        host.settle();
        before.assert_no_residue(&Snapshot::take());
    }
}

fn a_detached_run_whose_name_nobody_reads_runs() {
    let host = blue();
    for (name, sink, code) in [("job1", Sink::Closed, 0), ("job2", Sink::Full, STATE)] {
        let words = format!("run -d --name {name} --network blue -- sleep 1000");
        assert_eq!(with_output(&host, &words, sink).0, code, "{name}");
        assert_eq!(host.shell(&format!("ip netns pids {name} | wc -l")).ok().out.trim(), "1");
        host.zubi(&format!("sandbox rm -f {name}")).ok();
    }
}

fn config(plugin: &Value) -> Value {
    let mut config = json!({"cniVersion": "1.0.0", "name": "blue"});
    for (key, value) in plugin.as_object().expect("object") {
        config[key] = value.clone();
    }
    config
}

/// Calls a door with this input. Returns its exit code.
fn calls(mut command: Command, stdin: &Value, out: Sink) -> i32 {
    let mut child = command.stdin(Stdio::piped()).stdout(out.stdio()).stderr(Stdio::piped()).spawn().expect("door");
    child.stdin.take().expect("stdin").write_all(stdin.to_string().as_bytes()).expect("request");
    let output = child.wait_with_output().expect("door");
    assert!(!output.stderr.is_empty(), "it says why");
    output.status.code().expect("it ends by itself")
}

fn add(lab: &CniHost, plugin: &str, at: &Attachment, config: &Value, out: Sink) -> i32 {
    let (container, ifname) = at.key();
    let mut command = lab.caller.command(plugin, Verb::Add);
    command.envs([("CNI_CONTAINERID", container.as_str()), ("CNI_IFNAME", &ifname), ("CNI_NETNS", at.netns())]);
    calls(command, config, out)
}

fn an_add_whose_result_nobody_reads_fails_and_leaves_nothing() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let bridge = config(&json!({"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.55.66.0/24"}}));
    for sink in [Sink::Closed, Sink::Full] {
        assert_eq!(add(&lab, "bridge", &lab.at("c1"), &bridge, sink), 1);
        lab.assert_nothing_remains();
    }
    lab.caller.call("bridge", Verb::Add, &lab.at("c1"), &bridge).ok();
}

fn ports_whose_result_nobody_reads_are_taken_back() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let bridge = config(&json!({"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.55.66.0/24"}}));
    let result = lab.caller.call("bridge", Verb::Add, &lab.at("c1"), &bridge).ok().value;
    let mut portmap = config(&json!({"type": "portmap"}));
    portmap["prevResult"] = result;
    portmap["runtimeConfig"] = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
    assert_eq!(add(&lab, "portmap", &lab.at("c1"), &portmap, Sink::Full), 1);
    assert_eq!(lab.host.zubi("port ls").ok().out.lines().count(), 1);
    lab.host.zubi("check").ok();
}

fn a_setup_whose_status_nobody_reads_fails_and_leaves_nothing() {
    let host = Host::new(ZUBI);
    let helpers = links(ZUBI, "/run/helpers", &HELPERS);
    host.shell("ip netns add c1 && ip -n c1 link set lo up").ok();
    let before = Snapshot::take();
    let network = json!({
        "name": "blue", "id": "53ef42cc45fc53ef42cc45fc53ef42cc45fc53ef42cc45fc53ef42cc45fc0001", "driver": "bridge",
        "network_interface": "podman7", "subnets": [{"subnet": "10.55.66.0/24", "gateway": "10.55.66.1"}],
        "ipv6_enabled": false, "internal": false, "dns_enabled": false, "ipam_options": {"driver": "host-local"},
    });
    let request = json!({
        "container_id": "c1", "container_name": "c1",
        "networks": {"blue": {"static_ips": ["10.55.66.7"], "interface_name": "eth0"}},
        "network_info": {"blue": network},
    });
    for sink in [Sink::Closed, Sink::Full] {
        let mut command = Command::new(helpers.join("netavark"));
        command.envs(host.variables()).args(["setup", "/run/netns/c1"]);
        assert_eq!(calls(command, &request, sink), 1);
        host.settle();
        host.wait_for("! ip link show podman7");
        assert_eq!(host.shell("find /run/zubi -name '*.json' ! -name host.json").out, "");
        let left = before.difference(&Snapshot::take());
        assert!(left.is_none(), "{left:?}");
    }
}

zubi_lab::tests!(
    a_list_that_nobody_reads_ends_quietly_and_well,
    a_list_that_finds_no_room_is_an_error_in_words,
    check_tells_a_problem_by_its_code_when_nobody_reads_it,
    an_error_that_nobody_reads_keeps_its_code,
    a_change_whose_answer_nobody_reads_is_done,
    a_change_whose_answer_finds_no_room_is_done,
    a_plan_that_nobody_watches_is_carried_out,
    a_run_whose_streams_lead_nowhere_runs_and_cleans_up,
    a_detached_run_whose_name_nobody_reads_runs,
    an_add_whose_result_nobody_reads_fails_and_leaves_nothing,
    ports_whose_result_nobody_reads_are_taken_back,
    a_setup_whose_status_nobody_reads_fails_and_leaves_nothing,
);
