//! Two commands at once, one of them stopped behind every single one of its steps while the other runs.
//!
//! The other may have to wait for a lock that the stopped one holds: then the stopped one goes on after a moment.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use zubi_lab::{Answer, Host, Snapshot};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// Whoever has not ended by then waits for a lock.
const MOMENT: Duration = Duration::from_millis(120);

/// Longer than anything takes: two commands that wait for each other.
const DEADLOCK: Duration = Duration::from_secs(20);

/// Exit codes that say: there is no such thing, or it is in use.
const DEFINITE: [i32; 3] = [0, 3, 4];

struct Pair {
    /// Makes the initial state, once.
    setup: &'static [&'static str],
    /// From the initial state to the one in which both are tried.
    before: &'static [&'static str],
    /// Is stopped, or killed, behind each of its steps.
    slow: &'static str,
    /// Runs meanwhile.
    other: &'static str,
    /// Puts right what the other, a stranger, has broken.
    mend: &'static [&'static str],
    /// Takes away whatever became of it; what is gone already is fine.
    after: &'static [&'static str],
    /// At least so many steps are expected.
    steps: usize,
    /// What is wanted of the exit codes of both.
    verdict: fn(i32, i32) -> bool,
}

fn is_definite(code: i32) -> bool {
    DEFINITE.contains(&code)
}

fn both_succeed(slow: i32, other: i32) -> bool {
    slow == 0 && other == 0
}

fn one_succeeds(slow: i32, other: i32) -> bool {
    (slow == 0) != (other == 0) && is_definite(slow) && is_definite(other)
}

fn slow_succeeds(slow: i32, other: i32) -> bool {
    slow == 0 && is_definite(other)
}

fn any_definite(slow: i32, other: i32) -> bool {
    is_definite(slow) && is_definite(other)
}

/// A stranger may break anything; only the state afterwards counts.
fn any(slow: i32, other: i32) -> bool {
    slow >= 0 && other >= 0
}

const BLUE: &str = "network create blue --subnet 10.55.66.0/24";

const RM_AND_CONNECT: Pair = Pair {
    setup: &["sandbox add c1"],
    before: &[BLUE],
    slow: "network rm blue",
    other: "connect blue c1",
    mend: &[],
    after: &["disconnect blue c1", "network rm blue"],
    steps: 6,
    verdict: one_succeeds,
};

const CONNECT_AND_RM: Pair = Pair { slow: "connect blue c1", other: "network rm blue", steps: 18, ..RM_AND_CONNECT };

const FIRST_CONNECTS: Pair = Pair {
    setup: &[BLUE, "sandbox add c1", "sandbox add c2"],
    before: &["!ip link del zb-blue"],
    slow: "connect blue c1",
    other: "connect blue c2",
    mend: &[],
    after: &["disconnect blue c1", "disconnect blue c2"],
    steps: 25,
    verdict: both_succeed,
};

const SAME_FIRST_CONNECT: Pair = Pair { other: "connect blue c1", ..FIRST_CONNECTS };

const CONNECT_AND_GC: Pair = Pair {
    setup: &[BLUE, "sandbox add c1"],
    before: &[],
    slow: "connect blue c1",
    other: "gc",
    mend: &[],
    after: &["disconnect blue c1"],
    steps: 18,
    verdict: both_succeed,
};

const CONNECT_AND_REPAIR: Pair = Pair { other: "repair", ..CONNECT_AND_GC };

const CONNECT_AND_DISCONNECT: Pair = Pair { other: "disconnect blue c1", ..CONNECT_AND_GC };

const CONNECT_AND_CREATE: Pair = Pair {
    other: "network create green --subnet 10.55.67.0/24",
    after: &["disconnect blue c1", "network rm green"],
    ..CONNECT_AND_GC
};

const DISCONNECT_AND_CONNECT: Pair = Pair {
    before: &["connect blue c1"],
    slow: "disconnect blue c1",
    other: "connect blue c1",
    steps: 11,
    ..CONNECT_AND_GC
};

const REPAIR_AND_CONNECT: Pair = Pair {
    setup: &[BLUE, "sandbox add c1", "sandbox add c2", "connect blue c2"],
    before: &["!ip link del zb-blue; nft delete table inet zubi"],
    slow: "repair",
    other: "connect blue c1",
    mend: &[],
    after: &["disconnect blue c1", "repair"],
    steps: 5,
    verdict: both_succeed,
};

const CREATES_OF_ONE_SUBNET: Pair = Pair {
    setup: &[],
    before: &[],
    slow: BLUE,
    other: "network create green --subnet 10.55.66.0/25",
    mend: &[],
    after: &["network rm blue", "network rm green"],
    steps: 12,
    verdict: one_succeeds,
};

const CREATES_OF_ONE_NAME: Pair = Pair { other: "network create blue --subnet 10.55.67.0/24", ..CREATES_OF_ONE_SUBNET };

const FIRST_RUNS: Pair = Pair {
    setup: &[],
    before: &[],
    slow: "run --name r1 -- /bin/true",
    other: "run --name r2 -- /bin/true",
    mend: &[],
    after: &["network rm default"],
    steps: 40,
    verdict: both_succeed,
};

const RUN_AND_RM: Pair = Pair {
    before: &["run -- /bin/true"],
    other: "network rm default",
    steps: 25,
    verdict: slow_succeeds,
    ..FIRST_RUNS
};

const SANDBOX_RM_AND_CONNECT: Pair = Pair {
    setup: &[BLUE, "network create green --subnet 10.55.67.0/24"],
    before: &["sandbox add c1", "connect green c1"],
    slow: "sandbox rm c1",
    other: "connect blue c1",
    mend: &[],
    after: &["sandbox rm c1"],
    steps: 13,
    verdict: slow_succeeds,
};

const CONNECT_AND_SANDBOX_RM: Pair = Pair {
    slow: "connect blue c1",
    other: "sandbox rm c1",
    steps: 17,
    verdict: any_definite,
    ..SANDBOX_RM_AND_CONNECT
};

const CONNECT_AND_NETNS_DEL: Pair = Pair {
    setup: &[BLUE],
    before: &["sandbox add c1"],
    slow: "connect blue c1",
    other: "!ip netns del c1",
    // The kernel takes a deleted namespace apart some time later.
    mend: &["!for n in $(seq 400); do ip link show type veth | grep -q zv || break; sleep 0.01; done", "gc"],
    after: &["sandbox rm c1", "gc"],
    steps: 18,
    verdict: any_definite,
};

const CONNECT_AND_BRIDGE_DEL: Pair = Pair {
    setup: &[BLUE, "sandbox add c1"],
    before: &[],
    slow: "connect blue c1",
    other: "!ip link del zb-blue",
    mend: &["repair"],
    after: &["disconnect blue c1"],
    steps: 18,
    verdict: any,
};

const CONNECT_AND_FLUSH: Pair = Pair {
    setup: &[BLUE, "sandbox add c1", "sandbox add c2", "connect blue c2"],
    before: &[],
    slow: "connect blue c1",
    other: "!nft flush ruleset",
    mend: &["repair"],
    after: &["disconnect blue c1"],
    steps: 18,
    verdict: both_succeed,
};

const DISCONNECT_AND_FLUSH: Pair =
    Pair { before: &["connect blue c1"], slow: "disconnect blue c1", steps: 11, ..CONNECT_AND_FLUSH };

const SANDBOX_ADDS: Pair = Pair {
    setup: &[],
    before: &[],
    slow: "sandbox add c1",
    other: "sandbox add c1",
    mend: &[],
    after: &["sandbox rm c1"],
    steps: 6,
    verdict: one_succeeds,
};

const LINK_AND_LINK: Pair = Pair {
    setup: &["sandbox add c1", "sandbox add c2"],
    before: &[],
    slow: "link c1:x c2:x --address 10.0.0.1/24,10.0.0.2/24",
    other: "link c2:x c1:x --address 10.0.0.2/24,10.0.0.1/24",
    mend: &[],
    after: &["link rm c1:x"],
    steps: 16,
    verdict: both_succeed,
};

const LINK_AND_OTHER_LINK: Pair =
    Pair { other: "link c2:y c1:x", after: &["link rm c1:x"], verdict: one_succeeds, ..LINK_AND_LINK };

const LINK_AND_GC: Pair = Pair { other: "gc", ..LINK_AND_LINK };

const LINK_AND_REPAIR: Pair = Pair { other: "repair", ..LINK_AND_LINK };

const LINK_AND_UNLINK: Pair = Pair { other: "link rm c2:x", ..LINK_AND_LINK };

const UNLINK_AND_LINK: Pair =
    Pair { before: &["link c1:x c2:x"], slow: "link rm c2:x", other: "link c1:x c2:x", steps: 3, ..LINK_AND_LINK };

const LINK_AND_SANDBOX_RM: Pair = Pair {
    setup: &["sandbox add c1"],
    before: &["sandbox add c2"],
    other: "sandbox rm c2",
    after: &["sandbox rm c2"],
    verdict: any_definite,
    ..LINK_AND_LINK
};

const SANDBOX_RM_AND_LINK: Pair = Pair {
    setup: &["sandbox add c1"],
    before: &["sandbox add c2", "link c1:x c2:x"],
    slow: "sandbox rm c2",
    other: "link c1:y c2:y",
    after: &["sandbox rm c2"],
    steps: 8,
    verdict: slow_succeeds,
    ..LINK_AND_LINK
};

const SET_AND_CONNECT: Pair = Pair {
    setup: &[BLUE, "sandbox add c1", "sandbox add c2", "connect blue c2"],
    before: &[],
    slow: "network set blue --mtu 1400 --no-icc --no-masquerade",
    other: "connect blue c1",
    mend: &[],
    after: &["disconnect blue c1", "network set blue --mtu 1500 --icc --masquerade"],
    steps: 10,
    verdict: both_succeed,
};

const CONNECT_AND_SET: Pair = Pair {
    slow: "connect blue c1",
    other: "network set blue --mtu 1400 --no-icc --no-masquerade",
    steps: 18,
    ..SET_AND_CONNECT
};

const DISCONNECT_AND_SET: Pair = Pair {
    before: &["connect blue c1"],
    slow: "disconnect blue c1",
    other: "network set blue --mtu 1400 --no-icc --no-masquerade",
    steps: 11,
    ..SET_AND_CONNECT
};

const SET_AND_SET: Pair = Pair { other: "network set blue --mtu 9000 --no-icc", ..SET_AND_CONNECT };

const SET_AND_NETNS_DEL: Pair = Pair {
    setup: &[BLUE],
    before: &["sandbox add c1", "connect blue c1"],
    slow: "network set blue --mtu 1400 --no-icc",
    other: "!ip netns del c1",
    // The kernel takes a deleted namespace apart some time later.
    mend: &["!for n in $(seq 400); do ip link show type veth | grep -q zv || break; sleep 0.01; done", "gc"],
    after: &["sandbox rm c1", "gc", "network set blue --mtu 1500 --icc"],
    steps: 8,
    verdict: any,
};

const TWO: &[&str] = &[BLUE, "sandbox add c1", "sandbox add c2", "connect blue c1", "connect blue c2"];

const PORT_ADDS: Pair = Pair {
    setup: TWO,
    before: &[],
    slow: "port add blue c1 8080:80 53:53/udp",
    other: "port add blue c2 8080:80 53:53/udp",
    mend: &[],
    after: &["port rm blue c1 80 53/udp", "port rm blue c2 80 53/udp"],
    steps: 8,
    verdict: one_succeeds,
};

/// What is half added to a live endpoint, or half taken from it, repair makes whole.
const PORT_ADD_DIES: Pair = Pair { mend: &["repair"], ..PORT_ADDS };

const PORT_RM_DIES: Pair = Pair { mend: &["repair"], ..PORT_RM_AND_ADD };

const PORT_ADD_AND_CHECK: Pair = Pair { other: "check", verdict: both_succeed, ..PORT_ADDS };

const PORT_ADD_AND_GC: Pair = Pair { other: "gc", verdict: both_succeed, ..PORT_ADDS };

const PORT_RM_AND_ADD: Pair = Pair {
    before: &["port add blue c1 8080:80 53:53/udp"],
    slow: "port rm blue c1 8080:80 53:53/udp",
    verdict: slow_succeeds,
    ..PORT_ADDS
};

const PORT_ADD_AND_DISCONNECT: Pair = Pair {
    setup: &[BLUE, "sandbox add c1"],
    before: &["connect blue c1"],
    other: "disconnect blue c1",
    after: &["disconnect blue c1"],
    verdict: any_definite,
    ..PORT_ADDS
};

const DISCONNECT_AND_PORT_ADD: Pair = Pair {
    setup: &[BLUE, "sandbox add c1", "sandbox add c2", "connect blue c2"],
    before: &["connect blue c1 -p 8080:80"],
    slow: "disconnect blue c1",
    other: "port add blue c2 8080:80",
    after: &["disconnect blue c1", "port rm blue c2 8080:80"],
    steps: 11,
    verdict: slow_succeeds,
    ..PORT_ADDS
};

const CONNECTS_WITH_ONE_PORT: Pair = Pair {
    setup: &[BLUE, "sandbox add c1", "sandbox add c2"],
    slow: "connect blue c1 -p 8080:80 -p 9000-9009:9000-9009",
    other: "connect blue c2 -p 9005:80",
    after: &["disconnect blue c1", "disconnect blue c2"],
    steps: 20,
    ..PORT_ADDS
};

fn line(host: &Host, line: &str) -> Answer {
    match line.strip_prefix('!') {
        Some(shell) => host.shell(shell),
        None => host.zubi(line),
    }
}

fn start(host: &Host, words: &str) -> Child {
    let mut command = match words.strip_prefix('!') {
        None => host.command(words),
        Some(shell) => {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", shell]);
            command
        }
    };
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("zubi")
}

/// The letter of proc_pid_stat(5).
fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('X')
}

/// Waits until it stops or ends; gives whether it stopped.
fn stopped(child: &mut Child) -> bool {
    let since = Instant::now();
    loop {
        if state(child.id()) == 'T' {
            return true;
        }
        if child.try_wait().expect("wait").is_some() {
            return false;
        }
        assert!(since.elapsed() < DEADLOCK, "it neither stops nor ends");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Its exit code and what it complained, or `None` when it goes on for longer.
fn ended(child: &mut Child, within: Duration) -> Option<(i32, String)> {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            let mut words = String::new();
            child.stderr.take().expect("stderr").read_to_string(&mut words).expect("stderr");
            return Some((status.code().unwrap_or(-1), words));
        }
        if since.elapsed() > within {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(host: &Host, child: &Child, name: &str) {
    host.shell(&format!("kill -{name} {}", child.id())).ok();
}

fn addresses_are_distinct(host: &Host) -> Result<(), String> {
    let mut seen = HashSet::new();
    for endpoint in host.zubi("--json ls").ok().json().as_array().expect("a list") {
        for address in endpoint["addresses"].as_array().expect("a list") {
            if !seen.insert(address.to_string()) {
                return Err(format!("{address} twice"));
            }
        }
    }
    Ok(())
}

#[track_caller]
fn lines(host: &Host, lines: &[&str]) {
    for words in lines {
        let answer = line(host, words);
        assert_eq!(answer.code, 0, "{words}: {}", answer.err);
    }
}

impl Pair {
    fn take_away(&self, host: &Host) {
        self.after.iter().for_each(|words| drop(line(host, words)));
        host.settle();
    }

    /// The host in the initial state, that state, and the names of the slow command's steps.
    fn begin(&self) -> (Host, Snapshot, Vec<String>) {
        let host = Host::new(ZUBI);
        host.zubi("gc").ok();
        lines(&host, self.setup);
        lines(&host, self.before);
        line(&host, self.slow);
        line(&host, self.other);
        lines(&host, self.mend);
        self.take_away(&host);
        let initial = Snapshot::take();
        lines(&host, self.before);
        let told = host.with_env("ZUBI_FAULT", "count").zubi(self.slow).ok().err;
        let steps: Vec<String> = told.lines().filter(|l| l.starts_with("step ")).map(ToOwned::to_owned).collect();
        assert!(steps.len() >= self.steps, "only {} steps, {} expected:\n{told}", steps.len(), self.steps);
        self.take_away(&host);
        initial.assert_no_residue(&Snapshot::take());
        (host, initial, steps)
    }

    fn at_each_step(&self, trial: impl Fn(&Host, usize) -> Result<(), String>) {
        let (host, initial, steps) = self.begin();
        let mut wrong = String::new();
        for n in 1..=steps.len() {
            lines(&host, self.before);
            let mut outcome = trial(&host, n).and_then(|()| addresses_are_distinct(&host));
            lines(&host, self.mend);
            let check = host.zubi("check");
            if outcome.is_ok() && check.code != 0 {
                outcome = Err(format!("check: {}", check.out));
            }
            self.take_away(&host);
            let left = initial.difference(&Snapshot::take());
            if let (Ok(()), Some(left)) = (&outcome, left) {
                outcome = Err(left);
            }
            if let Err(why) = outcome {
                writeln!(wrong, "{}: {why}", steps[n - 1]).expect("text");
                host.zubi("gc");
                host.zubi("repair");
                self.take_away(&host);
            }
        }
        assert!(wrong.is_empty(), "of {} steps:\n{wrong}", steps.len());
    }

    /// The slow one goes on when the other has ended, or waits for it.
    fn goes_on(&self) {
        self.at_each_step(|host, n| {
            let mut slow = start(&host.with_env("ZUBI_FAULT", &format!("stop:{n}")), self.slow);
            let did_stop = stopped(&mut slow);
            let mut other = start(host, self.other);
            let early = ended(&mut other, MOMENT);
            if did_stop {
                signal(host, &slow, "CONT");
            }
            let slow = ended(&mut slow, DEADLOCK);
            let other = early.or_else(|| ended(&mut other, DEADLOCK));
            let (Some(slow), Some(other)) = (slow, other) else { return Err("they wait for each other".into()) };
            if (self.verdict)(slow.0, other.0) {
                return Ok(());
            }
            Err(format!("{} gave {} {}{} gave {} {}", self.slow, slow.0, slow.1, self.other, other.0, other.1))
        });
    }

    /// The slow one is killed; the other must come to an end by itself.
    fn is_killed(&self) {
        self.at_each_step(|host, n| {
            let mut slow = start(&host.with_env("ZUBI_FAULT", &format!("stop:{n}")), self.slow);
            let did_stop = stopped(&mut slow);
            let mut other = start(host, self.other);
            let early = ended(&mut other, MOMENT);
            if did_stop {
                signal(host, &slow, "KILL");
            }
            ended(&mut slow, DEADLOCK);
            let Some(other) = early.or_else(|| ended(&mut other, DEADLOCK)) else {
                return Err("the other waits for the dead".into());
            };
            host.zubi("gc").ok();
            if DEFINITE.contains(&other.0) {
                Ok(())
            } else {
                Err(format!("{} gave {} {}", self.other, other.0, other.1))
            }
        });
    }
}

fn one_of_two_port_adds_gets_the_port() {
    PORT_ADDS.goes_on();
}

fn port_add_that_dies_does_not_hinder_another() {
    PORT_ADD_DIES.is_killed();
}

fn check_finds_nothing_wrong_while_a_port_is_added() {
    PORT_ADD_AND_CHECK.goes_on();
}

fn gc_takes_nothing_away_that_port_add_is_making() {
    PORT_ADD_AND_GC.goes_on();
}

fn a_port_that_is_being_removed_is_nobody_s_or_the_next_one_s() {
    PORT_RM_AND_ADD.goes_on();
}

fn port_rm_that_dies_does_not_hinder_port_add() {
    PORT_RM_DIES.is_killed();
}

fn port_add_and_disconnect_leave_nothing_half() {
    PORT_ADD_AND_DISCONNECT.goes_on();
}

fn the_port_of_an_endpoint_that_is_being_disconnected_is_free_or_refused() {
    DISCONNECT_AND_PORT_ADD.goes_on();
}

fn one_of_two_connects_gets_the_port() {
    CONNECTS_WITH_ONE_PORT.goes_on();
}

fn connect_that_dies_with_a_port_does_not_hinder_another() {
    CONNECTS_WITH_ONE_PORT.is_killed();
}

fn network_rm_and_connect_exclude_each_other() {
    RM_AND_CONNECT.goes_on();
}

fn connect_and_network_rm_exclude_each_other() {
    CONNECT_AND_RM.goes_on();
}

fn network_rm_that_dies_does_not_hinder_connect() {
    RM_AND_CONNECT.is_killed();
}

fn connect_that_dies_does_not_hinder_network_rm() {
    CONNECT_AND_RM.is_killed();
}

fn first_connects_of_two_sandboxes_both_succeed() {
    FIRST_CONNECTS.goes_on();
}

fn first_connect_that_dies_does_not_hinder_another() {
    FIRST_CONNECTS.is_killed();
}

fn the_same_first_connect_twice_makes_one_endpoint() {
    SAME_FIRST_CONNECT.goes_on();
}

fn gc_takes_nothing_away_that_connect_is_making() {
    CONNECT_AND_GC.goes_on();
}

fn repair_takes_nothing_away_that_connect_is_making() {
    CONNECT_AND_REPAIR.goes_on();
}

fn disconnect_waits_for_the_connect_of_the_same_endpoint() {
    CONNECT_AND_DISCONNECT.goes_on();
}

fn connect_waits_for_the_disconnect_of_the_same_endpoint() {
    DISCONNECT_AND_CONNECT.goes_on();
}

fn disconnect_that_dies_does_not_hinder_connect() {
    DISCONNECT_AND_CONNECT.is_killed();
}

fn connect_during_repair_succeeds() {
    REPAIR_AND_CONNECT.goes_on();
}

fn connect_and_network_create_do_not_disturb_each_other() {
    CONNECT_AND_CREATE.goes_on();
}

fn one_of_two_network_creates_gets_the_subnet() {
    CREATES_OF_ONE_SUBNET.goes_on();
}

fn one_of_two_network_creates_gets_the_name() {
    CREATES_OF_ONE_NAME.goes_on();
}

fn network_create_that_dies_gives_its_subnet_back() {
    CREATES_OF_ONE_SUBNET.is_killed();
}

fn first_runs_share_the_default_network() {
    FIRST_RUNS.goes_on();
}

fn run_and_network_rm_exclude_each_other() {
    RUN_AND_RM.goes_on();
}

fn sandbox_rm_and_connect_exclude_each_other() {
    SANDBOX_RM_AND_CONNECT.goes_on();
}

fn connect_and_sandbox_rm_leave_nothing_half() {
    CONNECT_AND_SANDBOX_RM.goes_on();
}

fn a_namespace_deleted_during_connect_leaves_nothing_after_gc() {
    CONNECT_AND_NETNS_DEL.goes_on();
}

fn a_bridge_deleted_during_connect_is_put_back_by_repair() {
    CONNECT_AND_BRIDGE_DEL.goes_on();
}

fn connect_succeeds_though_the_ruleset_is_flushed_meanwhile() {
    CONNECT_AND_FLUSH.goes_on();
}

fn disconnect_succeeds_though_the_ruleset_is_flushed_meanwhile() {
    DISCONNECT_AND_FLUSH.goes_on();
}

fn one_of_two_sandbox_adds_gets_the_name() {
    SANDBOX_ADDS.goes_on();
}

fn the_same_link_at_once_is_one_link() {
    LINK_AND_LINK.goes_on();
}

fn a_link_that_dies_does_not_hinder_the_same() {
    LINK_AND_LINK.is_killed();
}

fn one_of_two_links_gets_the_device() {
    LINK_AND_OTHER_LINK.goes_on();
}

fn a_link_that_dies_gives_its_device_back() {
    LINK_AND_OTHER_LINK.is_killed();
}

fn gc_takes_nothing_away_that_link_is_making() {
    LINK_AND_GC.goes_on();
}

fn repair_takes_nothing_away_that_link_is_making() {
    LINK_AND_REPAIR.goes_on();
}

fn link_rm_waits_for_the_making_of_the_same_link() {
    LINK_AND_UNLINK.goes_on();
}

fn link_waits_for_the_removal_of_the_same_link() {
    UNLINK_AND_LINK.goes_on();
}

fn link_rm_that_dies_does_not_hinder_link() {
    UNLINK_AND_LINK.is_killed();
}

fn link_and_sandbox_rm_leave_nothing_half() {
    LINK_AND_SANDBOX_RM.goes_on();
}

fn sandbox_rm_and_link_exclude_each_other() {
    SANDBOX_RM_AND_LINK.goes_on();
}

fn connect_during_network_set_is_as_the_network_is_then() {
    SET_AND_CONNECT.goes_on();
}

fn network_set_that_dies_does_not_hinder_connect() {
    SET_AND_CONNECT.is_killed();
}

fn network_set_reaches_what_connect_is_making() {
    CONNECT_AND_SET.goes_on();
}

fn network_set_and_disconnect_do_not_disturb_each_other() {
    DISCONNECT_AND_SET.goes_on();
}

fn two_network_sets_come_one_after_the_other() {
    SET_AND_SET.goes_on();
}

fn network_set_that_dies_does_not_hinder_another() {
    SET_AND_SET.is_killed();
}

fn a_namespace_deleted_during_network_set_leaves_nothing_after_gc() {
    SET_AND_NETNS_DEL.goes_on();
}

zubi_lab::tests!(
    one_of_two_port_adds_gets_the_port,
    port_add_that_dies_does_not_hinder_another,
    check_finds_nothing_wrong_while_a_port_is_added,
    gc_takes_nothing_away_that_port_add_is_making,
    a_port_that_is_being_removed_is_nobody_s_or_the_next_one_s,
    port_rm_that_dies_does_not_hinder_port_add,
    port_add_and_disconnect_leave_nothing_half,
    the_port_of_an_endpoint_that_is_being_disconnected_is_free_or_refused,
    one_of_two_connects_gets_the_port,
    connect_that_dies_with_a_port_does_not_hinder_another,
    the_same_link_at_once_is_one_link,
    a_link_that_dies_does_not_hinder_the_same,
    one_of_two_links_gets_the_device,
    a_link_that_dies_gives_its_device_back,
    gc_takes_nothing_away_that_link_is_making,
    repair_takes_nothing_away_that_link_is_making,
    link_rm_waits_for_the_making_of_the_same_link,
    link_waits_for_the_removal_of_the_same_link,
    link_rm_that_dies_does_not_hinder_link,
    link_and_sandbox_rm_leave_nothing_half,
    sandbox_rm_and_link_exclude_each_other,
    connect_during_network_set_is_as_the_network_is_then,
    network_set_that_dies_does_not_hinder_connect,
    network_set_reaches_what_connect_is_making,
    network_set_and_disconnect_do_not_disturb_each_other,
    two_network_sets_come_one_after_the_other,
    network_set_that_dies_does_not_hinder_another,
    a_namespace_deleted_during_network_set_leaves_nothing_after_gc,
    network_rm_and_connect_exclude_each_other,
    connect_and_network_rm_exclude_each_other,
    network_rm_that_dies_does_not_hinder_connect,
    connect_that_dies_does_not_hinder_network_rm,
    first_connects_of_two_sandboxes_both_succeed,
    first_connect_that_dies_does_not_hinder_another,
    the_same_first_connect_twice_makes_one_endpoint,
    gc_takes_nothing_away_that_connect_is_making,
    repair_takes_nothing_away_that_connect_is_making,
    disconnect_waits_for_the_connect_of_the_same_endpoint,
    connect_waits_for_the_disconnect_of_the_same_endpoint,
    disconnect_that_dies_does_not_hinder_connect,
    connect_during_repair_succeeds,
    connect_and_network_create_do_not_disturb_each_other,
    one_of_two_network_creates_gets_the_subnet,
    one_of_two_network_creates_gets_the_name,
    network_create_that_dies_gives_its_subnet_back,
    first_runs_share_the_default_network,
    run_and_network_rm_exclude_each_other,
    sandbox_rm_and_connect_exclude_each_other,
    connect_and_sandbox_rm_leave_nothing_half,
    one_of_two_sandbox_adds_gets_the_name,
    a_namespace_deleted_during_connect_leaves_nothing_after_gc,
    a_bridge_deleted_during_connect_is_put_back_by_repair,
    connect_succeeds_though_the_ruleset_is_flushed_meanwhile,
    disconnect_succeeds_though_the_ruleset_is_flushed_meanwhile,
);
