//! The machine and the versions of everything measured.

use crate::programs::Programs;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A few lines without a date, so that the same machine and versions give the same text.
#[expect(clippy::cast_precision_loss, reason = "gigabytes with one decimal")]
pub(crate) fn describe(programs: &Programs) -> String {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = file("/proc/cpuinfo");
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = file("/proc/sys/kernel/osrelease");
    let memory = file("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 = memory.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    let mut versions = vec![version(&programs.zubi, &["--version"])];
    if programs.cni.is_some() {
        // Debian's plugins do not print their own version.
        let asked = ["-W", "-f", "CNI plugins ${Version}", "containernetworking-plugins"];
        versions.push(version(Path::new("dpkg-query"), &asked));
    }
    versions.extend(programs.netavarks.iter().map(|(_, version)| format!("netavark {version}")));
    versions.extend(programs.aardvarks.iter().map(|(_, version)| format!("aardvark-dns {version}")));
    versions.extend(programs.iptables.iter().map(|iptables| version(iptables, &["--version"])));
    format!(
        "{}, {cores} cores, {:.1} GiB, Linux {}\n{}\n",
        cpu.unwrap_or("unknown processor"),
        kib as f64 / 1024.0 / 1024.0,
        kernel.trim(),
        versions.into_iter().filter(|version| !version.is_empty()).collect::<Vec<_>>().join("; "),
    )
}

/// The first line that a program prints about itself.
pub(crate) fn version(program: &Path, words: &[&str]) -> String {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let Ok(output) = output else { return String::new() };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned()
}
