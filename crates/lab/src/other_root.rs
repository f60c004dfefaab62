//! Another root for this process: the programs of another release, with this machine's processes, devices and network.

use std::fs;
use std::io;
use std::os::unix::fs::chroot;
use std::path::{Path, PathBuf};
use zubi_kernel::sys;

/// Folders of this machine that are visible below the other root too.
const SHARED: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/tmp"];

/// A folder with the files of another release.
#[derive(Debug, Clone)]
pub struct OtherRoot {
    folder: PathBuf,
    shared: Vec<PathBuf>,
}

impl OtherRoot {
    /// Uses this folder as root.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        OtherRoot { folder: folder.as_ref().to_owned(), shared: SHARED.iter().map(PathBuf::from).collect() }
    }

    /// Makes one more folder of this machine visible there, under the same path.
    #[must_use]
    pub fn share(mut self, folder: impl AsRef<Path>) -> Self {
        self.shared.push(folder.as_ref().to_owned());
        self
    }

    /// Moves the calling process there for good, in a mount namespace of its own. It must have one thread. The error
    /// says what could not be mounted.
    pub fn enter(&self) -> Result<(), String> {
        let failed = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
        let root = Path::new("/");
        sys::unshare(sys::Namespaces::MOUNT).map_err(|e| format!("a mount namespace: {e}"))?;
        let private = libc::MS_PRIVATE | libc::MS_REC;
        sys::mount(Path::new(""), root, Some("none"), private).map_err(|e| failed(root, e))?;
        let bind = libc::MS_BIND | libc::MS_REC;
        sys::mount(&self.folder, &self.folder, None, bind).map_err(|e| failed(&self.folder, e))?;
        for shared in &self.shared {
            let there = self.folder.join(shared.strip_prefix(root).unwrap_or(shared));
            fs::create_dir_all(&there).map_err(|e| failed(&there, e))?;
            sys::mount(shared, &there, None, bind).map_err(|e| failed(&there, e))?;
        }
        // As switch_root(8) does. After chroot(2) alone the process could not make user namespaces (unshare(2): EPERM).
        let entered = std::env::set_current_dir(&self.folder)
            .and_then(|()| sys::mount(Path::new("."), root, None, libc::MS_MOVE))
            .and_then(|()| chroot("."))
            .and_then(|()| std::env::set_current_dir("/"));
        entered.map_err(|e| failed(&self.folder, e))
    }
}
