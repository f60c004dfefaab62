//! The contenders by name.

use super::cni::Cni;
use super::floor::Floor;
use super::netavark::Netavark;
use super::zubi::{InProcess, Spawned};
use super::{Contender, Publish, Removal};
use crate::error::Error;
use crate::programs::Programs;
use std::path::PathBuf;

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
            Kind::InProcess => Box::new(InProcess::new(&programs.zubi)?),
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
