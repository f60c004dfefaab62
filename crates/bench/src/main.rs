//! Measures zubi next to the raw kernel and its peers in one run; prints ratios.
//!
//! # How it works
//! Everything under comparison is set up on its own host ([`worker`]) and asked in turns, so that noise affects all
//! alike; the result is the ratio to the raw kernel's median in the same run. The hosts are namespaces inside one
//! process namespace ([`zubi_lab::with_fresh_host`]): they go with the run, however it ends, and this machine's own
//! network is not touched.
//!
//! # Limits
//! Ratios from a noisy minute are noisy too: the bench prints and never fails on a number.

mod contender;
mod crowd;
mod docker;
mod effort;
mod error;
mod healing;
mod lan;
mod launch;
mod lifecycle;
mod machine;
mod meter;
mod names;
mod on_card;
mod place;
mod podman;
mod ports;
mod programs;
mod report;
mod sample;
mod start;
mod traffic;
mod upkeep;
mod worker;

use effort::Effort;
use error::Error;
use programs::{Programs, find};
use report::Findings;
use std::io::Write;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zubi_lab::{HostKind, Podman, with_fresh_host};

const USAGE: &str = "zubi-bench --zubi PROGRAM --tools FOLDER [--quick] [PART..]

  --zubi PROGRAM   the zubi to measure
  --tools FOLDER   where zubi-bench-empty and zubi-bench-peak are
  --quick          fewer rounds, smaller sizes
  PART             start podman traffic ports crowd upkeep lan card names healing lifecycle; all when left out
";

type Measure = fn(&Programs, Effort) -> Result<Findings, Error>;

/// The parts that leave most behind come last: the kernel takes its time to remove thousands of namespaces.
const PARTS: [(&str, Measure); 11] = [
    ("start", start::measure),
    ("podman", podman::measure),
    ("traffic", traffic::measure),
    ("ports", ports::measure),
    ("crowd", crowd::measure),
    ("upkeep", upkeep::measure),
    ("lan", lan::measure),
    ("names", names::measure),
    ("card", on_card::measure),
    ("healing", healing::measure),
    ("lifecycle", lifecycle::measure),
];

struct Words {
    zubi: PathBuf,
    tools: PathBuf,
    effort: Effort,
    parts: Vec<(&'static str, Measure)>,
}

fn main() -> ExitCode {
    let words = match words(std::env::args().skip(1)) {
        Ok(words) => words,
        Err(e) => {
            eprint!("zubi-bench: {e}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let kind = if zubi_kernel::sys::user_ids().0 == 0 { HostKind::Root } else { HostKind::Rootless };
    let code = with_fresh_host(kind, || {
        let code = panic::catch_unwind(|| run(&words, kind)).unwrap_or(101);
        // The process exits without the usual flush.
        i32::from(std::io::stdout().flush().is_err()).max(code)
    });
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn words(mut args: impl Iterator<Item = String>) -> Result<Words, Error> {
    let (mut zubi, mut tools, mut effort, mut parts) = (None, None, Effort::Full, Vec::new());
    while let Some(word) = args.next() {
        match word.as_str() {
            "--zubi" => zubi = args.next(),
            "--tools" => tools = args.next(),
            "--quick" => effort = Effort::Quick,
            name => match PARTS.iter().find(|(part, _)| *part == name) {
                Some(part) => parts.push(*part),
                None => return Err(Error::Usage(format!("`{name}` is not a part"))),
            },
        }
    }
    let missing = |what: &str| Error::Usage(format!("{what} is missing"));
    if parts.is_empty() {
        parts = PARTS.to_vec();
    }
    let (zubi, tools) = (zubi.ok_or_else(|| missing("--zubi"))?, tools.ok_or_else(|| missing("--tools"))?);
    Ok(Words { zubi: zubi.into(), tools: tools.into(), effort, parts })
}

/// Runs on the fresh host. The exit code says whether every part could be measured.
fn run(words: &Words, kind: HostKind) -> i32 {
    let programs = programs(words, kind);
    println!("# zubi compared with others\n\n{}", machine::describe(&programs));
    for line in skipped(&programs, kind) {
        println!("Left out: {line}");
    }
    let (mut goals, mut code) = (Vec::new(), 0);
    for (name, measure) in &words.parts {
        match measure(&programs, words.effort) {
            Ok(findings) => {
                findings.tables.iter().for_each(|table| print!("{table}"));
                goals.extend(findings.goals);
            }
            Err(e) => {
                println!("\n{name}: not measured: {e}");
                code = 1;
            }
        }
    }
    print!("{}", report::goals(&goals));
    code
}

fn programs(words: &Words, kind: HostKind) -> Programs {
    // The peers expect real root.
    let peers = kind == HostKind::Root;
    let cni = Path::new("/usr/lib/cni");
    let complete =
        ["bridge", "host-local", "portmap", "firewall", "tuning"].iter().all(|plugin| cni.join(plugin).is_file());
    let zubi = std::path::absolute(&words.zubi).unwrap_or_else(|_| words.zubi.clone());
    Programs {
        daemon: zubi.with_file_name("zubi-daemon"),
        zubi,
        empty: words.tools.join("zubi-bench-empty"),
        peak: words.tools.join("zubi-bench-peak"),
        cni: (peers && complete).then(|| cni.into()),
        netavarks: if peers { helpers("netavark") } else { Vec::new() },
        aardvarks: if peers { helpers("aardvark-dns") } else { Vec::new() },
        dnsperf: find("dnsperf"),
        iptables: find("iptables").filter(|_| peers),
        restore: find("iptables-restore").filter(|_| peers),
        podman: peers && Podman::missing().is_none(),
    }
}

/// Debian's helper of Podman's, and one in PATH if it is newer.
fn helpers(name: &str) -> Vec<(PathBuf, String)> {
    let version = |path: PathBuf| {
        let said = machine::version(&path, &["--version"]);
        let version = said.strip_prefix(name)?.trim().to_owned();
        Some((path, version))
    };
    let packaged = Programs::PACKAGED.map(|folder| Path::new(folder).join(name));
    let debian = packaged.into_iter().find(|path| path.is_file()).and_then(version);
    let on_path = find(name).and_then(version);
    let number = |text: &str| text.split('.').map(|part| part.parse::<u32>().unwrap_or(0)).collect::<Vec<_>>();
    let newer = on_path.filter(|(_, own)| debian.as_ref().is_none_or(|(_, other)| number(own) > number(other)));
    debian.into_iter().chain(newer).collect()
}

fn skipped(programs: &Programs, kind: HostKind) -> Vec<&'static str> {
    if kind == HostKind::Rootless {
        return vec!["the peers, Podman and Docker's rules, which need root"];
    }
    let mut all = Vec::new();
    if programs.cni.is_none() {
        all.push("the CNI plugins (Debian package containernetworking-plugins)");
    }
    if programs.netavarks.is_empty() {
        all.push("netavark (Debian package of that name)");
    }
    if !programs.podman {
        all.push("Podman (Debian packages podman, busybox-static and tar)");
    }
    if programs.dnsperf.is_none() || programs.aardvarks.is_empty() {
        all.push("names (Debian packages dnsperf and aardvark-dns)");
    }
    if programs.restore.is_none() {
        all.push("Docker's rules (Debian package iptables)");
    }
    all
}
