//! Tests that run again in user and network namespaces of their own: what they make goes with their process.

use std::io::Write;
use std::process::Command;

const INSIDE: &str = "ZUBI_TEST_INSIDE";

/// Whether this is the run inside the namespaces. Outside, it starts that run and asserts its success; where `probe`
/// fails in such namespaces, it skips the test.
pub fn inside(test: &str, probe: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let why = match Command::new("unshare").arg("-rn").args(probe).output() {
        Ok(done) if done.status.success() => None,
        Ok(done) => Some(String::from_utf8_lossy(&done.stderr).trim().replace('\n', " ")),
        Err(e) => Some(format!("unshare: {e}")),
    };
    if let Some(why) = why {
        skip(test, &why);
        return false;
    }
    let done = Command::new("unshare")
        .arg("-rn")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{}{}", said(&done.stdout), said(&done.stderr));
    assert!(said(&done.stdout).contains("1 passed"), "{test} did not run: {}", said(&done.stdout));
    false
}

fn skip(test: &str, why: &str) {
    eprintln!("skipped: {test}: {why}");
    if let Some(path) = std::env::var_os("ZUBI_SKIPS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}
