//! Commands that read everything, with 900 endpoints.

use crate::contender::Spawned;
use crate::effort::Effort;
use crate::error::Error;
use crate::launch::{Call, Launcher, reap_all};
use crate::place::Sandbox;
use crate::programs::{Programs, find};
use crate::report::{Findings, Table, Verdict};
use crate::sample::{number, times};
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zubi_kernel::Session;
use zubi_plan::Place;

const MANY: u16 = 900;
/// The first published port.
const FIRST: u16 = 20_000;
const NETWORK: &str = "network create blue --subnet 10.55.0.0/20 --subnet fd00:55::/64";

/// A task to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Task {
    /// The raw kernel: reading the lists of devices and of the firewall table once.
    Raw,
    Check,
    List,
    Repair,
    Connect,
}

impl Task {
    const ALL: [Task; 5] = [Task::Raw, Task::Check, Task::List, Task::Repair, Task::Connect];

    fn name(self) -> &'static str {
        match self {
            Task::Raw => "raw kernel: devices and firewall table read once",
            Task::Check => "`zubi check`",
            Task::List => "`zubi ls`",
            Task::Repair => "`zubi repair` after `nft flush ruleset`",
            Task::Connect => "`zubi connect` after `nft flush ruleset`",
        }
    }

    /// The goal in milliseconds.
    fn limit(self) -> Option<f64> {
        match self {
            Task::Raw => None,
            Task::Check => Some(100.0),
            Task::List => Some(30.0),
            Task::Repair | Task::Connect => Some(150.0),
        }
    }
}

struct Host {
    spawned: Spawned,
    kernel: Session,
    probe: Sandbox,
    nft: PathBuf,
}

impl Host {
    fn new(programs: &Programs) -> Result<Self, Error> {
        let mut kernel = Session::open()?;
        let spawned = Spawned::on(&programs.zubi, NETWORK)?;
        for number in 1..=MANY {
            let sandbox = Sandbox::make(&mut kernel, number)?;
            let port = format!("connect blue {} -p {}:80", sandbox.name, FIRST + number);
            Launcher::Timed.run(&spawned.call(&port))?;
        }
        let probe = Sandbox::make(&mut kernel, MANY + 1)?;
        Ok(Host { spawned, kernel, probe, nft: find("nft").unwrap_or_else(|| "nft".into()) })
    }

    /// `None` when the command fails: an older zubi lacks some of these.
    fn time(&mut self, task: Task) -> Result<Option<Duration>, Error> {
        let probe = format!("connect blue {}", self.probe.name);
        let took = match task {
            Task::Raw => {
                let start = Instant::now();
                self.kernel.links(&Place::Host, None)?;
                self.kernel.firewall()?;
                Some(start.elapsed())
            }
            Task::Check => self.run("check"),
            Task::List => self.run("ls"),
            Task::Repair => self.flushed("repair")?,
            Task::Connect => self.flushed(&probe)?,
        };
        if task == Task::Connect {
            self.run(&format!("disconnect blue {}", self.probe.name));
            self.run("repair");
            reap_all()?;
        }
        Ok(took)
    }

    fn flushed(&mut self, words: &str) -> Result<Option<Duration>, Error> {
        Launcher::Timed.run(&Call::new(&self.nft, "flush ruleset"))?;
        Ok(self.run(words))
    }

    fn run(&self, words: &str) -> Option<Duration> {
        Launcher::Timed.run(&self.spawned.call(words)).ok()
    }
}

/// Measures it.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let rounds = if effort == Effort::Quick { 5 } else { 21 };
    if !Path::new(&find("nft").unwrap_or_default()).is_file() {
        return Err(Error::Usage("nft is missing (Debian package nftables)".into()));
    }
    let mut worker: Worker<Task, Option<Duration>> = Worker::start(|| {
        let mut host = Host::new(programs)?;
        Ok(move |task| host.time(task))
    })?;
    let samples = worker.samples(Task::ALL, rounds)?;
    let title = format!("With {MANY} endpoints, each with two addresses and a port");
    let mut table = Table::new(&title, &["", "ms (p90)", "/ raw"]);
    let mut findings = Findings::default();
    let raw = samples[0].1.clone();
    for (task, sample) in &samples {
        let timed = format!("{} ({})", number(sample.median()), number(sample.p90()));
        table.row(vec![task.name().into(), timed, times(sample.median(), raw.median())]);
        if let Some(limit) = task.limit() {
            findings.goal(
                format!("{} with {MANY} endpoints at most {limit} ms", task.name()),
                format!("{} ms", number(sample.median())),
                Verdict::at_most(sample.median(), Some(limit)).unless_busy(&raw),
            );
        }
    }
    table.note(format!("Medians of {rounds}, in turns. A dash: the command failed."));
    findings.tables.push(table);
    Ok(findings)
}
