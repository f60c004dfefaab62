//! The runner: one process and one fresh host for each test. Prints what libtest prints.

use crate::keeper::{HostKind, on_fresh_host};
use crate::patience::patience;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use zubi_kernel::sys;

/// One test.
#[derive(Clone, Copy)]
pub struct Test {
    /// Its path: the binary, the file if that differs, and a sentence with one reason to fail.
    pub name: &'static str,
    /// The test passes when this returns. The argument is the test's name: a file of cases uses it to pick the case.
    pub run: fn(&str),
    /// The kind of host it needs.
    pub host: HostKind,
}

impl Test {
    /// The path without the binary, as libtest prints it.
    fn name(self) -> &'static str {
        self.name.split_once("::").map_or(self.name, |(_, name)| name)
    }
}

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(900);

/// Records that a test was skipped, and why; the sum of the whole run lists it. The test should return then.
pub fn skip(test: &str, why: &str) {
    println!("SKIP {test}: {why}");
    let Some(path) = std::env::var_os("ZUBI_SKIPS") else { return };
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("file of skips");
    writeln!(file, "{test}: {why}").expect("file of skips");
}

struct Words {
    filters: Vec<String>,
    exact: bool,
    list: bool,
    capture: bool,
    threads: usize,
    times: Times,
    /// Only tests on hosts of this kind.
    host: Option<HostKind>,
}

/// Whether to print how long each test took.
enum Times {
    Shown,
    Hidden,
}

impl Words {
    /// The suffix of the line of a test that passed.
    fn time_of(&self, test: &Running) -> String {
        match self.times {
            Times::Shown => format!(" <{:.3}s>", test.since.elapsed().as_secs_f64()),
            Times::Hidden => String::new(),
        }
    }
}

fn words() -> Words {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut words = Words {
        filters: Vec::new(),
        exact: false,
        list: false,
        capture: true,
        threads: cores,
        times: Times::Hidden,
        host: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--exact" => words.exact = true,
            "--list" => words.list = true,
            "--report-time" => words.times = Times::Shown,
            // Not a libtest option: only tests with real daemons.
            "--root" => words.host = Some(HostKind::Root),
            "--nocapture" => words.capture = false,
            "--test-threads" => words.threads = args.next().and_then(|n| n.parse().ok()).unwrap_or(words.threads),
            "--format" | "--color" | "--logfile" | "--skip" => drop(args.next()),
            _ if arg.starts_with("--test-threads=") => {
                words.threads = arg[15..].parse().unwrap_or(words.threads);
            }
            _ if arg.starts_with('-') => {}
            _ => words.filters.push(arg),
        }
    }
    words
}

struct Running {
    test: Test,
    pid: u32,
    log: PathBuf,
    since: Instant,
}

/// Runs the tests of these files whose names match the command line.
pub fn run(files: &[&[Test]]) -> ExitCode {
    let words = words();
    let tests = files.concat();
    let matches = |name: &str| {
        words.filters.is_empty()
            || words.filters.iter().any(|f| if words.exact { name == f } else { name.contains(f.as_str()) })
    };
    let is_on = |host: HostKind| words.host.is_none_or(|wanted| wanted == host);
    let chosen: Vec<Test> = tests.iter().copied().filter(|t| is_on(t.host) && matches(t.name())).collect();
    if words.list {
        for test in &chosen {
            println!("{}: test", test.name());
        }
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let (mut passed, mut failures) = (0, Vec::new());
    let mut waiting = chosen.iter().copied();
    let mut running: Vec<Running> = Vec::new();
    loop {
        while running.len() < words.threads {
            let Some(test) = waiting.next() else { break };
            running.push(start(test, words.capture));
        }
        if running.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
        running.retain(|r| {
            let code = match sys::reap_child(r.pid).expect("wait for a test") {
                Some(code) => code,
                None if r.since.elapsed() > patience(LIMIT) => {
                    sys::kill(r.pid, libc::SIGKILL).expect("kill a hanging test");
                    return true;
                }
                None => return true,
            };
            if code == 0 {
                passed += 1;
                println!("test {} ... ok{}", r.test.name(), words.time_of(r));
            } else {
                println!("test {} ... FAILED (exit code {code} after {:.1?})", r.test.name(), r.since.elapsed());
                failures.push((r.test.name(), fs::read_to_string(&r.log).unwrap_or_default()));
            }
            // The log may hold the reason of a skip; after a pass nobody reads it.
            drop(fs::remove_file(&r.log));
            false
        });
    }
    for (name, log) in &failures {
        println!("\n---- {name} ----\n{log}");
    }
    let verdict = if failures.is_empty() { "ok" } else { "FAILED" };
    let filtered = tests.len() - chosen.len();
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; {filtered} filtered out; finished\n",
        failures.len()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

fn start(test: Test, capture: bool) -> Running {
    let log = std::env::temp_dir().join(format!("zubi-lab-{}-{}.log", std::process::id(), test.name()));
    let sink = File::create(&log).expect("log of a test");
    std::io::stdout().flush().expect("stdout");
    match sys::fork().expect("fork a test") {
        sys::Fork::Parent(pid) => Running { test, pid, log, since: Instant::now() },
        sys::Fork::Child => {
            if capture {
                sys::redirect(sys::Standard::Out, sink.as_fd()).expect("stdout");
                sys::redirect(sys::Standard::Err, sink.as_fd()).expect("stderr");
            }
            if let Some(why) = test.host.missing() {
                skip(test.name(), why);
                sys::exit_now(0);
            }
            sys::exit_now(on_fresh_host(test.host, || match panic::catch_unwind(|| (test.run)(test.name())) {
                Ok(()) => 0,
                Err(_) => 101,
            }));
        }
    }
}
