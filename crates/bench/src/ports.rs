//! Published ports: the cost of one more, and connections to the last of many.

use crate::contender::{Floor, Publish, Removal, Spawned};
use crate::docker;
use crate::effort::Effort;
use crate::error::Error;
use crate::launch::{Call, Launcher, reap_all};
use crate::meter::{Meter, Path};
use crate::place::{Sandbox, set};
use crate::programs::Programs;
use crate::report::{Findings, Table, Verdict};
use crate::sample::{Sample, number, ratio, times};
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use zubi_kernel::{Netns, Session};
use zubi_lab::Outside;
use zubi_model::{NsRef, RouteOptions};
use zubi_plan::{Op, Place, What};
use zubi_wire::route::Route;

/// The first published port. The range has room for one more port after the last.
const FIRST: u16 = 20_000;
/// How many ports each sandbox publishes.
const EACH: u16 = 100;
const INNER: u16 = 80;
/// The host's address on the uplink.
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Two costs count as equal when their ratio is below this noise.
const SAME: f64 = 1.2;

/// How a client reaches the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Road {
    /// No publishing: the container's own address, routed.
    Routed,
    Zubi,
    Docker,
}

impl Road {
    fn name(self, ports: u16) -> String {
        let many = if ports == 1 { "1 port".to_owned() } else { format!("{ports} ports") };
        match self {
            Road::Routed if ports == 0 => "raw kernel: routed, no port; an element of an empty set".into(),
            Road::Routed => format!("raw kernel: routed, no port; an element beside {ports}"),
            Road::Zubi => format!("zubi, {many}"),
            Road::Docker => format!("Docker's iptables rules, {many}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Ask {
    /// Connections per second, measured for this long.
    Rate(Duration),
    /// Publish one more port and remove it again.
    OneMore,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Rate(f64),
    OneMore { add: Duration, remove: Duration },
}

/// A host with a number of published ports.
struct Host {
    road: Road,
    client: Netns,
    server: Netns,
    last: Sandbox,
    to: (Ipv4Addr, u16),
    /// A port that is not published yet.
    next: u16,
    floor: Option<Floor>,
    zubi: Option<Spawned>,
    iptables: Option<PathBuf>,
}

impl Host {
    fn new(road: Road, ports: u16, programs: &Programs) -> Result<Self, Error> {
        let home = Netns::own()?;
        let mut kernel = Session::open()?;
        Outside::new();
        set("net/ipv4/ip_forward", "1")?;
        let client = Netns::open(std::path::Path::new("/run/netns/outside"), &home)?;
        let (mut floor, mut zubi) = (None, None);
        let sandboxes = if road == Road::Zubi { ports.div_ceil(EACH).max(1) } else { 1 };
        let mut made =
            (1..=sandboxes).map(|number| Sandbox::make(&mut kernel, number)).collect::<Result<Vec<_>, _>>()?;
        if road == Road::Zubi {
            let spawned = Spawned::new(&programs.zubi, Publish::Nothing)?;
            for sandbox in &made {
                let mut call = spawned.connect(sandbox);
                let from = (sandbox.number - 1) * EACH;
                for number in from..(from + EACH).min(ports) {
                    call.words.extend(["-p".into(), format!("{}:{INNER}", FIRST + number).into()]);
                }
                Launcher::Timed.run(&call)?;
            }
            zubi = Some(spawned);
        } else {
            let mut raw = Floor::with_bridge(docker::BRIDGE, Removal::Deleted)?;
            raw.plug(&made[0])?;
            floor = Some(raw);
        }
        let last = made.swap_remove(usize::from(sandboxes) - 1);
        let container = Floor::address(&last);
        let mut to = (HOST, FIRST + ports.saturating_sub(1));
        match road {
            Road::Zubi => {}
            Road::Docker => {
                let restore = programs.restore.as_deref().ok_or(Error::Usage("no iptables-restore".into()))?;
                docker::load(restore, FIRST, ports, container)?;
            }
            Road::Routed => {
                to = (container, INNER);
                if let Some(floor) = &mut floor {
                    floor.fill(ports)?;
                }
                lead_outside_to_containers(&mut kernel)?;
            }
        }
        let (server, iptables) = (last.open(&home)?, programs.iptables.clone());
        Ok(Host { road, client, server, last, to, next: FIRST + ports, floor, zubi, iptables })
    }

    fn answer(&mut self, ask: &Ask) -> Result<Answer, Error> {
        match ask {
            Ask::Rate(lasts) => {
                let path = Path { client: &self.client, server: &self.server, listen: INNER, to: self.to };
                Ok(Answer::Rate(Meter::Connections.measure(path, *lasts)?))
            }
            Ask::OneMore => {
                let add = self.one_more(Change::Add)?;
                let remove = self.one_more(Change::Remove)?;
                if self.zubi.is_some() {
                    reap_all()?;
                }
                Ok(Answer::OneMore { add, remove })
            }
        }
    }

    fn one_more(&mut self, change: Change) -> Result<Duration, Error> {
        if let Some(zubi) = &self.zubi {
            let verb = if change == Change::Add { "add" } else { "rm" };
            let spec = format!("{}:{INNER}", self.next);
            return Launcher::Timed.run(&zubi.port(verb, &self.last, &spec));
        }
        let start = Instant::now();
        match (self.road, &mut self.floor, &self.iptables) {
            (Road::Docker, _, Some(iptables)) => {
                let verb = if change == Change::Add { "-A" } else { "-D" };
                for rule in docker::port(self.next, self.to_container()) {
                    let words = format!("-t {} {verb} {}", rule.table, rule.words);
                    Launcher::Timed.run(&Call::new(iptables, &words))?;
                }
            }
            (_, Some(floor), _) if change == Change::Add => floor.add_element(self.next)?,
            (_, Some(floor), _) => floor.remove_element(self.next)?,
            _ => {}
        }
        Ok(start.elapsed())
    }

    fn to_container(&self) -> Ipv4Addr {
        Floor::address(&self.last)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
}

/// Gives the neighbour outside a route to the raw kernel's containers.
fn lead_outside_to_containers(kernel: &mut Session) -> Result<(), Error> {
    let usage = |e: zubi_model::Invalid| Error::Usage(e.to_string());
    let outside = NsRef::Named(Outside::NAME.parse().map_err(usage)?);
    let containers = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(10, 66, 0, 0), 16);
    let route = Route {
        to: containers.into(),
        via: Some(HOST.into()),
        device: "eth0".parse().map_err(usage)?,
        options: RouteOptions::default(),
    };
    let op = Op { place: Place::Sandbox(outside), ..Op::host(What::AddRoute(route), "") };
    kernel.apply(&[op].into_iter().collect())?;
    Ok(())
}

struct Runner {
    road: Road,
    ports: u16,
    worker: Worker<Ask, Answer>,
    rate: Sample,
    add: Sample,
    remove: Sample,
}

/// Measures everything.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let (many, rounds, lasts, changes) = match effort {
        Effort::Quick => (1_000, 3, Duration::from_millis(200), 10),
        Effort::Full => (10_000, 9, Duration::from_millis(500), 31),
    };
    let with_zubi = Spawned::publishes(&programs.zubi);
    let mut roads = vec![(Road::Routed, 0), (Road::Routed, many)];
    if with_zubi {
        roads.extend([0, 1, many].map(|ports| (Road::Zubi, ports)));
    }
    if programs.restore.is_some() && programs.iptables.is_some() {
        roads.extend([0, 1, many].map(|ports| (Road::Docker, ports)));
    }
    let mut runners = Vec::new();
    for (road, ports) in roads {
        let worker = Worker::start(|| {
            let mut host = Host::new(road, ports, programs)?;
            Ok(move |ask: Ask| host.answer(&ask))
        })?;
        runners.push(Runner { road, ports, worker, rate: Sample::new(), add: Sample::new(), remove: Sample::new() });
    }
    // Before the connections: those leave thousands of entries in the tracking table, on some hosts and not on others.
    for _ in 0..changes {
        for runner in runners.iter_mut().filter(|one| one.ports != 1) {
            if let Answer::OneMore { add, remove } = runner.worker.ask(&Ask::OneMore)? {
                runner.add.push_time(add);
                runner.remove.push_time(remove);
            }
        }
    }
    for _ in 0..rounds {
        for runner in runners.iter_mut().filter(|one| one.road == Road::Routed || one.ports > 0) {
            if let Answer::Rate(rate) = runner.worker.ask(&Ask::Rate(lasts))? {
                runner.rate.push(rate);
            }
        }
    }
    let find = |road, ports| runners.iter().find(|one| one.road == road && one.ports == ports);
    let rate = |road, ports| find(road, ports).and_then(|one| one.rate.median());
    let add = |road, ports| find(road, ports).and_then(|one| one.add.median());

    let head = ["", "connections/s to the last", "/ raw", "one more, ms", "/ with none", "one less, ms"];
    let mut table = Table::new("Published ports, from another host", &head);
    for one in &runners {
        table.row(vec![
            one.road.name(one.ports),
            number(one.rate.median()),
            times(one.rate.median(), rate(Road::Routed, 0)),
            number(one.add.median()),
            times(one.add.median(), add(one.road, 0)),
            number(one.remove.median()),
        ]);
    }
    let mut note =
        format!("Medians of {rounds} rounds of {:.1} s and of {changes} changes, in turns.", lasts.as_secs_f32());
    if find(Road::Docker, many).is_some() {
        note += " Docker publishes a port with three rules, each added by a separate `iptables`.";
    }
    if !with_zubi {
        note += " This zubi publishes no ports.";
    }
    table.note(note);
    let mut findings = Findings { tables: vec![table], ..Findings::default() };
    let costs = ratio(add(Road::Zubi, many), add(Road::Zubi, 0));
    findings.goal(
        format!("adding a port to {many} costs as much as adding the first (x{SAME} is noise)"),
        format!("{} ms, the first {} ms", number(add(Road::Zubi, many)), number(add(Road::Zubi, 0))),
        Verdict::at_most(costs, Some(SAME)),
    );
    let keeps = |road| ratio(rate(road, many), rate(road, 1));
    let slower = keeps(Road::Zubi).map(|kept| 1.0 / kept);
    findings.goal(
        format!("connections/s to the last of {many} ports at least 0.95 of those to one"),
        format!("zubi x{}, Docker's rules x{}", number(keeps(Road::Zubi)), number(keeps(Road::Docker))),
        Verdict::at_most(slower, Some(1.0 / 0.95)),
    );
    Ok(findings)
}
