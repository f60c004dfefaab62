//! Which signals the command of `zubi run` gets: each exactly once.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use zubi_lab::{Host, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const PATIENCE: Duration = Duration::from_secs(20);
/// Prints the name of each signal that it gets, and ends with TERM.
const LISTENER: &str = r#"for s in HUP INT QUIT USR1 USR2 CONT WINCH TSTP; do trap "echo got $s" $s; done
trap "echo got TERM; exit 5" TERM
echo ready
while :; do sleep 0.02; done"#;

/// A `zubi run` of the listener, and its output.
struct Listening {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Listening {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run");
        let mut said = BufReader::new(child.stdout.take().expect("stdout"));
        until_line(&mut said, "ready");
        Listening { child, said }
    }

    /// Directly under zubi.
    fn plainly(host: &Host) -> Self {
        let mut command = host.command("run --network none -- sh -c");
        // The kernel stops no process of an orphaned process group; the parent of this one is in another group.
        command.arg(LISTENER).process_group(0);
        Self::start(command)
    }

    fn send(&self, host: &Host, signal: &str) {
        host.shell(&format!("kill -{signal} {}", self.child.id())).ok();
    }

    /// The next signal that it prints.
    fn got(&mut self) -> String {
        until_line(&mut self.said, "got")
    }
}

/// Reads up to a line with this word, and returns the word behind it.
fn until_line(said: &mut impl BufRead, word: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).expect("read") > 0, "it ended");
        // The terminal may echo the key first.
        if let Some((_, rest)) = line.split_once(word) {
            return rest.trim().to_owned();
        }
    }
}

fn what_is_sent_to_the_supervisor_reaches_the_command_once() {
    let host = Host::new(ZUBI);
    let mut run = Listening::plainly(&host);
    // The order shows that the previous signal did not come twice.
    for signal in ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "CONT", "INT", "TERM"] {
        run.send(&host, signal);
        assert_eq!(run.got(), signal);
    }
    assert_eq!(run.child.wait().expect("wait").code(), Some(5));
}

/// A command that gets a signal twice in quick succession may handle it once, so the test looks at what the supervisor
/// sends.
fn a_key_of_the_terminal_is_not_passed_on() {
    const TEST: &str = "a_key_of_the_terminal_is_not_passed_on";
    let host = Host::new(ZUBI);
    if host.shell("command -v script && strace -V").code != 0 {
        return skip(TEST, "needs the programs script (bsdutils) and strace");
    }
    std::fs::write("/run/listener", LISTENER).expect("script");
    for (key, signal) in [(3u8, "INT"), (28, "QUIT")] {
        let mut command = Command::new("script");
        let traced = "strace -f -o /run/traced -e trace=kill";
        let line = format!("exec {traced} {ZUBI} run --network none -- sh /run/listener");
        command.args(["-qec", &line, "/dev/null"]).envs(host.variables());
        let mut run = Listening::start(command);
        run.child.stdin.as_mut().expect("stdin").write_all(&[key]).expect("key");
        assert_eq!(run.got(), signal);
        let supervisor = host.shell(&format!("pgrep -o -f '^{ZUBI} run'")).ok().out;
        // The kernel delivers pending signals by number: the key's first.
        for last in ["USR1", "TERM"] {
            host.shell(&format!("kill -{last} {supervisor}")).ok();
            assert_eq!(run.got(), last);
        }
        run.child.wait().expect("wait");
        let traced = std::fs::read_to_string("/run/traced").expect("trace");
        let sent = traced.lines().filter_map(|line| {
            // The rest of a line may come later: `kill(7, SIGTERM <unfinished ...>`.
            line.split_once("kill(")?.1.split_once(", ")?.1.split([')', ' ']).next()
        });
        assert_eq!(sent.collect::<Vec<_>>(), ["SIGUSR1", "SIGTERM"], "{signal}");
    }
}

fn a_supervisor_that_is_stopped_stops_and_goes_on_with_its_command() {
    let host = Host::new(ZUBI);
    let mut run = Listening::plainly(&host);
    let pid = run.child.id();
    run.send(&host, "TSTP");
    assert_eq!(run.got(), "TSTP");
    let since = Instant::now();
    while host.shell(&format!("grep -q '^State:.T' /proc/{pid}/status")).code != 0 {
        assert!(since.elapsed() < PATIENCE, "it does not stop");
        std::thread::sleep(Duration::from_millis(3));
    }
    run.send(&host, "CONT");
    assert_eq!(run.got(), "CONT");
    run.send(&host, "TERM");
    assert_eq!(run.got(), "TERM");
    assert_eq!(run.child.wait().expect("wait").code(), Some(5));
}

zubi_lab::tests!(
    what_is_sent_to_the_supervisor_reaches_the_command_once,
    a_key_of_the_terminal_is_not_passed_on,
    a_supervisor_that_is_stopped_stops_and_goes_on_with_its_command,
);
