//! What takes longer than a second is told on a terminal, on a line that goes away again.

use crate::blue::{ZUBI, blue};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zubi_lab::{Answer, Host, skip};

/// What precedes the line, and what follows it: the terminal does not wrap it, and erases what was there.
const BEFORE: &str = "\r\x1b[?7l";
const BEHIND: &str = " ...\x1b[?7h\x1b[K";
const ERASED: &str = "\r\x1b[K";

fn has_script(host: &Host, test: &str) -> bool {
    let has = host.shell("script --version").code == 0;
    if !has {
        skip(test, "needs script (bsdutils)");
    }
    has
}

/// What a terminal gets from a command.
fn on_terminal(host: &Host, variables: &str, words: &str) -> Answer {
    // The shell stays between both: script(1) would stop together with its child.
    let typed = format!("{ZUBI} {words}; exit $?");
    host.shell(&format!("NO_COLOR=1 TERM=xterm {variables} script -qec '{typed}' /dev/null </dev/null"))
}

/// Another process that holds the host's lock for some seconds.
fn hold(seconds: &str) -> Child {
    let lock = "/run/zubi/lock/host";
    let child = Command::new("flock").args(["--no-fork", lock, "sleep", seconds]).spawn().expect("flock (util-linux)");
    while std::fs::read_to_string(format!("/proc/{}/comm", child.id())).expect("a process") != "sleep\n" {
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn a_wait_for_a_lock_is_told_until_the_lock_is_free() {
    let host = blue();
    if !has_script(&host, "a_wait_for_a_lock_is_told_until_the_lock_is_free") {
        return;
    }
    let mut holder = hold("1.7");
    let out = on_terminal(&host, "", "network create green --subnet 10.9.0.0/24").ok().out;
    let line = format!("zubi: waiting for the lock of the host: process {} (sleep) has it", holder.id());
    assert!(out.starts_with(&format!("{BEFORE}{line}{BEHIND}")), "{out:?}");
    let last = out.rsplit(BEHIND).next().expect("an end");
    assert!(last.starts_with(&format!("{ERASED}green: 10.9.0.0/24 on bridge")), "{out:?}");
    assert!(!last.contains("waiting"), "{out:?}");
    holder.wait().expect("sleep");
}

fn only_a_terminal_that_can_erase_a_line_is_told_and_only_what_takes_a_second() {
    let host = blue();
    if !has_script(&host, "only_a_terminal_that_can_erase_a_line_is_told_and_only_what_takes_a_second") {
        return;
    }
    for (variables, words) in [("TERM=dumb", "gc"), ("", "--json gc")] {
        let mut holder = hold("1.4");
        let out = on_terminal(&host, variables, words).ok().out;
        assert!(!out.contains("waiting") && !out.contains('\x1b'), "{out:?}");
        holder.wait().expect("sleep");
    }
    let mut holder = hold("1.4");
    assert_eq!(host.zubi("gc").ok().err, "");
    holder.wait().expect("sleep");
    let mut holder = hold("0.3");
    let out = on_terminal(&host, "", "gc").ok().out;
    assert!(!out.contains('\x1b'), "{out:?}");
    holder.wait().expect("sleep");
}

fn a_repair_tells_how_far_it_is() {
    let host = blue();
    if !has_script(&host, "a_repair_tells_how_far_it_is") {
        return;
    }
    for name in ["c1", "c2"] {
        host.container(name, "blue");
        host.shell(&format!("ip -n {name} route del default")).ok();
    }
    // It stops while it repairs the first endpoint, and goes on a second later.
    let effects = host.shell(&format!("ZUBI_FAULT=count {ZUBI} --dry-run repair")).err.lines().count();
    let go_on = "until p=$(grep -ls '^State:.T' /proc/[0-9]*/status); do sleep 0.05; done; sleep 1.1; \
                 kill -CONT $(basename $(dirname $p))";
    let mut waker = Command::new("sh").args(["-c", go_on]).stdin(Stdio::null()).spawn().expect("sh");
    let out = on_terminal(&host, &format!("ZUBI_FAULT=stop:{}", effects + 1), "repair").ok().out;
    waker.wait().expect("sh");
    assert!(out.contains(&format!("{BEFORE}zubi: repairing, 1 of 2 endpoints{BEHIND}{ERASED}")), "{out:?}");
}

fn a_daemon_that_does_not_answer_is_named() {
    let host = blue();
    if !has_script(&host, "a_daemon_that_does_not_answer_is_named") {
        return;
    }
    let _silent = UnixListener::bind("/run/silent.sock").expect("a socket");
    let out = on_terminal(&host, "DOCKER_HOST=unix:///run/silent.sock", "connect blue docker:web").out;
    let line = format!("{BEFORE}zubi: waiting for an answer of docker at /run/silent.sock{BEHIND}");
    assert!(out.starts_with(&line), "{out:?}");
    let last = out.rsplit(BEHIND).next().expect("an end");
    assert!(last.starts_with(&format!("{ERASED}zubi: ")) && last.contains("2 s"), "{out:?}");
}

zubi_lab::tests!(
    a_wait_for_a_lock_is_told_until_the_lock_is_free,
    only_a_terminal_that_can_erase_a_line_is_told_and_only_what_takes_a_second,
    a_repair_tells_how_far_it_is,
    a_daemon_that_does_not_answer_is_named,
);
