//! What the kernel and the machine can do, found out by trying.
//!
//! # How it works
//! Each capability is tried on a fresh host, so that none affects another: links, addresses, settings and nftables
//! objects by the operations zubi itself uses, programs by running them. Version numbers, module lists and
//! configuration files prove nothing here: what counts is whether it works for the user who runs the tests. Each try
//! takes about three milliseconds, and its host goes with it.
//!
//! # Limits
//! A link kind is tried by name only: the kernel knows it, but may not accept every option.

use crate::another::try_another_host;
use crate::runner::skip;
use crate::sctp;
use std::fmt;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use zubi_kernel::{Netlink, Session, sys};
use zubi_model::{IfName, LinkGroup, Mac, NsRef, SandboxName, VlanId};
use zubi_plan::{Op, Place, Plan, Sysctl, What, firewall};
use zubi_wire::Batch;
use zubi_wire::nft::{Chain, Hook, HookPoint, Rule, Shape, Table, TableFamily};
use zubi_wire::route::{Address, BridgePort, Link, LinkKind, Peer, PortVlan, Switch, Tagging, VlanMember, probe_kind};

/// A feature that the tests use and a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// User, network and mount namespaces for the user who runs the tests; without them nothing else is tried.
    UserNamespaces,
    /// Links of kind bridge.
    Bridge,
    /// Pairs whose peer is created in another namespace.
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
    /// Bridged frames can pass the firewall, switched per namespace (Linux 5.3).
    BridgeNetfilter,
    /// Packet sockets.
    PacketSocket,
    /// SCTP sockets.
    Sctp,
    /// Links of kind vlan.
    Vlan,
    /// Links of kind ipvlan.
    Ipvlan,
    /// Links of kind bond.
    Bond,
    /// Bridges that tell VLANs apart.
    VlanFiltering,
    /// The program `ip`, with JSON.
    Ip,
    /// The program `nft`.
    Nft,
    /// The program `ping`, and permission to use it.
    Ping,
    /// The program `strace`, and permission to trace.
    Strace,
    /// `iptables` and `ip6tables` in the nftables variant.
    Iptables,
    /// The program `iptables-legacy`, and a kernel with its tables.
    IptablesLegacy,
    /// The program `ufw`.
    Ufw,
    /// The program `conntrack`.
    Conntrack,
}

/// A missing capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The capability.
    pub what: Capability,
    /// What happened when it was tried, in one line.
    pub why: String,
}

/// Link kinds that future networks will need.
const WANTED_LINKS: [&str; 7] = ["dummy", "ipvlan", "macvlan", "vlan", "vxlan", "ifb", TUN];
/// The only kind that is made through a device file.
const TUN: &str = "tun";
const TUN_FILE: &str = "/dev/net/tun";
const PORT: &str = "lab-port";
const TABLE: Table = Table::named(TableFamily::Inet, "lab");
const CHAIN: &str = "chain";

impl Capability {
    /// All of them.
    pub const ALL: [Capability; 25] = [
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
        Capability::Vlan,
        Capability::Ipvlan,
        Capability::Bond,
        Capability::VlanFiltering,
        Capability::Ip,
        Capability::Nft,
        Capability::Ping,
        Capability::Strace,
        Capability::Iptables,
        Capability::IptablesLegacy,
        Capability::Ufw,
        Capability::Conntrack,
    ];

    /// Whether the capability is only a program and the right to run it.
    fn is_program(self) -> bool {
        use Capability::{Conntrack, Ip, Iptables, Nft, Ping, Strace, Ufw};
        matches!(self, Ip | Nft | Ping | Strace | Iptables | Ufw | Conntrack)
    }

    /// Tries it on this process's host. The error says what happened.
    fn attempt(self) -> Result<(), String> {
        match self {
            // This process is already on a fresh host, so they work.
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
            Capability::Vlan if knows("vlan") => Ok(()),
            Capability::Ipvlan if knows("ipvlan") => Ok(()),
            Capability::Bond if knows("bond") => Ok(()),
            Capability::Vlan | Capability::Ipvlan | Capability::Bond => {
                Err("the kernel does not know this kind of link".into())
            }
            Capability::VlanFiltering => {
                let bridge = bridge();
                let vlan = PortVlan {
                    member: VlanMember::Host,
                    ..PortVlan::new(bridge.name.clone(), VlanId::UNTAGGED, Tagging::Untagged)
                };
                apply([What::AddLink(bridge), What::AddVlan(vlan)]).map(drop)
            }
            Capability::Ip => succeeds(&["ip", "-j", "link"]),
            Capability::Nft => succeeds(&["nft", "-j", "list", "ruleset"]),
            Capability::Ping => succeeds(&["ping", "-n", "-q", "-c", "1", "-W", "1", "127.0.0.1"]),
            Capability::Iptables => {
                // `iptables` may be either variant; the tests need the nftables one.
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
            Capability::Vlan => "VLAN devices",
            Capability::Ipvlan => "ipvlans",
            Capability::Bond => "bonds",
            Capability::VlanFiltering => "VLAN filtering of bridges",
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

/// The capabilities among `wanted` that are missing here. The calling process must have one thread.
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

/// Whether all of these are there. If not, the test is recorded as skipped (see [`skip`]) and should return.
pub fn need(wanted: &[Capability], test: &str) -> bool {
    let lacking = lacking(wanted);
    if lacking.is_empty() {
        return true;
    }
    let lacks: Vec<String> = lacking.iter().map(ToString::to_string).collect();
    skip(test, &format!("lacks {}", lacks.join(", ")));
    false
}

/// The first lines of a full test run: one for each missing capability, and one for the link kinds that future networks
/// will need. The calling process must have one thread.
pub fn report() -> Vec<String> {
    let lacking = lacking(&Capability::ALL);
    let line = |lack: &Lack| format!("{} lacks: {lack}", if lack.what.is_program() { "machine" } else { "kernel" });
    let mut lines: Vec<String> = lacking.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("kernel has all that the tests use".into());
    }
    // Without a fresh host this one line replaces the rest.
    let absent =
        try_another_host(|| WANTED_LINKS.into_iter().filter(|kind| !knows(kind)).collect::<Vec<_>>().join(" "));
    lines.extend(absent.ok().filter(|kinds| !kinds.is_empty()).map(|kinds| format!("link kinds absent: {kinds}")));
    lines
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Applies these operations on the host, as zubi would.
fn apply(changes: impl IntoIterator<Item = What>) -> Result<Session, String> {
    let mut kernel = Session::open().map_err(|e| e.to_string())?;
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

/// A pair with one end here and `eth0` in a new sandbox.
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
    // A kernel that does not know the attribute ignores it silently.
    match seen.and_then(|link| link.port).map(|port| port.isolated) {
        Some(Switch::On) => Ok(()),
        _ => Err("the kernel accepted the attribute and does not report it".into()),
    }
}

/// Writes both values: one of them differs from the current one, so a real change is tried.
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

/// Whether the kernel has links of this kind, or loads the module on request. Most kinds need more than a name, so the
/// reason for the refusal decides.
fn knows(kind: &str) -> bool {
    let mut batch = Batch::new();
    probe_kind(&mut batch, kind);
    let Ok(answers) = Netlink::route().and_then(|mut socket| socket.transact(batch)) else { return false };
    let known = match answers.into_iter().next().and_then(|answer| answer.outcome) {
        // rtnl_newlink says "Unknown device type"; tun's own refusal is worded otherwise (drivers/net/tun.c).
        Some(Err(e)) if e.errno == libc::EOPNOTSUPP => e.text.is_some_and(|text| !text.starts_with("Unknown device")),
        answered => answered.is_some(),
    };
    known && (kind != TUN || std::fs::File::options().read(true).write(true).open(TUN_FILE).is_ok())
}
