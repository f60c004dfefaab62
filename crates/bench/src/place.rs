//! Sandboxes on a worker's host and the devices in them.

use crate::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zubi_kernel::{Netns, Session};
use zubi_model::{NsRef, SandboxName};
use zubi_plan::{Op, Place, What};

const PATIENCE: Duration = Duration::from_secs(5);

/// A network namespace with a name and a number. Where the caller chooses addresses and ports, they follow from the
/// number.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    pub(crate) name: SandboxName,
    pub(crate) number: u16,
}

impl Sandbox {
    /// Makes the namespace.
    pub(crate) fn make(kernel: &mut Session, number: u16) -> Result<Self, Error> {
        let name = format!("s{number}").parse().map_err(|e: zubi_model::Invalid| Error::Usage(e.to_string()))?;
        let sandbox = Sandbox { name, number };
        kernel.apply(&[Op::host(What::AddNamespace(sandbox.name.clone()), "")].into_iter().collect())?;
        Ok(sandbox)
    }

    pub(crate) fn reference(&self) -> NsRef {
        NsRef::Named(self.name.clone())
    }

    pub(crate) fn place(&self) -> Place {
        Place::Sandbox(self.reference())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.reference().path()
    }

    pub(crate) fn open(&self, home: &Netns) -> Result<Netns, Error> {
        Ok(Netns::open(&self.path(), home)?)
    }

    /// The number of its devices.
    pub(crate) fn devices(&self, kernel: &mut Session) -> Result<usize, Error> {
        kernel.open_sandbox(&self.reference())?;
        Ok(kernel.links(&self.place(), None)?.len())
    }

    /// Waits until it has `wanted` devices again; returns how long that took.
    pub(crate) fn wait_for_devices(&self, kernel: &mut Session, wanted: usize) -> Result<Duration, Error> {
        let start = Instant::now();
        while self.devices(kernel)? > wanted {
            if start.elapsed() > PATIENCE {
                return Err(Error::Stays(format!("the device in {}", self.name)));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(start.elapsed())
    }
}

/// Writes a setting under /proc/sys.
pub(crate) fn set(key: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys").join(key);
    fs::write(&path, value).map_err(Error::system(path.display().to_string()))
}
