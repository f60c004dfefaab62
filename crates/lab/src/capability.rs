//! What the kernel and the machine can do, found out by doing it.
//!
//! # How it works
//! Each capability is tried on a fresh host of its own, so that none stands in another's way: links, addresses, settings
//! and nftables objects by the operations zubi itself would use, programs by running them. Nothing is concluded from
//! version numbers, module lists or configuration files: what counts is whether it works for whoever runs the tests. A
//! moment later the host is gone, with all that was tried on it; a try takes some three milliseconds.
//!
//! # Limits
//! Of a link kind only the name is tried: whether the kernel knows it, not whether it takes every option.

use crate::another::try_another_host;
use crate::runner::skip;
use crate::sctp;
use std::fmt;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use zubi_kernel::{Kernel, Netlink, sys};
use zubi_model::{IfName, LinkGroup, Mac, NsRef, SandboxName};
use zubi_plan::{Op, Place, Plan, Sysctl, What, firewall};
use zubi_wire::nft::{Chain, Hook, HookPoint, Rule, Shape, Table, TableFamily};
use zubi_wire::route::{Address, BridgePort, Link, LinkKind, Peer, Switch};
use zubi_wire::{Batch, flag};

/// Something the tests use and a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// User, network and mount namespaces for whoever runs the tests; without them no other is tried.
    UserNamespaces,
    /// Links of kind bridge.
    Bridge,
    /// Pairs whose other end is made in another namespace.
    Veth,
    /// `isolated` on a bridge port (Linux 4.18).
    BridgePortIsolation,
    /// IPv6 addresses.
    Ipv6,
    /// IPv6 forwarding that leaves router advertisements alone (Linux 6.17).
    ForceForwarding,
    /// nftables with base chains of the `inet` family (Linux 3.14).
    NftInet,
    /// Sets whose keys are a device and a prefix (Linux 5.6).
    NftConcatenatedIntervals,
    /// `ct state`.
    ConnectionTracking,
    /// `masquerade` in the `inet` family (Linux 5.2).
    Masquerade,
    /// Bridged frames can be shown to the firewall, namespace by namespace (Linux 5.3).
    BridgeNetfilter,
    /// Sockets for whole frames.
    PacketSocket,
    /// Sockets for SCTP.
    Sctp,
    /// The program `ip`, with JSON.
    Ip,
    /// The program `nft`.
    Nft,
    /// The program `ping`, and the right to use it.
    Ping,
    /// The program `strace`, and the right to trace.
    Strace,
    /// The program `iptables` that writes nftables, and `ip6tables`.
    Iptables,
    /// The program `iptables-legacy`, and a kernel that has its tables.
    IptablesLegacy,
    /// The program `ufw`.
    Ufw,
    /// The program `conntrack`.
    Conntrack,
}

/// A capability that is lacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Which.
    pub what: Capability,
    /// What happened when it was tried, in one line.
    pub why: String,
}

/// Kinds of links that networks to come will be made of.
const WANTED_LINKS: [&str; 7] = ["dummy", "ipvlan", "macvlan", "vlan", "vxlan", "ifb", TUN];
/// The one kind that is made through a device file.
const TUN: &str = "tun";
const TUN_FILE: &str = "/dev/net/tun";
const PORT: &str = "lab-port";
const TABLE: Table = Table::named(TableFamily::Inet, "lab");
const CHAIN: &str = "chain";

impl Capability {
    /// All of them.
    pub const ALL: [Capability; 21] = [
        Capability::UserNamespaces,
        Capability::Bridge,
        Capability::Veth,
        Capability::BridgePortIsolation,
        Capability::Ipv6,
        Capability::ForceForwarding,
        Capability::NftInet,
        Capability::NftConcatenatedIntervals,
        Capability::ConnectionTracking,
        Capability::Masquerade,
        Capability::BridgeNetfilter,
        Capability::PacketSocket,
        Capability::Sctp,
        Capability::Ip,
        Capability::Nft,
        Capability::Ping,
        Capability::Strace,
        Capability::Iptables,
        Capability::IptablesLegacy,
        Capability::Ufw,
        Capability::Conntrack,
    ];

    /// Whether a program is all it takes, with the rights it needs.
    fn is_program(self) -> bool {
        use Capability::{Conntrack, Ip, Iptables, Nft, Ping, Strace, Ufw};
        matches!(self, Ip | Nft | Ping | Strace | Iptables | Ufw | Conntrack)
    }

    /// Tries it on the host this process is in. The error says what happened.
    fn attempt(self) -> Result<(), String> {
        match self {
            // This process is on a fresh host: they are there.
            Capability::UserNamespaces => Ok(()),
            Capability::Bridge => apply([What::AddLink(bridge())]).map(drop),
            Capability::Veth => apply(pair(None)).map(drop),
            Capability::BridgePortIsolation => isolate_port(),
            Capability::Ipv6 => {
                let address = "fd00:1ab::1/128".parse().expect("prefix");
                apply([What::AddAddress(Address::new(address, IfName::loopback()))]).map(drop)
            }
            Capability::ForceForwarding => switch("net/ipv6/conf/all/force_forwarding"),
            Capability::NftInet => apply(table("filter", HookPoint::Forward)).map(drop),
            Capability::NftConcatenatedIntervals => {
                let sets = firewall::sets().into_iter().filter(|set| set.key.len() > 1 && set.shape == Shape::Interval);
                apply(std::iter::once(What::AddTable(firewall::TABLE)).chain(sets.map(What::AddSet))).map(drop)
            }
            Capability::ConnectionTracking => {
                let rule = Rule::new(&TABLE, CHAIN).established().accept();
                apply(table("filter", HookPoint::Forward).into_iter().chain([What::AddRule(rule)])).map(drop)
            }
            Capability::Masquerade => {
                let rule = Rule::new(&TABLE, CHAIN).masquerade();
                apply(table("nat", HookPoint::Postrouting).into_iter().chain([What::AddRule(rule)])).map(drop)
            }
            Capability::BridgeNetfilter => {
                switch("net/bridge/bridge-nf-call-iptables")?;
                switch("net/bridge/bridge-nf-call-ip6tables")
            }
            Capability::PacketSocket => {
                sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).map(drop).map_err(|e| e.to_string())
            }
            Capability::Sctp => sctp::socket(Ipv4Addr::LOCALHOST.into()).map(drop).map_err(|e| e.to_string()),
            Capability::Ip => succeeds(&["ip", "-j", "link"]),
            Capability::Nft => succeeds(&["nft", "-j", "list", "ruleset"]),
            Capability::Ping => succeeds(&["ping", "-n", "-q", "-c", "1", "-W", "1", "127.0.0.1"]),
            Capability::Iptables => {
                // Whatever the plain name stands for, the tests use it for nftables.
                succeeds(&["sh", "-c", "iptables -V | grep -q nf_tables && iptables -L && ip6tables -L"])
            }
            Capability::IptablesLegacy => succeeds(&["sh", "-c", "iptables-legacy -L && ip6tables-legacy -L"]),
            Capability::Ufw => succeeds(&["ufw", "version"]),
            Capability::Conntrack => succeeds(&["conntrack", "-L"]),
            Capability::Strace => succeeds(&["strace", "-o", "/dev/null", "true"]),
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::UserNamespaces => "user namespaces",
            Capability::Bridge => "bridges",
            Capability::Veth => "veth pairs",
            Capability::BridgePortIsolation => "isolation of bridge ports",
            Capability::Ipv6 => "IPv6",
            Capability::ForceForwarding => "force_forwarding",
            Capability::NftInet => "nftables for inet",
            Capability::NftConcatenatedIntervals => "nftables sets of devices and prefixes",
            Capability::ConnectionTracking => "connection tracking",
            Capability::Masquerade => "masquerading",
            Capability::BridgeNetfilter => "bridge netfilter",
            Capability::PacketSocket => "packet sockets",
            Capability::Sctp => "SCTP",
            Capability::Ip => "ip",
            Capability::Nft => "nft",
            Capability::Ping => "ping",
            Capability::Strace => "strace",
            Capability::Iptables => "iptables",
            Capability::IptablesLegacy => "legacy iptables",
            Capability::Ufw => "ufw",
            Capability::Conntrack => "conntrack",
        })
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.why)
    }
}

/// Those of `wanted` that are lacking here. The calling process must have one thread.
pub fn lacking(wanted: &[Capability]) -> Vec<Lack> {
    let mut lacking = Vec::new();
    for what in wanted {
        match try_another_host(|| what.attempt().err().unwrap_or_default()) {
            Ok(why) if why.is_empty() => {}
            Ok(why) => lacking.push(Lack { what: *what, why: one_line(&why) }),
            Err(why) => return vec![Lack { what: Capability::UserNamespaces, why: one_line(&why) }],
        }
    }
    lacking
}

/// Whether all of these are there. When not, the test is skipped, see [`skip`]: it should return then.
pub fn need(wanted: &[Capability], test: &str) -> bool {
    let lacking = lacking(wanted);
    if lacking.is_empty() {
        return true;
    }
    let lacks: Vec<String> = lacking.iter().map(ToString::to_string).collect();
    skip(test, &format!("lacks {}", lacks.join(", ")));
    false
}

/// What a run of all tests says first: a line for each capability that is lacking, and one for the link kinds that
/// will be wanted. The calling process must have one thread.
pub fn report() -> Vec<String> {
    let lacking = lacking(&Capability::ALL);
    let line = |lack: &Lack| format!("{} lacks: {lack}", if lack.what.is_program() { "machine" } else { "kernel" });
    let mut lines: Vec<String> = lacking.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("kernel has all that the tests use".into());
    }
    // Without a fresh host there is a line that says so.
    let absent =
        try_another_host(|| WANTED_LINKS.into_iter().filter(|kind| !knows(kind)).collect::<Vec<_>>().join(" "));
    lines.extend(absent.ok().filter(|kinds| !kinds.is_empty()).map(|kinds| format!("link kinds absent: {kinds}")));
    lines
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Applies these on the host, as zubi would.
fn apply(changes: impl IntoIterator<Item = What>) -> Result<Kernel, String> {
    let mut kernel = Kernel::open().map_err(|e| e.to_string())?;
    let plan: Plan = changes.into_iter().map(|what| Op::host(what, "")).collect();
    kernel.apply(&plan).map_err(|failed| failed.error.to_string())?;
    Ok(kernel)
}

fn link(name: &str, kind: LinkKind, master: Option<IfName>) -> Link {
    let name: IfName = name.parse().expect("device name");
    Link { name, kind, mac: Mac::from_random([7; 6]), mtu: None, group: LinkGroup(0), master }
}

fn bridge() -> Link {
    link("lab-bridge", LinkKind::Bridge, None)
}

/// A pair of a device here and `eth0` in a new sandbox.
fn pair(master: Option<IfName>) -> [What; 2] {
    let sandbox: SandboxName = "lab".parse().expect("sandbox name");
    let netns = NsRef::Named(sandbox.clone());
    let peer = Peer { name: "eth0".parse().expect("device name"), mac: Mac::from_random([8; 6]), netns };
    [What::AddNamespace(sandbox), What::AddLink(link(PORT, LinkKind::Veth(peer), master))]
}

fn isolate_port() -> Result<(), String> {
    let isolated = BridgePort { isolated: Some(Switch::On), ..BridgePort::new(PORT.parse().expect("device name")) };
    let bridge = bridge();
    let pair = pair(Some(bridge.name.clone()));
    let mut kernel = apply([What::AddLink(bridge)].into_iter().chain(pair).chain([What::ChangePort(isolated)]))?;
    let seen = kernel.link(&Place::Host, PORT).map_err(|e| e.to_string())?;
    // A kernel that does not know the attribute skips it without a word.
    match seen.and_then(|link| link.port).map(|port| port.isolated) {
        Some(Switch::On) => Ok(()),
        _ => Err("it was set and is not there".into()),
    }
}

/// Both values: one of them differs from what the setting has, and is really written.
fn switch(key: &str) -> Result<(), String> {
    apply(["0", "1"].map(|value| What::Set(Sysctl::new(key, value)))).map(drop)
}

/// A table with a base chain.
fn table(chain_type: &'static str, point: HookPoint) -> [What; 2] {
    let hook = Hook { chain_type, point, priority: 0 };
    let chain = Chain::base(&TABLE, CHAIN, hook);
    [What::AddTable(TABLE), What::AddChain(chain)]
}

fn succeeds(words: &[&str]) -> Result<(), String> {
    let output = match Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(e) if e.kind() == ErrorKind::NotFound => return Err("not installed".into()),
        Err(e) => return Err(e.to_string()),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if said.is_empty() { output.status.to_string() } else { said })
}

/// Whether the kernel has links of this kind, or loads them when asked. Most kinds want more than a name, so what is
/// told apart is why it refuses.
fn knows(kind: &str) -> bool {
    const RTM_NEWLINK: u16 = 16;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    let mut batch = Batch::new();
    batch.message(RTM_NEWLINK, flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL, |b| {
        // struct ifinfomsg
        b.header(&[0; 16]);
        b.text(IFLA_IFNAME, &format!("lab-{kind}"));
        b.nested(IFLA_LINKINFO, |b| b.text(IFLA_INFO_KIND, kind));
    });
    let Ok(answers) = Netlink::route().and_then(|mut socket| socket.transact(batch)) else { return false };
    let known = match answers.into_iter().next().and_then(|answer| answer.outcome) {
        // rtnl_newlink says "Unknown device type"; tun's own refusal is worded otherwise (drivers/net/tun.c).
        Some(Err(e)) if e.errno == libc::EOPNOTSUPP => e.text.is_some_and(|text| !text.starts_with("Unknown device")),
        answered => answered.is_some(),
    };
    known && (kind != TUN || std::fs::File::options().read(true).write(true).open(TUN_FILE).is_ok())
}
