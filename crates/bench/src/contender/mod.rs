//! The programs that attach sandboxes to networks and detach them.

mod cni;
mod floor;
mod netavark;
mod zubi;

use crate::error::Error;
use crate::launch::Launcher;
use crate::place::Sandbox;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::Cni;
use netavark::Netavark;

pub(crate) use floor::Floor;
pub(crate) use zubi::{DIRS, Spawned};

/// One contender, on its own host.
pub(crate) trait Contender {
    /// Attaches a sandbox; returns the time until the contender reports success.
    fn attach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error>;

    /// Detaches a sandbox; returns the time in the same way.
    fn detach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error>;

    /// Another contender on the same host that can work at the same time; `None` when it is not a program.
    fn companion(&self) -> Option<Box<dyn Contender + Send>> {
        None
    }

    /// Whether the leftovers of a detach disappear without [`Contender::settle`].
    fn settles_itself(&self) -> bool {
        true
    }

    /// Does the deferred work, untimed.
    fn settle(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// The paths of the programs.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) zubi: PathBuf,
    pub(crate) empty: PathBuf,
    pub(crate) peak: PathBuf,
    /// The folder of the CNI plugins.
    pub(crate) cni: Option<PathBuf>,
    /// Paths and versions.
    pub(crate) netavarks: Vec<(PathBuf, String)>,
    pub(crate) iptables: Option<PathBuf>,
    /// `iptables-restore`.
    pub(crate) restore: Option<PathBuf>,
    /// Whether containers can be run.
    pub(crate) podman: bool,
}

impl Programs {
    /// Packaged netavarks, of Debian and of others.
    pub(crate) const PACKAGED: [&str; 2] = ["/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"];

    /// Whether this netavark comes with the distribution.
    pub(crate) fn is_packaged(netavark: &Path) -> bool {
        Self::PACKAGED.iter().any(|path| netavark == Path::new(path))
    }
}

/// Whether each attachment publishes a container port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publish {
    Nothing,
    OnePort,
}

/// What the raw kernel's detach does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Deletes the pair and waits.
    Deleted,
    /// Takes the host end off the bridge and down; the deletion comes later.
    Unplugged,
}

/// The door that zubi is called by, always with a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// One CNI plugin.
    Plugin,
    /// Every plugin of a chain.
    Chain,
    Netavark,
}

/// A contender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The raw kernel.
    Floor(Removal),
    /// zubi's engine, in process.
    InProcess,
    /// zubi's command.
    Spawned(Publish),
    /// zubi under the name of another program.
    Door(Door),
    /// The plugins of this folder: bridge, host-local, portmap, firewall, tuning.
    Cni(PathBuf),
    /// The program at this path.
    Netavark(PathBuf, String),
}

impl Kind {
    pub(crate) fn name(&self) -> String {
        match self {
            Kind::Floor(Removal::Unplugged) => "raw kernel; DEL: off the bridge, down".into(),
            Kind::Floor(Removal::Deleted) => "raw kernel; DEL: deleted, waited for".into(),
            Kind::InProcess => "zubi, in process".into(),
            Kind::Spawned(Publish::Nothing) => "zubi, command".into(),
            Kind::Spawned(Publish::OnePort) => "zubi, command, one port".into(),
            Kind::Door(Door::Plugin) => "zubi as CNI".into(),
            Kind::Door(Door::Chain) => "zubi as CNI chain".into(),
            Kind::Door(Door::Netavark) => "zubi as netavark".into(),
            Kind::Cni(_) => "CNI bridge + portmap + firewall + tuning, one port".into(),
            Kind::Netavark(_, version) => format!("netavark {version}, one port"),
        }
    }

    /// Sets the contender up on the calling process's host.
    pub(crate) fn make(&self, programs: &Programs) -> Result<Box<dyn Contender>, Error> {
        Ok(match self {
            Kind::Floor(removal) => Box::new(Floor::new(*removal)?),
            Kind::InProcess => Box::new(zubi::InProcess::new(&programs.zubi)?),
            Kind::Spawned(publish) => Box::new(Spawned::new(&programs.zubi, *publish)?),
            Kind::Door(Door::Plugin) => Box::new(Cni::zubi(&programs.zubi)),
            Kind::Door(Door::Chain) => Box::new(Cni::chain_of_zubi(&programs.zubi)),
            Kind::Door(Door::Netavark) => Box::new(Netavark::zubi(&programs.zubi)?),
            Kind::Cni(folder) => Box::new(Cni::chain(folder)?),
            Kind::Netavark(program, _) => Box::new(Netavark::new(program)?),
        })
    }

    /// Whether it is zubi or the raw kernel: fast, and always available.
    pub(crate) fn is_own(&self) -> bool {
        !matches!(self, Kind::Cni(_) | Kind::Netavark(..))
    }

    /// Whether it replaces another contender.
    pub(crate) fn stands_in_for(&self, other: &Kind) -> bool {
        match self {
            Kind::Door(Door::Plugin | Door::Chain) => matches!(other, Kind::Cni(_)),
            Kind::Door(Door::Netavark) => matches!(other, Kind::Netavark(..)),
            _ => false,
        }
    }
}

/// The host port of a sandbox.
fn host_port(sandbox: &Sandbox) -> u16 {
    20_000 + sandbox.number
}

/// A file of a sandbox for a program's input or output.
fn file_for(sandbox: &Sandbox, what: &str) -> PathBuf {
    format!("/run/bench-{what}-{}", sandbox.number).into()
}

/// Writes a program's request.
fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), Error> {
    std::fs::write(path, value.to_string()).map_err(Error::system(path.display().to_string()))
}
