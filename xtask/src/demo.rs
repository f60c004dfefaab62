//! The main use, shown step by step on real things: two sandboxes and Docker's containers on one network, pinged by
//! address and by name, and removed. It happens on a host of its own ([`zubi_lab::with_fresh_host`]): this machine's network is not touched, and
//! the host goes with the demo, however it ends.

use crate::error::Error;
use crate::program::find;
use crate::{dist, setup};
use std::panic;
use std::process::{Command, Stdio};
use zubi_lab::{Docker, Host, HostKind, Outside, Snapshot, ZubiDaemon, with_fresh_host};

const WEB: &str = "docker:web";
/// The many operations that lay out the firewall table, the same for every first network; the demo prints only their
/// number.
const LAYOUT: [&str; 4] = ["+ nft 'create table", "+ nft 'add set", "+ nft 'add chain", "+ nft 'add rule"];

/// Shows every step. Fails when one does.
pub(crate) fn run() -> Result<(), Error> {
    setup::for_demo();
    println!("Building the static release takes up to three minutes the first time; the demo itself takes seconds.");
    let zubi = dist::build()?;
    let program = zubi.to_string_lossy().into_owned();
    let kind = if setup::is_root() { HostKind::Root } else { HostKind::Rootless };
    let code = with_fresh_host(kind, || {
        let shown = panic::catch_unwind(|| show(&program, kind));
        i32::from(!shown.unwrap_or(false))
    });
    if code == 0 { Ok(()) } else { Err(Error::Demo) }
}

/// Returns whether every step succeeded.
fn show(program: &str, kind: HostKind) -> bool {
    let mut demo = Demo { host: Host::new(program).with_env("DOCKER_HOST", ""), failed: false };
    say("A host of its own, made of namespaces. A neighbour on its uplink stands for the outside");
    let _outside = Outside::new();
    demo.host_sh("ip -br addr");
    say("The daemon, which answers names and is Docker's plug-in for networks");
    let daemon = demo.start_daemon(program);
    let docker = match kind {
        HostKind::Root => demo.start_docker(),
        HostKind::Rootless => {
            say("Docker's part needs root, and is left out (sudo cargo xtask demo)");
            None
        }
    };
    let bare = docker.as_ref().map(|docker| demo.devices(docker));
    let before = Snapshot::take();

    say("A network: a bridge with a gateway address, and a firewall table for all networks");
    demo.zubi("network create blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    say("Two sandboxes on it");
    demo.zubi("sandbox add c1");
    demo.zubi("connect blue c1");
    demo.read("sandbox add c2");
    demo.read("connect blue c2");
    if let Some(docker) = &docker {
        say("The running container joins them");
        demo.zubi(&format!("connect blue {WEB}"));
        demo.devices(docker);
    }
    say("The endpoints, and the bridge port of each");
    demo.read("ls");
    demo.read("bridge");
    demo.ping_all(docker.as_ref());
    say("Is everything as recorded?");
    demo.read("check");

    say("Names: each finds the others on its networks");
    demo.host_sh("ip netns exec c1 ping -c 1 c2");
    if let Some(docker) = &docker {
        demo.share_with_docker(docker);
    }

    if let Some(docker) = &docker {
        say("The container leaves, and is as it was before");
        demo.zubi(&format!("disconnect blue {WEB}"));
        demo.host.settle();
        let left = demo.devices(docker);
        demo.must(Some(left) == bare, "the container is not as it was before");
    }
    say("Remove the rest");
    demo.zubi("sandbox rm c1 c2");
    demo.zubi("network rm blue");
    if let Some(docker) = docker {
        demo.docker(&docker, "rm -f web");
        demo.held(docker.stop());
    }
    say("What is left, in devices, addresses, routes, rules, firewall and files?");
    demo.host.settle();
    demo.compare(&before, &Snapshot::take());
    let ended = daemon.end(&demo.host);
    demo.must(ended == Some(0), "the daemon did not end well");
    !demo.failed
}

struct Demo {
    host: Host,
    failed: bool,
}

impl Demo {
    fn must(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            println!("  FAILED: {otherwise}");
            self.failed = true;
        }
    }

    /// The value, or `None` after printing the error.
    fn held<T>(&mut self, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(why) => {
                self.must(false, &why);
                None
            }
        }
    }

    /// Runs a changing command and prints the commands a person would have typed instead.
    fn zubi(&mut self, words: &str) {
        println!("$ zubi {words}");
        let answer = self.host.zubi(&format!("--verbose {words}"));
        print_indented(&answer.out);
        let is_layout = |line: &&str| LAYOUT.iter().any(|start| line.starts_with(start));
        let (layout, rest): (Vec<&str>, Vec<&str>) = answer.err.lines().partition(is_layout);
        if !layout.is_empty() {
            println!("    + nft ...    ({} commands make the table; with --explain they are listed)", layout.len());
        }
        for line in rest {
            println!("    {line}");
        }
        self.must(answer.code == 0, &format!("exit code {}", answer.code));
    }

    /// Runs a command that changes nothing, or whose commands were shown before.
    fn read(&mut self, words: &str) {
        println!("$ zubi {words}");
        let answer = self.host.zubi(words);
        print_indented(&answer.out);
        print_indented(&answer.err);
        self.must(answer.code == 0, &format!("exit code {}", answer.code));
    }

    fn host_sh(&mut self, line: &str) {
        println!("$ {line}");
        let answer = self.host.shell(line);
        print_indented(&answer.out);
        print_indented(&answer.err);
        self.must(answer.code == 0, &format!("exit code {}", answer.code));
    }

    fn docker(&mut self, docker: &Docker, words: &str) -> String {
        println!("$ docker {words}");
        let answer = docker.docker(words);
        print_indented(&answer.out);
        print_indented(&answer.err);
        self.must(answer.code == 0, &format!("exit code {}\n{}", answer.code, Docker::log_tail()));
        answer.out
    }

    /// Starts a container without network.
    fn start_docker(&mut self) -> Option<Docker> {
        if let Some(package) = Docker::missing() {
            say(&format!("Docker's part is left out: the package {package} is not installed"));
            return None;
        }
        say("Docker on that host, and a running container without network");
        let docker = self.held(Docker::start())?;
        println!("$ docker import busybox.tar busybox");
        self.held(docker.import_busybox())?;
        println!("$ docker run -d --network none --name web busybox sleep 1000");
        let started = docker.docker("run -d --network none --name web busybox sleep 1000");
        let why = || format!("docker run: {}{}", started.err, Docker::log_tail());
        self.held(if started.code == 0 { Ok(()) } else { Err(why()) })?;
        Some(docker)
    }

    fn start_daemon(&self, program: &str) -> ZubiDaemon {
        println!("$ zubi daemon &");
        ZubiDaemon::start(&self.host, &format!("{program}-daemon"))
    }

    /// A container that Docker connects by itself, on the network of the others.
    fn share_with_docker(&mut self, docker: &Docker) {
        say("The same network as one of Docker's: what runs on it, Docker connects by itself");
        self.docker(docker, "network create -d zubi --ipam-driver zubi --subnet 10.55.66.0/24 -o network=blue shared");
        self.docker(docker, "run -d --name db --network shared --dns 10.55.66.1 busybox sleep 1000");
        self.read("ls");
        self.docker(docker, "exec db ping -c 1 c1");
        // Docker tells the names of its containers a moment later.
        self.host.wait_for("ip netns exec c1 ping -c 1 db");
        self.host_sh("ip netns exec c1 ping -c 1 db");
        self.docker(docker, "rm -f db");
        self.docker(docker, "network rm shared");
    }

    /// The devices of a container, as the container sees them.
    fn devices(&mut self, docker: &Docker) -> String {
        self.docker(docker, "exec web ip addr")
    }

    /// Pings from every place to every other, in both families.
    fn ping_all(&mut self, docker: Option<&Docker>) {
        say("Pings from each to each, in ms by IPv4 and IPv6");
        let mut all = vec![
            Place::new("c1", "zubi sandbox exec c1 ", "10.55.66.2", "fd00:55::2"),
            Place::new("c2", "zubi sandbox exec c2 ", "10.55.66.3", "fd00:55::3"),
        ];
        if docker.is_some() {
            all.push(Place::new("web", "docker exec web ", "10.55.66.4", "fd00:55::4"));
        }
        all.push(Place::new("host", "", "10.55.66.1", "fd00:55::1"));
        let outside = Place::new(Outside::NAME, "", Outside::V4, Outside::V6);
        for from in &all {
            let mut cells = Vec::new();
            for to in all.iter().chain([&outside]).filter(|to| to.name != from.name) {
                let times = to.addresses.map(|address| self.ping(docker, from, address));
                let [v4, v6] = times.clone().map(|time| time.unwrap_or_else(|| "FAILED".to_owned()));
                cells.push(format!("{} {v4} {v6}", to.name));
                self.failed |= times.contains(&None);
            }
            println!("$ {}ping -c 1 ...\n  {}", from.way, cells.join("   "));
        }
    }

    /// The round-trip time as ping prints it.
    fn ping(&self, docker: Option<&Docker>, from: &Place, address: &str) -> Option<String> {
        let words = format!("ping -c 1 -W 5 {address}");
        let mut command = match (from.name, docker) {
            ("web", Some(docker)) => docker.command(&format!("exec web {words}")),
            ("host", _) => {
                let mut command = Command::new(find("ping")?);
                command.args(words.split(' ').skip(1));
                command
            }
            (sandbox, _) => self.host.command(&format!("sandbox exec {sandbox} {words}")),
        };
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        Some(text.split_once("time=")?.1.split_whitespace().next()?.to_owned())
    }

    fn compare(&mut self, before: &Snapshot, after: &Snapshot) {
        let missing_in =
            |a: &Snapshot, b: &Snapshot| b.lines().iter().filter(|l| !a.lines().contains(l)).cloned().collect();
        let (new, lost): (Vec<String>, Vec<String>) = (missing_in(before, after), missing_in(after, before));
        for line in &new {
            println!("  left over: {line}");
        }
        for line in &lost {
            println!("  lost: {line}");
        }
        let clean = new.is_empty() && lost.is_empty();
        self.must(clean, "the host is not as it was before");
        if clean {
            println!("removed without a trace");
        }
    }
}

/// A place that pings and is pinged.
struct Place {
    name: &'static str,
    /// The words before `ping`.
    way: &'static str,
    addresses: [&'static str; 2],
}

impl Place {
    fn new(name: &'static str, way: &'static str, v4: &'static str, v6: &'static str) -> Self {
        Place { name, way, addresses: [v4, v6] }
    }
}

fn say(headline: &str) {
    println!("\n# {headline}");
}

fn print_indented(text: &str) {
    for line in text.lines() {
        println!("  {line}");
    }
}
