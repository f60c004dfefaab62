//! The programs that take part.

use std::path::{Path, PathBuf};

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

/// Where the shell would find a program.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}
