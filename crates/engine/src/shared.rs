//! The state that all sessions of an engine share. It lives as long as the engine.

use crate::config::Config;
use std::fs;
use std::path::{Path, PathBuf};
use zubi_ipam::AddressPools;
use zubi_kernel::Machine;
use zubi_plan::Instance;
use zubi_store::Store;

/// Settings, records, and the sockets of all sessions.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) machine: Machine,
    pub(crate) store: Store,
    pub(crate) boot_id: String,
}

impl Shared {
    /// The canonical path of the run folder.
    pub(crate) fn run_folder(&self) -> PathBuf {
        canonical(&self.config.dirs.run)
    }

    /// This zubi, for marks.
    pub(crate) fn instance(&self) -> Instance {
        Instance { run: self.run_folder(), boot: self.boot_id.clone(), namespace: self.machine.host_cookie() }
    }

    /// The pools that automatic subnets come from. The IPv6 pool is derived from /etc/machine-id: RFC 4193, 3.2.2 asks
    /// for a random prefix, but a network made again keeps its prefix this way.
    pub(crate) fn pools(&self) -> AddressPools {
        if let Some(pools) = &self.config.pools {
            return pools.clone();
        }
        let seed = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let hash = seed.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let mut global_id = [0; 5];
        global_id.copy_from_slice(&hash.to_be_bytes()[..5]);
        AddressPools::standard(global_id)
    }
}

/// The canonical path of a folder.
pub(crate) fn canonical(folder: &Path) -> PathBuf {
    fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}
