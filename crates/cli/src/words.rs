//! The tree of commands.

use crate::address::Address;
use crate::common::Common;
use crate::filter::NetworkFilter;
use crate::install::PlaceWords;
use crate::span::Span;
use crate::template::Template;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use zubi_model::{
    Alias, Exclusion, IfName, Invalid, Ipam, Label, LinkAddresses, LinkEndRef, MacWish, Mtu, NetworkName, PortWish,
    SandboxName, SandboxRef, StaticRoute, Subnet, VlanId,
};

/// Below the help of commands that have the word inside another.
const SANDBOX: &str =
    "A SANDBOX is NAME, pid:N, /path/to/ns, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or machine:NAME.";

/// Wires containers, pods and processes into networks; every step can be shown as the command you would have typed.
#[derive(Debug, Parser)]
#[command(
    name = "zubi",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = format!("{SANDBOX}\n`zubi man FOLDER` writes the man pages.")
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) words: Words,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Words {
    /// Make, list, inspect and remove networks
    #[command(subcommand, alias = "net")]
    Network(NetworkWords),
    /// Make, list and remove named network namespaces, and run commands in them
    #[command(subcommand)]
    Sandbox(SandboxWords),
    /// Run a command in a fresh sandbox that is cleaned up when it ends
    Run(RunWords),
    /// Connect a sandbox to a network
    Connect(Box<ConnectWords>),
    /// Disconnect a sandbox from a network
    Disconnect(DisconnectWords),
    /// Publish ports of a connected sandbox, take them back, list them
    Port(PortsOf),
    /// List the addresses that DHCP servers gave, and renew them
    #[command(subcommand)]
    Lease(LeaseWords),
    /// Wire two sandboxes, or one and the host, directly: a cable between two devices, no network
    Link(Box<LinkWords>),
    /// List endpoints: sandbox, network, state, device, addresses, published ports
    #[command(visible_alias = "list")]
    Ls(LsWords),
    /// Show the bridges of this host, whoever made them, and the container or process behind each port
    Bridge(BridgeWords),
    /// Tell where the other end of a veth is: namespace, container or process, device and addresses
    Peer {
        /// A device of this host
        device: String,
    },
    /// Tell where a name leads, on all networks
    Name {
        /// The name, as endpoints ask for it
        name: String,
    },
    /// Compare the records with the kernel; exit code 1 when something differs
    Check,
    /// Put right what check finds
    Repair {
        /// Make the records of devices that live again, from what the kernel has, where they are lost
        #[arg(long)]
        rebuild: bool,
    },
    /// Remove what nobody owns: leftovers of killed commands and dead sandboxes
    Gc {
        /// Also devices that live and that no record names
        #[arg(long)]
        force: bool,
    },
    /// Write down everything the kernel has of this host and its sandboxes, as JSON, for a bug report or a comparison
    Snapshot {
        /// The file; standard output when left out
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Run a command (default: a shell) on a fresh host of its own, without root, to try everything
    Lab {
        /// Also a neighbour outside, 203.0.113.1, that answers pings and tells by TCP who asks
        #[arg(long)]
        outside: bool,
        /// The command and its words
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Link zubi in place of CNI plug-ins or Podman's netavark, and keep what was there
    Install(PlaceWords),
    /// Put back what install replaced
    Uninstall(PlaceWords),
    /// Run the daemon: it brings sandboxes back, renews leases, answers names
    Daemon {
        /// Words of the daemon; `zubi daemon --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
        words: Vec<OsString>,
    },
    /// Show what the daemon does, and what it cannot do
    Status,
    /// Print what the daemon does, as it happens
    Events,
    /// Show the version, the folders, the settings and the kernel
    Info,
    /// Print completions for a shell: commands, options, and the names of networks, sandboxes, links and ports
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the man pages
    #[command(hide = true)]
    Man {
        /// Where to
        folder: PathBuf,
    },
    /// What the scripts of `zubi completions` call: one candidate a line for the last word
    #[command(hide = true, name = "__complete")]
    Candidates {
        /// The words after `zubi`; the last one is to be completed
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        line: Vec<OsString>,
    },
    /// Docker's word for `ls`
    #[command(hide = true)]
    Ps(LsWords),
    /// Docker's word for `sandbox exec`
    #[command(hide = true)]
    Exec(ExecWords),
    /// Docker's word for `sandbox rm`
    #[command(hide = true)]
    Rm(SandboxRmWords),
    /// Docker's word for `--version`
    #[command(hide = true)]
    Version,
}

/// A shell that `zubi completions` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectWords {
    /// The network
    pub(crate) network: NetworkName,
    /// The sandbox: NAME, pid:N, /path/to/ns, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or machine:NAME
    pub(crate) sandbox: SandboxRef,
    /// Take over a veth pair made by hand: its end on the host; the other one is in the sandbox. Disconnecting deletes it
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<IfName>,
    /// Connect it again when it comes back under its name; keep its addresses until then [default for containers]
    #[arg(long, overrides_with = "no_follow")]
    pub(crate) follow: bool,
    /// Connect it once: when it ends, its addresses are free
    #[arg(long, overrides_with = "follow")]
    pub(crate) no_follow: bool,
    #[command(flatten)]
    pub(crate) wishes: WishWords,
}

#[derive(Debug, Args)]
#[command(after_help = "The pair is deleted, also one made by hand that `connect --device` took over.")]
pub(crate) struct DisconnectWords {
    /// The network
    pub(crate) network: NetworkName,
    /// The sandbox: NAME, pid:N, /path/to/ns, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or machine:NAME
    pub(crate) sandbox: SandboxRef,
    /// Docker's option: here a sandbox that is gone is disconnected as any other
    #[arg(short, long, hide = true)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BridgeWords {
    #[command(subcommand)]
    pub(crate) command: Option<BridgeCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BridgeCommand {
    /// Show bridges: identifier, spanning tree, ports, and who is behind each port (as without a word)
    #[command(visible_aliases = ["ls", "list"])]
    Show {
        /// This bridge only
        bridge: Option<String>,
    },
    /// List forwarding entries: which MAC is behind which port, and whose it is
    Fdb {
        /// Of this bridge only
        bridge: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LsWords {
    /// Also the MAC, the device on the host, and who gives the default route
    #[arg(short, long)]
    pub(crate) wide: bool,
    /// Also what is on bridges of other programs
    #[arg(short, long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExecWords {
    #[command(flatten)]
    pub(crate) program: ProgramWords,
    /// The sandbox: NAME, pid:N, /path/to/ns, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or machine:NAME
    pub(crate) sandbox: SandboxRef,
    /// The command and its words
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Docker's options for a program. The terminal is the caller's own in any case.
#[derive(Debug, Args)]
pub(crate) struct ProgramWords {
    /// A variable for the command, KEY=VALUE; KEY alone is passed on anyway
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// The folder in which the command starts
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// Docker's option: standard input is the caller's
    #[arg(short, long, hide = true)]
    pub(crate) interactive: bool,
    /// Docker's option: the terminal is the caller's
    #[arg(short, long, hide = true)]
    pub(crate) tty: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SandboxRmWords {
    /// Their names
    #[arg(required = true)]
    pub(crate) names: Vec<SandboxName>,
    /// Also end the processes in it
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NetworkWords {
    /// Make a network
    Create(Box<CreateWords>),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(NetworkLsWords),
    /// Change a network and everything that is connected to it, while it is in use
    Set(Box<SetWords>),
    /// Show networks in full, with Docker's field names
    #[command(visible_alias = "show")]
    Inspect {
        /// Their names
        #[arg(required = true)]
        names: Vec<NetworkName>,
        /// Print only this, a template as Docker takes it: '{{.Name}}', '{{json .IPAM}}'
        #[arg(short, long, value_name = "TEMPLATE", value_parser = Template::of_one)]
        format: Option<Template>,
    },
    /// Remove networks without endpoints: all that are named, or none
    #[command(visible_alias = "remove")]
    Rm {
        /// Their names
        #[arg(required = true)]
        names: Vec<NetworkName>,
        /// Disconnect their endpoints first
        #[arg(short, long)]
        force: bool,
    },
    /// Remove every network without endpoints
    Prune {
        /// Docker's option: nobody is asked here
        #[arg(short, long, hide = true)]
        force: bool,
    },
    /// Keep a network that has a network card of this host
    Confirm {
        /// Its name
        name: NetworkName,
    },
    /// Give a network card that was taken over everything back, before the network is confirmed
    Rollback {
        /// The network's name
        name: NetworkName,
    },
    /// Docker's place for `zubi connect`
    #[command(hide = true)]
    Connect(Box<ConnectWords>),
    /// Docker's place for `zubi disconnect`
    #[command(hide = true)]
    Disconnect(DisconnectWords),
}

#[derive(Debug, Args)]
pub(crate) struct NetworkLsWords {
    /// Print ids only
    #[arg(short, long, conflicts_with = "format")]
    pub(crate) quiet: bool,
    /// Only those: name=PART, driver=bridge, label=KEY, label=KEY=VALUE, id=PART
    #[arg(short, long, value_name = "FILTER")]
    pub(crate) filter: Vec<NetworkFilter>,
    /// `json`, or a template as Docker takes it: '{{.Name}}', 'table {{.Name}}'
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) format: Option<Template>,
    /// Docker's option: whole ids
    #[arg(long, hide = true)]
    pub(crate) no_trunc: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct CreateWords {
    /// The name: letters, digits, `_`, `.`, `-`
    pub(crate) name: NetworkName,
    /// A subnet; a second one for IPv6. Chosen from the pools when left out
    #[arg(long, value_name = "CIDR")]
    pub(crate) subnet: Vec<Subnet>,
    /// The bridge's address in the subnet; the first one when left out. With a length (10.1.0.1/24) it sets the subnet
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Vec<Address>,
    /// Give automatic addresses from this part of the subnet only
    #[arg(long, value_name = "CIDR")]
    pub(crate) ip_range: Vec<IpNet>,
    /// Never give these: an address, a CIDR or FIRST-LAST
    #[arg(long, value_name = "ADDRESSES")]
    pub(crate) exclude: Vec<Exclusion>,
    /// Docker's word for --exclude, with a name that only its own lists show
    #[arg(long, value_name = "NAME=ADDRESS", hide = true)]
    pub(crate) aux_address: Vec<String>,
    /// Also choose an IPv6 subnet when none is given; `--ipv6=slaac`: on a LAN, endpoints make themselves IPv6 addresses of
    /// what routers advertise
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "chosen")]
    pub(crate) ipv6: Option<Ipv6Wish>,
    /// No way out or in: endpoints reach each other and the host only
    #[arg(long)]
    pub(crate) internal: bool,
    /// Keep the endpoints' own source addresses on the way out
    #[arg(long)]
    pub(crate) no_masquerade: bool,
    /// Endpoints do not reach each other
    #[arg(long)]
    pub(crate) no_icc: bool,
    /// Largest packet in bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) mtu: Option<Mtu>,
    /// Name of the bridge device; zb-NAME when left out
    #[arg(long, value_name = "NAME")]
    pub(crate) bridge: Option<IfName>,
    /// Use that bridge, which another program made, with its addresses as they are, and leave it when the network goes
    #[arg(long, requires = "bridge", conflicts_with = "internal")]
    pub(crate) adopt: bool,
    /// Endpoints do not find each other by name, and nobody answers at the network's address
    #[arg(long, conflicts_with = "dns")]
    pub(crate) disable_dns: bool,
    /// Ask this server about names elsewhere, instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<IpAddr>,
    /// Free text, KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<Label>,
    /// `bridge`; `uplink`: a bridge on the LAN, with a network card of this host; `macvlan`: on the LAN, each endpoint
    /// with a MAC of its own on the card; `ipvlan`: all with the card's; `ovs`: ports of the Open vSwitch bridge
    /// --bridge, which exists already
    #[arg(short, long, value_name = "DRIVER")]
    pub(crate) driver: Option<String>,
    /// The network card. With --driver uplink the bridge takes over its addresses and routes; without one, a network of
    /// macvlans or ipvlans is internal; `eth0.10` is VLAN 10 of eth0
    #[arg(long, value_name = "DEVICE")]
    pub(crate) parent: Option<IfName>,
    /// Of --driver ovs and uplink: the VLAN of the endpoints, 1 to 4094. The host itself stays outside of it
    #[arg(long, value_name = "N", conflicts_with = "trunk")]
    pub(crate) vlan: Option<VlanId>,
    /// Of --driver ovs: the VLANs that endpoints send and get with tags; all of the bridge without --vlan and --trunk
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(crate) trunk: Vec<VlanId>,
    /// Who gives IPv4 addresses: zubi from the subnet (`pools`), or a DHCP server on the network (`dhcp`)
    #[arg(long, alias = "ipam-driver", value_name = "WHO")]
    pub(crate) ipam: Option<Ipam>,
    /// Of --driver macvlan: `bridge`, `private` (endpoints do not reach each other), `vepa` (by way of the switch only),
    /// `passthru` (one endpoint has the card). Of --driver ipvlan: `l2`, or `l3` and `l3s`, where the LAN has a route to
    /// the subnet by this host
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<String>,
    /// Host and endpoints of --driver macvlan reach each other: so it is in the mode bridge anyway
    #[arg(long, conflicts_with = "no_host_shim")]
    pub(crate) host_shim: bool,
    /// Host and endpoints of --driver macvlan do not reach each other
    #[arg(long)]
    pub(crate) no_host_shim: bool,
    /// Give the card everything back unless `zubi network confirm` or a key says in this time that all is well. Over SSH
    /// 60s when left out
    #[arg(long, value_name = "TIME")]
    pub(crate) confirm_within: Option<Span>,
    /// Take over a network card that another program manages
    #[arg(long)]
    pub(crate) force: bool,
    /// Renew the host's own DHCP lease in the place of dhclient or udhcpc, which ends once the network is kept
    #[arg(long)]
    pub(crate) take_lease: bool,
    /// Docker's name of an option: com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade,
    /// com.docker.network.driver.mtu
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) opt: Vec<String>,
    /// Docker's option: every network is attachable
    #[arg(long, hide = true)]
    pub(crate) attachable: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct SetWords {
    /// Its name
    pub(crate) name: NetworkName,
    /// Largest packet in bytes: of the bridge and of both ends of every endpoint
    #[arg(long, value_name = "BYTES")]
    pub(crate) mtu: Option<Mtu>,
    /// Endpoints reach each other
    #[arg(long, conflicts_with = "no_icc")]
    pub(crate) icc: bool,
    /// Endpoints do not reach each other
    #[arg(long)]
    pub(crate) no_icc: bool,
    /// What leaves the network takes the host's address
    #[arg(long, conflicts_with = "no_masquerade")]
    pub(crate) masquerade: bool,
    /// Keep the endpoints' own source addresses on the way out
    #[arg(long)]
    pub(crate) no_masquerade: bool,
    /// No way out or in; only while nothing is connected
    #[arg(long, conflicts_with = "no_internal")]
    pub(crate) internal: bool,
    /// A way out; only while nothing is connected
    #[arg(long)]
    pub(crate) no_internal: bool,
    /// Give automatic addresses from this part of the subnet only, from now on; `none` for all of it
    #[arg(long, value_name = "CIDR")]
    pub(crate) ip_range: Vec<OrNone<IpNet>>,
    /// Never give these from now on, instead of those excluded before; `none` for nothing
    #[arg(long, value_name = "ADDRESSES")]
    pub(crate) exclude: Vec<OrNone<Exclusion>>,
    /// Endpoints find each other by name
    #[arg(long, conflicts_with = "disable_dns")]
    pub(crate) enable_dns: bool,
    /// Endpoints do not find each other by name
    #[arg(long)]
    pub(crate) disable_dns: bool,
    /// Ask these servers about names elsewhere, instead of those before; `none` for the host's
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<OrNone<IpAddr>>,
    /// Free text, KEY=VALUE, added or replaced
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<Label>,
    /// Stays as it is: endpoints have addresses of it
    #[arg(long, value_name = "CIDR", hide = true)]
    pub(crate) subnet: Vec<Subnet>,
    /// Stays as it is: endpoints have their routes through it
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub(crate) gateway: Vec<IpAddr>,
    /// Stays as it is: endpoints are its ports
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) bridge: Option<IfName>,
}

/// A value, or the word `none`.
#[derive(Debug, Clone)]
pub(crate) enum OrNone<T> {
    None,
    Given(T),
}

impl<T: FromStr> FromStr for OrNone<T> {
    type Err = T::Err;
    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == "none" { Ok(OrNone::None) } else { text.parse().map(OrNone::Given) }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxWords {
    /// Make named network namespaces, or give a container's namespace a name
    #[command(visible_alias = "create")]
    Add {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<SandboxName>,
        /// The namespace to name: pid:N, /path/to/ns, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or machine:NAME
        #[arg(long, value_name = "SANDBOX")]
        from: Option<SandboxRef>,
    },
    /// List named network namespaces
    #[command(visible_alias = "list")]
    Ls,
    /// Disconnect named network namespaces from everything and remove their names
    #[command(visible_aliases = ["remove", "delete"])]
    Rm(SandboxRmWords),
    /// Run a command in a sandbox
    Exec(ExecWords),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct PortsOf {
    #[command(subcommand)]
    pub(crate) command: Option<PortWords>,
    /// List the ports of this sandbox, as `port ls` does
    pub(crate) sandbox: Option<SandboxRef>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PortWords {
    /// List published ports
    #[command(visible_alias = "list")]
    Ls {
        /// Of this sandbox only: NAME, pid:N, /path/to/ns, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or
        /// machine:NAME
        sandbox: Option<SandboxRef>,
    },
    /// Publish further ports; connections go on
    Add {
        /// The network
        network: NetworkName,
        /// The sandbox: NAME, pid:N, /path/to/ns, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or machine:NAME
        sandbox: SandboxRef,
        /// [ADDRESS:][HOST-PORT:]PORT[/PROTOCOL]; ranges as 8000-8009:80-89
        #[arg(required = true, value_name = "PORT")]
        ports: Vec<PortWish>,
    },
    /// Take published ports back; connections that came by them end
    #[command(visible_alias = "remove")]
    Rm {
        /// The network
        network: NetworkName,
        /// The sandbox: NAME, pid:N, /path/to/ns, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or machine:NAME
        sandbox: SandboxRef,
        /// As it was published, or the port inside alone
        #[arg(required = true, value_name = "PORT")]
        ports: Vec<PortWish>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeaseWords {
    /// List leases: sandbox, network, address, server, state, time left
    #[command(visible_alias = "list")]
    Ls,
    /// Ask for more time for leases of which half is over, and for new ones where they are lost
    Renew {
        /// The network
        #[arg(requires = "sandbox", required_unless_present = "all")]
        network: Option<NetworkName>,
        /// The sandbox: NAME, pid:N, /path/to/ns, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or machine:NAME
        sandbox: Option<SandboxRef>,
        /// Of every endpoint
        #[arg(long, conflicts_with_all = ["network", "sandbox"])]
        all: bool,
        /// Also those that are not due yet
        #[arg(long)]
        force: bool,
        /// How long to wait for a server where a lease is lost; 10s when left out
        #[arg(long, value_name = "TIME")]
        dhcp_timeout: Option<Span>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WishWords {
    /// A fixed address, one for each family
    #[arg(long, alias = "ip6", value_name = "ADDRESS")]
    pub(crate) ip: Vec<Address>,
    /// A MAC, or `random`; made from the address when left out
    #[arg(long, value_name = "MAC")]
    pub(crate) mac: Option<MacWish>,
    /// Name of the device inside; eth0, eth1, ... when left out, beside a runtime's own zeth0, ...
    #[arg(long, value_name = "NAME")]
    pub(crate) ifname: Option<IfName>,
    /// A further name on this network
    #[arg(long, alias = "network-alias", value_name = "NAME")]
    pub(crate) alias: Vec<Alias>,
    /// Ask this server about names elsewhere, instead of those of the network
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<IpAddr>,
    /// A further route inside: CIDR, or CIDR,NEXT-HOP
    #[arg(long, value_name = "ROUTE")]
    pub(crate) route: Vec<StaticRoute>,
    /// Never take the default route from this network
    #[arg(long)]
    pub(crate) no_default_route: bool,
    /// How long to wait for a DHCP server, on a network with --ipam dhcp; 10s when left out
    #[arg(long, value_name = "TIME")]
    pub(crate) dhcp_timeout: Option<Span>,
    /// Do not ask the LAN who has the address before it is used
    #[arg(long)]
    pub(crate) no_probe: bool,
    /// Publish a port of it on the host: [ADDRESS:][HOST-PORT:]PORT[/PROTOCOL], ranges as 8000-8009:80-89
    #[arg(short, long, value_name = "PORT")]
    pub(crate) publish: Vec<PortWish>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = SANDBOX)]
pub(crate) struct LinkWords {
    #[command(subcommand)]
    pub(crate) command: Option<LinkCommand>,
    /// One end: SANDBOX:DEVICE or host:DEVICE
    #[arg(required = true, value_name = "END")]
    pub(crate) first: Option<LinkEndRef>,
    /// The other end
    #[arg(required = true, value_name = "OTHER-END")]
    pub(crate) second: Option<LinkEndRef>,
    /// Addresses of both ends: 10.0.0.1/24,10.0.0.2/24; either may be left out. Repeat it for a second family
    #[arg(long, value_name = "ADDRESS,ADDRESS")]
    pub(crate) address: Vec<LinkAddresses>,
    /// Largest packet in bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) mtu: Option<Mtu>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// List links
    #[command(visible_alias = "list")]
    Ls,
    /// Remove links
    #[command(visible_alias = "remove", after_help = SANDBOX)]
    Rm {
        /// Either end of each: SANDBOX:DEVICE or host:DEVICE
        #[arg(required = true, value_name = "END")]
        ends: Vec<LinkEndRef>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = SANDBOX)]
pub(crate) struct RunWords {
    /// A network (repeatable), `none`, `host` or `container:SANDBOX`; the network `default` when left out
    #[arg(long, alias = "net", value_name = "NETWORK")]
    pub(crate) network: Vec<String>,
    /// The sandbox's name; made up when left out
    #[arg(long)]
    pub(crate) name: Option<SandboxName>,
    /// Run in the background and print the sandbox's name
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Docker's option: a sandbox of `run` always goes with its command
    #[arg(long, hide = true)]
    pub(crate) rm: bool,
    #[command(flatten)]
    pub(crate) program: ProgramWords,
    #[command(flatten)]
    pub(crate) wishes: WishWords,
    /// The command and its words: a program of this host
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// How endpoints get IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ipv6Wish {
    /// From a subnet that zubi chooses.
    Chosen,
    /// Of what routers advertise.
    Slaac,
}

impl FromStr for Ipv6Wish {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "chosen" => Ok(Ipv6Wish::Chosen),
            "slaac" => Ok(Ipv6Wish::Slaac),
            _ => Err(Invalid::new("--ipv6", text, "is unknown; there are: chosen, slaac")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_of_words_is_sound() {
        Cli::command().debug_assert();
    }
}
