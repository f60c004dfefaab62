//! Networks on the LAN: taking a network card over and giving it back, while streams run over it, and attaching beside
//! an ordinary bridge.

use crate::contender::Spawned;
use crate::effort::Effort;
use crate::error::Error;
use crate::launch::{Call, Launcher, reap_all};
use crate::place::Sandbox;
use crate::programs::{Programs, find};
use crate::report::{Findings, Table, Verdict};
use crate::sample::{Sample, number, times};
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use zubi_kernel::{Machine, Netns, Session};
use zubi_lab::Host as LabHost;
use zubi_lab::lan::make_lan;

const CREATE: &str = "network create lan --driver uplink --parent eth0 --ip-range 192.168.1.128/26";
const MACVLAN: &str = "network create lan --driver macvlan --parent eth0 --ip-range 192.168.1.128/26";
const REMOVE: &str = "network rm lan";
/// Datagrams a second, in each stream.
const RATE: u32 = 2000;
/// A stream goes on for so long before, between and after the commands.
const QUIET: Duration = Duration::from_millis(300);
/// Where the computer on the LAN answers.
const ECHO: [&str; 2] = ["192.168.1.7:7", "[2001:db8:1::7]:7"];

/// A task to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Task {
    /// The raw kernel: the card becomes a port of a bridge, and no more.
    Raw,
    TakeOver,
    GiveBack,
    Bridge,
    Unprobed,
    Probed,
    Macvlan,
}

impl Task {
    const ALL: [Task; 7] =
        [Task::Raw, Task::TakeOver, Task::GiveBack, Task::Bridge, Task::Unprobed, Task::Probed, Task::Macvlan];

    fn name(self) -> &'static str {
        match self {
            Task::Raw => "`ip link set eth0 master br0` and back, in one batch",
            Task::TakeOver => "`zubi network create lan --driver uplink`, with the question to the routers",
            Task::GiveBack => "`zubi network rm lan`",
            Task::Bridge => "`zubi connect` to an ordinary bridge",
            Task::Unprobed => "`zubi connect lan --no-probe`",
            Task::Probed => "`zubi connect lan`, asking the LAN for 300 ms",
            Task::Macvlan => "`zubi connect` to a macvlan network with the host's shim, `--no-probe`",
        }
    }
}

struct Host {
    spawned: Spawned,
    probe: Sandbox,
}

impl Host {
    fn new(programs: &Programs) -> Result<Self, Error> {
        let mut kernel = Session::open()?;
        make_lan(&LabHost::new(&programs.zubi.to_string_lossy()));
        let spawned = Spawned::on(&programs.zubi, "network create blue --subnet 10.55.66.0/24")?;
        Ok(Host { spawned, probe: Sandbox::make(&mut kernel, 1)? })
    }

    fn time(&mut self, task: Task) -> Result<Option<Duration>, Error> {
        let connect = |network: &str| format!("connect {network} {}", self.probe.name);
        Ok(match task {
            Task::Raw => {
                let batch = "printf 'link add br0 type bridge\nlink set br0 up\nlink set eth0 master br0\n\
                             link set eth0 nomaster\nlink del br0\n' | ip -batch -";
                let shell = find("sh").unwrap_or_else(|| "/bin/sh".into());
                let words = ["-c", batch].map(Into::into).to_vec();
                Launcher::Timed.run(&Call { words, ..Call::new(&shell, "") }).ok()
            }
            Task::TakeOver => self.run(CREATE),
            Task::GiveBack => self.run(REMOVE),
            Task::Bridge => self.attached(&connect("blue"), "blue")?,
            Task::Unprobed | Task::Probed => {
                self.run(CREATE);
                let skip = if task == Task::Unprobed { " --no-probe" } else { "" };
                let took = self.attached(&format!("{}{skip}", connect("lan")), "lan")?;
                self.run(REMOVE);
                took
            }
            Task::Macvlan => {
                self.run(MACVLAN);
                let took = self.attached(&format!("{} --no-probe", connect("lan")), "lan")?;
                self.run(REMOVE);
                took
            }
        })
    }

    fn attached(&self, words: &str, network: &str) -> Result<Option<Duration>, Error> {
        let took = self.run(words);
        self.run(&format!("disconnect {network} {}", self.probe.name));
        reap_all()?;
        Ok(took)
    }

    fn run(&self, words: &str) -> Option<Duration> {
        Launcher::Timed.run(&self.spawned.call(words)).ok()
    }
}

/// The datagrams of a stream that were sent, and those that were not answered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Stream {
    sent: u32,
    lost: u32,
}

/// Echoes datagrams in the namespace of the computer, until the process ends.
fn echo() -> Result<(), Error> {
    let machine = Machine::open()?;
    let netns = Netns::open(Path::new("/run/netns/pc"), machine.home())?;
    let bound = netns.within(machine.home(), || ECHO.map(UdpSocket::bind))?;
    for socket in bound {
        let socket = socket.map_err(Error::system("bind an echo"))?;
        thread::spawn(move || {
            let mut datagram = [0; 64];
            while let Ok((size, from)) = socket.recv_from(&mut datagram) {
                // What cannot be sent counts as lost.
                let _sent = socket.send_to(&datagram[..size], from);
            }
        });
    }
    Ok(())
}

/// Sends numbered datagrams until `stop`, and counts the answers.
fn stream(to: SocketAddr, stop: &AtomicBool) -> Result<Stream, Error> {
    let failed = || Error::system("stream of datagrams");
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).map_err(failed())?;
    socket.connect(to).map_err(failed())?;
    socket.set_nonblocking(true).map_err(failed())?;
    let (begin, mut sent, mut answered) = (Instant::now(), 0u32, HashSet::new());
    let read = |answered: &mut HashSet<[u8; 4]>| {
        let mut datagram = [0; 4];
        // A refusal that comes back by ICMP is not an answer.
        while socket.recv(&mut datagram).is_ok() {
            answered.insert(datagram);
        }
    };
    while !stop.load(Ordering::Relaxed) {
        // What cannot be sent counts as lost.
        let _sent = socket.send(&sent.to_ne_bytes());
        sent += 1;
        read(&mut answered);
        sleep((Duration::from_secs(1) * sent / RATE).saturating_sub(begin.elapsed()));
    }
    sleep(QUIET);
    read(&mut answered);
    let answered = u32::try_from(answered.len()).unwrap_or(u32::MAX);
    Ok(Stream { sent, lost: sent.saturating_sub(answered) })
}

/// The streams of both families, while a card goes to the bridge and back.
fn streams(host: &Host) -> Result<[Stream; 2], Error> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let running = ECHO.map(|to| {
            let stop = &stop;
            scope.spawn(move || stream(to.parse().map_err(|_| Error::Usage(to.to_owned()))?, stop))
        });
        for words in [CREATE, REMOVE] {
            sleep(QUIET);
            host.run(words);
        }
        sleep(QUIET);
        stop.store(true, Ordering::Relaxed);
        let [v4, v6] = running.map(|one| one.join().unwrap_or(Err(Error::Usage("a stream panicked".into()))));
        Ok([v4?, v6?])
    })
}

/// Measures it.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let rounds = if effort == Effort::Quick { 5 } else { 21 };
    let mut worker: Worker<Task, Option<Duration>> = Worker::start(|| {
        let mut host = Host::new(programs)?;
        Ok(move |task| host.time(task))
    })?;
    let samples = worker.samples(Task::ALL, rounds)?;
    let mut table = Table::new("Containers on the LAN", &["", "ms (p90)", "/ an ordinary connect"]);
    let ordinary = samples[3].1.clone();
    for (task, sample) in &samples {
        let timed = format!("{} ({})", number(sample.median()), number(sample.p90()));
        table.row(vec![task.name().into(), timed, times(sample.median(), ordinary.median())]);
    }
    let mut lossy: Worker<(), [Stream; 2]> = Worker::start(|| {
        let host = Host::new(programs)?;
        echo()?;
        Ok(move |()| streams(&host))
    })?;
    let mut all = Vec::new();
    for _ in 0..rounds {
        all.push(lossy.ask(&())?);
    }
    let mut findings = Findings::default();
    for (at, family) in ["IPv4", "IPv6"].into_iter().enumerate() {
        let sent: u32 = all.iter().map(|round| round[at].sent).sum();
        let mut lost = Sample::new();
        for round in &all {
            lost.push(f64::from(round[at].lost));
        }
        table.note(format!(
            "{family}: of {sent} datagrams there and back at {RATE} a second, over {rounds} times taking over and giving \
             back, {} were lost in the median and {} in the worst round.",
            number(lost.median()),
            number(lost.largest()),
        ));
        findings.goal(
            format!("{family}: at most 4 datagrams lost over taking over and giving back"),
            number(lost.median()),
            Verdict::at_most(lost.median(), Some(4.0)),
        );
    }
    findings.tables.push(table);
    Ok(findings)
}
