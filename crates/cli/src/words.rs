//! The tree of commands.

use clap::{Args, CommandFactory, Parser, Subcommand};
use ipnet::IpNet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zubi_engine::Error;
use zubi_model::{
    Alias, Exclusion, IfName, Label, MacWish, Mtu, NetworkName, SandboxName, SandboxRef, StaticRoute, Subnet,
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

#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Common {
    /// Print the plan as shell commands, do nothing
    #[arg(long, global = true, conflicts_with = "dry_run", help_heading = "Common options")]
    pub(crate) explain: bool,
    /// Print the plan and what the kernel already has of it, do nothing
    #[arg(long, global = true, help_heading = "Common options")]
    pub(crate) dry_run: bool,
    /// Print each command as it is done
    #[arg(short, long, global = true, help_heading = "Common options")]
    pub(crate) verbose: bool,
    /// Answer in JSON, errors too
    #[arg(long, global = true, help_heading = "Common options")]
    pub(crate) json: bool,
    /// Where networks are kept [env: ZUBI_STATE_DIR] [default: /var/lib/zubi]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common options")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where the records of this boot are kept [env: ZUBI_RUN_DIR] [default: /run/zubi]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common options")]
    pub(crate) run_dir: Option<PathBuf>,
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
    /// List endpoints: sandbox, network, addresses, MAC, devices
    Ls,
    /// List bridges, their ports, and the sandbox behind each port
    Bridge,
    /// Compare the records with the kernel; exit code 1 when something differs
    Check,
    /// Put right what check finds
    Repair,
    /// Remove what nobody owns: leftovers of killed commands and dead sandboxes
    Gc,
    /// Run a command (default: a shell) on a fresh host of its own, without root, to try everything
    Lab {
        /// The command and its words
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
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
pub(crate) fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "zubi", &mut std::io::stdout());
}

/// Writes one man page a command.
pub(crate) fn man_pages(folder: &Path) -> Result<ExitCode, Error> {
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
        .map_err(|source| Error::Program { program: format!("man pages in {}", folder.display()), source })?;
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
