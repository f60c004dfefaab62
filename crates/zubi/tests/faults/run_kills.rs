//! `zubi run`, with any of its processes killed at any time.

use std::fmt::Write as _;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use zubi_lab::{Host, Snapshot};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a condition holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// A host with the default network, and its state.
fn prepared() -> (Host, Snapshot) {
    let host = Host::new(ZUBI);
    host.zubi("run -- /bin/true").ok();
    host.settle();
    let before = Snapshot::take();
    (host, before)
}

/// Waits until the state is as before, whichever process restores it.
fn restored(before: &Snapshot) -> Result<(), String> {
    let since = Instant::now();
    loop {
        match left(before) {
            None => return Ok(()),
            Some(left) if since.elapsed() > PATIENCE => return Err(left),
            Some(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// The difference to `before`. Unfinished files are hidden and left for gc.
fn left(before: &Snapshot) -> Option<String> {
    // Cheap checks first.
    if std::fs::read_dir("/run/netns").is_ok_and(|names| names.count() > 0) {
        return Some("a sandbox".into());
    }
    drop(Command::new("find").args(["/run/zubi", "-name", ".tmp-*", "-delete"]).stderr(Stdio::null()).status());
    before.difference(&Snapshot::take())
}

/// The processes whose command line has these words.
fn processes(host: &Host, words: &str) -> Vec<u32> {
    let found = host.shell(&format!("pgrep -f '^{words}' || true")).ok().out;
    found.lines().map(|line| line.parse().expect("a number")).collect()
}

/// The process whose command line begins with these words. Right after its start a process has none.
fn process(host: &Host, words: &str) -> u32 {
    let mut found = Vec::new();
    until("it runs", || {
        found = processes(host, words);
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

fn kill(host: &Host, name: &str, pid: u32) {
    host.shell(&format!("kill -{name} {pid}")).ok();
}

/// The parent, by proc_pid_stat(5).
fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    rest.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// A run in the foreground: supervisor, guardian and command.
struct Running {
    supervisor: Child,
    guardian: u32,
    command: u32,
}

fn running(host: &Host, command: &str) -> Running {
    let supervisor = host.command(&format!("run --name job -- {command}")).spawn().expect("zubi");
    let of = |pid: u32| parent(pid) == supervisor.id();
    let mut found = None;
    until("the command runs", || {
        let inner: Vec<u32> = processes(host, command).into_iter().filter(|p| of(*p)).collect();
        let guardian: Vec<u32> = processes(host, &format!("{ZUBI} run")).into_iter().filter(|p| of(*p)).collect();
        if let ([command], [guardian]) = (inner.as_slice(), guardian.as_slice()) {
            found = Some((*guardian, *command));
        }
        found.is_some()
    });
    let (guardian, command) = found.expect("both");
    Running { supervisor, guardian, command }
}

fn killing_the_command_gives_its_code_and_leaves_nothing() {
    let (host, before) = prepared();
    let mut run = running(&host, "sleep 1000");
    kill(&host, "KILL", run.command);
    assert_eq!(run.supervisor.wait().expect("wait").code(), Some(137));
    restored(&before).unwrap();
}

fn killing_the_supervisor_leaves_nothing() {
    let (host, before) = prepared();
    let mut run = running(&host, "sleep 1000");
    kill(&host, "KILL", run.supervisor.id());
    run.supervisor.wait().expect("wait");
    restored(&before).unwrap();
    until("the command ends too", || processes(&host, "sleep 1000").is_empty());
}

fn killing_the_guardian_keeps_the_run_going() {
    let (host, before) = prepared();
    let mut run = running(&host, "sleep 1000");
    kill(&host, "KILL", run.guardian);
    host.zubi("check").ok();
    kill(&host, "TERM", run.command);
    assert_eq!(run.supervisor.wait().expect("wait").code(), Some(143));
    restored(&before).unwrap();
}

fn killing_supervisor_and_guardian_leaves_nothing_after_gc() {
    let (host, before) = prepared();
    let mut run = running(&host, "sleep 1000");
    kill(&host, "KILL", run.guardian);
    kill(&host, "KILL", run.supervisor.id());
    run.supervisor.wait().expect("wait");
    until("the command ends too", || processes(&host, "sleep 1000").is_empty());
    host.zubi("gc").ok();
    host.zubi("check").ok();
    restored(&before).unwrap();
}

fn descendants_that_escaped_end_with_the_run() {
    let (host, before) = prepared();
    let escape = "setsid sh -c 'sleep 2000 & sleep 2001' & (setsid sleep 2002 &) ; sleep 1000";
    std::fs::write("/run/escape", escape).expect("script");
    let mut run = running(&host, "sh /run/escape");
    until("they are out", || processes(&host, "sleep 200").len() == 3);
    kill(&host, "KILL", run.command);
    run.supervisor.wait().expect("wait");
    assert!(processes(&host, "sleep 200").is_empty(), "they outlive the run");
    restored(&before).unwrap();
}

fn descendants_that_escaped_end_when_the_supervisor_is_killed() {
    let (host, before) = prepared();
    std::fs::write("/run/escape", "(setsid sleep 2002 &) ; sleep 1000").expect("script");
    let mut run = running(&host, "sh /run/escape");
    until("it is out", || processes(&host, "sleep 2002").len() == 1);
    kill(&host, "KILL", run.supervisor.id());
    run.supervisor.wait().expect("wait");
    restored(&before).unwrap();
    assert!(processes(&host, "sleep 2002").is_empty(), "it outlives the run");
}

fn sigterm_is_passed_on_and_the_exit_code_passes() {
    let (host, before) = prepared();
    std::fs::write("/run/trap", "trap 'exit 42' TERM; echo ready > /run/ready; while :; do sleep 0.01; done")
        .expect("script");
    let mut run = running(&host, "sh /run/trap");
    until("the trap is set", || std::path::Path::new("/run/ready").exists());
    kill(&host, "TERM", run.supervisor.id());
    assert_eq!(run.supervisor.wait().expect("wait").code(), Some(42));
    restored(&before).unwrap();
}

fn a_detached_run_ends_when_its_command_does() {
    let (host, before) = prepared();
    host.zubi("run -d --name job -- sleep 1000").ok();
    host.zubi("check").ok();
    let command = process(&host, "sleep 1000");
    kill(&host, "KILL", command);
    restored(&before).unwrap();
}

fn a_detached_run_whose_supervisor_is_killed_leaves_nothing() {
    let (host, before) = prepared();
    host.zubi("run -d --name job -- sleep 1000").ok();
    let supervisor = parent(process(&host, "sleep 1000"));
    kill(&host, "KILL", supervisor);
    restored(&before).unwrap();
}

/// Kills `words`, a run, behind each of its steps, at least `least`.
fn killed_at_each_step(words: &str, least: usize) {
    let (host, before) = prepared();
    let told = host.with_env("ZUBI_FAULT", "count").zubi(words).ok().err;
    let told = told.lines().filter(|l| l.starts_with("step ")).count();
    assert!(told >= least, "only {told} steps, {least} expected");
    if words.contains("sleep 3000") {
        kill(&host, "KILL", process(&host, "sleep 3000"));
    }
    restored(&before).unwrap();
    let mut wrong = String::new();
    // A detached supervisor does not print its steps.
    for n in 1..=told + 25 {
        host.with_env("ZUBI_FAULT", &format!("kill:{n}")).zubi(words);
        let mut outcome = restored_without_doomed(&host, &before);
        if outcome.is_ok() {
            let check = host.zubi("check");
            if check.code != 0 {
                outcome = Err(check.out);
            }
        }
        if let Err(left) = outcome {
            writeln!(wrong, "step {n}: {left}").expect("text");
            host.zubi("gc");
            break;
        }
    }
    assert!(wrong.is_empty(), "of {told} steps:\n{wrong}");
}

/// A supervisor that was killed when only doomed links and stale addresses were left needs no guardian: the next
/// command removes them.
fn restored_without_doomed(host: &Host, before: &Snapshot) -> Result<(), String> {
    let since = Instant::now();
    loop {
        for pid in processes(host, "sleep 3000") {
            // The process may have ended meanwhile.
            host.shell(&format!("kill -KILL {pid} || true"));
        }
        match left(before) {
            None => return Ok(()),
            Some(left) if since.elapsed() > PATIENCE => return Err(left),
            Some(_) => std::thread::sleep(Duration::from_millis(5)),
        }
        let waiting = |what| std::fs::read_dir(format!("/run/zubi/{what}")).map_or(0, Iterator::count);
        if waiting("doomed") + waiting("stale") > 0 && since.elapsed() > Duration::from_millis(300) {
            host.zubi("ls").ok();
        }
    }
}

fn run_killed_at_any_step_leaves_nothing() {
    killed_at_each_step("run --name job -- /bin/true", 35);
}

fn detached_run_killed_at_any_step_leaves_nothing() {
    killed_at_each_step("run -d --name job -- sleep 3000", 22);
}

/// Reads a command's output to its end, as a caller with a pipe does.
fn read_to_the_end(host: &Host, words: &str) -> String {
    let mut command = host.command(words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("zubi");
    let mut said = String::new();
    child.stdout.take().expect("pipe").read_to_string(&mut said).expect("pipe");
    assert!(child.wait().expect("wait").success());
    said
}

fn the_child_that_stays_to_delete_holds_nothing_of_the_caller() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    // The child stops behind its first step, after everything that the command prints.
    let told = host.with_env("ZUBI_FAULT", "count").zubi("disconnect blue c1").ok().err;
    let steps = told.lines().filter(|l| l.starts_with("step ")).count();
    host.settle();
    host.connect("blue c1");
    let slow = host.with_env("ZUBI_FAULT", &format!("stop:{}", steps + 1));
    // The read returns while the child lives: the child does not hold the pipe.
    assert_eq!(read_to_the_end(&slow, "disconnect blue c1"), "c1: disconnected from blue\n");
    let mut found = Vec::new();
    until("the child stops", || {
        found = processes(&host, &format!("{ZUBI} disconnect"));
        found.iter().any(|pid| host.shell(&format!("grep -q '^State:.T' /proc/{pid}/status")).code == 0)
    });
    let held = host.shell(&format!("readlink /proc/{}/fd/*", found[0])).ok().out;
    let foreign = |line: &&str| {
        !(*line == "/dev/null"
            || line.starts_with("socket:")
            || line.starts_with("net:")
            // The child that deletes devices holds the lock of the run folder.
            || line.ends_with("/run/zubi")
            || line.contains("/run/zubi/lock/"))
    };
    let foreign: Vec<&str> = held.lines().filter(foreign).collect();
    kill(&host, "CONT", found[0]);
    host.settle();
    assert!(foreign.is_empty(), "{foreign:?}");
}

fn a_detached_run_holds_nothing_of_the_caller() {
    let host = Host::new(ZUBI);
    // The read returns while supervisor, guardian and command live.
    assert_eq!(read_to_the_end(&host, "run -d --name job -- sleep 1000"), "job\n");
    process(&host, "sleep 1000");
}

fn sandbox_add_of_a_running_runs_name_does_not_wait_for_its_end() {
    let host = Host::new(ZUBI);
    host.zubi("run -d --name job -- sleep 1000").ok();
    host.zubi("sandbox add job").fails(4, "sandbox job exists already");
}

zubi_lab::tests!(
    killing_the_command_gives_its_code_and_leaves_nothing,
    killing_the_supervisor_leaves_nothing,
    killing_the_guardian_keeps_the_run_going,
    killing_supervisor_and_guardian_leaves_nothing_after_gc,
    descendants_that_escaped_end_with_the_run,
    descendants_that_escaped_end_when_the_supervisor_is_killed,
    sigterm_is_passed_on_and_the_exit_code_passes,
    a_detached_run_ends_when_its_command_does,
    a_detached_run_whose_supervisor_is_killed_leaves_nothing,
    run_killed_at_any_step_leaves_nothing,
    detached_run_killed_at_any_step_leaves_nothing,
    the_child_that_stays_to_delete_holds_nothing_of_the_caller,
    a_detached_run_holds_nothing_of_the_caller,
    sandbox_add_of_a_running_runs_name_does_not_wait_for_its_end,
);
