//! Container to container: request rate, connection rate and throughput, compared with a bare pair.

use crate::contender::{Contender, DIRS, Floor, Publish, Removal, Spawned};
use crate::docker;
use crate::effort::Effort;
use crate::error::Error;
use crate::launch::{Call, Launcher};
use crate::meter::{Meter, Path, connects};
use crate::place::{Sandbox, set};
use crate::programs::Programs;
use crate::report::{Findings, Table, Verdict};
use crate::sample::{Sample, number, ratio, times};
use crate::worker::Worker;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;
use zubi_kernel::{Netns, Session};
use zubi_lab::Outside;

const LISTEN: u16 = 80;
const BRIDGED_TO_IPTABLES: &str = "net/bridge/bridge-nf-call-iptables";

fn bridged_to_iptables() -> PathBuf {
    std::path::Path::new("/proc/sys").join(BRIDGED_TO_IPTABLES)
}

/// What connects the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Road {
    /// A pair of devices, nothing else.
    Pair,
    /// A bridge without rules.
    Bridge,
    /// A zubi network.
    Zubi,
    /// A bridge with Docker's rules, which bridged frames pass.
    Docker,
    /// A zubi network on a host with these rules.
    ZubiBesideDocker,
}

impl Road {
    fn name(self) -> &'static str {
        match self {
            Road::Pair => "a bare pair",
            Road::Bridge => "a bridge by hand",
            Road::Zubi => "zubi",
            Road::Docker => "Docker's rules, bridge-nf-call-iptables=1",
            Road::ZubiBesideDocker => "zubi on a host with these",
        }
    }

    fn with_docker(self) -> bool {
        matches!(self, Road::Docker | Road::ZubiBesideDocker)
    }
}

/// A road that is set up.
struct Standing {
    client: Netns,
    server: Netns,
    to: Ipv4Addr,
}

impl Standing {
    fn path(&self) -> Path<'_> {
        Path { client: &self.client, server: &self.server, listen: LISTEN, to: (self.to, LISTEN) }
    }

    fn new(road: Road, programs: &Programs) -> Result<Self, Error> {
        let home = Netns::own()?;
        if road == Road::Pair {
            Outside::new();
            let outside = Netns::open(std::path::Path::new("/run/netns/outside"), &home)?;
            let to = Outside::V4.parse().map_err(|_| Error::Usage("the outside has no address".into()))?;
            return Ok(Standing { client: home, server: outside, to });
        }
        let mut kernel = Session::open()?;
        let (client, server) = (Sandbox::make(&mut kernel, 1)?, Sandbox::make(&mut kernel, 2)?);
        let to = match road {
            Road::Zubi | Road::ZubiBesideDocker => {
                let mut zubi = Spawned::new(&programs.zubi, Publish::Nothing)?;
                zubi.attach(&client, &mut Launcher::Timed)?;
                zubi.attach(&server, &mut Launcher::Timed)?;
                v4_of(&mut kernel, &server)?
            }
            _ => {
                let mut floor = Floor::with_bridge(docker::BRIDGE, Removal::Deleted)?;
                floor.plug(&client)?;
                floor.plug(&server)?;
                Floor::address(&server)
            }
        };
        if bridged_to_iptables().exists() {
            // Where the module is loaded, the setting is on in a new namespace.
            set(BRIDGED_TO_IPTABLES, if road.with_docker() { "1" } else { "0" })?;
        }
        if road.with_docker() {
            let restore = programs.restore.as_deref().ok_or(Error::Usage("no iptables-restore".into()))?;
            docker::load(restore, 0, 0, Floor::address(&server))?;
        }
        Ok(Standing { client: client.open(&home)?, server: server.open(&home)?, to })
    }
}

/// The IPv4 address of a sandbox.
pub(crate) fn v4_of(kernel: &mut Session, sandbox: &Sandbox) -> Result<Ipv4Addr, Error> {
    kernel.open_sandbox(&sandbox.reference())?;
    let seen = kernel.addresses(&sandbox.place(), None)?;
    let found = seen.iter().find_map(|seen| match seen.address.addr() {
        std::net::IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    });
    found.ok_or(Error::Usage(format!("{} has no address", sandbox.name)))
}

/// What zubi must change when rules appear later; a user would call `repair`.
fn repair(programs: &Programs) -> Result<(), Error> {
    Launcher::Timed.run(&Call::new(&programs.zubi, "repair").env(&DIRS)).map(drop)
}

/// A rate, and whether zubi needed a repair after rules appeared.
type Answer = (f64, bool);

fn start(road: Road, programs: &Programs) -> Result<Worker<(Meter, Duration), Answer>, Error> {
    Worker::start(|| {
        let standing = Standing::new(road, programs)?;
        let mut repaired = false;
        if road == Road::ZubiBesideDocker && !connects(standing.path())? {
            repair(programs)?;
            repaired = true;
        }
        Ok(move |(meter, lasts): (Meter, Duration)| Ok((meter.measure(standing.path(), lasts)?, repaired)))
    })
}

/// Measures everything.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let (rounds, lasts) = match effort {
        Effort::Quick => (3, Duration::from_millis(200)),
        Effort::Full => (9, Duration::from_secs(1)),
    };
    let mut findings = Findings::default();
    let mut roads = vec![Road::Pair, Road::Bridge, Road::Zubi];
    let filters = bridged_to_iptables().exists() && programs.restore.is_some();
    if filters {
        roads.extend([Road::Docker, Road::ZubiBesideDocker]);
    }
    let mut workers = Vec::new();
    for road in roads {
        workers.push((road, start(road, programs)?, [const { Sample::new() }; 3], false));
    }
    for _ in 0..rounds {
        for (at, meter) in Meter::TRAFFIC.into_iter().enumerate() {
            for (_, worker, samples, allowed) in &mut workers {
                let (rate, with_rule) = worker.ask(&(meter, lasts))?;
                samples[at].push(rate);
                *allowed |= with_rule;
            }
        }
    }
    let median = |road: Road, at: usize| {
        workers.iter().find(|(one, ..)| *one == road).and_then(|(_, _, samples, _)| samples[at].median())
    };
    let mut head = vec!["from container to container"];
    for meter in Meter::TRAFFIC {
        head.extend([meter.name(), "/ bare pair"]);
    }
    let mut table = Table::new("Container to container, both ends on one core", &head);
    for (road, _, samples, _) in &workers {
        let mut row = vec![road.name().to_owned()];
        for (at, sample) in samples.iter().enumerate() {
            row.extend([number(sample.median()), times(sample.median(), median(Road::Pair, at))]);
        }
        table.row(row);
    }
    table.note(format!("Medians of {rounds} rounds of {:.1} s, in turns.", lasts.as_secs_f32()));
    if !filters {
        table.note("Docker's rules are left out: they need root, iptables-restore and a kernel with br_netfilter.");
    }
    if workers.iter().any(|(_, _, _, repaired)| *repaired) {
        table.note(
            "Docker's rules came after zubi's network: nothing passed between its containers (policy DROP of the FORWARD \
             chain) until `zubi repair`.",
        );
    }
    for (at, meter) in Meter::TRAFFIC.into_iter().enumerate() {
        let of_pair = |road| ratio(median(road, at), median(Road::Pair, at));
        let measured = [Road::Bridge, Road::Zubi, Road::Docker, Road::ZubiBesideDocker]
            .map(|road| of_pair(road).map(|r| format!("{} x{r:.2}", road.name())));
        let measured = measured.into_iter().flatten().collect::<Vec<_>>().join("; ");
        findings.goal(format!("container to container, {}, of a bare pair", meter.name()), measured, Verdict::Open);
    }
    findings.tables.push(table);
    Ok(findings)
}
