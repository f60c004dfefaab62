//! (no tests) a host with a daemon, and those who ask it.

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zubi_lab::{Answer, Host, ZubiDaemon, patience};

pub const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
pub const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");
/// How long until the daemon runs, also beside other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a daemon, and waits until it answers names.
pub fn start(host: &Host) -> ZubiDaemon {
    start_as(host, DAEMON)
}

/// The same by another program, which becomes the daemon.
pub fn start_as(host: &Host, program: &str) -> ZubiDaemon {
    let daemon = ZubiDaemon::start(host, program);
    until(|| host.zubi("status").out.contains("names"));
    daemon
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

/// Calls netavark as Podman does, for the namespace of that name.
pub fn netavark(host: &Host, verb: &str, sandbox: &str, request: &Value) -> Answer {
    std::os::unix::fs::symlink(ZUBI, "/run/netavark").ok();
    let mut command = Command::new("/run/netavark");
    command.args(["--config", "/run/podman", "--rootless=false", verb, &format!("/run/netns/{sandbox}")]);
    command.envs(host.variables()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("zubi as netavark");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(request.to_string().as_bytes()).expect("the request");
    drop(stdin);
    let output = child.wait_with_output().expect("its answer");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Answer { code: output.status.code().unwrap_or(128), out: text(output.stdout), err: text(output.stderr) }
}

/// Whether there is `dig`. If not, the test is recorded as skipped and should return.
pub fn has_dig(test: &str) -> bool {
    let has = Command::new("dig").arg("-v").stderr(Stdio::null()).stdout(Stdio::null()).status().is_ok();
    if !has {
        zubi_lab::skip(test, "needs the package bind9-dnsutils");
    }
    has
}
