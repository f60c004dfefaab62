//! Two commands at once: one is stopped behind every single step while the other runs.
//!
//! The other ends meanwhile, or waits for a lock of the stopped one; then the stopped one continues or is killed. A
//! third may run before that.
//!
//! A case (`cases/pairs`) has these sections. A line is words for zubi, or for a shell after `$`.
//!
//! | section | |
//! |---|---|
//! | `setup` | makes the initial state, once |
//! | `before` | leads from there to the state in which they are tried |
//! | `slow` | the command that is stopped behind each of its steps |
//! | `other` | the command that runs meanwhile |
//! | `third` | runs while the slow one is stopped and the other has ended or waits |
//! | `mend` | repairs what the other, a foreign command, has broken |
//! | `after` | removes the result; what is gone already is fine |
//! | `steps` | the minimum number of steps |
//! | `waits` | the minimum number of steps behind which the other waits for the slow one |
//! | `verdict` | the required exit codes of both: see `verdict` |
//! | `tests` | names, and whether the slow one `goes on` or `is killed` |

use crate::case::{Case, line, lines};
use crate::meeting::{state, waits};
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use zubi_lab::{Host, Snapshot, Test};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// Longer than any command takes: beyond this, two commands wait for each other.
const DEADLOCK: Duration = Duration::from_secs(20);

/// Exit codes for success, not-found and conflict.
const DEFINITE: [i32; 3] = [0, 3, 4];

const SECTIONS: [&str; 10] =
    ["setup", "before", "slow", "other", "third", "mend", "after", "steps", "waits", "verdict"];

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| Case::all("pairs", &SECTIONS));

/// The tests of all cases.
pub static TESTS: LazyLock<Vec<Test>> = LazyLock::new(|| Case::tests_of(&CASES, module_path!(), run));

fn run(test: &str) {
    let (case, tries) = Case::of(&CASES, test);
    let pair = Pair { case, slow: case.line("slow"), other: case.line("other"), met: Cell::default() };
    match tries {
        "goes on" => pair.goes_on(),
        "is killed" => pair.is_killed(),
        other => panic!("no trial is called {other}"),
    }
}

fn is_definite(code: i32) -> bool {
    DEFINITE.contains(&code)
}

/// Whether the exit codes of both are as required.
fn verdict(words: &str, slow: i32, other: i32) -> bool {
    match words {
        "both succeed" => slow == 0 && other == 0,
        "one succeeds" => (slow == 0) != (other == 0) && is_definite(slow) && is_definite(other),
        "slow succeeds" => slow == 0 && is_definite(other),
        "any definite" => is_definite(slow) && is_definite(other),
        // A foreign command may break anything; only the state afterwards counts.
        "any" => slow >= 0 && other >= 0,
        unknown => panic!("no verdict is called {unknown}"),
    }
}

fn start(host: &Host, words: &str) -> Child {
    let mut command = match words.strip_prefix("$ ") {
        None => host.command(words),
        Some(shell) => {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", shell]);
            command
        }
    };
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("zubi")
}

/// Waits until it stops or ends; returns whether it stopped.
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

/// An exit code and the standard error.
type End = (i32, String);

/// How it ended, or `None` when the time is over or `enough` holds.
fn ended(child: &mut Child, enough: impl Fn(u32) -> bool) -> Option<End> {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            let mut words = String::new();
            child.stderr.take().expect("stderr").read_to_string(&mut words).expect("stderr");
            return Some((status.code().unwrap_or(-1), words));
        }
        if enough(child.id()) || since.elapsed() > DEADLOCK {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process that polls for a lock is awake at times.
fn is_seen_waiting(child: &Child) -> bool {
    let since = Instant::now();
    while since.elapsed() < DEADLOCK {
        if waits(child.id()) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

fn never(_: u32) -> bool {
    false
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

/// Counts of what the other did while the slow one was stopped.
#[derive(Debug, Clone, Copy, Default)]
struct Met {
    /// It ended before the slow one continued.
    passed: usize,
    /// It waited for a lock of the slow one.
    waited: usize,
}

struct Pair {
    case: &'static Case,
    slow: &'static str,
    other: &'static str,
    met: Cell<Met>,
}

impl Pair {
    fn take_away(&self, host: &Host) {
        self.case.lines("after").iter().for_each(|words| drop(line(host, words)));
        host.settle();
    }

    /// The host in the initial state, that state, and the names of the slow command's steps.
    fn begin(&self) -> (Host, Snapshot, Vec<String>) {
        let host = Host::new(ZUBI);
        host.zubi("gc").ok();
        lines(&host, self.case.lines("setup"));
        lines(&host, self.case.lines("before"));
        line(&host, self.slow);
        line(&host, self.other);
        lines(&host, self.case.lines("mend"));
        self.take_away(&host);
        let initial = Snapshot::take();
        lines(&host, self.case.lines("before"));
        let told = host.with_env("ZUBI_FAULT", "count").zubi(self.slow).ok().err;
        let steps: Vec<String> = told.lines().filter(|l| l.starts_with("step ")).map(ToOwned::to_owned).collect();
        let least = self.case.number("steps");
        assert!(steps.len() >= least, "only {} steps, {least} expected:\n{told}", steps.len());
        self.take_away(&host);
        initial.assert_no_residue(&Snapshot::take());
        (host, initial, steps)
    }

    fn at_each_step(&self, trial: impl Fn(&Host, usize) -> Result<(), String>) {
        let (host, initial, steps) = self.begin();
        let mut wrong = String::new();
        for n in 1..=steps.len() {
            lines(&host, self.case.lines("before"));
            let mut outcome = trial(&host, n).and_then(|()| addresses_are_distinct(&host));
            lines(&host, self.case.lines("mend"));
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
        let met = self.met.get();
        println!("{} beside {}, of {} steps: {met:?}", self.other, self.slow, steps.len());
        assert!(wrong.is_empty(), "of {} steps:\n{wrong}", steps.len());
        assert!(met.passed + met.waited > 0, "they never met: {met:?}");
        let least = self.case.number("waits");
        assert!(met.waited >= least, "the other waited {} times, {least} expected", met.waited);
    }

    /// Stops the slow one behind its `n`-th step, runs the others until they end or wait, sends the signal, and returns
    /// how the slow one and the other ended.
    fn meet(&self, host: &Host, n: usize, sent: &str) -> Result<(End, End), String> {
        let mut slow = start(&host.with_env("ZUBI_FAULT", &format!("stop:{n}")), self.slow);
        let did_stop = stopped(&mut slow);
        let run = |words: &str| {
            let mut child = start(host, words);
            let end = ended(&mut child, waits);
            (child, end)
        };
        let (mut other, early) = run(self.other);
        let mut third: Vec<_> = self.case.lines("third").iter().map(|words| (words, run(words))).collect();
        let mut slow_end = None;
        if did_stop {
            let mut met = self.met.get();
            match early {
                Some(_) => met.passed += 1,
                None if is_seen_waiting(&other) => met.waited += 1,
                None => {
                    // Its locks would block every later command.
                    signal(host, &slow, "KILL");
                    return Err("the other neither ends nor waits for a lock".into());
                }
            }
            self.met.set(met);
            // The third gets what the slow one held before the other does.
            let is_held_back = early.is_none() && !third.is_empty();
            if is_held_back {
                signal(host, &other, "STOP");
                stopped(&mut other);
            }
            signal(host, &slow, sent);
            // A dead process holds no locks.
            slow_end = if sent == "KILL" { ended(&mut slow, never) } else { None };
            for (_, (child, early)) in &mut third {
                *early = early.take().or_else(|| ended(child, waits));
            }
            if is_held_back {
                signal(host, &other, "CONT");
            }
        }
        let slow = slow_end.or_else(|| ended(&mut slow, never));
        let other = early.or_else(|| ended(&mut other, never));
        for (words, (mut child, early)) in third {
            match early.or_else(|| ended(&mut child, never)) {
                Some((code, _)) if is_definite(code) => {}
                end => return Err(format!("{words}: {end:?}")),
            }
        }
        slow.zip(other).ok_or_else(|| "they wait for each other, or for the dead".into())
    }

    /// The slow one continues when the other has ended or waits for it.
    fn goes_on(&self) {
        self.at_each_step(|host, n| {
            let (slow, other) = self.meet(host, n, "CONT")?;
            if verdict(self.case.line("verdict"), slow.0, other.0) {
                return Ok(());
            }
            Err(format!("{} gave {} {}{} gave {} {}", self.slow, slow.0, slow.1, self.other, other.0, other.1))
        });
    }

    /// The slow one is killed; the other must end by itself.
    fn is_killed(&self) {
        self.at_each_step(|host, n| {
            let (_, other) = self.meet(host, n, "KILL")?;
            host.zubi("gc").ok();
            if is_definite(other.0) { Ok(()) } else { Err(format!("{} gave {} {}", self.other, other.0, other.1)) }
        });
    }
}
