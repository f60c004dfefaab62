//! (no tests) a host with a daemon, and those who ask it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use zubi_lab::{Host, patience};

pub const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");
/// How long until the daemon runs, also beside other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that ends with the value.
pub struct Daemon(Child);

impl Daemon {
    /// Starts it, and waits until it answers.
    pub fn start(host: &Host) -> Daemon {
        Daemon::start_by(host, Command::new(DAEMON))
    }

    /// The same by a command line of a shell, in which `"$0"` is the program.
    pub fn start_with(host: &Host, line: &str) -> Daemon {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line, DAEMON]);
        Daemon::start_by(host, command)
    }

    fn start_by(host: &Host, mut command: Command) -> Daemon {
        let log = std::fs::File::options().create(true).append(true).open("/run/daemon.log").expect("a log");
        command.envs(host.variables()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        own_etc(host);
        let daemon = Daemon(command.spawn().expect("the daemon"));
        until(|| host.zubi("status").out.contains("names"));
        daemon
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills it.
    pub fn kill(mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
        if std::thread::panicking() {
            println!("{}", std::fs::read_to_string("/run/daemon.log").unwrap_or_default());
        }
    }
}

/// Gives the host an /etc of its own: it shares that of the machine otherwise, and zubi writes below /etc/netns.
pub fn own_etc(host: &Host) {
    host.shell(
        "mkdir -p /run/etc.new /run/etc.work; mountpoint -q /etc || \
         mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc.new,workdir=/run/etc.work /etc",
    )
    .ok();
}

/// Waits for something.
#[track_caller]
pub fn until(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < patience(PATIENCE), "not so after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a sandbox hears: the data of the answers by `dig WORDS`, in its order, or the answer's code.
pub fn dig(host: &Host, sandbox: &str, words: &str) -> String {
    let answer = host.shell(&format!("ip netns exec {sandbox} dig +tries=2 +time=5 +noall +answer +comments {words}"));
    let code = answer.out.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("no answer");
    let data: Vec<&str> = answer
        .out
        .lines()
        .filter(|line| !line.starts_with(';') && !line.is_empty())
        .filter_map(|line| line.split_whitespace().nth(4))
        .collect();
    if data.is_empty() { code.to_owned() } else { data.join(" ") }
}

/// Whether there is `dig`. If not, the test is recorded as skipped and should return.
pub fn has_dig(test: &str) -> bool {
    let has = Command::new("dig").arg("-v").stderr(Stdio::null()).stdout(Stdio::null()).status().is_ok();
    if !has {
        zubi_lab::skip(test, "needs the package bind9-dnsutils");
    }
    has
}
