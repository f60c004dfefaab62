//! The tree of commands.

use crate::common::Common;
use crate::install::PlaceWords;
use clap::{Args, CommandFactory, Parser, Subcommand};
use ipnet::IpNet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use zubi_engine::Error;
use zubi_model::{
    Alias, Exclusion, IfName, Label, LinkAddresses, LinkEndRef, MacWish, Mtu, NetworkName, PortWish, SandboxName,
    SandboxRef, StaticRoute, Subnet,
};

/// Wires containers, pods and processes into networks; every step can be shown as the command you would have typed.
#[derive(Debug, Parser)]
#[command(name = "zubi", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) words: Words,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Words {
    /// Make, list, inspect and remove networks
    #[command(subcommand)]
    Network(NetworkWords),
    /// Make, list and remove named network namespaces, and run commands in them
    #[command(subcommand)]
    Sandbox(SandboxWords),
    /// Run a command in a fresh sandbox that is cleaned up when it ends
    Run(RunWords),
    /// Connect a sandbox to a network: NAME, pid:N, /path/to/ns, docker:NAME, podman:NAME or containerd:ID
    Connect {
        /// The network
        network: NetworkName,
        /// The sandbox
        sandbox: SandboxRef,
        #[command(flatten)]
        wishes: WishWords,
    },
    /// Disconnect a sandbox from a network
    Disconnect {
        /// The network
        network: NetworkName,
        /// The sandbox
        sandbox: SandboxRef,
    },
    /// Publish ports of a connected sandbox, take them back, list them
    #[command(subcommand)]
    Port(PortWords),
    /// Wire two sandboxes, or one and the host, directly: a cable between two devices, no network
    Link(Box<LinkWords>),
    /// List endpoints: sandbox, network, addresses, MAC, devices, published ports
    Ls,
    /// List bridges, their ports, and the sandbox behind each port
    Bridge,
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
        /// The command and its words
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Link zubi in place of CNI plug-ins or Podman's netavark, and keep what was there
    Install(PlaceWords),
    /// Put back what install replaced
    Uninstall(PlaceWords),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages
    #[command(hide = true)]
    Man {
        /// Where to
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NetworkWords {
    /// Make a network
    Create(Box<CreateWords>),
    /// List networks
    #[command(visible_alias = "list")]
    Ls,
    /// Change a network and everything that is connected to it, while it is in use
    Set(Box<SetWords>),
    /// Show networks in full, with Docker's field names
    Inspect {
        /// Their names
        #[arg(required = true)]
        names: Vec<NetworkName>,
    },
    /// Remove networks without endpoints
    #[command(visible_alias = "remove")]
    Rm {
        /// Their names
        #[arg(required = true)]
        names: Vec<NetworkName>,
    },
    /// Remove every network without endpoints
    Prune,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct CreateWords {
    /// The name: letters, digits, `_`, `.`, `-`
    pub(crate) name: NetworkName,
    /// A subnet; a second one for IPv6. Chosen from the pools when left out
    #[arg(long, value_name = "CIDR")]
    pub(crate) subnet: Vec<Subnet>,
    /// The bridge's address in the subnet; the first one when left out
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Vec<IpAddr>,
    /// Give automatic addresses from this part of the subnet only
    #[arg(long, value_name = "CIDR")]
    pub(crate) ip_range: Vec<IpNet>,
    /// Never give these: an address, a CIDR or FIRST-LAST
    #[arg(long, value_name = "ADDRESSES")]
    pub(crate) exclude: Vec<Exclusion>,
    /// Also choose an IPv6 subnet when none is given
    #[arg(long)]
    pub(crate) ipv6: bool,
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
    /// A word of your own
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<Label>,
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
    /// A word of your own, added or replaced
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<Label>,
    /// Stays as it is: endpoints have addresses of it
    #[arg(long, value_name = "CIDR")]
    pub(crate) subnet: Vec<Subnet>,
    /// Stays as it is: endpoints have their routes through it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Vec<IpAddr>,
    /// Stays as it is: endpoints are its ports
    #[arg(long, value_name = "NAME")]
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
    /// Make a named network namespace, or give a container's namespace a name
    Add {
        /// The name
        name: SandboxName,
        /// The namespace to name: docker:NAME, pid:N, /path, ...
        #[arg(long, value_name = "SANDBOX")]
        from: Option<SandboxRef>,
    },
    /// List named network namespaces
    #[command(visible_alias = "list")]
    Ls,
    /// Disconnect a named network namespace from everything and remove its name
    #[command(visible_alias = "remove")]
    Rm {
        /// Their names
        #[arg(required = true)]
        names: Vec<SandboxName>,
        /// Also end the processes in it
        #[arg(short, long)]
        force: bool,
    },
    /// Run a command in a sandbox
    Exec {
        /// The sandbox
        sandbox: SandboxRef,
        /// The command and its words
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PortWords {
    /// List published ports
    #[command(visible_alias = "list")]
    Ls {
        /// Of this sandbox only
        sandbox: Option<SandboxRef>,
    },
    /// Publish further ports; connections go on
    Add {
        /// The network
        network: NetworkName,
        /// The sandbox
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
        /// The sandbox
        sandbox: SandboxRef,
        /// As it was published, or the port inside alone
        #[arg(required = true, value_name = "PORT")]
        ports: Vec<PortWish>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WishWords {
    /// A fixed address, one for each family
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Vec<IpAddr>,
    /// A MAC, or `random`; made from the address when left out
    #[arg(long, value_name = "MAC")]
    pub(crate) mac: Option<MacWish>,
    /// Name of the device inside; eth0, eth1, ... when left out
    #[arg(long, value_name = "NAME")]
    pub(crate) ifname: Option<IfName>,
    /// A further name on this network
    #[arg(long, value_name = "NAME")]
    pub(crate) alias: Vec<Alias>,
    /// A further route inside: CIDR, or CIDR,NEXT-HOP
    #[arg(long, value_name = "ROUTE")]
    pub(crate) route: Vec<StaticRoute>,
    /// Never take the default route from this network
    #[arg(long)]
    pub(crate) no_default_route: bool,
    /// Publish a port of it on the host: [ADDRESS:][HOST-PORT:]PORT[/PROTOCOL], ranges as 8000-8009:80-89
    #[arg(short, long, value_name = "PORT")]
    pub(crate) publish: Vec<PortWish>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct LinkWords {
    #[command(subcommand)]
    pub(crate) command: Option<LinkCommand>,
    /// One end: SANDBOX:DEVICE, where SANDBOX is what `connect` takes, or host:DEVICE
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
    #[command(visible_alias = "remove")]
    Rm {
        /// Either end of each: SANDBOX:DEVICE or host:DEVICE
        #[arg(required = true, value_name = "END")]
        ends: Vec<LinkEndRef>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunWords {
    /// A network (repeatable), `none`, `host` or `container:SANDBOX`; the network `default` when left out
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Vec<String>,
    /// The sandbox's name; made up when left out
    #[arg(long)]
    pub(crate) name: Option<SandboxName>,
    /// Run in the background and print the sandbox's name
    #[arg(short, long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) wishes: WishWords,
    /// The command and its words
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Prints completions.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "zubi", &mut script);
    crate::output::answer_with(&String::from_utf8_lossy(&script))
}

/// Writes one man page a command.
pub(crate) fn man_pages(folder: &Path) -> Result<ExitCode, Error> {
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
        .map_err(|e| Error::writing("man pages", folder, e))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_words_is_sound() {
        Cli::command().debug_assert();
    }
}
