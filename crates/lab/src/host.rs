//! The host of a test: its zubi and its outside.

use crate::patience::patience;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use zubi_kernel::{Netns, Session};
use zubi_model::{IfName, LinkGroup, Mac, NsRef, SandboxName};
use zubi_plan::{Op, Place, Plan, Sysctl, What};
use zubi_wire::route::{Address, AdminState, Link, LinkChange, LinkKind, Peer, Route};

/// How long to wait for the kernel and for detached children, also on a machine that is removing hundreds of devices.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its exit code; 128 plus the signal's number when it was killed.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Answer {
    /// Fails the test unless the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// Fails the test unless the command failed with this code and these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        assert!(self.err.contains(words), "stderr: {}\nlacks: {words}", self.err);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in {}", self.out))
    }
}

/// A fresh host with a zubi.
#[derive(Debug, Clone)]
pub struct Host {
    program: PathBuf,
    env: Vec<(String, String)>,
}

impl Host {
    /// A fresh host with this program as zubi.
    pub fn new(program: &str) -> Self {
        let dirs = [("ZUBI_STATE_DIR", "/run/zubi-state"), ("ZUBI_RUN_DIR", "/run/zubi")];
        Host { program: program.into(), env: dirs.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec() }
    }

    /// The same host, with one more variable in the environment of its zubi.
    #[must_use]
    pub fn with_env(&self, key: &str, value: &str) -> Self {
        let mut host = self.clone();
        host.env.push((key.into(), value.into()));
        host
    }

    /// The environment of its zubi, for programs that call zubi by another name.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// `zubi WORDS`, ready to start; words are split at spaces.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words.split_whitespace()).envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Runs `zubi WORDS`.
    #[track_caller]
    pub fn zubi(&self, words: &str) -> Answer {
        answer(self.command(words))
    }

    /// Runs `zubi` with exactly these words, which may contain spaces.
    #[track_caller]
    pub fn zubi_words(&self, words: &[&str]) -> Answer {
        let mut command = self.command("");
        command.args(words);
        answer(command)
    }

    /// Runs a shell command line.
    #[track_caller]
    pub fn shell(&self, line: &str) -> Answer {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).envs(self.env.iter().cloned()).stdin(Stdio::null());
        answer(command)
    }

    /// Creates a network; fails the test on failure.
    #[track_caller]
    pub fn network(&self, words: &str) {
        self.zubi(&format!("network create {words}")).ok();
    }

    /// Adds a sandbox and connects it; returns its first address.
    #[track_caller]
    pub fn container(&self, name: &str, network: &str) -> String {
        self.zubi(&format!("sandbox add {name}")).ok();
        self.connect(&format!("{network} {name}"))
    }

    /// Connects a sandbox; returns its first address.
    #[track_caller]
    pub fn connect(&self, words: &str) -> String {
        let answer = self.zubi(&format!("--json connect {words}")).ok().json();
        let address = answer["addresses"][0].as_str().expect("an address");
        address.split('/').next().expect("an address").to_owned()
    }

    /// Waits until a shell command line succeeds: for what the kernel does a moment later.
    #[track_caller]
    pub fn wait_for(&self, line: &str) {
        let since = Instant::now();
        while since.elapsed() < patience(PATIENCE) {
            if self.shell(line).code == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("still failing after {} s: {line}", patience(PATIENCE).as_secs());
    }

    /// Waits until detached children have finished their deletions.
    #[track_caller]
    pub fn settle(&self) {
        let since = Instant::now();
        let mut left = self.unsettled();
        while !left.is_empty() {
            let waited = since.elapsed();
            assert!(waited < patience(PATIENCE), "still there after {} s: {}", waited.as_secs(), left.join(", "));
            std::thread::sleep(Duration::from_millis(5));
            left = self.unsettled();
        }
    }

    /// Doomed devices, stale addresses, and described networks without endpoints. A hidden file of a killed writer
    /// promises nothing.
    #[expect(clippy::unused_self, reason = "a host is what settles")]
    fn unsettled(&self) -> Vec<String> {
        let shown = |folder: &str| shown_in(&format!("/run/zubi/{folder}"));
        let mut left: Vec<String> = ["doomed", "stale"].map(shown).concat();
        let networks = ["networks", "making"].map(shown).concat();
        let described = |file: &String| ["cni:", "pipework:", "podman:"].iter().any(|source| file.starts_with(source));
        let names = networks.iter().filter(|file| described(file)).map(|file| file.trim_end_matches(".json"));
        left.extend(names.filter(|name| shown(&format!("macs/{name}")).is_empty()).map(str::to_owned));
        left
    }
}

/// The entries of a folder that are not hidden; empty when there is no folder.
fn shown_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// An idle process in an unnamed network namespace of its own.
#[derive(Debug)]
pub struct Loner(Child);

impl Loner {
    /// Starts it, and waits until it is in its namespace.
    pub fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "1000"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let loner = Loner(command.spawn().expect("unshare (util-linux)"));
        let of = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/net")).ok();
        while of(&loner.pid().to_string()).is_none_or(|theirs| Some(theirs) == of("self")) {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        loner
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills it, and leaves a zombie: nobody waits for it.
    pub fn kill(&mut self) {
        self.0.kill().expect("kill");
    }

    /// Kills it. Its namespace goes a moment later, see [`Host::wait_for`].
    pub fn die(mut self) {
        self.kill();
        self.0.wait().expect("wait");
    }
}

impl Default for Loner {
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
pub(crate) fn answer(mut command: Command) -> Answer {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    Answer {
        code: output.status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0)),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A neighbour on the host's uplink that stands for everything outside. The host is its 192.0.2.1 and 2001:db8::1.
#[derive(Debug)]
pub struct Outside;

impl Outside {
    /// Its name as a sandbox.
    pub const NAME: &'static str = "outside";
    /// Its IPv4 address.
    pub const V4: &'static str = "192.0.2.2";
    /// Its IPv6 address.
    pub const V6: &'static str = "2001:db8::2";

    /// Makes the neighbour, by zubi's own netlink code, and the host's default routes through it.
    pub fn new() -> Self {
        let name: SandboxName = Self::NAME.parse().expect("name");
        let inside = NsRef::Named(name.clone());
        let uplink: IfName = "uplink".parse().expect("name");
        let eth0: IfName = "eth0".parse().expect("name");
        let peer = Peer { name: eth0.clone(), mac: Mac::from_random([6; 6]), netns: inside.clone() };
        let link = Link {
            name: uplink.clone(),
            kind: LinkKind::Veth(peer),
            mac: Mac::from_random([5; 6]),
            mtu: None,
            group: LinkGroup(0),
            master: None,
        };
        let net = |text: &str| text.parse().expect("prefix");
        let host = |what| Op::host(what, "");
        let there = |what| Op::sandbox(&inside, what, "");
        let up = |name: &IfName| What::ChangeLink(LinkChange::state(name.clone(), AdminState::Up));
        // Fixed link-local addresses: generated ones would appear seconds later and change the state.
        let quiet = |name: &IfName| What::Set(Sysctl::ipv6_device(name, "addr_gen_mode", 1));
        // Without duplicate address detection addresses can be used at once, not after two seconds.
        let certain = |name: &IfName| What::Set(Sysctl::ipv6_device(name, "accept_dad", 0));
        let plan: Plan = [
            host(What::AddNamespace(name)),
            host(What::AddLink(link)),
            host(What::AddAddress(Address::new(net("192.0.2.1/24"), uplink.clone()))),
            host(What::AddAddress(Address::new(net("2001:db8::1/64"), uplink.clone()))),
            host(What::AddAddress(Address::new(net("fe80::1/64"), uplink.clone()))),
            host(quiet(&uplink)),
            host(certain(&uplink)),
            host(up(&uplink)),
            there(quiet(&eth0)),
            there(certain(&eth0)),
            there(up(&IfName::loopback())),
            there(What::AddAddress(Address::new(net("192.0.2.2/24"), eth0.clone()))),
            there(What::AddAddress(Address::new(net("2001:db8::2/64"), eth0.clone()))),
            there(What::AddAddress(Address::new(net("fe80::2/64"), eth0.clone()))),
            there(up(&eth0)),
            host(What::AddRoute(Route::default_via(Self::V4.parse().expect("address"), uplink.clone()))),
            host(What::AddRoute(Route::default_via(Self::V6.parse().expect("address"), uplink))),
        ]
        .into_iter()
        .collect();
        let mut kernel = Session::open().expect("kernel");
        kernel.apply(&plan).expect("outside");
        for (place, device) in [(Place::Host, "uplink"), (Place::Sandbox(inside.clone()), "eth0")] {
            // The kernel notices a carrier a moment after both ends are up.
            while !kernel.link(&place, device).expect("link").is_some_and(|l| l.carrier) {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        for (place, address) in [(None, "2001:db8::1"), (Some(Self::NAME), "2001:db8::2")] {
            // The same for an IPv6 address.
            let place = place.map_or_else(String::new, |name| format!("-n {name} "));
            let known = format!("ip {place}-6 route show table local {address} | grep -q .");
            while !Command::new("sh").args(["-c", &known]).status().expect("sh").success() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Outside
    }
}

impl Default for Outside {
    fn default() -> Self {
        Self::new()
    }
}

/// Opens a place by name: `host`, or a named sandbox.
pub(crate) fn open(place: &str) -> Netns {
    let home = Netns::own().expect("own namespace");
    if place == "host" {
        return home;
    }
    let reference = NsRef::Named(place.parse().expect("sandbox name"));
    Netns::open(&reference.path(), &home).unwrap_or_else(|e| panic!("{place}: {e}"))
}
