//! A sandbox whose process has just died, in every state until the kernel has taken down its devices: `check` says that
//! it is gone, and `gc` removes what is recorded of it. A sandbox that something else keeps is not gone.

use crate::blue::{ZUBI, blue};
use zubi_lab::{Host, Loner};

const RIGHT: &str = "everything is as recorded\n";

/// What keeps the kernel busy: it takes down one namespace after the other.
const CROWD: &str = "for i in $(seq 100); do ip netns add x$i; ip -n x$i link set lo up; done; \
                     for i in $(seq 100); do ip netns del x$i; done";

fn said_of(object: &str) -> String {
    format!("{object} is gone\n    to put it right: zubi gc\n")
}

/// `check` names what is gone and nothing else, and `gc` removes it.
fn gone(host: &Host, object: &str) {
    assert_eq!(host.zubi("check").fails(1, "").out, said_of(object));
    host.zubi("gc").ok();
    assert_eq!(host.zubi("check").ok().out, RIGHT);
    assert_eq!(host.zubi("--json ls").ok().json(), serde_json::json!([]));
    host.settle();
    host.zubi("check").ok();
}

fn endpoint(host: &Host) -> (Loner, String) {
    let loner = Loner::new();
    host.connect(&format!("blue pid:{} -p 8080:80", loner.pid()));
    let words = format!("endpoint of pid:{} on network blue: its sandbox", loner.pid());
    (loner, words)
}

fn a_sandbox_that_has_ended_is_gone() {
    let host = blue();
    let (loner, words) = endpoint(&host);
    loner.die();
    host.wait_for("! ip link show master zb-blue | grep -q .");
    gone(&host, &words);
}

fn a_zombie_s_sandbox_is_gone() {
    let host = blue();
    let (mut loner, words) = endpoint(&host);
    loner.kill();
    host.wait_for("! ip link show master zb-blue | grep -q .");
    gone(&host, &words);
}

/// A fast kernel may have taken the devices down before anybody looks: then it is tried once more.
fn a_sandbox_whose_devices_are_still_seen_is_gone() {
    let host = blue();
    let seen = (0..20).any(|_| {
        let (loner, words) = endpoint(&host);
        host.shell(CROWD).ok();
        loner.die();
        let seen = host.shell("ip link show master zb-blue | grep -q .").code == 0;
        gone(&host, &words);
        seen
    });
    assert!(seen, "the devices were taken down at once, 20 times");
}

fn a_zombie_s_sandbox_whose_devices_are_still_seen_is_gone() {
    let host = blue();
    let (mut loner, words) = endpoint(&host);
    host.shell(CROWD).ok();
    loner.kill();
    host.shell(&format!("until grep -q ' Z ' /proc/{}/stat; do :; done", loner.pid())).ok();
    gone(&host, &words);
}

fn a_link_to_a_sandbox_that_has_ended_is_gone() {
    let host = Host::new(ZUBI);
    host.zubi("sandbox add c1").ok();
    for end in ["host", "c1"] {
        for devices in ["still seen", "taken down"] {
            let loner = Loner::new();
            let pid = loner.pid();
            host.zubi(&format!("link pid:{pid}:eth7 {end}:veth-a --address 10.0.0.1/24,10.0.0.2/24")).ok();
            if devices == "still seen" {
                host.shell(CROWD).ok();
            }
            loner.die();
            if devices == "taken down" {
                let inside = if end == "host" { "ip" } else { "ip -n c1" };
                host.wait_for(&format!("! {inside} link show veth-a 2>/dev/null"));
            }
            gone(&host, &format!("link pid:{pid}:eth7 - {end}:veth-a: its sandbox pid:{pid}"));
        }
    }
}

fn a_sandbox_that_something_else_keeps_is_not_gone() {
    let host = blue();
    let kept = |keeper: &str, host: &Host| {
        assert_eq!(host.zubi("check").ok().out, RIGHT, "{keeper}");
        host.zubi("gc").ok();
        assert_eq!(host.zubi("--json ls").ok().json().as_array().expect("list").len(), 1, "{keeper}");
    };
    let (loner, _) = endpoint(&host);
    let pid = loner.pid();
    host.zubi(&format!("sandbox add name --from pid:{pid}")).ok();
    loner.die();
    kept("a name", &host);
    let mut process = host.command("sandbox exec name sleep 1000").spawn().expect("zubi");
    host.wait_for("ip netns pids name | grep -q .");
    host.zubi("sandbox rm name").ok();
    kept("a process", &host);
    let open = std::fs::File::open(format!("/proc/{}/ns/net", process.id())).expect("namespace");
    process.kill().expect("kill");
    process.wait().expect("wait");
    kept("an open descriptor", &host);
    drop(open);
    host.wait_for("! ip link show master zb-blue | grep -q .");
    gone(&host, &format!("endpoint of pid:{pid} on network blue: its sandbox"));
}

fn check_names_no_command_while_sandboxes_end() {
    let host = blue();
    for _ in 0..8 {
        let (loner, words) = endpoint(&host);
        let death = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(12));
            loner.die();
        });
        for _ in 0..8 {
            let said = host.zubi("check").out;
            assert!(said == RIGHT || said == said_of(&words), "{said}");
        }
        death.join().unwrap();
        host.zubi("gc").ok();
    }
}

zubi_lab::tests!(
    a_sandbox_that_has_ended_is_gone,
    a_zombie_s_sandbox_is_gone,
    a_sandbox_whose_devices_are_still_seen_is_gone,
    a_zombie_s_sandbox_whose_devices_are_still_seen_is_gone,
    a_link_to_a_sandbox_that_has_ended_is_gone,
    a_sandbox_that_something_else_keeps_is_not_gone,
    check_names_no_command_while_sandboxes_end,
);
