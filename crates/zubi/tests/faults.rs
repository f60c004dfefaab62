//! Commands that are killed, or fail, behind every single one of their steps.
//!
//! A step is a kernel message, a setting or a file. Their number is learned from the command itself, and held to a
//! minimum, so that a test that has come to cover less says so. Killing goes on a few steps beyond: those of the
//! detached child that deletes devices.

use std::fmt::Write as _;
use zubi_lab::{Answer, Host, Snapshot};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// Steps of the detached child, which writes nothing to the caller's standard error.
const BEYOND: usize = 4;

/// A command and the states around it. Lines are words for zubi, or for a shell when they begin with `!`.
struct Case {
    /// Makes the initial state, once.
    setup: &'static [&'static str],
    /// From the initial state to the one in which the command is tried.
    before: &'static [&'static str],
    /// The command.
    command: &'static str,
    /// A line that succeeds when the command has been done.
    done: &'static str,
    /// From there back to the initial state.
    after: &'static [&'static str],
    /// At least so many steps are expected.
    steps: usize,
}

const CONNECT: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64", "sandbox add c1"],
    before: &[],
    command: "connect blue c1",
    done: "!ip -n c1 -4 route show default | grep -q 'via 10.55.66.1 dev eth0' \
           && ip -n c1 -6 route show default | grep -q 'via fd00:55::1 dev eth0'",
    after: &["disconnect blue c1"],
    steps: 26,
};

const CONNECT_TO_SECOND: Case = Case {
    setup: &[
        "network create blue --subnet 10.55.66.0/24",
        "network create green --subnet 10.55.67.0/24",
        "sandbox add c1",
        "connect blue c1",
    ],
    before: &[],
    command: "connect green c1",
    done: "!ip -n c1 route show default | grep -q 'via 10.55.66.1 dev eth0' && ip -n c1 -4 addr show eth1 | grep -q inet",
    after: &["disconnect green c1"],
    steps: 17,
};

const CONNECT_WITHOUT_BRIDGE: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64", "sandbox add c1"],
    before: &["!ip link del zb-blue"],
    command: "connect blue c1",
    done: "!ip addr show zb-blue up | grep -q 'inet 10.55.66.1' && ip addr show zb-blue | grep -q 'inet6 fd00:55::1'",
    after: &["disconnect blue c1"],
    steps: 38,
};

const CONNECT_AFTER_REBOOT: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24", "sandbox add c1"],
    before: &["!ip link del zb-blue; nft delete table inet zubi; sysctl -qw net.ipv4.ip_forward=0"],
    command: "connect blue c1",
    done: "!ip addr show zb-blue up | grep -q 'inet 10.55.66.1' && test $(sysctl -n net.ipv4.ip_forward) = 1",
    after: &["disconnect blue c1"],
    steps: 25,
};

const DISCONNECT: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64", "sandbox add c1"],
    before: &["connect blue c1"],
    command: "disconnect blue c1",
    done: "!! ip -n c1 link show eth0 2>/dev/null",
    after: &[],
    steps: 13,
};

const DISCONNECT_FROM_FIRST: Case = Case {
    setup: &[
        "network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64",
        "network create green --subnet 10.55.67.0/24 --subnet fd00:56::/64",
        "sandbox add c1",
    ],
    before: &["connect blue c1", "connect green c1"],
    command: "disconnect blue c1",
    done: "!ip -n c1 -4 route show default | grep -q 'via 10.55.67.1 dev eth1' \
           && ip -n c1 -6 route show default | grep -q 'via fd00:56::1 dev eth1'",
    after: &["disconnect green c1"],
    steps: 14,
};

const DISCONNECT_WITHOUT_SANDBOX: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24"],
    // The kernel takes the pair with the namespace, a moment later: so many steps less.
    before: &[
        "sandbox add c1",
        "connect blue c1",
        "!ip netns del c1 && while ip -o link | grep -q ' zv'; do sleep 0.01; done",
    ],
    command: "disconnect blue c1",
    done: "!! test -e /run/netns/c1",
    after: &["gc"],
    steps: 7,
};

const CREATE_FIRST: Case = Case {
    setup: &[],
    before: &[],
    command: "network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64",
    done: "!ip addr show zb-blue up | grep -q 'inet 10.55.66.1' && nft list table inet zubi | grep -q 10.55.66.0/24",
    after: &["network rm blue"],
    steps: 14,
};

const CREATE_SECOND: Case = Case {
    setup: &["network create green --subnet 10.55.67.0/24"],
    before: &[],
    command: "network create blue --subnet 10.55.66.0/24 --internal --no-icc",
    done: "!ip addr show zb-blue up | grep -q 'inet 10.55.66.1' && nft list table inet zubi | grep -q 10.55.66.0/24",
    after: &["network rm blue"],
    steps: 9,
};

/// A firewall of somebody else that drops what it does not know, before and behind a rule.
const STRANGER: &str = "!nft 'add table inet fw; add chain inet fw f { type filter hook forward priority 0; policy drop; }; \
                        add table ip fw; add chain ip fw f { type filter hook forward priority 0; }; add rule ip fw f drop'";

const CREATE_BESIDE_FIREWALL: Case = Case {
    setup: &[STRANGER],
    before: &[],
    command: "network create blue --subnet 10.55.66.0/24",
    done: "!ip addr show zb-blue up | grep -q 'inet 10.55.66.1' && test $(nft list ruleset | grep -c 'comment \"zubi: network blue') = 4",
    after: &["network rm blue"],
    steps: 10,
};

const REMOVE_BESIDE_FIREWALL: Case = Case {
    setup: &[STRANGER, "network create green --subnet 10.55.67.0/24"],
    before: &["network create blue --subnet 10.55.66.0/24"],
    command: "network rm blue",
    done: "!! ip link show zb-blue 2>/dev/null && ! nft list ruleset | grep -q 'network blue'",
    after: &[],
    steps: 5,
};

const CONNECT_AFTER_FIREWALL: Case = Case {
    setup: &[STRANGER, "network create blue --subnet 10.55.66.0/24", "sandbox add c1"],
    before: &[
        "!nft flush table inet zubi && nft flush chain inet fw f && nft 'flush chain ip fw f; add rule ip fw f drop'",
    ],
    command: "connect blue c1",
    done: "!ip -n c1 addr show eth0 | grep -q inet && test $(nft list ruleset | grep -c 'comment \"zubi: network blue') = 4",
    after: &["disconnect blue c1"],
    steps: 20,
};

const REMOVE: Case = Case {
    setup: &["network create green --subnet 10.55.67.0/24"],
    before: &["network create blue --subnet 10.55.66.0/24", "sandbox add c1", "connect blue c1", "sandbox rm c1"],
    command: "network rm blue",
    done: "!! ip link show zb-blue 2>/dev/null && ! nft list table inet zubi | grep -q 10.55.66",
    after: &[],
    steps: 6,
};

const REMOVE_LAST: Case = Case {
    setup: &[],
    before: &["network create blue --subnet 10.55.66.0/24"],
    command: "network rm blue",
    done: "!! ip link show zb-blue 2>/dev/null && ! nft list table inet zubi 2>/dev/null",
    after: &[],
    steps: 4,
};

const SANDBOX_ADD: Case = Case {
    setup: &[],
    before: &[],
    command: "sandbox add c1",
    done: "!ip -n c1 link show lo up | grep -q lo",
    after: &["sandbox rm c1"],
    steps: 6,
};

const SANDBOX_RM: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24", "network create green --subnet 10.55.67.0/24"],
    before: &["sandbox add c1", "connect blue c1", "connect green c1"],
    command: "sandbox rm c1",
    done: "!! test -e /run/netns/c1",
    after: &[],
    steps: 25,
};

const LINK: Case = Case {
    setup: &["sandbox add c1", "!ip netns add c2"],
    before: &[],
    command: "link c1:veth-a c2:veth-b --address 10.0.0.1/24,10.0.0.2/24 --address fd00::1/64,fd00::2/64 --mtu 1400",
    done: "!ip netns exec c1 ping -n -q -c 1 -W 3 10.0.0.2 && ip netns exec c2 ping -n -q -c 1 -W 3 fd00::1",
    after: &["link rm c2:veth-b", "!ip -n c2 link set lo down"],
    steps: 23,
};

const LINK_TO_HOST: Case = Case {
    setup: &["sandbox add c1"],
    before: &[],
    command: "link c1:veth-a host:veth-b --address 10.0.0.1/24,10.0.0.2/24",
    done: "!ping -n -q -c 1 -W 3 10.0.0.1",
    after: &["link rm host:veth-b"],
    steps: 15,
};

const UNLINK: Case = Case {
    setup: &["sandbox add c1", "sandbox add c2"],
    before: &["link c1:veth-a c2:veth-b --address 10.0.0.1/24,10.0.0.2/24"],
    command: "link rm c1:veth-a",
    done: "!! ip -n c1 link show veth-a 2>/dev/null && ! ip -n c2 link show veth-b 2>/dev/null",
    after: &[],
    steps: 3,
};

const UNLINK_WITHOUT_SANDBOX: Case = Case {
    setup: &["sandbox add c2"],
    before: &[
        "sandbox add c1",
        "link c1:veth-a c2:veth-b",
        "!ip netns del c1 && while ip -n c2 link show veth-b 2>/dev/null; do sleep 0.01; done",
    ],
    command: "link rm c1:veth-a",
    done: "!! test -e /run/zubi/links/*.json",
    after: &["gc"],
    steps: 2,
};

const SANDBOX_RM_LINKED: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24", "sandbox add c2"],
    before: &["sandbox add c1", "connect blue c1", "link c1:veth-a c2:veth-b", "link host:veth-c c1:veth-d"],
    command: "sandbox rm c1",
    done: "!! test -e /run/netns/c1 && ! ip -n c2 link show veth-b 2>/dev/null && ! ip link show veth-c 2>/dev/null",
    after: &[],
    steps: 20,
};

const SET_TIGHTER: Case = Case {
    setup: &[
        "network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64",
        "sandbox add c1",
        "sandbox add c2",
        "connect blue c1",
        "connect blue c2",
    ],
    before: &[],
    command: "network set blue --mtu 1400 --no-icc --no-masquerade",
    done: "!ip -n c1 link show eth0 | grep -q 'mtu 1400' && ip link show zb-blue | grep -q 'mtu 1400' \
           && ! ip netns exec c1 ping -n -q -c 1 -W 0.2 10.55.66.3",
    after: &["network set blue --mtu 1500 --icc --masquerade"],
    steps: 14,
};

const SET_LOOSER: Case = Case {
    before: &["network set blue --mtu 1400 --no-icc --no-masquerade"],
    command: "network set blue --mtu 1500 --icc --masquerade",
    done: "!ip -n c1 link show eth0 | grep -q 'mtu 1500' && ip link show zb-blue | grep -q 'mtu 1500' \
           && ip netns exec c1 ping -n -q -c 1 -W 3 10.55.66.3",
    after: &[],
    ..SET_TIGHTER
};

/// Below 1280 bytes the kernel takes IPv6 from the devices, and above it gives it back.
const SET_MTU_WITHOUT_IPV6: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24", "sandbox add c1", "connect blue c1"],
    before: &["network set blue --mtu 1000"],
    command: "network set blue --mtu 1500",
    done: "!ip -n c1 link show eth0 | grep -q 'mtu 1500' && ! ip -n c1 -6 addr show dev eth0 | grep inet6",
    after: &[],
    steps: 14,
};

const SET_INTERNAL: Case = Case {
    setup: &["network create blue --internal --subnet 10.55.66.0/24"],
    before: &[],
    command: "network set blue --no-internal",
    done: "!! nft list set inet zubi internal | grep -q zb-blue",
    after: &["network set blue --internal"],
    steps: 7,
};

const CONNECT_WITH_PORTS: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64", "sandbox add c1"],
    before: &[],
    command: "connect blue c1 -p 8080:80 -p 53:53/udp -p 9000-9009:9000-9009 -p 7000-7001:70-71 -p 127.0.0.1::81",
    done: "!nft list map inet zubi publish4 | grep -qE 'tcp . 8080 : 10.55.66.[0-9]+ . 80' \
           && nft list map inet zubi ranges6 | grep -q 9000-9009 && test $(cat /run/zubi/ports/tcp/31 | wc -l) = 2",
    after: &["disconnect blue c1"],
    steps: 45,
};

const FIRST_PORT_ON_LOOPBACK: Case = Case {
    setup: &["network create blue --subnet 10.55.66.0/24", "sandbox add c1"],
    before: &["connect blue c1", "!sysctl -qw net.ipv4.conf.zb-blue.route_localnet=0"],
    command: "port add blue c1 127.0.0.1:8080:80",
    done: "!nft list map inet zubi publish_at4 | grep -q 'tcp . 8080 : 10.55.66' && test $(sysctl -n net.ipv4.conf.zb-blue.route_localnet) = 1",
    after: &["disconnect blue c1"],
    steps: 7,
};

const PORT_ADD: Case = Case {
    setup: &[
        "network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64",
        "sandbox add c1",
        "connect blue c1",
        // What stays of a port on the loopback.
        "port add blue c1 127.0.0.1:9999:99",
        "port rm blue c1 127.0.0.1:9999:99",
    ],
    before: &[],
    command: "port add blue c1 8080:80 53:53/udp 9000-9009:9000-9009",
    done: "!nft list map inet zubi publish6 | grep -q 'udp . 53 : fd00:55::2 . 53' && nft list map inet zubi ranges4 | grep -q 9000",
    after: &["port rm blue c1 8080:80 53:53/udp 9000-9009:9000-9009"],
    steps: 11,
};

const PORT_RM: Case = Case {
    setup: &[
        "network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64",
        "sandbox add c1",
        "connect blue c1",
        // What stays of a port on the loopback.
        "port add blue c1 127.0.0.1:9999:99",
        "port rm blue c1 127.0.0.1:9999:99",
    ],
    before: &["port add blue c1 8080:80 53:53/udp 9000-9009:9000-9009"],
    command: "port rm blue c1 8080:80 53:53/udp 9000-9009:9000-9009",
    done: "!! nft list table inet zubi | grep -qE '8080|9000-9009' && test -z \"$(find /run/zubi/ports -type f ! -name '.tmp-*')\"",
    after: &[],
    steps: 11,
};

fn line(host: &Host, line: &str) -> Answer {
    match line.strip_prefix('!') {
        Some(shell) => host.shell(shell),
        None => host.zubi(line),
    }
}

#[track_caller]
fn lines(host: &Host, lines: &[&str]) {
    for words in lines {
        let answer = line(host, words);
        assert_eq!(answer.code, 0, "{words}: {}", answer.err);
    }
}

impl Case {
    /// The host in the initial state, that state, and the names of the command's steps.
    fn begin(&self) -> (Host, Snapshot, Vec<String>) {
        let host = Host::new(ZUBI);
        // The host's own file and folders are not this command's doing.
        host.zubi("gc").ok();
        lines(&host, self.setup);
        // The first time makes folders that stay.
        lines(&host, self.before);
        lines(&host, &[self.command]);
        lines(&host, self.after);
        host.settle();
        let initial = Snapshot::take();
        lines(&host, self.before);
        let told = host.with_env("ZUBI_FAULT", "count").zubi(self.command).ok().err;
        let steps: Vec<String> = told.lines().filter(|l| l.starts_with("step ")).map(ToOwned::to_owned).collect();
        assert!(steps.len() >= self.steps, "only {} steps, {} expected:\n{told}", steps.len(), self.steps);
        line(&host, self.done).ok();
        lines(&host, self.after);
        host.settle();
        initial.assert_no_residue(&Snapshot::take());
        (host, initial, steps)
    }

    /// Runs `trial` with every step of the command; whatever it leaves is taken back to the initial state.
    fn at_each_step(&self, beyond: usize, trial: impl Fn(&Host, &Snapshot, usize) -> Result<(), String>) {
        let (host, initial, steps) = self.begin();
        let mut wrong = String::new();
        for n in 1..=steps.len() + beyond {
            let name = steps.get(n - 1).map_or("(detached child)", String::as_str);
            if beyond == 0 && is_hint(name) {
                continue;
            }
            lines(&host, self.before);
            let outcome = trial(&host, &initial, n).and_then(|()| {
                host.settle();
                initial.difference(&Snapshot::take()).map_or(Ok(()), |d| Err(format!("at the end: {d}")))
            });
            if let Err(why) = outcome {
                writeln!(wrong, "{name}: {why}").expect("text");
                self.reset(&host, &initial);
            }
        }
        assert!(wrong.is_empty(), "of {} steps:\n{wrong}", steps.len());
    }

    /// After a trial that went wrong: so that the next one has a chance.
    fn reset(&self, host: &Host, initial: &Snapshot) {
        for words in self.after.iter().chain(&[self.command, "gc", "repair", "gc"]).chain(self.after) {
            line(host, words);
        }
        host.settle();
        let difference = initial.difference(&Snapshot::take());
        assert!(difference.is_none(), "a fault that neither gc nor repair mends: {difference:?}");
    }

    fn retry_after_kill(&self) {
        self.at_each_step(BEYOND, |host, _, n| {
            host.with_env("ZUBI_FAULT", &format!("kill:{n}")).zubi(self.command);
            let again = host.zubi(self.command);
            let said = ["is not published", "exists already", "there is no network", "does not exist", "no sandbox"];
            if again.code != 0 && !said.iter().any(|words| again.err.contains(words)) {
                return Err(format!("tried again: {}", again.err));
            }
            succeeds(host, self.done)?;
            succeeds(host, "check")?;
            // Unfinished files are invisible, and gc's.
            host.shell("find /run/zubi /run/zubi-state -name '.tmp-*' -delete 2>/dev/null");
            self.after.iter().try_for_each(|words| succeeds(host, words))
        });
    }

    fn repair_after_kill(&self) {
        self.at_each_step(BEYOND, |host, _, n| {
            host.with_env("ZUBI_FAULT", &format!("kill:{n}")).zubi(self.command);
            succeeds(host, "repair")?;
            succeeds(host, "check")?;
            // Repair may have finished the command or undone it: what is gone already need not go.
            if !self.command.starts_with("network create") && !self.command.starts_with("sandbox add") {
                line(host, self.command);
            }
            self.after.iter().for_each(|words| drop(line(host, words)));
            Ok(())
        });
    }

    fn failure_changes_nothing(&self) {
        self.at_each_step(0, |host, initial, n| {
            let answer = host.with_env("ZUBI_FAULT", &format!("fail:{n}")).zubi(self.command);
            if answer.code == 0 {
                return Err("the failure was not told".into());
            }
            if !answer.err.contains("asked to fail") && !answer.err.contains("everything was undone") {
                return Err(format!("the error says neither cause nor outcome: {}", answer.err));
            }
            host.settle();
            initial.difference(&Snapshot::take()).map_or(Ok(()), |d| Err(format!("behind the failure: {d}")))
        });
    }

    /// A command that takes something away leaves it whole when it fails, but where all that is left to do is to give
    /// back; tried again it succeeds.
    fn failure_puts_back(&self, again: &str) {
        self.at_each_step(0, |host, _, n| {
            let answer = host.with_env("ZUBI_FAULT", &format!("fail:{n}")).zubi(self.command);
            if answer.code == 0 {
                return Err("the failure was not told".into());
            }
            if host.zubi("check").code != 0 {
                succeeds(host, "gc")?;
                succeeds(host, "check")?;
                return succeeds(host, self.done);
            }
            if line(host, self.done).code != 0 {
                succeeds(host, again)?;
            }
            succeeds(host, self.done)
        });
    }

    /// Fails at its last step, and is killed at each step of the undoing.
    fn killed_while_undoing(&self, least: usize) {
        self.killed_while_undoing_from("", least);
    }

    /// The same from the last step of that name on: where what follows it is no longer undone in one step.
    fn killed_while_undoing_from(&self, step: &str, least: usize) {
        let (host, initial, mut steps) = self.begin();
        let end = steps.iter().rposition(|name| name.contains(step)).expect("a step of that name");
        steps.truncate(end + 1);
        let fail = format!("fail:{}", steps.len());
        lines(&host, self.before);
        let told = host.with_env("ZUBI_FAULT", &format!("count,{fail}")).zubi(self.command).err;
        let all = told.lines().filter(|l| l.starts_with("step ")).count();
        let undoing = all - steps.len();
        assert!(undoing >= least, "only {undoing} steps of undoing, {least} expected:\n{told}");
        let mut wrong = String::new();
        for n in steps.len() + 1..=all {
            host.with_env("ZUBI_FAULT", &format!("{fail},kill:{n}")).zubi(self.command);
            let outcome = succeeds(&host, "gc").and_then(|()| succeeds(&host, "check"));
            host.settle();
            let left = initial.difference(&Snapshot::take()).map_or(Ok(()), Err);
            if let Err(why) = outcome.and(left) {
                writeln!(wrong, "{n}: {why}").expect("text");
                self.reset(&host, &initial);
            }
        }
        assert!(wrong.is_empty(), "of {undoing} steps of undoing:\n{wrong}\n{told}");
    }

    /// Fails late, and is killed at each step of the undoing; a live object that was being changed may be as before or as
    /// wished, but whole.
    fn repaired_when_killed_while_undoing(&self, least: usize) {
        let (host, initial, mut steps) = self.begin();
        while steps.last().is_some_and(|name| is_hint(name)) {
            steps.pop();
        }
        let fail = format!("fail:{}", steps.len());
        let told = host.with_env("ZUBI_FAULT", &format!("count,{fail}")).zubi(self.command).err;
        let all = told.lines().filter(|l| l.starts_with("step ")).count();
        assert!(all - steps.len() >= least, "only {} steps of undoing:\n{told}", all - steps.len());
        let mut wrong = String::new();
        for n in steps.len() + 1..=all {
            host.with_env("ZUBI_FAULT", &format!("{fail},kill:{n}")).zubi(self.command);
            let outcome = succeeds(&host, "repair")
                .and_then(|()| succeeds(&host, "check"))
                .and_then(|()| succeeds(&host, self.command))
                .and_then(|()| succeeds(&host, self.done))
                .and_then(|()| self.after.iter().try_for_each(|words| succeeds(&host, words)));
            host.settle();
            let left = initial.difference(&Snapshot::take()).map_or(Ok(()), Err);
            if let Err(why) = outcome.and(left) {
                writeln!(wrong, "{n}: {why}").expect("text");
                self.reset(&host, &initial);
            }
        }
        assert!(wrong.is_empty(), "{wrong}\n{told}");
    }

    fn gc_after_failure(&self) {
        self.at_each_step(0, |host, _, n| {
            let answer = host.with_env("ZUBI_FAULT", &format!("fail:{n}")).zubi(self.command);
            if answer.code == 0 {
                return Err("the failure was not told".into());
            }
            succeeds(host, "gc")?;
            succeeds(host, "check")?;
            line(host, self.command);
            succeeds(host, self.done)?;
            self.after.iter().try_for_each(|words| succeeds(host, words))
        });
    }
}

/// Whether a step writes what is only a hint: nobody is told when that fails.
fn is_hint(step: &str) -> bool {
    step.contains(".firewall-seen")
}

fn succeeds(host: &Host, words: &str) -> Result<(), String> {
    let answer = line(host, words);
    if answer.code == 0 { Ok(()) } else { Err(format!("{words}: {}{}", answer.out, answer.err)) }
}

fn connect_killed_at_any_step_works_when_tried_again() {
    CONNECT.retry_after_kill();
}

fn connect_killed_at_any_step_leaves_nothing_after_repair() {
    CONNECT.repair_after_kill();
}

fn connect_failing_at_any_step_changes_nothing() {
    CONNECT.failure_changes_nothing();
}

fn connect_with_ports_killed_at_any_step_works_when_tried_again() {
    CONNECT_WITH_PORTS.retry_after_kill();
}

fn connect_with_ports_killed_at_any_step_leaves_nothing_after_repair() {
    CONNECT_WITH_PORTS.repair_after_kill();
}

fn connect_with_ports_failing_at_any_step_changes_nothing() {
    CONNECT_WITH_PORTS.failure_changes_nothing();
}

fn connect_with_ports_killed_while_undoing_leaves_nothing_after_gc() {
    CONNECT_WITH_PORTS.killed_while_undoing(15);
}

fn first_port_on_loopback_killed_at_any_step_works_when_tried_again() {
    FIRST_PORT_ON_LOOPBACK.retry_after_kill();
}

fn first_port_on_loopback_killed_at_any_step_leaves_nothing_after_repair() {
    FIRST_PORT_ON_LOOPBACK.repair_after_kill();
}

fn port_add_killed_at_any_step_works_when_tried_again() {
    PORT_ADD.retry_after_kill();
}

fn port_add_killed_at_any_step_leaves_nothing_after_repair() {
    PORT_ADD.repair_after_kill();
}

fn port_add_failing_at_any_step_changes_nothing() {
    PORT_ADD.failure_changes_nothing();
}

fn port_add_killed_while_undoing_is_whole_or_gone_after_repair() {
    PORT_ADD.repaired_when_killed_while_undoing(3);
}

fn port_rm_killed_at_any_step_works_when_tried_again() {
    PORT_RM.retry_after_kill();
}

fn port_rm_killed_at_any_step_leaves_nothing_after_repair() {
    PORT_RM.repair_after_kill();
}

fn port_rm_failing_at_any_step_changes_nothing() {
    PORT_RM.failure_puts_back("port rm blue c1 8080:80 53:53/udp 9000-9009:9000-9009");
}

fn connect_killed_while_undoing_leaves_nothing_after_gc() {
    CONNECT.killed_while_undoing(10);
}

fn network_create_killed_while_undoing_leaves_nothing_after_gc() {
    CREATE_FIRST.killed_while_undoing(4);
}

fn sandbox_add_killed_while_undoing_leaves_nothing_after_gc() {
    SANDBOX_ADD.killed_while_undoing(2);
}

fn connect_to_a_second_network_killed_at_any_step_works_when_tried_again() {
    CONNECT_TO_SECOND.retry_after_kill();
}

fn connect_to_a_second_network_killed_at_any_step_leaves_nothing_after_repair() {
    CONNECT_TO_SECOND.repair_after_kill();
}

fn connect_to_a_second_network_failing_at_any_step_changes_nothing() {
    CONNECT_TO_SECOND.failure_changes_nothing();
}

fn connect_without_bridge_killed_at_any_step_works_when_tried_again() {
    CONNECT_WITHOUT_BRIDGE.retry_after_kill();
}

fn connect_without_bridge_killed_at_any_step_leaves_nothing_after_repair() {
    CONNECT_WITHOUT_BRIDGE.repair_after_kill();
}

fn connect_after_reboot_killed_at_any_step_works_when_tried_again() {
    CONNECT_AFTER_REBOOT.retry_after_kill();
}

fn disconnect_killed_at_any_step_works_when_tried_again() {
    DISCONNECT.retry_after_kill();
}

fn disconnect_killed_at_any_step_leaves_nothing_after_repair() {
    DISCONNECT.repair_after_kill();
}

fn disconnect_failing_at_any_step_is_finished_by_gc() {
    DISCONNECT.gc_after_failure();
}

fn disconnect_killed_at_any_step_moves_the_default_route_when_tried_again() {
    DISCONNECT_FROM_FIRST.retry_after_kill();
}

fn disconnect_from_the_first_network_killed_at_any_step_leaves_nothing_after_repair() {
    DISCONNECT_FROM_FIRST.repair_after_kill();
}

fn disconnect_failing_at_any_step_moves_the_default_route_by_gc() {
    DISCONNECT_FROM_FIRST.gc_after_failure();
}

fn disconnect_without_sandbox_killed_at_any_step_works_when_tried_again() {
    DISCONNECT_WITHOUT_SANDBOX.retry_after_kill();
}

fn disconnect_without_sandbox_failing_at_any_step_is_finished_by_gc() {
    DISCONNECT_WITHOUT_SANDBOX.gc_after_failure();
}

fn first_network_create_killed_at_any_step_works_when_tried_again() {
    CREATE_FIRST.retry_after_kill();
}

fn first_network_create_killed_at_any_step_leaves_nothing_after_repair() {
    CREATE_FIRST.repair_after_kill();
}

fn first_network_create_failing_at_any_step_changes_nothing() {
    CREATE_FIRST.failure_changes_nothing();
}

fn create_beside_a_firewall_killed_at_any_step_can_be_retried() {
    CREATE_BESIDE_FIREWALL.retry_after_kill();
}

fn remove_beside_a_firewall_killed_at_any_step_can_be_retried() {
    REMOVE_BESIDE_FIREWALL.retry_after_kill();
}

fn connect_beside_a_flushed_firewall_killed_at_any_step_can_be_retried() {
    CONNECT_AFTER_FIREWALL.retry_after_kill();
}

fn further_network_create_killed_at_any_step_works_when_tried_again() {
    CREATE_SECOND.retry_after_kill();
}

fn create_beside_a_firewall_killed_at_any_step_can_be_repaired() {
    CREATE_BESIDE_FIREWALL.repair_after_kill();
}

fn remove_beside_a_firewall_killed_at_any_step_can_be_repaired() {
    REMOVE_BESIDE_FIREWALL.repair_after_kill();
}

fn connect_beside_a_flushed_firewall_killed_at_any_step_can_be_repaired() {
    CONNECT_AFTER_FIREWALL.repair_after_kill();
}

fn further_network_create_killed_at_any_step_leaves_nothing_after_repair() {
    CREATE_SECOND.repair_after_kill();
}

fn create_beside_a_firewall_that_fails_at_any_step_changes_nothing() {
    CREATE_BESIDE_FIREWALL.failure_changes_nothing();
}

fn further_network_create_failing_at_any_step_changes_nothing() {
    CREATE_SECOND.failure_changes_nothing();
}

fn network_rm_killed_at_any_step_works_when_tried_again() {
    REMOVE.retry_after_kill();
}

fn network_rm_killed_at_any_step_leaves_nothing_after_repair() {
    REMOVE.repair_after_kill();
}

fn network_rm_failing_at_any_step_works_when_tried_again() {
    REMOVE.gc_after_failure();
}

fn last_network_rm_killed_at_any_step_works_when_tried_again() {
    REMOVE_LAST.retry_after_kill();
}

fn last_network_rm_killed_at_any_step_leaves_nothing_after_repair() {
    REMOVE_LAST.repair_after_kill();
}

fn sandbox_add_killed_at_any_step_works_when_tried_again() {
    SANDBOX_ADD.retry_after_kill();
}

fn sandbox_add_killed_at_any_step_leaves_nothing_after_repair() {
    SANDBOX_ADD.repair_after_kill();
}

fn sandbox_add_failing_at_any_step_changes_nothing() {
    SANDBOX_ADD.failure_changes_nothing();
}

fn sandbox_rm_killed_at_any_step_works_when_tried_again() {
    SANDBOX_RM.retry_after_kill();
}

fn sandbox_rm_killed_at_any_step_leaves_nothing_after_repair() {
    SANDBOX_RM.repair_after_kill();
}

fn sandbox_rm_failing_at_any_step_is_finished_by_gc() {
    SANDBOX_RM.gc_after_failure();
}

fn link_killed_at_any_step_works_when_tried_again() {
    LINK.retry_after_kill();
}

fn link_killed_at_any_step_leaves_nothing_after_repair() {
    LINK.repair_after_kill();
}

fn link_failing_at_any_step_changes_nothing() {
    LINK.failure_changes_nothing();
}

fn link_killed_while_undoing_leaves_nothing_after_gc() {
    // A loopback that went up with a killed command stays up.
    let setup = &["sandbox add c1", "sandbox add c2"];
    let up = Case { setup, after: &["link rm c2:veth-b"], steps: 22, ..LINK };
    up.killed_while_undoing(3);
}

fn link_to_the_host_killed_at_any_step_works_when_tried_again() {
    LINK_TO_HOST.retry_after_kill();
}

fn link_to_the_host_killed_at_any_step_leaves_nothing_after_repair() {
    LINK_TO_HOST.repair_after_kill();
}

fn link_to_the_host_failing_at_any_step_changes_nothing() {
    LINK_TO_HOST.failure_changes_nothing();
}

fn link_rm_killed_at_any_step_works_when_tried_again() {
    UNLINK.retry_after_kill();
}

fn link_rm_killed_at_any_step_leaves_nothing_after_repair() {
    UNLINK.repair_after_kill();
}

fn link_rm_failing_at_any_step_is_finished_by_gc() {
    UNLINK.gc_after_failure();
}

fn link_rm_without_sandbox_killed_at_any_step_works_when_tried_again() {
    UNLINK_WITHOUT_SANDBOX.retry_after_kill();
}

fn sandbox_rm_with_links_killed_at_any_step_works_when_tried_again() {
    SANDBOX_RM_LINKED.retry_after_kill();
}

fn sandbox_rm_with_links_killed_at_any_step_leaves_nothing_after_repair() {
    SANDBOX_RM_LINKED.repair_after_kill();
}

fn sandbox_rm_with_links_failing_at_any_step_is_finished_by_gc() {
    SANDBOX_RM_LINKED.gc_after_failure();
}

fn network_set_tighter_killed_at_any_step_works_when_tried_again() {
    SET_TIGHTER.retry_after_kill();
}

fn network_set_tighter_killed_at_any_step_leaves_nothing_after_repair() {
    SET_TIGHTER.repair_after_kill();
}

fn network_set_tighter_failing_at_any_step_changes_nothing() {
    SET_TIGHTER.failure_changes_nothing();
}

fn network_set_tighter_killed_while_undoing_leaves_nothing_after_gc() {
    SET_TIGHTER.killed_while_undoing_from("write networks/", 8);
}

fn network_set_looser_killed_at_any_step_works_when_tried_again() {
    SET_LOOSER.retry_after_kill();
}

fn network_set_looser_killed_at_any_step_leaves_nothing_after_repair() {
    SET_LOOSER.repair_after_kill();
}

fn network_set_mtu_without_ipv6_killed_at_any_step_works_when_tried_again() {
    SET_MTU_WITHOUT_IPV6.retry_after_kill();
}

fn network_set_mtu_without_ipv6_killed_at_any_step_leaves_nothing_after_repair() {
    SET_MTU_WITHOUT_IPV6.repair_after_kill();
}

fn network_set_internal_killed_at_any_step_works_when_tried_again() {
    SET_INTERNAL.retry_after_kill();
}

fn network_set_internal_failing_at_any_step_changes_nothing() {
    SET_INTERNAL.failure_changes_nothing();
}

zubi_lab::tests!(
    connect_with_ports_killed_at_any_step_works_when_tried_again,
    connect_with_ports_killed_at_any_step_leaves_nothing_after_repair,
    connect_with_ports_failing_at_any_step_changes_nothing,
    connect_with_ports_killed_while_undoing_leaves_nothing_after_gc,
    first_port_on_loopback_killed_at_any_step_works_when_tried_again,
    first_port_on_loopback_killed_at_any_step_leaves_nothing_after_repair,
    port_add_killed_at_any_step_works_when_tried_again,
    port_add_killed_at_any_step_leaves_nothing_after_repair,
    port_add_failing_at_any_step_changes_nothing,
    port_add_killed_while_undoing_is_whole_or_gone_after_repair,
    port_rm_killed_at_any_step_works_when_tried_again,
    port_rm_killed_at_any_step_leaves_nothing_after_repair,
    port_rm_failing_at_any_step_changes_nothing,
    link_killed_at_any_step_works_when_tried_again,
    link_killed_at_any_step_leaves_nothing_after_repair,
    link_failing_at_any_step_changes_nothing,
    link_killed_while_undoing_leaves_nothing_after_gc,
    link_to_the_host_killed_at_any_step_works_when_tried_again,
    link_to_the_host_killed_at_any_step_leaves_nothing_after_repair,
    link_to_the_host_failing_at_any_step_changes_nothing,
    link_rm_killed_at_any_step_works_when_tried_again,
    link_rm_killed_at_any_step_leaves_nothing_after_repair,
    link_rm_failing_at_any_step_is_finished_by_gc,
    link_rm_without_sandbox_killed_at_any_step_works_when_tried_again,
    sandbox_rm_with_links_killed_at_any_step_works_when_tried_again,
    sandbox_rm_with_links_killed_at_any_step_leaves_nothing_after_repair,
    sandbox_rm_with_links_failing_at_any_step_is_finished_by_gc,
    network_set_tighter_killed_at_any_step_works_when_tried_again,
    network_set_tighter_killed_at_any_step_leaves_nothing_after_repair,
    network_set_tighter_failing_at_any_step_changes_nothing,
    network_set_tighter_killed_while_undoing_leaves_nothing_after_gc,
    network_set_looser_killed_at_any_step_works_when_tried_again,
    network_set_looser_killed_at_any_step_leaves_nothing_after_repair,
    network_set_mtu_without_ipv6_killed_at_any_step_works_when_tried_again,
    network_set_mtu_without_ipv6_killed_at_any_step_leaves_nothing_after_repair,
    network_set_internal_killed_at_any_step_works_when_tried_again,
    network_set_internal_failing_at_any_step_changes_nothing,
    connect_killed_while_undoing_leaves_nothing_after_gc,
    network_create_killed_while_undoing_leaves_nothing_after_gc,
    sandbox_add_killed_while_undoing_leaves_nothing_after_gc,
    connect_killed_at_any_step_works_when_tried_again,
    connect_killed_at_any_step_leaves_nothing_after_repair,
    connect_failing_at_any_step_changes_nothing,
    connect_to_a_second_network_killed_at_any_step_works_when_tried_again,
    connect_to_a_second_network_killed_at_any_step_leaves_nothing_after_repair,
    connect_to_a_second_network_failing_at_any_step_changes_nothing,
    connect_without_bridge_killed_at_any_step_works_when_tried_again,
    connect_without_bridge_killed_at_any_step_leaves_nothing_after_repair,
    connect_after_reboot_killed_at_any_step_works_when_tried_again,
    disconnect_killed_at_any_step_works_when_tried_again,
    disconnect_killed_at_any_step_leaves_nothing_after_repair,
    disconnect_failing_at_any_step_is_finished_by_gc,
    disconnect_killed_at_any_step_moves_the_default_route_when_tried_again,
    disconnect_from_the_first_network_killed_at_any_step_leaves_nothing_after_repair,
    disconnect_failing_at_any_step_moves_the_default_route_by_gc,
    disconnect_without_sandbox_killed_at_any_step_works_when_tried_again,
    disconnect_without_sandbox_failing_at_any_step_is_finished_by_gc,
    first_network_create_killed_at_any_step_works_when_tried_again,
    first_network_create_killed_at_any_step_leaves_nothing_after_repair,
    first_network_create_failing_at_any_step_changes_nothing,
    create_beside_a_firewall_killed_at_any_step_can_be_retried,
    remove_beside_a_firewall_killed_at_any_step_can_be_retried,
    connect_beside_a_flushed_firewall_killed_at_any_step_can_be_retried,
    further_network_create_killed_at_any_step_works_when_tried_again,
    create_beside_a_firewall_killed_at_any_step_can_be_repaired,
    remove_beside_a_firewall_killed_at_any_step_can_be_repaired,
    connect_beside_a_flushed_firewall_killed_at_any_step_can_be_repaired,
    further_network_create_killed_at_any_step_leaves_nothing_after_repair,
    create_beside_a_firewall_that_fails_at_any_step_changes_nothing,
    further_network_create_failing_at_any_step_changes_nothing,
    network_rm_killed_at_any_step_works_when_tried_again,
    network_rm_killed_at_any_step_leaves_nothing_after_repair,
    network_rm_failing_at_any_step_works_when_tried_again,
    last_network_rm_killed_at_any_step_works_when_tried_again,
    last_network_rm_killed_at_any_step_leaves_nothing_after_repair,
    sandbox_add_killed_at_any_step_works_when_tried_again,
    sandbox_add_killed_at_any_step_leaves_nothing_after_repair,
    sandbox_add_failing_at_any_step_changes_nothing,
    sandbox_rm_killed_at_any_step_works_when_tried_again,
    sandbox_rm_killed_at_any_step_leaves_nothing_after_repair,
    sandbox_rm_failing_at_any_step_is_finished_by_gc,
);
