//! The programs that attach sandboxes to networks and detach them.

mod cni;
mod floor;
mod kind;
mod netavark;
mod zubi;

use crate::error::Error;
use crate::launch::Launcher;
use crate::place::Sandbox;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use floor::Floor;
pub(crate) use kind::{Door, Kind};
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
