//! The programs that take part.

use std::path::{Path, PathBuf};

/// The paths of the programs.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) zubi: PathBuf,
    /// `zubi-daemon`, beside it.
    pub(crate) daemon: PathBuf,
    pub(crate) empty: PathBuf,
    pub(crate) peak: PathBuf,
    /// The folder of the CNI plugins.
    pub(crate) cni: Option<PathBuf>,
    /// Paths and versions.
    pub(crate) netavarks: Vec<(PathBuf, String)>,
    /// aardvark-dns: paths and versions.
    pub(crate) aardvarks: Vec<(PathBuf, String)>,
    pub(crate) dnsperf: Option<PathBuf>,
    pub(crate) iptables: Option<PathBuf>,
    /// `iptables-restore`.
    pub(crate) restore: Option<PathBuf>,
    /// Whether containers can be run.
    pub(crate) podman: bool,
}

impl Programs {
    /// Where Debian and others put Podman's helpers.
    pub(crate) const PACKAGED: [&str; 2] = ["/usr/lib/podman", "/usr/libexec/podman"];

    /// Whether this helper comes with the distribution.
    pub(crate) fn is_packaged(helper: &Path) -> bool {
        Self::PACKAGED.iter().any(|folder| helper.parent() == Some(Path::new(folder)))
    }
}

/// Where the shell would find a program.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}
