//! The two folders: their permissions, damaged files in them, and commands that wait for a slow disk.

use crate::blue::{ZUBI, blue_with};
use serde_json::{Value, json};
use std::fs;
use zubi_lab::{Answer, HELPERS, Host, Snapshot, assert_reaches, links};

const STATE: i32 = 8;

fn blue() -> Host {
    blue_with("--subnet 10.55.66.0/24")
}

fn private_whatever_the_umask(umask: &str) {
    let host = Host::new(ZUBI);
    for words in [
        "network create blue --subnet 10.55.66.0/24",
        "sandbox add c1",
        "connect blue c1 -p 8080:80",
        "network set blue --mtu 1400",
        "network create green --subnet 10.55.67.0/24",
        "connect green c1",
        "disconnect green c1",
    ] {
        host.shell(&format!("umask {umask}; {ZUBI} {words}")).ok();
    }
    host.settle();
    let others = host.shell(
        "find /run/zubi /run/zubi-state '(' -type d -not -perm 700 ')' -o '(' -type f -not -perm 600 ')' | \
         xargs -r ls -ld",
    );
    assert_eq!(others.ok().out, "");
    host.shell("test -e /run/zubi/.firewall-seen && test -e /run/zubi/lock/host").ok();
}

fn with_umask_0_everything_is_the_owners() {
    private_whatever_the_umask("0");
}

fn with_umask_0777_everything_is_the_owners() {
    private_whatever_the_umask("0777");
}

fn a_folder_that_others_can_write_to_is_refused() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    let before = Snapshot::take();
    for folder in ["/run/zubi", "/run/zubi-state"] {
        host.shell(&format!("chmod 777 {folder}")).ok();
        host.zubi("connect blue c1").fails(STATE, &format!("{folder}: has mode 0777"));
        before.assert_no_residue(&Snapshot::take());
        host.zubi("ls").fails(STATE, &format!("chmod go-w {folder}"));
        host.shell(&format!("chmod go-w {folder}")).ok();
    }
    host.connect("blue c1");
}

fn a_host_file_with_one_wrong_letter_erases_nothing() {
    let host = blue();
    let c1 = host.container("c1", "blue");
    let before = Snapshot::take();
    let file = "/run/zubi/host.json";
    let whole = fs::read_to_string(file).expect("host.json");
    let at = whole.find("\"boot_id\":\"").expect("boot id") + 12;
    let other = if whole.as_bytes()[at] == b'0' { "1" } else { "0" };
    let damaged = format!("{}{other}{}", &whole[..at], &whole[at + 1..]);
    fs::write(file, &damaged).expect("write");
    for words in ["ls", "gc", "repair", "check", "connect blue c1", "disconnect blue c1"] {
        host.zubi(words).fails(STATE, file);
        before.assert_no_residue(&Snapshot::take());
    }
    assert_eq!(fs::read_to_string(file).expect("host.json"), damaged);
    assert_reaches("host", "c1", &c1);
    fs::write(file, whole).expect("write");
    host.zubi("check").ok();
}

fn damaged_hints_stop_nothing_and_are_reported() {
    let host = blue();
    host.container("c1", "blue");
    let damaged =
        ["doomed/zvbad", "stale/10.55.66.9", "making/red.json", "sandboxes/c9.json", "leases/blue/10.55.66.99"];
    for file in damaged {
        let path = format!("/run/zubi/{file}");
        host.shell(&format!("mkdir -p $(dirname {path}) && echo '{{' > {path}")).ok();
    }
    host.shell("cp /run/zubi-state/networks/blue.json /run/zubi/making/green.json").ok();
    host.zubi("disconnect blue c1").ok();
    host.connect("blue c1");
    host.zubi("gc").ok();
    host.zubi("network create pink --subnet 10.55.68.0/24").ok();
    host.zubi("sandbox ls").ok();
    let found = host.zubi("check").fails(1, "").out;
    for file in damaged.into_iter().chain(["making/green.json"]) {
        assert!(found.contains(&format!("/run/zubi/{file}: ")), "{file}: {found}");
        host.shell(&format!("rm /run/zubi/{file}")).ok();
    }
    host.zubi("check").ok();
}

fn dead_sandboxes_leave_no_lock_files() {
    let host = blue();
    for _ in 0..5 {
        host.shell("ip netns add c1").ok();
        host.connect("blue c1");
        host.shell("ip netns del c1").ok();
    }
    // The kernel dismantles a deleted namespace some time later.
    host.wait_for("! ip link show type veth | grep -q zv");
    host.zubi("gc").ok();
    host.settle();
    assert_eq!(host.shell("ls /run/zubi/lock").ok().out, "host\nleases-blue\nnames-blue\n");
}

fn mount_read_only(host: &Host, folder: &str) {
    host.shell(&format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}")).ok();
}

fn on_a_read_only_state_folder_nothing_of_a_network_is_begun() {
    let host = blue();
    host.container("c1", "blue");
    mount_read_only(&host, "/run/zubi-state");
    let before = Snapshot::take();
    for words in ["network create red --subnet 10.55.67.0/24", "network set blue --mtu 1400"] {
        let count = host.with_env("ZUBI_FAULT", "count").zubi(words).fails(STATE, "Read-only file system");
        assert!(!count.err.contains("step "), "{}", count.err);
        before.assert_no_residue(&Snapshot::take());
    }
    host.zubi("disconnect blue c1").ok();
    host.zubi("network rm blue").fails(STATE, "Read-only file system");
    host.connect("blue c1");
    host.zubi("check").ok();
}

fn a_network_that_was_half_made_before_the_folder_became_read_only_is_taken_away() {
    let host = blue();
    let initial = Snapshot::take();
    host.with_env("ZUBI_FAULT", "kill:7").zubi("network create red --subnet 10.55.67.0/24");
    host.shell("ls /run/zubi/making/red.json && find /run/zubi-state -name '.tmp-*' -delete").ok();
    mount_read_only(&host, "/run/zubi-state");
    host.zubi("gc").ok();
    initial.assert_no_residue(&Snapshot::take());
    host.zubi("check").ok();
}

fn a_network_that_cannot_be_finished_stops_no_other() {
    let host = blue();
    host.network("red --subnet 10.55.67.0/24");
    let c1 = host.container("c1", "blue");
    host.shell("ip netns add c2").ok();
    host.connect("blue c2");
    host.with_env("ZUBI_FAULT", "kill:4").zubi("network set red --mtu 1400");
    host.shell("ls /run/zubi/making/red.json").ok();
    fs::write("/run/zubi-state/networks/red.json", "{").expect("write");
    host.shell("ip netns del c2; ip link del zb-blue").ok();
    // The kernel deletes the pair with the namespace, a moment later.
    host.wait_for("test $(ip -o link | grep -c ' zv') = 1");
    let told = |answer: Answer| assert!(answer.err.contains("networks/red.json"), "{}", answer.err);
    told(host.zubi("repair").fails(STATE, ""));
    assert_reaches("host", "c1", &c1);
    told(host.zubi("gc").fails(STATE, ""));
    assert_eq!(host.shell("ls /run/zubi/leases/blue").ok().out.trim(), c1);
    host.zubi("network set blue --mtu 1400").ok();
    host.zubi("disconnect blue c1").ok();
    host.zubi("network rm blue").ok();
}

/// The number of the last step of that name.
fn number_of(host: &Host, words: &str, step: &str) -> String {
    let told = host.with_env("ZUBI_FAULT", "count").zubi(words).ok().err;
    let line = told.lines().rev().find(|line| line.contains(step)).unwrap_or_else(|| panic!("no {step}: {told}"));
    line.trim_start_matches("step ").split(':').next().expect("number").to_owned()
}

/// Connects and disconnects while another command is stopped behind each step in which it waits for the disk.
fn nobody_waits_while_it_syncs(host: &Host, words: &str, undo: &str, steps: &[&str]) {
    for step in steps {
        let number = number_of(host, words, step);
        host.zubi(undo).ok();
        let mut command = host.command(words);
        let mut slow = command.env("ZUBI_FAULT", format!("stop:{number}")).spawn().expect("zubi");
        host.wait_for(&format!("grep -q ') T ' /proc/{}/stat", slow.id()));
        // These commands would fail if they had to wait.
        host.connect("blue c1");
        host.zubi("disconnect blue c1").ok();
        host.shell(&format!("kill -CONT {}", slow.id())).ok();
        assert!(slow.wait().expect("end").success(), "{words} stopped behind {step}");
        host.zubi(undo).ok();
    }
    host.zubi("check").ok();
}

fn nobody_waits_while_the_record_of_a_new_network_is_synced() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    let create = "network create green --subnet 10.55.67.0/24";
    nobody_waits_while_it_syncs(&host, create, "network rm green", &["write networks/green.json", "sync networks"]);
}

fn nobody_waits_while_the_record_of_a_changed_network_is_synced() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    let steps = ["write networks/blue.json", "sync networks"];
    nobody_waits_while_it_syncs(&host, "network set blue --mtu 1400", "network set blue --mtu 1500", &steps);
}

const ROOTLESS: &str = "env -u ZUBI_RUN_DIR -u ZUBI_STATE_DIR /run/helpers/netavark --rootless true --config /run/user";

fn netavark(host: &Host, verb: &str, around: &str) -> Answer {
    let id = "ab".repeat(32);
    let request = json!({
        "container_id": id, "container_name": "c1",
        "networks": { "blue": { "interface_name": "eth0", "static_ips": ["10.55.66.2"] } },
        "network_info": { "blue": {
            "name": "blue", "id": id, "driver": "bridge", "network_interface": "podman1",
            "subnets": [{ "subnet": "10.55.66.0/24", "gateway": "10.55.66.1" }],
            "ipv6_enabled": false, "internal": false, "dns_enabled": false, "options": Value::Null,
        } },
    });
    fs::write("/run/request.json", request.to_string()).expect("request");
    host.shell(&format!("{around} {ROOTLESS} {verb} /run/netns/c1 < /run/request.json"))
}

fn of_a_users_earlier_namespace_podman_forgets_what_is_whole_and_keeps_what_is_damaged() {
    let host = Host::new(ZUBI);
    links(ZUBI, "/run/helpers", &HELPERS);
    host.shell("mkdir -p /run/user; ip netns add c1; ip -n c1 link set lo up").ok();
    // Podman's earlier namespace.
    netavark(&host, "setup", "unshare --net").ok();
    let file = "/run/user/zubi/run/host.json";
    let whole = fs::read_to_string(file).expect("host.json");
    let records = "find /run/user/zubi/run -name '*.json' | grep -v lock | sort";
    let before = host.shell(records).ok().out;
    assert!(before.contains("endpoints/"), "{before}");
    for damaged in ["", "{", &whole.replace("netns_cookie", "netns_cookiE"), &whole.replace('}', "0}")] {
        fs::write(file, damaged).expect("write");
        let refused = netavark(&host, "setup", "");
        assert!(refused.code != 0 && refused.out.contains(file), "{} {}", refused.out, refused.err);
        assert_eq!(host.shell(records).ok().out, before);
    }
    fs::write(file, whole).expect("write");
    host.shell("ip netns del c1; ip netns add c1; ip -n c1 link set lo up").ok();
    netavark(&host, "setup", "").ok();
    netavark(&host, "teardown", "").ok();
}

zubi_lab::tests!(
    with_umask_0_everything_is_the_owners,
    with_umask_0777_everything_is_the_owners,
    a_folder_that_others_can_write_to_is_refused,
    a_host_file_with_one_wrong_letter_erases_nothing,
    damaged_hints_stop_nothing_and_are_reported,
    dead_sandboxes_leave_no_lock_files,
    on_a_read_only_state_folder_nothing_of_a_network_is_begun,
    a_network_that_was_half_made_before_the_folder_became_read_only_is_taken_away,
    a_network_that_cannot_be_finished_stops_no_other,
    nobody_waits_while_the_record_of_a_new_network_is_synced,
    nobody_waits_while_the_record_of_a_changed_network_is_synced,
    of_a_users_earlier_namespace_podman_forgets_what_is_whole_and_keeps_what_is_damaged,
);
