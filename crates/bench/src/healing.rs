//! How long the daemon takes until packets pass again that another program's change has stopped.
//!
//! # How it works
//! A change is made, and from its end on one probe follows the other, each from a port of its own: an answer shows that
//! what the change broke is whole. A second host has a storm meanwhile: a thread makes and deletes veth pairs that are
//! nobody's.

use crate::effort::Effort;
use crate::error::Error;
use crate::programs::Programs;
use crate::report::{Findings, Table, Verdict};
use crate::sample::{Sample, number};
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_lab::{Outside, inside};

/// So long an answer to a probe may take.
const ANSWER: Duration = Duration::from_millis(5);
/// So long a repair may take before the measurement ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// The veth pairs of a storm that are there at once.
const PAIRS: u16 = 2000;
/// Where places answer probes.
const PORT: u16 = 7007;
/// Each host has a /run of its own, and nothing else.
const FOLDERS: [(&str, &str); 2] = [("ZUBI_STATE_DIR", "/run/zubi-state"), ("ZUBI_RUN_DIR", "/run/zubi")];
const BLUE: &str = "10.55.66";

/// A change of another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Harm {
    Flushed,
    Restarted,
    NoBridge,
    OffTheBridge,
    NoAddress,
    NoRoute,
    NoForwarding,
    NoLoopback,
}

impl Harm {
    const ALL: [Harm; 8] = [
        Harm::Flushed,
        Harm::Restarted,
        Harm::NoBridge,
        Harm::OffTheBridge,
        Harm::NoAddress,
        Harm::NoRoute,
        Harm::NoForwarding,
        Harm::NoLoopback,
    ];

    fn name(self) -> &'static str {
        match self {
            Harm::Flushed => "`nft flush ruleset`",
            Harm::Restarted => "`systemctl restart nftables`: Debian's file",
            Harm::NoBridge => "`ip link del zb-blue`",
            Harm::OffTheBridge => "`ip link set PORT nomaster`",
            Harm::NoAddress => "`ip addr del` of the gateway",
            Harm::NoRoute => "`ip route del` of the subnet",
            Harm::NoForwarding => "`sysctl net.ipv4.ip_forward=0`",
            Harm::NoLoopback => "`sysctl net.ipv4.conf.zb-blue.route_localnet=0`",
        }
    }

    fn line(self) -> &'static str {
        match self {
            Harm::Flushed => "nft flush ruleset",
            Harm::Restarted => "nft flush ruleset; nft -f /run/nftables.conf",
            Harm::NoBridge => "ip link del zb-blue",
            Harm::OffTheBridge => {
                "ip link set $(ip -o link show master zb-blue | head -1 | sed 's/.*: \\(zv[^@]*\\)@.*/\\1/') nomaster"
            }
            Harm::NoAddress => "ip addr del 10.55.66.1/24 dev zb-blue",
            Harm::NoRoute => "ip route del 10.55.66.0/24 dev zb-blue",
            Harm::NoForwarding => "echo 0 > /proc/sys/net/ipv4/ip_forward",
            Harm::NoLoopback => "echo 0 > /proc/sys/net/ipv4/conf/zb-blue/route_localnet",
        }
    }

    /// Who sends the probes, and to whom.
    fn probe(self) -> (Option<&'static str>, String) {
        match self {
            Harm::NoBridge | Harm::OffTheBridge => (Some("c1"), format!("{BLUE}.3:{PORT}")),
            Harm::NoLoopback => (None, format!("127.0.0.1:{PORT}")),
            _ => (Some("c1"), format!("{}:{PORT}", Outside::V4)),
        }
    }
}

/// A host with a daemon, two containers and an outside.
struct Host {
    daemon: Child,
}

impl Host {
    fn new(programs: &Programs) -> Result<Self, Error> {
        let zubi = programs.zubi.display();
        let line = format!(
            "for name in c1 c2; do {zubi} sandbox add $name; done && {zubi} network create blue --subnet {BLUE}.0/24 && \
             {zubi} connect blue c1 -p 127.0.0.1:{PORT}:{PORT}/udp && {zubi} connect blue c2"
        );
        Outside::new();
        // What Debian's package nftables has as /etc/nftables.conf.
        let chains = ["input", "forward", "output"]
            .map(|hook| format!("chain {hook} {{ type filter hook {hook} priority filter; }}\n"));
        let file = format!("flush ruleset\ntable inet filter {{\n{}}}\n", chains.concat());
        std::fs::write("/run/nftables.conf", file).map_err(Error::system("/run/nftables.conf"))?;
        shell(&line)?;
        for place in ["c1", "c2", Outside::NAME] {
            let socket = inside(place, || UdpSocket::bind(("0.0.0.0", PORT))).map_err(Error::system("a socket"))?;
            std::thread::spawn(move || echo(&socket));
        }
        let daemon = programs.zubi.with_file_name("zubi-daemon");
        let mut command = Command::new(&daemon);
        command.envs(FOLDERS).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let host = Host { daemon: command.spawn().map_err(Error::system(daemon.display().to_string()))? };
        let began = Instant::now();
        while shell(&format!("{zubi} status")).is_err() {
            if began.elapsed() > PATIENCE {
                return Err(Error::Worker("the daemon does not answer".into()));
            }
            sleep(Duration::from_millis(10));
        }
        Ok(host)
    }

    /// From the end of the change until an answer comes.
    fn time(harm: Harm) -> Result<Option<Duration>, Error> {
        let (from, to) = harm.probe();
        // Something of an earlier change may still be on its way.
        until_answered(from, &to)?;
        sleep(Duration::from_millis(300));
        shell(harm.line())?;
        until_answered(from, &to).map(Some)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

fn shell(line: &str) -> Result<(), Error> {
    let answer = Command::new("sh").args(["-c", line]).envs(FOLDERS).output().map_err(Error::system("sh"))?;
    if answer.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
    Err(Error::Command { command: line.into(), why })
}

fn echo(socket: &UdpSocket) {
    let mut buffer = [0; 16];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // Where there is no way back now, the next probe has a chance.
            socket.send_to(&buffer[..length], from).ok();
        }
    }
}

/// Sends probes until one is answered; returns how long that took.
fn until_answered(from: Option<&str>, to: &str) -> Result<Duration, Error> {
    let send = || {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let socket = UdpSocket::bind(("0.0.0.0", 0)).map_err(Error::system("a socket"))?;
            socket.set_read_timeout(Some(ANSWER)).map_err(Error::system("a socket"))?;
            let is_answered =
                socket.connect(to).and_then(|()| socket.send(b"?")).and_then(|_| socket.recv(&mut [0; 16]));
            if is_answered.is_ok() {
                return Ok(began.elapsed());
            }
        }
        Err(Error::Worker(format!("{to} is not reached again in {} s", PATIENCE.as_secs())))
    };
    match from {
        Some(place) => inside(place, send),
        None => send(),
    }
}

/// Makes and deletes devices of nobody's, without end.
fn storm() {
    let lines = |line: &dyn Fn(u16) -> String| (0..PAIRS).map(line).collect::<String>();
    let make = lines(&|number| format!("link add fa{number} type veth peer name fb{number}\n"));
    let delete = lines(&|number| format!("link del fa{number}\n"));
    let batch = [("/run/storm-make", make), ("/run/storm-delete", delete)];
    loop {
        for (path, text) in &batch {
            let done = std::fs::write(path, text).and_then(|()| Command::new("ip").args(["-batch", path]).status());
            if done.is_err() {
                return;
            }
        }
    }
}

/// Measures it.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let rounds = if effort == Effort::Quick { 10 } else { 60 };
    let mut findings = Findings::default();
    let mut columns: Vec<[(Harm, Sample); 8]> = Vec::new();
    for is_stormy in [false, true] {
        let mut worker: Worker<Harm, Option<Duration>> = Worker::start(|| {
            let host = Host::new(programs)?;
            if is_stormy {
                std::thread::spawn(storm);
            }
            Ok(move |harm| {
                let _lives = &host;
                Host::time(harm)
            })
        })?;
        columns.push(worker.samples(Harm::ALL, rounds)?);
    }
    let head = ["another program's change", "ms", "p99, ms", "in a storm, ms", "p99, ms"];
    let mut table = Table::new("Until packets pass again", &head);
    for (at, harm) in Harm::ALL.iter().enumerate() {
        let cells = columns.iter().flat_map(|column| [column[at].1.median(), column[at].1.p99()]);
        table.row(std::iter::once(harm.name().to_owned()).chain(cells.map(number)).collect());
    }
    for (column, (limit, when)) in columns.iter().zip([(1000.0, ""), (2000.0, " in a storm")]) {
        let worst = column.iter().filter_map(|(_, sample)| sample.p99()).reduce(f64::max);
        findings.goal(
            format!("p99 of each repair by the daemon{when} at most {limit} ms"),
            format!("{} ms", number(worst)),
            Verdict::at_most(worst, Some(limit)),
        );
    }
    table.note(format!(
        "{rounds} of each, in turns, with the daemon running. From the end of the change until the first answer to a probe: \
         from a container to the outside, to its neighbour, or from the host to 127.0.0.1. In a storm {PAIRS} veth pairs \
         of nobody's are made and deleted without a pause."
    ));
    findings.tables.push(table);
    Ok(findings)
}
