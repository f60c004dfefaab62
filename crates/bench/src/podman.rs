//! What a network adds to the time of a Podman container, with different network backends.
//!
//! # How it works
//! Each backend has a Podman on its own host. `podman run --rm` is timed in turns without a network, on a network that
//! goes with the container, and on one that another container stays on; the result is what a network adds.
//!
//! # Limits
//! Each time includes attach and detach, since `--rm` waits for both. Names are off: not every backend has them.

use crate::contender::DIRS;
use crate::effort::Effort;
use crate::error::Error;
use crate::programs::Programs;
use crate::report::{Findings, Table, Verdict};
use crate::sample::{Sample, number};
use crate::worker::Worker;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use zubi_lab::{Backend, HELPERS, PLUGINS, Podman, PodmanConfig, links};

const PLUGIN_FOLDER: &str = "/run/bench-plugins";
const HELPER_FOLDER: &str = "/run/bench-helpers";
const LISTS: &str = "/run/bench-net.d";
const COMPLAINTS: &str = "/run/bench-complaints";
const PATIENCE: Duration = Duration::from_secs(10);

/// The network of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum On {
    /// `--network none`.
    None,
    /// A network with no other container.
    Alone,
    /// A network with another container that stays.
    Shared,
}

/// A network backend.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Maker {
    ZubiAsNetavark,
    Netavark(PathBuf, String),
    ZubiAsPlugins,
    Plugins(PathBuf),
}

/// A Podman on a host of its own.
struct Runner {
    podman: Podman,
    /// How many processes stay.
    residents: usize,
}

impl On {
    const ALL: [On; 3] = [On::None, On::Alone, On::Shared];

    fn network(self) -> &'static str {
        match self {
            On::None => "none",
            On::Alone => "alone",
            On::Shared => "shared",
        }
    }
}

impl Maker {
    fn all(programs: &Programs) -> Vec<Self> {
        let mut all = vec![Maker::ZubiAsNetavark];
        all.extend(programs.netavarks.iter().cloned().map(|(program, version)| Maker::Netavark(program, version)));
        all.push(Maker::ZubiAsPlugins);
        all.extend(programs.cni.clone().map(Maker::Plugins));
        all
    }

    fn name(&self) -> String {
        match self {
            Maker::ZubiAsNetavark => "zubi as netavark".into(),
            Maker::Netavark(_, version) => format!("netavark {version}"),
            Maker::ZubiAsPlugins => "zubi as CNI plugins".into(),
            Maker::Plugins(_) => "CNI plugins".into(),
        }
    }

    /// The backend, on the calling process's host.
    fn backend(&self, zubi: &Path) -> Result<Backend, Error> {
        let zubi = zubi.to_string_lossy();
        let plugins = |plugins: PathBuf| {
            fs::create_dir_all(LISTS).map_err(Error::system(LISTS))?;
            Ok(Backend::Cni { plugins, conf: LISTS.into() })
        };
        match self {
            Maker::ZubiAsNetavark => Ok(Backend::Netavark { helpers: links(&zubi, HELPER_FOLDER, &HELPERS) }),
            Maker::Netavark(program, _) => {
                Ok(Backend::Netavark { helpers: links(&program.to_string_lossy(), HELPER_FOLDER, &["netavark"]) })
            }
            Maker::ZubiAsPlugins => plugins(links(&zubi, PLUGIN_FOLDER, &PLUGINS)),
            Maker::Plugins(folder) => plugins(folder.clone()),
        }
    }
}

impl Runner {
    fn new(maker: &Maker, programs: &Programs) -> Result<Self, Error> {
        let config = PodmanConfig::new(maker.backend(&programs.zubi)?);
        let config = DIRS.iter().fold(config, |config, (key, value)| config.env(key, value));
        let podman = Podman::start(config).map_err(Error::Worker)?;
        let mut runner = Runner { podman, residents: 0 };
        for (on, net) in [(On::Alone, 1), (On::Shared, 2)] {
            let network = on.network();
            runner.run(&format!("network create --disable-dns --subnet 10.55.{net}.0/24 {network}"))?;
        }
        runner.run("run -d --network shared busybox sleep 100000")?;
        runner.residents = 1;
        // The first run of each kind fills caches.
        On::ALL.iter().try_for_each(|on| runner.time(*on).map(drop))?;
        Ok(runner)
    }

    /// Runs a container that does nothing; returns the time from the start of Podman to its end.
    fn time(&mut self, on: On) -> Result<Duration, Error> {
        // The image has no link named `true`.
        let took = self.run(&format!("run --rm --network {} busybox busybox true", on.network()))?;
        self.settle()?;
        Ok(took)
    }

    fn run(&self, words: &str) -> Result<Duration, Error> {
        let complaints = fs::File::create(COMPLAINTS).map_err(Error::system(COMPLAINTS))?;
        let mut command = self.podman.command(words);
        command.stdout(Stdio::null()).stderr(complaints);
        let start = Instant::now();
        let status = command.status().map_err(Error::system("podman"))?;
        let took = start.elapsed();
        if status.success() {
            return Ok(took);
        }
        let why = fs::read_to_string(COMPLAINTS).unwrap_or_default();
        Err(Error::Command { command: format!("podman {words}"), why: format!("{status}: {}", why.trim()) })
    }

    /// Waits for what Podman and the backend leave running. We are its subreaper, see [`Worker`].
    fn settle(&self) -> Result<(), Error> {
        const CHILDREN: &str = "/proc/thread-self/children";
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let failed = |e: nix::Error| Error::system("wait for children")(e.into());
            while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)).map_err(failed)?, WaitStatus::StillAlive) {}
            let children = fs::read_to_string(CHILDREN).map_err(Error::system(CHILDREN))?;
            if children.split_whitespace().count() <= self.residents {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Error::Stays("a process of Podman's".into()))
    }
}

/// Measures; empty without Podman.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    if !programs.podman {
        return Ok(Findings::default());
    }
    let rounds = if effort == Effort::Quick { 5 } else { 31 };
    let mut runners = Vec::new();
    for maker in Maker::all(programs) {
        let worker: Worker<On, Duration> = Worker::start(|| {
            let mut runner = Runner::new(&maker, programs)?;
            Ok(move |on| runner.time(on))
        })?;
        runners.push((maker, worker, [Sample::new(), Sample::new(), Sample::new()]));
    }
    for _ in 0..rounds {
        for (_, worker, samples) in &mut runners {
            for (on, sample) in On::ALL.iter().zip(samples) {
                sample.push_time(worker.ask(on)?);
            }
        }
    }
    let head = ["", "no network, ms", "alone on one, ms", "over none", "beside another, ms", "over none"];
    let mut table = Table::new("`podman run --rm`", &head);
    let over = |sample: &Sample, none: &Sample| Some(sample.median()? - none.median()?);
    let mut goals = Findings::default();
    for (maker, _, [none, alone, shared]) in &runners {
        let cells = [none.median(), alone.median(), over(alone, none), shared.median(), over(shared, none)];
        table.row(std::iter::once(maker.name()).chain(cells.map(number)).collect());
        if matches!(maker, Maker::ZubiAsNetavark | Maker::ZubiAsPlugins) {
            goals.goal(
                format!("`podman run --rm` with {}: at most 15 ms over `--network none`", maker.name()),
                format!("{} ms, {} ms beside another", number(over(alone, none)), number(over(shared, none))),
                Verdict::at_most(over(alone, none), Some(15.0)),
            );
        }
    }
    table.note(format!(
        "Medians of {rounds}, each on a host of its own, in turns: attached and detached, without names. Alone on a \
         network the container is the first, which makes the bridge, and the last, with which it goes."
    ));
    Ok(Findings { tables: vec![table], ..goals })
}
