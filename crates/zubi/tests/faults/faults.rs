//! Commands that are killed, or fail, behind every single step, and commands for which the kernel refuses one message
//! each.
//!
//! A step is a kernel message, a setting or a file. The command itself reports how many it takes; a minimum in the case
//! fails when a test covers less than before. Kills continue a few steps beyond, into those of the detached child that
//! deletes devices. Steps run one by one; messages travel together, as usual.
//!
//! A case (`cases/alone`) has these sections. A line is words for zubi, or for a shell after `$`.
//!
//! | section | |
//! |---|---|
//! | `programs` | `Open vSwitch`: a real one, with a bridge `br0`, is there; `zubi's daemon` answers names; `ipvlans`: the kernel has them |
//! | `setup` | makes the initial state, once |
//! | `before` | leads from there to the state in which the command is tried |
//! | `command` | the command |
//! | `done` | lines that succeed once the command's work is done |
//! | `again` | the error of a second run that refuses because the work is done; if missing, a second run succeeds |
//! | `after` | leads back to the initial state |
//! | `steps` | the minimum number of steps |
//! | `messages` | the minimum number of messages, of all processes |
//! | `tests` | names, each with its trial: see `run` |

use crate::case::{Case, line, lines, succeed, succeeds};
use std::fmt::Write as _;
use std::sync::LazyLock;
use zubi_lab::{Answer, Capability, Host, OpenVswitch, Snapshot, Test, ZubiDaemon, need};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");

/// Steps of the detached child, which writes nothing to the caller's standard error.
const BEYOND: usize = 4;

const SECTIONS: [&str; 9] = ["programs", "setup", "before", "command", "done", "again", "after", "steps", "messages"];

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| Case::all("alone", &SECTIONS));

/// The tests of all cases.
pub static TESTS: LazyLock<Vec<Test>> = LazyLock::new(|| Case::tests_of(&CASES, module_path!(), run));

fn run(test: &str) {
    let (case, tries) = Case::of(&CASES, test);
    let _ovs = match case.lines("programs") {
        [] => None,
        [name] if name == "Open vSwitch" => match OpenVswitch::start(&Host::new(ZUBI), test) {
            None => return,
            started => started,
        },
        [name] if name == "ipvlans" => {
            if !need(&[Capability::Ipvlan], test) {
                return;
            }
            None
        }
        [name] if name == "zubi's daemon" => None,
        other => panic!("no program is called {other:?}"),
    };
    let has_daemon = case.lines("programs") == ["zubi's daemon"];
    let daemon = has_daemon.then(|| ZubiDaemon::start(&Host::new(ZUBI), DAEMON));
    let case = Command { case, words: case.line("command"), daemon };
    let (trial, least) = tries.split_once(", at least ").unwrap_or((tries, "0"));
    let (least, from) = least.split_once(" steps from ").unwrap_or((least.trim_end_matches(" steps"), ""));
    let least = least.parse().expect("a number of steps");
    match trial {
        "retry after kill" => case.retry_after_kill(),
        "repair after kill" => case.repair_after_kill(),
        "gc after kill changes nothing" => case.gc_after_kill_changes_nothing(),
        "failure changes nothing" => case.failure_changes_nothing(),
        "gc after failure" => case.gc_after_failure(),
        "failure puts back" => case.failure_puts_back(),
        "killed while undoing" => case.killed_while_undoing(from, least),
        "repair after kill while undoing" => case.repaired_when_killed_while_undoing(least),
        "refusal changes nothing" => case.refusal_changes_nothing(),
        "refusal is mended" => case.refusal_is_mended(),
        "lost answers are mended" => case.lost_answers_are_mended(),
        "lost answers change nothing" => case.lost_answers_change_nothing(),
        other => panic!("no trial is called {other}"),
    }
}

/// A unit of work to count.
#[derive(Clone, Copy)]
enum Unit {
    Steps,
    Messages,
    /// Named by their first messages.
    Sends,
}

impl Unit {
    /// The value of `ZUBI_FAULT` that makes the program print them.
    fn told_by(self) -> &'static str {
        match self {
            Unit::Steps => "count",
            Unit::Messages | Unit::Sends => "messages",
        }
    }

    /// The prefix of each printed line.
    fn prefix(self) -> &'static str {
        match self {
            Unit::Steps => "step ",
            Unit::Messages | Unit::Sends => "message ",
        }
    }

    /// The section with the minimum.
    fn section(self) -> &'static str {
        match self {
            Unit::Steps => "steps",
            Unit::Messages | Unit::Sends => "messages",
        }
    }

    /// Whether another one stands for the one at `at`, so that it need not be tried.
    ///
    /// Of the messages of one kind in one send the first, the last and the middle one suffice: the firewall's layout
    /// has some eighty.
    fn is_like_others(self, names: &[String], at: usize) -> bool {
        // `message 7: kind 0x18, send 3 of Route`
        let mark = match self {
            Unit::Steps => return false,
            Unit::Messages => ": kind ",
            Unit::Sends => ", send ",
        };
        let rest = |name: &String| name.split_once(mark).map(|(_, rest)| rest.to_owned());
        let Some(this) = names.get(at).and_then(rest) else { return false };
        let alike: Vec<usize> = (0..names.len()).filter(|n| rest(&names[*n]).as_ref() == Some(&this)).collect();
        match self {
            Unit::Sends => at != alike[0],
            _ => ![alike[0], alike[alike.len() / 2], alike[alike.len() - 1]].contains(&at),
        }
    }

    fn of(self, told: &str) -> Vec<String> {
        told.lines().filter(|l| l.starts_with(self.prefix())).map(ToOwned::to_owned).collect()
    }
}

/// A case's command.
struct Command {
    case: &'static Case,
    words: &'static str,
    /// It answers names, and does nothing else: what it does beside a command is not the command's work.
    daemon: Option<ZubiDaemon>,
}

impl Command {
    /// The host in the initial state, that state, and the names of the command's steps.
    fn begin(&self, unit: Unit) -> (Host, Snapshot, Vec<String>) {
        let host = Host::new(ZUBI);
        // `gc` first: the host's file and folders are not this command's doing.
        host.zubi("gc").ok();
        lines(&host, self.case.lines("setup"));
        if let Some(daemon) = &self.daemon {
            daemon.pause(&host);
        }
        // The first run makes folders that stay.
        lines(&host, self.case.lines("before"));
        host.zubi(self.words).ok();
        lines(&host, self.case.lines("after"));
        host.settle();
        let initial = Snapshot::take();
        lines(&host, self.case.lines("before"));
        let told = host.with_env("ZUBI_FAULT", unit.told_by()).zubi(self.words).ok().err;
        let names = unit.of(&told);
        let least = self.case.number(unit.section());
        assert!(names.len() >= least, "only {} {}, {least} expected:\n{told}", names.len(), unit.section());
        lines(&host, self.case.lines("done"));
        let again = host.zubi(self.words);
        match self.case.lines("again") {
            [] => drop(again.ok()),
            [words] => assert!(again.code != 0 && again.err.contains(words.as_str()), "done again: {again:?}"),
            more => panic!("one refusal, not {}", more.len()),
        }
        lines(&host, self.case.lines("after"));
        host.settle();
        initial.assert_no_residue(&Snapshot::take());
        (host, initial, names)
    }

    /// Runs the command with a fault.
    fn disturbed(&self, host: &Host, fault: &str) -> Answer {
        host.with_env("ZUBI_FAULT", fault).zubi(self.words)
    }

    /// Runs `trial` for every step, or message, of the command, and for some beyond; each must end in the initial
    /// state.
    fn at_each(&self, unit: Unit, beyond: usize, trial: impl Fn(&Host, &Snapshot, usize) -> Result<(), String>) {
        let (host, initial, names) = self.begin(unit);
        let mut wrong = String::new();
        for n in 1..=names.len() + beyond {
            let name = names.get(n - 1).map_or("(detached child)", String::as_str);
            if (beyond == 0 && is_hint(name)) || unit.is_like_others(&names, n - 1) {
                continue;
            }
            lines(&host, self.case.lines("before"));
            let outcome = trial(&host, &initial, n).and_then(|()| unchanged(&host, &initial, "at the end"));
            if let Err(why) = outcome {
                writeln!(wrong, "{name}: {why}").expect("text");
                self.reset(&host, &initial);
            }
        }
        assert!(wrong.is_empty(), "of {} {}:\n{wrong}", names.len(), unit.section());
    }

    /// After a failed trial, so that the next one has a chance.
    fn reset(&self, host: &Host, initial: &Snapshot) {
        let after = self.case.lines("after").iter().map(String::as_str);
        for words in after.clone().chain([self.words, "gc", "repair", "gc"]).chain(after) {
            line(host, words);
        }
        host.settle();
        let difference = initial.difference(&Snapshot::take());
        assert!(difference.is_none(), "a fault that neither gc nor repair mends: {difference:?}");
    }

    /// Runs the command again: it succeeds, or says that its work is done already, and the work is there.
    fn done_by_retry(&self, host: &Host) -> Result<(), String> {
        let again = host.zubi(self.words);
        if again.code != 0 && !self.case.lines("again").iter().any(|words| again.err.contains(words.as_str())) {
            return Err(format!("tried again: {}", again.err));
        }
        succeed(host, self.case.lines("done"))?;
        succeeds(host, "check")
    }

    fn retry_after_kill(&self) {
        self.at_each(Unit::Steps, BEYOND, |host, _, n| {
            self.disturbed(host, &format!("kill:{n}"));
            self.done_by_retry(host)?;
            // Unfinished files are hidden and left for gc.
            succeeds(host, "$ find /run -path '/run/zubi*' -name '.tmp-*' -delete")?;
            succeed(host, self.case.lines("after"))
        });
    }

    fn repair_after_kill(&self) {
        self.at_each(Unit::Steps, BEYOND, |host, _, n| {
            self.disturbed(host, &format!("kill:{n}"));
            succeeds(host, "repair")?;
            succeeds(host, "check")?;
            self.done_by_retry(host)?;
            succeed(host, self.case.lines("after"))
        });
    }

    /// After a kill, `gc` leads back to the initial state, unless the command had done all its work.
    fn gc_after_kill_changes_nothing(&self) {
        self.at_each(Unit::Steps, 0, |host, initial, n| {
            self.disturbed(host, &format!("kill:{n}"));
            succeeds(host, "gc")?;
            match succeed(host, self.case.lines("done")) {
                Ok(()) => succeed(host, self.case.lines("after")),
                Err(_) => unchanged(host, initial, "after gc"),
            }
        });
    }

    fn failure_changes_nothing(&self) {
        self.at_each(Unit::Steps, 0, |host, initial, n| {
            fails_as_asked(&self.disturbed(host, &format!("fail:{n}")))?;
            unchanged(host, initial, "behind the failure")
        });
    }

    /// A command that removes something leaves it complete when it fails, except when only releasing is left to do; a
    /// second run succeeds.
    fn failure_puts_back(&self) {
        self.at_each(Unit::Steps, 0, |host, _, n| {
            fails_as_asked(&self.disturbed(host, &format!("fail:{n}")))?;
            if host.zubi("check").code != 0 {
                succeeds(host, "gc")?;
                succeeds(host, "check")?;
                return succeed(host, self.case.lines("done"));
            }
            self.done_by_retry(host)
        });
    }

    fn gc_after_failure(&self) {
        self.at_each(Unit::Steps, 0, |host, _, n| {
            fails_as_asked(&self.disturbed(host, &format!("fail:{n}")))?;
            succeeds(host, "gc")?;
            succeeds(host, "check")?;
            self.done_by_retry(host)?;
            succeed(host, self.case.lines("after"))
        });
    }

    /// The command fails at its last step, or at the last with `step` in its name, and is killed at each step of the
    /// undo. Steps after that one do not undo in a single step.
    fn killed_while_undoing(&self, step: &str, least: usize) {
        let (host, initial, mut steps) = self.begin(Unit::Steps);
        let end = steps.iter().rposition(|name| name.contains(step)).expect("a step of that name");
        steps.truncate(end + 1);
        lines(&host, self.case.lines("before"));
        self.at_each_step_of_undoing(&host, &initial, steps.len(), least, || {
            succeeds(&host, "gc").and_then(|()| succeeds(&host, "check"))
        });
    }

    /// The command fails late and is killed at each step of the undo; a live object may be as before or as requested,
    /// but must be complete.
    fn repaired_when_killed_while_undoing(&self, least: usize) {
        let (host, initial, mut steps) = self.begin(Unit::Steps);
        while steps.last().is_some_and(|name| is_hint(name)) {
            steps.pop();
        }
        self.at_each_step_of_undoing(&host, &initial, steps.len(), least, || {
            succeeds(&host, "repair")?;
            succeeds(&host, "check")?;
            self.done_by_retry(&host)?;
            succeed(&host, self.case.lines("after"))
        });
    }

    fn at_each_step_of_undoing(
        &self,
        host: &Host,
        initial: &Snapshot,
        steps: usize,
        least: usize,
        mends: impl Fn() -> Result<(), String>,
    ) {
        let fail = format!("fail:{steps}");
        let told = self.disturbed(host, &format!("count,{fail}")).err;
        let all = Unit::Steps.of(&told).len();
        let undoing = all - steps;
        assert!(undoing >= least, "only {undoing} steps of undoing, {least} expected:\n{told}");
        let mut wrong = String::new();
        for n in steps + 1..=all {
            self.disturbed(host, &format!("{fail},kill:{n}"));
            if let Err(why) = mends().and_then(|()| unchanged(host, initial, "at the end")) {
                writeln!(wrong, "{n}: {why}").expect("text");
                self.reset(host, initial);
            }
        }
        assert!(wrong.is_empty(), "of {undoing} steps of undoing:\n{wrong}\n{told}");
    }

    /// A command whose message the kernel refuses leaves everything as it was and reports what was refused. It may also
    /// succeed: when it asks again, or did not need the answer.
    fn refusal_changes_nothing(&self) {
        self.at_each(Unit::Messages, BEYOND, |host, initial, n| {
            if !self.is_refused(host, n)? {
                return Ok(());
            }
            unchanged(host, initial, "behind the refusal")?;
            self.done_by_retry(host)?;
            succeed(host, self.case.lines("after"))
        });
    }

    /// The same where the undo is partial: a second run, or `repair`, completes it.
    fn refusal_is_mended(&self) {
        self.at_each(Unit::Messages, BEYOND, |host, _, n| {
            if !self.is_refused(host, n)? {
                return Ok(());
            }
            self.mended(host)
        });
    }

    /// The answers to a send are lost, so the outcome is unknown. Whether the command finds out or gives up, the same
    /// command, `gc` and `repair` restore the state.
    fn lost_answers_are_mended(&self) {
        self.at_each(Unit::Sends, BEYOND, |host, _, n| {
            if !self.fails_with(host, &format!("lost:{n}"), &["gave no answer"])? {
                return Ok(());
            }
            self.mended(host)
        });
    }

    /// The same where a command that gives up leaves everything as it was.
    fn lost_answers_change_nothing(&self) {
        self.at_each(Unit::Sends, BEYOND, |host, initial, n| {
            if !self.fails_with(host, &format!("lost:{n}"), &["gave no answer"])? {
                return Ok(());
            }
            unchanged(host, initial, "behind the loss")?;
            self.done_by_retry(host)?;
            succeed(host, self.case.lines("after"))
        });
    }

    /// `gc` or `repair`, then a second run, restore the state.
    fn mended(&self, host: &Host) -> Result<(), String> {
        // `gc` also waits for the command's own detached child.
        succeeds(host, "gc")?;
        if host.zubi("check").code != 0 {
            succeeds(host, "repair")?;
            succeeds(host, "check")?;
        }
        self.done_by_retry(host)?;
        succeed(host, self.case.lines("after"))
    }

    /// Runs the command without its `n`-th message; returns whether it fails. The error is the kernel's, or ours about
    /// an answer without the requested object.
    fn is_refused(&self, host: &Host, n: usize) -> Result<bool, String> {
        self.fails_with(host, &format!("message:{n}"), &["not supported", "Invalid argument", "gave no answer"])
    }

    /// Runs the command with a fault. On success its work must be there, and is reverted; on failure its error must
    /// have one of these words.
    fn fails_with(&self, host: &Host, fault: &str, said: &[&str]) -> Result<bool, String> {
        let answer = self.disturbed(host, fault);
        if answer.code != 0 {
            let told = said.iter().any(|words| answer.err.contains(words));
            return if told { Ok(true) } else { Err(format!("the cause is not told: {}", answer.err)) };
        }
        succeed(host, self.case.lines("done"))?;
        if lacks_only_filters(&host.zubi("check")) {
            succeeds(host, "repair")?;
        }
        succeeds(host, "check")?;
        succeed(host, self.case.lines("after"))?;
        // The fault may have hit the detached child: the next command that finds leftovers continues.
        succeeds(host, "gc")?;
        Ok(false)
    }
}

/// Whether filters of devices are all that `check` misses. A network is made without them where a kernel has none, and
/// `check` says so.
fn lacks_only_filters(check: &Answer) -> bool {
    let mut problems =
        check.out.lines().chain(check.err.lines()).filter(|line| line.contains(": missing: ")).peekable();
    check.code != 0 && problems.peek().is_some() && problems.all(|line| line.contains(": missing: tc "))
}

/// Whether a step only writes a hint, whose failure is silent.
fn is_hint(step: &str) -> bool {
    step.contains(".firewall-seen")
}

fn unchanged(host: &Host, initial: &Snapshot, when: &str) -> Result<(), String> {
    host.settle();
    initial.difference(&Snapshot::take()).map_or(Ok(()), |d| Err(format!("{when}: {d}")))
}

fn fails_as_asked(answer: &Answer) -> Result<(), String> {
    if answer.code == 0 {
        return Err("the failure was not told".into());
    }
    let told = ["asked to fail", "failure asked for by a test"].iter().any(|words| answer.err.contains(words));
    if told { Ok(()) } else { Err(format!("the error does not say the cause: {}", answer.err)) }
}
