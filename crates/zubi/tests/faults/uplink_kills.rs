//! Networks on the LAN, with the command, its guardian or both killed at every step: the host stays reachable.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_lab::boot::{AT_BOOT, on_bridge, reaches_the_lan, restart};
use zubi_lab::lan::{holdings, make_lan};
use zubi_lab::{Answer, Capability, Host, need};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const CREATE: &str = "network create lan --driver uplink --parent eth0";

/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn host() -> Host {
    let host = Host::new(ZUBI);
    make_lan(&host);
    host
}

fn killed(host: &Host, at: u32, words: &str) -> Answer {
    host.with_env("ZUBI_FAULT", &format!("kill:{at}")).zubi(words)
}

/// Waits until the card has everything back. A command that was killed after it had written its record is complete.
fn went_back(host: &Host, before: &str, step: u32) {
    let since = Instant::now();
    loop {
        if host.shell("test -e \"$ZUBI_STATE_DIR\"/networks/lan.json").code == 0 {
            host.zubi("network rm lan").ok();
        }
        let now = holdings(host, "eth0");
        if now == before && host.shell("ip link show zb-lan").code != 0 {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "step {step}: {now}\nbefore:\n{before}");
        sleep(Duration::from_millis(10));
    }
}

/// Every step of a command: calls `after` with the number of the step at which it was killed. Returns how many there are.
fn at_every_step(host: &Host, words: &str, mut after: impl FnMut(u32)) -> u32 {
    for at in 1.. {
        if killed(host, at, words).code == 0 {
            return at;
        }
        after(at);
    }
    0
}

fn a_killed_command_is_undone_by_its_guardian() {
    let host = host();
    let before = holdings(&host, "eth0");
    let steps = at_every_step(&host, CREATE, |step| {
        went_back(&host, &before, step);
        reaches_the_lan(&host);
    });
    assert!(steps > 20, "{steps}");
    reaches_the_lan(&host);
    host.zubi("network rm lan").ok();
    host.settle();
    assert_eq!(holdings(&host, "eth0"), before);
    host.zubi("check").ok();
}

fn with_the_guardian_killed_too_the_next_command_undoes_it() {
    let host = host();
    let before = holdings(&host, "eth0");
    for at in 1.. {
        let mut command = host.with_env("ZUBI_FAULT", &format!("stop:{at}")).command(CREATE);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("zubi");
        let stat = format!("/proc/{}/stat", child.id());
        let stopped = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break !status.success();
            }
            if std::fs::read_to_string(&stat).unwrap_or_default().contains(") T ") {
                break true;
            }
            sleep(Duration::from_millis(1));
        };
        if !stopped {
            break;
        }
        let all = host.shell(&format!("pgrep -f '^{ZUBI} {CREATE}' || :")).ok().out;
        for pid in all.lines() {
            host.shell(&format!("kill -KILL {pid}")).ok();
        }
        child.wait().expect("a child");
        // Any command will do.
        host.zubi("ls").ok();
        went_back(&host, &before, at);
        reaches_the_lan(&host);
    }
    host.zubi("network rm lan").ok();
    assert_eq!(holdings(&host, "eth0"), before);
}

fn a_killed_confirmation_or_removal_is_whole_after_the_next_command() {
    let host = host();
    let before = holdings(&host, "eth0");
    let create = format!("{CREATE} --confirm-within 100s");
    host.zubi(&create).ok();
    at_every_step(&host, "network confirm lan", |_| {
        let listed = host.zubi("network ls").ok().out;
        assert!(listed.contains("lan"), "{listed}");
        reaches_the_lan(&host);
        if !listed.contains("unconfirmed") {
            host.zubi("network rm lan").ok();
            host.zubi(&create).ok();
        }
    });
    let steps = at_every_step(&host, "network rm lan", |step| {
        let listed = host.zubi("network ls").ok().out;
        reaches_the_lan(&host);
        if !listed.contains("lan") {
            went_back(&host, &before, step);
            host.zubi(CREATE).ok();
        }
        host.zubi("check").ok();
    });
    assert!(steps > 10, "{steps}");
    host.settle();
    assert_eq!(holdings(&host, "eth0"), before);
}

fn a_failure_at_every_step_gives_the_card_back() {
    let host = host();
    let before = holdings(&host, "eth0");
    for at in 1.. {
        let answer = host.with_env("ZUBI_FAULT", &format!("fail:{at}")).zubi(CREATE);
        if answer.code == 0 {
            break;
        }
        went_back(&host, &before, at);
        host.zubi("check").ok();
    }
    reaches_the_lan(&host);
}

/// A host with the network `lan`, which has just started: its own configuration has made the bridge.
fn started() -> Host {
    let host = host();
    host.zubi(CREATE).ok();
    restart(&host);
    host.shell(AT_BOOT).ok();
    host.shell("cp -a \"$ZUBI_STATE_DIR\" /run/kept").ok();
    reaches_the_lan(&host);
    host
}

/// Back to a host that has just started, with the same bridge.
fn forget(host: &Host) {
    host.shell(
        "set -e; ip link set zb-lan alias ''; nft flush ruleset; rm -r \"$ZUBI_STATE_DIR\" \"$ZUBI_RUN_DIR\"
         cp -a /run/kept \"$ZUBI_STATE_DIR\"",
    )
    .ok();
}

fn a_bridge_that_the_host_made_is_taken_whole_whatever_is_killed() {
    let host = started();
    let before = on_bridge(&host);
    for (words, least) in [("repair", 2), ("connect lan c1 --ip 192.168.1.99 --no-probe", 15)] {
        let steps = at_every_step(&host, words, |step| {
            assert_eq!(on_bridge(&host), before, "{words}: step {step}");
            reaches_the_lan(&host);
            // Whatever comes next finishes it.
            host.zubi("repair").ok();
            host.zubi("check").ok();
            assert_eq!(on_bridge(&host), before, "{words}: step {step}");
            host.zubi("gc").ok();
            host.shell("ip netns del c1 2> /dev/null || :").ok();
            host.zubi("gc").ok();
            forget(&host);
            host.zubi("sandbox add c1").ok();
        });
        assert!(steps > least, "{words}: {steps}");
        host.zubi("sandbox rm -f c1").ok();
        forget(&host);
        host.zubi("sandbox add c1").ok();
    }
}

fn a_killed_removal_leaves_the_bridge_that_the_host_made() {
    let host = started();
    let before = on_bridge(&host);
    host.zubi("repair").ok();
    let steps = at_every_step(&host, "network rm lan", |step| {
        assert_eq!(on_bridge(&host), before, "step {step}");
        let listed = host.zubi("network ls").ok().out;
        host.zubi("gc").ok();
        host.zubi("check").ok();
        assert_eq!(on_bridge(&host), before, "step {step}");
        reaches_the_lan(&host);
        if !listed.contains("lan") {
            host.shell("! ip link show zb-lan | grep -q alias; ! nft list tables | grep -q zubi").ok();
            forget(&host);
            host.zubi("repair").ok();
        }
    });
    assert!(steps > 4, "{steps}");
    assert_eq!(on_bridge(&host), before);
}

const VLAN: &str = "network create ten --driver uplink --parent eth0 --vlan 10 --subnet 10.10.0.0/24 \
                    --gateway 10.10.0.1 --ip-range 10.10.0.128/25";

fn a_killed_command_for_a_vlan_is_undone_or_whole() {
    let test = "a_killed_command_for_a_vlan_is_undone_or_whole";
    if !need(&[Capability::Vlan, Capability::VlanFiltering], test) {
        return;
    }
    let host = host();
    let before = holdings(&host, "eth0");
    let gone = "! ip link show zb-ten && test ! -e \"$ZUBI_STATE_DIR\"/networks/ten.json";
    at_every_step(&host, VLAN, |step| {
        host.wait_for(&format!("test -e \"$ZUBI_STATE_DIR\"/networks/ten.json || {{ {gone}; }}"));
        if host.shell(gone).code != 0 {
            host.zubi("network rm ten").ok();
        }
        host.wait_for(gone);
        assert_eq!(holdings(&host, "eth0"), before, "step {step}");
    });
    host.zubi("network rm ten").ok();
    host.settle();
    assert_eq!(holdings(&host, "eth0"), before);
}

zubi_lab::tests!(
    a_bridge_that_the_host_made_is_taken_whole_whatever_is_killed,
    a_killed_removal_leaves_the_bridge_that_the_host_made,
    a_killed_command_for_a_vlan_is_undone_or_whole,
    a_killed_command_is_undone_by_its_guardian,
    with_the_guardian_killed_too_the_next_command_undoes_it,
    a_killed_confirmation_or_removal_is_whole_after_the_next_command,
    a_failure_at_every_step_gives_the_card_back
);
