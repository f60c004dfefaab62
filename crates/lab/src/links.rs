//! One program under many names, as it is installed for its callers.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The CNI plug-ins that zubi replaces.
pub const PLUGINS: [&str; 12] = [
    "zubi",
    "bridge",
    "macvlan",
    "ipvlan",
    "vlan",
    "host-device",
    "loopback",
    "host-local",
    "static",
    "portmap",
    "firewall",
    "tuning",
];
/// Podman's network programs.
pub const HELPERS: [&str; 2] = ["netavark", "aardvark-dns"];

/// A folder with a link to the program under each of these names.
pub fn links(program: &str, folder: impl AsRef<Path>, names: &[&str]) -> PathBuf {
    let folder = folder.as_ref();
    fs::create_dir_all(folder).expect("folder of links");
    for name in names {
        symlink(program, folder.join(name)).expect("link");
    }
    folder.to_owned()
}
