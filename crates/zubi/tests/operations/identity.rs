//! Names and numbers lead to a namespace or a process; they do not identify it.

use super::strace::{Effect, Place, Target, trace};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use zubi_kernel::{Netns, Session, inside};
use zubi_lab::{Host, Loner, Snapshot, skip};
use zubi_model::NsRef;

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const CONFLICT: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(20);

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// A foreign process in a named namespace.
struct Stranger(Child);

impl Stranger {
    fn in_namespace(host: &Host, name: &str) -> Self {
        let words = ["netns", "exec", name, "sleep", "1000"];
        let child = Command::new("ip").args(words).stdin(Stdio::null()).spawn().expect("ip");
        until("it is inside", || {
            host.shell(&format!("ip netns pids {name}")).out.lines().any(|pid| pid == child.id().to_string())
                && host.shell(&format!("cat /proc/{}/comm", child.id())).out == "sleep\n"
        });
        Stranger(child)
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("wait").is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Another program replaces the namespace of that name and works in it.
fn taken_over(host: &Host, name: &str) -> Stranger {
    host.shell(&format!("ip netns del {name} && ip netns add {name}")).ok();
    Stranger::in_namespace(host, name)
}

fn processes(host: &Host, words: &str) -> Vec<u32> {
    let found = host.shell(&format!("pgrep -f '^{words}' || true")).ok().out;
    found.lines().map(|line| line.parse().expect("a number")).collect()
}

/// A host with a network and a sandbox `x` on it.
fn with_x() -> Host {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("x", "blue");
    host
}

fn records(host: &Host) -> String {
    host.shell("ls /run/zubi/endpoints/* /run/zubi/sandboxes 2>/dev/null | grep json").out
}

fn gc_after_a_killed_run_leaves_a_stranger_with_the_name_of_it_alone() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("run -d --name x --network blue -- sleep 777").ok();
    let all = processes(&host, &format!("{ZUBI} run -d")).into_iter().chain(processes(&host, "sleep 777"));
    for pid in all {
        host.shell(&format!("kill -9 {pid}")).ok();
    }
    until("they are gone", || {
        processes(&host, &format!("{ZUBI} run -d")).is_empty() && processes(&host, "sleep 777").is_empty()
    });
    let mut stranger = taken_over(&host, "x");
    let told = host.zubi("gc").ok();
    assert!(stranger.lives());
    assert!(told.err.contains("the name leads to another network namespace now and stays"), "{}", told.err);
    host.shell("ip netns exec x true").ok();
    host.zubi("check").ok();
    assert_eq!(records(&host), "");
}

fn a_run_that_ends_leaves_a_stranger_with_its_name_alone() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("run -d --name x --network blue -- sleep 777").ok();
    let mut stranger = taken_over(&host, "x");
    host.shell("pkill -f '^sleep 777'").ok();
    until("the run is over", || records(&host).is_empty());
    assert!(stranger.lives());
    host.shell("ip netns exec x true").ok();
    host.zubi("check").ok();
}

fn force_against_a_run_whose_name_is_a_stranger_s_ends_nobody() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("run -d --name x --network blue -- sleep 777").ok();
    let mut stranger = taken_over(&host, "x");
    host.zubi("sandbox rm -f x").fails(CONFLICT, "the name leads to another network namespace now");
    assert!(stranger.lives());
    assert_eq!(processes(&host, "sleep 777").len(), 1);
}

fn sandbox_rm_of_a_name_that_moved_forgets_ours_and_leaves_the_stranger_s() {
    let host = with_x();
    let mut stranger = taken_over(&host, "x");
    host.zubi("sandbox rm -f x").fails(CONFLICT, "the name leads to another network namespace now");
    assert!(stranger.lives());
    host.shell("ip netns exec x true").ok();
    assert_eq!(records(&host), "");
    host.settle();
    host.zubi("check").ok();
    // A user who wants the new namespace removed repeats the command.
    host.zubi("sandbox rm -f x").ok();
    assert!(!stranger.lives());
    host.shell("! test -e /run/netns/x").ok();
}

fn check_tells_of_a_name_that_moved_and_gc_leaves_it() {
    let host = with_x();
    let mut stranger = taken_over(&host, "x");
    // The kernel deletes the pair with the namespace, a moment later.
    host.wait_for("! ip -o link | grep -q ' zv'");
    let told = host.zubi("check");
    assert_eq!(told.code, 1);
    assert!(told.out.contains("sandbox x: its name leads to another network namespace now"), "{}", told.out);
    let told = host.zubi("gc").ok();
    assert!(told.out.contains("sandbox x (its name leads to another network namespace now)"), "{}", told.out);
    assert!(stranger.lives());
    host.shell("ip netns exec x true").ok();
    host.zubi("check").ok();
}

fn check_tells_of_a_name_that_is_gone_and_of_nothing_that_is_not() {
    let host = Host::new(ZUBI);
    let loner = Loner::new();
    host.zubi(&format!("sandbox add cx --from pid:{}", loner.pid())).ok();
    host.shell("ip netns del cx").ok();
    let told = host.zubi("check");
    assert_eq!(told.code, 1);
    assert_eq!(told.out, "sandbox cx: its name is gone\n    to put it right: zubi gc\n");
    assert_eq!(host.zubi("repair").ok().out, "sandbox cx (its name is gone)\n");
    host.shell(&format!("kill -0 {}", loner.pid())).ok();
    host.zubi("check").ok();
}

fn an_unfinished_sandbox_is_removed_unless_somebody_uses_its_name() {
    let host = Host::new(ZUBI);
    host.zubi("sandbox add y").ok();
    host.zubi("sandbox rm y").ok();
    let killed = host.with_env("ZUBI_FAULT", "kill:2");
    let unfinished = || {
        // After the record, before the namespace.
        let code = killed.zubi("sandbox add x").code;
        assert_ne!(code, 0);
        host.shell("grep -q '\"cookie\":null' /run/zubi/sandboxes/x.json && ip netns add x").ok();
    };
    unfinished();
    host.zubi("gc").ok();
    host.shell("! test -e /run/netns/x").ok();
    unfinished();
    let mut stranger = Stranger::in_namespace(&host, "x");
    host.zubi("sandbox add x").fails(CONFLICT, "exists already");
    let told = host.zubi("gc").ok();
    assert!(told.err.contains("another program uses the name"), "{}", told.err);
    assert!(stranger.lives());
    host.shell("ip netns exec x true").ok();
    assert_eq!(records(&host), "");
}

fn a_process_is_ended_in_its_own_namespace_only() {
    let host = Host::new(ZUBI);
    host.shell("ip netns add x").ok();
    let mut stranger = Stranger::in_namespace(&host, "x");
    let loner = Loner::new();
    let home = Netns::own().expect("own namespace");
    let x = Netns::open(&NsRef::Named("x".parse().expect("name")).path(), &home).expect("x");
    inside::end_process(&x, loner.pid()).expect("it is none of ours");
    // If a signal had been sent before, it would have arrived: the test waits for this one.
    inside::end_process(&x, stranger.0.id()).expect("end");
    stranger.0.wait().expect("it ends");
    host.shell(&format!("! grep -Eq '^State:.[ZX]' /proc/{}/status", loner.pid())).ok();
    inside::end_process(&x, stranger.0.id()).expect("one that has ended is fine");
}

fn a_forgotten_sandbox_holds_no_descriptor() {
    let host = Host::new(ZUBI);
    host.shell("ip netns add x").ok();
    let open = || std::fs::read_dir("/proc/self/fd").expect("/proc").count();
    let x = NsRef::Named("x".parse().expect("name"));
    let mut kernel = Session::open().expect("kernel");
    let before = (open(), kernel.descriptors());
    kernel.open_sandbox(&x).expect("x");
    assert!(open() > before.0);
    kernel.forget_sandboxes();
    assert_eq!((open(), kernel.descriptors()), before);
    assert!(kernel.sandbox(&x).is_none());
    kernel.open_sandbox(&x).expect("it is opened again");
}

/// The child closes every descriptor that it does not need; a closed number may be reused for another file at once.
fn a_sandbox_s_socket_is_closed_before_a_child_goes_on() {
    let host = with_x();
    if host.shell("strace -V").code != 0 {
        return skip("a_sandbox_s_socket_is_closed_before_a_child_goes_on", "needs the package strace");
    }
    let effects = trace(&host, "disconnect blue x").main.effects;
    let before = effects.split(|effect| matches!(effect, Effect::Fork)).next().expect("effects");
    assert!(before.len() < effects.len(), "a child is started");
    assert!(before.iter().any(|effect| matches!(effect, Effect::Close(Target::Route(Place::Inside)))));
}

fn a_name_of_the_host_s_own_namespace_can_be_removed() {
    let host = Host::new(ZUBI);
    let before = Snapshot::take();
    host.shell("ip netns add y && ip netns attach x $$").ok();
    host.zubi("sandbox rm x").ok();
    host.shell("ip netns del y").ok();
    before.assert_no_residue(&Snapshot::take());
}

zubi_lab::tests!(
    gc_after_a_killed_run_leaves_a_stranger_with_the_name_of_it_alone,
    a_run_that_ends_leaves_a_stranger_with_its_name_alone,
    force_against_a_run_whose_name_is_a_stranger_s_ends_nobody,
    sandbox_rm_of_a_name_that_moved_forgets_ours_and_leaves_the_stranger_s,
    check_tells_of_a_name_that_moved_and_gc_leaves_it,
    check_tells_of_a_name_that_is_gone_and_of_nothing_that_is_not,
    an_unfinished_sandbox_is_removed_unless_somebody_uses_its_name,
    a_process_is_ended_in_its_own_namespace_only,
    a_forgotten_sandbox_holds_no_descriptor,
    a_sandbox_s_socket_is_closed_before_a_child_goes_on,
    a_name_of_the_host_s_own_namespace_can_be_removed,
);
