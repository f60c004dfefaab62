//! Questions about names, asked by dnsperf in a sandbox: zubi's daemon beside aardvark-dns.
//!
//! # How it works
//! Each server has a host of its own with the same zubi network and the same endpoints, so packets go the same way. zubi
//! answers on its network; aardvark-dns gets its file of names, and the gateway's address on a network without names.
//! All are asked in turns, as fast as they answer, with a hundred questions on their way.
//!
//! # Limits
//! dnsperf runs on the same cores. A server that answers more costs it more, so ratios are smaller than those of the
//! servers' own work.

use crate::contender::{DIRS, Spawned};
use crate::effort::Effort;
use crate::error::Error;
use crate::launch::{Call, Launcher};
use crate::place::Sandbox;
use crate::programs::{Programs, find};
use crate::report::{Findings, Table, Verdict};
use crate::sample::{Sample, number, times};
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zubi_kernel::Session;

const SIZES: [u16; 2] = [20, 500];
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 55, 0, 1);
const QUESTIONS: &str = "/run/bench-questions";
const HEARD: &str = "/run/bench-heard";
const AARDVARK: &str = "/run/bench-aardvark";
/// So many questions are on their way at a time.
const AT_ONCE: u16 = 100;
const PATIENCE: Duration = Duration::from_secs(20);

/// A server.
#[derive(Debug, Clone)]
enum Server {
    Zubi,
    /// Its program and version.
    Aardvark(PathBuf, String),
}

/// What a host is asked.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Ask {
    /// Asked for so many seconds.
    Load { seconds: u16, look: Look },
    /// How much memory the server takes.
    Resident,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Look {
    /// How many are answered a second.
    Rate,
    /// How long each takes: dnsperf prints them all, so it asks more slowly.
    Each,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Answer {
    PerSecond(f64),
    /// In milliseconds.
    Took {
        p50: f64,
        p99: f64,
    },
    Kib(u64),
}

/// The results for a server.
#[derive(Debug, Default)]
struct Row {
    rate: Sample,
    /// How long half of them take at most, and all but one in a hundred.
    took: [Sample; 2],
    resident: Sample,
}

struct Host {
    /// The server's process.
    pid: u32,
    dnsperf: PathBuf,
}

impl Server {
    /// zubi first; those it is compared with behind it.
    fn all(programs: &Programs) -> Vec<Server> {
        let others = programs.aardvarks.iter().cloned().map(|(program, version)| Server::Aardvark(program, version));
        std::iter::once(Server::Zubi).chain(others).collect()
    }

    fn name(&self) -> String {
        match self {
            Server::Zubi => "zubi-daemon".into(),
            Server::Aardvark(_, version) => format!("aardvark-dns {version}"),
        }
    }

    /// Starts it; returns its process.
    fn start(&self, programs: &Programs, sandboxes: &[Sandbox]) -> Result<u32, Error> {
        let mut command = match self {
            Server::Zubi => {
                let mut command = Command::new(&programs.daemon);
                command.envs(DIRS);
                command
            }
            Server::Aardvark(program, _) => {
                fs::create_dir_all(AARDVARK).map_err(Error::system(AARDVARK))?;
                let mut text = format!("{GATEWAY}\n");
                for Sandbox { name, number } in sandboxes {
                    // The number of the container, its addresses of either family, its names.
                    writeln!(text, "{number:064x} {}  {name}", address(*number))
                        .map_err(|_| Error::Usage("text".into()))?;
                }
                fs::write(Path::new(AARDVARK).join("blue"), text).map_err(Error::system(AARDVARK))?;
                let mut command = Command::new(program);
                command.args(["--config", AARDVARK, "--port", "53", "run"]);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(Error::system(self.name()))?;
        Ok(child.id())
    }

    /// The file that is there once it answers.
    fn sign(&self) -> PathBuf {
        match self {
            Server::Zubi => "/run/zubi/resolver/blue".into(),
            Server::Aardvark(..) => Path::new(AARDVARK).join("aardvark.pid"),
        }
    }
}

/// The address of a sandbox.
fn address(number: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(GATEWAY) + u32::from(number))
}

impl Host {
    fn new(server: &Server, size: u16, programs: &Programs) -> Result<Self, Error> {
        let names = if matches!(server, Server::Zubi) { "" } else { " --disable-dns" };
        let zubi = Spawned::on(&programs.zubi, &format!("network create blue --subnet 10.55.0.0/20{names}"))?;
        let mut kernel = Session::open()?;
        let mut sandboxes = Vec::new();
        let mut questions = String::new();
        for number in 1..=size {
            let sandbox = Sandbox::make(&mut kernel, number)?;
            let words = format!("connect blue {} --ip {}", sandbox.name, address(number));
            Launcher::Timed.run(&zubi.call(&words))?;
            questions.push_str(&sandbox.name.to_string());
            questions.push_str(" A\n");
            sandboxes.push(sandbox);
        }
        fs::write(QUESTIONS, questions).map_err(Error::system(QUESTIONS))?;
        let mut pid = server.start(programs, &sandboxes)?;
        let since = Instant::now();
        while !server.sign().exists() {
            if since.elapsed() > PATIENCE {
                return Err(Error::Worker(format!("{} does not start", server.name())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Server::Aardvark(..) = server {
            // It has forked.
            let text = fs::read_to_string(server.sign()).map_err(Error::system(AARDVARK))?;
            pid = text.trim().parse().unwrap_or(pid);
        }
        let dnsperf = programs.dnsperf.clone().unwrap_or_default();
        let host = Host { pid, dnsperf };
        // The first questions fill caches.
        host.load(1, Look::Rate)?;
        Ok(host)
    }

    fn answer(&self, ask: Ask) -> Result<Answer, Error> {
        match ask {
            Ask::Load { seconds, look } => self.load(seconds, look),
            Ask::Resident => {
                let path = format!("/proc/{}/status", self.pid);
                let text = fs::read_to_string(&path).map_err(Error::system(path))?;
                let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
                Ok(Answer::Kib(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)))
            }
        }
    }

    fn load(&self, seconds: u16, look: Look) -> Result<Answer, Error> {
        let mut words =
            format!("netns exec s1 {} -s {GATEWAY} -d {QUESTIONS} -q {AT_ONCE} -l {seconds}", self.dnsperf.display());
        if look == Look::Each {
            words += " -v";
        }
        let ip = find("ip").unwrap_or_else(|| "ip".into());
        Launcher::Timed.run(&Call { output: Some(HEARD.into()), ..Call::new(&ip, &words) })?;
        let heard = fs::read_to_string(HEARD).map_err(Error::system(HEARD))?;
        read(&heard, look).ok_or_else(|| Error::Worker(format!("not every question was answered:\n{}", end_of(&heard))))
    }
}

fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('>')).collect();
    lines.join("\n")
}

/// Reads what dnsperf has printed. `None` if a question had no answer, or another one than an address.
fn read(heard: &str, look: Look) -> Option<Answer> {
    let number_behind = |words: &str| {
        let line = heard.lines().find_map(|line| line.trim().strip_prefix(words))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    heard.lines().find(|line| {
        line.trim().starts_with("Response codes:") && line.contains("NOERROR") && line.contains("(100.00%)")
    })?;
    // One that is on its way at the end may be lost.
    if number_behind("Queries lost:")? > number_behind("Queries sent:")? / 1000.0 {
        return None;
    }
    match look {
        Look::Rate => Some(Answer::PerSecond(number_behind("Queries per second:")?)),
        Look::Each => {
            let seconds = |line: &str| line.strip_prefix("> NOERROR ")?.split_whitespace().last()?.parse::<f64>().ok();
            let mut all: Vec<f64> = heard.lines().filter_map(seconds).collect();
            all.sort_by(f64::total_cmp);
            let at = |of_hundred: usize| Some(all.get((all.len() * of_hundred).div_ceil(100).checked_sub(1)?)? * 1e3);
            Some(Answer::Took { p50: at(50)?, p99: at(99)? })
        }
    }
}

impl Row {
    fn round(&mut self, worker: &mut Worker<Ask, Answer>, seconds: u16) -> Result<(), Error> {
        let asks = [Ask::Load { seconds, look: Look::Rate }, Ask::Load { seconds: 1, look: Look::Each }, Ask::Resident];
        for ask in asks {
            match worker.ask(&ask)? {
                Answer::PerSecond(rate) => self.rate.push(rate),
                #[expect(clippy::cast_precision_loss, reason = "some thousand KiB")]
                Answer::Kib(kib) => self.resident.push(kib as f64 / 1024.0),
                Answer::Took { p50, p99 } => {
                    self.took[0].push(p50);
                    self.took[1].push(p99);
                }
            }
        }
        Ok(())
    }
}

/// Measures; empty without dnsperf.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    if programs.dnsperf.is_none() {
        return Ok(Findings::default());
    }
    let (rounds, seconds) = if effort == Effort::Quick { (3, 2) } else { (11, 3) };
    let head = ["", "endpoints", "questions/s", "zubi / it", "p50 ms", "p99 ms", "resident MB"];
    let mut table = Table::new("Names", &head);
    let mut findings = Findings::default();
    for size in SIZES {
        let mut all = Vec::new();
        for server in Server::all(programs) {
            let worker: Worker<Ask, Answer> = Worker::start(|| {
                let host = Host::new(&server, size, programs)?;
                Ok(move |ask| host.answer(ask))
            })?;
            all.push((server, worker, Row::default()));
        }
        for _ in 0..rounds {
            all.iter_mut().try_for_each(|(_, worker, row)| row.round(worker, seconds))?;
        }
        let rows: Vec<(Server, Row)> = all.into_iter().map(|(server, _, row)| (server, row)).collect();
        let Some((_, own)) = rows.first() else { continue };
        for (server, row) in &rows {
            let mut cells = vec![server.name(), size.to_string(), number(row.rate.median())];
            cells.push(times(own.rate.median(), row.rate.median()));
            cells.extend(row.took.iter().map(|sample| number(sample.median())));
            cells.push(number(row.resident.median()));
            table.row(cells);
        }
        goals(size, own, &rows[1..], &mut findings);
    }
    table.note(format!(
        "Medians of {rounds} rounds in turns, each server on a host of its own with the same network: dnsperf in one \
         sandbox asks for the addresses of all, over UDP, on the same cores, with a hundred questions on their way."
    ));
    findings.tables.push(table);
    Ok(findings)
}

fn goals(size: u16, own: &Row, others: &[(Server, Row)], findings: &mut Findings) {
    for (server, row) in others {
        let Server::Aardvark(program, _) = server else { continue };
        let wanted = if Programs::is_packaged(program) { 5.0 } else { 1.5 };
        let ratio = own.rate.median().zip(row.rate.median()).map(|(own, other)| own / other);
        // As much less time for a question.
        let inverse = ratio.map(|ratio| 1.0 / ratio);
        findings.goal(
            format!("{wanted} times as many questions a second as {} with {size} endpoints", server.name()),
            format!("{} times", number(ratio)),
            Verdict::at_most(inverse, Some(1.0 / wanted)),
        );
        findings.goal(
            format!("99 of 100 answers with {size} endpoints sooner than half of those of {}", server.name()),
            format!("{} ms, {} ms", number(own.took[1].median()), number(row.took[0].median())),
            Verdict::at_most(own.took[1].median(), row.took[0].median()),
        );
    }
    if size == SIZES[1] {
        let resident = own.resident.median();
        findings.goal(
            format!("at most 15 MB resident with {size} endpoints"),
            format!("{} MB", number(resident)),
            Verdict::at_most(resident, Some(15.0)),
        );
    }
}
